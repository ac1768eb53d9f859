"""What mediation functions work with: what they are ordered, who has keys, and what lets media through."""

from __future__ import annotations

from typing import Protocol

from imswire import sip
from midcall.df2 import Agency
from midcall.events import DialogReleased, Failure, KeyAnswer, KeyQuery, X2Event
from midcall.live.tallies import moment

Who = tuple[str, ...] | None


class Order:
    """What is to be delivered under one XID; ``warrant`` are the signed octets that say so, None: there are none.

    ``targets``: whom it is for; None: that is not known here.
    """

    __slots__ = ("_forms", "agency", "targets", "warrant")

    def __init__(self, agency: Agency, warrant: bytes | None, targets: Who = None) -> None:
        self.agency = agency
        self.warrant = warrant
        self.targets = None if targets is None else frozenset(targets)
        self._forms = frozenset(form for each in targets or () for form in sip.identities(each))

    def admits(self, event: X2Event | Failure, *, own: bool) -> bool:
        """Whether an event is of this order: within the window, and of whom it is for, as ``own`` POIs say in the words
        of the order. That a dialog is over is always heard.
        """
        if isinstance(event, DialogReleased):
            return True
        identity = getattr(event, "identity", "") if own else ""
        return self.covers(moment(event)) and (not identity or self._is_for(identity))

    def _is_for(self, identity: str) -> bool:
        if self.targets is None or identity in self.targets:
            return True
        return not self._forms.isdisjoint(sip.identities(identity))

    def covers(self, at: int) -> bool:
        """From the window's start on, and before its end."""
        terms = self.agency.terms
        return (terms.start is None or at >= terms.start) and (terms.end is None or at < terms.end)


class KeySource(Protocol):
    """Where session keys come from."""

    async def keys(self, query: KeyQuery, warrant: bytes | None) -> KeyAnswer: ...


class Tap(Protocol):
    """What lets media of armed places through."""

    def arm(self, place: bytes) -> bool: ...

    def disarm(self, place: bytes) -> int: ...
