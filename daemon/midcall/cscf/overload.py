"""Overload control (RFC 7339, RFC 3261 21.5.4): what is refused so that the rest is served.

What belongs to a dialog, and emergency calls, are never refused. The measure is how late the worker is: the time
between the arrival of messages and their turn, as the shell observes it.
"""

from __future__ import annotations

from collections.abc import Callable

from imswire.sip import SipMessage
from midcall.base.bounded import BoundedTable
from midcall.cscf.proxy import Admission
from midcall.cscf.timers import MS

LATE = 100 * MS
"""Delay from which on new requests are shed."""
VERY_LATE = 400 * MS
"""Delay at which all of them are: at 500 ms (T1) everybody would send again."""
STANDING = 10
"""Observations of which the best counts (RFC 8289 3.1): a burst makes all late for a moment, a standing queue does not
go away.
"""
VALIDITY_MS = 500
"""RFC 7339 4.5: how long a peer keeps to what it was told."""
PEERS = 4_096
_SHEDDABLE = frozenset({"INVITE", "MESSAGE", "SUBSCRIBE", "REGISTER", "OPTIONS", "PUBLISH", "REFER", "INFO", "NOTIFY"})
EMERGENCY = "urn:service:sos"


class Overload:
    """Sheds a share of new requests that grows with the delay. ``choose`` gives a number from 0 to its argument - 1."""

    def __init__(self, choose: Callable[[int], int]) -> None:
        self._choose = choose
        self._share = 0
        self._least: int | None = None
        self._observed = 0
        self._told: BoundedTable[str, tuple[int, int]] = BoundedTable("cscf.overloaded", PEERS)
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

    def shed(self, message: SipMessage) -> Admission | None:
        """503 for a request that is not served; None: it is."""
        if not self._share or message.method not in _SHEDDABLE or _is_emergency(message):
            return None
        if self._choose(100) >= self._share:
            return None
        self.shed_requests += 1
        return Admission(503, b"Retry-After: 1\r\n")

    # What other servers tell us (RFC 7339 4.1, 5.3)

    def told(self, host: str, share: int, validity_ms: int, now: int) -> None:
        """A next hop asks that ``share`` percent less is sent to it."""
        if validity_ms <= 0 or share <= 0:
            self._told.pop(host)
        else:
            self._told.put(host, (min(share, 100), now + min(validity_ms, 600_000) * MS))

    def holds_back(self, host: str, message: SipMessage, now: int) -> bool:
        """Whether a new request is not sent to a next hop that is overloaded."""
        told = self._told.get(host)
        if told is None:
            return False
        share, until = told
        if until <= now:
            self._told.pop(host)
            return False
        return message.method in _SHEDDABLE and not _is_emergency(message) and self._choose(100) < share


def _is_emergency(message: SipMessage) -> bool:
    """A call to an emergency service, by where it goes (RFC 5031): what else it says anybody could say."""
    return (message.request_uri or "").lower().startswith(EMERGENCY)
