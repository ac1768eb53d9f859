"""The store behind a thread of its own: nothing else waits for its disk, and what is written stays in its order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from midcall.base.x1_element.shell.store import StoreError, X1Store
from midcall.base.x1_element.values import Change, Issue

WRITE_SECONDS = 2.0
"""How long an order waits for the disk; longer, it is refused, within the time that its ADMF waits (TIME1, 5 s)."""
log = logging.getLogger("midcall.x1")
T = TypeVar("T")


class TooSlow(StoreError):
    """The disk has not taken something in time; it may take it yet."""


class Keeper:
    """Writes into one store."""

    def __init__(self, store: X1Store) -> None:
        self.store = store
        self._thread = ThreadPoolExecutor(1, "x1-store")

    async def write(self, changes: tuple[Change, ...], issues: tuple[Issue, ...] = ()) -> tuple[int, ...]:
        """All of it is on the disk; the numbers of the reports. StoreError: it is not; TooSlow."""
        if not changes and not issues:
            return ()
        written = asyncio.get_running_loop().run_in_executor(self._thread, self.store.write, changes, issues)
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                return await asyncio.shield(written)
        except TimeoutError:
            written.add_done_callback(_told)
            raise TooSlow(f"{self.store.path}: takes longer than {WRITE_SECONDS:g} s") from None

    def later(self, work: Callable[[], object]) -> None:
        """Do something at the store, behind what was given before, that nobody waits for."""
        asyncio.get_running_loop().run_in_executor(self._thread, work).add_done_callback(_told)

    async def close(self) -> None:
        """Write what is to be written, and close."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self.store.close)
        self._thread.shutdown()


def _told(written: asyncio.Future[T]) -> None:
    error = None if written.cancelled() else written.exception()
    if error is not None:
        log.error("%s", error if isinstance(error, StoreError) else type(error).__name__)
