"""Who delivers which interception: the first one of a (LIID, operator), and no other."""

from __future__ import annotations

from typing import NamedTuple

from midcall.base.bounded import BoundedTable


class Claim(NamedTuple):
    """``deliverer``: the name in its certificate."""

    liid: bytes
    operator: bytes
    deliverer: str


class Owners:
    """``fresh`` gathers what is to be remembered beyond this process."""

    def __init__(self, bound: int) -> None:
        self._owners: BoundedTable[tuple[bytes, bytes], str] = BoundedTable("lemf.owners", bound)
        self._counts: dict[str, int] = {}  # of deliverers that have an entry in the table
        self.fresh: list[Claim] = []

    def of(self, liid: bytes, operator: bytes) -> str:
        """The deliverer of an interception; empty: nobody has brought it yet."""
        return self._owners.get((liid, operator)) or ""

    def share(self, deliverer: str) -> int:
        """How many a deliverer may have: three quarters of those that no other one has."""
        others = len(self._owners) - self._counts.get(deliverer, 0)
        return max(1, 3 * (self._owners.bound - others) // 4)

    def claim(self, liid: bytes, operator: bytes, deliverer: str) -> bool:
        """It is the first one; False: it has its share already."""
        if self._counts.get(deliverer, 0) >= self.share(deliverer):
            return False
        self.remember(Claim(liid, operator, deliverer))
        self.fresh.append(Claim(liid, operator, deliverer))
        return True

    def remember(self, claim: Claim) -> None:
        """A claim of before."""
        place = (claim.liid, claim.operator)
        if place in self._owners or len(self._owners) >= self._owners.bound:
            return
        self._owners.put(place, claim.deliverer)
        self._counts[claim.deliverer] = self._counts.get(claim.deliverer, 0) + 1

    def take(self) -> list[Claim]:
        fresh, self.fresh = self.fresh, []
        return fresh
