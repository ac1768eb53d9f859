"""A proxy core of the tables of the configuration, with what its shell lends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from imswire import inet
from imswire.inet import InetError
from midcall.config.cscf_tables import CscfConfig, CscfListen
from midcall.config.process import address
from midcall.cscf.digest import Digest, Find
from midcall.cscf.location import Kept, LocationTable
from midcall.cscf.marks import Seals
from midcall.cscf.overload import Overload
from midcall.cscf.proxy import Proxy
from midcall.cscf.registrar import Challenge, Policy, Registrar
from midcall.cscf.routing import Router, StaticRoute
from midcall.cscf.trust import Peer, Peers, TrustGate, user_of
from midcall.cscf.values import Hop, Listener

WILD = ("0.0.0.0", "::")  # noqa: S104 - what cannot be advertised


class Unusable(ValueError):
    """A table that cannot be used: one line that names its key."""


class Fixed(NamedTuple):
    """What stays while the process runs, and what its shell lends the core.

    ``nonces`` seals those of challenges: it is of this run alone, which knows what has been answered to them.
    ``choose`` gives a number below its argument; ``names`` those in the certificate of a connection; ``alive``:
    whether a next hop answers.
    """

    listeners: tuple[Listener, ...]
    location: LocationTable
    overload: Overload
    seals: Seals
    nonces: bytes
    choose: Callable[[int], int]
    names: Callable[[int], frozenset[str]]
    alive: Callable[[str], bool]


class Parts(NamedTuple):
    """What a new configuration replaces."""

    router: Router
    gate: TrustGate
    registrar: Registrar
    digest: Digest | None


class Built(NamedTuple):
    """The core, and what its shell has to know of it."""

    proxy: Proxy
    fixed: Fixed

    @property
    def location(self) -> LocationTable:
        return self.fixed.location

    @property
    def listeners(self) -> tuple[Listener, ...]:
        return self.fixed.listeners

    @property
    def overload(self) -> Overload:
        return self.fixed.overload


def listener(door: CscfListen, place: int) -> Listener:
    """Unusable: nobody could be told where it is."""
    host, port = address(door.address)
    try:
        ipv6 = ":" in inet.text(inet.pack(host))
    except InetError:
        raise Unusable(f"cscf.listen[{place}].address: a number is needed, not a name") from None
    if host in WILD and not door.advertise:
        raise Unusable(f"cscf.listen[{place}].advertise: missing; {host} cannot stand in a Via")
    return Listener(door.transport, door.advertise or host, port, ipv6)


def build(
    config: CscfConfig,
    seal: bytes,
    run: str,
    *,
    choose: Callable[[int], int],
    secrets: Find,
    names: Callable[[int], frozenset[str]],
    kept: Kept,
    alive: Callable[[str], bool],
) -> tuple[Built, Parts]:
    """``seal`` marks calls; ``run`` is the name of this run; ``kept`` is told of registrations; the rest as in
    :class:`Fixed`. Unusable.
    """
    fixed = Fixed(
        tuple(listener(door, place) for place, door in enumerate(config.listen)),
        LocationTable(config.location.addresses, kept=kept),
        Overload(choose),
        Seals(seal),
        seal + run.encode(),
        choose,
        names,
        alive,
    )
    made = parts(config, fixed, secrets, None)
    bound = config.limits.transactions
    proxy = Proxy(
        fixed.listeners, made.router, made.gate, made.registrar, fixed.seals, run, bound, fixed.overload, choose
    )
    return Built(proxy, fixed), made


def parts(config: CscfConfig, fixed: Fixed, secrets: Find, former: Digest | None) -> Parts:
    """What domains, routes, peers and users say. ``former``: whose nonces are still good. Unusable."""
    static = tuple(
        StaticRoute(
            tuple((hop.uri, hop.weight) for hop in route.hops),
            route.domain,
            route.prefix,
            route.recurse,
            route.large == "tcp",
        )
        for route in config.route
    )
    router = Router(
        fixed.listeners,
        config.domains,
        static,
        fixed.location,
        fixed.seals,
        alive=fixed.alive,
        choose=fixed.choose,
    )
    table = config.digest
    digest = None if table is None else Digest(table.realm, fixed.nonces, secrets, former, table.algorithms)
    try:
        peers = Peers((Peer(each.network, each.name, each.trusted, each.relay) for each in config.peer), fixed.names)
    except ValueError as error:
        raise Unusable(f"cscf.peer: {error}") from None
    gate = TrustGate(peers, fixed.location, router.is_local, fixed.overload, digest, config.domains, router.is_bound)
    registrar = Registrar(
        fixed.location,
        fixed.listeners,
        router.is_local,
        _authenticate(digest, peers),
        lambda user, aor: user in ("", user_of(aor)),
        Policy(config.location.min_seconds, config.location.max_seconds, config.location.contacts),
    )
    return Parts(router, gate, registrar, digest)


def _authenticate(digest: Digest | None, peers: Peers) -> Callable[..., Challenge]:
    """Who registers: by digest; without one, only what a peer passes on is believed."""

    def authenticate(message: object, source: Hop, now: int) -> Challenge:
        peer = peers.of(source)
        if peer is not None and peer.trusted:
            return Challenge()
        if digest is None:
            return Challenge(status=403)
        said = digest.judge(message, now, proxy=False)  # type: ignore[arg-type]
        if not said.user:
            return Challenge(status=401, extra=said.lines)
        return Challenge(said.user, neighbour=peer is not None)

    return authenticate
