"""Which service a message or a session is of (TS 103 221-1 ServiceType), and what of it an order for one alone covers.

``voice`` are sessions with audio or video, ``messaging`` page-mode messages (RFC 3428) and sessions of messages
(RFC 4975). What is of neither alone is of both: registration, presence, OPTIONS outside of sessions. A session with
media of both is of each. What cannot be told, because nobody has described a session yet or its description cannot
be read, is covered by no order but one for both.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from typing import Final, TypeVar

from msgspec import Struct, structs

from imswire import sdp, sip
from midcall.base import redaction
from midcall.base.bounded import BoundedTable
from midcall.events import (
    DialogFault,
    DialogId,
    DialogReleased,
    Failure,
    Half,
    SessionReport,
    SipReport,
    StartOfInterception,
    X2Event,
)

VOICE: Final = "voice"
MESSAGING: Final = "messaging"
Kinds = frozenset[str]
NONE: Final[Kinds] = frozenset()
BOTH: Final[Kinds] = frozenset({VOICE, MESSAGING})
SHARED_EVENTS: Final = frozenset({"reg", "presence", "ua-profile", "xcap-diff"})
"""Event packages (RFC 6665) that tell of registration, presence or configuration; others tell of sessions."""
SESSIONS: Final = 65_536
ROUNDS: Final = 8  # of one session: as many transactions as a point of interception tells apart
_KINDS = {"audio": VOICE, "video": VOICE, "message": MESSAGING}
_EVENTS = frozenset({"SUBSCRIBE", "NOTIFY", "PUBLISH"})
_OFFERING = frozenset({"INVITE", "UPDATE"})
_NEGOTIATING = _OFFERING | {"ACK", "PRACK"}
_E = TypeVar("_E", bound=X2Event | Failure)


# What belongs to what


def of_line(kind: str, proto: str) -> str | None:
    """The service that an m-line is of; None: of none alone, as text and images of a call are."""
    return MESSAGING if proto.upper().endswith("MSRP") else _KINDS.get(kind.lower())


def of_description(octets: bytes) -> Kinds | None:
    """The services of a session with this description, refused m-lines aside; None: it cannot be read."""
    try:
        lines = sdp.parse(octets).media
    except sdp.SdpError:
        return None
    found = (of_line(line.kind, line.proto) for line in lines if not line.rejected)
    return frozenset(each for each in found if each is not None)


def by_itself(message: sip.SipMessage, method: str, to_tag: str) -> Kinds | None:
    """The services of a message whatever session it is in; None: its session, or its request, says."""
    if method == "MESSAGE":
        return frozenset({MESSAGING})
    if method == "REGISTER":
        return BOTH
    if message.is_request and method == "OPTIONS" and not to_tag:
        return BOTH
    if message.is_request and method in _EVENTS:
        package = (message.first("Event") or "").partition(";")[0].strip().lower()
        return BOTH if package in SHARED_EVENTS or package.endswith(".winfo") else None
    return None


def narrower(services: Collection[str]) -> tuple[str, ...] | None:
    """An order's services as tasks and terms have them; None: all that there is."""
    return None if set(services) >= BOTH else tuple(each for each in (VOICE, MESSAGING) if each in services)


def covers(services: tuple[str, ...] | None, kind: str | None) -> bool:
    """Whether media of a service (None: of none alone) are among those of an order."""
    return services is None or kind in services


# Sessions


class _State(enum.Enum):
    OPEN = "an offer that waits for its answer"
    REVERSE = "an offer in a response"
    CLOSED = "answered, refused, or no offer"


class _Round(Struct, frozen=True, gc=False):
    kinds: Kinds
    state: _State


_Transaction = tuple[str, int, str]


class _Session:
    """What the descriptions of one dialog say. ``agreed`` only grows: an end is of all that a session ever had.

    ``given``: something of it was covered.
    """

    __slots__ = ("agreed", "given", "rounds")

    def __init__(self) -> None:
        self.agreed: Kinds = NONE
        self.given = False
        self.rounds: BoundedTable[_Transaction, _Round] = BoundedTable("base.services.rounds", ROUNDS)

    @property
    def kinds(self) -> Kinds:
        """What was agreed, and what is on offer."""
        waiting = (each.kinds for each in self.rounds.values() if each.state is not _State.CLOSED)
        return self.agreed.union(*waiting)

    def offer(self, made: _Transaction, kinds: Kinds, state: _State) -> None:
        known = self.rounds.get(made)
        if known is None or known.state is not _State.CLOSED:
            self.rounds.put(made, _Round(kinds, state))

    def anew(self, made: _Transaction) -> None:
        """A call is tried again: what was offered before counts no more."""
        for each in [each for each, _ in self.rounds.items() if each != made]:
            self.close(each)

    def agree(self, made: _Transaction, kinds: Kinds, *, final: bool) -> None:
        """The answer to an offer."""
        self.agreed |= kinds
        if final:
            self.close(made)

    def answer(self, made: _Transaction, kinds: Kinds) -> None:
        """A description in ACK or PRACK: the answer to what a response has offered, or as good as one."""
        self.agreed |= kinds
        if self.rounds.get(made) is None:
            self.rounds.put(made, _Round(kinds, _State.CLOSED))
        for each in [each for each, known in self.rounds.items() if known.state is _State.REVERSE]:
            self.close(each)

    def close(self, made: _Transaction) -> None:
        known = self.rounds.get(made)
        if known is not None:
            self.rounds.put(made, structs.replace(known, state=_State.CLOSED))


class _Said(Struct, frozen=True):
    """A message with what it belongs to, and the services of its description; None: it has none."""

    message: sip.SipMessage
    call_id: str
    tags: tuple[str, str]
    made: _Transaction
    method: str
    declared: Kinds | None

    @classmethod
    def of(cls, message: sip.SipMessage, description: bytes | None) -> _Said:
        """SipError."""
        call_id, from_tag, to_tag, cseq, _ = message.belongs()
        asked = "INVITE" if cseq.method in ("ACK", "CANCEL") else cseq.method
        declared = None if description is None else of_description(description)
        return cls(message, call_id, (from_tag, to_tag), (from_tag, cseq.number, asked), cseq.method, declared)


class Coverage:
    """Orders for one service alone, and what each of them covers of the events that come under it.

    An order for both costs nothing: whatever comes under it is covered. To be asked of every event, in their order.
    """

    def __init__(self) -> None:
        self._wanted: dict[str, Kinds] = {}
        self._sessions: BoundedTable[tuple[str, str, str, str], _Session] = BoundedTable(
            "base.services.sessions", SESSIONS
        )
        self._correlated: BoundedTable[tuple[str, bytes], Kinds] = BoundedTable("base.services.correlated", SESSIONS)

    def order(self, xid: str, services: tuple[str, ...] | None) -> None:
        """What a task is for from now on."""
        if services is None:
            self._wanted.pop(xid, None)
        else:
            self._wanted[xid] = frozenset(services)

    def end(self, xid: str) -> None:
        """A task is over: its sessions are forgotten."""
        self._wanted.pop(xid, None)
        for key in [key for key in self._sessions if key[0] == xid]:
            self._sessions.pop(key)
        for place in [place for place in self._correlated if place[0] == xid]:
            self._correlated.pop(place)

    def all_of(self, events: list[X2Event]) -> list[X2Event]:
        """Those that are covered, as they may be given."""
        if not self._wanted:
            return events
        return [each for event in events if (each := self.of(event)) is not None]

    def of(self, event: _E) -> _E | None:
        """The event as it may be given; None: its order does not cover it.

        A page-mode message in a session that is not covered is given as one outside of it.
        """
        wanted = self._wanted.get(event.xid)
        if wanted is None:
            return event
        if isinstance(event, SipReport):
            return self._sip(event, wanted)  # type: ignore[return-value]  # of the same type
        if isinstance(event, StartOfInterception):
            self._learn(event.xid, event.correlation, _halves(event))
        elif isinstance(event, SessionReport):
            self._learn(event.xid, event.correlation, _messages(event))
        return event if self._is_given(event, wanted) else None

    def kinds(self, xid: str, correlation: bytes) -> tuple[str, ...]:
        """What a restart has to know of a communication."""
        return tuple(sorted(self._correlated.get((xid, correlation)) or NONE))

    def recall(self, xid: str, correlation: bytes, kinds: tuple[str, ...]) -> None:
        """A communication of a former run."""
        if kinds and xid in self._wanted:
            self._correlated.put((xid, correlation), frozenset(kinds))

    # Verdicts

    def _sip(self, event: SipReport, wanted: Kinds) -> SipReport | None:
        try:
            message = sip.parse(event.seen.octets)
            said = _Said.of(message, message.sdp)
        except sip.SipError:
            return None
        itself = by_itself(message, said.method, said.tags[1])
        if said.method == "MESSAGE":
            if wanted.isdisjoint(itself or NONE):
                return None
            own, opening = self._known(event.xid, said.call_id, said.tags)
            of_session = self._kinds(event.xid, own, opening, event.correlation)
            return event if wanted & of_session else structs.replace(event, correlation=None, dialog=None)
        if said.method == "REGISTER":
            return event
        if itself is not None:
            # Its response says less than it.
            self._session(event.xid, said.call_id, said.tags).rounds.put(said.made, _Round(itself, _State.CLOSED))
        else:
            self._learn(event.xid, event.correlation, (said,))
        own, opening = self._known(event.xid, said.call_id, said.tags)
        kinds = itself or self._kinds(event.xid, own, opening, event.correlation)
        for session in (own, opening):
            asked = None if session is None else session.rounds.get(said.made)
            kinds |= NONE if asked is None else asked.kinds
        if wanted.isdisjoint(kinds):
            return None
        _give(own, opening)
        return event

    def _is_given(
        self, event: StartOfInterception | SessionReport | DialogReleased | DialogFault | Failure, wanted: Kinds
    ) -> bool:
        dialog = event.dialog
        own, opening = self._known(event.xid, dialog.call_id, (dialog.caller_tag, dialog.callee_tag))
        known = [each for each in (own, opening) if each is not None]
        if isinstance(event, DialogReleased) and (not known or any(each.given for each in known)):
            return True  # also of a session that had to make room here
        if wanted.isdisjoint(self._kinds(event.xid, own, opening, event.correlation)):
            return False
        _give(own, opening)
        return True

    def _kinds(self, xid: str, own: _Session | None, opening: _Session | None, correlation: bytes | None) -> Kinds:
        """Of a dialog; before it has said anything, of its call; of one that nobody here has heard described, of its
        communication.
        """
        for session in (own, opening):
            if session is not None and session.kinds:
                return session.kinds
        return self._of_communication(xid, correlation)

    def _of_communication(self, xid: str, correlation: bytes | None) -> Kinds:
        return NONE if correlation is None else self._correlated.get((xid, correlation)) or NONE

    # What descriptions say

    def _learn(self, xid: str, correlation: bytes | None, messages: Iterable[_Said]) -> None:
        for said in messages:
            if said.method in _NEGOTIATING:
                self._heard(xid, said, correlation)
            own, opening = self._known(xid, said.call_id, said.tags)
            kinds = self._kinds(xid, own, opening, None)
            if correlation is not None and kinds:
                self._correlated.put((xid, correlation), kinds)
                self._correlated.touch((xid, correlation))

    def _heard(self, xid: str, said: _Said, correlation: bytes | None) -> None:
        """Take in what a message says of its session (RFC 3264, RFC 6337)."""
        status, made, declared = said.message.status or 0, said.made, said.declared
        own, opening = self._known(xid, said.call_id, said.tags)
        if not status and said.method == "INVITE":
            own = own or self._session(xid, said.call_id, said.tags)
        if status >= 300 or declared is None:
            if own is not None and status >= 200:
                own.close(made)
            return
        session = own or self._session(xid, said.call_id, said.tags)
        if opening is None and all(said.tags) and not session.kinds:
            # Begun in a former run.
            session.agreed = self._of_communication(xid, correlation)
        if status:
            asked = session.rounds.get(made) or (None if opening is None else opening.rounds.get(made))
            if asked is None or asked.state is _State.REVERSE:
                session.offer(made, declared, _State.REVERSE)
            else:
                session.agree(made, declared, final=status >= 200)
        elif said.method in _OFFERING:
            if not all(said.tags):
                session.anew(made)
            session.offer(made, declared, _State.OPEN)
        else:
            session.answer(made, declared)

    def _session(self, xid: str, call_id: str, tags: tuple[str, str]) -> _Session:
        key = _key(xid, call_id, tags)
        found = self._sessions.get(key)
        if found is None:
            found = _Session()
            self._sessions.put(key, found)
        return found

    def _known(self, xid: str, call_id: str, tags: tuple[str, str]) -> tuple[_Session | None, _Session | None]:
        """The dialog of these tags, and the call that it is a fork of."""
        own = self._look(_key(xid, call_id, tags)) if all(tags) else None
        for tag in tags:
            opening = self._look(_key(xid, call_id, (tag, ""))) if tag else None
            if opening is not None:
                return own, opening
        return own, None

    def _look(self, key: tuple[str, str, str, str]) -> _Session | None:
        found = self._sessions.get(key)
        if found is not None:
            self._sessions.touch(key)
        return found


def _key(xid: str, call_id: str, tags: tuple[str, str]) -> tuple[str, str, str, str]:
    """The same for either direction."""
    first, second = sorted(tags)
    return xid, call_id, first, second


def _give(*sessions: _Session | None) -> None:
    for each in sessions:
        if each is not None:
            each.given = True


def _halves(event: StartOfInterception) -> list[_Said]:
    """Offer and answer of a start; what has no head is said under the name of its dialog."""
    found = []
    for half, answers in ((event.offer, False), (event.answer, True)):
        if half is None or half.description is None:
            continue
        try:
            found.append(_Said.of(redaction.bodiless(half.head), half.description))
        except sip.SipError:
            found.append(_headless(event.dialog, event.correlation, half, answers=answers))
    return found


def _headless(dialog: DialogId, correlation: bytes, half: Half, *, answers: bool) -> _Said:
    call_id, caller, callee = dialog.call_id or correlation.hex(), dialog.caller_tag or "caller", dialog.callee_tag
    message = sip.parse(b"SIP/2.0 200 OK\r\n\r\n" if answers else b"INVITE sip:made.invalid SIP/2.0\r\n\r\n")
    declared = of_description(half.description or b"")
    return _Said(message, call_id, (caller, callee or "callee"), (caller, 0, "INVITE"), "INVITE", declared)


def _messages(event: SessionReport) -> list[_Said]:
    found = []
    for kept in (event.offer, event.answer):
        if kept is not None:
            try:
                message = sip.parse(kept.octets)
                found.append(_Said.of(message, message.sdp))
            except sip.SipError:
                continue
    return found
