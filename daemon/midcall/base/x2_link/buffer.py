"""What the POI's end keeps until it is proved: PDUs in their order, bounded in octets and age.

All stands in memory, for it is small; a journal beside it brings it over a restart. PDUs are sent while they are being
written: what a crash makes the POI forget had at least been sent. A disk that takes nothing stops no PDU:
they are kept in memory alone, which is told, until it takes them again.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from struct import Struct as Layout

from imswire.x2x3 import PduType
from midcall.base.link_report import LinkReport
from midcall.base.seal import SealError
from midcall.base.x2_link.journal import Journal, Row
from midcall.base.x2_link.proof import NS
from midcall.base.x2_link.settings import X2LinkSettings
from midcall.base.x2_link.values import ClientCounters

# A full disk is tried again after so long.
RETRY_SECONDS = 1.0
# So many rows wait for the disk at most before what is given then is gathered into larger ones.
SMALL_ROWS = 64
# What was released is removed from the disk with the next PDUs, or after so long.
FORGET_SECONDS = 0.5
_HEAD = Layout("!HHII").unpack_from
_HEADER_OCTETS = 40
_CARRIED = (PduType.X2, PduType.X3)


class Buffer:
    """Its owner calls it in the loop's thread; ``wake`` is called when there is something to send.

    ``clock`` gives ages, in ns since 1970 as far as a restart can tell, and never jumps.
    """

    def __init__(
        self,
        journal: Journal | None,
        settings: X2LinkSettings,
        counters: ClientCounters,
        report: LinkReport,
        clock: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._counters = counters
        self._report = report
        self._clock = clock
        self._wake = wake
        self._given: list[bytes] = []  # in no row yet
        self._waiting: list[asyncio.Future[bool]] = []
        self._given_octets = 0
        self._rows: deque[Row] = deque()  # not sent on this connection
        self._under_way: deque[Row] = deque()
        self._writing: deque[Row] = deque()  # not on the disk yet
        self._octets = 0  # of all rows
        self.under_way = 0  # octets that are sent and not proved
        self._last = 0  # number of the last row
        self._ready = 0  # rows up to this number may be sent
        self._sent = 0  # number of the last row that was ever sent
        self._released = 0
        self._forgotten = 0
        self._full = False
        self._failing = False
        self._closing = False
        self._wanted = asyncio.Event()
        self._commit: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        if journal is not None:
            self._restore(journal)

    def _restore(self, journal: Journal) -> None:
        for row in journal.load():
            self._rows.append(row)
            self._octets += len(row.octets)
            self._counters.restored += row.pdus
        self._counters.kept += self._counters.restored
        self._counters.unreadable += journal.unreadable
        self._last = self._ready = journal.last_id()
        if journal.moved is not None:
            self._report.failed(f"the buffer's file was damaged and is now {journal.moved.name}")
        if journal.unreadable:
            self._report.failed(f"{journal.unreadable} rows of the buffer do not open with this key")
        self._bound()

    # In

    def put(self, pdus: Iterable[bytes]) -> asyncio.Future[bool]:
        """Keep PDUs behind those before them.

        The future is done when they are kept for good: True on the disk (or where nothing else was asked for), False
        in memory alone, for the disk took nothing. ValueError: one is no X2 or X3 PDU of at most ``pdu_octets``.
        """
        found = list(pdus)
        octets = sum(map(self._checked, found))
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._counters.kept += len(found)
        self._given += found
        self._given_octets += octets
        if self._journal is None or self._failing:
            done.set_result(self._journal is None)
            self._offer()
        else:
            self._waiting.append(done)
            if len(self._writing) < SMALL_ROWS:
                self._offer()  # not behind what the disk is busy with
            self._wanted.set()
            self._begin()
        if self._octets + self._given_octets > self._settings.buffer_octets:
            self._form()
            self._bound()
        return done

    def _checked(self, octets: bytes) -> int:
        if len(octets) >= _HEADER_OCTETS:
            _, kind, header, payload = _HEAD(octets)
            if header + payload == len(octets) <= self._settings.pdu_octets and kind in _CARRIED:
                return len(octets)
        raise ValueError(f"no X2 or X3 PDU of at most {self._settings.pdu_octets} octets")

    def _offer(self) -> None:
        """What was given may be sent."""
        self._form()
        self._ready = self._last
        self._wake()

    def _form(self) -> None:
        """Rows of what was given."""
        given, most = self._given, self._settings.row_octets
        self._given, self._given_octets = [], 0
        now, at = self._clock(), 0
        while at < len(given):
            end, octets = at, 0
            while end < len(given) and (octets < most):
                octets += len(given[end])
                end += 1
            self._last += 1
            row = Row(self._last, now, end - at, b"".join(given[at:end]))
            self._rows.append(row)
            self._octets += octets
            if self._journal is not None:
                self._writing.append(row)
            at = end

    # Out

    @property
    def queued(self) -> int:
        """Octets that are not proved."""
        return self._octets + self._given_octets

    @property
    def oldest(self) -> int | None:
        """When the first PDU that is not proved was given, in ns by the buffer's clock; None: there is none."""
        rows = self._under_way or self._rows
        if rows:
            return rows[0].time
        return self._clock() if self._given else None

    def take(self, octets: int) -> list[Row]:
        """The next rows to be sent, of about so many octets; they are under way from now on."""
        found = []
        while self._rows and octets > 0 and self._rows[0].id <= self._ready:
            row = self._rows.popleft()
            octets -= len(row.octets)
            found.append(row)
            self._counters.sent += row.pdus
            if row.id <= self._sent:
                self._counters.resent += row.pdus
            self.under_way += len(row.octets)
        if found:
            self._sent = max(self._sent, found[-1].id)
            self._under_way.extend(found)
        return found

    def rewind(self) -> None:
        """The connection is lost: what is not proved is sent again, before anything new."""
        self._rows.extendleft(reversed(self._under_way))
        self._under_way.clear()
        self.under_way = 0

    def release(self, mark: int) -> bool:
        """Rows up to ``mark`` are proved; whether there were any."""
        before = self._released
        while self._under_way and self._under_way[0].id <= mark:
            row = self._under_way.popleft()
            self.under_way -= len(row.octets)
            self._counters.released += row.pdus
            self._gone(row)
        self._full = self._full and self.queued > self._settings.buffer_octets // 2
        if self._released == before:
            return False
        self._clear()
        self._begin()
        return True

    def expire(self) -> None:
        """Give up what is too old."""
        self._bound()

    def _bound(self) -> None:
        """Give up the oldest rows beyond octets or age, whether they are under way or not."""
        before = self._before()
        while self._octets + self._given_octets > self._settings.buffer_octets or self._oldest(before):
            rows = self._under_way or self._rows
            if not rows:
                return
            row = rows.popleft()
            if rows is self._under_way:
                self.under_way -= len(row.octets)
            self._counters.dropped += row.pdus
            self._gone(row)
            if not self._full:
                self._full = True
                self._report.failed("the buffer is full, or its PDUs are too old: the oldest are lost")

    def _oldest(self, before: int) -> bool:
        rows = self._under_way or self._rows
        return bool(rows) and rows[0].time < before

    def _before(self) -> int:
        return self._clock() - int(self._settings.buffer_seconds * NS)

    def _gone(self, row: Row) -> None:
        self._octets -= len(row.octets)
        self._released = max(self._released, row.id)

    # The disk

    def _begin(self) -> None:
        if self._journal is not None and self._commit is None:
            self._commit = asyncio.create_task(self._write_all(self._journal))

    async def _write_all(self, journal: Journal) -> None:
        """Write until there is nothing to be written; what is given meanwhile goes together."""
        try:
            while not self._closing and (self._given or self._writing or self._released > self._forgotten):
                if self._failing:
                    await self._pause(RETRY_SECONDS)
                elif not self._given and not self._writing:
                    await self._pause(FORGET_SECONDS)  # what comes meanwhile takes it along
                await self._write(journal)
        finally:
            self._commit = None

    async def _pause(self, seconds: float) -> None:
        self._wanted.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wanted.wait(), seconds)

    async def _write(self, journal: Journal) -> None:
        # Sent and written at once: a crash in between forgets what the other end may have, and nothing else.
        self._offer()
        waiting, self._waiting = self._waiting, []
        while self._writing and self._writing[0].id <= self._released:
            self._writing.popleft()  # proved or given up before it came to that
        rows, released = tuple(self._writing), self._released
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "x2-buffer")
        run = asyncio.get_running_loop().run_in_executor
        try:
            await run(self._thread, journal.write, rows, released, self._before())
        except (sqlite3.Error, SealError, OSError) as error:
            self._counters.unwritten += sum(row.pdus for row in rows) if not self._failing else 0
            self._failing = True
            self._report.failed(f"the buffer's disk takes nothing: {error}")
        else:
            self._forgotten = max(released, self._forgotten)
            for _ in rows:
                self._writing.popleft()
            if self._failing:
                self._failing = False
                self._clear()
        for each in waiting:
            if not each.done():
                each.set_result(not self._failing)
        self._wake()

    def _clear(self) -> None:
        if not self._full and not self._failing:
            self._report.cleared()

    async def close(self) -> None:
        """Write what is not written, and let go of the disk."""
        if self._journal is None:
            return
        self._closing = True
        self._wanted.set()
        if self._commit is not None:
            await self._commit
        await self._write(self._journal)
        if self._thread is not None:
            self._thread.shutdown()
        self._journal.close()
