"""The point of interception as a service: copies of SIP in, X2 out, the cache on disk beside it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from imswire import sip
from midcall.base.x1_element import Intercepted
from midcall.base.x2 import Encoder, X2Error
from midcall.events import Instant, SipSeen, Task, X2Event
from midcall.live.clock import Alarm, Clock, LoopClock
from midcall.live.clock import now as clock
from midcall.live.poi_account import PoiAccounts
from midcall.live.tallies import Tallies
from midcall.poi import PointOfInterception
from midcall.poi.dialog import Call
from midcall.poi.tracker import NEVER

# Group commit of the cache (DESIGN 4: at most 50 ms).
FLUSH_SECONDS = 0.05
# TS 33.107 leaves the key's life to the operator: an hour at most, in which the next one also takes all rows over, and
# for which there may be a restart in the middle of that.
ROTATE_SECONDS = 1_500.0
ROTATE_GROUPS = int(ROTATE_SECONDS / 2 / FLUSH_SECONDS)
# Calls that a task reports between two turns of the loop, each a quarter of a millisecond or so.
REPORTED_TOGETHER = 4
# With so many octets that are not proved by the mediation function, tasks wait with the calls that ran before: their
# reports would push out what is there, and are the same later.
MOST_QUEUED = 8 << 20
QUEUED_SECONDS = 0.02
# Calls of a former run that are taken in between two turns of the loop: a millisecond or so.
RECALLED_TOGETHER = 8


class X2Out(Protocol):
    """Takes PDUs for the mediation function, and never waits."""

    def put(self, pdus: Iterable[bytes]) -> object: ...


class Journal(Protocol):
    """The cache on the disk (:class:`midcall.poi.shell.journal.SipJournal`)."""

    def calls(self, now: Instant) -> Iterator[tuple[int, list[SipSeen]]]: ...

    def adopt(self, number: int, call: Call | None, messages: Iterable[SipSeen] = ()) -> None: ...

    def flush(self) -> None: ...

    async def save(self) -> None: ...

    def rotate(self, groups: int = 1) -> tuple[int, ...]: ...

    @property
    def rotating(self) -> bool: ...


class Destroying(Protocol):
    """Keys of the cache that were announced to be destroyed; one of these is called in the end."""

    def done(self, count: int = 0) -> None: ...


class PoiService:
    """One instance. ``take`` is given every copy; ``arm`` and ``disarm`` follow X1. All in the loop's thread.

    ``accounts`` remembers what became of calls under tasks; ``committing`` is called before a commit,
    and what it gives when all that was taken until then is safe. ``destroying`` is told of each epoch of the cache
    whose key is to be destroyed, and what it gives when none of the octets that it sealed open any more.
    ``counts``: ``sip`` taken, ``broken`` no SIP, ``x2`` sent, ``unfit`` in no PDU, ``cache_faults`` of the disk.
    All that depends on the time goes by ``clock``, or by the times of the copies.
    """

    def __init__(
        self,
        core: PointOfInterception,
        encoder: Encoder,
        client: X2Out,
        journal: Journal | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.core = core
        self.counts: Counter[str] = Counter()
        self.accounts = PoiAccounts()
        self._tallies = Tallies()
        self._encoder = encoder
        self._client = client
        self._journal = journal
        self._clock = clock or LoopClock()
        self._timer: Alarm | None = None
        self._wakes = NEVER
        self._rotate_at = time.monotonic() + ROTATE_SECONDS
        # Tasks that have not come to all calls that ran before them; whose turn is next is first.
        self._armings: dict[str, Iterator[list[X2Event]]] = {}
        self._is_arming = asyncio.Event()
        self.committing: Callable[[], Callable[[], None]] = lambda: _nobody_waits
        self.destroying: Callable[[int], Destroying] = lambda _epoch: _Untold()
        self._destroying: list[Destroying] = []

    # In

    def take(self, seen: SipSeen) -> None:
        """A copy of one SIP message."""
        try:
            events = self.core.sip_seen(seen)
        except sip.SipError:
            self.counts["broken"] += 1
            return
        self.counts["sip"] += 1
        if events:
            self._send(events)
        if self.core.not_before < self._wakes:
            self._schedule()

    def arm(self, task: Task, now: Instant | None = None) -> None:
        """Arm a task: running dialogs of its target are reported before this returns, as many as may be at once, and
        the others by :meth:`go_on`. ValueError: no identity.
        """
        self._tallies.begin(task.xid)
        self._armings[task.xid] = self.core.arming(task, now or self._clock.now())
        self.go_on(task.xid)

    def go_on(self, xid: str) -> None:
        """Report some more of the calls that ran before a task."""
        running = self._armings.pop(xid, None)
        if running is not None and self._report(running):
            self._armings[xid] = running  # behind others
            self._is_arming.set()
        self._schedule()

    def _report(self, running: Iterator[list[X2Event]]) -> bool:
        """Whether there are more."""
        left = REPORTED_TOGETHER
        for events in running:
            self._send(events)
            left -= 1
            if not events or not left:
                return True
        return False

    async def arming(self, goes_on: Callable[[str], None], queued: Callable[[str], int]) -> None:
        """Go on whenever there is something to be, until it is cancelled: a task at each turn of the loop.

        ``goes_on`` is called before; ``queued`` tells how many octets a task's mediation function has not proved.
        """
        while True:
            await self._is_arming.wait()
            xid = next((each for each in self._armings if queued(each) <= MOST_QUEUED), None)
            if xid is not None:
                goes_on(xid)
                self.go_on(xid)
            if not self._armings:
                self._is_arming.clear()
            await asyncio.sleep(QUEUED_SECONDS if xid is None else 0)

    def disarm(self, xid: str, now: Instant | None = None) -> None:
        """End a task."""
        self._armings.pop(xid, None)
        self._send(self.core.disarm(xid, now or self._clock.now()))
        self.accounts.ended(xid)
        self._tallies.end(xid)

    def intercepted(self, xid: str) -> Intercepted:
        """What a task has given so far."""
        return self._tallies.of(xid)

    # Out

    def _send(self, events: Sequence[X2Event]) -> None:
        pdus = []
        for event in events:
            try:
                pdu = self._encoder.pdu(event)
            except X2Error:
                self.counts["unfit"] += 1
                continue
            pdus.append(pdu)
            self._tallies.event(event, len(pdu))
        if pdus:
            self.counts["x2"] += len(pdus)
            self._client.put(pdus)
        # Behind what nothing is to wait for.
        self.accounts.note(events)

    # Time

    def _schedule(self) -> None:
        """Wake when something may be due: an alarm that comes before it costs less than a new one for each message."""
        due = self.core.not_before
        if due >= self._wakes:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._wakes = self._clock.at_mono(due, self._due), due

    def _due(self) -> None:
        self._timer, self._wakes = None, NEVER
        self._send(self.core.deadline(self._clock.now()))
        self._schedule()

    # The cache

    async def recall(self) -> int:
        """Take in the calls of a former run, behind what comes meanwhile; returns how many go on."""
        if self._journal is None:
            return 0
        kept = 0
        for number, (row, messages) in enumerate(self._journal.calls(clock())):
            call = self.take_back(messages)
            self._journal.adopt(row, call, messages)
            kept += call is not None
            if number % RECALLED_TOGETHER == 0:
                await asyncio.sleep(0)
        self.core.recalled()
        # Their keys are those of the former run.
        self._rotate_at = time.monotonic()
        return kept

    def take_back(self, messages: Sequence[SipSeen]) -> Call | None:
        """Take in what a former run has kept of one call; None: it is over."""
        call, events = self.core.recall(messages, self._clock.now())
        self._send(events)
        self._schedule()
        return call

    async def keep(self) -> None:
        """Write the cache until it is cancelled; then once more."""
        journal = self._journal
        if journal is None:
            return
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                with self._committing():
                    await journal.save()
                self._prove(journal)
                if time.monotonic() >= self._rotate_at:
                    self._rotate_at = time.monotonic() + ROTATE_SECONDS
                    with suppress(sqlite3.Error):
                        self._destroying += map(self.destroying, journal.rotate(ROTATE_GROUPS))
        finally:
            with self._committing():
                journal.flush()
            self._prove(journal)

    def _prove(self, journal: Journal) -> None:
        """Say of keys that were to be destroyed that they are."""
        if self._destroying and not journal.rotating:
            for each in self._destroying:
                each.done()
            self._destroying.clear()

    @contextmanager
    def _committing(self) -> Iterator[None]:
        """What comes meanwhile is not safe with it."""
        committed = self.committing()
        try:
            yield
        except sqlite3.Error:
            self.counts["cache_faults"] += 1
        else:
            committed()


def _nobody_waits() -> None:
    pass


class _Untold:
    """Nothing is audited."""

    def done(self, count: int = 0) -> None:
        pass
