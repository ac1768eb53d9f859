"""Group commit: many producers in one event loop, one thread that writes the spool."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

from midcall.base.log import fault
from midcall.base.sqlite import CHECKPOINT_PAGES, PAGE_OCTETS
from midcall.events import Cc, EventRecord
from midcall.handover.shell.spool import KEYS, Spool

# Contents of events that one commit takes, about: it has to fit into the log of the spool, and into its reserve.
COMMIT_OCTETS = CHECKPOINT_PAGES * PAGE_OCTETS
FAILED = "writing has failed"
MOST_REST = 0.1
_NS = 1_000_000_000
log = logging.getLogger("midcall.li.handover")


class Written(NamedTuple):
    """One commit: when (wall ns), how many of the events and of the content that were given next, and whose closing
    checks behind them. ``whole`` False: something was refused, or has to wait for room.
    """

    at: int
    iri: int
    cc: int
    ended: tuple[str, ...]
    whole: bool


_Events = tuple[Sequence[EventRecord], asyncio.Future[None]]


class _Given(NamedTuple):
    """What one commit is about."""

    iri: list[_Events]
    cc: list[Cc]
    over: list[Cc]
    ends: list[tuple[str, asyncio.Future[None]]]
    cc_done: asyncio.Future[bool] | None
    before: list[Callable[[], None]]

    def records(self) -> list[EventRecord]:
        return [record for batch, _ in self.iri for record in batch]


class _Outcome(NamedTuple):
    """What became of it: events and ends that have to wait, whether the content was kept, processor time in s."""

    at: int
    left: list[EventRecord]
    waiting: list[str]
    kept: bool
    why: str
    spent: float = 0.0


class Writer:
    """Commits content together, ``commit_seconds`` after the commit before or when there are ``commit_records`` of it;
    events do not wait, but for the commit that is under way. Under load it leaves the processor to who reads for as
    long as a commit took: what comes meanwhile is cheaper to write together.

    ``spool`` belongs to this object while :meth:`run` runs. ``told`` hears of each commit, in the loop's thread.
    A fault of the program costs the content of its commit, which is declared; events wait, and it is tried again.
    """

    def __init__(self, spool: Spool, told: Callable[[Written], None] = lambda _: None) -> None:
        self.spool = spool
        self._told = told
        self._settings = spool.settings
        self._iri: list[_Events] = []
        self._cc: list[Cc] = []
        self._cc_done: asyncio.Future[bool] | None = None
        self._over: list[Cc] = []
        self._ends: list[tuple[str, asyncio.Future[None]]] = []
        self._count = 0
        self._wake = asyncio.Event()
        self._full = asyncio.Event()
        self._stopping = False
        self._ended = False
        # What is promised; nobody is to wait for it behind the end of :meth:`run`, however that comes.
        self._open: set[asyncio.Future[Any]] = set()
        self._next = 0.0  # when content may be committed again
        self._before: list[Callable[[], None]] = []
        self._thread: ThreadPoolExecutor | None = None
        self._idle = False  # nothing is being written, nor has to be waited for
        self._begun: tuple[_Given, asyncio.Future[_Outcome]] | None = None

    def iri(self, records: Sequence[EventRecord], before: Callable[[], None] | None = None) -> asyncio.Future[None]:
        """Done when all records are on the disk; while it is full that waits. Cancelled: they will not be.

        ``before`` is called in the thread, before any of them is written.
        """
        done: asyncio.Future[None] = self._promise()
        if not self._ended:
            self._iri.append((records, done))
            if before is not None:
                self._before.append(before)
            self._more(len(records))
            self._full.set()
            if self._thread is not None and self._idle:
                self._begin(self._thread)
        return done

    def cc(self, records: Sequence[Cc]) -> asyncio.Future[bool]:
        """Done when all records of the commit are on the disk (True) or were refused and declared (False)."""
        if self._cc_done is None or self._cc_done.done():
            self._cc_done = self._promise()
        if self._ended:
            return self._cc_done
        if len(self._cc) + len(records) > self._settings.waiting_records:
            self._over += records
        else:
            self._cc += records
        self._more(len(records))
        return self._cc_done

    def ordered(self) -> None:
        """An intercept was added to the spool: it is noted, and has its data key before its first record comes."""
        self._more(1)

    def end(self, liid: str) -> asyncio.Future[None]:
        """The closing integrity checks of an intercept, behind all that was given before; done when written."""
        done: asyncio.Future[None] = self._promise()
        if not self._ended:
            self._ends.append((liid, done))
            self._more(1)
            self._full.set()
        return done

    def _promise(self) -> asyncio.Future[Any]:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._ended:
            done.cancel()
        else:
            self._open.add(done)
            done.add_done_callback(self._open.discard)
        return done

    def _more(self, count: int) -> None:
        self._count += count
        self._wake.set()
        if self._count >= self._settings.commit_records:
            self._full.set()

    def stop(self) -> None:
        """Commit what is there; then :meth:`run` returns."""
        self._stopping = True
        self._wake.set()
        self._full.set()

    async def run(self) -> None:
        try:
            with ThreadPoolExecutor(1, "spool") as thread:
                self._thread = thread
                await self._run(thread)
        finally:
            self._ended = True
            self._idle = False
            for done in [*self._open]:
                done.cancel()

    async def _run(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._idle = True
            await self._collect()
            given, written = self._begun or self._begin(thread)
            self._begun = None
            outcome = await self._written(thread, given, written)
            self._next = max(self._next, loop.time() + min(outcome.spent, MOST_REST))
            self._settle(given, outcome)
            if self._stopping and not self._cc and (outcome.why or not (self._iri or self._ends)):
                return
            if outcome.why and outcome.why != KEYS:
                await self._pause()

    def _begin(self, thread: ThreadPoolExecutor) -> tuple[_Given, asyncio.Future[_Outcome]]:
        """Commit what there is."""
        loop = asyncio.get_running_loop()
        self._idle = False
        self._next = loop.time() + self._settings.commit_seconds
        given = self._take()
        self._begun = given, loop.run_in_executor(thread, self._commit, given)
        return self._begun

    def _take(self) -> _Given:
        """What is to be written next; ends stand behind all events."""
        count = _together(self._iri)
        iri, self._iri = self._iri[:count], self._iri[count:]
        ends: list[tuple[str, asyncio.Future[None]]] = []
        if not self._iri:
            ends, self._ends = self._ends, ends
        before, self._before = self._before, []
        given = _Given(iri, self._cc, self._over, ends, self._cc_done, before)
        self._cc, self._over, self._cc_done = [], [], None
        self._count = self._waiting()
        return given

    def _waiting(self) -> int:
        return sum(len(records) for records, _ in self._iri) + len(self._ends)

    async def _written(self, thread: ThreadPoolExecutor, given: _Given, written: asyncio.Future[_Outcome]) -> _Outcome:
        loop = asyncio.get_running_loop()
        try:
            return await written
        except Exception as error:
            log.error("%s: %s: %s", self.spool.destination, FAILED, fault(error))
            return await loop.run_in_executor(thread, self._recover, given)

    def _settle(self, given: _Given, outcome: _Outcome) -> None:
        """Tell who waits; what was not written is taken again."""
        left = {id(record) for record in outcome.left}
        again: list[_Events] = []
        for records, done in given.iri:
            rest = [record for record in records if id(record) in left]
            if rest:
                again.append((rest, done))
            elif not done.done():
                done.set_result(None)
        ends = [(liid, done) for liid, done in given.ends if liid in outcome.waiting]
        for liid, done in given.ends:
            if liid not in outcome.waiting and not done.done():
                done.set_result(None)
        self._iri, self._ends = again + self._iri, ends + self._ends
        if outcome.why != KEYS:  # where only keys are wanting, the others are not held up
            self._count += len(outcome.left) + len(ends)
        kept = outcome.kept and not given.over
        if given.cc_done is not None and not given.cc_done.done():
            given.cc_done.set_result(kept)
        ended = tuple(liid for liid, _ in given.ends if liid not in outcome.waiting)
        events = len(given.records()) - len(outcome.left)
        self._told(Written(outcome.at, events, len(given.cc), ended, kept and not outcome.why))

    def _commit(self, given: _Given) -> _Outcome:
        for each in given.before:
            each()
        now, begun = time.time_ns(), time.thread_time()
        left, why = self.spool.take_iri(given.records(), now)
        kept = self.spool.write_cc(given.cc, now)
        if given.over:
            self.spool.refuse(given.over, now, "too much at once")
        blocked = {record.liid for record in left} if why == KEYS else {liid for liid, _ in given.ends if why}
        waiting = [liid for liid, _ in given.ends if liid in blocked or not self.spool.end(liid, now)]
        why = why or ("closing checks wait" if waiting else "")
        return _Outcome(now, left, waiting, kept, why, time.thread_time() - begun)

    def _recover(self, given: _Given) -> _Outcome:
        """Go on from what is on the disk. What the commit had written of events is known again."""
        now = time.time_ns()
        try:
            self.spool.recover(FAILED, now)
            self.spool.refuse([*given.cc, *given.over], now, FAILED)
        except Exception as error:
            log.error("%s: nothing can be written: %s", self.spool.destination, fault(error))
        return _Outcome(now, given.records(), [liid for liid, _ in given.ends], False, FAILED)

    async def _collect(self) -> None:
        """Wait for the first record or deadline, then for more or the commit."""
        if not self._count and not self._stopping:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until_due()):
                    await self._wake.wait()
        if self._begun is not None:
            return
        if self._count < self._settings.commit_records and not (self._iri or self._ends or self._stopping):
            self._full.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._next if self._count else 0):
                    await self._full.wait()

    def _until_due(self) -> float:
        due = self.spool.next_deadline()
        upkeep = self._settings.retry_seconds
        return upkeep if due is None else min(max((due - time.time_ns()) / _NS, 0.001), upkeep)

    async def _pause(self) -> None:
        if not self._stopping:
            await asyncio.sleep(self._settings.retry_seconds)


def _together(given: list[_Events]) -> int:
    """How many of the first are for one commit."""
    octets = 0
    for count, (records, _) in enumerate(given, 1):
        octets += sum(len(each.contents) for each in records)
        if octets >= COMMIT_OCTETS:
            return count
    return len(given)
