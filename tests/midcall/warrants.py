"""Warrants for tests: approvers whose keys are always the same, a trust list, and what they sign."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from midcall.base import warrant as warrants
from midcall.base.warrant import Known, Outcome, Refused, Revocation, Rule, TrustList, Warrant, envelope, value
from midcall.events import Instant

ANN, BEN, EVE = "Ann", "Ben", "Eve"
XID = "0a000000-0000-4000-8000-000000000001"
OTHER_XID = "0a000000-0000-4000-8000-000000000002"
DIGEST = "ab" * 32
START, END = "2026-07-01T00:00:00Z", "2026-07-31T00:00:00Z"
ELEMENT = "poi-1"


def key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


def key_id(name: str) -> str:
    return envelope.key_id(key(name).public_key())


def x(name: str) -> str:
    return envelope.encoded(key(name).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def entry(name: str, person: str | None = None, **members: str) -> str:
    given = {"valid_from": "2026-01-01T00:00:00Z", "valid_until": "2027-01-01T00:00:00Z", **members}
    lines = [f'person = "{person or name}"', f'public_key = "{x(name)}"']
    return "\n".join(["[[approver]]", *lines, *(f"{each} = {text}" for each, text in given.items()), ""])


def trust_text(*entries: str, max_days: int = 90) -> str:
    return f"max_days = {max_days}\n" + "\n".join(entries or (entry(ANN), entry(BEN)))


def trust(*entries: str, max_days: int = 90) -> TrustList:
    return warrants.read_trust(trust_text(*entries, max_days=max_days))


def members(**changed: Any) -> dict[str, Any]:
    return {
        "type": "warrant",
        "id": "W-1",
        "version": 1,
        "supersedes": None,
        "country": "XX",
        "agency": "agency",
        "order": {"authority": "court", "reference": "1 AB 23/26", "sha256": DIGEST},
        "services": ["voice", "messaging"],
        "scope": "iri+cc",
        "keys": "decrypt",
        "location": False,
        "start": START,
        "end": END,
        "targets": [{"liid": "LI-1", "xid": XID, "identity": "sip:alice@example.com"}],
        "elements": [ELEMENT, "df2-1"],
        "destinations": [{"host": "lemf.example.com", "port": 7443, "certificate": DIGEST}],
    } | changed


def make(**changed: Any) -> Warrant:
    return msgspec.convert(members(**changed), Warrant)


def revocation(version: int, supersedes: int | None = None) -> Revocation:
    before = version - 1 if supersedes is None else supersedes
    return Revocation(id="W-1", version=version, supersedes=before, reference="2 AB 23/26")


def signed_octets(payload: bytes, *names: str) -> bytes:
    read = envelope.draft(payload)
    for name in names:
        read = envelope.sign(read, key(name))
    return envelope.write(read)


def signed(what: Warrant | Revocation | None = None, *names: str) -> bytes:
    return signed_octets(value.encode(what or make()), *(names or (ANN, BEN)))


def at(text: str = "2026-07-02T00:00:00Z", ns: int = 0) -> Instant:
    wall = value.moment(text) + ns
    return Instant(wall, wall - value.moment(START))


def verified(octets: bytes, known: dict[str, Known] | None = None, **changed: Any) -> Outcome:
    given: dict[str, Any] = {"trust": trust(), "now": at(), "element": ELEMENT, "known": known or {}} | changed
    return warrants.verify(octets, **given)


def rule(outcome: object) -> Rule:
    """What a refused one broke."""
    assert isinstance(outcome, Refused), outcome
    return outcome.rule
