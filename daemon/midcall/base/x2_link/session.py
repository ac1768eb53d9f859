"""One connection at DF2's end: PDUs in, committed, and only then keepalives answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from imswire import x2x3
from imswire.x2x3 import Packet, Pdu, PduType, SequenceKey
from midcall.base.x2_link.rows import Rows
from midcall.base.x2_link.settings import X2LinkSettings
from midcall.base.x2_link.values import Batch, Report, ServerCounters

Commit = Callable[[Batch], Awaitable[None]]


class CommitFailed(Exception):
    """What a connection brought could not be committed; names the error's kind, not its text, which may quote it."""


class Lane:
    """All connections of one peer: one after the other commits."""

    __slots__ = ("connections", "lock", "name", "report")

    def __init__(self, name: str, report: Report) -> None:
        self.name = name
        self.connections = 0
        self.lock = asyncio.Lock()
        self.report = report


class _Entry(NamedTuple):
    octets: bytes
    key: SequenceKey
    sequence: int | None
    content: Pdu | Packet


class Session:
    """``busy``: something is being committed; ``closing``: nothing more is to be read."""

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
        self.busy = False
        self.closing = False
        self._lane = lane
        self._receive = receive
        self._send = send
        self._commit = commit
        self._rows = rows
        self._settings = settings
        self._counters = counters
        self._packets = x2x3.PacketReader()

    async def run(self) -> None:
        """Until the peer ends it. OSError, TimeoutError, X2X3Error, CommitFailed."""
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
                self.busy = True
                await self._take(pdus)
                self.busy = False
                deadline = loop.time() + self._settings.time_p2
                pdus = splitter.feed(b"")

    async def _take(self, pdus: list[bytes]) -> None:
        """Commit what there is before the first PDU that is none, then answer, then complain."""
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
        if entries:
            async with self._lane.lock:
                await self._hand_on(entries)
        if answers:
            await self._answer(answers)
        if fault is not None:
            raise fault

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

    async def _hand_on(self, entries: list[_Entry]) -> None:
        rows, counters = self._rows, self._counters
        batch = Batch(self._lane.name, [], [], [])
        fresh = []
        for entry in entries:
            if entry.sequence is not None and rows.is_repeat(entry.key, entry.sequence, entry.octets):
                counters.repeats += 1
                continue
            fresh.append(entry)
            if isinstance(entry.content, Pdu):
                batch.events.append(entry.content)
                batch.octets.append(entry.octets)
            else:
                batch.packets.append(entry.content)
        if not fresh:
            return
        try:
            await self._commit(batch)
        except Exception as error:
            raise CommitFailed(f"what it sends cannot be committed: {type(error).__name__}") from error
        counters.committed += len(fresh)
        for entry in fresh:
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
