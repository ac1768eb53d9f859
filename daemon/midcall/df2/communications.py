"""Numbers of communications: one CIN for all records of one, whatever its forks and legs (TS 102 232-1 5.2.4)."""

from __future__ import annotations

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


class Communications:
    """CINs by task and correlation; the first one is ``first``, each new communication gets the next.

    A CIN is never given twice: who restarts goes on where ``next`` stood.
    """

    def __init__(self, first: int = 1) -> None:
        self.next = first
        self._known: BoundedTable[tuple[str, bytes], int] = BoundedTable("df2.communications", COMMUNICATIONS)

    def cin(self, xid: str, correlation: bytes) -> int:
        """The CIN of a communication."""
        key = (xid, correlation)
        known = self._known.get(key)
        if known is None:
            known, self.next = self.next, self.next + 1 if self.next < LAST else 1
            self._known.put(key, known)
        else:
            self._known.touch(key)
        return known

    def recall(self, xid: str, correlation: bytes, cin: int) -> None:
        """A communication that has its CIN from a former run."""
        self._known.put((xid, correlation), cin)
