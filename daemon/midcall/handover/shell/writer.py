"""Group commit: many producers in one event loop, one thread that writes the spool."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from midcall.events import CcRecord, EventRecord
from midcall.handover.shell.spool import Spool

_NS = 1_000_000_000


class Written(NamedTuple):
    """One commit: when (wall ns), how many of the events and of the content that were given next, and whose closing
    checks behind them. ``whole`` False: something was refused, or has to wait for room.
    """

    at: int
    iri: int
    cc: int
    ended: tuple[str, ...]
    whole: bool


class Writer:
    """Commits content together, ``commit_seconds`` after the commit before or when there are ``commit_records`` of it;
    events do not wait, but for the commit that is under way.

    ``spool`` belongs to this object while :meth:`run` runs. ``told`` hears of each commit, in the loop's thread.
    """

    def __init__(self, spool: Spool, told: Callable[[Written], None] = lambda _: None) -> None:
        self.spool = spool
        self._told = told
        self._settings = spool.settings
        self._iri: list[tuple[Sequence[EventRecord], asyncio.Future[None]]] = []
        self._cc: list[CcRecord] = []
        self._cc_done: asyncio.Future[bool] | None = None
        self._over: list[CcRecord] = []
        self._ends: list[tuple[str, asyncio.Future[None]]] = []
        self._expected: list[str] = []
        self._count = 0
        self._wake = asyncio.Event()
        self._full = asyncio.Event()
        self._stopping = False
        self._next = 0.0  # when content may be committed again

    def iri(self, records: Sequence[EventRecord]) -> asyncio.Future[None]:
        """Done when all records are on the disk; while it is full that waits."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._iri.append((records, done))
        self._more(len(records))
        self._full.set()
        return done

    def cc(self, records: Sequence[CcRecord]) -> asyncio.Future[bool]:
        """Done when all records of the commit are on the disk (True) or were refused and declared (False)."""
        if self._cc_done is None or self._cc_done.done():
            self._cc_done = asyncio.get_running_loop().create_future()
        if len(self._cc) + len(records) > self._settings.waiting_records:
            self._over += records
        else:
            self._cc += records
        self._more(len(records))
        return self._cc_done

    def expect(self, liid: str) -> None:
        """An intercept gets its data key, for which its first record then need not wait."""
        self._expected.append(liid)
        self._more(1)
        self._full.set()

    def end(self, liid: str) -> asyncio.Future[None]:
        """The closing integrity checks of an intercept, behind all that was given before; done when written."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends.append((liid, done))
        self._more(1)
        self._full.set()
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
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "spool") as thread:
            while True:
                await self._collect()
                self._next = loop.time() + self._settings.commit_seconds
                iri, self._iri = self._iri, []
                cc, self._cc = self._cc, []
                over, self._over = self._over, []
                ends, self._ends = self._ends, []
                expected, self._expected = self._expected, []
                cc_done, self._cc_done = self._cc_done, None
                self._count = 0
                records = [record for batch, _ in iri for record in batch]
                ended = [liid for liid, _ in ends]
                run = loop.run_in_executor
                now, taken, kept = await run(thread, self._commit, records, cc, over, ended, expected)
                if taken:
                    _resolve([*(done for _, done in iri), *(done for _, done in ends)])
                    self._told(Written(now, len(records), len(cc), tuple(ended), kept and not over))
                else:
                    self._iri, self._ends = iri + self._iri, ends + self._ends
                    self._told(Written(now, 0, len(cc), (), False))
                if cc_done is not None and not cc_done.done():
                    cc_done.set_result(kept and not over)
                if self._stopping and not self._cc and (not (self._iri or self._ends) or not taken):
                    break
                if not taken:
                    await self._pause()
        for _, done in (*self._iri, *self._ends):
            done.cancel()

    def _commit(
        self, iri: list[EventRecord], cc: list[CcRecord], over: list[CcRecord], ended: list[str], expected: list[str]
    ) -> tuple[int, bool, bool]:
        now = time.time_ns()
        for liid in expected:
            with suppress(sqlite3.Error):  # there is no room: its first record will ask for one again
                self.spool.keys.handle(liid)
        taken = self.spool.write_iri(iri, now)
        kept = self.spool.write_cc(cc, now)
        if over:
            self.spool.refuse(over, now, "too much at once")
        for liid in ended if taken else ():
            self.spool.end(liid, now)
        return now, taken, kept

    async def _collect(self) -> None:
        """Wait for the first record or deadline, then for more or the commit."""
        if not self._count and not self._stopping:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until_due()):
                    await self._wake.wait()
        if self._count < self._settings.commit_records and not (
            self._iri or self._ends or self._expected or self._stopping
        ):
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


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
