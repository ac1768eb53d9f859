"""The point of interception: calls, their ticket exchanges, and the tasks armed on them (TS 33.107 7A).

A core: it is given SIP messages, tasks and the time, and returns X2 events. It opens no ticket and knows no
key; session descriptions are read only for dialogs under a task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from hashlib import blake2b
from itertools import chain
from typing import Protocol

from imswire import sip
from midcall.base.bounded import BoundedTable
from midcall.base.services import Coverage
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
from midcall.poi.dialog import Call, Match, State, Subject, subjects
from midcall.poi.exchange import Ledger
from midcall.poi.heard import Heard
from midcall.poi.home import Home
from midcall.poi.identity import Hashes, Identities, IdentityHasher
from midcall.poi.index import IdentityIndex
from midcall.poi.limits import MATCHING_ALL, PoiLimits
from midcall.poi.missed import Missed
from midcall.poi.offer_answer import Round
from midcall.poi.registrations import Registrations
from midcall.poi.tracker import JOINING, Ended, Tracked, Tracker
from midcall.poi.watch import Watch, Watched

CORRELATION_OCTETS = 8
# Requests whose transactions a journal needs to bring back the dialogs of a call.
JOURNALED = frozenset({"INVITE", "ACK", "PRACK", "UPDATE", "BYE"})
# Running calls that a task looks at between two turns of who arms it, where none of them is to be reported.
LOOKED_AT = 256
# Those of them that, without a description, leave a dialog as it is.
PASSING = frozenset({"ACK", "PRACK", "UPDATE"})


class Journal(Protocol):
    """Who remembers what the cache is made of, so that a restart in the middle of calls loses no ticket."""

    def message(self, call: Call, heard: Heard) -> None:
        """A message that shaped a call; ``heard.kept`` is what may be kept of it."""

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
        self._census = census
        self._journal = journal
        self._sdes = sdes
        self._home = home or Home()
        self._correlation_key = correlation_key
        self._hasher = IdentityHasher(identity_key, self.limits.hashes, self._home)
        self._identities = Identities(self._hasher, matching, self.limits.hashes)
        self._tracker = Tracker(self.limits)
        self._index = IdentityIndex(self._identities, self.limits)
        self._watch = Watch(self._hasher)
        self._coverage = Coverage()
        self._registrations = Registrations(self._identities, self.limits.registrations)
        self._missed: Missed | None = None
        # When tasks were ordered that have not come to all running calls yet.
        self._armings: dict[str, Instant] = {}
        self._icids: BoundedTable[str, bytes] = BoundedTable("poi.icids", self.limits.calls)

    # Tasks

    def arm(self, task: Task, now: Instant) -> list[X2Event]:
        """Arm a task; every running dialog of its targets is reported at once.

        ValueError: no identity, or one that is not of this network, or is, when the task wants the other.
        """
        return [event for events in self.arming(task, now) for event in events]

    def arming(self, task: Task, now: Instant) -> Iterator[list[X2Event]]:
        """The same, call by call, each as it is asked for: those that somebody has answered first, for anybody can
        begin thousands with a target that nobody answers.

        Messages and time may come between two of them: what they bring for a call that was not asked for yet stands
        behind its report. Of every ``LOOKED_AT`` calls with nothing to report there is an empty list.
        """
        if task.local is not None and any(self._home.owns(target) != task.local for target in task.targets):
            raise ValueError(f"task {task.xid}: a target is not where the task says that it is")
        hashed = self._watch.arm(task)
        self._coverage.order(task.xid, task.services)
        self._armings[task.xid] = now
        return self._running(task.xid, now, hashed)

    def _running(self, xid: str, begun: Instant, hashed: Iterable[bytes]) -> Iterator[list[X2Event]]:
        """Report the calls that ran when a task was ordered, until it is over, or ordered anew."""
        for looked_at, call in enumerate(_answered_first([self._index.calls(each) for each in hashed]), 1):
            events: list[X2Event] = []
            if call is not None and call in self._tracker.calls:
                self._catch_up(subjects(call), events)
                events = self._coverage.all_of(events)
            if events or looked_at % LOOKED_AT == 0:
                yield events
                if self._armings.get(xid) is not begun:
                    return
        if self._armings.get(xid) is begun:
            del self._armings[xid]

    def _catch_up(self, found: Iterable[Subject], events: list[X2Event]) -> None:
        """Report a call that ran when tasks were ordered which have not come to it yet."""
        for subject in found:
            self._match(subject, events, self._armings)

    def disarm(self, xid: str, now: Instant) -> list[X2Event]:
        """End a task: whatever runs under it is released at ``now``."""
        events: list[X2Event] = []
        self._armings.pop(xid, None)
        for subject in self._watch.disarm(xid):
            call = subject.call
            if subject.is_named:
                events.append(DialogReleased(xid, call.correlation, subject.id, now, "task ended"))
            if not self._watch.follows(call):
                self._tracker.released(call)
        events = self._coverage.all_of(events)
        self._coverage.end(xid)
        return events

    # SIP

    def sip_seen(self, seen: SipSeen) -> list[X2Event]:
        """Take in one message; raises SipError when it is none."""
        return self._coverage.all_of(self._take(Heard(seen, sdes=self._sdes), self._journal))

    def recall(self, messages: Iterable[SipSeen], now: Instant) -> tuple[Call | None, list[X2Event]]:
        """Take in the journal of one call, and behind it what came for it meanwhile: these messages are reported to
        nobody, as they were before.

        From the first one on, until :meth:`recalled`, more are expected. Returns the call, None when it is over or was
        never one, and what follows for tasks that are armed already, as if they were armed at ``now``. Times of the
        messages are on the clocks of ``now``.
        """
        missed = self._missed = self._missed or Missed()
        armed, self._watch = self._watch, Watch(self._hasher)
        call: Call | None = None
        try:
            for seen in messages:
                call = self._take_back(seen, None) or call
            for seen in () if call is None else missed.take(call.call_id):
                self._take_back(seen, self._journal)
            if call is not None and call not in self._tracker.calls:
                call = None
        finally:
            self._watch = armed
        events: list[X2Event] = []
        for subject in () if call is None else subjects(call):
            self._match(subject, events, now)
        return call, self._coverage.all_of(events)

    def recalled(self) -> None:
        """No more calls of a former run come back."""
        self._missed = None

    def _take_back(self, seen: SipSeen, journal: Journal | None) -> Call | None:
        """The call of a message that was seen before; None when it is over, or the message is none."""
        with suppress(sip.SipError):
            heard = Heard(seen, sdes=self._sdes)
            self._take(heard, journal)
            return self._tracker.find(heard)
        return None

    def _take(self, heard: Heard, journal: Journal | None) -> list[X2Event]:
        at = heard.seen.at
        events = self._due(at) if self._tracker.due(at.mono) else []
        if not heard.seen.heeded:
            # Nobody got it: it is no part of a call, whatever it says of one.
            if heard.is_request:
                self._standalone(heard, events)
            return events
        call = self._tracker.find(heard)
        if call is not None and self._armings:
            self._catch_up(subjects(call), events)
        if call is None:
            if not self._tracker.opens(heard):
                if self._missed is not None and heard.to_tag and heard.method in JOURNALED:
                    self._missed.put(heard.call_id, heard.kept)
                self._standalone(heard, events)
                return events
            call = self._tracker.open(heard, self._correlation(heard))
        tracked = self._tracker.message(call, heard)
        news = self._learn(tracked, heard)
        if journal is not None and _shapes(heard, news=news) and self._lives(tracked, heard):
            journal.message(call, heard)
        if self._census is not None:
            self._census(Subject(call, tracked.dialog).id, call.invited_at)
        if news:
            self._match_tracked(tracked, events)
        self._report(tracked, heard, events)
        if tracked.ended:
            self._over(tracked.ended, at, events)
        return events

    def next_deadline(self) -> int | None:
        """Monotonic ns of the next thing that time alone brings; None when there is nothing."""
        return self._tracker.next_deadline()

    @property
    def not_before(self) -> int:
        """Monotonic ns before which time alone brings nothing: as :meth:`next_deadline`, but known at once, and often
        that of something that will not happen any more. :meth:`deadline` makes it exact.
        """
        return self._tracker.not_before

    def deadline(self, now: Instant) -> list[X2Event]:
        """Whatever is due at ``now``."""
        return self._coverage.all_of(self._due(now))

    def _due(self, now: Instant) -> list[X2Event]:
        events: list[X2Event] = []
        self._over(self._tracker.deadline(now), now, events)
        for call in self._tracker.take_aged():
            if self._journal is not None:
                self._journal.over(call)
        return events

    def __len__(self) -> int:
        """Calls in the cache."""
        return len(self._tracker.calls)

    def _learn(self, tracked: Tracked, heard: Heard) -> bool:
        """Who takes part, as the message shows; whether it showed anybody new, or a fork that is."""
        call, dialog = tracked.call, tracked.dialog
        news = tracked.opened
        # A response comes from the side that did not send its request.
        sender = Match.CALLER if (tracked.side is Side.CALLER) is heard.is_request else Match.CALLEE
        contacts = self._identities.contacts(heard.message)
        if dialog is not None:
            news |= self._index.learn(call, dialog, heard, sender, contacts)
        if heard.method in JOINING:
            if heard.is_request and (not heard.to_tag or not call.hashes):
                news |= self._index.learn_opening(call, heard, contacts)
            if contacts:
                devices = self._registrations.devices(contacts, heard.seen.at.mono)
                news |= self._index.learn_devices(call, dialog, devices, sender)
        return news

    def _lives(self, tracked: Tracked, heard: Heard) -> bool:
        """Whether the call of a message is still there behind it."""
        return not tracked.ended or self._tracker.find(heard) is tracked.call

    def _match_tracked(self, tracked: Tracked, events: list[X2Event]) -> None:
        """What is known of a call counts for all its forks."""
        call, dialog = tracked.call, tracked.dialog
        if not (self._watch.wants(call.hashes) or (dialog is not None and self._watch.wants(dialog.hashes))):
            return
        started = self._match(Subject(call), events, None)
        for each in call.dialogs if started else ():
            self._match(Subject(call, each), events, None)
        if dialog is not None:
            started |= self._match(Subject(call, dialog), events, None)
        tracked.session_changed |= started

    def _report(self, tracked: Tracked, heard: Heard, events: list[X2Event]) -> None:
        """The message itself, and what it changed, for each task on its call, its fork or its leg."""
        call, dialog = tracked.call, tracked.dialog
        on_leg = self._on_leg(call, heard) if dialog is None else []
        if not on_leg and not self._watch.follows(call):
            return
        about, under = Subject(call, dialog), self._watch.under(call, dialog)
        reported: dict[str, Watched] = {}
        for watched in (*under, *self._watch.under(call), *on_leg):
            reported.setdefault(watched.xid, watched)
        for watched in reported.values():
            for each in _forms(heard.seen):
                events.append(
                    SipReport(watched.xid, watched.identity, call.correlation, about.id, each, watched.target)
                )
        if tracked.session_changed:
            for watched in under:
                events += self._session(about, watched, heard.seen.at)

    def _on_leg(self, call: Call, heard: Heard) -> list[Watched]:
        """Tasks on the Request-URI of the leg that a message outside any fork belongs to."""
        hashes = call.leg(heard.branch)
        return [*self._watch.matches(hashes, Match.CALLEE, call.diverting)] if self._watch.wants(hashes) else []

    def _match(self, subject: Subject, events: list[X2Event], armed: Instant | dict[str, Instant] | None) -> bool:
        """Begin to intercept a subject that has become a target's. ``armed``: it ran when tasks were armed, then, or
        these alone, each at its time; None: it is no longer than they.
        """
        started = False
        call = subject.call
        for hashed, match in subject.identities:
            for watched in self._watch.matches((hashed,), match, call.diverting):
                at = armed.get(watched.xid) if isinstance(armed, dict) else armed
                if (at is None and armed is not None) or not self._watch.start(subject, watched):
                    continue
                started = True
                self._tracker.calls.intercepted(call)
                if at is not None and (subject.dialog is not None or not call.dialogs) and _is_kept(subject):
                    events.append(self._start_of_interception(subject, watched, at))
                    events += self._session(subject, watched, at)
        return started

    def _start_of_interception(self, subject: Subject, watched: Watched, now: Instant) -> StartOfInterception:
        offer, answer = _latest(subject.current)
        return StartOfInterception(
            xid=watched.xid,
            identity=watched.identity,
            correlation=subject.call.correlation,
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
        call, dialog, current = subject.call, subject.dialog, subject.current
        pending = None if dialog is None else dialog.negotiation.pending
        ledger = Ledger() if dialog is None else dialog.ledger(self.limits)
        # In an early dialog other forks, whose answers nobody has seen yet, may already be sending.
        early = dialog is None or dialog.state is State.EARLY
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

    def _standalone(self, heard: Heard, events: list[X2Event]) -> None:
        """REGISTER, MESSAGE, SUBSCRIBE, OPTIONS, ...: matched by what the message itself names."""
        if heard.method == "REGISTER" and heard.status // 100 == 2:
            self._registrations.learn(heard.message, heard.seen.at.mono)
        reported: set[str] = set()
        for hashes, match in self._named(heard):
            for watched in self._watch.matches(hashes, match):
                if watched.xid in reported:
                    continue
                reported.add(watched.xid)
                for each in _forms(heard.seen):
                    events.append(SipReport(watched.xid, watched.identity, None, None, each, watched.target))

    def _named(self, heard: Heard) -> list[tuple[Hashes, Match]]:
        message = heard.message
        sender = Match.CALLER if heard.is_request else Match.CALLEE
        return [
            *self._identities.named(message),
            *self._identities.asserted(message, sender, self._identities.contacts(message), heard.seen.asserted),
            (self._identities.requested(message), Match.CALLEE),
        ]

    # Ends

    def _over(self, ended: list[Ended], now: Instant, events: list[X2Event]) -> None:
        for each in ended:
            subject = each.subject
            call, dialog = subject
            if self._armings and (dialog is not None or not call.forked):
                self._catch_up((subject,), events)
            for watched in self._watch.release(subject):
                if subject.is_named:
                    events.append(DialogReleased(watched.xid, call.correlation, subject.id, now, each.reason))
            if dialog is not None:
                self._index.forget_fork(call, dialog)
                continue
            self._index.forget(call)
            if self._journal is not None:
                self._journal.over(call)

    def _correlation(self, heard: Heard) -> bytes:
        """64 bits over Call-ID and caller's tag; legs with one icid (RFC 7315 4.6) share the first one's."""
        icid = _icid(heard.message) if heard.seen.asserted is None else ""
        known = self._icids.get(icid) if icid else None
        if known is not None:
            return known
        text = f"{heard.call_id}\0{heard.from_tag}".encode("utf-8", "surrogateescape")
        correlation = blake2b(text, digest_size=CORRELATION_OCTETS, key=self._correlation_key).digest()
        if icid:
            self._icids.put(icid, correlation)
        return correlation


def _shapes(heard: Heard, *, news: bool) -> bool:
    """Whether a message may change what is known of its call; ``news``: it has shown somebody."""
    if heard.method not in JOURNALED:
        return False
    if news or heard.described or heard.status >= 200:
        return True
    return heard.is_request and heard.method not in PASSING


def _answered_first(found: list[tuple[Call, ...]]) -> Iterator[Call | None]:
    """Calls in the order in which they are reported; None in the place of one whose turn comes later."""
    later: list[Call] = []
    for call in chain.from_iterable(found):
        if call.confirmed:
            yield call
        else:
            later.append(call)
            yield None
    yield from later


def _is_kept(subject: Subject) -> bool:
    """Whether there is something to report of a running session (TS 33.107 7A.3.1): else only what follows is."""
    return not subject.call.forgotten or subject.current is not None


def _latest(round_: Round | None) -> tuple[Kept | None, Kept | None]:
    return (None, None) if round_ is None else (round_.offer, round_.answer)


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
    vector = message.first("P-Charging-Vector") if message.has(b"p-charging-vector") else None
    for part in () if vector is None else vector.split(";"):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() == "icid-value":
            return value.strip().strip('"')
    return ""
