"""Acts of the ADMF stand in the audit before they are done; without an audit nothing is opened, and what ends ends."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from midcall.admf import service, wire
from midcall.admf.roles import Command
from midcall.admf.shell.acts import Acts
from midcall.admf.values import AlarmKind
from midcall.audit.shell import files as log_files
from midcall.audit.shell.door import AuditDoor
from midcall.audit.shell.eye import Eye
from midcall.audit.shell.keeper import HOUR
from midcall.base.audit_link import Act, AuditClient, AuditLink, Kind, Note, Outcome, Phase, Role, digest
from tests.midcall import warrants
from tests.midcall.admf.lab import Site, draft
from tests.midcall.audit import made
from tests.midcall.audit.place import SALT, Place


@pytest.fixture
def site(tmp_path: Path, files: Path) -> Site:
    return Site(tmp_path, files)


_GONE = 2 * ["destination.remove"]


class Audited:
    """The audit of a site, which may be closed and opened."""

    def __init__(self, folder: Path) -> None:
        self.place = Place(folder)
        self.client = AuditClient(AuditLink(path=self.place.socket, role=Role.ADMF, salt=SALT))

    @classmethod
    async def new(cls, folder: Path) -> Audited:
        folder.mkdir()
        audit = cls(folder)
        await audit.begin()
        await audit.client.start()
        return audit

    async def begin(self) -> None:
        self.keeper = self.place.keeper()
        await self.keeper.start()
        self.door = AuditDoor(self.place.socket, self.keeper, {Role.ADMF: (os.geteuid(),)})
        self.working = asyncio.create_task(self.door.run())

    async def end(self) -> None:
        await self.door.close()
        self.working.cancel()
        await asyncio.gather(self.working, return_exceptions=True)
        await self.keeper.close()

    def rows(self) -> list[dict[str, Any]]:
        lines = (row for file in log_files.read(self.place.log) for row in file.lines if row.endswith(b"\n"))
        return [row for row in map(json.loads, lines) if "act" in row]


def test_every_act_is_there_before_and_after(site: Site, tmp_path: Path) -> None:
    async def all_of_it() -> None:
        audit = await Audited.new(tmp_path / "audit")

        async def test(site: Site) -> None:
            await site.active(warrants.make())
            await site.refused("lea", Command.DRAFT, draft(warrants.make()))
            await site.done("aud", Command.LIST)
            assert await site.refused("aud", Command.APPROVE) == await site.refused("ann", Command.DRAFT) == "role"
            await site.done("lea", Command.REVOKE, wire.Named("W-1"))
            await site.until(lambda: not site.held("poi") | site.held("df"))
            await site.until(lambda: not any(each.element.destinations for each in site.services.values()))

        await site.serve(test, Acts(audit.client))
        await audit.client.close()
        await audit.end()
        rows = [row for row in audit.rows() if row["role"] == "admf"]
        done = [row["act"] for row in rows if row["phase"] == "outcome" and row["outcome"] == "done"]
        begun = [row["act"] for row in rows if row["phase"] == "intent"]
        people = ["warrant.draft", "warrant.approve", "warrant.approve", "warrant.activate"]
        elements = ["destination.create", "task.activate"] * 2
        assert done[:8] == begun[:8] == people + elements
        assert begun[8:11] == ["warrant.draft", "warrant.read", "warrant.revoke"]
        assert sorted(done[8:]) == sorted(["warrant.read", "warrant.revoke"] + 2 * ["task.deactivate"] + _GONE)
        refused = [row["act"] for row in rows if row["outcome"] == "refused"]
        assert refused == ["warrant.draft", "li.refuse", "li.refuse"]
        own = digest(SALT, Kind.WARRANT, "W-1").hex()
        assert all(row["object"] == own for row in rows if row["act"] == "warrant.approve" and row["phase"] == "intent")
        lea = digest(SALT, Kind.PERSON, "lea").hex()
        denied = [row["actor"] for row in rows if row["act"] == "li.refuse"]
        assert denied == [digest(SALT, Kind.PERSON, each).hex() for each in ("aud", "ann")]
        assert all(row["actor"] == lea for row in rows if row["act"] == "warrant.activate" and row["phase"] == "intent")
        text = json.dumps(rows)
        assert "alice" not in text and "W-1" not in text and "Lea" not in text

    asyncio.run(all_of_it())


@pytest.mark.proof
def test_without_the_audit_nothing_begins_and_what_ends_ends(site: Site, tmp_path: Path) -> None:
    async def all_of_it() -> None:
        audit = await Audited.new(tmp_path / "audit")

        async def test(site: Site) -> None:
            await site.active(warrants.make())
            await audit.end()
            await site.until(lambda: not audit.client.writable)
            other = warrants.make(id="W-2", targets=[{"liid": "L", "xid": warrants.OTHER_XID, "identity": "sip:a@b"}])
            assert await site.refused("lea", Command.DRAFT, draft(other)) == "audit"
            assert await site.refused("aud", Command.LIST) == "audit", "reading is an act"
            await site.done("aud", Command.ALARMS)
            await site.done("olaf", Command.HEALTH)
            await site.done("lea", Command.REVOKE, wire.Named("W-1"))
            await site.until(lambda: not site.held("poi") | site.held("df"))

        await site.serve(test, Acts(audit.client))
        await audit.client.close()

    asyncio.run(all_of_it())


def test_an_audit_that_cannot_be_written_is_an_alarm(site: Site, tmp_path: Path) -> None:
    async def all_of_it() -> None:
        client = AuditClient(AuditLink(path=tmp_path / "none", role=Role.ADMF, salt=SALT))
        await client.start()

        async def test(site: Site) -> None:
            stop = asyncio.Event()
            running = asyncio.create_task(site.admf.run(stop))
            await site.until(lambda: site.admf.core.alarms.stands(AlarmKind.AUDIT))
            stop.set()
            await running

        await site.serve(test, Acts(client), stops=False)
        await client.close()

    asyncio.run(all_of_it())


def test_a_role_without_an_audit_says_so(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody may have taken the table out of its configuration."""
    with caplog.at_level(logging.WARNING, "midcall.li.audit"):
        assert service._audit(site.config(), 1) is None
    assert [each.getMessage() for each in caplog.records] == ["no [admf.audit]: NOTHING THAT IS DONE HERE IS AUDITED"]


def test_what_the_audit_finds_by_itself_is_an_alarm_for_an_hour(site: Site, tmp_path: Path) -> None:
    async def all_of_it() -> None:
        audit = await Audited.new(tmp_path / "audit")

        async def test(site: Site) -> None:
            stop = asyncio.Event()
            running = asyncio.create_task(site.admf.run(stop))
            alarms = site.admf.core.alarms
            eye = Eye(audit.place.log, made.KEY)
            await audit.keeper.note(Note(Act.TASK_ARM, Phase.EVENT, 1, b"x" * 32, outcome=Outcome.DONE))
            await audit.keeper.review(eye)
            await site.until(lambda: alarms.stands(AlarmKind.DISAGREES))
            audit.keeper._remarked[0] -= HOUR
            audit.client.event(Act.RECONCILE)
            await site.until(lambda: not alarms.stands(AlarmKind.DISAGREES))
            stop.set()
            await running

        await site.serve(test, Acts(audit.client), stops=False)
        await audit.client.close()
        await audit.end()

    asyncio.run(all_of_it())
