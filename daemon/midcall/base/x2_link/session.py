"""One connection at DF2's end: PDUs in, committed, and only then keepalives answered.

What comes is handed on at once, and not behind the disk: the next message may say where media go from now on. Only
so much may be under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple

from imswire import x2x3
from imswire.x2x3 import Packet, Pdu, PduType, SequenceKey
from midcall.base.link_report import LinkReport
from midcall.base.x2_link.rows import Rows
from midcall.base.x2_link.settings import X2LinkSettings
from midcall.base.x2_link.values import Batch, ServerCounters

Commit = Callable[[Batch], Awaitable[None]]
UNDER_WAY: Final = 8
"""Batches of one connection that may wait for the disk, each of ``read_octets`` or one long PDU."""


class _Closing(Exception):
    """Nothing more is to be read."""


class CommitFailed(Exception):
    """What a connection brought could not be committed; names the error's kind, not its text, which may quote it."""


class Lane:
    """All connections of one peer. ``under_way``: what each of them is committing."""

    __slots__ = ("connections", "name", "report", "under_way")

    def __init__(self, name: str, report: LinkReport) -> None:
        self.name = name
        self.connections = 0
        self.under_way: dict[asyncio.Task[None], Session] = {}
        self.report = report

    async def settled(self, but: Session) -> None:
        """What other connections have begun to commit is done: now it is known what a repetition is."""
        others = [task for task, session in self.under_way.items() if session is not but]
        if others:
            await asyncio.wait(others)


class _Entry(NamedTuple):
    octets: bytes
    key: SequenceKey
    sequence: int | None
    content: Pdu | Packet


class _Committed(NamedTuple):
    """What is being committed, and when it is done."""

    entries: list[_Entry]
    done: asyncio.Future[None]


class Session:
    """``closing``: nothing more is to be read."""

    def __init__(
        self,
        lane: Lane,
        receive: asyncio.StreamReader,
        send: asyncio.StreamWriter,
        commit: Commit,
        rows: Rows,
        settings: X2LinkSettings,
        counters: ServerCounters,
    ) -> None:
        self.closing = False
        self._lane = lane
        self._receive = receive
        self._send = send
        self._commit = commit
        self._rows = rows
        self._settings = settings
        self._counters = counters
        self._packets = x2x3.PacketReader()
        self._last: asyncio.Task[None] | None = None
        self._room = asyncio.Semaphore(UNDER_WAY)

    @property
    def busy(self) -> bool:
        """Something is being committed."""
        return self._last is not None and not self._last.done()

    def close(self) -> None:
        """Read nothing more; what is being committed is still answered."""
        self.closing = True
        self._receive.set_exception(_Closing())

    async def run(self) -> None:
        """Until the peer ends it. OSError, TimeoutError, X2X3Error, CommitFailed."""
        try:
            with suppress(_Closing):
                await self._read()
        except x2x3.X2X3Error:
            await self._all_answered()  # what came before it
            raise
        await self._all_answered()

    async def _all_answered(self) -> None:
        if self._last is not None:
            await self._last

    async def _read(self) -> None:
        splitter = x2x3.Splitter(self._settings.pdu_octets)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.time_p2
        while not self.closing:
            async with asyncio.timeout_at(deadline):
                data = await self._receive.read(self._settings.read_octets)
            if not data:
                return
            pdus = splitter.feed(data)
            while pdus:
                await self._take(pdus)
                deadline = loop.time() + self._settings.time_p2
                pdus = splitter.feed(b"")

    async def _take(self, pdus: list[bytes]) -> None:
        """Hand on what there is before the first PDU that is none, answer when it is committed, then complain."""
        entries: list[_Entry] = []
        answers: list[bytes] = []
        fault: x2x3.X2X3Error | None = None
        for octets in pdus:
            try:
                entry = self._entry(octets, answers)
            except x2x3.X2X3Error as error:
                fault = error
                break
            if entry is not None:
                entries.append(entry)
        await self._room.acquire()
        await self._lane.settled(self)
        if self._last is not None and self._last.done():
            self._last.result()  # nothing is taken behind what failed
        self._last = asyncio.create_task(self._settle(self._last, self._hand_on(entries), answers))
        self._lane.under_way[self._last] = self
        self._last.add_done_callback(self._settled)
        if fault is not None:
            raise fault

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._room.release()
        self._lane.under_way.pop(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._receive.set_exception(error)

    async def _settle(
        self, before: asyncio.Task[None] | None, committed: _Committed | None, answers: list[bytes]
    ) -> None:
        """In the order in which it came: behind what could not be committed nothing counts, behind a fault nothing is
        answered.
        """
        failed: BaseException | None = None
        if before is not None:
            await asyncio.wait((before,))
            failed = before.exception()
        if committed is not None and not isinstance(failed, CommitFailed):
            await self._remember(committed)
        if failed is not None:
            raise failed
        if answers:
            await self._answer(answers)

    def _entry(self, octets: bytes, answers: list[bytes]) -> _Entry | None:
        kind = octets[2] << 8 | octets[3]
        if kind == PduType.X3:
            packet = self._packets.packet(octets)
            return _Entry(octets, self._rows.key(packet.stream), packet.sequence, packet)
        pdu = x2x3.parse(octets)
        if kind == PduType.X2:
            return _Entry(octets, pdu.sequence_key, pdu.sequence, pdu)
        if kind == PduType.KEEPALIVE:
            answers.append(x2x3.build(x2x3.acknowledgement(pdu)))
        elif kind == PduType.KEEPALIVE_ACK:
            raise x2x3.X2X3Error("header.PDU type", "the answer to a keepalive, from who is to send them")
        else:
            self._counters.unknown += 1
        return None

    def _hand_on(self, entries: list[_Entry]) -> _Committed | None:
        """Begin to commit what is no repetition."""
        batch = Batch(self._lane.name, [], [], [])
        fresh = []
        for entry in entries:
            if entry.sequence is not None and self._rows.is_repeat(entry.key, entry.sequence, entry.octets):
                self._counters.repeats += 1
                continue
            fresh.append(entry)
            if isinstance(entry.content, Pdu):
                batch.events.append(entry.content)
                batch.octets.append(entry.octets)
            else:
                batch.packets.append(entry.content)
        if not fresh:
            return None
        done = asyncio.ensure_future(self._commit(batch))
        done.add_done_callback(lambda done: done.cancelled() or done.exception())  # also when nobody waits any more
        return _Committed(fresh, done)

    async def _remember(self, committed: _Committed) -> None:
        rows, counters = self._rows, self._counters
        try:
            await committed.done
        except Exception as error:
            raise CommitFailed(f"what it sends cannot be committed: {type(error).__name__}") from error
        counters.committed += len(committed.entries)
        for entry in committed.entries:
            if entry.sequence is None:
                counters.unnumbered += 1
            else:
                rows.committed(self._lane.name, entry.key, entry.sequence, entry.octets)

    async def _answer(self, answers: list[bytes]) -> None:
        self._send.write(b"".join(answers))
        self._counters.keepalives += len(answers)
        async with asyncio.timeout(self._settings.time_p2):
            await self._send.drain()
        self._lane.report.cleared()
