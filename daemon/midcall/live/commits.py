"""Records on their way to the disk: in the order in which they were given, behind what a restart has to know."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import structs

from midcall.events import Cc, EventRecord, Hi1Record
from midcall.live.intercepts import InterceptJournal

# How long a disk that takes nothing is waited for at the end.
CLOSING_SECONDS = 1.0
# What a tap has seen and nobody has read yet is not older than this.
UNREAD_NS = 250_000_000
MARK_OCTETS = 16


class Writer(Protocol):
    """Where records go: futures that are done when they are on the disk."""

    def iri(self, records: list[EventRecord], before: Callable[[], None] | None = None) -> asyncio.Future[list[None]]:
        """``before`` is called in the writer's thread, before any of them is written."""

    def cc(self, records: Sequence[Cc]) -> asyncio.Future[list[bool]]: ...


def addressed(record: EventRecord, outlet: str) -> EventRecord:
    """With where it goes as things stand now, and with a mark of its own where nothing makes it a second time."""
    if isinstance(record, Hi1Record):
        return record
    return structs.replace(record, mark=record.mark or secrets.token_bytes(MARK_OCTETS), outlet=outlet)


class NotWritten(Exception):
    """Records that did not get to the disk before the service stopped."""


class Commits:
    """One round after the other: first the journal, then the records that were made meanwhile.

    ``faults`` counts rounds in which the journal took nothing; the records go out all the same.
    """

    def __init__(self, writer: Writer, journal: InterceptJournal | None = None) -> None:
        self.faults = 0
        self._writer = writer
        self._journal = journal
        self._records: list[EventRecord] = []
        self._promise: asyncio.Future[None] | None = None
        self._went = False
        self._open: set[asyncio.Future[None]] = set()
        self._rounds: asyncio.Task[None] | None = None

    def put(self, records: Sequence[EventRecord] = ()) -> None:
        """Write records, and what the journal was told.

        The first records of a turn of the loop are on their way at once: what else comes of the same message is not
        waited for. Those behind them go together.
        """
        waiting = bool(self._records)
        self._records += records
        if self._promise is None:
            self._promise = asyncio.get_running_loop().create_future()
            self._open.add(self._promise)
            self._promise.add_done_callback(self._open.discard)
        if records and not waiting and not self._went:
            self._went = True
            asyncio.get_running_loop().call_soon(self._next_turn)
            try:
                self._write_records()
            except Exception as error:  # noqa: BLE001 - a fault of ours costs these records, and nothing else
                self._rounds = asyncio.create_task(_failed(error))
        elif self._rounds is None or self._rounds.done():
            self._rounds = asyncio.create_task(self._run())

    async def done(self, seconds: float | None = None) -> None:
        """All that was given so far is on the disk. NotWritten: it will not be, or not within ``seconds``."""
        waits = set(self._open)
        if waits:
            await asyncio.wait(waits, timeout=seconds)
        if any(not each.done() or each.cancelled() or each.exception() is not None for each in waits):
            raise NotWritten

    def _next_turn(self) -> None:
        self._went = False

    async def _run(self) -> None:
        while self._promise is not None:
            if self._records:
                self._write_records()
                continue
            promise, self._promise = self._promise, None
            try:
                await self._flush()
            except BaseException:
                promise.cancel()
                raise
            promise.set_result(None)

    def _write_records(self) -> None:
        """Behind the journal. Not waited for: what comes meanwhile is written behind it all the same."""
        promise, self._promise = self._promise, None
        records, self._records = self._records, []
        assert promise is not None
        before: Callable[[], None] | None = None
        if self._journal is not None and self._journal.waiting:
            self._journal.take()
            before = self._write_journal
        try:
            written = asyncio.ensure_future(self._writer.iri(records, before))
        except BaseException:
            promise.cancel()
            raise
        written.add_done_callback(lambda written: _settle(promise, written))

    def _write_journal(self) -> None:
        """In a thread of a writer."""
        assert self._journal is not None
        try:
            self._journal.write()
        except sqlite3.Error:
            self.faults += 1

    async def _flush(self) -> None:
        if self._journal is not None and self._journal.waiting:
            try:
                await self._journal.flush()
            except sqlite3.Error:
                self.faults += 1


async def _failed(error: Exception) -> None:
    raise error


def _settle(promise: asyncio.Future[None], written: asyncio.Future[list[None]]) -> None:
    if promise.done():
        return
    if written.cancelled() or written.exception() is not None:
        promise.cancel()
    else:
        promise.set_result(None)


class OnTheWay:
    """Content that was given to a writer; times are those of packets, wall ns."""

    def __init__(self) -> None:
        self._given: deque[tuple[Sequence[Cc], asyncio.Future[list[bool]]]] = deque()

    def put(self, records: Sequence[Cc], written: asyncio.Future[list[bool]]) -> None:
        """``written`` is done when it is on the disk, or declared missing."""
        while self._given and self._given[0][1].done():
            self._given.popleft()
        self._given.append((records, written))

    def kept_until(self, now: int, held: int | None) -> int:
        """Until when all content is on the disk; ``held``: since when some waits for keys, in memory alone."""
        waiting = [time for records, written in self._given if not written.done() for time, _, _ in records]
        return min([now - UNREAD_NS, *waiting, *([] if held is None else [held])])
