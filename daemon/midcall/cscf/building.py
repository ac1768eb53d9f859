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
from midcall.cscf.overload import Overload
from midcall.cscf.proxy import Proxy
from midcall.cscf.registrar import Challenge, Policy, Registrar
from midcall.cscf.routing import Router, Seals, StaticRoute
from midcall.cscf.trust import Peer, Peers, TrustGate
from midcall.cscf.values import Hop, Listener

WILD = ("0.0.0.0", "::")  # noqa: S104 - what cannot be advertised


class Unusable(ValueError):
    """A table that cannot be used: one line that names its key."""


class Built(NamedTuple):
    """The core, and what its shell has to know of it."""

    proxy: Proxy
    listeners: tuple[Listener, ...]
    location: LocationTable
    overload: Overload


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
) -> Built:
    """``seal`` marks calls; ``run`` is the name of this run; ``choose`` gives a number below its argument. Unusable."""
    listeners = tuple(listener(door, place) for place, door in enumerate(config.listen))
    location = LocationTable(config.location.addresses, kept=kept)
    seals = Seals(seal)
    static = tuple(
        StaticRoute(tuple((hop.uri, hop.weight) for hop in route.hops), route.domain, route.prefix)
        for route in config.route
    )
    router = Router(listeners, config.domains, static, location, seals, alive=alive, choose=choose)
    digest = None if config.digest is None else Digest(config.digest.realm, seal, secrets)
    try:
        peers = Peers((Peer(each.network, each.name, each.trusted, each.relay) for each in config.peer), names)
    except ValueError as error:
        raise Unusable(f"cscf.peer: {error}") from None
    overload = Overload(choose)
    gate = TrustGate(peers, location, router.is_local, overload, digest)
    registrar = Registrar(
        location,
        listeners,
        router.is_local,
        _authenticate(digest, peers),
        lambda user, aor: user == "" or aor.partition(":")[2].partition("@")[0] == user,
        Policy(config.location.min_seconds, config.location.max_seconds, config.location.contacts),
    )
    proxy = Proxy(listeners, router, gate, registrar, seals, run, config.limits.transactions)
    return Built(proxy, listeners, location, overload)


def _authenticate(digest: Digest | None, peers: Peers) -> Callable[..., Challenge]:
    """Who registers: by digest; without one, only what a peer passes on is believed."""

    def authenticate(message: object, source: Hop, now: int) -> Challenge:
        peer = peers.of(source)
        if peer is not None and peer.trusted:
            return Challenge()
        if digest is None:
            return Challenge(status=403)
        said = digest.judge(message, now, proxy=False)  # type: ignore[arg-type]
        return Challenge(said.user) if said.user else Challenge(status=401, extra=said.lines)

    return authenticate
