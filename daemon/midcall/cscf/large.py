"""Requests that are too large for a datagram go over TCP (RFC 3261 18.1.1): IP fragments get lost, as one or all."""

from __future__ import annotations

from collections.abc import Callable

from midcall.base.bounded import BoundedTable
from midcall.cscf.names import Names
from midcall.cscf.routing import Destination
from midcall.cscf.timers import LONG
from midcall.cscf.transactions import Client
from midcall.cscf.values import Hop

PLACES = 4_096
MAYBE_LARGE = 800
"""Octets of a request that is looked at, for with what is added it may be too large for a datagram."""


class Large:
    """Where large requests go instead. Times are monotonic ns.

    The first one that goes to a place finds out, and others go over UDP until it has been answered: where a firewall
    swallows what it does not like, no more than one waits for a connection that never comes. ``has_door``: whether we
    have a listener for a place.
    """

    def __init__(self, names: Names, has_door: Callable[[Hop], bool]) -> None:
        self._names = names
        self._has_door = has_door
        # Until when somebody finds out; 0: it takes TCP.
        self._places: BoundedTable[Hop, int] = BoundedTable("cscf.large", PLACES)

    def over(self, takes_large: Callable[[str], bool], now: int, place: Hop, target: Destination) -> Hop | None:
        """Where what is too large for a place with UDP goes; None: there. ``takes_large``: whether a host has TCP."""
        if not (target.large or takes_large(place.host)):
            return None
        over = place._replace(transport="tcp", connection=0)
        if not self._has_door(over):
            return None
        if self._names.is_avoided(over, now):
            self._places.pop(over)
            return None
        until = self._places.get(over)
        if until is not None and until > now:
            return None
        if until != 0:
            self._places.put(over, now + LONG)
        return over

    def reached(self, client: Client) -> None:
        """A branch that has other places was answered: those beside its own are of no use to it."""
        others = tuple(each for each in client.others if not each.is_beside(client.hop))
        if len(others) < len(client.others):
            client.others = others
            self._places.put(client.hop, 0)
