"""PS-PDUs (TS 102 232-1 annex A, module LI-PS-PDU version43): octets to values and back."""

from __future__ import annotations

from typing import Any, Final

from imswire import ber
from imswire.ber import BerError
from imswire.hi.common import COUNTRY, LIID
from imswire.hi.contents import CC_CONTENTS, HI1_OPERATION, IRI_CONTENTS
from imswire.hi.eps import CORRELATION
from imswire.hi.errors import HiError
from imswire.hi.numbers import (
    PS_PDU_OID,
    Direction,
    EncryptedPayloadType,
    EncryptionType,
    IriType,
    PayloadTag,
    Qualifier,
    TimeForm,
)
from imswire.hi.primitives import Captured, Enumerated, GeneralizedTime, Integer, Octets, Oid, Raw, Text, sequence
from imswire.hi.schema import Choice, Member, Remembered, Sequence, SequenceOf, must, within
from imswire.hi.tri import TRI, TRI_CLASSES
from imswire.hi.values import (
    Cc,
    CommunicationId,
    EncryptionContainer,
    Header,
    Hi1,
    Iri,
    Opaque,
    PsPdu,
)

UINT32: Final = Integer(0, (1 << 32) - 1)
_MICROSECOND = 1_000
_SECOND = 1_000_000_000

# microSecondTimeStamp: the value is nanoseconds, cut to microseconds.
MICROSECONDS: Final = Sequence(
    int,
    (
        must(0, "seconds", "seconds", Integer(0, (1 << 64) - 1), lambda ns: ns // _SECOND),
        must(1, "microSeconds", "micro", Integer(0, 999_999), lambda ns: ns % _SECOND // _MICROSECOND),
    ),
    make=lambda found: found["seconds"] * _SECOND + found["micro"] * _MICROSECOND,
)
QUALIFIER: Final = Enumerated(Qualifier, "unknown timeOfInterception timeOfMediation timeOfAggregation")
DIRECTION: Final = Enumerated(Direction, "fromTarget toTarget indeterminate combined notapplicable")


def _generalized(value: Any) -> int | None:
    return value.time if value.time_form == TimeForm.GENERALIZED else None


def _microseconds(value: Any) -> int | None:
    return value.time if value.time_form == TimeForm.MICROSECONDS else None


def _timed(cls: type) -> Any:
    """The time from the one member or the other; with both, microseconds say it."""

    def make(found: dict[str, Any]) -> Any:
        general = found.pop("generalized", None)
        if general is not None and "time" not in found:
            found["time"], found["time_form"] = general, TimeForm.GENERALIZED
        return cls(**found)

    return make


_NETWORK = (
    must(0, "operatorIdentifier", "operator", Octets(1, 16)),
    Member(1, "networkElementIdentifier", "element", Octets(1, 16)),
    Member(2, "eTSI671NEID", "", Raw()),
)
COMMUNICATION_ID: Final = Remembered(
    CommunicationId,
    (
        must(0, "networkIdentifier", "network", Sequence(dict, _NETWORK, make=lambda found: found), lambda cid: cid),
        Member(1, "communicationIdentityNumber", "cin", UINT32),
        Member(2, "deliveryCountryCode", "country", COUNTRY),
        Member(3, "cINExtension", "extension", Captured(CORRELATION)),
    ),
    make=lambda found: CommunicationId(**found.pop("network"), **found),
)
HEADER: Final = Sequence(
    Header,
    (
        must(0, "li-psDomainId", "version", Oid(PS_PDU_OID)),
        must(1, "lawfulInterceptionIdentifier", "liid", LIID),
        Member(2, "authorizationCountryCode", "country", COUNTRY),
        must(3, "communicationIdentifier", "cid", COMMUNICATION_ID),
        must(4, "sequenceNumber", "sequence", UINT32),
        Member(5, "timeStamp", "generalized", GeneralizedTime(zoned=True), get=_generalized),
        Member(6, "interceptionPointID", "point", Text(ber.PRINTABLE_STRING, 1, 8)),
        Member(7, "microSecondTimeStamp", "time", MICROSECONDS, get=_microseconds),
        Member(8, "timeStampQualifier", "qualifier", QUALIFIER),
        Member(9, "extendedInterceptionPointID", "extended_point", Octets(1, 65_535)),
        Member(10, "networkFunctionIdentifier", "function", Octets(1, 65_535)),
    ),
    make=_timed(Header),
)
_IRI_TYPE = Enumerated(IriType, "iRI-Begin iRI-End iRI-Continue iRI-Report", extensible=False)
IRI: Final = Sequence(
    Iri,
    (
        Member(
            0, "iRIType", "kind", Enumerated(IriType, "iRI-Begin iRI-End iRI-Continue iRI-Report", extensible=False)
        ),
        Member(1, "timeStamp", "generalized", GeneralizedTime(zoned=True), get=_generalized),
        must(2, "iRIContents", "contents", Captured(IRI_CONTENTS)),
        Member(3, "microSecondTimeStamp", "time", MICROSECONDS, get=_microseconds),
        Member(4, "timeStampQualifier", "qualifier", QUALIFIER),
        Member(5, "sessionDirection", "session_direction", DIRECTION),
        Member(6, "payloadDirection", "direction", DIRECTION),
    ),
    make=lambda found: _timed(Iri)({"kind": None} | found),
)
CC: Final = Sequence(
    Cc,
    (
        Member(0, "payloadDirection", "direction", DIRECTION),
        Member(1, "timeStamp", "generalized", GeneralizedTime(zoned=True), get=_generalized),
        must(2, "cCContents", "contents", Captured(CC_CONTENTS)),
        Member(3, "microSecondTimeStamp", "time", MICROSECONDS, get=_microseconds),
        Member(4, "timeStampQualifier", "qualifier", QUALIFIER),
    ),
    make=lambda found: _timed(Cc)({"direction": None} | found),
)
_ENCRYPTED = Sequence(
    EncryptionContainer,
    (
        must(
            0,
            "encryptionType",
            "kind",
            Enumerated(
                EncryptionType,
                "none national-option aES-192-CBC aES-256-CBC blowfish-192-CBC blowfish-256-CBC threedes-cbc",
            ),
        ),
        must(1, "encryptedPayload", "octets", Octets(binary=True)),
        Member(
            2,
            "encryptedPayloadType",
            "payload_type",
            Enumerated(EncryptedPayloadType, "unknown part2 part3 part4 part5 part6 part7 part1"),
        ),
    ),
)


def _pick(payload: Any) -> tuple[int, Any]:
    if isinstance(payload, tuple):
        if not payload:
            raise HiError("", "a sequence of no payloads")
        return (PayloadTag.IRI if isinstance(payload[0], Iri) else PayloadTag.CC), payload
    if isinstance(payload, Opaque):
        return -1, payload.octets
    if isinstance(payload, TRI_CLASSES):
        return PayloadTag.TRI, payload
    return (
        (PayloadTag.HI1, payload.contents) if isinstance(payload, Hi1) else (PayloadTag.ENCRYPTION_CONTAINER, payload)
    )


def _make(tag: int, inner: Any) -> Any:
    if tag == PayloadTag.HI1:
        return Hi1(inner)
    if inner == ():
        return Opaque(tag, ber.tlv(ber.identifier(ber.CONTEXT, tag, True), b""))
    if isinstance(inner, Opaque):  # transport-related information that is newer than this module
        return Opaque(tag, ber.tlv(ber.identifier(ber.CONTEXT, tag, True), inner.octets))
    return inner


PAYLOAD: Final = Choice(
    (
        must(PayloadTag.IRI, "iRIPayloadSequence", "", SequenceOf(IRI)),
        must(PayloadTag.CC, "cCPayloadSequence", "", SequenceOf(CC)),
        must(PayloadTag.TRI, "tRIPayload", "", TRI),
        must(PayloadTag.HI1, "hI1-Operation", "", Captured(HI1_OPERATION)),
        must(PayloadTag.ENCRYPTION_CONTAINER, "encryptionContainer", "", _ENCRYPTED),
    ),
    _pick,
    _make,
    Opaque,
)
PS_PDU: Final = Sequence(
    PsPdu,
    (must(1, "pSHeader", "header", HEADER), must(2, "payload", "payload", PAYLOAD)),
)


def parse(octets: bytes) -> PsPdu:
    """Exactly one PS-PDU, in any BER; HiError when it is none, is cut short or has octets behind it.

    Bounds on sizes and ranges that the module sets are not asked for here, ``check`` lists those that are broken.
    """
    try:
        return PS_PDU.read(octets, sequence(octets))  # type: ignore[no-any-return]
    except (HiError, BerError) as fault:
        raise within("PS-PDU", fault) from None


def build(pdu: PsPdu) -> bytes:
    """The PS-PDU in DER; HiError when a value breaks a bound of the module."""
    try:
        return ber.tlv(b"\x30", PS_PDU.write(pdu))
    except HiError as fault:
        raise within("PS-PDU", fault) from None
