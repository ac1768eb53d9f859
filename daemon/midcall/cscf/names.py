"""Where names lead, for as long as that holds, and in which order places are tried (RFC 3263 4, RFC 2782)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from midcall.base.bounded import BoundedTable
from midcall.cscf.timers import MS
from midcall.cscf.values import Found, Hop, Resolve, Spot

NAMES = 4_096
AVOIDED = 4_096
AVOIDED_FOR = 30_000 * MS
"""How long a place that did not answer comes after all others of its name."""
AVOIDED_WAY_FOR = 600_000 * MS
"""How long a place is not tried again over a transport that it did not take, when it takes another one."""
SECOND = 1_000 * MS


class Names:
    """``choose`` gives a number below its argument. Times are monotonic ns."""

    def __init__(self, choose: Callable[[int], int]) -> None:
        self._choose = choose
        self._found: BoundedTable[Resolve, tuple[Found, int]] = BoundedTable("cscf.names", NAMES)
        self._avoided: BoundedTable[Hop, int] = BoundedTable("cscf.avoided", AVOIDED)

    def put(self, asked: Resolve, found: Found, now: int) -> None:
        self._found.put(asked, (found, now + found.seconds * SECOND))

    def known(self, now: int, asked: Resolve) -> Sequence[Hop] | None:
        """The places of a name in the order in which they are tried; None: it has to be looked up."""
        known = self._found.get(asked)
        if known is None or known[1] <= now:
            return None
        spots = known[0].spots
        hops = [hop for spot in (spots if len(spots) < 2 else self._order(spots)) for hop in spot.hops]
        return sorted(hops, key=lambda hop: self.is_avoided(hop, now)) if len(self._avoided) else hops

    def _order(self, spots: Sequence[Spot]) -> list[Spot]:
        """By priority, and among equals by weight (RFC 2782, usage rules)."""
        order: list[Spot] = []
        waiting = sorted(spots, key=lambda spot: (spot.priority, spot.weight))
        while waiting:
            equals = [spot for spot in waiting if spot.priority == waiting[0].priority]
            at = self._choose(sum(spot.weight for spot in equals) + 1)
            chosen = equals[-1]
            for spot in equals:
                at -= spot.weight
                if at <= 0:
                    chosen = spot
                    break
            order.append(chosen)
            waiting.remove(chosen)
        return order

    def avoid(self, hop: Hop, now: int, instead: Hop | None = None) -> None:
        """It did not answer, or said that it cannot; ``instead`` is tried now."""
        is_way = instead is not None and hop.is_beside(instead)
        self._avoided.put(hop, now + (AVOIDED_WAY_FOR if is_way else AVOIDED_FOR))

    def is_avoided(self, hop: Hop, now: int) -> bool:
        until = self._avoided.get(hop)
        if until is not None and until <= now:
            self._avoided.pop(hop)
            return False
        return until is not None
