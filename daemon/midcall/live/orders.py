"""What X1 orders from a mediation function, carried out: its tasks, and where their product goes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from imswire.hi.hi1 import NotificationKind
from midcall.base.x1_element import Armed, Changed, DestinationSet, Disarmed, Follow, Mediated, Order
from midcall.config import DfConfig
from midcall.df2 import Agency, notifications
from midcall.events import Instant, Intercept
from midcall.live.clock import now
from midcall.live.commits import CLOSING_SECONDS
from midcall.live.df import DfService
from midcall.live.notices import Owner
from midcall.live.outlets import Outlets
from midcall.live.recording import DfInputs


class DfOrders:
    """Tasks of one DF; ``inputs`` hears of each before the service."""

    def __init__(self, config: DfConfig, service: DfService, outlets: Outlets, inputs: DfInputs) -> None:
        self._config = config
        self._service = service
        self._outlets = outlets
        self._inputs = inputs
        self._orders: dict[str, Order] = {}
        self._ended: set[asyncio.Task[None]] = set()
        self._started = False

    def start(self) -> None:
        """What a former run had ordered is ordered again, as far as it still is: agencies are told what is over."""
        self._started = True
        self._tell_ends()

    async def prepare(self, follows: Iterable[Follow]) -> None:
        """Open what product of tasks that are to follow needs: that takes a disk's time, which nothing waits for."""
        for each in follows:
            for mediated in each.order.mediated if isinstance(each, Armed | Changed) else ():
                await self._outlets.prepare(mediated.destinations[0], _pin(mediated))

    def follow(self, each: Follow) -> None:
        """Do what X1 says."""
        if isinstance(each, Armed):
            self._arm(each.order)
        elif isinstance(each, Changed):
            self._end(each.former.task.xid, now(), changed=True)
            self._arm(each.order)
        elif isinstance(each, Disarmed):
            self._end(each.xid, now())
        elif isinstance(each, DestinationSet):
            self._outlets.destination(each.details)
            if self._started:
                self._tell_ends()

    def _arm(self, order: Order) -> None:
        xid, network = order.task.xid, self._config.network
        for each in order.mediated:
            intercept = self._intercept(each.terms.liid, xid, each.destinations[0].did)
            agency = Agency(each.terms, self._config.profile, network)
            owner = Owner(xid, agency).encode()
            outlet = self._outlets.order(intercept, each.destinations[0], _pin(each), owner)
            self._inputs.ordered(outlet, intercept, agency, order.task.targets)
            self._service.order(xid, agency, order.warrant, outlet, order.task.targets)
        self._orders[xid] = order

    def _intercept(self, liid: str, xid: str, did: str) -> Intercept:
        network = self._config.network
        return Intercept(liid, xid, network.operator, network.element, network.country, network.delivery_country, did)

    def _end(self, xid: str, at: Instant, *, changed: bool = False) -> None:
        former = self._orders.pop(xid, None)
        self._inputs.ended(xid, at, changed=changed)
        self._service.end(xid, at, changed=changed)
        for each in () if former is None else former.mediated:
            task = self._outlets.end(each.terms.liid, self._service.commits.done())
            self._ended.add(task)
            task.add_done_callback(self._ended.discard)

    def _tell_ends(self) -> None:
        """By HI1: of what ended while nobody was here to tell, or does not go there any more."""
        at = now().wall
        for did, outlet in self._outlets.all():
            former, outlet.was_active = outlet.was_active, []
            for liid in former if self._config.profile.hi1 else ():
                if not self._outlets.goes_to(liid, outlet):
                    if not outlet.spool.knows(liid):
                        outlet.spool.add(self._intercept(liid, "", did))
                        outlet.spool.release(liid)
                    kind = NotificationKind.DEACTIVATED
                    outlet.writer.iri([notifications.notification(self._config.network, liid, kind, at)])

    async def close(self) -> None:
        """Wait for a moment for the closing checks of what has ended; the next run makes those that are missing."""
        if self._ended:
            await asyncio.wait(self._ended, timeout=CLOSING_SECONDS)


def _pin(mediated: Mediated) -> str | None:
    """The certificate that its product may go to."""
    return mediated.pins[0] if mediated.pins else None
