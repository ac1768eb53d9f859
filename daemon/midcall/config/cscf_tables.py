"""The tables of the SIP proxy."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from midcall.config.kinds import Address, Credential, Filled, Positive, Seconds
from midcall.config.text import ConfigError, line_of

Domain = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]
Weight = Annotated[int, Meta(ge=0, le=65_535)]
SipUri = Annotated[str, Meta(pattern=r"^sips?:[^\s<>@]+$")]


class CscfListen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A door: ``address`` to listen on; ``advertise`` is the host that stands in Via and Record-Route (default: that
    of the address). TLS has ``certificate`` and ``key``; ``ca`` (PEM) is who signs the certificates of neighbours, and
    ``clients`` whether they have to show one.
    """

    transport: Literal["udp", "tcp", "tls"]
    address: Address
    advertise: str = ""
    certificate: str = ""
    key: Credential = ""
    ca: str = ""
    crl: str = ""
    clients: Literal["none", "optional", "required"] = "optional"
    tls_1_2: bool = False


class CscfHop(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A next hop: its SIP URI without a user, and its share of what goes to the route."""

    uri: SipUri
    weight: Weight = 1


class CscfRoute(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Requests for ``domain`` ("*": any other), or for numbers that begin with ``prefix``, go to ``hops``.

    ``probe_seconds``: how often the health of each is asked by OPTIONS; 0: never. ``recurse``: whom they name in a 3xx
    is tried here; otherwise it goes back to the caller. ``large``: what requests of more than 1 300 octets go over
    where a hop has UDP (RFC 3261 18.1.1).
    """

    domain: str = ""
    prefix: str = ""
    hops: Annotated[tuple[CscfHop, ...], Meta(min_length=1, max_length=64)]
    probe_seconds: Annotated[float, Meta(ge=0)] = 30.0
    recurse: bool = False
    large: Literal["tcp", "udp"] = "tcp"


class CscfPeer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Neighbours by ``network``, or by a ``name`` in their certificate.

    ``trusted``: identities that they assert go on (RFC 3325). ``relay``: their requests go anywhere.
    """

    network: str = ""
    name: str = ""
    trusted: bool = False
    relay: bool = False


class CscfDigest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SIP Digest for the users of the domains. ``users`` is a secret file: each line ``user:realm:SHA-256 of
    user:realm:password in hex:MD5 of the same``, either hash may be empty. ``algorithms`` are asked for in that order:
    there are phones that give up when one is named that they do not know.
    """

    realm: Filled
    users: Credential
    algorithms: Annotated[tuple[Literal["SHA-256", "MD5"], ...], Meta(min_length=1, max_length=2)] = ("SHA-256", "MD5")


class CscfLocation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Registrations. ``file``: kept there over a restart; empty: in memory alone. ``addresses``: of record, at most.

    Seconds that a registration lasts at least and at most, and ``contacts`` of one user.
    """

    file: str = ""
    addresses: Positive = 1_000_000
    min_seconds: Positive = 60
    max_seconds: Positive = 7_200
    contacts: Annotated[int, Meta(ge=1, le=100)] = 10


class CscfCopies(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Copies of all messages to points of interception on this host: their sockets. A call goes to one by its Call-ID.

    ``octets``: how much waits for each at most; what is more is dropped and counted.
    """

    to: tuple[Filled, ...] = ()
    octets: Annotated[int, Meta(ge=1 << 20)] = 256 << 20


class CscfLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one worker: ``transactions``; ``connections`` over TCP and TLS, and of ``each_host``; seconds that a
    connection may be silent, and that a message that has begun may take.
    """

    transactions: Positive = 400_000
    connections: Positive = 10_000
    each_host: Positive = 1_000
    idle_seconds: Seconds = 900.0
    message_seconds: Seconds = 30.0


class CscfConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[cscf]``: a SIP proxy. ``domains`` are served here; ``seal`` names the secret (32 octets) that marks calls,
    the same at all instances of a site.

    ``workers``: how many instances share the doors (SO_REUSEPORT); instance N of them is worker N, and ``mates`` is the
    folder of the sockets by which they hand messages to each other.
    """

    domains: tuple[Domain, ...]
    seal: Credential
    listen: Annotated[tuple[CscfListen, ...], Meta(min_length=1, max_length=16)]
    route: tuple[CscfRoute, ...] = ()
    peer: tuple[CscfPeer, ...] = ()
    digest: CscfDigest | None = None
    location: CscfLocation = CscfLocation()
    copies: CscfCopies = CscfCopies()
    limits: CscfLimits = CscfLimits()
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    mates: str = ""


def check_cscf(text: str, cscf: CscfConfig) -> None:
    """What the types do not say. ConfigError."""
    for number, door in enumerate(cscf.listen):
        if door.transport == "tls" and not (door.certificate and door.key):
            raise _wrong(text, f"listen[{number}]", "TLS needs certificate and key")
        if door.transport == "tls" and door.clients != "none" and not door.ca:
            raise _wrong(text, f"listen[{number}]", "ca: missing; it says whose certificates neighbours may show")
        if door.transport != "tls" and (door.certificate or door.key or door.ca):
            raise _wrong(text, f"listen[{number}]", f"{door.transport} has no certificate")
    for number, route in enumerate(cscf.route):
        if bool(route.domain) == bool(route.prefix):
            raise _wrong(text, f"route[{number}]", "either domain or prefix")
    for number, peer in enumerate(cscf.peer):
        if bool(peer.network) == bool(peer.name):
            raise _wrong(text, f"peer[{number}]", "either network or name")
    if cscf.workers > 1 and not cscf.mates:
        raise _wrong(text, "workers", "several workers need the folder of their sockets, cscf.mates")
    if cscf.digest is None and not cscf.peer and not cscf.route:
        raise _wrong(text, "domains", "nobody could call: there is neither digest nor peer nor route")


def _wrong(text: str, key: str, reason: str) -> ConfigError:
    return ConfigError(line_of(text, f"$.cscf.{key}"), f"cscf.{key}: {reason}")
