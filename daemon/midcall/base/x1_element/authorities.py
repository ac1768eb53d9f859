"""The signed warrants that an element has been given, by the tasks that they are for.

A shelf over ``midcall.base.warrant.Register``: it keeps the octets that a KMS wants to see, and knows what a warrant
that has not begun will allow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256

from midcall.base import warrant as warrants
from midcall.base.warrant import ClockGuard, Known, Outcome, Refused, Register, Revoked, TrustList, Verified, envelope
from midcall.base.x1_element.orders import Authority
from midcall.base.x1_element.values import KeepKnown
from midcall.events import Instant


class Authorities:
    """Under one trust list; ``clock`` is the element's."""

    def __init__(self, element: str, trust: TrustList, known: Mapping[str, Known], clock: ClockGuard) -> None:
        self._element = element
        self._register = Register(element, trust, known, clock)
        self._noted = dict(known)
        self._apart: set[str] = set()
        self._ahead: dict[str, Authority] = {}
        self._begins: dict[str, Instant] = {}

    def trust(self, trust: TrustList) -> None:
        """Another trust list from now on."""
        self._register.trust = trust

    def take(self, octets: bytes, now: Instant, *, apart: bool = False) -> Outcome:
        """A warrant or a revocation, with a task or ``apart``: then it stays when all tasks under it have ended."""
        outcome = self._register.place(octets, now)
        if apart and not isinstance(outcome, Revoked):
            self._apart.add(digest(octets))
        if isinstance(outcome, Verified):
            self._begun(outcome.warrant.id)
        elif isinstance(outcome, Revoked):
            self._begun(outcome.id)
        elif outcome.begins is not None:
            self._wait(octets, outcome.begins, now)
        return outcome

    def release(self, xid: str, tasks: Collection[str]) -> None:
        """A task is gone, and ``tasks`` are there: what came with it is let go of when it is for none of them.

        Its version stays known: an older one does not come back.
        """
        identifier = self._register.warrant_of(xid)
        if identifier is None:
            return
        octets, xids = self._register.held(identifier)
        if self._apart.isdisjoint(map(digest, octets)) and xids.isdisjoint(tasks):
            self._begun(identifier)
            self._register.forget(identifier)

    def _wait(self, octets: bytes, begins: int, now: Instant) -> None:
        """What it will allow when it begins, which the register has found to hold then."""
        then = Instant(begins, now.mono + begins - now.wall)
        ahead = warrants.verify(octets, self._register.trust, then, self._element, self._register.known)
        if isinstance(ahead, Verified):
            self._begun(ahead.warrant.id)
            self._begins[ahead.warrant.id] = then
            self._ahead.update((each.xid, Authority(ahead, octets)) for each in ahead.warrant.targets)

    def _begun(self, identifier: str) -> None:
        """What waited under this identifier waits no more."""
        if self._begins.pop(identifier, None) is not None:
            for xid in [xid for xid, each in self._ahead.items() if each.verified.warrant.id == identifier]:
                del self._ahead[xid]

    def of(self, xid: str, now: Instant) -> Authority | Refused:
        """The warrant of a task, verified anew."""
        outcome = self._register.authority(xid, now)
        if isinstance(outcome, Refused):
            return outcome
        return Authority(outcome, self._register.current(outcome.warrant.id))

    def ahead(self, xid: str) -> Authority | None:
        """The warrant of a task, as of its beginning."""
        return self._ahead.get(xid)

    def next_begins(self) -> int | None:
        """When (monotonic ns) the next one begins."""
        return min((each.mono for each in self._begins.values()), default=None)

    def begin(self, now: Instant) -> Iterator[str]:
        """Identifiers of the warrants that begin by ``now``; both clocks have to say so."""
        for identifier, begins in list(self._begins.items()):
            if now.mono < begins.mono:
                continue
            if now.wall < begins.wall:
                self._begins[identifier] = Instant(begins.wall, now.mono + begins.wall - now.wall)
                continue
            self._begun(identifier)
            yield identifier

    def news(self, identifier: str) -> KeepKnown | None:
        """What is to be kept for good of a warrant, unless it is."""
        known = self._register.known.get(identifier)
        if known is None or self._noted.get(identifier) == known:
            return None
        return KeepKnown(identifier, known)

    def noted(self, change: KeepKnown) -> None:
        """It is kept."""
        self._noted[change.warrant] = change.known


def digest(octets: bytes) -> str:
    """SHA-256 of what is signed in a file; of the file when nothing is."""
    try:
        return sha256(envelope.read(octets).signed).hexdigest()
    except warrants.FormError:
        return sha256(octets).hexdigest()
