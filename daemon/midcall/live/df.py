"""The mediation functions as a service: X2 in, HI2 at once; keys from a KMS; media from a tap, HI3 out.

DF2 and DF3 of one process. An event is acknowledged when its record is on the disk. Product of a task that is not
known here is held sealed for a moment, then dropped: nothing goes out that this function has not itself been
ordered to deliver.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Iterable
from typing import Protocol

from imswire import x2x3
from midcall.base.seal import SealKey
from midcall.base.x2 import X2Error, decode
from midcall.base.x2_link import Batch
from midcall.df2 import Agency, Communications, IriMediation, KeysFound, MediaClose, Mediation, Output
from midcall.df3 import Content, ContentMediation, ContentRecords
from midcall.events import (
    CcRecord,
    DialogReleased,
    Failure,
    Instant,
    IriRecord,
    KeyAnswer,
    KeyQuery,
    MediaPacket,
    MediaPlan,
    SipReport,
    X2Event,
)
from midcall.handover import gaps
from midcall.handover.values import Gap

# DESIGN 5.1: product of an XID that is not known yet.
HELD_NS = 30_000_000_000
HELD_OCTETS = 16 << 20
PLACE = b"live.df.held"


class KeySource(Protocol):
    """Where session keys come from."""

    async def keys(self, query: KeyQuery, warrant: bytes | None) -> KeyAnswer: ...


class Writer(Protocol):
    """Where records go: futures that are done when they are on the disk."""

    def iri(self, records: list[IriRecord]) -> Awaitable[object]: ...

    def cc(self, records: list[CcRecord]) -> Awaitable[object]: ...


class Tap(Protocol):
    """What lets media of armed places through."""

    def arm(self, place: bytes) -> bool: ...

    def disarm(self, place: bytes) -> int: ...


class Order:
    """What this function has been ordered to deliver under one XID, and the warrant that says so."""

    __slots__ = ("agency", "warrant")

    def __init__(self, agency: Agency, warrant: bytes | None) -> None:
        self.agency = agency
        self.warrant = warrant

    def covers(self, at: int) -> bool:
        """From the window's start on, and before its end."""
        terms = self.agency.terms
        return (terms.start is None or at >= terms.start) and (terms.end is None or at < terms.end)


class DfService:
    """One instance. ``counts``: ``events``, ``outside`` a window, ``unknown`` XIDs held, ``expired`` of these,
    ``undecodable``, ``questions`` to the KMS, ``content`` packets handed over.
    """

    def __init__(
        self, keys: KeySource, writer: Writer, tap: Tap | None = None, owner: str | None = None, first_cin: int = 1
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._keys = keys
        self._writer = writer
        self._tap = tap
        self._owner = owner
        self._orders: dict[str, Order] = {}
        communications = Communications(first_cin)
        self._iri = IriMediation(communications)
        self._df2 = Mediation(communications)
        self._df3 = ContentMediation()
        self._content = ContentRecords()
        self._armed: set[bytes] = set()
        self._questions: set[asyncio.Task[None]] = set()
        self._seal = SealKey.fresh()
        self._held: deque[tuple[int, str, bytes]] = deque()
        self._held_octets = 0
        self._written: list[Awaitable[object]] = []
        self._timer: asyncio.TimerHandle | None = None

    # Orders

    def order(self, xid: str, agency: Agency, warrant: bytes | None, first_key: int = 1) -> None:
        """A task from X1, verified; what came for it before is taken in now.

        Its records are numbered from ``first_key`` on, or later.
        """
        self._iri.next_key = max(self._iri.next_key, first_key)
        self._orders[xid] = Order(agency, warrant)
        self._iri.order(xid, agency)
        self._df2.order(xid, agency.terms)
        self._content.order(xid, agency.terms, agency.profile)
        waiting = [held for held in self._held if held[1] == xid]
        for held in waiting:
            self._held.remove(held)
            self._held_octets -= len(held[2])
            self._event(x2x3.parse(self._seal.open(held[2], PLACE)))

    def end(self, xid: str, now: Instant) -> None:
        """The task is over: nothing of it is content or an event any more."""
        self._orders.pop(xid, None)
        for dialog in self._df3.dialogs(xid):
            self._give(self._df3.close(xid, dialog, now, linger=False))
        self._df2.end(xid)
        self._arrange()

    def unavailable(self, gap: Gap) -> bytes:
        """Contents of the record that declares a gap of an LIID. KeyError: it is not ours any more."""
        xid = next((xid for xid, order in self._orders.items() if order.agency.terms.liid == gap.liid), "")
        return self._iri.cc_unavailable(xid, gap.cin, gap.until, gaps.told(gap))

    # X2

    async def commit(self, batch: Batch) -> None:
        """What a POI sent; returns when the records that it makes are on the disk."""
        for pdu, octets in zip(batch.events, batch.octets, strict=False):
            self._take(pdu, octets)
        written, self._written = self._written, []
        if written:
            await asyncio.gather(*written)

    def _take(self, pdu: x2x3.Pdu, octets: bytes) -> None:
        xid = x2x3.xid_text(pdu.xid)
        if xid in self._orders:
            self._event(pdu)
            return
        self.counts["unknown"] += 1
        now = time.monotonic_ns()
        self._forget(now)
        if self._held_octets + len(octets) <= HELD_OCTETS:
            sealed = self._seal.seal(octets, PLACE)
            self._held.append((now + HELD_NS, xid, sealed))
            self._held_octets += len(sealed)
        else:
            self.counts["expired"] += 1

    def _forget(self, now: int) -> None:
        while self._held and self._held[0][0] <= now:
            self._held_octets -= len(self._held.popleft()[2])
            self.counts["expired"] += 1

    def _event(self, pdu: x2x3.Pdu) -> None:
        try:
            event = decode(pdu) if self._owner is None else decode(pdu, self._owner)
        except X2Error:
            self.counts["undecodable"] += 1
            return
        if not isinstance(event, DialogReleased) and not self._orders[event.xid].covers(_time(event)):
            self.counts["outside"] += 1
            return
        self.counts["events"] += 1
        self._write(self._iri.x2(event))
        self._follow(self._df2.x2(event))

    # Between the cores

    def _follow(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, KeyQuery):
                self._ask(output)
            elif isinstance(output, MediaPlan):
                content = self._df3.plan(output, output.at)
                self._arrange()
                self._give(content)
            elif isinstance(output, MediaClose):
                self._give(self._df3.close(output.xid, output.dialog, output.at, linger=output.linger))
                self._arrange()
            elif isinstance(output, Failure):
                self._write(self._iri.failure(output))
            elif isinstance(output, KeysFound):
                self._write(self._iri.keys(output))

    def _ask(self, query: KeyQuery) -> None:
        self.counts["questions"] += 1
        order = self._orders.get(query.xid)
        task = asyncio.create_task(self._asked(query, None if order is None else order.warrant))
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    async def _asked(self, query: KeyQuery, warrant: bytes | None) -> None:
        answer = await self._keys.keys(query, warrant)
        if query.xid not in self._orders:
            return
        self._follow(self._df2.keys(answer, Instant(time.time_ns(), time.monotonic_ns())))

    # Media

    def media(self, packets: list[MediaPacket]) -> None:
        """What a tap, or X3, brought."""
        self._give(self._df3.packets(packets))

    def _give(self, content: list[Content]) -> None:
        records = self._content.of(content)
        if records:
            self.counts["content"] += len(records)
            self._writer.cc(records)
        for failure in self._df3.take_failures():
            self._write(self._iri.failure(failure))

    def _write(self, records: list[IriRecord]) -> None:
        if records:
            self._written.append(self._writer.iri(records))

    def _arrange(self) -> None:
        """Let the tap pass what is planned, and nothing else."""
        wanted = self._df3.places()
        if self._tap is not None:
            for place in wanted - self._armed:
                self._tap.arm(place)
            for place in self._armed - wanted:
                self._tap.disarm(place)
        self._armed = wanted
        self._schedule()

    # Time

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._df3.next_deadline()
        if due is not None:
            delay = max(0.0, (due - time.time_ns()) / 1e9)
            self._timer = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        self._timer = None
        self._df3.deadline(time.time_ns())
        self._df3.take_finished()
        self._arrange()

    async def close(self) -> None:
        """Wait for what is being asked and written."""
        for task in list(self._questions):
            task.cancel()
        await asyncio.gather(*self._questions, return_exceptions=True)
        self._df3.finish()
        self._arrange()
        written, self._written = self._written, []
        await asyncio.gather(*written)
        self._seal.wipe()


def _time(event: X2Event) -> int:
    """When an event happened, wall ns: what the window is asked about."""
    if isinstance(event, SipReport):
        return event.seen.at.wall
    return event.at.wall
