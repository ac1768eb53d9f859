"""Which PDU of a hash that fails has one bit flipped: with that bit as it was the hash holds, and with no other.

A hash over a block does not say which of its PDUs is wrong (TS 102 232-1 7.2.3). Where one bit is, as it is after a
fault of memory, a disk or a line, it can be found by trying all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

MOST = 8_000_000_000
"""Octets that a search hashes at most, some seconds' work; beyond that only PDUs are tried that stand out."""


class Search(Struct, frozen=True):
    """A hash that failed: its PDUs in their order, ``likely`` those that stand out. ``owner`` is whose it is."""

    owner: Any
    numbers: tuple[int, ...]
    octets: tuple[bytes, ...]
    value: bytes
    algorithm: Callable[..., Any]
    likely: tuple[int, ...] = ()

    def run(self, stopped: Callable[[], bool] = lambda: False) -> int | None:
        """The number of the wrong PDU; None: it is not one bit, or would take too long to find."""
        left = MOST
        for place in sorted(range(len(self.numbers)), key=lambda place: self.numbers[place] not in self.likely):
            left -= 8 * len(self.octets[place]) * sum(map(len, self.octets[place:]))
            if left < 0 or stopped():
                return None
            if self._is_wrong(place):
                return self.numbers[place]
        return None

    def _is_wrong(self, place: int) -> bool:
        before = self.algorithm(b"".join(self.octets[:place]))
        behind = b"".join(self.octets[place + 1 :])
        octets = bytearray(self.octets[place])
        for at, octet in enumerate(octets):
            for bit in range(8):
                octets[at] = octet ^ 1 << bit
                tried = before.copy()
                tried.update(octets)
                tried.update(behind)
                if tried.digest() == self.value:
                    return True
            octets[at] = octet
        return False
