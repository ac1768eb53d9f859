"""Follows calls: which dialogs run, what they agreed, when they are over. Knows no task and no target."""

from __future__ import annotations

from collections import deque

from msgspec import Struct

from imswire import sip
from midcall.events import Instant, Kept, Side, SipSeen
from midcall.poi.calls import CallTable
from midcall.poi.dialog import Call, Dialog, State
from midcall.poi.limits import PoiLimits
from midcall.poi.offer_answer import Transaction

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

Subject = Call | Dialog


class Ended(Struct, frozen=True):
    """A dialog, or a call that never became one, is over and forgotten."""

    subject: Subject
    reason: str


class Tracked(Struct):
    """What one message meant: the call and fork it belongs to, and what it changed."""

    call: Call
    dialog: Dialog | None = None
    side: Side = Side.CALLER
    session_changed: bool = False
    opened: bool = False
    ended: list[Ended] = []


class Tracker:
    """RFC 3261 12 dialogs with RFC 3264 negotiation, from copies of the messages that passed."""

    def __init__(self, limits: PoiLimits) -> None:
        self.limits = limits
        self.calls = CallTable(limits)
        self._closing: deque[tuple[int, Dialog]] = deque()
        self._evicted: list[Ended] = []
        self._aged: list[Call] = []

    def find(self, message: sip.SipMessage, from_tag: str, to_tag: str) -> Call | None:
        return self.calls.find(message.call_id, from_tag, to_tag)

    def opens(self, message: sip.SipMessage, from_tag: str, to_tag: str) -> bool:
        """Whether the message begins a call, or shows one whose beginning nobody saw."""
        if not message.is_request or not from_tag or message.method not in JOINING:
            return False
        if to_tag:
            return message.sdp is not None
        return message.method == "INVITE"

    def open(self, message: sip.SipMessage, seen: SipSeen, from_tag: str, correlation: bytes) -> Call:
        call = Call(message.call_id, from_tag, correlation, Kept(seen.octets, seen.at, seen.frame, seen.authenticated))
        call.number = message.cseq.number
        for gone in self.calls.add(call):
            self._forget(gone, "evicted", self._evicted)
        return call

    def message(self, call: Call, message: sip.SipMessage, seen: SipSeen, from_tag: str, to_tag: str) -> Tracked:
        """Take in one message of ``call``."""
        side = call.side(from_tag)
        tracked = Tracked(call, side=side, ended=self._take_evicted())
        if message.is_request and message.method == "INVITE" and not to_tag:
            self._opening(tracked, message, seen)
            return tracked
        forks = len(call.dialogs)
        tracked.dialog = self._dialog(call, message, to_tag if side is Side.CALLER else from_tag)
        tracked.opened = len(call.dialogs) > forks
        if message.is_request:
            self._request(tracked, message, seen)
        else:
            self._response(tracked, message, seen)
        return tracked

    def next_deadline(self) -> int | None:
        """Monotonic ns of the next thing that time alone brings; None when there is nothing."""
        times = [self._closing[0][0]] if self._closing else []
        oldest, ages = self.calls.oldest_unanswered(), self.calls.ages_at
        if oldest is not None:
            times.append(oldest.invited_at.mono + self.limits.unanswered)
        if ages is not None:
            times.append(ages)
        return min(times, default=None)

    def due(self, mono: int) -> bool:
        """Whether :meth:`deadline` has anything to do at this monotonic time (ns)."""
        if self._evicted or (self._closing and self._closing[0][0] <= mono):
            return True
        ages = self.calls.ages_at
        if ages is not None and ages <= mono:
            return True
        oldest = self.calls.oldest_unanswered()
        return oldest is not None and oldest.invited_at.mono + self.limits.unanswered <= mono

    def deadline(self, now: Instant) -> list[Ended]:
        """Whatever is due: BYEs without answer, forks that were left behind, calls that never came about."""
        ended = self._take_evicted()
        while self._closing and self._closing[0][0] <= now.mono:
            due, dialog = self._closing.popleft()
            # A later BYE, or another reason to wait, has a time of its own.
            if dialog.due == due and dialog.state in (State.EARLY, State.ENDING):
                self._drop(dialog, "no answer", ended)
        while (oldest := self.calls.oldest_unanswered()) is not None:
            if oldest.invited_at.mono + self.limits.unanswered > now.mono:
                break
            self._forget(oldest, "never answered", ended)
        self._aged += self.calls.age(now.mono)
        return ended

    def take_aged(self) -> list[Call]:
        """Calls of which what was kept has become too old, since the last time."""
        aged, self._aged = self._aged, []
        return aged

    # Messages

    def _opening(self, tracked: Tracked, message: sip.SipMessage, seen: SipSeen) -> None:
        """The initial INVITE, a copy of it (retransmission, other leg), or another try after a challenge."""
        call, number = tracked.call, message.cseq.number
        if number > call.number:
            for dialog in list(call.dialogs.values()):
                if dialog.state is State.EARLY:
                    self._drop(dialog, "tried again", tracked.ended, keep_call=True)
            call.number, call.offer, call.first_branch = number, None, ""
        if not call.first_branch:
            call.first_branch = _branch(message)
        if call.offer is None and number == call.number and message.sdp is not None:
            kept = self._keep(call, seen)
            if kept is not None:
                call.offer = (Transaction(Side.CALLER, "INVITE", number), kept)
                tracked.session_changed = True

    def _dialog(self, call: Call, message: sip.SipMessage, callee_tag: str) -> Dialog | None:
        """The fork that the message belongs to, opened by the first message that names it."""
        if not callee_tag:
            return None
        dialog = call.dialogs.get(callee_tag)
        if dialog is not None:
            return dialog
        if message.is_request:
            opens = message.method in OPENING
        else:
            opens = message.method == "INVITE" and 100 < (message.status or 0) < 300
        return call.fork(callee_tag, self.limits) if opens else None

    def _request(self, tracked: Tracked, message: sip.SipMessage, seen: SipSeen) -> None:
        dialog = tracked.dialog
        if dialog is None:
            return
        if message.method == "BYE":
            self._ending(dialog, seen.at)
            return
        if dialog.state is State.EARLY and message.method == "INVITE":
            self._confirm(dialog, seen.at)
        if message.method not in NEGOTIATING or message.sdp is None:
            return
        kept = self._keep(dialog.call, seen)
        if kept is None:
            return
        round_ = dialog.negotiation.request(Transaction(tracked.side, message.method, message.cseq.number), kept)
        if round_ is not None:
            dialog.agreed(round_, self.limits)
        tracked.session_changed = True

    def _response(self, tracked: Tracked, message: sip.SipMessage, seen: SipSeen) -> None:
        """From and To of a response are its request's, so ``tracked.side`` sent the request."""
        status, dialog, call = message.status or 0, tracked.dialog, tracked.call
        initial = (
            message.method == "INVITE"
            and tracked.side is Side.CALLER
            and message.cseq.number == call.number
            and (dialog is None or dialog.state is State.EARLY)
        )
        if initial and status >= 300:
            self._invite_failed(tracked, message)
        elif dialog is None or status <= 100:
            return
        elif message.method == "BYE":
            self._bye_answered(dialog, status, tracked.ended)
        elif message.method in NEGOTIATING:
            self._negotiated(tracked, dialog, message, seen)
            if initial and status >= 200:
                self._confirm(dialog, seen.at)
                tracked.session_changed = True

    def _negotiated(self, tracked: Tracked, dialog: Dialog, message: sip.SipMessage, seen: SipSeen) -> None:
        status = message.status or 0
        kept = self._keep(dialog.call, seen) if status < 300 and message.sdp is not None else None
        transaction = Transaction(tracked.side, message.method, message.cseq.number)
        before = dialog.negotiation.pending
        round_ = dialog.negotiation.response(transaction, status, kept)
        if round_ is not None:
            dialog.agreed(round_, self.limits)
        tracked.session_changed = round_ is not None or dialog.negotiation.pending != before

    def _keep(self, call: Call, seen: SipSeen) -> Kept | None:
        """The message as the cache keeps it; None when the call has used up its share."""
        if call.octets + len(seen.octets) > self.limits.octets_of_a_call:
            return None
        for gone in self.calls.grew(call, len(seen.octets)):
            self._forget(gone, "evicted", self._evicted)
        self.calls.kept(call, seen.at.mono)
        return Kept(seen.octets, seen.at, seen.frame, seen.authenticated)

    # Life of a dialog

    def _confirm(self, dialog: Dialog, now: Instant) -> None:
        dialog.state = State.CONFIRMED
        self.calls.answered(dialog.call)
        for other in dialog.call.dialogs.values():
            if other.state is State.EARLY:
                self._close_later(other, now)

    def _ending(self, dialog: Dialog, now: Instant) -> None:
        if dialog.state in (State.EARLY, State.CONFIRMED):
            dialog.state = State.ENDING
            self._close_later(dialog, now)

    def _close_later(self, dialog: Dialog, now: Instant) -> None:
        dialog.due = now.mono + self.limits.transaction
        self._closing.append((dialog.due, dialog))

    def _bye_answered(self, dialog: Dialog, status: int, ended: list[Ended]) -> None:
        if status < 200 or dialog.state is not State.ENDING:
            return
        if status < 300 or status in BYE_GONE:
            self._drop(dialog, "BYE", ended)
        else:
            dialog.state = State.CONFIRMED

    def _invite_failed(self, tracked: Tracked, message: sip.SipMessage) -> None:
        """A final failure of the initial INVITE: of one fork, or, on the caller's leg, of the whole call."""
        call, reason = tracked.call, f"refused with {message.status}"
        if tracked.dialog is not None:
            self._drop(tracked.dialog, reason, tracked.ended, keep_call=True)
        upstream = _branch(message) == call.first_branch
        if upstream and not call.confirmed and message.status not in TRY_AGAIN:
            self._forget(call, reason, tracked.ended)

    def _drop(self, dialog: Dialog, reason: str, ended: list[Ended], *, keep_call: bool = False) -> None:
        call = dialog.call
        if call.dialogs.pop(dialog.callee_tag, None) is None:
            return
        dialog.state = State.ENDED
        ended.append(Ended(dialog, reason))
        if not call.dialogs and not keep_call:
            self._forget(call, reason, ended)

    def _forget(self, call: Call, reason: str, ended: list[Ended]) -> None:
        self.calls.remove(call)
        for dialog in list(call.dialogs.values()):
            self._drop(dialog, reason, ended, keep_call=True)
        ended.append(Ended(call, reason))

    def _take_evicted(self) -> list[Ended]:
        if not self._evicted:
            return []
        evicted, self._evicted = self._evicted, []
        return evicted


def _branch(message: sip.SipMessage) -> str:
    """The branch of the topmost Via: which leg of the INVITE this message belongs to."""
    return message.top_branch or ""
