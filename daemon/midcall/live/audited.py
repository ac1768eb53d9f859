"""What a mediation function does with keys and product, told to the audit.

A question for keys is in the audit before it is asked. Without an audit keys are asked for under tasks alone for which
they were asked before, within the grace: what runs goes on, and nothing new is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from midcall.base.audit_link import Act, AuditClient, Kind, NotAudited, Outcome
from midcall.base.bounded import BoundedTable
from midcall.base.x1_element import Armed, Changed, Disarmed, Follow, Order, Step
from midcall.df2 import keys as answers
from midcall.events import Instant, KeyAnswer, KeyQuery
from midcall.handover.values import Gap
from midcall.live.df_world import KeySource

TASKS = 100_000
LOOK_SECONDS = 1.0
CLEAR_SECONDS = 60.0
PRODUCT = "product"
DROPPED = "product was dropped: of tasks that are not known, outside of a window, or of somebody whom none is for"


class Service(Protocol):
    """What is looked at of a DF."""

    @property
    def counts(self) -> Any: ...

    @property
    def held_octets(self) -> int: ...


class Fault(Protocol):
    """What of an element's X1 is needed to raise an alarm."""

    def ne_fault(self, key: str, text: str, now: Instant) -> Step: ...

    def ne_clear(self, key: str, now: Instant) -> Step: ...


class DfAudit:
    """``client``: None where nothing is audited; then all of this does nothing but alarms."""

    def __init__(self, client: AuditClient | None) -> None:
        """To be made inside the loop of the client."""
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._liids: dict[str, tuple[str, ...]] = {}
        self._warrants: dict[str, bytes] = {}

    def keys(self, source: KeySource) -> KeySource:
        """The same source, that is asked once the audit knows of it."""
        return source if self._client is None else AuditedKeys(source, self._client, self._warrants.get)

    def follow(self, each: Follow) -> None:
        """Where product begins and ends to be delivered."""
        if isinstance(each, Armed):
            self._begin(each.order)
        elif isinstance(each, Changed):
            self._end(each.former.task.xid)
            self._begin(each.order)
        elif isinstance(each, Disarmed):
            self._end(each.xid)

    def _begin(self, order: Order) -> None:
        client = self._client
        if client is None:
            return
        liids = self._liids[order.task.xid] = tuple(each.terms.liid for each in order.mediated)
        warrant = client.digest(Kind.WARRANT, order.warrant_id) if order.warrant_id else None
        if warrant is not None:
            self._warrants[order.task.xid] = warrant
        for liid in liids:
            client.event(Act.DELIVERY_BEGIN, client.digest(Kind.INTERCEPT, liid), warrant=warrant)

    def _end(self, xid: str) -> None:
        client = self._client
        if client is None:
            return
        self._warrants.pop(xid, None)
        for liid in self._liids.pop(xid, ()):
            client.event(Act.DELIVERY_END, client.digest(Kind.INTERCEPT, liid))

    def gap(self, gap: Gap) -> None:
        """Product is lost, and its agency is told. In any thread."""
        self._product(Act.DELIVERY_GAP, gap.liid, Outcome.DONE)

    def destroyed(self, liid: str, delivered: bool) -> None:
        """Product under an LIID opens for nobody any more, since its data key is gone. In any thread."""
        self._product(Act.KEYS_DESTROY, liid, Outcome.DONE if delivered else Outcome.FAILED)

    def _product(self, act: Act, liid: str, outcome: Outcome) -> None:
        client = self._client
        if client is not None and not self._loop.is_closed():
            held = client.digest(Kind.INTERCEPT, liid)
            self._loop.call_soon_threadsafe(lambda: client.event(act, held, outcome=outcome))

    async def watch(
        self, service: Service, element: Fault, happened: Callable[[Callable[[Instant], Step]], Awaitable[None]]
    ) -> None:
        """Product that nobody ordered: dropped already, told to the audit and to the ADMF within a second or two."""
        former, quiet = _dropped(service), 0.0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            dropped = _dropped(service)
            if dropped > former:
                if self._client is not None:
                    count = dropped - former
                    self._client.event(Act.DELIVERY_REFUSE, outcome=Outcome.REFUSED, count=count)
                await happened(lambda now: element.ne_fault(PRODUCT, DROPPED, now))
                former, quiet = dropped, CLEAR_SECONDS
            elif quiet > 0:
                quiet -= LOOK_SECONDS
                if quiet <= 0:
                    await happened(lambda now: element.ne_clear(PRODUCT, now))


class AuditedKeys:
    """Asks ``source``; ``warrant_of`` tells what stands for the warrant of a task."""

    def __init__(self, source: KeySource, client: AuditClient, warrant_of: Callable[[str], bytes | None]) -> None:
        self._source = source
        self._warrant_of = warrant_of
        self._client = client
        self._asked: BoundedTable[str, bool] = BoundedTable("live.audited.tasks", TASKS)

    async def keys(self, query: KeyQuery, warrant: bytes | None) -> KeyAnswer:
        """Keys, or why there are none."""
        client = self._client
        held, under = client.digest(Kind.TASK, query.xid), self._warrant_of(query.xid)
        try:
            intent = await client.intent(Act.KEYS_ASK, held, warrant=under)
        except NotAudited as error:
            if query.xid not in self._asked or client.overdue:
                return answers.refused(query.query, str(error))
            intent = client.begin(Act.KEYS_ASK, held, warrant=under)
        else:
            self._asked.put(query.xid, True)
        found = 0
        try:
            answer = await self._source.keys(query, warrant)
            found = len(answer.keys)
            return answer
        finally:
            intent.end(Outcome.DONE if found else Outcome.REFUSED, count=found)


def _dropped(service: Service) -> int:
    """Product so far that no task had ordered in time, or that was outside of its order."""
    _ = service.held_octets
    return int(service.counts["expired"]) + int(service.counts["outside"])
