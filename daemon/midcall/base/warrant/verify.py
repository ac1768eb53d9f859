"""Verification of a warrant by one element on its own: pure, with the time as an argument.

Nothing in the payload is read before enough persons have been proved to have signed it. A refusal names the rule, never
a person, a target or a value.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256

from msgspec import Struct

from midcall.base.warrant import envelope
from midcall.base.warrant.clock import ClockGuard
from midcall.base.warrant.envelope import Envelope, HeaderError
from midcall.base.warrant.trust import Approver, TrustList
from midcall.base.warrant.value import FormError, Revocation, Signed, Warrant, decode
from midcall.events import Instant, Task, Terms


class Rule(enum.StrEnum):
    """What a refused warrant broke, in the order of the checks."""

    FORM = "form"
    HEADER = "header"
    SIGNATURE = "signature"
    APPROVALS = "approvals"
    CONTENTS = "contents"
    VERSION = "version"
    REVOKED = "revoked"
    ELEMENT = "element"
    LENGTH = "length"
    CLOCK = "clock"
    NOT_BEGUN = "not-begun"
    ENDED = "ended"


class Refused(Struct, frozen=True):
    """No authority. ``begins``: everything but the time is right, and the window opens then (wall ns)."""

    rule: Rule
    reason: str
    begins: int | None = None

    def __str__(self) -> str:
        return f"{self.rule}: {self.reason}"


class Known(Struct, frozen=True):
    """The highest version of a warrant that an element has seen: kept for good, or rollback opens what was closed."""

    version: int
    digest: str
    revoked: bool = False


class Verified(Struct, frozen=True):
    """A warrant that holds at this element now. ``digest`` is SHA-256 of the signed octets, ``at`` when it held."""

    warrant: Warrant
    digest: str
    approvals: tuple[str, ...]
    at: Instant

    @property
    def known(self) -> Known:
        return Known(self.warrant.version, self.digest)

    def open(self, now: Instant) -> bool:
        """Whether the window is still open, by wall clock and by what has passed since ``at``: both have to say so."""
        warrant = self.warrant
        passed = now.mono - self.at.mono
        return warrant.start_ns <= now.wall < warrant.end_ns and 0 <= passed < warrant.end_ns - self.at.wall

    def deadline(self) -> Instant:
        """The end, on both clocks: whichever says it first is right."""
        return Instant(self.warrant.end_ns, self.at.mono + self.warrant.end_ns - self.at.wall)

    def tasks(self) -> tuple[Task, ...]:
        """One task an identity (TS 103 221-1: entries of one task are ANDed)."""
        return tuple(map(self.warrant.task, self.warrant.targets))

    def terms(self, xid: str, *, encrypted: bool = True) -> Terms | None:
        """What may be disclosed under a task; None: this warrant does not name it."""
        target = self.warrant.target(xid)
        return None if target is None else self.warrant.terms(target, encrypted=encrypted)

    def allows_keys(self, xid: str, identity: str) -> bool:
        """Whether a KMS may open a ticket of ``identity``, which matched under the task."""
        target = self.warrant.target(xid)
        return self.warrant.content and target is not None and target.covers(identity)


class Revoked(Struct, frozen=True):
    """A revocation that holds: whatever was armed under ``id`` has to end."""

    id: str
    version: int
    digest: str
    approvals: tuple[str, ...]

    @property
    def known(self) -> Known:
        return Known(self.version, self.digest, revoked=True)


Outcome = Verified | Revoked | Refused


class _Stop(Exception):
    """A rule is broken."""

    def __init__(self, rule: Rule, reason: str, begins: int | None = None) -> None:
        super().__init__(reason)
        self.refused = Refused(rule, reason, begins)


def verify(
    octets: bytes,
    trust: TrustList,
    now: Instant,
    element: str,
    known: Mapping[str, Known],
    clock: ClockGuard | None = None,
) -> Outcome:
    """Judge the octets of a signed warrant as ``element`` does at ``now``.

    ``known`` has the highest version of each warrant seen before; its owner notes what comes back. A revocation holds
    at every element that knows the key, at any time. With a ``clock`` that has jumped nothing begins to hold.
    """
    try:
        file, approvals = _approved(octets, trust, now)
        payload = file.signed
        signed = _contents(payload)
        digest = sha256(payload).hexdigest()
        _succeeds(signed, digest, known.get(signed.id))
        if isinstance(signed, Revocation):
            return Revoked(signed.id, signed.version, digest, approvals)
        _applies(signed, trust, now, element, clock)
    except _Stop as stop:
        return stop.refused
    return Verified(signed, digest, approvals, now)


def _approved(octets: bytes, trust: TrustList, now: Instant) -> tuple[Envelope, tuple[str, ...]]:
    """The file, and the keys of the persons who have approved it."""
    try:
        file = envelope.read(octets)
        named = [(envelope.signer(each), each) for each in file.signatures]
    except HeaderError as error:
        raise _Stop(Rule.HEADER, str(error)) from None
    except FormError as error:
        raise _Stop(Rule.FORM, str(error)) from None
    persons: dict[str, str] = {}
    passed_over: Counter[str] = Counter()
    for identifier, signature in named:
        approver = trust.approver(identifier)
        why = _not_counted(approver, now)
        if approver is None or why:
            passed_over[why] += 1
        elif not envelope.verifies(file, signature, approver.key):
            raise _Stop(Rule.SIGNATURE, "a signature by a listed key is wrong")
        elif approver.name in persons:
            passed_over["of a person who has signed already"] += 1
        else:
            persons[approver.name] = identifier
    if len(persons) < trust.approvals:
        others = "".join(f"; {count} {why}" for why, count in sorted(passed_over.items()))
        raise _Stop(Rule.APPROVALS, f"{len(persons)} of {trust.approvals} persons have approved{others}")
    return file, tuple(persons.values())


def _not_counted(approver: Approver | None, now: Instant) -> str:
    """Why a key's signature is passed over; empty: it is not."""
    if approver is None:
        return "by a key that is not listed"
    if approver.revoked:
        return "by a revoked key"
    if now.wall < approver.valid_from:
        return "by a key that is not valid yet"
    if now.wall >= approver.valid_until:
        return "by an expired key"
    return ""


def _contents(payload: bytes) -> Signed:
    try:
        return decode(payload)
    except FormError as error:
        raise _Stop(Rule.CONTENTS, str(error)) from None


def _succeeds(signed: Signed, digest: str, known: Known | None) -> None:
    """Versions only rise, each drawn up with the one before it in view; a revocation is the last."""
    if known is None:
        return
    if known.revoked and not isinstance(signed, Revocation):
        raise _Stop(Rule.REVOKED, f"version {known.version} has revoked it")
    if signed.version < known.version:
        raise _Stop(Rule.VERSION, f"version {signed.version}; version {known.version} is known here")
    if signed.version == known.version:
        if digest != known.digest:
            raise _Stop(Rule.VERSION, f"another version {signed.version} is known here")
        return
    if signed.supersedes is None or signed.supersedes < known.version:
        raise _Stop(Rule.VERSION, f"does not supersede version {known.version}, which is known here")


def _applies(warrant: Warrant, trust: TrustList, now: Instant, element: str, clock: ClockGuard | None) -> None:
    """Here, and now."""
    if element not in warrant.elements:
        raise _Stop(Rule.ELEMENT, "this element is not among those that may act under it")
    if warrant.end_ns - warrant.start_ns > trust.max_length:
        raise _Stop(Rule.LENGTH, "runs longer than a warrant may here")
    if clock is not None and not clock.steady(now):
        raise _Stop(Rule.CLOCK, "the clock has jumped")
    if now.wall < warrant.start_ns:
        raise _Stop(Rule.NOT_BEGUN, f"the window opens {warrant.start}", warrant.start_ns)
    if now.wall >= warrant.end_ns:
        raise _Stop(Rule.ENDED, f"the window closed {warrant.end}")
