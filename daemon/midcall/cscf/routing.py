"""Where a request goes (RFC 3261 16.4, 16.5; RFC 3327 5; DESIGN: static routes, location service, no relay)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct, structs

from imswire import sip
from imswire.sip import SipError, SipMessage, SipUri, TelUri
from midcall.base.remembered import remembered
from midcall.cscf.marks import MARK, Seals, address, canonical, place_of, unmarked
from midcall.cscf.top_via import transport_of
from midcall.cscf.values import PORTS, Hop, Listener, Transport

ANY = "*"
"""Of the static route for all domains that have none of their own, and for services (RFC 5031), which have none."""
_LOOSE = 2  # of our URIs one after another: in through one listener, out through another (RFC 5658)


class Destination(Struct, frozen=True, gc=False):
    """One target: its Request-URI (None: as it came), Route values pushed for it, and the URI of its next hop.

    ``flow`` is where it is reached without a look at that URI: the connection over which it registered. ``recurses``:
    whom it names in a 3xx is tried in its place (RFC 3261 16.7 4). ``known``: the configuration names it, or it has
    registered from there itself; any other may lead anywhere. ``large``: what is too large for UDP goes there over TCP.
    """

    next: str
    request_uri: str | None = None
    routes: tuple[str, ...] = ()
    flow: Hop | None = None
    recurses: bool = False
    known: bool = False
    large: bool = False


class Plan(Struct, frozen=True, gc=False):
    """What is changed for all targets, and the targets: groups one after another, each tried in parallel.

    ``routes`` of ours are taken from the top of Route, ``last_route`` from its end (RFC 3261 16.4). ``inside``: the
    request belongs to a dialog that went through here. ``outward``: it goes where its sender wants, to no user and no
    route of ours. ``status``: there is no target, and this is the answer. ``more``: routes are left. ``marks``:
    those in its routes that are ours.
    """

    groups: tuple[tuple[Destination, ...], ...] = ()
    request_uri: str | None = None
    routes: int = 0
    last_route: bool = False
    inside: bool = False
    outward: bool = False
    status: int = 0
    more: bool = False
    marks: tuple[str, ...] = ()


class Contact(NamedTuple):
    """Where a user is: Contact URI, Path, weight in thousandths, and the connection of its registration."""

    uri: str
    path: tuple[str, ...]
    q: int
    flow: Hop | None


class Location(Protocol):
    """The location service."""

    def contacts(self, aor: str, now: int) -> Sequence[Contact]: ...

    def has_flow(self, uri: str) -> bool: ...

    def flow(self, aors: Sequence[str], uri: str, now: int) -> Hop | None: ...

    def is_known(self, aor: str) -> bool: ...


class StaticRoute(Struct, frozen=True):
    """Requests for ``domain`` (of SIP URIs) or numbers that begin with ``prefix`` go to one of ``hops`` by weight.

    A hop is a SIP URI: host, port and transport. ``recurse``: its 3xx are followed here. ``large``: what is too large
    for UDP goes there over TCP.
    """

    hops: tuple[tuple[str, int], ...]
    domain: str = ""
    prefix: str = ""
    recurse: bool = False
    large: bool = False


class Router:
    """Reads no clock and keeps nothing; ``alive`` says whether a next hop answers, ``choose`` gives a number below
    its argument.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        domains: Iterable[str],
        static: Sequence[StaticRoute],
        location: Location,
        seals: Seals,
        *,
        alive: Callable[[str], bool] = lambda _: True,
        choose: Callable[[int], int] = lambda _: 0,
    ) -> None:
        self._domains = frozenset(domain.lower().rstrip(".") for domain in domains)
        self._heads = frozenset(f"<{uri}" for each in listeners for uri in (each.uri, each.secure_uri))
        self._ours = frozenset((canonical(each.host), each.port) for each in listeners)
        self._ports = frozenset(each.port for each in listeners)
        self._by_domain = {route.domain.lower(): route for route in static if route.domain}
        self._by_prefix = sorted((route for route in static if route.prefix), key=lambda each: -len(each.prefix))
        self._single = {
            (hop, route.recurse, route.large): ((_hop_of(route, hop),),) for route in static for hop, _ in route.hops
        }
        self._large = frozenset(_host_of(hop) for route in static if route.large for hop, _ in route.hops)
        self._location = location
        self._seals = seals
        self._alive = alive
        self._choose = choose
        self.is_ours = remembered(self._is_ours, 4_096)
        self._leads_here = remembered(self._is_our_route, 4_096)

    def _is_ours(self, uri: str) -> bool:
        """Whether a URI leads to this proxy itself, without any user."""
        parsed = _sip_uri(uri)
        return parsed is not None and parsed.user is None and self._is_door(parsed)

    def _is_door(self, uri: SipUri) -> bool:
        port = uri.port if uri.port is not None else _default_port(uri)
        return (canonical(uri.host), port) in self._ours

    def _is_our_route(self, uri: str) -> bool:
        """Whether a Route leads to this proxy: to one of its doors, whatever user is named there (sip:orig@..., TS
        24.229 5.2.7.2), or to a domain that is served here, which is how phones are told their outbound proxy.
        """
        parsed = _sip_uri(uri)
        if parsed is None:
            return False
        if self._is_door(parsed):
            return True
        is_elsewhere = parsed.param("maddr") is not None or parsed.port not in (None, *self._ports)
        return self.is_local(parsed.host) and not is_elsewhere

    def takes_large(self, host: str) -> bool:
        """Whether a host is one of the hops to which what is too large for UDP goes over TCP."""
        return host in self._large

    def is_local(self, host: str) -> bool:
        """Whether a domain is one of those that are served here."""
        return host.lower().rstrip(".") in self._domains

    # Route preprocessing (RFC 3261 16.4)

    def plan(self, message: SipMessage, now: int) -> Plan:
        """Where it is to go. SipError: a Route or Request-URI that cannot be followed."""
        uri = message.request_uri or ""
        if not message.has(b"route") and MARK not in uri:
            return self._first(message, uri, now)
        routes = message.values("Route")
        inside, popped, last = False, 0, False
        marks: tuple[str, ...] = ()
        if MARK in uri:
            sealed, mark = unmarked(uri)
            if routes and self.is_ours(sealed):
                # A strict router put our URI here, and the Request-URI behind all routes.
                uri, routes, last = address(routes[-1]), routes[:-1], True
                marks = (mark,)
        while popped < _LOOSE and popped < len(routes):
            head, _, tail = routes[popped].partition(MARK)
            if head in self._heads and tail[-1:] == ">":
                mark = tail[:-1]  # as it was given
            else:
                sealed, mark = unmarked(address(routes[popped]))
                if not self._leads_here(sealed):
                    break
            popped += 1
            marks += (mark,)
        inside = message.to_tag is not None and any(self._seals.fits(each, message.call_id) for each in marks)
        changed = uri if last else None
        rest = routes[popped:]
        if rest:
            groups = ((_loose(rest, changed),),)
            return Plan(groups, changed, popped, last, inside, not inside, more=True, marks=marks)
        if inside:
            flow = self._flow(uri, message, now)
            target = Destination(uri, flow=flow, known=flow is not None)
            return Plan(((target,),), changed, popped, last, True, marks=marks)
        return self._first(message, uri, now, changed, popped, last=last)

    def _flow(self, uri: str, message: SipMessage, now: int) -> Hop | None:
        """How a user is reached in a dialog whose own Contact leads nowhere, from behind a NAT: as he is called (RFC
        5626 5.3). To names him at both ends; a contact that somebody else has registered is no way to him.
        """
        if not self._location.has_flow(uri):
            return None
        return self._location.flow(sip.identities(message.to.uri), uri, now)

    def is_bound(self, message: SipMessage, plan: Plan) -> bool:
        """Whether a request inside a dialog goes where its mark leads (RFC 3261 16.12): its sender got it for that."""
        to = place_of(plan.groups[0][0].next)
        return any(self._seals.leads(mark, message.call_id, to) for mark in plan.marks)

    def _first(
        self,
        message: SipMessage,
        uri: str,
        now: int,
        changed: str | None = None,
        popped: int = 0,
        *,
        last: bool = False,
    ) -> Plan:
        """Where a request goes that no route leads on and that belongs to no dialog of ours."""
        asked = _asked(uri)
        if asked.maddr and not self.is_local(asked.host) and (asked.maddr, asked.port) in self._ours:
            # RFC 3261 16.4: it was to come here, and from here on it goes as if nothing had been said of it.
            uri = changed = _without_way(uri)
            asked = _asked(uri)
        groups, status = self._targets(asked, now)
        if status == 404 and asked.empty and message.method == "OPTIONS":
            status = 200  # it asks us (RFC 3261 11.2)
        if groups or status:
            return Plan(groups, changed, popped, last, status=status)
        return Plan(((Destination(uri),),), changed, popped, last, outward=True)

    # Targets (RFC 3261 16.5)

    def _targets(self, asked: _Asked, now: int) -> tuple[tuple[tuple[Destination, ...], ...], int]:
        """Targets, or the status of one that is not there; neither: it is not ours."""
        if asked.number:
            for route in self._by_prefix:
                if asked.number.startswith(route.prefix):
                    return self._static(route)
        if asked.service and ANY in self._by_domain:
            return self._static(self._by_domain[ANY])
        if asked.status:
            return (), asked.status
        host, port = asked.host, asked.port
        found = self._by_domain.get(host)
        if self.is_local(host) or (host, port) in self._ours:
            aors = asked.aors
            for aor in aors:
                contacts = self._location.contacts(aor, now)
                if contacts:
                    return _groups(contacts), 0
            if found is not None:
                return self._static(found)
            known = any(self._location.is_known(aor) for aor in aors)
            return (), 480 if known else 404
        if found is None:
            found = self._by_domain.get(ANY)
        return self._static(found) if found is not None else ((), 0)

    def _static(self, route: StaticRoute) -> tuple[tuple[tuple[Destination, ...], ...], int]:
        """One hop by weight; then, should it fail, the others."""
        if len(route.hops) == 1:
            return self._single[route.hops[0][0], route.recurse, route.large], 0
        living = [each for each in route.hops if self._alive(each[0])] or list(route.hops)
        order: list[str] = []
        while living:
            total = sum(weight for _, weight in living)
            if total <= 0:
                order += [uri for uri, _ in living]
                break
            at = self._choose(total)
            for place, (uri, weight) in enumerate(living):
                at -= weight
                if at < 0:
                    order.append(uri)
                    del living[place]
                    break
        return tuple((_hop_of(route, uri),) for uri in order), 0

    def redirected(self, uri: str, now: int) -> tuple[tuple[Destination, ...], ...]:
        """Where a URI of a 3xx leads: to a user or a route of ours, or by itself; nowhere when it cannot. SipError."""
        groups, status = self._targets(_asked(uri), now)
        if status:
            return ()
        named = tuple(
            tuple(each if each.request_uri is not None else structs.replace(each, request_uri=uri) for each in group)
            for group in groups
        )
        return named or ((Destination(uri, uri),),)


def _sip_uri(text: str) -> SipUri | None:
    """None: it is none."""
    try:
        parsed = sip.parse_uri(text)
    except SipError:
        return None
    return parsed if isinstance(parsed, SipUri) else None


def _hop_of(route: StaticRoute, hop: str) -> Destination:
    return Destination(hop, recurses=route.recurse, known=True, large=route.large)


def _host_of(uri: str) -> str:
    """Empty for one that leads nowhere, which is found out when it is needed."""
    try:
        return _asked(uri).host
    except SipError:
        return ""


def _default_port(uri: SipUri) -> int:
    return PORTS[transport_of_uri(uri)]


def transport_of_uri(uri: SipUri) -> Transport:
    """RFC 3263 4.1 without NAPTR: what the URI says; TLS for sips, UDP otherwise."""
    said = uri.param("transport")
    if said is not None and (found := transport_of(said)) is not None:
        return "tls" if uri.scheme == "sips" else found
    return "tls" if uri.scheme == "sips" else "udp"


def _loose(routes: Sequence[str], request_uri: str | None) -> Destination:
    """RFC 3261 16.6 6, 7: to the topmost Route; where that is a strict router, it becomes the Request-URI."""
    return Destination(address(routes[0]), request_uri)


class _Asked(NamedTuple):
    """What a Request-URI asks for; ``status``: what becomes of it when no number leads on; ``empty``: no user;
    ``service``: an emergency call or the like.
    """

    number: str
    status: int
    host: str = ""
    port: int = 0
    maddr: str = ""
    aors: tuple[str, ...] = ()
    empty: bool = False
    service: bool = False


def _read(text: str) -> _Asked:
    uri = sip.parse_uri(text)
    number = _number(uri) or ""
    if not isinstance(uri, SipUri):
        return _Asked(number, 404 if isinstance(uri, TelUri) else 416, service=text[:12].lower() == "urn:service:")
    port = uri.port if uri.port is not None else _default_port(uri)
    maddr = (uri.param("maddr") or "").strip("[]").lower()
    return _Asked(number, 0, canonical(uri.host), port, maddr, sip.identities(text), uri.user is None)


_asked = remembered(_read, 8_192)


def _without_way(text: str) -> str:
    """A URI without maddr, transport and port."""
    uri = sip.parse_uri(text)
    assert isinstance(uri, SipUri)
    params = tuple(each for each in uri.params if each[0].lower() not in ("maddr", "transport"))
    return str(structs.replace(uri, port=None, params=params))


def _number(uri: sip.SipUri | sip.TelUri | object) -> str | None:
    """The telephone number of a tel URI, or of a SIP URI that says user=phone or begins with a plus."""
    if isinstance(uri, TelUri):
        return uri.number.translate(_SEPARATORS)
    if isinstance(uri, SipUri) and uri.user is not None:
        user = uri.user.partition(";")[0]
        if user.startswith("+") or (uri.param("user") or "").lower() == "phone":
            return user.translate(_SEPARATORS)
    return None


_SEPARATORS = str.maketrans("", "", "-.()")


def _groups(contacts: Sequence[Contact]) -> tuple[tuple[Destination, ...], ...]:
    """Contacts of one weight are tried in parallel, the heavier ones first (RFC 3261 16.6)."""
    weights = sorted({each.q for each in contacts}, reverse=True)
    return tuple(tuple(_registered(each) for each in contacts if each.q == weight) for weight in weights)


def _registered(contact: Contact) -> Destination:
    uri = _request_uri(contact.uri)
    return Destination(
        address(contact.path[0]) if contact.path else uri, uri, contact.path, contact.flow, known=not contact.path
    )


def _as_request_uri(text: str) -> str:
    """Without what a Contact may have and a Request-URI may not: headers and method (RFC 3261 16.6 2, 19.1.1)."""
    uri = sip.parse_uri(text)
    if not isinstance(uri, SipUri) or not (uri.headers or uri.param("method") is not None):
        return text
    return str(structs.replace(uri, headers="", params=tuple(e for e in uri.params if e[0].lower() != "method")))


_request_uri = remembered(_as_request_uri, 8_192)
