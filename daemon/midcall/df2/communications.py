"""Numbers of communications: one CIN for all records of one, whatever its forks and legs (TS 102 232-1 5.2.4)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from midcall.base.bounded import BoundedTable
from midcall.events import DialogId, Side, SipReport, StartOfInterception, X2Event

COMMUNICATIONS = 65_536
# Forks and legs of one that are told apart.
DIALOGS = 32
LAST = 0xFFFF_FFFF


class Communication(Struct, frozen=True, gc=False):
    """What the records of a communication rest on, besides the events themselves: for who goes on after a restart.

    ``dialogs`` are those that the agency has heard of, each with the mark of the first event. ``services``: what it was
    known to be of, where its order is not for all.
    """

    correlation: bytes
    cin: int
    answered: bool
    ended: bool
    identity: str
    target: Side | None
    dialogs: tuple[tuple[DialogId, bytes], ...] = ()
    services: tuple[str, ...] = ()


class _Known:
    """CIN and dialogs of a communication."""

    __slots__ = ("cin", "dialogs")

    def __init__(self, cin: int, dialogs: tuple[tuple[DialogId, bytes], ...] = ()) -> None:
        self.cin = cin
        self.dialogs = dict(dialogs)


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
        self._known: BoundedTable[tuple[str, bytes], _Known] = BoundedTable("df2.communications", COMMUNICATIONS)

    def cin(self, xid: str, correlation: bytes) -> int:
        """The CIN of a communication. CinsUsedUp, and what ``reserve`` raises."""
        return self._of(xid, correlation).cin

    def is_told(self, event: X2Event, mark: bytes) -> bool:
        """Whether a start of interception is of a dialog that the agency has heard of by another event.

        So its POI tells of what runs when it was restarted. CinsUsedUp, and what ``reserve`` raises.
        """
        if not isinstance(event, StartOfInterception | SipReport) or event.correlation is None or event.dialog is None:
            return False
        dialogs = self._of(event.xid, event.correlation).dialogs
        if event.dialog not in dialogs and len(dialogs) < DIALOGS:
            dialogs[event.dialog] = mark
        return isinstance(event, StartOfInterception) and dialogs.get(event.dialog, mark) != mark

    def dialogs(self, xid: str, correlation: bytes) -> tuple[tuple[DialogId, bytes], ...]:
        """Those that the agency has heard of."""
        return tuple(self._of(xid, correlation).dialogs.items())

    def end(self, xid: str) -> None:
        """A task is over: under its next order all dialogs are new. Their communications keep their CINs."""
        for (task, _), known in self._known.items():
            if task == xid:
                known.dialogs.clear()

    def recall(self, xid: str, state: Communication) -> None:
        """A communication that has its CIN from a former run."""
        self._known.put((xid, state.correlation), _Known(state.cin, state.dialogs))

    def _of(self, xid: str, correlation: bytes) -> _Known:
        key = (xid, correlation)
        known = self._known.get(key)
        if known is None:
            known = _Known(self._fresh())
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
