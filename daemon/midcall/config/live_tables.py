"""The tables of the point of interception and of the mediation functions."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from midcall.config.handover import Delivery, Integrity, Network, Profile
from midcall.config.kinds import Address, Credential, Filled, Names, Positive, Seconds


class TlsTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files of one end of a link (PEM): certificate, its private key, the CA that is trusted, that CA's CRL."""

    certificate: Filled
    key: Credential
    ca: Filled
    crl: str = ""


class X1Table(TlsTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """X1: who this element is (``ne``; ``element`` in warrants), which ADMF is responsible, and where.

    ``admf_url``: where reports go, empty: nowhere. ``trust``: this element's own list of approvers. ``placed``: folder
    of warrants that come apart from tasks. ``silence_seconds``: without a request of the ADMF for so long all tasks are
    dropped (TS 103 221-1 6.6.2).
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


class TicketsTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether ticket exchanges of running calls are kept, and how long at most: a national option (TS 33.107 7A.3.1).

    Neither has a default: who runs the service has to decide.
    """

    keep: bool
    max_age_hours: Seconds


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
    """X2 to the mediation function at ``to``, whose certificate has one of the names in ``peers``; ``journal`` is where
    what is not proved is kept.
    """

    to: Address
    peers: Names
    journal: Filled


class PoiConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One point of interception. ``identity_key``, ``correlation_key`` and ``seal`` name secrets of 32 octets.

    The correlation key is the same at all POIs of a site. ``cache`` is the file of the ticket cache.
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
    hep: HepTable = HepTable()
    keep_sdes: bool = False


class X2InTable(TlsTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """X2 from POIs whose certificates have one of the names in ``peers``."""

    listen: Address
    peers: Names


class XkTable(TlsTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The KMS at ``url`` (``https://host:port``), whose certificate has one of the names in ``peers``."""

    url: Annotated[str, Meta(pattern=r"^https://[^\s/]+$")]
    peers: Names
    deadline_seconds: Seconds = 10.0


class TapTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Interfaces that media pass; ``promiscuous`` on a mirror port."""

    interfaces: Annotated[tuple[Filled, ...], Meta(min_length=1, max_length=16)]
    promiscuous: bool = False


class DfConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mediation functions. ``spool`` is the folder of what waits for agencies, ``keys`` that of the keys that seal it,
    on another disk; ``seal`` names the secret that wraps these. ``agency`` are our files towards agencies.
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
    profile: Profile = Profile()
    integrity: Integrity = Integrity()
    delivery: Delivery = Delivery()
