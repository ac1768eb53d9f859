"""The tasks of an element: ordered, modified and ended by requests, begun and ended by warrants and by time.

No task is armed but within its window, under a warrant that holds, and after the ADMF was heard. In doubt it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct, structs

from imswire.x1 import (
    ActivateTaskRequest,
    DestinationDetails,
    ErrorCode,
    ModifyTaskRequest,
    NeIssueType,
    TaskDetails,
    TaskReportType,
    X1Error,
    signed_warrant,
)
from midcall.base.warrant import ClockGuard, Known, Refused, Revoked, Rule, TrustList, Verified
from midcall.base.x1_element.authorities import Authorities, digest
from midcall.base.x1_element.destinations import Lookup
from midcall.base.x1_element.draft import Draft
from midcall.base.x1_element.orders import Authority, dids, order
from midcall.base.x1_element.retries import Stops
from midcall.base.x1_element.settings import SECOND, Settings
from midcall.base.x1_element.values import (
    ClockRefusal,
    DropTask,
    Held,
    KeepKnown,
    KeepPlaced,
    KeepStops,
    KeepTask,
    NeIssue,
    Order,
    Reason,
    Refusal,
    RevokedRefusal,
    State,
    Step,
    TaskIssue,
)
from midcall.events import Instant

FAR = 3_600 * SECOND
"""With a clock that has jumped a task goes on only while both clocks see its end further away than that."""
_LIVE = (State.ARMED, State.NO_WARRANT, State.NOT_BEGUN, State.UNCONFIRMED)


class _Judged(Struct, frozen=True):
    """How a task stands at a moment."""

    state: State
    order: Order | None = None
    begins: Instant | None = None
    ends: Instant | None = None


class Tasks:
    """By XID. ``confirmed``: the ADMF was heard, so that what is to be armed is."""

    def __init__(
        self,
        settings: Settings,
        trust: TrustList,
        known: Mapping[str, Known],
        stops: int,
        lookup: Lookup,
        clock: ClockGuard,
    ) -> None:
        self._settings = settings
        self._lookup = lookup
        self._clock = clock
        self._authorities = Authorities(settings.element, trust, known, clock)
        self._stops = Stops(stops)
        self._held: dict[str, Held] = {}
        self._mono: int | None = None
        self._wall: int | None = None
        self._since = 0
        self.confirmed = False

    @property
    def held(self) -> Mapping[str, Held]:
        return MappingProxyType(self._held)

    @property
    def armed(self) -> int:
        return sum(each.state is State.ARMED for each in self._held.values())

    # What is asked

    def activate(self, request: ActivateTaskRequest, draft: Draft) -> Held:
        """Refusal."""
        details, header = request.task, request.header
        held = self._held.get(details.xid)
        if held is not None:
            if held.transaction == header.transaction_id and held.details == details:
                return held
            raise Refusal(ErrorCode.XID_EXISTS)
        if self._stops.late(details.xid, header.timestamp):
            raise Refusal(ErrorCode.ACTIVATE_FAILED, "messageTimestamp: before the task was ended")
        if len(self._held) >= self._settings.tasks:
            raise Refusal(ErrorCode.ACTIVATE_FAILED, "no more tasks can be held")
        judged = self._ordered(details, draft, ErrorCode.ACTIVATE_FAILED)
        held = _held(judged, details, header.transaction_id, header.timestamp, draft.now.wall, 0)
        draft.keep(held, None, Reason.MODIFIED)
        self._loudly(held, draft)
        return held

    def modify(self, request: ModifyTaskRequest, draft: Draft) -> Held:
        """Refusal."""
        details, header = request.task, request.header
        former = self._held.get(details.xid)
        if former is None:
            raise Refusal(ErrorCode.XID_UNKNOWN)
        if former.transaction == header.transaction_id and former.details == details:
            return former
        if header.timestamp < former.stamp:
            raise Refusal(ErrorCode.MODIFY_FAILED, "messageTimestamp: before a later order")
        try:
            judged = self._ordered(details, draft, ErrorCode.MODIFY_FAILED)
        except Refusal as refused:
            under = "" if former.order is None else former.order.warrant_id
            if isinstance(refused, RevokedRefusal) and refused.warrant == under:
                # As its ADMF wants it: X1 has no other message that brings a revocation. It is not armed again.
                ended = structs.replace(former, state=State.FAILED, why=Rule.REVOKED)
                draft.move(ended, former, Reason.WARRANT)
                return ended
            # The warrant that came with it may be one under which the task is another, or none.
            self._review(former, draft)
            raise
        count = former.modifications + 1
        held = _held(judged, details, header.transaction_id, header.timestamp, draft.now.wall, count)
        draft.keep(held, former, Reason.MODIFIED)
        self._loudly(held, draft)
        return held

    def deactivate(self, xid: str, stamp: int, draft: Draft) -> Held | None:
        """None: there was none. However late the request is, it is obeyed."""
        draft.change(KeepStops(max(self._stops.before, self._stops.stop(xid, stamp, draft.now.wall))))
        held = self._held.get(xid)
        if held is not None:
            draft.drop(held, Reason.ORDERED)
        return held

    def withdraw(self, xid: str, draft: Draft) -> None:
        """A task is gone without having been ended by its ADMF."""
        held = self._held.get(xid)
        if held is not None:
            draft.drop(held, Reason.FAULT)

    def deactivate_all(self, stamp: int, draft: Draft, reason: Reason) -> int:
        """How many there were."""
        draft.change(KeepStops(self._stops.all(stamp, draft.now.wall)))
        for held in self._held.values():
            draft.drop(held, reason)
        return len(self._held)

    def place(self, octets: bytes, draft: Draft) -> Verified | Revoked | Refused:
        """A warrant or a revocation that comes apart from a task."""
        outcome = self._take(octets, draft, None)
        if not isinstance(outcome, Refused) or outcome.begins is not None:
            draft.change(KeepPlaced(digest(octets), octets))
        return outcome

    def uses(self, did: str) -> bool:
        """Whether a task names a destination."""
        return any(did in dids(held.details) for held in self._held.values())

    def redirect(self, changed: DestinationDetails, draft: Draft) -> None:
        """A destination is about to be another one. Refusal (6001): a task that names it cannot be honoured then."""
        fail = ErrorCode.MODIFY_DESTINATION_FAILED

        def lookup(did: str) -> DestinationDetails | None:
            return changed if did == changed.did else self._lookup(did)

        for held in self._held.values():
            if held.state in _LIVE and changed.did in dids(held.details):
                try:
                    judged = self._judge(held.details, draft.now, fail, lookup=lookup)
                except Refusal as refused:
                    raise Refusal(fail, refused.detail or refused.code.text) from None
                draft.keep(_with(held, judged), held, Reason.WARRANT)

    def trust(self, trust: TrustList, draft: Draft) -> None:
        """Another trust list: what it does not approve of ends."""
        self._authorities.trust(trust)
        for held in self._held.values():
            self._review(held, draft)

    # What follows by itself

    def confirm(self, draft: Draft) -> None:
        """The ADMF was heard."""
        if not self.confirmed:
            self.confirmed = True
            for held in self._held.values():
                if held.state is State.UNCONFIRMED:
                    self._review(held, draft)

    def fail(self, xid: str, why: str, draft: Draft, reason: Reason) -> None:
        """A task cannot go on."""
        held = self._held[xid]
        draft.move(structs.replace(held, state=State.FAILED, why=why), held, reason)

    def jumped(self, draft: Draft) -> None:
        """The clock is not to be believed: what may end soon ends now."""
        for held in self._held.values():
            if held.state is State.ARMED and not _far(held, draft.now):
                self._lost(held, "the clock has jumped", draft, Reason.CLOCK)

    def due(self, now: Instant) -> bool:
        """Whether time alone brings something."""
        begins = self._authorities.next_begins()
        return (
            now.wall < self._since
            or (self._mono is not None and now.mono >= self._mono)
            or (self._wall is not None and now.wall >= self._wall)
            or (begins is not None and now.mono >= begins)
        )

    def next_deadline(self) -> int | None:
        """Monotonic ns."""
        found = [each for each in (self._mono, self._authorities.next_begins()) if each is not None]
        return min(found, default=None)

    def deadline(self, draft: Draft) -> None:
        """Windows that end or begin, and warrants that take over."""
        now = draft.now
        ended = {xid for xid, held in self._held.items() if _ended(held, now)}
        for xid in ended:
            self._end(self._held[xid], draft)
        for held in self._held.values():
            start = _start(held)
            if held.state is State.ARMED and start > now.wall and not draft.has(held.details.xid):
                # The wall clock went back over the beginning: what has begun has not.
                begins = Instant(start, now.mono + start - now.wall)
                draft.move(structs.replace(held, state=State.NOT_BEGUN, begins=begins), held, Reason.CLOCK_BACK)
        for identifier in self._authorities.begin(now):
            self._review_all(identifier, (), draft)
        for xid, held in self._held.items():
            if xid not in ended and held.state is State.NOT_BEGUN and held.begins and now.mono >= held.begins.mono:
                self._begin(held, held.begins, draft)

    def restore(self, tasks: tuple[Held, ...], placed: tuple[bytes, ...], draft: Draft) -> None:
        """After a restart every task is judged anew; one that does not hold stays, and is reported."""
        now = draft.now
        for octets in placed:
            self._authorities.take(octets, now, apart=True)
        for each in tasks:
            signed = _signed(each.details)
            if signed is not None:
                self._authorities.take(signed, now)
        for each in tasks:
            try:
                judged = self._judge(each.details, now, ErrorCode.ACTIVATE_FAILED)
            except Refusal as refused:
                draft.move(
                    structs.replace(each, state=State.FAILED, order=None, why=refused.detail), None, Reason.WARRANT
                )
                self._report(each, TaskReportType.TERMINATING_FAULT, refused.detail, draft)
                continue
            draft.move(_with(each, judged), None, Reason.WARRANT)

    # Applying

    def apply(self, step: Step) -> None:
        for change in step.changes:
            if isinstance(change, KeepTask):
                self._put(change.held)
            elif isinstance(change, DropTask):
                self._held.pop(change.xid, None)
                self._authorities.release(change.xid, self._held.keys())
            elif isinstance(change, KeepKnown):
                self._authorities.noted(change)
        for _, held in step.moves:
            self._put(held)

    def let_go(self, xid: str) -> None:
        """What came with a task that is not held: it was refused."""
        if xid not in self._held:
            self._authorities.release(xid, self._held.keys())

    def _put(self, held: Held) -> None:
        self._held[held.details.xid] = held
        if held.state is State.ARMED:
            self._since = max(self._since, _start(held))
        if held.state in _LIVE:
            if held.begins is not None and held.state is State.NOT_BEGUN:
                self._mono = _earlier(self._mono, held.begins.mono)
            if held.ends is not None:
                self._mono, self._wall = _earlier(self._mono, held.ends.mono), _earlier(self._wall, held.ends.wall)

    def settle(self) -> None:
        """Find out anew when something is due next."""
        self._mono = self._wall = None
        self._since = 0
        for held in list(self._held.values()):
            self._put(held)

    # Judging

    def _ordered(self, details: TaskDetails, draft: Draft, fail: ErrorCode) -> _Judged:
        """A task that is asked for, with the warrant that comes in it."""
        try:
            octets = signed_warrant(details.extensions)
        except X1Error as error:
            raise Refusal(fail, str(error)) from None
        fresh = None
        if octets is not None:
            outcome = self._take(octets, draft, details.xid)
            self._require(outcome, octets, details, fail)
            fresh = Authority(outcome, octets) if isinstance(outcome, Verified) else None
        return self._judge(details, draft.now, fail, fresh)

    def _require(self, outcome: object, octets: bytes, details: TaskDetails, fail: ErrorCode) -> None:
        """The warrant in a task has to be the task's."""
        if isinstance(outcome, Revoked):
            raise RevokedRefusal(fail, f"signed warrant: {Rule.REVOKED}", outcome.id)
        if isinstance(outcome, Refused):
            ahead = self._authorities.ahead(details.xid)
            if outcome.begins is None:
                raise Refusal(fail, f"signed warrant: {outcome.rule}")
            if ahead is None or ahead.octets != octets:
                raise Refusal(fail, "the signed warrant does not name this task")
        elif isinstance(outcome, Verified) and outcome.warrant.target(details.xid) is None:
            raise Refusal(fail, "the signed warrant does not name this task")

    def _judge(
        self,
        details: TaskDetails,
        now: Instant,
        fail: ErrorCode,
        fresh: Authority | None = None,
        lookup: Lookup | None = None,
    ) -> _Judged:
        """How a task stands now; ``fresh`` was verified a moment ago. Refusal: it cannot be honoured, or nothing
        allows it."""
        lookup = lookup or self._lookup
        signed, mode = _signed(details) is not None, self._settings.unsigned
        if not signed and mode == "refuse":
            raise Refusal(fail, "no signed warrant")
        if not signed and mode == "accept":
            if not self._clock.steady(now):
                raise ClockRefusal(fail, Rule.CLOCK)
            return self._windowed(order(details, lookup, self._settings, None, fail), now, fail)
        found = fresh or self._authorities.of(details.xid, now)
        if isinstance(found, Authority):
            return self._windowed(order(details, lookup, self._settings, found, fail), now, fail)
        if found.rule is Rule.CLOCK:
            raise ClockRefusal(fail, f"signed warrant: {found.rule}")
        ahead = self._authorities.ahead(details.xid)
        if ahead is not None:
            return self._windowed(order(details, lookup, self._settings, ahead, fail), now, fail)
        if signed:
            raise Refusal(fail, f"signed warrant: {found.rule}")
        order(details, lookup, self._settings, None, fail, pending=True)
        return _Judged(State.NO_WARRANT)

    def _windowed(self, made: Order, now: Instant, fail: ErrorCode) -> _Judged:
        start, end = made.task.start, made.task.end
        begins = None if start is None or start <= now.wall else Instant(start, now.mono + start - now.wall)
        ends = None if end is None else Instant(end, now.mono + end - now.wall)
        if ends is not None and now.wall >= ends.wall:
            raise Refusal(fail, "EndTime: over")
        if begins is not None:
            return _Judged(State.NOT_BEGUN, made, begins, ends)
        return _Judged(State.ARMED if self.confirmed else State.UNCONFIRMED, made, None, ends)

    def _take(self, octets: bytes, draft: Draft, xid: str | None) -> Verified | Revoked | Refused:
        """Note a warrant; other tasks under it are looked at again. ``xid`` is the one that is being asked for."""
        outcome = self._authorities.take(octets, draft.now, apart=xid is None)
        if isinstance(outcome, Refused):
            if outcome.begins is not None and xid is None:
                self._review_waiting(draft)
            return outcome
        identifier = outcome.warrant.id if isinstance(outcome, Verified) else outcome.id
        news = self._authorities.news(identifier)
        named = tuple(each.xid for each in outcome.warrant.targets) if isinstance(outcome, Verified) else ()
        if news is not None or xid is None:
            draft.change(news)
            self._review_all(identifier, named, draft, xid)
        return outcome

    def _review_all(self, identifier: str, named: tuple[str, ...], draft: Draft, apart: str | None = None) -> None:
        for xid, held in self._held.items():
            under = held.order is not None and held.order.warrant_id == identifier
            if xid != apart and (under or xid in named):
                self._review(held, draft)

    def _review_waiting(self, draft: Draft) -> None:
        for held in self._held.values():
            if held.state is State.NO_WARRANT:
                self._review(held, draft)

    def _review(self, held: Held, draft: Draft) -> None:
        """Whether a task still stands as it did."""
        if held.state not in _LIVE or draft.has(held.details.xid):
            return
        now, xid = draft.now, held.details.xid
        try:
            judged = self._judge(held.details, now, ErrorCode.ACTIVATE_FAILED)
        except Refusal as refused:
            if isinstance(refused, ClockRefusal) and held.state is State.ARMED and _far(held, now):
                return
            self._lost(held, refused.detail, draft, Reason.WARRANT)
            return
        draft.change(None if judged.order is None else self._authorities.news(judged.order.warrant_id))
        if judged.state is State.NO_WARRANT and held.state is State.ARMED:
            self._report(held, TaskReportType.TERMINATING_FAULT, Reason.WARRANT, draft)
        if judged.state is State.ARMED and held.state in (State.NO_WARRANT, State.NOT_BEGUN):
            draft.follow(TaskIssue(xid, TaskReportType.SUCCESSFUL, int(ErrorCode.ACTIONED)))
        turned = _with(held, judged)
        draft.move(turned, held, Reason.WARRANT)
        if held.state is not State.ARMED:
            self._loudly(turned, draft)

    def _begin(self, held: Held, begins: Instant, draft: Draft) -> None:
        now = draft.now
        if draft.has(held.details.xid):
            return
        if now.wall >= begins.wall:
            self._review(held, draft)
        else:
            # One clock alone says so: asked again when the other has to.
            later = Instant(begins.wall, now.mono + begins.wall - now.wall)
            draft.move(structs.replace(held, begins=later), held, Reason.MODIFIED)

    def _end(self, held: Held, draft: Draft) -> None:
        xid = held.details.xid
        if draft.has(xid):
            return
        if held.details.implicit_deactivation_allowed:
            draft.drop(held, Reason.ENDED)
            draft.follow(TaskIssue(xid, TaskReportType.IMPLICIT_DEACTIVATION))
            return
        draft.move(structs.replace(held, state=State.ENDED), held, Reason.ENDED)
        self._report(held, TaskReportType.WARNING, Reason.ENDED, draft)

    def _lost(self, held: Held, why: str, draft: Draft, reason: Reason) -> None:
        """Nothing allows it any more."""
        draft.move(structs.replace(held, state=State.FAILED, why=why), held, reason)
        waited = held.state in (State.NO_WARRANT, State.NOT_BEGUN)
        self._report(held, TaskReportType.UNSUCCESSFUL if waited else TaskReportType.TERMINATING_FAULT, why, draft)

    def _report(self, held: Held, report: TaskReportType, why: str, draft: Draft) -> None:
        codes = {
            TaskReportType.WARNING: ErrorCode.WARNING,
            TaskReportType.TERMINATING_FAULT: ErrorCode.TERMINATING_FAULT,
        }
        draft.follow(TaskIssue(held.details.xid, report, int(codes.get(report, ErrorCode.ACTIONED)), str(why)))

    def _loudly(self, held: Held, draft: Draft) -> None:
        """Who intercepts on an ADMF's word alone says so each time."""
        if held.state is State.ARMED and held.order is not None and held.order.warrant is None:
            text = "a task is armed without a signed warrant"
            draft.follow(NeIssue(NeIssueType.ALERT, text, int(ErrorCode.WARNING)))


def _held(judged: _Judged, details: TaskDetails, transaction: str, stamp: int, at: int, count: int) -> Held:
    return _with(Held(details, transaction, stamp, at, count), judged)


def _with(held: Held, judged: _Judged) -> Held:
    return structs.replace(held, state=judged.state, order=judged.order, begins=judged.begins, ends=judged.ends, why="")


def _signed(details: TaskDetails) -> bytes | None:
    try:
        return signed_warrant(details.extensions)
    except X1Error:
        return None


def _ended(held: Held, now: Instant) -> bool:
    ends = held.ends
    return held.state in _LIVE and ends is not None and (now.wall >= ends.wall or now.mono >= ends.mono)


def _start(held: Held) -> int:
    """When its window begins (wall ns; 0: it is open)."""
    return (held.order.task.start or 0) if held.order is not None else 0


def _far(held: Held, now: Instant) -> bool:
    ends = held.ends
    return ends is not None and min(ends.wall - now.wall, ends.mono - now.mono) > FAR


def _earlier(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)
