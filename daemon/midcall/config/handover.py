"""How product is handed over, and what a warrant would say: the file of a replay."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from midcall.config.kinds import Country, Liid, NetworkOperator, Operator, Positive
from midcall.config.text import hexadecimal, read

KEY_OCTETS = range(16, 65)


class Warranted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a warrant would say, for a replay without one (laboratories).

    ``liid``: up to 25 characters of a-z A-Z 0-9 - _ . (TS 102 232-1 5.2.2). ``scope``: ``iri`` gives events only,
    without any content, body or key. ``keys``: ``decrypt`` hands content over in clear, ``keys-to-lemf`` hands over
    the session keys and SRTP as captured. Without ``location`` the headers and bodies that tell it are left out.
    ``services``: what is given, calls (``voice``) and messages.
    """

    liid: Liid = "LAB-1"
    scope: Literal["iri", "iri+cc"] = "iri+cc"
    keys: Literal["decrypt", "keys-to-lemf"] = "decrypt"
    location: bool = True
    services: Annotated[tuple[Literal["voice", "messaging"], ...], Meta(min_length=1)] = ("voice", "messaging")


class Network(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who hands over: identifiers of TS 102 232-1 5.2.3 and 5.2.4, and of TS 33.108 Network-Identifier.

    ``correlation_key`` (hexadecimal, 16 to 64 octets) keys the correlation identifiers of this site; the
    default of a replay is 32 octets of zero.
    """

    operator: Operator = "midcall-lab"
    element: Operator | None = "poi-1"
    network_operator: NetworkOperator = "99999"
    country: Country | None = "XX"
    delivery_country: Country | None = None
    correlation_key: str = "00" * 32


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The forms that one agency receives.

    ``iri``: ``eps`` is TS 33.108 EPS in ePSIRI, ``ipmm`` TS 102 232-5, ``ts33128`` TS 33.128; what a form has no
    record for (start of interception in ``ipmm``; keys in ``ipmm`` and ``ts33128``) goes as ``eps``. ``cc``:
    ``ipmm`` is IPMMCC with RTP frames, ``voip`` Voip-CC-PDU of TS 33.108 B.12, ``ts33128`` IMSCCPDU. ``records``:
    ``report`` sends every record as REPORT, ``phases`` as BEGIN, CONTINUE, END and REPORT (TS 102 232-5 table 1).
    ``wrapping``: ``parameters`` puts IRI-Parameters into iRI-EPS-Parameters, ``content`` into epsIRIsContent.
    ``on_key_failure``: ``encrypted`` hands SRTP over as captured when no key opens it, ``hold`` nothing.
    ``ticket``: whether ``a=key-mgmt`` stays in the SDP of HI2 when content goes over in clear. ``cccsid``:
    ``cs`` is the CS ID in one octet, ``csb+cs`` the CSB ID in four octets before it, ``auto`` the first for the
    first bundle of a dialog and the second for all others. ``hi1`` sends HI1 notifications (TS 101 671, payload [3] of
    TS 102 232-1) among the events: that an interception is active, was modified, is over, and an alarm when content of
    it is missing. ``national``: octets (hexadecimal) for
    national-Parameters of every ``eps`` record.
    """

    iri: Literal["eps", "ipmm", "ts33128"] = "eps"
    cc: Literal["ipmm", "voip", "ts33128"] = "ipmm"
    records: Literal["report", "phases"] = "report"
    wrapping: Literal["parameters", "content"] = "parameters"
    on_key_failure: Literal["encrypted", "hold"] = "encrypted"
    ticket: Literal["keep", "remove"] = "keep"
    cccsid: Literal["auto", "cs", "csb+cs"] = "auto"
    hi1: bool = False
    national: Annotated[tuple[str, ...], Meta(max_length=40)] = ()


class Integrity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Integrity check PDUs (TS 102 232-1 7.2.3): a hash after so many PDUs or seconds, a signature over hashes.

    ``locate`` sends about log2(n) more hashes with each over n PDUs, by which a receiver names the one that is wrong.

    Signatures are sent when ``signing_key`` names a file with an Ed25519 private key (PEM).
    """

    enabled: bool = True
    locate: bool = False
    hash_pdus: Positive = 1_000
    hash_seconds: Positive = 1
    signature_hashes: Positive = 15
    signature_seconds: Positive = 300
    signing_key: str = ""


class Delivery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How ``midcall replay --deliver`` sends.

    ``peer_name``: a name in the LEMF's certificate (DNS, address or URI of subjectAltName; default: the host
    of ``--deliver``). ``proof``: what counts as received (TS 102 232-1 6.3.6, 6.4.3): ``auto`` takes the best
    that the LEMF offers. ``connections``: one for both interfaces, or one each. ``give_up_seconds``: how long
    nothing may move before the rest is given up. ``tls_1_2``: allowed beside TLS 1.3.
    """

    peer_name: str = ""
    proof: Literal["auto", "acknowledgement", "keep-alive", "transport"] = "auto"
    connections: Literal["one", "each"] = "one"
    give_up_seconds: Positive = 30
    tls_1_2: bool = False


class ReplayConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``midcall replay --config``: how product is handed over, and what a warrant would say."""

    warranted: Warranted = Warranted()
    network: Network = Network()
    profile: Profile = Profile()
    integrity: Integrity = Integrity()
    delivery: Delivery = Delivery()


def replay(text: str) -> ReplayConfig:
    """Read the file of ``--config``; ConfigError names line and key."""
    config = read(text, ReplayConfig)
    hexadecimal(text, "$.network.correlation_key", config.network.correlation_key, KEY_OCTETS)
    for place, value in enumerate(config.profile.national):
        hexadecimal(text, f"$.profile.national[{place}]", value, range(1, 257))
    return config
