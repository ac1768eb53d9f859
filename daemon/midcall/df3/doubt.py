"""What no tag proves one by one is judged by its share among the last packets: a forger's is small, a new key's large.

And what was judged not to be the session's is counted, for the agency is told what it does not get.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

from midcall.df3.limits import SECOND, Df3Limits

MILLISECOND = 1_000_000
T = TypeVar("T")


class Judged(NamedTuple, Generic[T]):
    """Packets that are believed now, and those that never will be."""

    believed: list[T]
    refused: list[T]


class Doubt(Generic[T]):
    """The doubtful packets among the last ``Df3Limits.doubted_of`` of a stream or flow.

    Once there are ``Df3Limits.lost_after`` of them they are believed, all that wait and each that follows, for as long
    as it stays so. A count in a row would be played with one good packet now and then.
    """

    __slots__ = ("_count", "_last")

    def __init__(self) -> None:
        self._count = 0
        # Where each stands in its stream; None: it was handed over.
        self._last: deque[tuple[int, T | None]] = deque()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._last)

    def take(self, good: int, packet: T, limits: Df3Limits) -> Judged[T]:
        """A doubtful packet that comes after so many good ones."""
        self._count += 1
        self._last.append((good + self._count, packet))
        refused = self._expire(good, limits)
        return Judged(self._all() if len(self._last) >= limits.lost_after else [], refused)

    def take_back(self, packet: T) -> bool:
        """Forget a packet that waits; False: it does not."""
        for place, (_, waiting) in enumerate(self._last):
            if waiting is packet:
                del self._last[place]
                self._count -= 1
                return True
        return False

    def rest(self, good: int, limits: Df3Limits) -> Judged[T]:
        """Nothing more comes: what waits is believed if its share is that of ``take`` in what there was."""
        refused = self._expire(good, limits)
        seen = min(good + self._count, limits.doubted_of)
        waiting = self._all()
        if len(self._last) * limits.doubted_of >= limits.lost_after * seen:
            return Judged(waiting, refused)
        return Judged([], refused + waiting)

    def refuse(self) -> list[T]:
        """It is known better: whatever waits is not believed."""
        waiting = self._all()
        self._last.clear()
        return waiting

    def _expire(self, good: int, limits: Df3Limits) -> list[T]:
        refused = []
        while self._last and self._last[0][0] <= good + self._count - limits.doubted_of:
            packet = self._last.popleft()[1]
            if packet is not None:
                refused.append(packet)
        return refused

    def _all(self) -> list[T]:
        waiting = [packet for _, packet in self._last if packet is not None]
        if waiting:
            self._last = deque((place, None) for place, _ in self._last)
        return waiting


class Missing:
    """Packets of a dialog that are not handed over: the agency is told when they are many, and at the end of all."""

    __slots__ = ("count", "first", "last", "told")

    def __init__(self) -> None:
        self.count = 0
        self.told = 0
        self.first = 0
        self.last = 0

    def note(self, times: Iterable[int]) -> None:
        """Packets of these times (wall ns)."""
        for time in times:
            self.first = min(self.first or time, time)
            self.last = max(self.last, time)
            self.count += 1

    def due(self, many: int) -> bool:
        """Whether so many are to be told of that nothing was told before."""
        return self.count > self.told == 0 and self.count >= many

    def text(self) -> str:
        """What the agency is told; PrintableString, times in UTC seconds."""
        self.told = self.count
        since, until = (f"{each // SECOND}.{each % SECOND // MILLISECOND:03}" for each in (self.first, self.last))
        what = "packets to the media of the session were not handed over: no key opens them"
        return (
            f"{self.count} {what}, and nothing else tells that they belong to it, from {since} to {until} (UTC seconds)"
        )
