"""What running intercepts leave for a restart: sealed, without keys, and gone with their task."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from msgspec import structs

from midcall.base.seal import SealKey
from midcall.df2 import Communication
from midcall.events import DialogId, Instant, Kept, SessionReport, Side
from midcall.live.intercepts import InterceptJournal, Recalled

XID, OTHER = "task-1", "task-2"
AT = Instant(1_700_000_000_000_000_000, 5)
DIALOG = DialogId("call-1", "a", "b")
STATE = Communication(b"\1" * 8, 7, True, False, "sip:alice@example.com", Side.CALLER)
INVITE = (
    b"INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
    b"From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\nCall-ID: call-1\r\nCSeq: 1 INVITE\r\n"
    b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%b"
)
SDES = (
    b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0\r\n"
)


def report(xid: str = XID, description: bytes = SDES) -> SessionReport:
    offer = Kept(INVITE % (len(description), description), AT, 0)
    return SessionReport(
        xid, "sip:alice@example.com", STATE.correlation, DIALOG, AT, AT, Side.CALLER, Side.CALLER, offer, None, ()
    )


class Disk:
    """The files of a journal, and each run that had them open."""

    def __init__(self, folder: Path) -> None:
        self.path, self.keys = folder / "intercepts.db", folder / "keys.db"

    def open(self, key: int = 1) -> InterceptJournal:
        return InterceptJournal(self.path, self.keys, SealKey(bytes((key,)) * 32))

    def run(self, *steps) -> dict[str, Recalled]:
        """Do ``steps`` and end without a word; what the next run finds."""

        async def go() -> dict[str, Recalled]:
            journal = self.open()
            for step in steps:
                step(journal)
                await journal.flush()
            again = self.open()
            found = again.recall()[1]
            await again.close()
            return found

        return asyncio.run(go())

    def octets(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.path.parent.iterdir()))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def all_of_it(journal: InterceptJournal) -> None:
    journal.communication(XID, STATE)
    journal.report(report())
    journal.counters(XID, DIALOG, {b"\0\0\1\2\3\4": 3})
    journal.alive(AT.wall)


def test_a_run_finds_what_the_former_one_had(disk: Disk) -> None:
    found = disk.run(all_of_it)[XID]
    assert found.communications == [STATE]
    (held, counters), = found.dialogs  # fmt: skip
    assert counters == {b"\0\0\1\2\3\4": 3}
    assert structs.replace(held, offer=None) == structs.replace(report(), offer=None)


def test_the_last_word_counts(disk: Disk) -> None:
    found = disk.run(
        all_of_it,
        lambda journal: journal.counters(XID, DIALOG, {b"\0\0\1\2\3\4": 4}),
        lambda journal: journal.communication(XID, structs.replace(STATE, ended=True)),
    )[XID]
    assert found.communications[0].ended and found.dialogs[0][1] == {b"\0\0\1\2\3\4": 4}


def test_keys_that_stand_in_descriptions_are_not_kept(disk: Disk) -> None:
    held = disk.run(all_of_it)[XID].dialogs[0][0]
    assert held.offer is not None and b"inline:" not in held.offer.octets and b"m=audio 4000" in held.offer.octets


def test_nothing_can_be_read_on_the_disk(disk: Disk) -> None:
    disk.run(all_of_it)
    octets = disk.octets()
    for each in (b"alice", b"call-1", b"m=audio", XID.encode(), STATE.correlation):
        assert each not in octets


def test_a_dialog_that_is_over_is_gone(disk: Disk) -> None:
    found = disk.run(all_of_it, lambda journal: journal.released(XID, DIALOG))[XID]
    assert found.dialogs == [] and found.communications == [STATE]
    assert disk.run(lambda journal: None)[XID].dialogs == []


def test_a_dialog_that_begins_and_ends_between_two_flushes_never_gets_there(disk: Disk) -> None:
    def both(journal: InterceptJournal) -> None:
        all_of_it(journal)
        journal.released(XID, DIALOG)

    assert disk.run(both)[XID].dialogs == []


def test_a_task_that_is_over_takes_all_with_it_and_no_other(disk: Disk) -> None:
    def two(journal: InterceptJournal) -> None:
        all_of_it(journal)
        journal.report(report(OTHER))

    found = disk.run(two, lambda journal: journal.ended(XID))
    assert set(found) == {OTHER}


def test_a_task_that_is_ordered_anew_is_kept_anew(disk: Disk) -> None:
    """The same things again, and in the same writing as the end of the former order."""

    def again(journal: InterceptJournal) -> None:
        journal.ended(XID)
        journal.began(XID)
        all_of_it(journal)

    found = disk.run(all_of_it, again)[XID]
    assert found.communications == [STATE] and len(found.dialogs) == 1


def test_a_task_has_its_key_before_its_first_event(disk: Disk) -> None:
    disk.run(lambda journal: journal.began(XID))
    with sqlite3.connect(disk.keys) as database:
        assert database.execute("SELECT count(*) FROM keys").fetchone() == (1,)
    database.close()
    disk.run(lambda journal: journal.ended(XID))
    with sqlite3.connect(disk.keys) as database:
        assert database.execute("SELECT count(*) FROM keys").fetchone() == (0,)
    database.close()


def test_rows_of_an_ended_task_open_for_nobody_not_even_from_a_copy(disk: Disk) -> None:
    disk.run(all_of_it)
    copy = disk.path.with_name("copy.db")
    with sqlite3.connect(disk.path) as database:
        database.execute("VACUUM INTO ?", (str(copy),))
    database.close()
    disk.run(lambda journal: journal.ended(XID))
    copy.replace(disk.path)
    for rest in ("-wal", "-shm"):
        disk.path.with_name(disk.path.name + rest).unlink(missing_ok=True)

    async def look() -> None:
        journal = disk.open()
        assert journal.recall()[1] == {} and journal.lost == 3
        await journal.close()

    asyncio.run(look())


def test_another_key_opens_nothing(disk: Disk) -> None:
    disk.run(all_of_it)

    async def look() -> None:
        journal = disk.open(key=2)
        assert journal.recall()[1] == {} and journal.lost == 3
        await journal.close()

    asyncio.run(look())


def test_what_the_disk_did_not_take_is_tried_again(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        journal = disk.open()
        all_of_it(journal)
        with monkeypatch.context() as full:
            full.setattr(journal, "_write", no_room)
            with pytest.raises(sqlite3.Error):
                await journal.flush()
        assert journal.waiting
        await journal.close()

    asyncio.run(run())
    assert disk.run(lambda journal: None)[XID].communications == [STATE]


def no_room(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_only_what_changed_is_written(disk: Disk) -> None:
    async def run() -> None:
        journal = disk.open()
        all_of_it(journal)
        await journal.flush()
        journal.communication(XID, STATE)
        journal.report(report())
        journal.released(XID, DialogId("another", "a", "b"))
        assert not journal.waiting
        await journal.close()

    asyncio.run(run())


def test_when_the_former_run_was_at_work_last(disk: Disk) -> None:
    async def run() -> None:
        journal = disk.open()
        assert journal.recall() == (None, {})
        journal.alive(AT.wall)
        await journal.close()
        again = disk.open()
        assert again.recall() == (AT.wall, {}) and again.kept == AT.wall
        again.alive(AT.wall + 2, AT.wall + 1)
        await again.close()
        third = disk.open()
        assert third.recall() == (AT.wall + 2, {}) and third.kept == AT.wall + 1
        await third.close()

    asyncio.run(run())


def test_what_waits_for_a_disk_takes_no_more_room_each_time(disk: Disk) -> None:
    """It is written once the disk takes it again, as it stands then."""

    async def run() -> None:
        journal = disk.open()
        journal._database.execute("PRAGMA query_only=ON")
        for number in range(50):
            journal.began(OTHER)
            journal.counters(XID, DIALOG, {b"\0\0\1\2\3\4": number})
            journal.report(report(OTHER))
            journal.alive(number)
            with pytest.raises(sqlite3.Error):
                await journal.flush()
            journal.ended(OTHER)
        assert journal.waiting and len(journal._taken) == 1
        journal._database.execute("PRAGMA query_only=OFF")
        journal.communication(XID, STATE)
        journal.report(report())
        await journal.flush()
        await journal.close()
        again = disk.open()
        last, found = again.recall()
        assert last == 49 and set(found) == {XID}
        assert [counters for _, counters in found[XID].dialogs] == [{b"\0\0\1\2\3\4": 49}]
        await again.close()

    asyncio.run(run())
