"""Requests that are too large for a datagram go over TCP (RFC 3261 18.1.1): IP fragments get lost, as one or all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import structs

from imswire.sip import SipMessage
from midcall.base.bounded import BoundedTable
from midcall.cscf.names import Names
from midcall.cscf.routing import Destination, Plan
from midcall.cscf.sending import Sender, Sent
from midcall.cscf.timers import LONG
from midcall.cscf.transactions import Client
from midcall.cscf.values import Hop, Resolve

LARGE = 1_300
"""Octets, when nobody knows what the path takes (RFC 3261 18.1.1)."""
PLACES = 4_096


class Sending:
    """What a :class:`Sender` makes of a request, over TCP where it is large and its next hop takes that.

    The first large one that goes to a place finds out, and others go over UDP until it has been answered: where a
    firewall swallows what it does not like, no more than one waits for a connection that never comes.
    """

    def __init__(self, sender: Sender, names: Names) -> None:
        self._sender = sender
        self._names = names
        # Until when somebody finds out; 0: it takes TCP.
        self._places: BoundedTable[Hop, int] = BoundedTable("cscf.large", PLACES)

    def request(
        self,
        message: SipMessage,
        plan: Plan,
        target: Destination,
        listener: int,
        now: int,
        back: str,
        takes_large: Callable[[str], bool],
        *,
        via: bytes | None,
        on_top: str,
        removed: tuple[str, ...],
        breadth: int,
    ) -> Sent | Resolve:
        """As :meth:`Sender.request`. ``takes_large``: whether a host is one of those that have TCP. The place over UDP
        is the next one of a request that goes over TCP, should there be no connection.
        """
        ask = partial(
            self._sender.request,
            message, plan, target, listener, partial(self._names.known, now), back,
            via=via, on_top=on_top, removed=removed, breadth=breadth,
        )  # fmt: skip
        place = target.flow or self._sender.next_of(target.next).hop
        if place is not None and len(message.octets) > LARGE:
            # It is not made for UDP first: what was too large when it came is so when it goes.
            over = self._over(place, target, takes_large, now)
            return ask() if over is None else _beside(ask(instead=over), place)
        sent = ask()
        if isinstance(sent, Resolve) or len(sent.octets) <= LARGE:
            return sent
        over = self._over(sent.hop, target, takes_large, now)
        return sent if over is None else _beside(ask(branch=sent.branch, instead=over), sent.hop, sent.others)

    def _over(self, place: Hop, target: Destination, takes_large: Callable[[str], bool], now: int) -> Hop | None:
        """Where what is too large for a place goes; None: there."""
        if place.transport != "udp" or not (target.large or takes_large(place.host)):
            return None
        over = place._replace(transport="tcp", connection=0)
        return over if self._takes(over, now) else None

    def _takes(self, place: Hop, now: int) -> bool:
        if not self._sender.has_door(place):
            return False
        if self._names.is_avoided(place, now):
            self._places.pop(place)
            return False
        until = self._places.get(place)
        if until is not None and until > now:
            return False
        if until != 0:
            self._places.put(place, now + LONG)
        return True

    def reached(self, client: Client) -> None:
        """A branch that has other places was answered: those beside its own are of no use to it."""
        others = tuple(each for each in client.others if not each.is_beside(client.hop))
        if len(others) < len(client.others):
            client.others = others
            self._places.put(client.hop, 0)


def _beside(sent: Sent | Resolve, place: Hop, others: tuple[Hop, ...] = ()) -> Sent | Resolve:
    """With the place over UDP as the next one."""
    return structs.replace(sent, others=(place, *others)) if isinstance(sent, Sent) else sent
