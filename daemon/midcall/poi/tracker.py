"""Follows calls: which dialogs run, what they agreed, when they are over. Knows no task and no target."""

from __future__ import annotations

from typing import NamedTuple

from midcall.base.bounded import BoundedTable
from midcall.events import Instant, Kept, Side
from midcall.poi.calls import CallTable
from midcall.poi.dialog import Call, Dialog, State, Subject
from midcall.poi.heard import Heard
from midcall.poi.limits import PoiLimits
from midcall.poi.offer_answer import transaction

# Requests that may carry an offer or an answer (RFC 6337 2.2).
NEGOTIATING = frozenset({"INVITE", "ACK", "PRACK", "UPDATE"})
# Requests that name a fork whose first response nobody saw; not ACK, which also follows a refusal.
OPENING = frozenset({"INVITE", "PRACK", "UPDATE"})
# Requests that show a dialog whose beginning nobody saw.
JOINING = frozenset({"INVITE", "UPDATE"})
# Answers to a BYE that say that the peer has no such dialog (RFC 3261 15.1.1); others leave it as it is.
BYE_GONE = frozenset({408, 481})
# Answers to an INVITE after which the caller tries again in the same call (RFC 3261 8.1.3.5).
TRY_AGAIN = frozenset({401, 407, 413, 415, 416, 420, 422, 491, 494, 503})
# Later than any deadline (monotonic ns).
NEVER = 1 << 63


class Ended(NamedTuple):
    """A dialog, or a call that never became one, is over and forgotten."""

    subject: Subject
    reason: str


class Tracked:
    """What one message meant: the call and fork it belongs to, and what it changed."""

    __slots__ = ("call", "dialog", "ended", "opened", "session_changed", "side")

    def __init__(self, call: Call, side: Side, ended: list[Ended]) -> None:
        self.call = call
        self.dialog: Dialog | None = None
        self.side = side
        self.session_changed = False
        self.opened = False
        self.ended = ended


class _Closing(NamedTuple):
    """A dialog that ends at ``due`` (monotonic ns) unless something happens before."""

    due: int
    call: Call
    dialog: Dialog


class Tracker:
    """RFC 3261 12 dialogs with RFC 3264 negotiation, from copies of the messages that passed."""

    def __init__(self, limits: PoiLimits) -> None:
        self.limits = limits
        self.calls = CallTable(limits)
        self._closing: BoundedTable[_Closing, _Closing] = BoundedTable("poi.closing", limits.calls)
        self._evicted: list[Ended] = []
        self._aged: list[Call] = []
        # Before this (monotonic ns) nothing is due: often the time of something that will not happen any more.
        self.not_before = NEVER

    def find(self, heard: Heard) -> Call | None:
        return self.calls.find(heard.call_id, heard.from_tag, heard.to_tag)

    def opens(self, heard: Heard) -> bool:
        """Whether the message begins a call, or shows one whose beginning nobody saw."""
        if not heard.is_request or heard.method not in JOINING or not heard.from_tag:
            return False
        if heard.to_tag:
            return heard.described
        return heard.method == "INVITE"

    def open(self, heard: Heard, correlation: bytes) -> Call:
        at = heard.seen.at
        call = Call(
            call_id=heard.call_id,
            caller_tag=heard.from_tag,
            correlation=correlation,
            invited_at=at,
            octets=0 if heard.described else len(heard.kept.octets),
            number=heard.number,
            kept_at=at.mono,
        )
        for gone in self.calls.add(call):
            self._forget(gone, "evicted", self._evicted)
        self._awake(at.mono + self.limits.unanswered)
        if self.limits.max_age is not None:
            self._awake(at.mono + self.limits.max_age)
        return call

    def message(self, call: Call, heard: Heard) -> Tracked:
        """Take in one message of ``call``."""
        tracked = Tracked(call, call.side(heard.from_tag), self._take_evicted())
        if heard.is_request and heard.method == "INVITE" and not heard.to_tag:
            self._opening(tracked, heard)
            return tracked
        forks = call.dialogs
        callee_tag = heard.to_tag if tracked.side is Side.CALLER else heard.from_tag
        tracked.dialog = self._dialog(call, heard, callee_tag, tracked.ended)
        tracked.opened = tracked.dialog is not None and tracked.dialog not in forks
        if heard.is_request:
            self._request(tracked, heard)
        else:
            self._response(tracked, heard)
        return tracked

    def next_deadline(self) -> int | None:
        """Monotonic ns of the next thing that time alone brings; None when there is nothing."""
        oldest, closing = self.calls.oldest_unanswered(), self._closing.oldest()
        times = [
            NEVER if oldest is None else oldest.invited_at.mono + self.limits.unanswered,
            NEVER if closing is None else closing.due,
            self.calls.ages_at or NEVER,
        ]
        return None if (first := min(times)) == NEVER else first

    def due(self, mono: int) -> bool:
        """Whether :meth:`deadline` may have anything to do at this monotonic time (ns)."""
        return mono >= self.not_before or bool(self._evicted)

    def deadline(self, now: Instant) -> list[Ended]:
        """Whatever is due: BYEs without answer, forks that were left behind, calls that never came about."""
        ended = self._take_evicted()
        while (closing := self._closing.oldest()) is not None and closing.due <= now.mono:
            self._closing.pop(closing)
            self._close(closing, ended)
        while (oldest := self.calls.oldest_unanswered()) is not None:
            if oldest.invited_at.mono + self.limits.unanswered > now.mono:
                break
            self._forget(oldest, "never answered", ended)
        self._aged += self.calls.age(now.mono)
        self.not_before = self.next_deadline() or NEVER
        return ended

    def take_aged(self) -> list[Call]:
        """Calls of which what was kept has become too old, since the last time."""
        aged, self._aged = self._aged, []
        return aged

    def released(self, call: Call) -> None:
        """Nobody follows a call any more: it ages as others do, and may be evicted."""
        self.calls.released(call)
        if self.limits.max_age is not None:
            self._awake(call.kept_at + self.limits.max_age)

    def _awake(self, due: int) -> None:
        self.not_before = min(self.not_before, due)

    # Messages

    def _opening(self, tracked: Tracked, heard: Heard) -> None:
        """The initial INVITE, a copy of it (retransmission, other leg), or another try after a challenge."""
        call = tracked.call
        if heard.number > call.number:
            for dialog in call.dialogs:
                if dialog.state is State.EARLY:
                    self._drop(call, dialog, "tried again", tracked.ended, keep_call=True)
            call.number, call.offer, call.first_branch = heard.number, None, ""
        if not call.first_branch:
            call.first_branch = heard.branch
        if call.offer is None and heard.number == call.number and heard.described:
            call.offer = self._keep(call, heard)
            tracked.session_changed = call.offer is not None

    def _dialog(self, call: Call, heard: Heard, callee_tag: str, ended: list[Ended]) -> Dialog | None:
        """The fork that the message belongs to, opened by the first message that names it."""
        if not callee_tag:
            return None
        dialog = call.dialog(callee_tag)
        if dialog is not None:
            return dialog
        opens = heard.method in OPENING if heard.is_request else heard.method == "INVITE" and 100 < heard.status < 300
        if opens and len(call.dialogs) >= self.limits.forks and (heard.described or heard.status >= 200):
            self._make_room(call, ended)
        return call.fork(callee_tag, self.limits) if opens else None

    def _make_room(self, call: Call, ended: list[Ended]) -> None:
        """Whoever is called can ring in as many names as he likes before he answers in one more: an early fork goes,
        the oldest, of those that have agreed nothing if there are any.
        """
        early = [each for each in call.dialogs if each.state is State.EARLY]
        if early:
            gone = next((each for each in early if each.negotiation.current is None), early[0])
            self._drop(call, gone, "crowded out", ended, keep_call=True)

    def _request(self, tracked: Tracked, heard: Heard) -> None:
        call, dialog = tracked.call, tracked.dialog
        if dialog is None:
            return
        if heard.method == "BYE":
            self._ending(call, dialog, heard.seen.at)
            return
        if dialog.state is State.EARLY and heard.method == "INVITE":
            self._confirm(call, dialog, heard.seen.at)
        if heard.method not in NEGOTIATING or not heard.described:
            return
        kept = self._keep(call, heard)
        if kept is None:
            return
        round_ = dialog.negotiation.request(transaction(tracked.side, heard.method, heard.number), kept)
        if round_ is not None:
            dialog.agreed(round_, self.limits)
        tracked.session_changed = True

    def _response(self, tracked: Tracked, heard: Heard) -> None:
        """From and To of a response are its request's, so ``tracked.side`` sent the request."""
        status, dialog, call = heard.status, tracked.dialog, tracked.call
        initial = (
            heard.method == "INVITE"
            and tracked.side is Side.CALLER
            and heard.number == call.number
            and (dialog is None or dialog.state is State.EARLY)
        )
        if initial and status >= 300:
            self._invite_failed(tracked, heard)
        elif dialog is None or status <= 100:
            return
        elif heard.method == "BYE":
            self._bye_answered(call, dialog, status, tracked.ended)
        elif heard.method in NEGOTIATING:
            self._negotiated(tracked, dialog, heard)
            if initial and status >= 200:
                self._confirm(call, dialog, heard.seen.at)
                tracked.session_changed = True

    def _negotiated(self, tracked: Tracked, dialog: Dialog, heard: Heard) -> None:
        kept = self._keep(tracked.call, heard) if heard.status < 300 and heard.described else None
        made = transaction(tracked.side, heard.method, heard.number)
        before = dialog.negotiation.waiting
        round_ = dialog.negotiation.response(made, heard.status, kept)
        if round_ is not None:
            dialog.agreed(round_, self.limits)
        tracked.session_changed = round_ is not None or dialog.negotiation.waiting != before

    def _keep(self, call: Call, heard: Heard) -> Kept | None:
        """The message as the cache keeps it; None when the call has used up its share."""
        seen = heard.kept
        if call.octets + len(seen.octets) > self.limits.octets_of_a_call:
            # What was replaced since is not kept any more.
            self.calls.grew(call, call.kept_octets(self.limits) - call.octets)
            if call.octets + len(seen.octets) > self.limits.octets_of_a_call:
                return None
        for gone in self.calls.grew(call, len(seen.octets)):
            self._forget(gone, "evicted", self._evicted)
        self.calls.kept(call, seen.at.mono)
        if self.limits.max_age is not None:
            self._awake(seen.at.mono + self.limits.max_age)
        return Kept(seen.octets, seen.at, seen.frame, seen.authenticated)

    # Life of a dialog

    def _confirm(self, call: Call, dialog: Dialog, now: Instant) -> None:
        dialog.state = State.CONFIRMED
        self.calls.answered(call)
        for other in call.dialogs:
            if other.state is State.EARLY:
                self._close_later(call, other, now)

    def _ending(self, call: Call, dialog: Dialog, now: Instant) -> None:
        if dialog.state in (State.EARLY, State.CONFIRMED):
            dialog.state = State.ENDING
            self._close_later(call, dialog, now)

    def _close_later(self, call: Call, dialog: Dialog, now: Instant) -> None:
        dialog.due = now.mono + self.limits.transaction
        closing = _Closing(dialog.due, call, dialog)
        gone = self._closing.put(closing, closing)
        if gone is not None:
            self._close(gone, self._evicted)
        self._awake(dialog.due)

    def _close(self, closing: _Closing, ended: list[Ended]) -> None:
        """Its time is over, unless a later BYE, or another reason to wait, has a time of its own."""
        dialog = closing.dialog
        if dialog.due == closing.due and dialog.state in (State.EARLY, State.ENDING):
            self._drop(closing.call, dialog, "no answer", ended)

    def _bye_answered(self, call: Call, dialog: Dialog, status: int, ended: list[Ended]) -> None:
        if status < 200 or dialog.state is not State.ENDING:
            return
        if status < 300 or status in BYE_GONE:
            self._drop(call, dialog, "BYE", ended)
        else:
            dialog.state = State.CONFIRMED

    def _invite_failed(self, tracked: Tracked, heard: Heard) -> None:
        """A final failure of the initial INVITE: of one fork, or, on the caller's leg, of the whole call."""
        call, reason = tracked.call, f"refused with {heard.status}"
        if tracked.dialog is not None:
            self._drop(call, tracked.dialog, reason, tracked.ended, keep_call=True)
        upstream = heard.branch == call.first_branch
        if upstream and not call.confirmed and heard.status not in TRY_AGAIN:
            self._forget(call, reason, tracked.ended)

    def _drop(self, call: Call, dialog: Dialog, reason: str, ended: list[Ended], *, keep_call: bool = False) -> None:
        left = tuple(each for each in call.dialogs if each is not dialog)
        if len(left) == len(call.dialogs):
            return
        call.dialogs = left
        dialog.state = State.ENDED
        if dialog.due:
            self._closing.pop(_Closing(dialog.due, call, dialog))
        ended.append(Ended(Subject(call, dialog), reason))
        if not call.dialogs and not keep_call:
            self._forget(call, reason, ended)

    def _forget(self, call: Call, reason: str, ended: list[Ended]) -> None:
        self.calls.remove(call)
        for dialog in call.dialogs:
            self._drop(call, dialog, reason, ended, keep_call=True)
        ended.append(Ended(Subject(call), reason))

    def _take_evicted(self) -> list[Ended]:
        if not self._evicted:
            return []
        evicted, self._evicted = self._evicted, []
        return evicted
