"""When a tap is read: at once while little comes, and many packets together when much does.

The packets of a call that are taken together cost less than half of what each alone does, for what has to be fetched
and to be written of the call besides. The ring keeps meanwhile what comes: a pause is a small part of what it holds.
While the processor has time a packet is not to wait for others: a pause is no longer than the reading took, so that it
grows with the load, and what is read in it becomes cheaper, until both fit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

BUSY = 10_000
"""Packets a second, of a hundred two-way calls: what one waits for the others costs nobody anything with fewer."""
LEAST = 0.01
"""Seconds over which that is looked at, at least: what comes at once may be little nevertheless."""
PAUSE = 0.1
"""Seconds from one reading to the next then, at most: five packets of each voice."""


class PacedReader:
    """Calls ``read`` in the running loop when one of the descriptors is readable; it returns how many packets came."""

    def __init__(self, descriptors: Sequence[int], read: Callable[[], int]) -> None:
        self._descriptors = tuple(descriptors)
        self._read = read
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._pause: asyncio.TimerHandle | None = None
        self._listen()

    def stop(self) -> None:
        """Read no more."""
        if self._pause is not None:
            self._pause.cancel()
        self._deafen()

    def _listen(self) -> None:
        self._pause = None
        for descriptor in self._descriptors:
            self._loop.add_reader(descriptor, self._ready)

    def _deafen(self) -> None:
        for descriptor in self._descriptors:
            self._loop.remove_reader(descriptor)

    def _ready(self) -> None:
        now = self._loop.time()
        count = self._read()
        if count > BUSY * max(now - self._since, LEAST):
            self._deafen()
            ended = self._loop.time()
            self._pause = self._loop.call_at(min(2 * ended - now, now + PAUSE), self._listen)
        self._since = now
