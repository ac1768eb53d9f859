"""IRI mediation: events of armed tasks become records for HI2, at once and in their order (TS 33.107 7A).

A core. What the warrant does not cover never gets into a record; nothing here waits for keys.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from imswire import sip
from imswire.hi import EpsTemplate, eps
from midcall.base import redaction
from midcall.base.bounded import BoundedTable
from midcall.base.services import VOICE, covers
from midcall.df2 import forms
from midcall.df2.communications import Communication, Communications
from midcall.df2.core import KeysFound
from midcall.df2.forms import About, Agency, Parties, Session
from midcall.df2.phases import Phases
from midcall.events import DialogId, Failure, Half, IriRecord, Side, SipReport, StartOfInterception, X2Event

# CSB ID in front of the CS ID (cCCSID of TS 33.108 is not fixed).
CSB_ID_OCTETS = 4
MAX_REASON = 255
SUBJECTS = 65_536
# About 2 KB each.
TEMPLATES = 4_096


class _Subject(Struct, frozen=True, gc=False):
    """Whom a communication concerns."""

    identity: str
    target: Side | None
    correlation: bytes | None


_Common = tuple[str, str, Side | None, int, int | None]
_NOBODY = _Subject("", None, None)


class IriMediation:
    """Makes the records of all tasks; ``order`` says for whom and how. ``key`` numbers them from 1.

    ``removed`` is told what was taken out of a record before it went: XID, and what.
    """

    def __init__(
        self,
        communications: Communications,
        removed: Callable[[str, tuple[str, ...]], None] = lambda _xid, _what: None,
    ) -> None:
        self._communications = communications
        self._phases = Phases()
        self._agencies: dict[str, Agency] = {}
        # What is kept back, by task, with lines that messages under the same rules have in common.
        self._lines: dict[str, redaction.Lines] = {}
        self._alike: dict[redaction.Rules, redaction.Lines] = {}
        self._removed = removed
        self._subjects: BoundedTable[tuple[str, int], _Subject] = BoundedTable("df2.subjects", SUBJECTS)
        self._failed: BoundedTable[tuple[str, DialogId], int] = BoundedTable("df2.failed", SUBJECTS)
        # What messages have in common: by task, subject, kind of record and size of the correlation.
        self._templates: BoundedTable[_Common, tuple[Agency, EpsTemplate]] = BoundedTable("df2.templates", TEMPLATES)
        self._next_key = 1

    def order(self, xid: str, agency: Agency) -> None:
        """What a task's records look like; without it a task has none."""
        self._agencies[xid] = agency
        rules = _rules(agency)
        if rules not in self._alike:
            self._alike[rules] = redaction.Lines(rules)
        self._lines[xid] = self._alike[rules]

    def end(self, xid: str) -> None:
        """A task is over: whom its records were about is forgotten. What is told of it later has its correlation."""
        lines = self._lines.get(xid)
        if lines is not None:
            lines.forget()
        for each in [each for each in self._templates if each[0] == xid]:
            self._templates.pop(each)
        for place, who in list(self._subjects.items()):
            if place[0] == xid:
                self._subjects.put(place, _Subject("", None, who.correlation))

    def x2(self, event: X2Event) -> list[IriRecord]:
        """The record of an event of the POI; most have none or one."""
        agency = self._agencies.get(event.xid)
        if agency is None:
            return []
        if isinstance(event, StartOfInterception):
            return [self._start(agency, event)]
        if isinstance(event, SipReport):
            return [self._sip(agency, event)]
        return []

    def keys(self, found: KeysFound) -> list[IriRecord]:
        """Session keys, when the agency is the one that decrypts."""
        agency = self._agencies.get(found.xid)
        if agency is None or not agency.terms.keys_to_lemf or not agency.terms.content:
            return []
        infos = tuple(
            eps.CcKeyInfo(
                _cs_id(agency.profile.cccsid, found, key.cs_id), bytes(key.master.key), bytes(key.master.salt) or None
            )
            for key in found.keys
        )
        cin = self._cin(found.xid, found.correlation)
        about = self._about(agency, found.xid, cin, found.at.wall)
        return [self._record(agency, cin, about, forms.keys(agency, about, infos))]

    def failure(self, failure: Failure) -> list[IriRecord]:
        """That media of a dialog stay encrypted, said once and again when keys have come since; or some are missing."""
        agency = self._agencies.get(failure.xid)
        place = (failure.xid, failure.dialog)
        if agency is not None and failure.missing:
            return [self._missing(agency, failure)]
        if agency is None or not failure.keys or self._failed.get(place) == failure.after:
            return []
        self._failed.put(place, failure.after)
        cin = self._cin(failure.xid, failure.correlation)
        about = self._about(agency, failure.xid, cin, failure.at.wall)
        return [self._record(agency, cin, about, forms.no_keys(agency, about))]

    def _missing(self, agency: Agency, failure: Failure) -> IriRecord:
        cin = self._cin(failure.xid, failure.correlation)
        about = self._about(agency, failure.xid, cin, failure.at.wall)
        return self._record(agency, cin, about, forms.cc_unavailable(agency, about, _printable(failure.reason)))

    def cc_unavailable(self, agency: Agency, xid: str, cin: int | None, at: int, reason: str) -> bytes:
        """Contents of a record that content of a communication is missing, and why, for the agency of its task."""
        about = self._about(agency, xid, cin or 0, at)
        return forms.cc_unavailable(agency, about, _printable(reason))

    # Restarts

    def state(self, xid: str, correlation: bytes, services: tuple[str, ...] = ()) -> Communication:
        """What a later run needs to go on with a communication of these ``services``. KeyError: no such task."""
        liid, cin = self._agencies[xid].terms.liid, self._cin(xid, correlation)
        who = self._subjects.get((xid, cin)) or _NOBODY
        answered, ended = self._phases.state(liid, cin)
        dialogs = self._communications.dialogs(xid, correlation)
        return Communication(correlation, cin, answered, ended, who.identity, who.target, dialogs, services)

    def recall(self, xid: str, state: Communication) -> None:
        """Go on with a communication of a former run. KeyError: no such task."""
        liid = self._agencies[xid].terms.liid
        self._communications.recall(xid, state)
        self._phases.recall(liid, state.cin, answered=state.answered, ended=state.ended)
        self._subjects.put((xid, state.cin), _Subject(state.identity, state.target, state.correlation))

    # Events

    def _start(self, agency: Agency, event: StartOfInterception) -> IriRecord:
        cin = self._cin(event.xid, event.correlation)
        self._meet(event, cin, event.correlation)
        kind = self._phases.start(agency.terms.liid, cin, answered=event.answer is not None)
        about = About(event.identity, event.target, event.correlation, event.at.wall, _kind(agency, kind))
        rules = self._lines[event.xid].rules
        offer_head, offer = self._half(event.xid, event.offer, rules)
        answer_head, answer = self._half(event.xid, event.answer, rules)
        session = Session(offer_head, offer, answer_head, answer)
        said = event.parties
        parties = _parties(event.offer or event.answer, event.dialog) if said is None else Parties(*said)
        contents = forms.start_of_interception(agency, about, session, parties)
        return self._record(agency, cin, about, contents)

    def _half(self, xid: str, half: Half | None, rules: redaction.Rules) -> tuple[bytes | None, bytes | None]:
        """Head and description as they may go out."""
        if half is None:
            return None, None
        head = redaction.head(half.head, rules)
        removed, description = head.removed, half.description
        if description is not None:
            kept = redaction.description(description, rules)
            description, removed = kept.octets or None, removed + kept.removed
        if removed:
            self._removed(xid, removed)
        return head.octets or None, description

    def _sip(self, agency: Agency, event: SipReport) -> IriRecord:
        seen = event.seen
        message = sip.parse(seen.octets)
        lines = self._lines[event.xid]
        redacted = redaction.of_parsed(message, seen.octets, lines.rules, lines)
        if redacted.removed:
            self._removed(event.xid, redacted.removed)
        cin, kind = None, int(_REPORT)
        if event.correlation is not None:
            cin = self._cin(event.xid, event.correlation)
            self._meet(event, cin, event.correlation)
            kind = self._phases.sip(agency.terms.liid, cin, message)
        about = About(event.identity, event.target, event.correlation, seen.at.wall, _kind(agency, kind))
        if agency.profile.iri == "eps":
            contents = self._template(agency, event.xid, about).contents(
                about.at, redacted.octets, about.correlation or b""
            )
        else:
            contents = forms.sip_message(agency, about, message, redacted, seen.source, seen.destination)
        return self._record(agency, cin, about, contents)

    def _template(self, agency: Agency, xid: str, about: About) -> EpsTemplate:
        number = about.correlation
        key = (xid, about.identity, about.target, about.kind, None if number is None else len(number))
        known = self._templates.get(key)
        if known is None or known[0] is not agency:  # none yet, or the task was changed
            known = agency, forms.sip_template(agency, about)
            self._templates.put(key, known)
        return known[1]

    # Records

    def _cin(self, xid: str, correlation: bytes) -> int:
        return self._communications.cin(xid, correlation)

    def _meet(self, event: StartOfInterception | SipReport, cin: int, correlation: bytes) -> None:
        """Remember whom a communication concerns, for records that no message brings."""
        self._subjects.put((event.xid, cin), _Subject(event.identity, event.target, correlation))

    def _about(self, agency: Agency, xid: str, cin: int, at: int) -> About:
        """A record that no message brings."""
        who = self._subjects.get((xid, cin)) or _NOBODY
        kind = self._phases.other(agency.terms.liid, cin)
        return About(who.identity, who.target, who.correlation, at, _kind(agency, kind))

    def _record(self, agency: Agency, cin: int | None, about: About, contents: bytes) -> IriRecord:
        key, self._next_key = self._next_key, self._next_key + 1
        return IriRecord(agency.terms.liid, cin, about.kind, about.at, contents, key)


_REPORT = 4
# X.680 41.4: PrintableString.
_PRINTABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")


def _printable(text: str) -> str:
    return "".join(each if each in _PRINTABLE else " " for each in text)[:MAX_REASON]


def _kind(agency: Agency, phase: int) -> int:
    return phase if agency.profile.records == "phases" else _REPORT


def _rules(agency: Agency) -> redaction.Rules:
    """What the warrant and the profile keep back (TS 33.107 7A.1.A)."""
    terms = agency.terms
    in_clear = terms.content and not terms.keys_to_lemf
    return redaction.Rules(
        location=not terms.location,
        content=not terms.content,
        sdes=in_clear or not terms.content or not covers(terms.services, VOICE),
        ticket=in_clear and agency.profile.ticket == "remove",
        mikey=in_clear,
    )


def _cs_id(coding: str, found: KeysFound, cs_id: int) -> bytes:
    alone = bytes((cs_id & 0xFF,))
    if coding == "cs" or (coding == "auto" and found.bundle == 0):
        return alone
    return found.csb_id.to_bytes(CSB_ID_OCTETS, "big") + alone


def _parties(half: Half | None, dialog: DialogId) -> Parties:
    """Caller and callee, whoever of them sent the message at hand."""
    if half is None:
        return Parties((), None)
    try:
        message = redaction.bodiless(half.head)
        by_caller = message.from_tag == dialog.caller_tag
        ends = {Side.CALLER: message.from_.uri, Side.CALLEE: message.to.uri}
    except sip.SipError:
        return Parties((), None)
    caller, callee = (Side.CALLER, Side.CALLEE) if by_caller else (Side.CALLEE, Side.CALLER)
    asserted = []
    if message.is_request == by_caller:
        for value in message.values("P-Asserted-Identity")[:2]:
            try:
                asserted.append(sip.parse_name_addr(value).uri)
            except sip.SipError:
                continue
    return Parties(tuple(asserted) or (ends[caller],), ends[callee])
