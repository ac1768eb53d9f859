"""The location service (RFC 3261 10.3): which contacts an address of record has, and until when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from msgspec import Struct

from imswire import sip
from imswire.sip import SipUri
from midcall.base.bounded import BoundedTable
from midcall.base.remembered import remembered
from midcall.cscf.routing import Contact
from midcall.cscf.timers import MS
from midcall.cscf.values import Hop

SECOND = 1_000 * MS
Place = tuple[str, str, int]
"""User, host and port of a Contact; 0: it names none."""
FLOWS_EACH = 2
"""Places, of as many addresses of record, from which they registered: most have one."""
SHARED_FLOW = 4
"""Addresses of record that are remembered of one place: more than one is nobody in particular."""
MORE = ""
"""Stands for those that are not remembered."""


class Binding(Struct, frozen=True, gc=False):
    """One contact of an address of record.

    ``key`` is what makes it this one: the instance and reg-id of a device (RFC 5626 6), or the contact's URI.
    ``until`` in monotonic ns. ``source`` is where it registered from, and with ``by_flow`` the way back to it.
    ``params`` are further parameters of the Contact as they came, and go back.
    """

    key: str
    uri: str
    until: int
    call_id: str
    cseq: int
    path: tuple[str, ...] = ()
    q: int = 1_000
    source: Hop | None = None
    by_flow: bool = False
    params: tuple[tuple[str, str | None], ...] = ()

    def left(self, now: int) -> int:
        """Seconds, at least 0."""
        return max(0, (self.until - now) // SECOND)


Kept = Callable[[str, Sequence[Binding]], None]
"""Told the bindings of an address of record whenever they have changed."""


class LocationTable:
    """Bindings by address of record in canonical form (:func:`imswire.sip.identities`); at most ``bound`` addresses.

    ``users`` are addresses that exist, registered or not; empty: those that have ever registered.
    """

    def __init__(self, bound: int, users: frozenset[str] = frozenset(), kept: Kept = lambda _aor, _all: None) -> None:
        self._bindings: BoundedTable[str, tuple[Binding, ...]] = BoundedTable("cscf.bindings", bound)
        self._bound = self._bindings.reader()
        self._flows: BoundedTable[Hop, tuple[str, ...]] = BoundedTable("cscf.flows", FLOWS_EACH * bound)
        self._users = users
        self._kept = kept
        self._by_flow: Counter[Place] = Counter()

    @property
    def is_full(self) -> bool:
        return len(self._bindings) >= self._bindings.bound

    def __len__(self) -> int:
        return len(self._bindings)

    def bindings(self, aor: str, now: int) -> tuple[Binding, ...]:
        """Those that still hold."""
        found = self._bindings.get(aor) or ()
        return tuple(each for each in found if each.until > now)

    def put(self, aor: str, bindings: Sequence[Binding]) -> None:
        """All that an address has from now on."""
        self._hold(aor, tuple(bindings))
        self._kept(aor, bindings)

    def _hold(self, aor: str, bindings: tuple[Binding, ...]) -> None:
        held = self._bindings.get(aor) or ()
        before = _sources(held)
        self._by_flow.update(_by_flow(bindings))
        for place in _by_flow(held):
            self._by_flow[place] -= 1
            if not self._by_flow[place]:
                del self._by_flow[place]
        if bindings:
            self._bindings.put(aor, bindings)
        else:
            self._bindings.pop(aor)
        now = _sources(bindings)
        for source in before - now:
            left = tuple(each for each in self._flows.get(source) or () if each != aor)
            if any(left):
                self._flows.put(source, left)
            else:
                self._flows.pop(source)
        for source in now - before:
            there = self._flows.get(source) or ()
            if len(there) <= SHARED_FLOW:
                self._flows.put(source, (*there, aor if len(there) < SHARED_FLOW else MORE))

    def recall(self, aor: str, bindings: Sequence[Binding]) -> None:
        """What a former run has kept."""
        if bindings and not self.is_full:
            self._hold(aor, tuple(bindings))

    def expire(self, now: int, most: int = 1_000) -> int:
        """Let go of what is over among the ``most`` that were looked at longest ago; how many addresses have no contact
        any more.
        """
        looked_at = [aor for aor, _ in zip(self._bindings, range(most), strict=False)]
        over = 0
        for aor in looked_at:
            if self.bindings(aor, now):
                self._bindings.touch(aor)
            else:
                self.put(aor, ())
                over += 1
        return over

    # What the router asks

    def contacts(self, aor: str, now: int) -> Sequence[Contact]:
        if self._bound(aor) is None:
            return ()
        found = self.bindings(aor, now)
        return [Contact(each.uri, each.path, each.q, each.source if each.by_flow else None) for each in found]

    def has_flow(self, uri: str) -> bool:
        """Whether somebody has such a contact who is not where it says, but where its registration came from."""
        return bool(self._by_flow) and _place(uri) in self._by_flow

    def flow(self, aors: Sequence[str], uri: str, now: int) -> Hop | None:
        """The way to such a contact of one of these addresses of record."""
        for aor in aors:
            for each in self.bindings(aor, now) if self._bound(aor) is not None else ():
                if each.by_flow and each.source is not None and _place(each.uri) == _place(uri):
                    return each.source
        return None

    def is_known(self, aor: str) -> bool:
        return aor in self._users or aor in self._bindings

    def registered_from(self, source: Hop, now: int, aors: Sequence[str]) -> str | None:
        """Which of these addresses of record has a binding that came from there."""
        for aor in aors:
            for each in self.bindings(aor, now):
                if each.source is not None and _same_flow(each.source, source):
                    return aor
        return None

    def only_one_from(self, source: Hop, now: int) -> str | None:
        """The address of record that has a binding from there, if it is the only one."""
        found = self._flows.get(_flow(source)) or ()
        return self.registered_from(source, now, found) if len(found) == 1 else None


def _read_place(text: str) -> Place:
    """What names a device in its Contact, whatever else stands there. SipError."""
    uri = sip.parse_uri(text)
    return (uri.user or "", uri.host.lower(), uri.port or 0) if isinstance(uri, SipUri) else (text, "", 0)


_place = remembered(_read_place, 4_096)


def _by_flow(bindings: Sequence[Binding]) -> list[Place]:
    return [_place(each.uri) for each in bindings if each.by_flow]


def _flow(source: Hop) -> Hop:
    """A connection by its number, a datagram's source by its address."""
    return Hop("tcp", "", 0, source.connection) if source.connection else source


def _sources(bindings: Sequence[Binding]) -> set[Hop]:
    return {_flow(each.source) for each in bindings if each.source is not None}


def _same_flow(one: Hop, other: Hop) -> bool:
    if one.connection or other.connection:
        return one.connection == other.connection
    return one.host == other.host and one.port == other.port and one.transport == other.transport
