"""A role that writes without end: it is refused, others are not, and the log says so."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from midcall.audit.quotas import DAY, SECOND, Quota, Quotas
from midcall.audit.shell import door as doors
from midcall.audit.shell import files
from midcall.audit.shell.door import AuditDoor
from midcall.base.audit_link import Act, NotAudited, Role
from tests.midcall.audit.place import ROLES, Place

POI, DF = (7, Role.POI), (7, Role.DF)


def test_a_burst_and_then_so_many_a_second() -> None:
    quotas = Quotas(Quota(per_second=10, burst=300, per_day=1_000_000))
    assert quotas.take(*POI, 256, 0) and quotas.take(*POI, 44, 0)
    assert not quotas.take(*POI, 1, 0) and quotas.take(*POI, 0, 0)
    assert quotas.take(*DF, 300, 0), "another role has its own"
    assert quotas.take(8, Role.POI, 300, 0), "as has another user"
    assert not quotas.take(*POI, 2, SECOND // 10) and quotas.take(*POI, 1, SECOND // 10)
    assert not quotas.take(*POI, 301, DAY), "never more than a burst at once"
    assert quotas.take(*POI, 300, DAY)


def test_so_many_a_day() -> None:
    quotas = Quotas(Quota(per_second=1_000_000, burst=1_000_000, per_day=1_000))
    assert quotas.take(*POI, 1_000, 0) and not quotas.take(*POI, 1, SECOND)
    assert quotas.take(*POI, 1, DAY // 1_000)
    assert not quotas.take(*POI, 500, DAY // 4) and quotas.take(*POI, 249, DAY // 4)


def test_what_is_left_of_a_disk_is_for_who_has_written_little() -> None:
    quotas = Quotas(Quota(per_second=1, burst=1_000, per_day=1_000_000))
    assert quotas.take(*POI, 600, 0) and quotas.take(*DF, 400, 0)
    assert not quotas.take(*POI, 1, 0, scarce=True)
    assert quotas.take(*DF, 100, 0, scarce=True) and not quotas.take(*DF, 1, 0, scarce=True)
    assert quotas.take(*POI, 400, 0), "with room again as before"


def test_a_packet_of_notes_is_never_more_than_a_burst() -> None:
    assert Quotas(Quota(per_second=1, burst=1, per_day=1)).take(*POI, 256, 0)


def test_a_flood_of_one_role_is_refused_and_told_and_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)

    async def go() -> list[str]:
        keeper = place.keeper()
        await keeper.start()
        door = AuditDoor(place.socket, keeper, dict.fromkeys(ROLES, (doors.os.geteuid(),)), Quota(1, 300, 1_000_000))
        working = asyncio.create_task(door.run())
        said = []
        async with place.client(Role.POI) as flood, place.client(Role.DF) as quiet:
            for _ in range(1_000):
                flood.event(Act.TASK_READ)
            while not door.counts["over"]:
                await asyncio.sleep(0.01)
            assert not flood.writable
            with pytest.raises(NotAudited):
                await flood.intent(Act.TASK_ACTIVATE, b"x" * 32)
            (await quiet.intent(Act.TASK_ACTIVATE, b"y" * 32)).done()
            said.append("the other role is kept")
            flood._queue.clear()
            over = -1
            while over != (over := door.counts["over"]):
                await asyncio.sleep(0.05)  # what is under way is refused, too
            await door.tell_refused()
            await door.tell_refused()
            # With a disk that is nearly full the same role still is, and who has used up more is not.
            monkeypatch.setattr(type(keeper), "is_scarce", lambda _self, _octets: True)
            (await quiet.intent(Act.TASK_ACTIVATE, b"z" * 32)).done()
        await door.close()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await keeper.close()
        return said

    assert asyncio.run(go())
    rows = [json.loads(row) for file in files.read(place.log) for row in file.lines]
    told = [row for row in rows if row.get("act") == "audit.refuse"]
    assert len(told) == 1 and told[0]["role"] == "audit" and told[0]["outcome"] == "refused"
    assert told[0]["code"] == 1 + list(Role).index(Role.POI) and told[0]["count"] >= 256
    assert sum(row.get("act") == "task.read" for row in rows) <= 301
    assert sum(row.get("role") == "df" for row in rows) == 4


def test_who_was_refused_is_told_when_the_disk_takes_it(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def go() -> None:
        async with place.running() as keeper:
            door = AuditDoor(tmp_path / "other", keeper, {Role.POI: (0,)})
            door._over = {Role.POI: 5}
            keeper.changed = "somebody else"
            await door.tell_refused()
            assert door._over == {Role.POI: 5}
            keeper.changed = ""
            await door.tell_refused()
            assert door._over == {}
            with contextlib.suppress(OSError):
                await door.close()

    asyncio.run(go())


def test_room_on_the_disk(tmp_path: Path) -> None:
    async def go() -> None:
        async with Place(tmp_path).running() as keeper:
            assert not keeper.is_scarce(1) and keeper.is_scarce(1 << 62)

    asyncio.run(go())


def test_one_group_is_so_many_notes_about(tmp_path: Path) -> None:
    async def go() -> None:
        async with Place(tmp_path).running() as keeper:
            door = AuditDoor(tmp_path / "other", keeper, {Role.POI: (0,)})
            peer = doors._Peer(door._listener, 0)
            ask = doors.Ask(1, (doors.Note(Act.ALARM, doors.Phase.EVENT, 1),) * 256)
            door._waiting.extend([(peer, ask)] * 40)
            assert [len(door._next()) for _ in range(4)] == [16, 16, 8, 0]
            await door.close()

    asyncio.run(go())
