"""Records reach their writer in order, behind what a restart has to know of them."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from imswire import hi
from midcall.events import CcRecord, CcStream, IriRecord
from midcall.live.commits import UNREAD_NS, Commits, NotWritten, OnTheWay


def record(key: int) -> IriRecord:
    return IriRecord("LI-1", 1, 3, 0, b"", key)


class Disk:
    """Stands for journal and writer: notes what comes in which order."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.waiting = False
        self.full = False
        self.written: list[asyncio.Future[list[None]]] = []
        self.slow = False

    async def flush(self) -> None:
        self.take()
        await asyncio.sleep(0)
        self.write()

    def take(self) -> None:
        self.waiting = False

    def write(self) -> None:
        if self.full:
            raise sqlite3.OperationalError
        self.seen.append("journal")

    def iri(self, records, before=None):
        if before is not None:
            before()
        self.seen.append([each.key for each in records])
        done = asyncio.get_running_loop().create_future()
        self.written.append(done)
        if not self.slow:
            done.set_result([])
        return done

    def cc(self, records):
        raise NotImplementedError


def test_the_journal_comes_first_and_the_order_stays():
    async def run() -> None:
        disk = Disk()
        commits = Commits(disk, disk)
        disk.waiting = True
        commits.put([record(1), record(2)])
        await asyncio.sleep(0)
        commits.put([record(3)])  # while the journal is written
        await commits.done()
        assert disk.seen == ["journal", [1, 2], [3]]

    asyncio.run(run())


def test_the_first_records_of_a_turn_go_at_once_and_the_others_together():
    async def run() -> None:
        disk = Disk()
        commits = Commits(disk, disk)
        disk.waiting = True
        commits.put([record(1)])
        assert disk.seen == ["journal", [1]]
        for key in (2, 3, 4):
            commits.put([record(key)])
        await commits.done()
        commits.put([record(5)])
        assert disk.seen == ["journal", [1], [2, 3, 4], [5]]
        await commits.done()

    asyncio.run(run())


def test_a_journal_that_takes_nothing_keeps_no_event_back():
    async def run() -> None:
        disk = Disk()
        disk.full = disk.waiting = True
        commits = Commits(disk, disk)
        commits.put([record(1)])
        await commits.done()
        assert disk.seen == [[1]] and commits.faults == 1

    asyncio.run(run())


def test_done_waits_for_what_was_given_before_it():
    async def run() -> None:
        disk = Disk()
        disk.slow = True
        commits = Commits(disk)
        await commits.done()
        commits.put([record(1)])
        waits = asyncio.create_task(commits.done())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waits.done()
        commits.put([record(2)])
        disk.written[0].set_result([])
        await waits
        assert disk.seen == [[1], [2]]

    asyncio.run(run())


def test_what_takes_too_long_is_not_said_to_be_written():
    async def run() -> None:
        disk = Disk()
        disk.slow = True
        commits = Commits(disk)
        commits.put([record(1)])
        with pytest.raises(NotWritten):
            await commits.done(0.0)

    asyncio.run(run())


def test_a_fault_of_writer_or_journal_leaves_nobody_waiting():
    async def run() -> None:
        disk = Disk()
        commits = Commits(disk, disk)
        disk.iri = None  # type: ignore[assignment, method-assign]
        commits.put([record(1)])
        rounds = commits._rounds
        with pytest.raises(NotWritten):
            await commits.done()
        assert rounds is not None and isinstance(rounds.exception(), TypeError)
        del disk.iri
        commits.put([record(2)])
        await commits.done()
        assert disk.seen == [[2]]

    asyncio.run(run())


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_what_is_not_written_is_not_said_to_be(how):
    async def run() -> None:
        disk = Disk()
        disk.slow = True
        commits = Commits(disk)
        commits.put([record(1)])
        waits = asyncio.create_task(commits.done())
        for _ in range(3):
            await asyncio.sleep(0)
        if how == "cancelled":
            disk.written[0].cancel()
        else:
            disk.written[0].set_exception(OSError())
        with pytest.raises(NotWritten):
            await waits

    asyncio.run(run())


def test_content_is_kept_until_the_first_packet_that_is_not_on_the_disk():
    stream = CcStream("LI-1", 1, 0, hi.IpmmStream())
    now = 10 * UNREAD_NS

    async def run() -> None:
        way = OnTheWay()
        assert way.kept_until(now, None) == now - UNREAD_NS, "a tap may have seen what nobody has read"
        first, second = (asyncio.get_running_loop().create_future() for _ in range(2))
        way.put([CcRecord(7, stream, b""), CcRecord(5, stream, b"")], first)
        way.put([CcRecord(6, stream, b"")], second)
        assert way.kept_until(now, None) == 5
        first.set_result([True])
        assert way.kept_until(now, None) == 6
        second.set_result([True])
        way.put([CcRecord(8, stream, b"")], asyncio.get_running_loop().create_future())
        assert way.kept_until(now, None) == 8
        assert way.kept_until(now, 3) == 3, "what waits for keys is in memory alone"

    asyncio.run(run())
