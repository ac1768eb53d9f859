"""The warrants that one element has been given: with a task, or apart from it.

X1 knows no warrant. One may come in an extension of the task, or be placed at the element beforehand (detached); it
names the XIDs that it is for, and a task without one waits. Nothing is ever evicted: to forget a version would be to
let it return.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from midcall.base.warrant.clock import ClockGuard
from midcall.base.warrant.trust import TrustList
from midcall.base.warrant.verify import Known, Outcome, Refused, Revoked, Rule, Verified, verify
from midcall.events import Instant

MAX_WARRANTS = 100_000
"""Identifiers that an element remembers; only approved ones get here, and the next one is refused."""

_NONE = Refused(Rule.CONTENTS, "no warrant that names this task is here")


class _Held:
    """The octets of one warrant: the version in force, and one that is to replace it when it begins."""

    __slots__ = ("current", "next", "xids")

    def __init__(self) -> None:
        self.current: bytes | None = None
        self.next: bytes | None = None
        self.xids: dict[bytes, tuple[str, ...]] = {}


class Register:
    """What ``element`` holds, under its own trust list; ``known`` is what it had seen before it was restarted."""

    def __init__(
        self,
        element: str,
        trust: TrustList,
        known: Mapping[str, Known] | None = None,
        clock: ClockGuard | None = None,
    ) -> None:
        self.element = element
        self.trust = trust
        self._clock = clock
        self._known: dict[str, Known] = dict(known or {})
        self._held: dict[str, _Held] = {}
        self._by_xid: dict[str, str] = {}

    @property
    def known(self) -> Mapping[str, Known]:
        """The highest versions that have held, to be kept where nobody can turn them back."""
        return MappingProxyType(self._known)

    def place(self, octets: bytes, now: Instant) -> Outcome:
        """Take in a warrant or a revocation.

        One that has not begun is kept, and refused until then; the version before it goes on.
        """
        outcome = self._verify(octets, now)
        if isinstance(outcome, Revoked):
            return self._revoke(outcome)
        if isinstance(outcome, Verified):
            return self._keep(octets, outcome, begun=True) or outcome
        if outcome.begins is not None:
            # Judged as of its beginning, so that what waits for it waits for something that will hold.
            then = Instant(outcome.begins, now.mono + outcome.begins - now.wall)
            ahead = verify(octets, self.trust, then, self.element, self._known)
            if isinstance(ahead, Verified):
                return self._keep(octets, ahead, begun=False) or outcome
            if isinstance(ahead, Refused):
                return ahead
        return outcome

    def authority(self, xid: str, now: Instant) -> Verified | Refused:
        """The warrant of a task, verified anew at ``now``."""
        identifier = self._by_xid.get(xid)
        if identifier is None:
            return _NONE
        held = self._held[identifier]
        waiting = self._begin(held, now)
        if held.current is not None and xid in held.xids[held.current]:
            outcome = self._verify(held.current, now)
            return _NONE if isinstance(outcome, Revoked) else outcome
        return waiting

    def warrant_of(self, xid: str) -> str | None:
        """The id of the warrant that names a task; None: none that is here does."""
        return self._by_xid.get(xid)

    def current(self, identifier: str) -> bytes:
        """The octets of the version in force. KeyError: none is."""
        held = self._held[identifier]
        if held.current is None:
            raise KeyError(identifier)
        return held.current

    def held(self, identifier: str) -> tuple[tuple[bytes, ...], frozenset[str]]:
        """The octets of its versions that are here, and the tasks that they name. KeyError: none is."""
        xids = self._held[identifier].xids
        return tuple(xids), frozenset(xid for each in xids.values() for xid in each)

    def forget(self, identifier: str) -> None:
        """Let its octets go. What was known of its versions stays."""
        self._drop(identifier)

    def _drop(self, identifier: str) -> None:
        held = self._held.pop(identifier, None)
        for xids in () if held is None else held.xids.values():
            for xid in xids:
                self._by_xid.pop(xid, None)

    def _begin(self, held: _Held, now: Instant) -> Refused:
        """The next version becomes the one in force as soon as it holds; until then, why it does not."""
        if held.next is None:
            return _NONE
        outcome = self._verify(held.next, now)
        if isinstance(outcome, Verified):
            return self._keep(held.next, outcome, begun=True) or _NONE
        return outcome if isinstance(outcome, Refused) else _NONE

    def _verify(self, octets: bytes, now: Instant) -> Outcome:
        return verify(octets, self.trust, now, self.element, self._known, self._clock)

    def _keep(self, octets: bytes, verified: Verified, *, begun: bool) -> Refused | None:
        """Hold it as the version in force, or as the next one."""
        warrant = verified.warrant
        xids = tuple(each.xid for each in warrant.targets)
        if any(self._by_xid.get(xid, warrant.id) != warrant.id for xid in xids):
            return Refused(Rule.CONTENTS, "names a task that another warrant is for")
        if warrant.id not in self._known and len(self._held) + len(self._known) >= MAX_WARRANTS:
            return Refused(Rule.VERSION, f"{MAX_WARRANTS} warrants are known here, and no more can be")
        held = self._held.setdefault(warrant.id, _Held())
        if begun:
            self._known[warrant.id] = verified.known
            held.next = None if held.next == octets else held.next
            held.current = octets
        else:
            held.next = octets
        self._index(warrant.id, held, octets, xids)
        return None

    def _index(self, identifier: str, held: _Held, octets: bytes, xids: tuple[str, ...]) -> None:
        for each in (xid for former in held.xids.values() for xid in former):
            self._by_xid.pop(each, None)
        held.xids[octets] = xids
        held.xids = {each: held.xids[each] for each in (held.current, held.next) if each is not None}
        self._by_xid.update((xid, identifier) for listed in held.xids.values() for xid in listed)

    def _revoke(self, revoked: Revoked) -> Outcome:
        if revoked.id not in self._known and len(self._known) >= MAX_WARRANTS:
            return Refused(Rule.VERSION, f"{MAX_WARRANTS} warrants are known here, and no more can be")
        self._known[revoked.id] = revoked.known
        self._drop(revoked.id)
        return revoked
