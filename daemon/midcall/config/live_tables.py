"""The tables of the point of interception and of the mediation functions."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from midcall.config.audit_tables import AuditTable
from midcall.config.handover import Delivery, Integrity, Network, Profile
from midcall.config.kinds import Address, Credential, Filled, Names, Positive, Seconds
from midcall.config.text import ConfigError, line_of

Interfaces = Annotated[tuple[Filled, ...], Meta(max_length=16)]
Ports = Annotated[tuple[Annotated[int, Meta(ge=1, le=65_535)], ...], Meta(min_length=1, max_length=32)]


class TlsTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files of one end of a link (PEM): certificate, its private key, the CA that is trusted, that CA's CRL."""

    certificate: Filled
    key: Credential
    ca: Filled
    crl: str = ""


class HashContextTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A context in which hashed identifiers are understood; ``salt``: its octets, 8 at least."""

    object_id: Filled
    algorithm: Literal["sha-256", "sha-512", "sha3-512"]
    salt: Credential


class X1Table(TlsTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """X1: who this element is (``ne``; ``element`` in warrants), which ADMF is responsible, and where.

    ``admf_url``: where reports go, empty: nowhere. ``trust``: this element's own list of approvers. ``placed``: folder
    of warrants that come apart from tasks. ``silence_seconds``: without a request of the ADMF for so long all tasks are
    dropped (TS 103 221-1 6.6.2). ``hash_context``: for identifiers that come as hashes.
    """

    ne: Filled
    element: Filled
    admf: Filled
    listen: Address
    store: Filled
    trust: Filled
    admf_url: str = ""
    placed: str = ""
    unsigned: Literal["refuse", "detached", "accept"] = "refuse"
    silence_seconds: Positive = 3_600
    hash_context: tuple[HashContextTable, ...] = ()


class LiTable(TlsTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The LI plane: where LI staff ask how interception stands, and why a call has no content.

    ``peers`` are names in their certificates. One certificate may ask ``per_minute`` times, ``burst`` of them at once.
    """

    listen: Address
    peers: Names
    per_minute: Positive = 60
    burst: Positive = 20


class HomeTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Identities of this network: ``domains`` of SIP URIs, and how its global ``numbers`` begin."""

    domains: tuple[Filled, ...] = ()
    numbers: tuple[Annotated[str, Meta(pattern=r"^\+[0-9]{1,15}$")], ...] = ()

    @property
    def is_known(self) -> bool:
        return bool(self.domains or self.numbers)


class TicketsTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether ticket exchanges of running calls are kept, and how long at most: a national option (TS 33.107 7A.3.1).

    Neither has a default: who runs the service has to decide. ``dialogs`` and ``megabytes`` of messages are kept at
    most.
    """

    keep: bool
    max_age_hours: Seconds
    dialogs: Positive = 1_000_000
    megabytes: Positive = 2_048


class HepAgentTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An agent that sends HEP without TLS: its address, and its key."""

    address: Filled
    key: Credential


class HepTlsTable(TlsTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """HEP over TLS: from agents whose certificate has one of the names in ``peers``."""

    listen: Address
    peers: Names


class HepTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Copies of SIP by HEP. Without TLS they count from listed agents only."""

    udp: str = ""
    tcp: str = ""
    agent: tuple[HepAgentTable, ...] = ()
    tls: HepTlsTable | None = None


class X2OutTable(TlsTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """X2 to one mediation function at ``to``, whose certificate has one of the names in ``peers``; ``journal`` is where
    what is not proved is kept.
    """

    to: Address
    peers: Names
    journal: Filled


class MirrorTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Interfaces that SIP passes, from or to ``ports``; or the ``door`` of the role ``tap``, which knows both."""

    interfaces: Interfaces = ()
    promiscuous: bool = True
    ports: Ports = (5_060,)
    door: str = ""


class CopiesTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Copies of SIP from the proxies of this host: the ``socket`` they open, and their ``users`` (none: our own)."""

    socket: Filled
    users: tuple[Filled, ...] = ()


class TapConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[tap]``: the role that opens taps for others. ``door`` is the socket where they ask.

    ``media`` and ``sip`` are the users (by name) that may have a tap of each; ``sip_ports`` those of the mirror.
    """

    door: Filled
    interfaces: Annotated[Interfaces, Meta(min_length=1)]
    promiscuous: bool = False
    media: tuple[Filled, ...] = ()
    sip: tuple[Filled, ...] = ()
    sip_ports: Ports = (5_060,)


class PoiConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One point of interception. ``identity_key``, ``correlation_key`` and ``seal`` name secrets of 32 octets.

    The correlation key is the same at all POIs of a site. ``cache`` is the file of the ticket cache. ``home`` lets a
    task ask for local or non-local identifiers. ``x2_also``: further mediation functions, where several share the
    tasks: what a task gives goes to the one that its destination names.
    """

    nfid: Filled
    ipid: Filled
    identity_key: Credential
    correlation_key: Credential
    seal: Credential
    cache: Filled
    tickets: TicketsTable
    x1: X1Table
    x2: X2OutTable
    x2_also: Annotated[tuple[X2OutTable, ...], Meta(max_length=63)] = ()
    hep: HepTable = HepTable()
    mirror: MirrorTable | None = None
    copies: CopiesTable | None = None
    li: LiTable | None = None
    audit: AuditTable | None = None
    home: HomeTable = HomeTable()
    keep_sdes: bool = False


class X2InTable(TlsTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """X2 from POIs whose certificates have one of the names in ``peers``; ``foreign`` of them are not midcall's."""

    listen: Address
    peers: Names
    foreign: tuple[Filled, ...] = ()


class XkTable(TlsTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The KMS at ``url`` (``https://host:port``), whose certificate has one of the names in ``peers``."""

    url: Annotated[str, Meta(pattern=r"^https://[^\s/]+$")]
    peers: Names
    deadline_seconds: Seconds = 10.0


class TapTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Interfaces that media pass; ``promiscuous`` on a mirror port.

    Or ``door``: the socket of the role ``tap``, which has the rights that this role has not.
    """

    interfaces: Interfaces = ()
    promiscuous: bool = False
    door: str = ""


class DfConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mediation functions. ``spool`` is the folder of what waits for agencies, ``keys`` that of the keys that seal it,
    on another disk; ``seal`` names the secret that wraps these. ``agency`` are our files towards agencies.
    ``signing_key`` (PEM, Ed25519) signs the hashes of what is handed over; empty: they are not signed. When a task is
    over, its delivered product stays ``retain_hours`` under its data key, and what could not be delivered
    ``backlog_days`` (0: until it is).
    """

    seal: Credential
    spool: Filled
    keys: Filled
    network: Network
    agency: TlsTable
    x1: X1Table
    x2: X2InTable
    kms: XkTable
    tap: TapTable | None = None
    li: LiTable | None = None
    audit: AuditTable | None = None
    signing_key: Credential = ""
    profile: Profile = Profile()
    integrity: Integrity = Integrity()
    delivery: Delivery = Delivery()
    retain_hours: Annotated[float, Meta(ge=0, le=8_784)] = 0.0
    backlog_days: Annotated[float, Meta(ge=0, le=366)] = 30.0


def check_live(text: str, poi: PoiConfig | None, df: DfConfig | None) -> None:
    """What the types do not say. ConfigError."""
    tables: list[tuple[str, TapTable | MirrorTable]] = []
    if poi is not None and poi.mirror is not None:
        tables.append(("poi.mirror", poi.mirror))
    if df is not None and df.tap is not None:
        tables.append(("df.tap", df.tap))
    for name, table in tables:
        if bool(table.door) == bool(table.interfaces):
            reason = "either interfaces or the door of the role tap"
            raise ConfigError(line_of(text, f"$.{name}"), f"{name}: {reason}")
    if poi is not None and not (poi.mirror or poi.copies or poi.hep.udp or poi.hep.tcp or poi.hep.tls):
        raise ConfigError(line_of(text, "$.poi"), "poi: no SIP can come: it has neither copies nor hep nor mirror")
    for number, each in enumerate(() if poi is None else poi.x2_also):
        others = (poi.x2, *poi.x2_also[:number]) if poi is not None else ()
        for key in ("to", "journal"):
            if getattr(each, key) in [getattr(other, key) for other in others]:
                reason = f"{key}: given twice; each mediation function has one of its own"
                raise ConfigError(line_of(text, f"$.poi.x2_also[{number}]"), f"poi: {reason}")
    if df is not None and not set(df.x2.foreign) <= set(df.x2.peers):
        reason = "df.x2.foreign: a name that is not in peers"
        raise ConfigError(line_of(text, "$.df.x2.foreign"), reason)
    if df is not None and df.integrity.signing_key:
        reason = "df.integrity.signing_key: a service has it as a credential, df.signing_key"
        raise ConfigError(line_of(text, "$.df.integrity.signing_key"), reason)
