"""What X1 orders from a mediation function, carried out: its tasks, and where their product goes."""

from __future__ import annotations

import asyncio

from midcall.base.x1_element import Armed, Changed, DestinationSet, Disarmed, Follow, Order
from midcall.config import DfConfig
from midcall.df2 import Agency
from midcall.events import Instant, Intercept
from midcall.live.clock import now
from midcall.live.df import DfService
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

    def follow(self, each: Follow) -> None:
        """Do what X1 says."""
        if isinstance(each, Armed):
            self._arm(each.order)
        elif isinstance(each, Changed):
            self._end(each.former.task.xid, now())
            self._arm(each.order)
        elif isinstance(each, Disarmed):
            self._end(each.xid, now())
        elif isinstance(each, DestinationSet):
            self._outlets.destination(each.details)

    def _arm(self, order: Order) -> None:
        xid, network = order.task.xid, self._config.network
        for each in order.mediated:
            intercept = Intercept(
                each.terms.liid,
                xid,
                network.operator,
                network.element,
                network.country,
                network.delivery_country,
                each.destinations[0].did,
            )
            agency = Agency(each.terms, self._config.profile, network)
            outlet = self._outlets.order(intercept, each.destinations[0], each.pins[0] if each.pins else None)
            self._inputs.ordered(outlet, intercept, agency)
            self._service.order(xid, agency, order.warrant)
        self._orders[xid] = order

    def _end(self, xid: str, at: Instant) -> None:
        former = self._orders.pop(xid, None)
        self._inputs.ended(xid, at)
        self._service.end(xid, at)
        for each in () if former is None else former.mediated:
            task = self._outlets.end(each.terms.liid, self._service.commits.done())
            self._ended.add(task)
            task.add_done_callback(self._ended.discard)

    async def close(self) -> None:
        """Wait for the closing checks of what has ended."""
        await asyncio.gather(*self._ended)
