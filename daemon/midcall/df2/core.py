"""Mediation: follows the sessions of intercepted dialogs, asks the KMS, tells DF3 what to tap (TS 33.107 7A.7).

A core: it takes X2 events and the KMS's answers with the time, and returns what follows. MIKEY is read here,
because a warrant is active; a key is used only when the messages that brought it proved right.
"""

from __future__ import annotations

from hashlib import blake2b

from msgspec import Struct

from imswire import mikey
from midcall.base.bounded import BoundedTable
from midcall.df2.communications import Communications
from midcall.df2.media import SessionMedia, newest_last, place
from midcall.df2.sdes import SdesKeys
from midcall.events import (
    CROWDED_OUT,
    CryptoContext,
    DialogFault,
    DialogId,
    DialogReleased,
    Failure,
    Instant,
    KeyAnswer,
    KeyQuery,
    MediaPlan,
    SessionKey,
    SessionReport,
    Terms,
    TicketExchange,
    X2Event,
)

# Bundles and generations of one dialog that can still be in use; each has at most 255 crypto sessions.
BUNDLES = 8
GENERATIONS = 3
DIALOGS = 65_536
# What is remembered of one dialog, whose ends may change their keys as often as they like: what is forgotten is asked,
# or told, once more. An offer has at most 64 media.
STATES = 256
BUNDLES_KNOWN = 256
KEYS_TOLD = 4_096
FAILURES_TOLD = 256
# Questions to the KMS for one dialog at a time.
QUESTIONS = 64
ASKED_TOO_MUCH = (
    f"more than {QUESTIONS} questions to the KMS about one session at a time: no more of its keys are asked"
)


class MediaClose(Struct, frozen=True, gc=False):
    """DF3 is to stop; with ``linger`` packets under way of proved streams still count for a moment."""

    xid: str
    dialog: DialogId
    at: Instant
    linger: bool


class KeysFound(Struct, frozen=True, gc=False):
    """Session keys of a bundle that were not known before; ``bundle`` counts those of the dialog from 0."""

    xid: str
    identity: str
    correlation: bytes
    dialog: DialogId
    at: Instant
    bundle: int
    csb_id: int
    keys: tuple[SessionKey, ...]


Output = KeyQuery | MediaPlan | MediaClose | Failure | KeysFound

_Key = tuple[str, DialogId]


class _Dialog:
    """An intercepted dialog as DF2 follows it."""

    def __init__(self, report: SessionReport, services: tuple[str, ...] | None) -> None:
        self.report = report
        self.media = SessionMedia(report, services)
        self.bundles: BoundedTable[bytes, int] = BoundedTable("df2.bundles", BUNDLES_KNOWN)
        self._bundles = 0
        self.contexts: dict[int, list[CryptoContext]] = {}
        self.sdes = SdesKeys()
        self.asked: BoundedTable[bytes, int] = BoundedTable("df2.asked", STATES)
        self.open: set[int] = set()
        self.failures: BoundedTable[tuple[int, str], int] = BoundedTable("df2.failures", FAILURES_TOLD)
        self.told: BoundedTable[tuple[int, int, int], None] = BoundedTable("df2.told", KEYS_TOLD)

    def bundle(self, init: bytes) -> int:
        """The number of the bundle that a message began, counted from 0; no two have the same."""
        mark = _digest(init)
        number = self.bundles.get(mark)
        if number is None:
            number, self._bundles = self._bundles, self._bundles + 1
            self.bundles.put(mark, number)
        self.bundles.touch(mark)
        return number

    def all_contexts(self) -> tuple[CryptoContext, ...]:
        return newest_last([*self.sdes.contexts, *(each for some in self.contexts.values() for each in some)])

    @property
    def newest(self) -> int:
        """The order of its newest key; 0: none is known."""
        return max((each.order for each in self.all_contexts()), default=0)


class Mediation:
    """Dialogs under interception."""

    def __init__(self, communications: Communications | None = None) -> None:
        self._communications = communications or Communications()
        self._dialogs: BoundedTable[_Key, _Dialog] = BoundedTable("df2.dialogs", DIALOGS)
        self._queries: dict[int, tuple[_Key, TicketExchange]] = {}
        self._terms: dict[str, Terms] = {}
        self._next_query = 1
        self._order = 0

    def order(self, xid: str, terms: Terms) -> None:
        """What the warrant of a task allows; without it nothing of the task is followed."""
        self._terms[xid] = terms

    def end(self, xid: str) -> None:
        """A task is over: its dialogs are forgotten, and answers that still come for them."""
        self._terms.pop(xid, None)
        for key in [key for key in self._dialogs if key[0] == xid]:
            self._forget(self._dialogs.pop(key))

    def reports(self, xid: str) -> list[SessionReport]:
        """The sessions of a task's dialogs, as they were reported last."""
        return [dialog.report for (task, _), dialog in self._dialogs.items() if task == xid]

    def asked_for(self, query: int) -> DialogId | None:
        """The dialog that a question to the KMS is about; None: it is answered, or nobody waits for it any more."""
        asked = self._queries.get(query)
        return None if asked is None else asked[0][1]

    def x2(self, event: X2Event) -> list[Output]:
        """Take in an event of the POI."""
        terms = self._terms.get(event.xid)
        if terms is None or not terms.content:
            # No order, or one for events only: no media, no keys (TS 33.107 7A.1.A).
            return []
        if isinstance(event, SessionReport):
            return self._session(event)
        if isinstance(event, DialogReleased):
            return self._released(event)
        if isinstance(event, DialogFault):
            key = (event.xid, event.dialog)
            return self._fail(key, event.correlation, event.at, event.frame, event.reason, keys=True)
        return []

    def keys(self, answer: KeyAnswer, now: Instant) -> list[Output]:
        """Take in what the KMS answered; an answer that nobody waits for any more is dropped."""
        asked = self._queries.pop(answer.query, None)
        if asked is None:
            return []
        key, exchange = asked
        dialog = self._dialogs.get(key)
        if dialog is None:
            return []
        dialog.open.discard(answer.query)
        outputs: list[Output] = []
        correlation = dialog.report.correlation
        for reason in answer.failures:
            outputs += self._fail(key, correlation, now, exchange.init.frame, reason, keys=True)
        bundle = dialog.bundle(exchange.init.octets)
        contexts = []
        for session in answer.keys:
            media, sender = place(exchange, session.cs_id)
            if not dialog.media.is_of(media):
                continue
            self._order += 1
            contexts.append(CryptoContext(bundle, self._order, media, sender, session))
        newest = max((context.key.generation for context in contexts), default=0)
        recent = [context for context in contexts if context.key.generation > newest - GENERATIONS]
        if recent:
            dialog.contexts[bundle] = recent
            for old in sorted(dialog.contexts)[:-BUNDLES]:
                del dialog.contexts[old]
        told = tuple(context.key for context in contexts)
        outputs += self._tell(key, dialog, bundle, exchange, told, now)
        return [*outputs, self._plan(dialog, now)]

    def _tell(
        self,
        key: _Key,
        dialog: _Dialog,
        bundle: int,
        exchange: TicketExchange,
        keys: tuple[SessionKey, ...],
        now: Instant,
    ) -> list[Output]:
        """Session keys that are new; a repeated answer tells nothing."""
        new = tuple(each for each in keys if (bundle, each.cs_id, each.generation) not in dialog.told)
        for each in new:
            dialog.told.put((bundle, each.cs_id, each.generation), None)
        if not new:
            return []
        csb_id = mikey.peek(exchange.init.octets).csb_id
        report = dialog.report
        return [KeysFound(key[0], report.identity, report.correlation, key[1], now, bundle, csb_id, new)]

    # Sessions

    def _session(self, report: SessionReport) -> list[Output]:
        key = (report.xid, report.dialog)
        dialog = self._dialogs.get(key)
        outputs: list[Output] = []
        services = self._terms[report.xid].services
        if dialog is None:
            dialog = _Dialog(report, services)
            outputs += self._crowded_out(self._dialogs.put(key, dialog), report.at)
        else:
            dialog.report, dialog.media = report, SessionMedia(report, services)
        self._order = dialog.sdes.learn(dialog.media.sdes, self._order)
        for frame, reason, keys in dialog.media.faults:
            outputs += self._fail(key, report.correlation, report.at, frame, reason, keys=keys)
        queries: list[Output] = []
        for exchange in report.exchanges:
            if dialog.media.is_of(exchange.media):
                queries += self._ask(key, dialog, exchange)
        outputs += self._without_ticket(key, dialog)
        outputs.append(self._plan(dialog, report.at))
        if report.dialog.callee_tag:
            outputs += self._superseded(report)
        # Last, so that an answer that comes at once finds the plan in force.
        return outputs + queries

    def _crowded_out(self, gone: _Dialog | None, at: Instant) -> list[Output]:
        """More dialogs than there is room for: the oldest is followed no more, and its agency is told."""
        if gone is None:
            return []
        self._forget(gone)
        xid, dialog = gone.report.xid, gone.report.dialog
        told = Failure(xid, gone.report.correlation, dialog, at, 0, CROWDED_OUT, keys=False, missing=True)
        return [MediaClose(xid, dialog, at, linger=False), told]

    def _forget(self, dialog: _Dialog | None) -> None:
        """Nobody waits any more for what the KMS answers for a dialog."""
        for query in () if dialog is None else dialog.open:
            self._queries.pop(query, None)

    def _superseded(self, report: SessionReport) -> list[Output]:
        """A fork has answered: what was planned for the call before anybody had is its business now."""
        before = DialogId(report.dialog.call_id, report.dialog.caller_tag, "")
        gone = self._dialogs.pop((report.xid, before))
        if gone is None:
            return []
        self._forget(gone)
        return [MediaClose(report.xid, before, report.at, linger=False)]

    def _ask(self, key: _Key, dialog: _Dialog, exchange: TicketExchange) -> list[Output]:
        """Ask the KMS once for each state of an exchange, as soon as keys can be known."""
        at, report = dialog.report.at, dialog.report
        try:
            messages = mikey.Exchange.read(
                exchange.init.octets, None if exchange.response is None else exchange.response.octets
            )
        except mikey.MikeyError as error:
            frame = exchange.init.frame if exchange.response is None else _frame_of(exchange)
            return self._fail(key, report.correlation, at, frame, f"MIKEY: {error}", keys=True)
        if messages.waits:
            if report.answer is None or report.pending:
                return []
            reason = "MIKEY: the answer has no TRANSFER_RESP, and the keys depend on it"
            return self._fail(key, report.correlation, at, report.answer.frame, reason, keys=True)
        mark = _mark(exchange)
        if mark in dialog.asked:
            dialog.asked.touch(mark)
            return []
        if len(dialog.open) >= QUESTIONS:
            return self._fail(key, report.correlation, at, 0, ASKED_TOO_MUCH, keys=True)
        query = self._next_query
        self._next_query += 1
        dialog.asked.put(mark, query)
        dialog.open.add(query)
        self._queries[query] = (key, exchange)
        return [KeyQuery(query, report.xid, report.identity, exchange, dialog.media.parties)]

    def _without_ticket(self, key: _Key, dialog: _Dialog) -> list[Output]:
        """Secure media that neither a ticket nor the description keys: nobody here can open them."""
        report = dialog.report
        if report.answer is None or report.exchanges or report.pending:
            return []
        keyed = {each.media for each in dialog.media.sdes}
        if all(flow.media in keyed for flow in dialog.media.flows if flow.secure):
            return []
        frame = 0 if report.offer is None else report.offer.frame
        reason = "secure media without a MIKEY-TICKET exchange and without a=crypto"
        return self._fail(key, report.correlation, report.at, frame, reason, keys=True)

    def _plan(self, dialog: _Dialog, now: Instant) -> MediaPlan:
        report = dialog.report
        terms = self._terms[report.xid]
        unanswered = report.answer is None and any(flow.secure for flow in dialog.media.flows)
        return MediaPlan(
            xid=report.xid,
            cin=self._communications.cin(report.xid, report.correlation),
            correlation=report.correlation,
            dialog=report.dialog,
            at=now,
            start=terms.start,
            end=terms.end,
            invited_at=report.invited_at,
            target=report.target,
            flows=dialog.media.flows,
            contexts=dialog.all_contexts(),
            awaiting=bool(dialog.open) or unanswered or report.pending,
            encrypted=terms.encrypted,
        )

    # Ends

    def _released(self, event: DialogReleased) -> list[Output]:
        key = (event.xid, event.dialog)
        gone = self._dialogs.pop(key)
        if gone is None:
            return []
        self._forget(gone)
        return [MediaClose(event.xid, event.dialog, event.at, linger=event.reason != "task ended")]

    def _fail(self, key: _Key, correlation: bytes, at: Instant, frame: int, reason: str, *, keys: bool) -> list[Output]:
        """Report a failure once, and once more when keys have come since."""
        dialog = self._dialogs.get(key)
        newest = 0 if dialog is None else dialog.newest
        if dialog is not None:
            if dialog.failures.get((frame, reason)) == newest:
                return []
            dialog.failures.put((frame, reason), newest)
        return [Failure(key[0], correlation, key[1], at, frame, reason, keys, after=newest)]


def _mark(exchange: TicketExchange) -> bytes:
    """What tells two states of an exchange apart."""
    octets = [exchange.init.octets, b"" if exchange.response is None else exchange.response.octets]
    for update in exchange.updates:
        octets += [update.init.octets, b"" if update.response is None else update.response.octets]
    place = -1 if exchange.media is None else exchange.media
    return _digest(place.to_bytes(4, "big", signed=True), *map(_digest, octets))


def _digest(*octets: bytes) -> bytes:
    return blake2b(b"".join(octets), digest_size=16).digest()


def _frame_of(exchange: TicketExchange) -> int:
    """The message that an error is about: the first that cannot be read by itself."""
    try:
        mikey.Exchange.read(exchange.init.octets, None)
    except mikey.MikeyError:
        return exchange.init.frame
    assert exchange.response is not None
    return exchange.response.frame
