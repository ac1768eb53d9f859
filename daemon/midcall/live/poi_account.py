"""Calls under tasks as the point of interception saw them: matched, their session, their tickets, what was sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from imswire import sdp, sip
from midcall.events import (
    DialogFault,
    DialogReleased,
    Kept,
    SessionReport,
    SipReport,
    StartOfInterception,
    X2Event,
)
from midcall.live.accounts import Accounts, Forks, is_authenticated, note
from midcall.live.ladder import Fork, Reason, Rung, State, TaskLadder, many, moment, unauthenticated

_NO_TICKET = (
    "no MIKEY-TICKET exchange is kept: none was seen, its storage time is over, or the media are keyed otherwise "
    "(a=crypto counts with keep_sdes only)"
)


class X2State(Struct, frozen=True):
    """The link to the DF: whether it is up, why not, and octets that are not proved."""

    is_up: bool
    fault: str
    queued: int


class _Session(Struct, frozen=True):
    """What the last report of a session showed. ``secure``: its encrypted m-lines; ``keyed``: those with a=crypto."""

    offered: bool
    answered: bool
    lines: int
    secure: int
    keyed: int
    exchanges: int
    responses: int


class _Fork:
    __slots__ = ("ended", "faults", "session")

    def __init__(self) -> None:
        self.session: _Session | None = None
        self.faults: list[str] = []
        self.ended = ""


class _Account:
    """One call under one task."""

    __slots__ = ("events", "forks", "mid_call", "since", "unauthenticated")

    def __init__(self) -> None:
        self.since = 0
        self.events = self.unauthenticated = 0
        self.mid_call = False
        self.forks: Forks[_Fork] = Forks(_Fork)


class PoiAccounts:
    """Told of every X2 event, after it was sent."""

    def __init__(self) -> None:
        self._accounts: Accounts[_Account] = Accounts(_Account)

    def note(self, events: Iterable[X2Event]) -> None:
        for event in events:
            if event.dialog is None:
                continue
            account = self._accounts.of(event.dialog.call_id, event.xid)
            fork = account.forks.of(event.dialog)
            account.since = account.since or (event.seen.at if isinstance(event, SipReport) else event.at).wall
            if isinstance(event, SipReport | StartOfInterception):
                account.events += 1
                account.unauthenticated += not is_authenticated(event)
                account.mid_call |= isinstance(event, StartOfInterception)
            elif isinstance(event, SessionReport):
                fork.session = _session(event)
            elif isinstance(event, DialogFault):
                note(fork.faults, event.reason)
            elif isinstance(event, DialogReleased):
                fork.ended = event.reason

    def ended(self, xid: str) -> None:
        """The task is over."""
        self._accounts.ended(xid)

    def explain(self, call_id: str, x2: Callable[[str], X2State]) -> tuple[TaskLadder, ...]:
        """The ladder of a call, one a task; empty for a call that is under none. ``x2``: the link of a task, by XID."""
        return tuple(
            TaskLadder(
                xid,
                account.mid_call,
                tuple(
                    Fork(number, tuple(_rungs(account, fork, x2(xid))))
                    for number, (_, fork) in enumerate(account.forks.items(), 1)
                ),
            )
            for xid, account in self._accounts.find(call_id).items()
        )


def _session(report: SessionReport) -> _Session:
    offer, answer = _lines(report.offer), _lines(report.answer)
    live = [line for line in (answer if answer is not None else offer or ()) if not line.rejected]
    return _Session(
        offered=offer is not None,
        answered=answer is not None,
        lines=len(live),
        secure=sum(line.secure for line in live),
        keyed=sum(line.secure and bool(line.crypto) for line in live),
        exchanges=len(report.exchanges),
        responses=sum(each.response is not None for each in report.exchanges),
    )


def _lines(kept: Kept | None) -> tuple[sdp.Media, ...] | None:
    """The m-lines of a message; None: it has no description that can be read."""
    if kept is None:
        return None
    try:
        body = sip.parse(kept.octets).sdp
        return None if body is None else sdp.parse(body).media
    except (sip.SipError, sdp.SdpError):
        return None


def _rungs(account: _Account, fork: _Fork, x2: X2State) -> Iterable[Rung]:
    how = "it ran already" if account.mid_call else "from its first message on"
    yield Rung("matched", State.DONE, f"under the task since {moment(account.since)}, {how}")
    yield _session_rung(fork.session)
    yield _ticket_rung(fork.session)
    if fork.faults:
        yield Rung("readable", State.MISSING, "; ".join(fork.faults), Reason.UNREADABLE)
    yield _sent_rung(account, x2)
    if fork.ended:
        yield Rung("ended", State.DONE, fork.ended)


def _session_rung(session: _Session | None) -> Rung:
    if session is None or not session.offered:
        return Rung("session", State.MISSING, "no session description was seen", Reason.NO_SDP)
    if not session.answered:
        return Rung("session", State.WAITING, "an offer; its answer was not seen yet", Reason.NO_ANSWER)
    counts = {"lines": session.lines, "secure": session.secure}
    return Rung("session", State.DONE, f"offer and answer; {many(session.lines, 'media line')}", counts=counts)


def _ticket_rung(session: _Session | None) -> Rung:
    if session is None or not session.offered:
        return Rung("ticket", State.MISSING, "without a session there is none", Reason.NO_TICKET)
    counts = {"exchanges": session.exchanges, "responses": session.responses}
    if session.exchanges:
        half = session.exchanges - session.responses
        said = f"{session.exchanges} kept" + (f", {half} of them without TRANSFER_RESP" if half else "")
        return Rung("ticket", State.DONE, said, counts=counts)
    if not session.secure:
        return Rung("ticket", State.NOT_NEEDED, "its media are not encrypted")
    if session.keyed:
        return Rung("ticket", State.NOT_NEEDED, "its keys stand in the description (a=crypto)")
    return Rung("ticket", State.MISSING, _NO_TICKET, Reason.NO_TICKET)


def _sent_rung(account: _Account, x2: X2State) -> Rung:
    counts = {"events": account.events, "queued_octets": x2.queued}
    if account.unauthenticated:
        counts["unauthenticated"] = account.unauthenticated
    doubt = unauthenticated(account.unauthenticated)
    if x2.is_up:
        said = f"{many(account.events, 'event')} to the DF{doubt}; the link is up"
        return Rung("sent", State.DONE, said, counts=counts)
    why = f": {x2.fault}" if x2.fault else ""
    return Rung("sent", State.MISSING, f"the link to the DF is down{why}{doubt}", Reason.X2_DOWN, counts)
