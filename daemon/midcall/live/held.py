"""Product of tasks that are not known yet: sealed, bounded, and kept for a moment only."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final, NamedTuple

from midcall.base.seal import SealKey

HELD_NS: Final = 30_000_000_000
HELD_OCTETS: Final = 16 << 20
_PLACE = b"live.df.held"


class _Held(NamedTuple):
    until: int
    xid: str
    sealed: bytes
    own: bool


class HeldProduct:
    """``octets`` of it now; ``expired`` counts what nobody ordered in time, or found no room. Times: monotonic ns."""

    def __init__(self) -> None:
        self.octets = 0
        self.expired = 0
        self._seal = SealKey.fresh()
        self._held: deque[_Held] = deque()

    def put(self, now: int, xid: str, pdu: bytes, *, own: bool) -> None:
        """``own``: of a POI of ours."""
        self._forget(now)
        if self.octets + len(pdu) > HELD_OCTETS:
            self.expired += 1
            return
        sealed = self._seal.seal(pdu, _PLACE)
        self._held.append(_Held(now + HELD_NS, xid, sealed, own))
        self.octets += len(sealed)

    def take(self, now: int, xid: str) -> list[tuple[bytes, bool]]:
        """What came for a task that is known now, in its order: PDUs, and whether their POI is ours."""
        self._forget(now)
        found = [each for each in self._held if each.xid == xid]
        for each in found:
            self._held.remove(each)
            self.octets -= len(each.sealed)
        return [(self._seal.open(each.sealed, _PLACE), each.own) for each in found]

    def look(self, now: int, counts: Counter[str]) -> int:
        """Octets of it now; how many were ``expired`` is counted."""
        self._forget(now)
        counts["expired"] = self.expired
        return self.octets

    def _forget(self, now: int) -> None:
        while self._held and self._held[0].until <= now:
            self.octets -= len(self._held.popleft().sealed)
            self.expired += 1

    def wipe(self) -> None:
        """Nothing of it opens any more."""
        self._seal.wipe()
