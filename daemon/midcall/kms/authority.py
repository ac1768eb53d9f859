"""Under which authority the KMS gives keys: it verifies the signed warrant itself, at each question.

A core; the warrant is the question's, the trust list and the memory of versions are the KMS's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256

from msgspec import Struct

from imswire.xk import Code
from midcall.base.bounded import BoundedTable
from midcall.base.warrant import ClockGuard, Known, Refused, Revoked, Rule, TrustList, Verified, verify
from midcall.events import Instant

STANDS_NS = 600_000_000_000
"""How long a verification stands for questions with the same octets: one warrant is for many calls. What may change is
looked at with each of them: its window, those of its approvals, the clock, later versions, the trust list."""
STANDING = 64
MAX_WARRANTS = 100_000
"""Identifiers whose versions are remembered for good; only approved ones get here, and the next one is refused."""


class NoAuthority(Exception):
    """No keys are given; ``rule`` is the one that the warrant broke."""

    def __init__(self, code: Code, reason: str, rule: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.rule = rule


class Granted(Struct, frozen=True):
    """Why keys may be given: digest of the signed octets, keys of the approvers, the warrant's id; empty: unsigned."""

    digest: str = ""
    approvals: tuple[str, ...] = ()
    warrant: str = ""


class _Standing:
    """A verification, and from when to when (wall ns) its window and those of its approvers' keys are all open.

    ``granted``: the task and the identity of the last question that keys were given for.
    """

    __slots__ = ("begins", "ends", "granted", "verified")

    def __init__(self, verified: Verified, begins: int, ends: int) -> None:
        self.verified = verified
        self.begins = begins
        self.ends = ends
        self.granted: tuple[str, str] | None = None

    def at(self, now: Instant) -> bool:
        """By both clocks."""
        since = self.verified.at
        passed = now.mono - since.mono
        return self.begins <= now.wall < self.ends and 0 <= passed < min(STANDS_NS, self.ends - since.wall)


class Authority:
    """The KMS's view of warrants. ``known`` is what is kept of their versions as it stands, ``note`` keeps one for good
    before anything is given under it."""

    def __init__(
        self,
        element: str,
        trust: TrustList,
        known: Mapping[str, Known],
        clock: ClockGuard,
        note: Callable[[str, Known], None],
        *,
        unsigned: bool = False,
    ) -> None:
        self._element = element
        self._trust = trust
        self._known = known
        self._clock = clock
        self._note = note
        self._unsigned = unsigned
        self._standing: BoundedTable[bytes, _Standing] = BoundedTable("kms.warrants", STANDING)

    def renew(self, trust: TrustList) -> None:
        """Go by another trust list: what the former one had found to hold is verified again."""
        self._trust = trust
        self.forget()

    def forget(self) -> None:
        """Verify anew what is asked next: what is known of versions may have changed."""
        while self._standing.evict() is not None:
            pass

    def lapse(self, now: Instant) -> None:
        """What stands no longer is let go of, whom it is for with it."""
        for mark in [mark for mark, standing in self._standing.items() if not standing.at(now)]:
            self._standing.pop(mark)

    def check(self, octets: bytes | None, xid: str, identity: str, now: Instant) -> Granted:
        """Whether keys for ``identity`` may be given under task ``xid``. NoAuthority."""
        if octets is None:
            if self._unsigned:
                return Granted()
            raise NoAuthority(Code.UNSIGNED, "no warrant was shown")
        standing = self._verified(octets, now)
        verified = standing.verified
        if standing.granted != (xid, identity):
            if not verified.warrant.content:
                raise NoAuthority(Code.TARGET, "the warrant is for events only")
            if not verified.allows_keys(xid, identity):
                raise NoAuthority(Code.TARGET, "the warrant is not for this task and identity")
            standing.granted = xid, identity
        return Granted(verified.digest, verified.approvals, verified.warrant.id)

    def place(self, octets: bytes, now: Instant) -> None:
        """A revocation, or a version that has begun, apart from a question. NoAuthority: it is not one here."""
        outcome = verify(octets, self._trust, now, self._element, self._known, self._clock)
        if isinstance(outcome, Refused):
            raise NoAuthority(Code.WARRANT, outcome.reason, outcome.rule)
        self._remember(outcome)

    def _verified(self, octets: bytes, now: Instant) -> _Standing:
        mark = sha256(octets).digest()
        standing = self._standing.get(mark)
        if standing is not None and self._clock.steady(now) and standing.at(now):
            return standing
        self._standing.pop(mark)
        outcome = verify(octets, self._trust, now, self._element, self._known, self._clock)
        if isinstance(outcome, Refused):
            raise NoAuthority(Code.WARRANT, outcome.reason, outcome.rule)
        self._remember(outcome)
        if isinstance(outcome, Revoked):
            raise NoAuthority(Code.WARRANT, "it is revoked", Rule.REVOKED)
        standing = self._stands(outcome)
        self._standing.put(mark, standing)
        return standing

    def _stands(self, verified: Verified) -> _Standing:
        keys = [each for each in map(self._trust.approver, verified.approvals) if each is not None]
        begins = max(verified.warrant.start_ns, *(each.valid_from for each in keys))
        ends = min(verified.warrant.end_ns, *(each.valid_until for each in keys))
        return _Standing(verified, begins, ends)

    def _remember(self, outcome: Verified | Revoked) -> None:
        identifier = outcome.warrant.id if isinstance(outcome, Verified) else outcome.id
        if self._known.get(identifier) == outcome.known:
            return
        if identifier not in self._known and len(self._known) >= MAX_WARRANTS:
            raise NoAuthority(Code.WARRANT, f"{MAX_WARRANTS} warrants are known here, and no more can be", Rule.VERSION)
        self._note(identifier, outcome.known)
        # What was verified before may be what this one ends.
        self.forget()
