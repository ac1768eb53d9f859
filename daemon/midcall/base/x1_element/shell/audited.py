"""What X1 orders and asks, told to the audit: what opens something waits for its intent, what ends something does not.

Without an audit nothing is told. With one that cannot be written nothing is activated, modified or placed; what runs
goes on for the grace, and what is to end ends.
"""

from __future__ import annotations

from collections.abc import Iterable

from imswire import x1
from midcall.base.audit_link import Act, AuditClient, Intent, Kind, NotAudited, Outcome
from midcall.base.warrant import FormError, Refused, Revocation, TrustList, envelope, value
from midcall.base.warrant import Outcome as Verdict
from midcall.base.x1_element.peer import Peer
from midcall.base.x1_element.values import (
    Armed,
    Changed,
    DestinationIssue,
    Disarmed,
    Follow,
    KeepTask,
    NeIssue,
    State,
    Step,
    TaskIssue,
)

NOT_AUDITED = "the audit cannot be written"
_OPENS: dict[type[x1.Request], Act] = {
    x1.ActivateTaskRequest: Act.TASK_ACTIVATE,
    x1.ModifyTaskRequest: Act.TASK_MODIFY,
    x1.CreateDestinationRequest: Act.DESTINATION_CREATE,
    x1.ModifyDestinationRequest: Act.DESTINATION_MODIFY,
}
_ENDS: dict[type[x1.Request], Act] = {
    x1.DeactivateTaskRequest: Act.TASK_DEACTIVATE,
    x1.DeactivateAllTasksRequest: Act.TASK_DEACTIVATE_ALL,
    x1.RemoveDestinationRequest: Act.DESTINATION_REMOVE,
    x1.RemoveAllDestinationsRequest: Act.DESTINATION_REMOVE_ALL,
}
_UNTOLD = (x1.PingRequest, x1.KeepaliveRequest)


class Audited:
    """``client``: None where nothing is audited."""

    def __init__(self, client: AuditClient | None) -> None:
        self._client = client

    @property
    def missing(self) -> bool:
        """Whether nothing new is to begin."""
        return self._client is not None and not self._client.writable

    @property
    def overdue(self) -> bool:
        """Whether what runs is to end."""
        return self._client is not None and self._client.overdue

    # Requests

    async def before(self, request: x1.Request, peer: Peer, step: Step) -> Intent | None:
        """Before a request counts. NotAudited: it is not to."""
        client = self._client
        if client is None or isinstance(request, _UNTOLD):
            return None
        held, warrant, actor = self._object(request), self._warrant(step), peer.mark or None
        refused = isinstance(step.response, x1.ErrorResponse)
        opens, ends = _OPENS.get(type(request)), _ENDS.get(type(request))
        if refused:
            act = opens or ends or Act.TASK_READ
            client.refused(act, held, warrant=warrant, actor=actor, code=_code(step.response))
            return None
        if opens is None and ends is None:
            client.event(Act.TASK_READ, held, actor=actor)
            return None
        if ends is not None:
            return client.begin(ends, held, warrant=warrant, actor=actor)
        assert opens is not None
        if isinstance(request, x1.ModifyTaskRequest) and _is_ended(request.task.xid, step):
            return client.begin(opens, held, warrant=warrant, actor=actor)
        try:
            return await client.intent(opens, held, warrant=warrant, actor=actor)
        except NotAudited:
            client.refused(opens, held, warrant=warrant, actor=actor)
            raise

    def after(self, intent: Intent | None, response: x1.Response | None) -> None:
        """A request is answered."""
        if intent is None:
            return
        if isinstance(response, x1.ErrorResponse):
            intent.failed(_code(response))
        else:
            intent.done()

    def _object(self, request: x1.Request) -> bytes | None:
        if isinstance(request, x1.ActivateTaskRequest | x1.ModifyTaskRequest):
            return self._task(request.task.xid)
        if isinstance(request, x1.DeactivateTaskRequest | x1.GetTaskDetailsRequest):
            return self._task(request.xid)
        if isinstance(request, x1.CreateDestinationRequest | x1.ModifyDestinationRequest):
            return self._digest(Kind.DESTINATION, request.destination.did)
        if isinstance(request, x1.RemoveDestinationRequest | x1.GetDestinationDetailsRequest):
            return self._digest(Kind.DESTINATION, request.did)
        return None

    def _warrant(self, step: Step) -> bytes | None:
        for change in step.changes:
            if isinstance(change, KeepTask) and change.held.order is not None and change.held.order.warrant_id:
                return self._digest(Kind.WARRANT, change.held.order.warrant_id)
        return None

    # What is placed, and what follows

    async def placing(self, octets: bytes) -> Intent | None:
        """Before a warrant counts that comes apart from a task; one that ends something does not wait. NotAudited."""
        client = self._client
        if client is None:
            return None
        try:
            # Not verified yet: it says under which name, and whether this may wait, and no more.
            signed = value.decode(envelope.read(octets).signed)
        except FormError:
            client.refused(Act.WARRANT_PLACE)
            return None
        held = self._digest(Kind.WARRANT, signed.id)
        if isinstance(signed, Revocation):
            return client.begin(Act.WARRANT_REVOKE, held)
        return await client.intent(Act.WARRANT_PLACE, held)

    def placed(self, intent: Intent | None, outcome: Verdict) -> None:
        """How it was judged."""
        if intent is not None:
            intent.end(Outcome.REFUSED if isinstance(outcome, Refused) and outcome.begins is None else Outcome.DONE)

    def followed(self, follows: Iterable[Follow]) -> None:
        """Tasks that are armed and disarmed, by an order, by time or by a fault; and alarms."""
        client = self._client
        if client is None:
            return
        for each in follows:
            if isinstance(each, Armed | Changed):
                order = each.order
                warrant = self._digest(Kind.WARRANT, order.warrant_id) if order.warrant_id else None
                client.event(Act.TASK_ARM, self._task(order.task.xid), warrant=warrant)
            elif isinstance(each, Disarmed):
                client.event(Act.TASK_DISARM, self._task(each.xid))
            elif isinstance(each, TaskIssue):
                client.event(Act.ALARM, self._task(each.xid), code=each.code or 0)
            elif isinstance(each, DestinationIssue):
                client.event(Act.ALARM, self._digest(Kind.DESTINATION, each.did), code=each.code or 0)
            elif isinstance(each, NeIssue):
                client.event(Act.ALARM, code=each.code or 0)

    def trusted(self, trust: TrustList, act: Act = Act.TRUST_CHANGE) -> None:
        """Which trust list counts: another one from now on, or that of the start."""
        if self._client is not None:
            self._client.event(act, self._digest(Kind.FILE, trust.digest))

    def _task(self, xid: str) -> bytes:
        return self._digest(Kind.TASK, xid)

    def _digest(self, kind: Kind, identifier: str) -> bytes:
        assert self._client is not None
        return self._client.digest(kind, identifier)


def _is_ended(xid: str, step: Step) -> bool:
    """Whether what was ordered has brought the revocation of a task's warrant."""
    return any(each == xid and held.state is State.FAILED for each, held in step.moves)


def _code(response: x1.Response | None) -> int:
    return response.error.code if isinstance(response, x1.ErrorResponse) else 0
