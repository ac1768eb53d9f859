"""Addresses of names by the system's resolver, in threads: as many at once as are useful, each within a deadline."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

AT_ONCE = 32
DEADLINE_SECONDS = 5.0

Resolved = Callable[[str, Sequence[str]], None]


class Resolver:
    """``resolved`` is told the addresses of each name that was asked for; none when there are none in time."""

    def __init__(self, resolved: Resolved) -> None:
        self._resolved = resolved
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, host: str) -> None:
        task = asyncio.get_running_loop().create_task(self._look_up(host))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, host: str) -> None:
        addresses: list[str] = []
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._room:
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
            addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        except (OSError, TimeoutError, UnicodeError):
            pass
        self._resolved(host, addresses)

    def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
