"""What HI1 tells the agencies of the tasks of a DF: that they are active, were modified, are over, or lack content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from imswire.hi.hi1 import NotificationKind
from midcall.df2 import Agency, notifications
from midcall.events import Hi1Record, Instant
from midcall.handover import gaps
from midcall.handover.values import Gap
from midcall.live.clock import Clock

_MILLI: Final = 1_000_000
RESTARTED: Final = "mediation was restarted, content may be missing"


class Owner(Struct, frozen=True):
    """Whose the product of an LIID is. Gaps bring it along: what waits outlives its task, and a run of the service."""

    xid: str
    agency: Agency

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(self)

    @classmethod
    def of(cls, gap: Gap) -> Owner:
        """ValueError: it has none."""
        return msgspec.msgpack.decode(gap.about, type=cls)


class _Active(NamedTuple):
    """Whom it was told that a task is active, and where."""

    agency: Agency
    outlet: str

    @property
    def place(self) -> tuple[str, str]:
        return self.agency.terms.liid, self.outlet

    def told(self, kind: NotificationKind, at: int) -> Hi1Record:
        return notifications.notification(self.agency.network, self.agency.terms.liid, kind, at, self.outlet)


class Notices:
    """By tasks. An agency whose profile does not want them is told nothing, and the clock is not asked for it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._active: dict[str, _Active] = {}
        self._changing: dict[str, _Active] = {}

    def ordered(self, xid: str, agency: Agency, outlet: str, covers: Callable[[int], bool]) -> list[Hi1Record]:
        """A task is active from now on, if its window ``covers`` that; or it goes on otherwise than before."""
        former = self._changing.pop(xid, None)
        if former is None and not agency.profile.hi1:
            return []
        at = self._clock.now().wall
        active = _Active(agency, outlet) if agency.profile.hi1 and covers(at) else None
        told = []
        if former is not None and (active is None or active.place != former.place):
            told.append(former.told(NotificationKind.DEACTIVATED, at))
            former = None
        if active is not None:
            kind = NotificationKind.ACTIVATED if former is None else NotificationKind.MODIFIED
            told.append(active.told(kind, at))
            self._active[xid] = active
        return told

    def ended(self, xid: str, at: int, *, changed: bool = False) -> list[Hi1Record]:
        """A task is over; ``changed``: it is about to be ordered otherwise."""
        active = self._active.pop(xid, None) or self._changing.pop(xid, None)
        if active is None:
            return []
        if changed:
            self._changing[xid] = active
            return []
        return [active.told(NotificationKind.DEACTIVATED, at)]

    def missing(self, agency: Agency, text: str, at: int) -> list[Hi1Record]:
        """Content of a task may be missing, and why."""
        if not agency.profile.hi1:
            return []
        return [notifications.alarm(agency.network, agency.terms.liid, text, at)]

    def gap(self, gap: Gap, at: int) -> list[Hi1Record]:
        """Content of an intercept was given up. ValueError: nobody has said whose it is."""
        return self.missing(Owner.of(gap).agency, gaps.alarm(gap), at)


def restarted(last: int, now: Instant) -> str:
    """Content may be missing since ``last`` (wall ns); in whole milliseconds, which hold both ends."""
    return f"{RESTARTED}, from {_seconds(last)} to {_seconds(now.wall + _MILLI - 1)} (UTC seconds)"


def _seconds(at: int) -> str:
    return f"{at // 1_000_000_000}.{at % 1_000_000_000 // _MILLI:03}"
