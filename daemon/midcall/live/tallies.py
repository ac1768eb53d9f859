"""What each task has given, for who ordered it (TS 103 221-1 6.4.2.2)."""

from __future__ import annotations

from midcall.base.x1_element import Intercepted
from midcall.events import Failure, SipReport, X2Event


class _Tally:
    __slots__ = ("last", "octets")

    def __init__(self) -> None:
        self.last = self.octets = 0


class Tallies:
    """Octets of events by task, since it was armed here; of tasks that are armed alone."""

    def __init__(self) -> None:
        self._of: dict[str, _Tally] = {}

    def begin(self, xid: str) -> None:
        """A task is armed; one that was already goes on."""
        self._of.setdefault(xid, _Tally())

    def event(self, event: X2Event | Failure, octets: int) -> None:
        """An event under a task, and its octets on X2."""
        tally = self._of.get(event.xid)
        if tally is not None:
            tally.octets += octets
            tally.last = moment(event)

    def end(self, xid: str) -> None:
        self._of.pop(xid, None)

    def of(self, xid: str, content: tuple[int, int] | None = None) -> Intercepted:
        """``content``: when a packet was handed over last (0: none was), and the octets of all; None: here is none."""
        tally = self._of.get(xid) or _Tally()
        last, x3 = content or (0, None)
        return Intercepted(max(tally.last, last) or None, tally.octets, x3)


def moment(event: X2Event | Failure) -> int:
    """When an event happened, wall ns: what windows are asked about."""
    return event.seen.at.wall if isinstance(event, SipReport) else event.at.wall
