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

RECENT_NS = 1_000_000_000
"""How long a verification stands for the next question with the same octets: a warrant for many calls, asked for at
once, is verified once. Its window is looked at each time."""
RECENT = 64
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
    """Why keys may be given: digest of the signed octets and keys of the approvers; empty: unsigned."""

    digest: str = ""
    approvals: tuple[str, ...] = ()


class Authority:
    """The KMS's view of warrants. ``note`` keeps a version for good before anything is given under it."""

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
        self._known = dict(known)
        self._clock = clock
        self._note = note
        self._unsigned = unsigned
        self._recent: BoundedTable[bytes, Verified] = BoundedTable("kms.warrants", RECENT)

    def renew(self, trust: TrustList) -> None:
        """Go by another trust list: what the former one had found to hold is verified again."""
        self._trust = trust
        self._forget()

    def check(self, octets: bytes | None, xid: str, identity: str, now: Instant) -> Granted:
        """Whether keys for ``identity`` may be given under task ``xid``. NoAuthority."""
        if octets is None:
            if self._unsigned:
                return Granted()
            raise NoAuthority(Code.UNSIGNED, "no warrant was shown")
        verified = self._verified(octets, now)
        if not verified.warrant.content:
            raise NoAuthority(Code.TARGET, "the warrant is for events only")
        if not verified.allows_keys(xid, identity):
            raise NoAuthority(Code.TARGET, "the warrant is not for this task and identity")
        return Granted(verified.digest, verified.approvals)

    def _verified(self, octets: bytes, now: Instant) -> Verified:
        mark = sha256(octets).digest()
        recent = self._recent.get(mark)
        if recent is not None and 0 <= now.mono - recent.at.mono < RECENT_NS and self._clock.steady(now):
            if recent.open(now):
                return recent
            self._recent.pop(mark)
        outcome = verify(octets, self._trust, now, self._element, self._known, self._clock)
        if isinstance(outcome, Refused):
            raise NoAuthority(Code.WARRANT, outcome.reason, outcome.rule)
        self._remember(outcome)
        if isinstance(outcome, Revoked):
            raise NoAuthority(Code.WARRANT, "it is revoked", Rule.REVOKED)
        self._recent.pop(mark)
        self._recent.put(mark, outcome)
        return outcome

    def _remember(self, outcome: Verified | Revoked) -> None:
        identifier = outcome.warrant.id if isinstance(outcome, Verified) else outcome.id
        if self._known.get(identifier) == outcome.known:
            return
        if identifier not in self._known and len(self._known) >= MAX_WARRANTS:
            raise NoAuthority(Code.WARRANT, f"{MAX_WARRANTS} warrants are known here, and no more can be", Rule.VERSION)
        self._note(identifier, outcome.known)
        self._known[identifier] = outcome.known
        # What was verified before may be what this one ends.
        self._forget()

    def _forget(self) -> None:
        while self._recent.evict() is not None:
            pass
