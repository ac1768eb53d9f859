"""Timers of transactions (RFC 3261 17, table 4): few different durations, very many running.

Those of one duration end in the order in which they began, so each duration is a queue: starting one and taking one
that is due cost the same however many run. None is ever cancelled: whoever is told looks whether it still matters.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

MS = 1_000_000
T1 = 500 * MS
"""Estimated round trip."""
T2 = 4_000 * MS
"""Longest interval between retransmissions."""
T4 = 5_000 * MS
"""How long a message stays in the network."""
LONG = 64 * T1
"""Timers B, D, F, H, J, L and M."""
TRYING = 7 * T1
"""When Timer E comes to T2: by then a request other than INVITE has an answer (RFC 4320 4.1)."""
C = 181_000 * MS
"""Timer C: more than three minutes (RFC 3261 16.6 11)."""

W = TypeVar("W")


class Timers(Generic[W]):
    """Times in ns, monotonic. ``W`` is what is told."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: dict[int, deque[tuple[int, str, W]]] = {}

    def start(self, now: int, duration: int, name: str, what: W) -> None:
        """``duration`` is one of few: each has a queue."""
        queue = self._queues.get(duration)
        if queue is None:
            queue = self._queues[duration] = deque()
        queue.append((now + duration, name, what))

    def next(self) -> int | None:
        """When the next one is due; None: none runs."""
        return min((queue[0][0] for queue in self._queues.values() if queue), default=None)

    def due(self, now: int) -> list[tuple[int, str, W]]:
        """Those that are over, the earliest first: when, their names, and what is told."""
        found: list[tuple[int, str, W]] = []
        for queue in self._queues.values():
            while queue and queue[0][0] <= now:
                found.append(queue.popleft())
        found.sort(key=_when)
        return found

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))


def _when(entry: tuple[int, str, object]) -> int:
    return entry[0]
