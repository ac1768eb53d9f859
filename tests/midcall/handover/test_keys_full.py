"""The file of the keys stands on another disk: when that is full, nothing is given up for it on that of the spool."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from imswire import hi
from midcall.base.link_report import LinkEvent
from midcall.handover.shell.keys import KeysFail
from midcall.handover.shell.spool import KEYS, Left, Spool
from midcall.handover.shell.status import completeness
from midcall.handover.shell.writer import Writer
from midcall.handover.values import Gap
from tests.midcall.handover.test_spool import SMALL, Site
from tests.midcall.handover.world import NO_INTEGRITY, SECOND, T0, cc, intercept, iri, keys, streams, unavailable

OLD, NEW = "LAB-1", "LAB-2"


class Full:
    """A spool with content of an old task; a new one finds no room for its key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = keys(folder / "keys")
        self.gaps: list[Gap] = []
        self.told: list[LinkEvent] = []
        self.lost: list[object] = []
        self.spool = Spool(
            folder / "spool", "lemf", self.keys, (), self.unavailable, T0, integrity=NO_INTEGRITY,
            settings=SMALL, report=self.told.append,
        )  # fmt: skip
        self.spool.add(intercept(OLD))
        for place in range(0, 2_000, 500):
            assert self.spool.write_cc(cc(streams(OLD)[0], 500, place), T0)
        assert self.spool.write_iri([iri(0, liid=OLD)], T0)
        self.spool.add(intercept(NEW))
        self.room(False)

    def room(self, there: bool) -> None:
        """The file may not grow, and what is in it may not be less."""
        (pages,) = self.keys._database.execute("PRAGMA page_count").fetchone()
        self.keys._database.execute(f"PRAGMA max_page_count={pages + 100 if there else pages}")
        for size in () if there else (500, 50, 0):
            with pytest.raises(sqlite3.OperationalError, match="full"):
                for _ in range(1_000):
                    fill = "INSERT INTO keys(tag, wrapped) VALUES(randomblob(16), zeroblob(?))"
                    self.keys._database.execute(fill, (size,))

    def unavailable(self, gap: Gap) -> bytes:
        self.gaps.append(gap)
        return unavailable(gap)

    read = Site.read


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Full]:
    made = Full(tmp_path)
    yield made
    made.spool.close()
    made.keys.close()


def test_a_key_that_cannot_be_made_is_told_as_such(full: Full) -> None:
    with pytest.raises(KeysFail) as caught:
        full.keys.handle(NEW)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


def test_events_of_a_new_task_wait_and_nothing_is_given_up(full: Full) -> None:
    given = [iri(0, liid=NEW), iri(1, liid=OLD), iri(1, liid=NEW)]
    segments = full.spool.folder.segments("hi3")
    assert full.spool.take_iri(given, T0) == Left([given[0], given[2]], KEYS)
    assert full.spool.folder.segments("hi3") == segments and full.gaps == []
    assert (full.told[0].state, full.told[0].reason) == ("fault", KEYS)
    full.room(True)
    assert full.spool.take_iri([given[0], given[2]], T0) == ([], "")
    assert full.spool.write_iri([], T0)
    ledger = full.read()
    assert (ledger.count(hi.PayloadTag.IRI, b"LAB-1"), ledger.count(hi.PayloadTag.IRI, b"LAB-2")) == (2, 2)
    assert [each.state for each in full.told] == ["fault", "cleared"] * (len(full.told) // 2)


def test_content_of_a_new_task_is_refused_and_declared_when_that_can_be(full: Full) -> None:
    there, other = streams(OLD)[0], streams(NEW, 2)[0]
    assert not full.spool.write_cc(cc(other, 30), T0)
    assert not full.spool.write_cc([*cc(other, 10, 30), *cc(there, 10, 2_000)], T0)
    assert full.spool.write_iri([iri(1, liid=OLD)], T0), "what is owed of the one holds up nothing of the other"
    assert full.gaps == [] and full.spool.owes
    full.room(True)
    assert full.spool.write_cc(cc(other, 5, 40), T0) and full.spool.write_iri([], T0)
    assert not full.spool.owes and sum(gap.count for gap in full.gaps) == 40
    assert full.read().count(hi.PayloadTag.CC, b"LAB-1") == 2_010
    found = completeness(full.spool.folder, full.keys, NEW)[1]
    assert found.refused == {KEYS: 40} and found.observed == 45 and found.holds


def test_a_writer_lets_others_go_by(full: Full) -> None:
    async def test() -> None:
        writer = Writer(full.spool)
        running = asyncio.create_task(writer.run())
        new = writer.iri([iri(0, liid=NEW)])
        ended, waits = writer.end(OLD), writer.end(NEW)
        async with asyncio.timeout(30):
            await writer.iri([iri(1, liid=OLD)])
            await ended
            assert not new.done() and not waits.done()
            full.room(True)
            await asyncio.gather(new, waits)
        writer.stop()
        await running

    asyncio.run(test())
    assert full.read().count(hi.PayloadTag.IRI, b"LAB-2") == 1


def test_keys_that_cannot_be_read_when_content_has_to_go_keep_it(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was could not be said."""

    def unread(_: int) -> object:
        raise KeysFail("keys: disk I/O error")

    def no_room(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    segments = full.spool.folder.segments("hi3")
    with monkeypatch.context() as broken:
        broken.setattr(full.keys, "key", unread)
        broken.setattr(full.spool.files, "commit_events", no_room)
        assert full.spool.take_iri([iri(1, liid=OLD)], T0) == Left([iri(1, liid=OLD)], KEYS)
    assert full.spool.folder.segments("hi3") == segments
    assert full.spool.write_iri([iri(1, liid=OLD)], T0 + SECOND)
    full.read().assert_whole()
