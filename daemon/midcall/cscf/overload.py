"""Overload control (RFC 7339, RFC 3261 21.5.4): what is refused so that the rest is served.

What belongs to a dialog, and emergency calls, are never refused. The measure is how late the worker is: the time
between the arrival of messages and their turn, as the shell observes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from imswire.sip import SipMessage
from midcall.base.bounded import BoundedTable
from midcall.cscf.feedback import Told
from midcall.cscf.timers import MS
from midcall.cscf.values import Admission, Hop

LATE = 100 * MS
"""Delay from which on new requests are shed."""
VERY_LATE = 400 * MS
"""Delay at which all of them are: at 500 ms (T1) everybody would send again."""
STANDING = 5
"""Observations of which the best counts (RFC 8289 3.1): a burst makes all late for a moment, a standing queue does not
go away.
"""
ALL = 100
PEERS = 4_096
_SHEDDABLE = frozenset({"INVITE", "MESSAGE", "SUBSCRIBE", "REGISTER", "OPTIONS", "PUBLISH", "REFER", "INFO", "NOTIFY"})
EMERGENCY = re.compile(r"urn:service:sos(?:\.[A-Za-z0-9.-]*)?", re.IGNORECASE).fullmatch
LONGEST_MS = 600_000
"""Nobody holds us back for longer without saying so again."""
ANEW = 60.0
"""A number so much lower than the last one is not late, it is another count."""
# Without Retry-After (RFC 7339 5.10.2): a neighbour would send nothing at all for so long.
_SHED = Admission(503)


def own(late: int, used: int, passed: int) -> int:
    """How late a turn is by work of our own: all that it is late, or nothing when we had no core for most of the time
    that has ``passed``, which refusing requests would not change. ``used``: of the processor; all in ns.
    """
    return late if 2 * used >= passed else 0


class Overload:
    """Sheds a share of new requests that grows with the delay. ``choose`` gives a number from 0 to its argument - 1."""

    def __init__(self, choose: Callable[[int], int]) -> None:
        self._choose = choose
        self._share = 0
        self._least: int | None = None
        self._observed = 0
        self._told: BoundedTable[Hop, tuple[int, int, float]] = BoundedTable("cscf.overloaded", PEERS)
        self.is_asked = False  # whether any next hop has asked for less
        self.held_requests = 0
        self.shed_requests = 0

    @property
    def share(self) -> int:
        """Percent of new requests that are refused."""
        return self._share

    def observe(self, delay: int) -> None:
        """How late messages have their turn, in ns: the share follows fast upwards, and slowly downwards."""
        self._least = delay if self._least is None else min(delay, self._least)
        self._observed += 1
        if self._observed % STANDING:
            return
        least, self._least = self._least, None
        wanted = 0 if least <= LATE else min(100, 100 * (least - LATE) // (VERY_LATE - LATE))
        self._share = max(wanted, self._share - 10)

    def shed(self, message: SipMessage, *, hears: bool = False, stranger: bool = False) -> Admission | None:
        """503 for a request that is not served; None: it is. Of a ``stranger`` twice the share is not.

        Who ``hears`` has been told and sends less by itself: it would be refused its share twice, and who does not
        listen would be better off (RFC 7339 5.10.2). When nothing can be served that makes no difference.
        """
        if not self._share or message.method not in _SHEDDABLE or _is_emergency(message):
            return None
        if hears and self._share < ALL:
            return None
        if self._choose(100) >= (2 if stranger else 1) * self._share:
            return None
        self.shed_requests += 1
        return _SHED

    # What other servers tell us (RFC 7339 5.4, 5.5)

    def told(self, hop: Hop, told: Told, now: int) -> None:
        """A next hop asks that ``share`` percent less is sent to it. What is older than what it said last is not heard,
        unless it begins to count anew (RFC 7339 4.4).
        """
        before = self._told.get(hop)
        if before is not None and before[1] > now and 0 < told.sequence <= before[2] < told.sequence + ANEW:
            return
        if told.validity_ms <= 0 or told.share <= 0:
            self._told.pop(hop)
        else:
            self._told.put(hop, (told.share, now + min(told.validity_ms, LONGEST_MS) * MS, told.sequence))
        self.is_asked = len(self._told) > 0

    def holds_back(self, hop: Hop, message: SipMessage, now: int) -> bool:
        """Whether a new request is not sent to a next hop that is overloaded."""
        told = self._told.get(hop)
        if told is None:
            return False
        share, until, _ = told
        if until <= now:
            self._told.pop(hop)
            self.is_asked = len(self._told) > 0
            return False
        if message.method not in _SHEDDABLE or _is_emergency(message) or self._choose(100) >= share:
            return False
        self.held_requests += 1
        return True


def _is_emergency(message: SipMessage) -> bool:
    """A call to an emergency service, by where it goes (RFC 5031): what else it says anybody could say."""
    return EMERGENCY(message.request_uri or "") is not None
