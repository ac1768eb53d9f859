"""A network element's end of X1: each request is judged, answered, and followed by what it means (TS 103 221-1 6).

Pure: the time comes with every call. A caller keeps the ``changes`` of a step on its disk, then calls ``apply``, does
what follows, and only then gives the answer; what could not be kept becomes ``failed``. ``deadline`` is called before
anything later is asked.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from imswire import x1
from imswire.x1 import ErrorCode, NeIssueType, Request, Response, TaskReportType
from midcall.base.warrant import ClockGuard, Outcome, TrustList
from midcall.base.x1_element import destinations, interrogation
from midcall.base.x1_element.draft import Draft
from midcall.base.x1_element.faults import NE, Faults, told
from midcall.base.x1_element.peer import Peer
from midcall.base.x1_element.retries import Answers
from midcall.base.x1_element.settings import SECOND, Settings
from midcall.base.x1_element.tasks import Tasks
from midcall.base.x1_element.values import (
    Armed,
    Change,
    DestinationGone,
    DestinationIssue,
    DestinationSet,
    DropDestination,
    DropTask,
    Held,
    Intercepted,
    KeepDestination,
    KeepKnown,
    KeepTask,
    Kept,
    Memory,
    NeIssue,
    Reason,
    Refusal,
    State,
    Step,
    TaskIssue,
)
from midcall.events import Instant

Handler = Callable[[x1.Request, Draft], Response]
CLOCK = "clock"
_FAILED = {
    x1.ActivateTaskRequest: ErrorCode.ACTIVATE_FAILED,
    x1.ModifyTaskRequest: ErrorCode.MODIFY_FAILED,
    x1.DeactivateTaskRequest: ErrorCode.DEACTIVATE_FAILED,
    x1.DeactivateAllTasksRequest: ErrorCode.DEACTIVATE_ALL_FAILED,
    x1.CreateDestinationRequest: ErrorCode.CREATE_DESTINATION_FAILED,
    x1.ModifyDestinationRequest: ErrorCode.MODIFY_DESTINATION_FAILED,
    x1.RemoveDestinationRequest: ErrorCode.REMOVE_DESTINATION_FAILED,
    x1.RemoveAllDestinationsRequest: ErrorCode.REMOVE_ALL_FAILED,
}


class Element:
    """One element. ``memory`` is what it knew before a restart; what follows from that is in ``restore``."""

    def __init__(
        self,
        settings: Settings,
        trust: TrustList,
        now: Instant,
        memory: Memory | None = None,
        intercepted: Callable[[str], Intercepted] = lambda _: Intercepted(),
    ) -> None:
        """``intercepted`` tells of a task what the element's own function has made of it."""
        memory = memory or Memory()
        self.settings = settings
        self._memory = memory
        self._clock = ClockGuard(now)
        self._kept = {each.details.did: each for each in memory.destinations}
        self._tasks = Tasks(settings, trust, memory.known, memory.stops, self._destination, self._clock)
        self._faults = Faults()
        self._intercepted = intercepted
        self._answers = Answers()
        silent = now.wall - memory.heard if memory.heard else 0
        self._heard = Instant(memory.heard, now.mono - silent) if silent > 0 else now
        self._latest = max((each.stamp for each in memory.tasks), default=memory.stops)
        self._jumped = False
        recent = bool(memory.heard) and 0 <= silent <= settings.grace * SECOND
        self._tasks.confirmed = recent or not settings.fail_safe
        self._handlers: dict[type[Request], Handler] = {
            x1.ActivateTaskRequest: self._activate,
            x1.ModifyTaskRequest: self._modify,
            x1.DeactivateTaskRequest: self._deactivate,
            x1.DeactivateAllTasksRequest: self._deactivate_all,
            x1.CreateDestinationRequest: self._create_destination,
            x1.ModifyDestinationRequest: self._modify_destination,
            x1.RemoveDestinationRequest: self._remove_destination,
            x1.RemoveAllDestinationsRequest: self._remove_all_destinations,
            x1.PingRequest: self._ping,
            x1.KeepaliveRequest: self._keepalive,
        }

    # What it holds

    @property
    def tasks(self) -> dict[str, Held]:
        return dict(self._tasks.held)

    @property
    def orders(self) -> dict[str, Armed]:
        """What is armed now."""
        return {
            xid: Armed(held.order)
            for xid, held in self._tasks.held.items()
            if held.state is State.ARMED and held.order is not None
        }

    @property
    def destinations(self) -> tuple[x1.DestinationDetails, ...]:
        return tuple(each.details for each in self._kept.values())

    @property
    def heard(self) -> Instant:
        """When the ADMF was heard last."""
        return self._heard

    def _destination(self, did: str) -> x1.DestinationDetails | None:
        kept = self._kept.get(did)
        return None if kept is None else kept.details

    # What happens

    def restore(self, now: Instant) -> Step:
        """What follows from ``memory``; applied already. To be called once, first."""
        draft = Draft(now)
        draft.follow(*(DestinationSet(each.details) for each in self._kept.values()))
        self._tasks.restore(self._memory.tasks, self._memory.placed, draft)
        count = len(self._memory.tasks)
        self._memory = Memory()
        step = draft.step()
        self.apply(step)
        text = f"restarted: {count} tasks held, {self._tasks.armed} armed"
        return Step(None, step.changes, step.moves, (*step.follows, NeIssue(NeIssueType.WARNING, text)))

    def ask(self, request: Request, peer: Peer, now: Instant) -> Step:
        """A request of ``peer``; the step is to be kept, then applied. ValueError: ``deadline`` is due before."""
        if self.due(now):
            raise ValueError("deadline() first: something is due")
        draft = Draft(now)
        try:
            self._identify(request, peer)
        except Refusal as refused:
            return draft.step(x1.refusal(request, refused.code, now.wall, refused.detail))
        self._heard = now
        self._latest = max(self._latest, request.header.timestamp)
        heard = Draft(now)
        self._tasks.confirm(heard)
        prior = self._applied(heard).follows
        try:
            response = self._again(request) or self._answer(request, draft)
        except Refusal as refused:
            response = x1.refusal(request, refused.code, now.wall, refused.detail)
        step = draft.step(response, request if type(request) in _FAILED else None)
        return structs.replace(step, follows=prior + step.follows, prior=prior)

    def apply(self, step: Step) -> None:
        """A step counts from now on."""
        self._tasks.apply(step)
        for change in step.changes:
            if isinstance(change, KeepDestination):
                self._kept[change.did] = change.kept
            elif isinstance(change, DropDestination):
                self._kept.pop(change.did, None)
                self._faults.forget(change.did)
            elif isinstance(change, DropTask):
                self._faults.forget(change.xid)

    def unplaced(self, step: Step, now: Instant) -> Step:
        """The changes of a step of ``place`` could not be kept; applied already."""
        draft = Draft(now)
        self._unkept(step, draft)
        return self._applied(draft)

    def _unkept(self, step: Step, draft: Draft) -> None:
        """Other tasks that a step moves. A version of a warrant that is not remembered allows nothing."""
        news = {each.warrant for each in step.changes if isinstance(each, KeepKnown)}
        for xid, held in step.moves:
            former = self._tasks.held.get(xid)
            before, after = None if former is None else former.order, held.order
            if held.state is State.ARMED and after is not None and after.warrant_id in news and before != after:
                self._tasks.fail(xid, Reason.STORE, draft, Reason.STORE)
            else:
                draft.move(held, former, Reason.WARRANT)

    def answered(self, step: Step) -> None:
        """The step's response is given: the same request will get the same."""
        if step.request is not None and step.response is not None:
            self._answers.keep(step.request, step.response)
        if isinstance(step.request, x1.ActivateTaskRequest):
            self._tasks.let_go(step.request.task.xid)

    def withdraw(self, xid: str, now: Instant) -> Step:
        """A task that was ordered cannot be carried out after all: it is gone; applied already."""
        draft = Draft(now)
        self._tasks.withdraw(xid, draft)
        return self._applied(draft)

    def failed(self, request: Request, step: Step, now: Instant, why: str = "it could not be stored") -> Step:
        """The changes of a step could not be kept: it is refused, and applied so. What was to end ends all the same."""
        draft = Draft(now)
        draft.follow(*step.prior)
        own = {each.xid for each in step.changes if isinstance(each, KeepTask | DropTask)}
        self._unkept(step, draft)
        for change in step.changes:
            if isinstance(change, DropTask) and change.xid in self._tasks.held:
                self._tasks.fail(change.xid, Reason.STORE, draft, Reason.STORE)
        issues = (each for each in step.issues if each not in step.prior)
        draft.follow(*(each for each in issues if not isinstance(each, TaskIssue) or each.xid not in own))
        code = _FAILED.get(type(request), ErrorCode.GENERIC)
        done = draft.step(x1.refusal(request, code, now.wall, why))
        self.apply(done)
        return done

    def stored(self, changes: tuple[Change, ...]) -> tuple[Change, ...]:
        """What a store has to have of the tasks and destinations that are in ``changes``, as they stand."""
        found: list[Change] = []
        for change in changes:
            if isinstance(change, KeepTask | DropTask):
                held = self._tasks.held.get(change.xid)
                found.append(DropTask(change.xid) if held is None else KeepTask(change.xid, held))
            elif isinstance(change, KeepDestination | DropDestination):
                kept = self._kept.get(change.did)
                found.append(DropDestination(change.did) if kept is None else KeepDestination(change.did, kept))
        return tuple(found)

    def place(self, octets: bytes, now: Instant) -> tuple[Outcome, Step]:
        """A warrant or a revocation apart from a task: how it is judged, and a step to be kept and applied."""
        draft = Draft(now)
        outcome = self._tasks.place(octets, draft)
        return outcome, draft.step()

    def trust(self, trust: TrustList, now: Instant) -> Step:
        """Another trust list; applied already."""
        draft = Draft(now)
        self._tasks.trust(trust, draft)
        return self._applied(draft)

    def trust_clock(self, now: Instant) -> Step:
        """An operator has looked: the clock is right."""
        self._clock.trust(now)
        self._jumped = False
        return self.ne_clear(CLOCK, now)

    # Time

    def due(self, now: Instant) -> bool:
        """Whether ``deadline`` has something to do."""
        return self._clock.steady(now) is self._jumped or self._tasks.due(now) or self._is_silent(now)

    def next_deadline(self) -> int | None:
        """Monotonic ns of the next thing that time alone brings, as far as the monotonic clock can say.

        The wall clock may say so before: while something is armed ``due`` is to be asked at least each second.
        """
        found = [self._tasks.next_deadline()]
        if self.settings.fail_safe and self._tasks.held:
            found.append(self._heard.mono + self.settings.silence * SECOND)
        return min((each for each in found if each is not None), default=None)

    def deadline(self, now: Instant) -> Step:
        """Whatever is due at ``now``; applied already: the end of a task waits for no disk."""
        draft = Draft(now)
        if not self._clock.steady(now) and not self._jumped:
            self._jumped = True
            draft.follow(*self.ne_fault(CLOCK, "the clock has jumped", now).follows)
        elif self._jumped and self._clock.steady(now):
            self._jumped = False
            draft.follow(*self.ne_clear(CLOCK, now).follows)
        if self._is_silent(now):
            count = self._tasks.deactivate_all(self._latest, draft, Reason.SILENCE)
            draft.follow(NeIssue(NeIssueType.ALERT, f"no request for TIME_P2: {count} tasks are dropped"))
        else:
            if self._jumped:
                self._tasks.jumped(draft)
            self._tasks.deadline(draft)
        step = self._applied(draft)
        self._tasks.settle()
        return step

    def _is_silent(self, now: Instant) -> bool:
        silence = self.settings.silence * SECOND
        return self.settings.fail_safe and bool(self._tasks.held) and now.mono - self._heard.mono >= silence

    # Faults, as the element's own function finds them; texts go to the ADMF

    def task_fault(self, xid: str, key: str, text: str, now: Instant, *, terminating: bool = False) -> Step:
        """A task is ill, or with ``terminating`` at its end; applied already."""
        draft, text = Draft(now), told(text)
        held = self._tasks.held.get(xid)
        if held is None or held.state is State.FAILED:
            return draft.step()
        code = ErrorCode.TERMINATING_FAULT if terminating else ErrorCode.NON_TERMINATING_FAULT
        first = self._faults.found(xid, key, text, code)
        if terminating:
            self._tasks.fail(xid, text, draft, Reason.FAULT)
            draft.follow(TaskIssue(xid, TaskReportType.TERMINATING_FAULT, int(code), text))
        elif first:
            draft.follow(TaskIssue(xid, TaskReportType.NON_TERMINATING_FAULT, int(code), text))
        return self._applied(draft)

    def task_clear(self, xid: str, key: str, now: Instant) -> Step:
        """A fault of a task is over."""
        draft = Draft(now)
        held = self._tasks.held.get(xid)
        if held is not None and held.state is not State.FAILED and self._faults.cleared(xid, key):
            draft.follow(TaskIssue(xid, TaskReportType.ALL_CLEAR, int(ErrorCode.CLEARED)))
        return draft.step()

    def destination_fault(self, did: str, key: str, text: str, now: Instant) -> Step:
        """Nothing is delivered to a destination."""
        draft, text = Draft(now), told(text)
        code = ErrorCode.NON_TERMINATING_FAULT
        if did in self._kept and self._faults.found(did, key, text, code):
            draft.follow(DestinationIssue(did, TaskReportType.NON_TERMINATING_FAULT, int(code), text))
        return draft.step()

    def destination_clear(self, did: str, key: str, now: Instant) -> Step:
        """It is delivered to again."""
        draft = Draft(now)
        if self._faults.cleared(did, key):
            draft.follow(DestinationIssue(did, TaskReportType.ALL_CLEAR, int(ErrorCode.CLEARED)))
        return draft.step()

    def ne_fault(self, key: str, text: str, now: Instant) -> Step:
        """The element itself is ill."""
        draft, text = Draft(now), told(text)
        if self._faults.found(NE, key, text, ErrorCode.NON_TERMINATING_FAULT):
            draft.follow(NeIssue(NeIssueType.FAULT_REPORT, text, int(ErrorCode.NON_TERMINATING_FAULT)))
        return draft.step()

    def ne_clear(self, key: str, now: Instant) -> Step:
        """It is well again."""
        draft = Draft(now)
        if self._faults.cleared(NE, key):
            draft.follow(NeIssue(NeIssueType.FAULT_CLEARED, "all faults are over", int(ErrorCode.CLEARED)))
        return draft.step()

    def _applied(self, draft: Draft) -> Step:
        step = draft.step()
        self.apply(step)
        return step

    # Requests

    def _identify(self, request: Request, peer: Peer) -> None:
        """Who asks, and whom (8.2.4). Refusal (1030, 1040, 1060)."""
        header = request.header
        if not peer.is_bound("admf", header.admf_identifier):
            raise Refusal(ErrorCode.ADMF_NOT_CERTIFIED)
        if header.admf_identifier != self.settings.admf:
            raise Refusal(ErrorCode.ADMF_UNEXPECTED)
        if header.ne_identifier != self.settings.ne:
            raise Refusal(ErrorCode.NE_UNEXPECTED)

    def _again(self, request: Request) -> Response | None:
        if type(request) not in _FAILED:
            return None
        try:
            return self._answers.find(request)
        except ValueError:
            raise Refusal(ErrorCode.GENERIC, "x1TransactionId: another request had it") from None

    def _answer(self, request: Request, draft: Draft) -> Response:
        handler = self._handlers.get(type(request))
        if handler is not None:
            return handler(request, draft)
        return interrogation.answer(
            request,
            draft.now.wall,
            interrogation.View(
                self.settings,
                self._tasks.held,
                tuple(each.details for each in self._kept.values()),
                self._faults,
                self._intercepted,
            ),
        )

    def _activate(self, request: Request, draft: Draft) -> Response:
        assert isinstance(request, x1.ActivateTaskRequest)
        return _acknowledged(request, self._tasks.activate(request, draft), draft)

    def _modify(self, request: Request, draft: Draft) -> Response:
        assert isinstance(request, x1.ModifyTaskRequest)
        held = self._tasks.modify(request, draft)
        if held.state is State.FAILED:
            return x1.acknowledgement(request, draft.now.wall)  # it brought a revocation, and that is done
        if held.state is State.ARMED and self._faults.forget(request.task.xid):
            draft.follow(TaskIssue(request.task.xid, TaskReportType.ALL_CLEAR, int(ErrorCode.CLEARED)))
        return _acknowledged(request, held, draft)

    def _deactivate(self, request: Request, draft: Draft) -> Response:
        assert isinstance(request, x1.DeactivateTaskRequest)
        if self._tasks.deactivate(request.xid, request.header.timestamp, draft) is None:
            raise Refusal(ErrorCode.XID_UNKNOWN)
        return x1.acknowledgement(request, draft.now.wall)

    def _deactivate_all(self, request: Request, draft: Draft) -> Response:
        if not self.settings.deactivate_all:
            raise Refusal(ErrorCode.DEACTIVATE_ALL_NOT_ENABLED)
        count = self._tasks.deactivate_all(request.header.timestamp, draft, Reason.ALL)
        draft.follow(NeIssue(NeIssueType.ALERT, f"DeactivateAllTasks: {count} tasks are dropped"))
        return x1.acknowledgement(request, draft.now.wall)

    def _ping(self, request: Request, draft: Draft) -> Response:
        return x1.acknowledgement(request, draft.now.wall)

    def _keepalive(self, request: Request, draft: Draft) -> Response:
        if not self.settings.keepalive:
            raise Refusal(ErrorCode.KEEPALIVE_UNSUPPORTED)
        return x1.acknowledgement(request, draft.now.wall)

    # Destinations

    def _create_destination(self, request: Request, draft: Draft) -> Response:
        assert isinstance(request, x1.CreateDestinationRequest)
        details, header = request.destination, request.header
        held = self._kept.get(details.did)
        if held is not None and (held.transaction, held.details) != (header.transaction_id, details):
            raise Refusal(ErrorCode.DID_EXISTS)
        if held is None:
            if len(self._kept) >= self.settings.destinations:
                raise Refusal(ErrorCode.CREATE_DESTINATION_FAILED, "no more destinations can be held")
            destinations.check(details, self.settings, ErrorCode.CREATE_DESTINATION_FAILED)
            self._keep(details, header, draft)
        return x1.acknowledgement(request, draft.now.wall)

    def _modify_destination(self, request: Request, draft: Draft) -> Response:
        assert isinstance(request, x1.ModifyDestinationRequest)
        details, header = request.destination, request.header
        held = self._kept.get(details.did)
        if held is None:
            raise Refusal(ErrorCode.DID_UNKNOWN)
        if header.timestamp < held.stamp:
            raise Refusal(ErrorCode.MODIFY_DESTINATION_FAILED, "messageTimestamp: before a later order")
        destinations.check(details, self.settings, ErrorCode.MODIFY_DESTINATION_FAILED)
        self._tasks.redirect(details, draft)
        self._keep(details, header, draft)
        return x1.acknowledgement(request, draft.now.wall)

    def _keep(self, details: x1.DestinationDetails, header: x1.Header, draft: Draft) -> None:
        draft.change(KeepDestination(details.did, Kept(details, header.transaction_id, header.timestamp)))
        draft.follow(DestinationSet(details))

    def _remove_destination(self, request: Request, draft: Draft) -> Response:
        assert isinstance(request, x1.RemoveDestinationRequest)
        if request.did not in self._kept:
            raise Refusal(ErrorCode.DID_UNKNOWN)
        if self._tasks.uses(request.did):
            raise Refusal(ErrorCode.DESTINATION_IN_USE)
        self._remove(request.did, draft)
        return x1.acknowledgement(request, draft.now.wall)

    def _remove_all_destinations(self, request: Request, draft: Draft) -> Response:
        if not self.settings.remove_all:
            raise Refusal(ErrorCode.REMOVE_ALL_NOT_ENABLED)
        if any(self._tasks.uses(did) for did in self._kept):
            raise Refusal(ErrorCode.DESTINATIONS_IN_USE)
        for did in self._kept:
            self._remove(did, draft)
        return x1.acknowledgement(request, draft.now.wall)

    def _remove(self, did: str, draft: Draft) -> None:
        draft.change(DropDestination(did))
        draft.follow(DestinationGone(did))


def _acknowledged(request: Request, held: Held, draft: Draft) -> Response:
    """Done, or begun: then a report follows when it is (6.2.1)."""
    ok = x1.Ok.COMPLETED if held.state is State.ARMED else x1.Ok.ACKNOWLEDGED
    return x1.acknowledgement(request, draft.now.wall, ok)
