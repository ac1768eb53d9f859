"""The book of warrants: drafted by one person, approved by two others, activated by a fourth.

Pure: an act gives the record as it would be, which its caller keeps on the disk and then enters with ``enter``. What
is in force is verified here as elements do it, by the ADMF's own trust list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec import Struct, structs

from midcall.admf.plan import At
from midcall.admf.roles import Person
from midcall.admf.values import SECOND, Denied, Paper, Record, Status
from midcall.base.warrant import (
    ClockGuard,
    FormError,
    Known,
    Refused,
    Revocation,
    Revoked,
    Rule,
    TrustList,
    Verified,
    Warrant,
    envelope,
    value,
    verify,
)
from midcall.base.warrant.envelope import Envelope, Signature
from midcall.base.warrant.trust import Approver, plain
from midcall.events import Instant

HOUR = 3_600 * SECOND
_NOT_APPROVED = {Rule.FORM, Rule.HEADER, Rule.SIGNATURE, Rule.APPROVALS, Rule.CONTENTS}


class Limits(Struct, frozen=True):
    """``per_hour``: activations that one administrator may ask for; ``warrants``: those that are kept, and ``keep``
    for how long (ns) when they are over."""

    per_hour: int = 20
    warrants: int = 10_000
    keep: int = 90 * 24 * HOUR


class InForce(Struct, frozen=True):
    """The version under which tasks are to stand, from when to when it may be taken for that without looking again."""

    warrant: Warrant
    octets: bytes
    digest: str
    at: Instant
    until: int
    begun: bool

    def __repr__(self) -> str:
        return "InForce(...)"

    def over(self, now: Instant) -> bool:
        """By either clock."""
        return now.wall >= self.until or now.mono - self.at.mono >= self.until - self.at.wall


class Book:
    """All warrants. ``elements``: those that are ordered from here."""

    def __init__(
        self,
        trust: TrustList,
        elements: Iterable[At],
        limits: Limits,
        clock: ClockGuard,
        records: Iterable[Record] = (),
        activations: Iterable[int] = (),
    ) -> None:
        """``activations``: wall times of those within the last hour."""
        self._trust = trust
        self._elements = tuple(elements)
        self._limits = limits
        self._clock = clock
        self._records: dict[str, Record] = {}
        self._xids: dict[str, str] = {}
        self._liids: dict[str, str] = {}
        self._over: set[tuple[str, int]] = set()
        self.activations = tuple(activations)
        for each in records:
            self.enter(each)

    @property
    def records(self) -> Mapping[str, Record]:
        return MappingProxyType(self._records)

    def trust(self, trust: TrustList) -> None:
        """Another trust list."""
        self._trust = trust

    def enter(self, record: Record) -> None:
        """A record counts from now on; one in which nothing is left is gone."""
        self._records[record.id] = record
        if record.is_nothing:
            del self._records[record.id]
        if not record.papers:
            for index in (self._xids, self._liids):
                for name in [name for name, owner in index.items() if owner == record.id]:
                    del index[name]
        for _, paper in record.papers:
            signed = paper.signed
            if isinstance(signed, Warrant):
                self._xids.update((each.xid, record.id) for each in signed.targets)
                self._liids.update((each.liid, record.id) for each in signed.targets)

    def warrant_of(self, xid: str) -> str:
        """The id of the warrant whose task it is; empty: nobody's that is known here."""
        return self._xids.get(xid, "")

    # Acts of people

    def draft(self, octets: bytes, person: Person, now: Instant) -> Record:
        """A draft, or the next version of a warrant, or a revocation. Denied."""
        try:
            read = envelope.read(octets)
            signed = value.decode(read.signed)
        except FormError as error:
            raise Denied("form", str(error)) from None
        if person.plain in self._signers(read):
            raise Denied("own", "who has drafted it does not approve it")
        self._signed(read)
        former = self._records.get(signed.id)
        count = sum(bool(each.papers) for each in self._records.values())
        if former is None and count >= self._limits.warrants:
            raise Denied("limit", f"{self._limits.warrants} warrants are kept, and no more can be")
        if former is not None and former.ended is not None:
            raise Denied("ended", "this warrant has ended for good; draft a new one")
        self._succeeds(signed, former)
        if isinstance(signed, Warrant):
            self._own(signed)
            self._long(signed, now)
        paper = Paper(octets, person.name)
        former = former or Record(signed.id, ())
        # One draft at a time: another one that is not approved yet makes room.
        kept = tuple(each for each in former.papers if former.is_approved(each[0]))
        record = structs.replace(former, papers=(*kept, (signed.version, paper)))
        return self._approved(record, signed.version, paper, now)

    def _succeeds(self, signed: Warrant | Revocation, former: Record | None) -> None:
        """A version that is approved is not drafted again; the next one has it in view."""
        known = None if former is None else former.known
        if known is None:
            if isinstance(signed, Revocation):
                raise Denied("unknown", "nothing was approved under this id that could be revoked")
            return
        if signed.version <= known.version:
            raise Denied("version", f"version {known.version} is approved; a later one is needed")
        if signed.supersedes is None or signed.supersedes < known.version:
            raise Denied("version", f"does not supersede version {known.version}")

    def _own(self, warrant: Warrant) -> None:
        """Product of two warrants never meets: no task and no LIID is another's."""
        for each in warrant.targets:
            if self._xids.get(each.xid, warrant.id) != warrant.id:
                raise Denied("taken", "targets: XID of another warrant")
            if self._liids.get(each.liid, warrant.id) != warrant.id:
                raise Denied("taken", "targets: LIID of another warrant")

    def _long(self, warrant: Warrant, now: Instant) -> None:
        if warrant.end_ns - warrant.start_ns > self._trust.max_length:
            raise Denied(Rule.LENGTH, "runs longer than a warrant may here")
        if now.wall >= warrant.end_ns:
            raise Denied(Rule.ENDED, "its window is over")

    def approve(self, identifier: str, version: int, signature: Signature, person: Person, now: Instant) -> Record:
        """One person's signature more. Denied."""
        record, paper = self._paper(identifier, version)
        if record.ended is not None:
            raise Denied("ended", "this warrant has ended for good")
        if plain(paper.drafted_by) == person.plain:
            raise Denied("own", "who has drafted it does not approve it")
        read = paper.envelope
        self._signs(read, signature, person, now)
        signed = Envelope(read.payload, (*read.signatures, signature))
        if len(signed.signatures) > envelope.MAX_SIGNATURES:
            raise Denied("form", f"{envelope.MAX_SIGNATURES} have signed already")
        paper = Paper(envelope.write(signed), paper.drafted_by)
        papers = tuple((each, paper if each == version else held) for each, held in record.papers)
        return self._approved(structs.replace(record, papers=papers), version, paper, now)

    def _signs(self, read: Envelope, signature: Signature, person: Person, now: Instant) -> None:
        """The person's own key, listed and valid, over exactly this; and nobody signs twice."""
        approver = self._approver(signature)
        signers = self._signers(read)
        if approver is None or approver.name != person.plain:
            raise Denied("key", "the signature is not by a key of whom the certificate names")
        if approver.revoked or not approver.valid_from <= now.wall < approver.valid_until:
            raise Denied("key", "the key is revoked, or not valid now")
        if approver.name in signers:
            raise Denied("twice", "this person has approved it already")
        if not envelope.verifies(read, signature, approver.key):
            raise Denied("signature", "the signature is wrong")

    def _signed(self, read: Envelope) -> None:
        """Whom a draft names as having approved it has. Denied."""
        for each in read.signatures:
            approver = self._approver(each)
            if approver is None:
                raise Denied("key", "it is signed by a key that the trust list does not have")
            if not envelope.verifies(read, each, approver.key):
                raise Denied("signature", "a signature in it is wrong")

    def _signers(self, read: Envelope) -> frozenset[str]:
        """Persons of the trust list under whose keys a file says that it is signed. Denied."""
        found = map(self._approver, read.signatures)
        return frozenset(each.name for each in found if each is not None)

    def _approver(self, signature: Signature) -> Approver | None:
        """Under whose key a signature says that it is. Denied."""
        try:
            return self._trust.approver(envelope.signer(signature))
        except FormError as error:
            raise Denied("form", str(error)) from None

    def _approved(self, record: Record, version: int, paper: Paper, now: Instant) -> Record:
        """With what follows when enough persons have signed."""
        if record.is_approved(version) or not self._is_approved(paper, now):
            return record
        revoked = isinstance(paper.signed, Revocation)
        known = Known(version, paper.digest, revoked)
        record = structs.replace(record, approved=(*record.approved, (version, known)))
        if revoked:
            record = structs.replace(record, ended=Status.CANCELLED, ended_at=now.wall, asked=0, asked_by="")
        return record

    def _is_approved(self, paper: Paper, now: Instant) -> bool:
        outcome = self._verified(paper, now)
        return not isinstance(outcome, Refused) or outcome.rule not in _NOT_APPROVED

    def _verified(self, paper: Paper, now: Instant, clock: ClockGuard | None = None) -> Verified | Revoked | Refused:
        signed = paper.signed
        element = signed.elements[0] if isinstance(signed, Warrant) else ""
        return verify(paper.octets, self._trust, now, element, {}, clock)

    def activate(self, identifier: str, person: Person, now: Instant) -> Record:
        """The last approved version is ordered, or waits for a second administrator. Denied."""
        record = self._records.get(identifier)
        if record is None:
            raise Denied("unknown", "no such warrant")
        if record.ended is not None:
            raise Denied("ended", f"this warrant has ended: {record.ended}")
        known = record.known
        if known is None:
            raise Denied(Rule.APPROVALS, "it is not approved yet")
        paper = record.paper(known.version)
        assert paper is not None
        self._may_begin(paper, now)
        if known.version in record.ordered and not record.suspended:
            return structs.replace(record, asked=0, asked_by="")
        if self._many(now) and (record.asked != known.version or plain(record.asked_by) == person.plain):
            return structs.replace(record, asked=known.version, asked_by=person.name)
        ordered = (*(each for each in record.ordered if each != known.version), known.version)
        return structs.replace(record, ordered=ordered, asked=0, asked_by="", suspended=False)

    def _may_begin(self, paper: Paper, now: Instant) -> None:
        """Everything but, perhaps, its time is right, and there is who can carry it out."""
        outcome = self._verified(paper, now, self._clock)
        if isinstance(outcome, Refused) and outcome.begins is None:
            raise Denied(outcome.rule, outcome.reason)
        signed = paper.signed
        assert isinstance(signed, Warrant)
        roles = {each.role for each in self.of(signed)}
        if roles != {"df", "poi"}:
            raise Denied(Rule.ELEMENT, "elements: has to name a POI and a DF that are ordered from here")

    def of(self, warrant: Warrant) -> tuple[At, ...]:
        """The elements under a warrant that are ordered from here."""
        return tuple(each for each in self._elements if each.element in warrant.elements)

    def _many(self, now: Instant) -> bool:
        return len(self.within_hour(now)) >= self._limits.per_hour

    def within_hour(self, now: Instant) -> tuple[int, ...]:
        """When something was activated; what the wall clock says to come counts as well."""
        return tuple(each for each in self.activations if each > now.wall - HOUR)[-self._limits.per_hour :]

    def revoke(self, identifier: str) -> Record:
        """Its tasks end, and the warrant does not: nobody has to approve that. A draft that was never approved goes.
        Denied."""
        record = self._records.get(identifier)
        if record is None:
            raise Denied("unknown", "no such warrant")
        if not record.approved:
            return Record(identifier, ())
        if record.ended is not None or not (record.ordered or record.asked):
            raise Denied("not-active", "nothing is ordered under it")
        return structs.replace(record, suspended=True, asked=0, asked_by="")

    def _paper(self, identifier: str, version: int) -> tuple[Record, Paper]:
        record = self._records.get(identifier)
        paper = None if record is None else record.paper(version)
        if record is None or paper is None:
            raise Denied("unknown", "no such warrant, or no such version of it")
        return record, paper

    # What is in force

    def in_force(self, identifier: str, now: Instant) -> InForce | Refused | None:
        """What tasks are to stand under now; Refused: it was ordered, and holds no more. None: nothing is ordered.

        A version that has begun goes before those before it; until then the one before it goes on.
        """
        record = self._records[identifier]
        if record.ended is not None or record.suspended:
            return None
        ahead: InForce | None = None
        refused: Refused | None = None
        for version in sorted(record.ordered, reverse=True):
            paper = record.paper(version)
            if paper is None or (identifier, version) in self._over:
                continue
            outcome = self._verified(paper, now)
            if isinstance(outcome, Verified):
                return self._standing(outcome.warrant, paper, now, True)
            if isinstance(outcome, Refused):
                signed = paper.signed
                if outcome.begins is not None and isinstance(signed, Warrant):
                    ahead = self._standing(signed, paper, now, False)
                elif outcome.rule is Rule.ENDED:
                    self._over.add((identifier, version))
                else:
                    refused = refused or outcome
        return ahead or refused

    def _standing(self, warrant: Warrant, paper: Paper, now: Instant, begun: bool) -> InForce:
        """Until its window, or that of an approver's key, changes what holds, or a later version begins."""
        ends = [warrant.end_ns if begun else warrant.start_ns]
        keys = (self._trust.approver(envelope.signer(each)) for each in paper.envelope.signatures)
        ends += [each.valid_until for each in keys if each is not None and each.valid_until > now.wall]
        record = self._records[warrant.id]
        for version in record.ordered:
            later = record.paper(version)
            signed = None if later is None or version <= warrant.version else later.signed
            if isinstance(signed, Warrant) and signed.start_ns > now.wall:
                ends.append(signed.start_ns)
        return InForce(warrant, paper.octets, paper.digest, now, min(ends), begun)

    def close(self, force: InForce, now: Instant) -> None:
        """A window that one of the clocks says is over stays so for this process, whatever the other says."""
        left = force.warrant.end_ns - force.at.wall
        if force.begun and (now.wall >= force.warrant.end_ns or now.mono - force.at.mono >= left):
            self._over.add((force.warrant.id, force.warrant.version))

    def next_approved(self, identifier: str, now: Instant) -> bool:
        """Whether a later version waits to be activated."""
        record = self._records[identifier]
        last = max(record.ordered, default=0)
        later = (record.paper(version) for version, _ in record.approved if version > last)
        signed = (paper.signed for paper in later if paper is not None)
        return any(isinstance(each, Warrant) and now.wall < each.end_ns for each in signed)

    def expired(self, identifier: str, now: Instant) -> Record | None:
        """The record as one that has ended, when all that was ordered under it is over."""
        record = self._records[identifier]
        if record.ended is not None or not record.ordered:
            return None
        if self.next_approved(identifier, now):
            return None
        for version in record.ordered:
            paper = record.paper(version)
            signed = None if paper is None else paper.signed
            is_over = (identifier, version) in self._over or (isinstance(signed, Warrant) and now.wall >= signed.end_ns)
            if not is_over:
                return None
        return structs.replace(record, ended=Status.EXPIRED, ended_at=now.wall)

    def forgotten(self, identifier: str, now: Instant) -> Record | None:
        """The record without what was in it, when it has been over for long enough: the id alone stays, for good."""
        record = self._records[identifier]
        ends = [paper.signed.end_ns for _, paper in record.papers if isinstance(paper.signed, Warrant)]
        over = record.ended_at if record.ended is not None else max(ends, default=0)
        if not record.papers or now.wall < over + self._limits.keep:
            return None
        if not record.approved:
            return Record(identifier, ())
        return Record(identifier, (), record.approved, ended=record.ended or Status.EXPIRED, ended_at=over)
