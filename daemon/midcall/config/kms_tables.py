"""The tables of the KMS."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from midcall.config.audit_tables import AuditTable
from midcall.config.kinds import Address, Credential, Filled, Names, Positive, Seconds
from midcall.config.text import ConfigError, line_of, read


class KmsUsers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where users ask for tickets and resolve them.

    ``per_address`` and ``per_subscriber``: requests a minute that are answered, after a burst of as many as their
    ``_burst``. ``request_seconds``: in which a request has to be there. ``tls_1_2``: allowed beside TLS 1.3.
    """

    listen: Address
    certificate: Filled
    key: Credential
    tls_1_2: bool = False
    connections: Positive = 1_024
    request_seconds: Seconds = 5.0
    per_address: Positive = 600
    per_address_burst: Positive = 100
    per_subscriber: Positive = 60
    per_subscriber_burst: Positive = 20


class KmsNode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mediation function that resolves tickets as a node of its own; ``credential``: file with the shared key."""

    identity: Filled
    psk_id: Filled
    credential: Credential


class KmsXk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where mediation functions ask for session keys.

    ``clients``: names (URI, DNS, address) in the certificates of those that may. ``placers``: those of ADMFs, which
    bring revocations and ask for nothing. ``unsigned``: what becomes of
    questions without a warrant; ``accept`` leaves the authority to the mediation function, and is told loudly.
    ``trust``: this KMS's own trust list. ``in_flight``: questions that are answered at once; ``deadline_seconds``:
    in which each is. ``node`` asks by RFC 6043 Resolve, which has no room for a warrant: only with ``accept``.
    """

    listen: Address
    certificate: Filled
    key: Credential
    ca: Filled
    crl: str = ""
    clients: Names
    placers: tuple[Filled, ...] = ()
    trust: Filled
    unsigned: Literal["refuse", "accept"] = "refuse"
    connections: Positive = 64
    in_flight: Positive = 64
    deadline_seconds: Seconds = 2.0
    node: tuple[KmsNode, ...] = ()


class KmsPeer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The KMS of another domain: where it is asked, what its certificate has to name, the key shared with it."""

    identity: Filled
    url: Annotated[str, Meta(pattern=r"^https://[^/\s]+$")]
    name: Filled
    psk_id: Filled
    credential: Credential


class KmsPeers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Between KMSs (RFC 6043 10). Without ``listen`` this one asks others, and is asked by none."""

    listen: Address | None = None
    certificate: Filled
    key: Credential
    ca: Filled
    crl: str = ""
    connections: Positive = 64
    deadline_seconds: Seconds = 3.0
    per_minute: Positive = 6_000
    peer: Annotated[tuple[KmsPeer, ...], Meta(min_length=1)]


class KmsTpk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ticket protection keys, in hours: a new one for new tickets, the longest ticket, how long an old one opens.

    ``keep_hours`` counts from the moment a key has a successor: until then, and no longer, intercepted calls under
    its tickets can be opened.
    """

    rotate_hours: Positive = 24
    ticket_hours: Positive = 24
    keep_hours: Positive = 720


class KmsCache(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Session keys of foreign tickets that own users resolved (TS 33.107 7A.7.3); in memory."""

    enabled: bool = False
    entries: Positive = 10_000
    max_age_seconds: Positive = 4 * 3600


class KmsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[kms]``: the key management service.

    ``identity`` is its name in MIKEY, ``element`` its name in warrants. ``store`` is a database sealed with the key
    in the file ``seal`` (32 octets in hexadecimal). ``lab_keys`` imports a KEYS.toml at start: laboratories only.
    """

    identity: Filled
    element: Filled
    store: Filled
    seal: Credential
    lab_keys: str = ""
    users: KmsUsers | None = None
    xk: KmsXk | None = None
    peers: KmsPeers | None = None
    tpk: KmsTpk = KmsTpk()
    cache: KmsCache = KmsCache()
    audit: AuditTable | None = None


class _KmsFile(Struct, frozen=True, forbid_unknown_fields=True):
    kms: KmsConfig


def kms(text: str) -> KmsConfig:
    """Read a file with ``[kms]`` alone, whose secrets are paths; ConfigError names line and key."""
    found = read(text, _KmsFile).kms
    check_kms(text, found)
    return found


def check_kms(text: str, found: KmsConfig) -> None:
    if found.tpk.keep_hours < found.tpk.ticket_hours:
        raise ConfigError(line_of(text, "$.kms.tpk.keep_hours"), "kms.tpk.keep_hours: less than ticket_hours")
    if found.users is None and found.xk is None and found.peers is None:
        raise ConfigError(line_of(text, "$.kms"), "kms: neither users nor xk nor peers: nobody could ask it")
    if found.xk is not None and found.xk.node and found.xk.unsigned == "refuse":
        raise ConfigError(line_of(text, "$.kms.xk.node[0]"), "kms.xk.node: shows no warrant; needs unsigned = accept")
