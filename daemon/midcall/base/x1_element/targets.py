"""Whom a task is for: target identifiers as the identity that is matched, and the conditions beside it.

All of a task's identifiers must apply (TS 103 221-1 6.2.1.2). One identity and conditions of it can be honoured;
of two identities a message would have to show both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from imswire import sip
from imswire.x1 import (
    CallPartyRole,
    E164Number,
    ErrorCode,
    HashAlgorithm,
    HashContext,
    HashedIdentifier,
    Imei,
    Impi,
    Impu,
    NonLocalIdentifier,
    SipUri,
    TargetIdentifier,
    TelUri,
    name_of,
)
from midcall.base.warrant import Target
from midcall.base.x1_element.settings import Settings
from midcall.base.x1_element.values import Refusal

_DIGESTS = {
    HashAlgorithm.SHA_256: hashlib.sha256,
    HashAlgorithm.SHA_512: hashlib.sha512,
    HashAlgorithm.SHA3_512: hashlib.sha3_512,
}
PartyRole = Literal["originating", "terminating", "forwarded-to"]
_ROLES: dict[CallPartyRole, PartyRole] = {
    CallPartyRole.ORIGINATING: "originating",
    CallPartyRole.TERMINATING: "terminating",
    CallPartyRole.FORWARDED_TO: "forwarded-to",
}
_HASHABLE = ("sipUri", "telUri", "impu", "e164Number", "imei")
IMEI_DIGITS = 14
_SCHEMES = {"sipUri": ("sip:",), "telUri": ("tel:",), "impu": ("sip:", "tel:")}


class Subject(Struct, frozen=True):
    """``identity`` is a URI, None where only its digest is known; ``role`` and ``local`` are conditions of it."""

    identity: str | None
    hashed: HashedIdentifier | None = None
    role: PartyRole | None = None
    local: bool | None = None

    def __repr__(self) -> str:
        return "Subject(<redacted>)"


def subject(targets: tuple[TargetIdentifier, ...], settings: Settings) -> Subject:
    """Refusal (3010, 3020): an identifier, or several together, that this element cannot honour."""
    identities: list[TargetIdentifier] = []
    conditions: dict[str, CallPartyRole | NonLocalIdentifier] = {}
    for each in targets:
        name = name_of(each)
        if isinstance(each, CallPartyRole | NonLocalIdentifier):
            if name not in settings.conditions or name in conditions:
                raise Refusal(ErrorCode.TARGET_COMBINATION, name)
            conditions[name] = each
        elif isinstance(each, HashedIdentifier | SipUri | TelUri | E164Number | Impu | Impi | Imei):
            identities.append(each)
        else:
            raise Refusal(ErrorCode.TARGET_TYPE, name)
    if len(identities) != 1:
        raise Refusal(ErrorCode.TARGET_COMBINATION, "one identity is needed, and no more than one can be matched")
    (only,) = identities
    hashed = only if isinstance(only, HashedIdentifier) else None
    if hashed is not None:
        _context(hashed, settings)
    party, locality = conditions.get("callPartyRole"), conditions.get("nonLocalIdentifier")
    return Subject(
        None if hashed is not None else _identity(only),
        hashed,
        _ROLES[party] if isinstance(party, CallPartyRole) else None,
        None if locality is None else locality is NonLocalIdentifier.LOCAL,
    )


def _identity(target: TargetIdentifier) -> str:
    """The URI that is matched."""
    if isinstance(target, E164Number):
        uri = f"tel:+{target.value}"
    elif isinstance(target, Impi):
        # TS 23.003 13.4B: the public identity of a user who is known by the private one alone.
        uri = f"sip:{target.value}"
    elif isinstance(target, Imei):
        # RFC 7254: the instance ID of a UE, TAC and serial number; the spare digit is 0.
        uri = f"urn:gsma:imei:{target.value[:8]}-{target.value[8:]}-0"
    else:
        assert isinstance(target, SipUri | TelUri | Impu)
        uri = target.value
    if not sip.identities(uri):
        raise Refusal(ErrorCode.TARGET_TYPE, f"{name_of(target)}: names nobody who can be matched")
    return uri


def _context(hashed: HashedIdentifier, settings: Settings) -> HashContext:
    for context in settings.hash_contexts:
        if context.object_id == hashed.context:
            break
    else:
        raise Refusal(ErrorCode.TARGET_TYPE, "hashedIdentifier: no such hash context here")
    if hashed.identity_type not in _HASHABLE:
        raise Refusal(ErrorCode.TARGET_TYPE, "hashedIdentifier/targetIdentityType")
    return context


def digest(context: HashContext, value: str) -> bytes:
    """Of an identity in canonical form: the salt's octets, then the identity's in UTF-8."""
    return _DIGESTS[context.algorithm](context.salt + value.encode()).digest()


def resolved(found: Subject, target: Target, settings: Settings) -> str | None:
    """The URI that a hashed identifier means, which a signed warrant names in clear; None: it means somebody else."""
    if found.hashed is None:
        return found.identity
    context = _context(found.hashed, settings)
    for form in target.forms:
        for value in _values(form, found.hashed.identity_type):
            if digest(context, value) == found.hashed.digest:
                return form
    return None


def _values(form: str, kind: str) -> Iterator[str]:
    """What may have been hashed for a canonical form, as an identifier of a kind."""
    if kind == "e164Number" and form.startswith("tel:+"):
        yield form.removeprefix("tel:+")
    elif kind == "imei" and form.startswith("urn:gsma:imei:"):
        yield form.removeprefix("urn:gsma:imei:").replace("-", "")[:IMEI_DIGITS]
    elif form.startswith(_SCHEMES.get(kind, ())):
        yield form
