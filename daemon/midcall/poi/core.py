"""The point of interception: calls, their ticket exchanges, and the tasks armed on them (TS 33.107 7A).

A core: it is given SIP messages, tasks and the time, and returns X2 events. It opens no ticket and knows no
key; session descriptions are read only for dialogs under a task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from hashlib import blake2b
from typing import Protocol

from msgspec import structs

from imswire import sip
from midcall.base import redaction
from midcall.base.bounded import BoundedTable
from midcall.events import (
    DialogFault,
    DialogId,
    DialogReleased,
    Half,
    Instant,
    Kept,
    SessionReport,
    Side,
    SipReport,
    SipSeen,
    StartOfInterception,
    Task,
    X2Event,
)
from midcall.poi.dialog import Call, Dialog, Match, State
from midcall.poi.exchange import Ledger
from midcall.poi.home import Home
from midcall.poi.identity import IdentityHasher, asserted, named
from midcall.poi.index import IdentityIndex
from midcall.poi.limits import MATCHING_ALL, PoiLimits
from midcall.poi.offer_answer import Round
from midcall.poi.registrations import Registrations
from midcall.poi.tracker import JOINING, Ended, Subject, Tracked, Tracker
from midcall.poi.watch import Watch, Watched

CORRELATION_OCTETS = 8
# Requests whose transactions a journal needs to bring back the dialogs of a call.
JOURNALED = frozenset({"INVITE", "ACK", "PRACK", "UPDATE", "BYE"})
SDES_RULES = redaction.Rules(sdes=True)


class Journal(Protocol):
    """Who remembers what the cache is made of, so that a restart in the middle of calls loses no ticket."""

    def message(self, call: Call, seen: SipSeen) -> None:
        """A message that shaped a call."""

    def over(self, call: Call) -> None:
        """The call has ended: nothing of it is needed any more."""


class PointOfInterception:
    """Dialogs, their ticket exchanges, and the tasks armed on them.

    ``identity_key`` (16 to 64 octets) keys the hashes of identities, ``correlation_key`` the correlation ID;
    ``matching`` names the headers in which a target is looked for. ``census``, for replays in labs only, is told
    of every call and fork, target's or not. Without ``sdes`` keys of ``a=crypto`` are taken out of what is kept.
    ``journal`` is told of every message that shapes a call; fed to a new object in their order (:meth:`recall`),
    they bring back the same cache. ``home`` tells which identities are of this network.
    """

    def __init__(
        self,
        identity_key: bytes,
        correlation_key: bytes,
        matching: frozenset[str] = MATCHING_ALL,
        limits: PoiLimits | None = None,
        census: Callable[[DialogId, Instant], None] | None = None,
        journal: Journal | None = None,
        sdes: bool = True,
        home: Home | None = None,
    ) -> None:
        self.limits = limits or PoiLimits()
        self._matching = matching
        self._census = census
        self._journal = journal
        self._sdes = sdes
        self._home = home or Home()
        self._correlation_key = correlation_key
        self._hasher = IdentityHasher(identity_key, self.limits.hashes)
        self._tracker = Tracker(self.limits)
        self._index = IdentityIndex(self._hasher, matching, self.limits)
        self._watch = Watch(self._hasher)
        self._registrations = Registrations(self._hasher, self.limits.registrations)
        self._icids: BoundedTable[str, bytes] = BoundedTable("poi.icids", self.limits.calls)

    # Tasks

    def arm(self, task: Task, now: Instant) -> list[X2Event]:
        """Arm a task; every running dialog of its targets is reported at once.

        ValueError: no identity, or one that is not of this network, or is, when the task wants the other.
        """
        if task.local is not None and any(self._home.owns(target) != task.local for target in task.targets):
            raise ValueError(f"task {task.xid}: a target is not where the task says that it is")
        events: list[X2Event] = []
        for hashed in self._watch.arm(task):
            for call in self._index.calls(hashed):
                for subject in _subjects(call):
                    self._match(subject, now, events, running=True)
        return events

    def disarm(self, xid: str, now: Instant) -> list[X2Event]:
        """End a task: whatever runs under it is released at ``now``."""
        events: list[X2Event] = []
        for subject in self._watch.disarm(xid):
            call = _call(subject)
            if _named(subject):
                events.append(DialogReleased(xid, call.correlation, subject.id, now, "task ended"))
            if not any(self._watch.under(each) for each in _subjects(call)):
                self._tracker.calls.released(call)
        return events

    # SIP

    def sip_seen(self, seen: SipSeen) -> list[X2Event]:
        """Take in one message; raises SipError when it is none."""
        return self._take(seen, self._journal)

    def recall(self, messages: Iterable[SipSeen], now: Instant) -> tuple[Call | None, list[X2Event]]:
        """Take in the journal of one call: its messages are reported to nobody, as they were before.

        Returns the call, None when it is over or was never one, and what follows for tasks that are armed already,
        as if they were armed at ``now``. Times of the messages are on the clocks of ``now``.
        """
        armed, self._watch = self._watch, Watch(self._hasher)
        call: Call | None = None
        try:
            for seen in messages:
                with suppress(sip.SipError):
                    self._take(seen, None)
                    message = sip.parse(seen.octets)
                    call = self._tracker.find(message, message.from_tag or "", message.to_tag or "")
        finally:
            self._watch = armed
        events: list[X2Event] = []
        for subject in () if call is None else _subjects(call):
            self._match(subject, now, events, running=True)
        return call, events

    def _take(self, seen: SipSeen, journal: Journal | None) -> list[X2Event]:
        message = sip.parse(seen.octets)
        # Whatever cannot be done without is read before anything changes.
        from_tag, to_tag = message.from_tag or "", message.to_tag or ""
        _ = message.call_id, message.cseq, message.top_branch
        events = self.deadline(seen.at) if self._tracker.due(seen.at.mono) else []
        call = self._tracker.find(message, from_tag, to_tag)
        if call is None:
            if not self._tracker.opens(message, from_tag, to_tag):
                self._standalone(message, seen, events)
                return events
            opening = seen if self._sdes else _without_keys(seen)
            call = self._tracker.open(message, opening, from_tag, self._correlation(message, from_tag))
        kept = seen if self._sdes else _without_keys(seen)
        tracked = self._tracker.message(call, message, kept, from_tag, to_tag)
        if journal is not None and message.method in JOURNALED:
            journal.message(call, kept)
        news = self._learn(tracked, message, to_tag, seen.at.mono)
        if self._census is not None:
            self._census((call if tracked.dialog is None else tracked.dialog).id, call.invited_at)
        if self._watch.armed:
            if news:
                self._match_tracked(tracked, seen.at, events)
            self._report(tracked, message, seen, events)
        if tracked.ended:
            self._over(tracked.ended, seen.at, events)
        return events

    def next_deadline(self) -> int | None:
        """Monotonic ns of the next thing that time alone brings; None when there is nothing."""
        return self._tracker.next_deadline()

    def deadline(self, now: Instant) -> list[X2Event]:
        """Whatever is due at ``now``."""
        events: list[X2Event] = []
        self._over(self._tracker.deadline(now), now, events)
        for call in self._tracker.take_aged():
            if self._journal is not None:
                self._journal.over(call)
        return events

    def __len__(self) -> int:
        """Calls in the cache."""
        return len(self._tracker.calls)

    def _learn(self, tracked: Tracked, message: sip.SipMessage, to_tag: str, now: int) -> bool:
        """Who takes part, as the message shows; whether it showed anybody new, or a fork that is."""
        news = False
        if tracked.dialog is not None:
            sender = tracked.side if message.is_request else tracked.side.peer
            match = Match.CALLER if sender is Side.CALLER else Match.CALLEE
            news = self._index.learn(tracked.dialog, message, match) or tracked.opened
        if message.is_request and message.method in JOINING and (not to_tag or not tracked.call.identities):
            news |= self._index.learn_opening(tracked.call, message)
        if message.method in JOINING and "instance-id" in self._matching:
            by = Match(tracked.side if message.is_request else tracked.side.peer)
            devices = self._registrations.devices(message, now)
            news |= self._index.learn_devices(tracked.dialog, tracked.call, devices, by)
        return news

    def _match_tracked(self, tracked: Tracked, now: Instant, events: list[X2Event]) -> None:
        started = self._match(tracked.call, now, events, running=False)
        if tracked.dialog is not None:
            started |= self._match(tracked.dialog, now, events, running=False)
        tracked.session_changed |= started

    def _report(self, tracked: Tracked, message: sip.SipMessage, seen: SipSeen, events: list[X2Event]) -> None:
        """The message itself, and what it changed, for each task on its call, its fork or its leg."""
        call, dialog = tracked.call, tracked.dialog
        about = call if dialog is None else dialog
        if dialog is not None and not (self._watch.follows(dialog) or self._watch.follows(call)):
            return
        reported: dict[str, Watched] = {}
        for watched in (*self._watch.under(about), *self._watch.under(call), *self._on_leg(tracked, message)):
            reported.setdefault(watched.xid, watched)
        for watched in reported.values():
            for each in _forms(seen):
                events.append(
                    SipReport(watched.xid, watched.identity, call.correlation, about.id, each, watched.target)
                )
        if tracked.session_changed:
            for watched in self._watch.under(about):
                events += self._session(about, watched, seen.at)

    def _on_leg(self, tracked: Tracked, message: sip.SipMessage) -> Iterator[Watched]:
        """Tasks on the Request-URI of the leg that a message outside any fork belongs to."""
        if tracked.dialog is None:
            hashes = tracked.call.branches.get(message.top_branch or "", ())
            yield from self._watch.matches(((hashed, Match.CALLEE) for hashed in hashes), tracked.call.diverting)

    def _match(self, subject: Subject, now: Instant, events: list[X2Event], *, running: bool) -> bool:
        """Begin to intercept a subject that has become a target's; ``running``: because a task was armed."""
        started = False
        for watched in self._watch.matches(self._identities(subject), _call(subject).diverting):
            if not self._watch.start(subject, watched):
                continue
            started = True
            call = _call(subject)
            self._tracker.calls.intercepted(call)
            if running and not (isinstance(subject, Call) and call.dialogs) and _is_kept(subject):
                events.append(self._start_of_interception(subject, watched, now))
                events += self._session(subject, watched, now)
        return started

    def _identities(self, subject: Subject) -> Iterator[tuple[bytes, Match]]:
        """Who takes part; a fork has the identities of its call and its own."""
        yield from _call(subject).identities.items()
        if isinstance(subject, Dialog):
            yield from subject.identities.items()

    def _start_of_interception(self, subject: Subject, watched: Watched, now: Instant) -> StartOfInterception:
        offer, answer = _latest(_current(subject))
        call = _call(subject)
        return StartOfInterception(
            xid=watched.xid,
            identity=watched.identity,
            correlation=call.correlation,
            dialog=subject.id,
            at=now,
            offer=_half(offer),
            answer=_half(answer),
            target=watched.target,
            authenticated=all(each is None or each.authenticated for each in (offer, answer)),
        )

    # Sessions

    def _session(self, subject: Subject, watched: Watched, now: Instant) -> Iterator[X2Event]:
        """The session of a subject under one task, and the faults found while reading it."""
        call = _call(subject)
        current = _current(subject)
        pending = subject.negotiation.pending if isinstance(subject, Dialog) else None
        ledger = subject.ledger(self.limits) if isinstance(subject, Dialog) else Ledger()
        # In an early dialog other forks, whose answers nobody has seen yet, may already be sending.
        early = not isinstance(subject, Dialog) or subject.state is State.EARLY
        waits = early or (pending is not None and pending != current)
        if current is not None and current.answer is None:
            ledger = ledger.enter(current, self.limits.updates)
        for fault in ledger.faults:
            yield DialogFault(watched.xid, call.correlation, subject.id, now, fault.frame, fault.reason)
        offer, answer = _latest(current)
        yield SessionReport(
            watched.xid,
            watched.identity,
            call.correlation,
            subject.id,
            now,
            call.invited_at,
            current.offerer if current is not None else Side.CALLER,
            watched.target,
            offer,
            answer,
            ledger.exchanges,
            waits,
        )

    # Messages outside calls

    def _standalone(self, message: sip.SipMessage, seen: SipSeen, events: list[X2Event]) -> None:
        """REGISTER, MESSAGE, SUBSCRIBE, OPTIONS, ...: matched by what the message itself names."""
        if message.method == "REGISTER" and message.status is not None and message.status // 100 == 2:
            self._registrations.learn(message, seen.at.mono)
        if not self._watch.armed:
            return
        reported: set[str] = set()
        for watched in self._watch.matches(self._named(message)):
            if watched.xid not in reported:
                reported.add(watched.xid)
                for each in _forms(seen):
                    events.append(SipReport(watched.xid, watched.identity, None, None, each, watched.target))

    def _named(self, message: sip.SipMessage) -> Iterator[tuple[bytes, Match]]:
        uris = [*named(message, self._matching)]
        sender = Match.CALLER if message.is_request else Match.CALLEE
        uris += asserted(message, self._matching, sender)
        for uri, match in uris:
            for hashed in self._hasher.of(uri):
                yield hashed, match
        if message.request_uri is not None and "request-uri" in self._matching:
            for hashed in self._hasher.of_uri(message.request_uri):
                yield hashed, Match.CALLEE

    # Ends

    def _over(self, ended: list[Ended], now: Instant, events: list[X2Event]) -> None:
        for each in ended:
            subject = each.subject
            call = _call(subject)
            for watched in self._watch.release(subject):
                if not _named(subject):
                    continue
                events.append(DialogReleased(watched.xid, call.correlation, subject.id, now, each.reason))
            if isinstance(subject, Dialog):
                self._index.forget_fork(subject)
            else:
                self._index.forget(subject)
                if self._journal is not None:
                    self._journal.over(subject)

    def _correlation(self, message: sip.SipMessage, from_tag: str) -> bytes:
        """64 bits over Call-ID and caller's tag; legs with one icid (RFC 7315 4.6) share the first one's."""
        icid = _icid(message)
        known = self._icids.get(icid) if icid else None
        if known is not None:
            return known
        text = f"{message.call_id}\0{from_tag}".encode("utf-8", "surrogateescape")
        correlation = blake2b(text, digest_size=CORRELATION_OCTETS, key=self._correlation_key).digest()
        if icid:
            self._icids.put(icid, correlation)
        return correlation


def _subjects(call: Call) -> list[Subject]:
    return [call, *call.dialogs.values()]


def _named(subject: Subject) -> bool:
    """Whether events name the subject: a call only until its first fork, which they name instead."""
    return isinstance(subject, Dialog) or not subject.forked


def _call(subject: Subject) -> Call:
    return subject.call if isinstance(subject, Dialog) else subject


def _current(subject: Subject) -> Round | None:
    """What was agreed last; before that, what is on offer."""
    if isinstance(subject, Dialog):
        return subject.negotiation.current or subject.negotiation.pending
    if subject.offer is None:
        return None
    transaction, offer = subject.offer
    return Round(transaction, transaction.sender, offer, None)


def _is_kept(subject: Subject) -> bool:
    """Whether there is something to report of a running session (TS 33.107 7A.3.1): else only what follows is."""
    return not _call(subject).forgotten or _current(subject) is not None


def _latest(round_: Round | None) -> tuple[Kept | None, Kept | None]:
    return (None, None) if round_ is None else (round_.offer, round_.answer)


def _without_keys(seen: SipSeen) -> SipSeen:
    """The message without keys that stand in its session description."""
    redacted = redaction.message(seen.octets, SDES_RULES)
    if not redacted.removed:
        return seen
    sent = tuple((to, redaction.message(octets, SDES_RULES).octets) for to, octets in seen.sent)
    return structs.replace(seen, octets=redacted.octets, sent=sent)


def _forms(seen: SipSeen) -> Iterator[SipSeen]:
    """A message as it was received, and the requests as which a proxy sent it on (DESIGN 5.3)."""
    yield seen
    for to, octets in seen.sent:
        yield SipSeen(octets, seen.destination, to, seen.at, seen.frame, authenticated=seen.authenticated)


def _half(kept: Kept | None) -> Half | None:
    """A message that carried offer or answer, as its head and description; it was read when it was kept."""
    if kept is None:
        return None
    message = sip.parse(kept.octets)
    return Half(message.head, message.sdp)


def _icid(message: sip.SipMessage) -> str:
    vector = message.first("P-Charging-Vector") or ""
    for part in vector.split(";"):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() == "icid-value":
            return value.strip().strip('"')
    return ""
