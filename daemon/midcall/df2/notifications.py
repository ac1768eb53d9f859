"""HI1 notifications: an interception began, changed or ended, or something of it is missing.

HI1-Operation of TS 101 671 (module HI1NotificationOperations, payload [3] of TS 102 232-1), whatever form the records
of HI2 have. They name the LIID and the operator, and say nothing of the target: target-Information is left out, and
so are national parameters, which no law has been asked for.
"""

from __future__ import annotations

from imswire.hi import common, hi1
from midcall.config import Network
from midcall.events import Hi1Record

ALARM = 4
"""Kind of an alarm: its alternative in HI1-Operation."""
_MAX_OCTETS = 256  # of alarm-information


def notification(network: Network, liid: str, kind: hi1.NotificationKind, at: int, outlet: str = "") -> Hi1Record:
    """liActivated, liDeactivated or liModified; ``at`` in wall ns, told to the second there."""
    told = hi1.Notification(kind=kind, liid=liid.encode(), time=at, communication=_operator(network))
    return Hi1Record(liid, kind, at, hi1.build(told), outlet)


def alarm(network: Network, liid: str, text: str, at: int, outlet: str = "") -> Hi1Record:
    """alarms-indicator; ``text`` names no identity but, where it has to, the LIID."""
    information = text.encode("ascii", "replace")[:_MAX_OCTETS]
    told = hi1.AlarmIndicator(time=at, information=information, communication=_operator(network), liid=liid.encode())
    return Hi1Record(liid, ALARM, at, hi1.build(told), outlet)


def _operator(network: Network) -> hi1.Hi1Communication:
    return hi1.Hi1Communication(common.NetworkId(network.network_operator.encode()))
