"""Where a POI's product goes when it serves several mediation functions: to the one that the task names, and no other.

What a task gives stands under its XID in the header of each PDU, which is where this looks. With one mediation function
all goes there, whatever the ADMF calls it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from imswire import x2x3
from imswire.x1 import DestinationDetails
from midcall.base.link_report import LinkEvent, LinkReport
from midcall.base.x1_element import Order, Refusal, place
from midcall.base.x2_link import X2Client
from midcall.live.link_book import LinkBook
from midcall.live.poi_account import X2State

_XID = slice(16, 32)
"""Of the header of a PDU (TS 103 221-2 5.3)."""
CONNECTION = "connection"
_NO_WAY = "the configuration of this POI has no way to the mediation function that the task names"

Place = tuple[str, int]


class Route(Struct, frozen=True):
    """One mediation function: ``name`` of its link, where it is, and the way there."""

    name: str
    place: Place
    client: X2Client


class X2Routes:
    """``routes``: at least one; the first is that of ``[poi.x2]``. All in the loop's thread.

    ``astray`` counts, by XID, PDUs of tasks whose mediation function this POI does not have.
    """

    def __init__(self, routes: Sequence[Route], book: LinkBook) -> None:
        self.routes = tuple(routes)
        self.astray: Counter[str] = Counter()
        self._book = book
        self._of: dict[bytes, Route] = {}

    @property
    def places(self) -> tuple[Place, ...]:
        """Where alone product may go; none: there is no choice, and what the ADMF calls it is its own affair."""
        return tuple(each.place for each in self.routes) if len(self.routes) > 1 else ()

    def put(self, pdus: Iterable[bytes]) -> object:
        """Send each PDU to the function of its task; never waits."""
        if len(self.routes) == 1:
            return self.routes[0].client.put(pdus)
        found: dict[str, tuple[Route, list[bytes]]] = {}
        for pdu in pdus:
            route = self._of.get(pdu[_XID])
            if route is None:
                self.astray[x2x3.xid_text(pdu[_XID])] += 1
                continue
            found.setdefault(route.name, (route, []))[1].append(pdu)
        for route, some in found.values():
            route.client.put(some)
        return None

    def queued(self, xid: str) -> int:
        """Octets that the function of a task has not proved."""
        only = len(self.routes) == 1
        route = self.routes[0] if only else self._of.get(x2x3.xid_octets(xid))
        return 0 if route is None else route.client.queued

    # Tasks

    def lead(self, order: Order) -> None:
        """What its task gives goes from now on where it says."""
        route, xid = self._route(order.destinations), x2x3.xid_octets(order.task.xid)
        if route is None:
            self._of.pop(xid, None)
        else:
            self._of[xid] = route

    def stays(self, order: Order, former: Order) -> bool:
        """Whether a task that has changed goes on to the same function."""
        return self._route(order.destinations) is self._route(former.destinations)

    def end(self, xid: str) -> None:
        """The task is over, and all that it gave is on its way."""
        self._of.pop(x2x3.xid_octets(xid), None)
        self.astray.pop(xid, None)

    def _route(self, named: Iterable[DestinationDetails]) -> Route | None:
        for details in named:
            route = self.route(details)
            if route is not None:
                return route
        return None

    def route(self, details: DestinationDetails) -> Route | None:
        """The function that a destination is; None: this POI has no way there."""
        if len(self.routes) == 1:
            return self.routes[0]
        try:
            wanted = place(details)
        except Refusal:
            return None
        return next((each for each in self.routes if each.place == wanted), None)

    # What is told

    def named(self, event: LinkEvent, made: Iterable[DestinationDetails]) -> list[str]:
        """The DIDs of those destinations that a change of a link is about."""
        of = {each.did: self.route(each) for each in made}
        return [did for did, route in of.items() if event.link == (did if route is None else route.name)]

    def tell_astray(self, made: Iterable[DestinationDetails]) -> None:
        """Of destinations that an earlier configuration had a way to."""
        for each in made:
            if self.route(each) is None:
                LinkReport(each.did, CONNECTION, self._book.told).failed(_NO_WAY)

    def state(self, xid: str) -> X2State:
        """How the link stands that a task's product goes by."""
        route = self.routes[0] if len(self.routes) == 1 else self._of.get(x2x3.xid_octets(xid))
        if route is None:
            return X2State(False, _NO_WAY, 0)
        links = self._book.links(route.name)
        why = next((each.why for each in links if each.part == CONNECTION), "")
        return X2State(route.client.is_up, why, route.client.queued)

    def stands(self, age: Callable[[int | None], float | None]) -> dict[str, Any]:
        """For the LI plane: one link, or all of them together and each."""
        each = [_stands(route.client, age) for route in self.routes]
        if len(each) == 1:
            return each[0]
        oldest = [one["oldest_seconds"] for one in each if one["oldest_seconds"] is not None]
        counters: Counter[str] = Counter()
        for one in each:
            counters.update(one["counters"])
        return {
            "up": all(one["up"] for one in each),
            "queued_octets": sum(one["queued_octets"] for one in each),
            "oldest_seconds": max(oldest, default=None),
            "counters": dict(counters),
            "astray": sum(self.astray.values()),
            "to": [{"link": route.name} | one for route, one in zip(self.routes, each, strict=True)],
        }


def _stands(client: X2Client, age: Callable[[int | None], float | None]) -> dict[str, Any]:
    return {
        "up": client.is_up,
        "queued_octets": client.queued,
        "oldest_seconds": age(client.oldest),
        "counters": msgspec.to_builtins(client.counters),
    }
