"""Target identifiers of a task (TS 103 221-1 6.2.1.2): those of IMS as values, all others named and kept.

Several in one task must all apply. Their representations show no identity.
"""

from __future__ import annotations

from msgspec import Struct

from imswire.x1.document import HASHED_ID
from imswire.x1.enumerations import CallPartyRole, NonLocalIdentifier
from imswire.x1.extensions import Extension
from imswire.x1.members import EXTENSION, HEX, STRING, TOKEN, Choice, Opaque, Sequence, Valued, must, word


class Identity(Struct, frozen=True, gc=False):
    """What a target is called."""

    value: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<redacted>)"


class E164Number(Identity, frozen=True, gc=False):
    """International number, digits only."""


class SipUri(Identity, frozen=True, gc=False):
    """sip: or sips: URI."""


class TelUri(Identity, frozen=True, gc=False):
    """tel: URI."""


class Impu(Identity, frozen=True, gc=False):
    """IMS public identity: a sip: or tel: URI."""


class Impi(Identity, frozen=True, gc=False):
    """IMS private identity: a NAI."""


class Imei(Identity, frozen=True, gc=False):
    """Fourteen digits: without check digit or software version."""


class HashedIdentifier(Struct, frozen=True, gc=False):
    """A digest of an identity under a HashContext; ``identity_type`` is the element name of what was hashed."""

    context: str
    identity_type: str
    digest: bytes

    def __repr__(self) -> str:
        return f"HashedIdentifier({self.context!r}, {self.identity_type!r}, <redacted>)"


# targetIdentifierExtension is its Extension; everything that stands in OTHERS is Opaque.
TargetIdentifier = (
    E164Number
    | SipUri
    | TelUri
    | Impu
    | Impi
    | Imei
    | CallPartyRole
    | NonLocalIdentifier
    | HashedIdentifier
    | Extension
    | Opaque
)

OTHERS = (
    "imsi", "macAddress", "ipv4Address", "ipv6Address", "ipv4Cidr", "ipv6Cidr", "tcpPort", "tcpPortRange",
    "tcpPortList", "udpPort", "udpPortRange", "udpPortList", "emailAddress", "internationalizedEmailAddress",
    "h323Uri", "nai", "radiusAttribute", "gtpuTunnelId", "gtpcTunnelId", "supiimsi", "supinai", "suci", "peiImei",
    "peiImeiCheckDigit", "peiImeisv", "gpsiMsisdn", "gpsiNai", "eui64", "serviceAccessIdentifier", "vrf",
)  # fmt: skip

_HASHED = Sequence(
    HashedIdentifier,
    must("hashContextID", "context", TOKEN, HASHED_ID),
    must("targetIdentityType", "identity_type", STRING, HASHED_ID),
    must("hashDigest", "digest", HEX, HASHED_ID),
)

TARGET_IDENTIFIER = Choice(
    {
        "e164Number": (E164Number, Valued(E164Number, TOKEN)),
        "sipUri": (SipUri, Valued(SipUri, TOKEN)),
        "telUri": (TelUri, Valued(TelUri, TOKEN)),
        "impu": (Impu, Valued(Impu, STRING)),
        "impi": (Impi, Valued(Impi, STRING)),
        "imei": (Imei, Valued(Imei, TOKEN)),
        "callPartyRole": (CallPartyRole, word(CallPartyRole)),
        "nonLocalIdentifier": (NonLocalIdentifier, word(NonLocalIdentifier)),
        "hashedIdentifier": (HashedIdentifier, _HASHED),
        "targetIdentifierExtension": (Extension, EXTENSION),
    },
    opaque=OTHERS,
)


def name_of(target: TargetIdentifier) -> str:
    """The element that a target identifier is: what a refusal may say of it."""
    return target.name if isinstance(target, Opaque) else TARGET_IDENTIFIER.name_of(target)
