"""Numbers of communications: one CIN for all records of one, whatever its forks and legs (TS 102 232-1 5.2.4)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from midcall.base.bounded import BoundedTable
from midcall.events import Side

COMMUNICATIONS = 65_536
LAST = 0xFFFF_FFFF


class Communication(Struct, frozen=True, gc=False):
    """What the records of a communication rest on, besides the events themselves: for who goes on after a restart."""

    correlation: bytes
    cin: int
    answered: bool
    ended: bool
    identity: str
    target: Side | None


class CinsUsedUp(Exception):
    """Every CIN up to 2^32 - 1 has been given."""


class Communications:
    """CINs by task and correlation; the first one is ``first``, each new communication gets the next.

    A CIN is never given twice. ``reserve`` is asked for those from a number on, before it is given; it returns the last
    that is ours then, and what it raises is raised by who needs the number.
    """

    def __init__(self, first: int = 1, reserve: Callable[[int], int] | None = None) -> None:
        self.next = first
        self._last = first - 1
        self._reserve = reserve or (lambda _: LAST)
        self._known: BoundedTable[tuple[str, bytes], int] = BoundedTable("df2.communications", COMMUNICATIONS)

    def cin(self, xid: str, correlation: bytes) -> int:
        """The CIN of a communication. CinsUsedUp, and what ``reserve`` raises."""
        key = (xid, correlation)
        known = self._known.get(key)
        if known is None:
            known = self._fresh()
            self._known.put(key, known)
        else:
            self._known.touch(key)
        return known

    def _fresh(self) -> int:
        if self.next > LAST:
            raise CinsUsedUp
        if self.next > self._last:
            self._last = self._reserve(self.next)
        number, self.next = self.next, self.next + 1
        return number

    def recall(self, xid: str, correlation: bytes, cin: int) -> None:
        """A communication that has its CIN from a former run."""
        self._known.put((xid, correlation), cin)
