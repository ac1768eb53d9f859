"""What is kept: rows, bounds, and a disk that takes nothing."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from typing import Any

from midcall.base.link_report import LinkEvent, LinkReport
from midcall.base.seal import SealKey
from midcall.base.x2_link.buffer import SMALL_ROWS, Buffer
from midcall.base.x2_link.journal import Journal
from midcall.base.x2_link.proof import NS
from midcall.base.x2_link.settings import X2LinkSettings
from midcall.base.x2_link.values import ClientCounters
from tests.midcall.base.x2_link.world import KEY, TIME, event, events, journal, run

SIZE = len(event(0))
SMALL = X2LinkSettings(row_octets=2 * SIZE, buffer_octets=20 * SIZE, pdu_octets=4 * SIZE)


class Desk:
    def __init__(self, kept: Any = None, settings: X2LinkSettings = SMALL) -> None:
        self.told: list[LinkEvent] = []
        self.now = TIME
        self.counters = ClientCounters()
        self.wakes = asyncio.Event()
        report = LinkReport("df2", "buffer", self.told.append)
        self.buffer = Buffer(kept, settings, self.counters, report, lambda: self.now, self.wakes.set)

    def taken(self) -> list[bytes]:
        found = b"".join([row.octets for row in self.buffer.take(1 << 20)])
        return [found[at : at + SIZE] for at in range(0, len(found), SIZE)]

    def states(self) -> list[str]:
        return [each.state for each in self.told]

    def whole(self) -> bool:
        """kept = released + dropped + queued."""
        done = self.counters.released + self.counters.dropped
        return self.counters.kept * SIZE == done * SIZE + self.buffer.queued


def test_rows_are_taken_in_order_and_again_after_a_loss():
    async def test() -> None:
        desk = Desk()
        assert await desk.buffer.put(events(5))
        assert [row.pdus for row in desk.buffer.take(SIZE)] == [2]
        assert desk.taken() == events(3, 2) and desk.taken() == []
        assert desk.buffer.release(1) and not desk.buffer.release(1)
        desk.buffer.rewind()
        assert desk.taken() == events(3, 2)
        assert (desk.counters.sent, desk.counters.resent, desk.counters.released) == (8, 3, 2)
        assert desk.buffer.release(3) and desk.buffer.queued == desk.buffer.under_way == 0 and desk.whole()

    run(test)


def test_a_full_buffer_loses_the_oldest_and_says_so_once():
    async def test() -> None:
        desk = Desk()
        desk.buffer.put(events(10))
        desk.taken()  # under way, and lost all the same
        for at in range(10, 50, 10):
            desk.buffer.put(events(10, at))
        assert desk.states() == ["fault"] and desk.counters.dropped == 30 and desk.whole()
        desk.buffer.rewind()
        assert desk.taken() == events(20, 30)
        desk.buffer.release(1 << 30)
        assert desk.states() == ["fault", "cleared"] and desk.whole()

    run(test)


def test_the_oldest_is_the_first_that_is_not_proved():
    async def test() -> None:
        desk = Desk()
        assert desk.buffer.oldest is None
        desk.buffer.put(events(2))
        desk.now += 5
        desk.buffer.put(events(2, 2))
        assert desk.buffer.oldest == TIME
        desk.taken()
        assert desk.buffer.oldest == TIME, "under way is not proved"
        desk.buffer.release(1)
        assert desk.buffer.oldest == TIME + 5
        desk.buffer.release(2)
        assert desk.buffer.oldest is None

    run(test)


def test_what_is_too_old_goes():
    async def test() -> None:
        desk = Desk()
        desk.buffer.put(events(4))
        desk.now += 3_000 * NS
        desk.buffer.put(events(4, 4))
        desk.now += 601 * NS
        desk.buffer.expire()
        assert desk.counters.dropped == 4 and desk.taken() == events(4, 4) and desk.states() == ["fault"]

    run(test)


def test_what_is_given_is_sent_while_it_is_written(folder):
    async def test() -> None:
        desk = Desk(journal(folder))
        done = desk.buffer.put(events(3))
        assert desk.taken() == events(3) and not done.done() and desk.buffer.queued == 3 * SIZE
        assert await done is True
        await desk.buffer.close()

    run(test)


class SlowJournal(Journal):
    """A disk that takes its time: until ``go``."""

    def __init__(self, *where: Any) -> None:
        super().__init__(*where)
        self.busy, self.go = threading.Event(), threading.Event()

    def write(self, *what: Any) -> None:
        self.busy.set()
        assert self.go.wait(10)
        super().write(*what)


def test_a_slow_disk_keeps_nothing_from_being_sent(folder):
    async def test() -> None:
        disk = SlowJournal(folder / "x2.db", SealKey(KEY))
        desk = Desk(disk, X2LinkSettings())
        written = [desk.buffer.put(events(1))]
        while not disk.busy.is_set():
            await asyncio.sleep(0.001)
        assert desk.taken() == events(1)
        written.append(desk.buffer.put(events(2, 1)))
        assert desk.taken() == events(2, 1)
        # Of very much the rest is gathered, and goes when the disk has taken the first.
        many = 2 * SMALL_ROWS
        written += [desk.buffer.put(events(1, place)) for place in range(3, 3 + many)]
        found = desk.taken()
        assert len(found) == SMALL_ROWS - 2 and not any(each.done() for each in written)
        disk.go.set()
        assert all(await asyncio.gather(*written))
        assert found + desk.taken() == events(many, 3)
        await desk.buffer.close()

    run(test)


def test_what_was_proved_does_not_come_back(folder):
    async def test() -> None:
        desk = Desk(journal(folder))
        await desk.buffer.put(events(6))
        desk.taken()
        desk.buffer.release(2)
        await desk.buffer.close()
        again = Desk(journal(folder))
        assert again.counters.restored == 2 and again.taken() == events(2, 4) and again.whole()
        await again.buffer.close()

    run(test)


def test_what_was_kept_by_a_wider_buffer_is_cut(folder):
    async def test() -> None:
        desk = Desk(journal(folder))
        await desk.buffer.put(events(20))
        await desk.buffer.close()
        tight = X2LinkSettings(row_octets=2 * SIZE, buffer_octets=10 * SIZE, pdu_octets=4 * SIZE)
        again = Desk(journal(folder), tight)
        assert again.counters.dropped == 10 and again.taken() == events(10, 10) and again.states() == ["fault"]
        await again.buffer.close()

    run(test)


def test_a_foreign_key_is_told(folder):
    async def test() -> None:
        desk = Desk(journal(folder))
        await desk.buffer.put(events(6))
        await desk.buffer.close()
        again = Desk(journal(folder, KEY[::-1]))
        assert again.counters.unreadable == 3 and again.states() == ["fault"] and again.taken() == []
        assert await again.buffer.put(events(2, 6))
        assert again.taken() == events(2, 6)
        again.buffer.release(1 << 30)
        assert again.states() == ["fault", "cleared"]
        await again.buffer.close()

    run(test)


def test_a_disk_that_takes_nothing_stops_nothing(folder, monkeypatch):
    """PDUs go out of memory, which is told once; when it takes them again, they are kept as ever."""
    monkeypatch.setattr("midcall.base.x2_link.buffer.RETRY_SECONDS", 0.01)

    async def test() -> None:
        kept = journal(folder)
        desk = Desk(kept)
        write, full = kept.write, True

        def wrapped(*arguments: Any) -> None:
            if full:
                raise sqlite3.OperationalError("database or disk is full")
            write(*arguments)

        monkeypatch.setattr(kept, "write", wrapped)
        assert await desk.buffer.put(events(3)) is False
        assert await desk.buffer.put(events(3, 3)) is False
        assert desk.taken() == events(6) and desk.states() == ["fault"]
        full = False
        while desk.states() != ["fault", "cleared"]:
            desk.wakes.clear()
            await desk.wakes.wait()
        assert await desk.buffer.put(events(2, 6)) is True
        await desk.buffer.close()
        again = Desk(journal(folder))
        assert again.taken() == events(8), "what waited in memory was written behind"
        await again.buffer.close()

    run(test)


def test_a_file_that_was_damaged_is_told(folder):
    async def test() -> None:
        (folder / "x2.db").write_bytes(b"no database" * 1_000)
        desk = Desk(journal(folder))
        assert desk.states() == ["fault"] and "x2.db.damaged" in desk.told[0].reason
        await desk.buffer.close()

    run(test)
