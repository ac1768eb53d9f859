"""IRI and CC of TS 33.128, module TS33128Payloads r19 version3: the IMS events, on HI2 and HI3 and as xIRI on X2.

Events of other services are carried unread, as :class:`OtherEvent`.
"""

from __future__ import annotations

from typing import Any, Final

from imswire import ber
from imswire.ber import BerError
from imswire.hi.errors import HiError
from imswire.hi.numbers import CcContents, IriContents
from imswire.hi.primitives import Container, Enumerated, Integer, Null, Octets, Oid, Raw, Text, sequence
from imswire.hi.schema import Choice, Member, Sequence, SequenceOf, must, read_contents, within, write_contents
from imswire.hi.ts33128_values import (
    RELEASE,
    SIP_URI,
    TEL_URI,
    AccessNetwork,
    CcPayload,
    CellularNetwork,
    Change,
    ChangeKind,
    DescribedModification,
    Event,
    EventTag,
    Identifier,
    IdentifierKind,
    Impu,
    ImsCc,
    ImsCcUnavailable,
    ImsMessage,
    IriPayload,
    Modification,
    OtherEvent,
    Place,
    PlaceKind,
    Plmn,
    PredefinedModification,
    Provenance,
    Roaming,
    SessionDirection,
    SipMessage,
    StartOfInterception,
    TargetIdentifier,
    Unit,
    XiriPayload,
)

__all__ = [
    "AccessNetwork",
    "CC_PAYLOAD",
    "CONTAINED_CC",
    "CONTAINED_IRI",
    "CcPayload",
    "CellularNetwork",
    "Change",
    "ChangeKind",
    "DescribedModification",
    "EVENT",
    "Event",
    "EventTag",
    "IMPU",
    "IRI_PAYLOAD",
    "Identifier",
    "IdentifierKind",
    "Impu",
    "ImsCc",
    "ImsCcUnavailable",
    "ImsMessage",
    "IriPayload",
    "Modification",
    "OtherEvent",
    "Place",
    "PlaceKind",
    "Plmn",
    "PredefinedModification",
    "Provenance",
    "RELEASE",
    "Roaming",
    "SIP_URI",
    "SessionDirection",
    "SipMessage",
    "StartOfInterception",
    "TEL_URI",
    "TargetIdentifier",
    "Unit",
    "XIRI_PAYLOAD",
    "XiriPayload",
    "build_cc",
    "build_iri",
    "build_xiri",
    "parse_cc",
    "parse_iri",
    "parse_xiri",
]

_MODULE = (4, 19)  # threeGPP(4) ts33128(19), relative to lawfulIntercept(2); release and version follow
_DIGITS = ber.NUMERIC_STRING


def _as_it_is(value: Any) -> Any:
    return value


IMPU: Final = Choice(
    (must(1, "sIPURI", "", Text()), must(2, "tELURI", "", Text())),
    lambda impu: (impu.kind, impu.uri),
    lambda tag, inner: Impu(inner, tag),
)
_IP_ADDRESS = Choice(
    (must(1, "iPv4Address", "", Octets(4, 4, binary=True)), must(2, "iPv6Address", "", Octets(16, 16, binary=True))),
    lambda address: (1 if len(address) == 4 else 2, address),
    lambda _, inner: inner,
)
_SIP_MESSAGE = Sequence(
    SipMessage,
    (
        must(1, "iPSourceAddress", "source", _IP_ADDRESS),
        must(2, "iPDestinationAddress", "destination", _IP_ADDRESS),
        must(3, "sIPContent", "content", Octets()),
    ),
)

# What was done to a message before it is delivered

_PREDEFINED = (
    "pANILocationRemoval cNILocationRemoval sIPGeolocationInfoRemoval presenceInformationLocationRemoval"
    " tS33128SMSTPDURedaction tS33128TruncatedSMSTPDU iMSTextContentRemoval iMSSubjectContentRemoval"
    " rCSPresenceLocationRemoval rCSCPIMLocationRemoval rCSTextContentRemoval rCSSubjectContentRemoval"
    " rCSGeolocationPUSHContentRemoval rCSFileURLContentRemoval threeGPP2SMSUserDataRedaction"
)
_COUNT = Integer(0, (1 << 63) - 1)
_RANGE = Sequence(
    tuple,
    (must(1, "start", "start", _COUNT, lambda pair: pair[0]), must(2, "end", "end", _COUNT, lambda pair: pair[1])),
    make=lambda found: (found["start"], found["end"]),
)
_PLACE = Choice(
    (
        must(PlaceKind.JSON_POINTER, "jSONPointer", "", Text()),
        must(PlaceKind.XPATH, "xPath", "", Text()),
        must(PlaceKind.SIP_HEADER, "sIPHeader", "", Text()),
        must(PlaceKind.SIP_BODY, "sIPBody", "", Null(None)),
        must(PlaceKind.MIME_HEADER, "mIMEHeader", "", Text()),
        must(PlaceKind.MIME_BODY, "mIMEBody", "", Raw()),
        must(PlaceKind.UTF8_LOCATION, "uTF8Location", "", _RANGE),
        must(PlaceKind.OCTET_LOCATION, "octetLocation", "", _RANGE),
        must(PlaceKind.ABNF_RULE, "aBNFRule", "", Text()),
    ),
    lambda place: (place.kind, place.value),
    lambda tag, inner: Place(PlaceKind(tag), inner),
)
_REMOVED = Choice(
    (
        must(1, "charactersRemoved", "", _COUNT),
        must(2, "octetsRemoved", "", _COUNT),
        must(3, "bitsRemoved", "", _COUNT),
    ),
    _as_it_is,
    lambda tag, inner: (tag, inner),
)
_CHARACTERS = Sequence(str, (must(1, "characters", "text", Text(), _as_it_is),), make=lambda found: found["text"])
_CHANGE = Choice(
    (
        must(ChangeKind.REMOVED, "removed", "", _REMOVED),
        must(ChangeKind.REPLACED_WITH_CHARACTERS, "replacedWithCharacters", "", _CHARACTERS),
        must(ChangeKind.REPLACED_WITH_OCTETS, "replacedWithOctets", "", Octets()),
        must(ChangeKind.REPLACED_WITH_BITS, "replacedWithBits", "", Octets(1, binary=True)),
    ),
    lambda change: (change.kind, change.value),
    lambda tag, inner: Change(ChangeKind(tag), inner),
)
_MODIFICATION = Choice(
    (
        must(1, "predefinedModification", "", Enumerated(PredefinedModification, _PREDEFINED)),
        must(
            2,
            "describedModification",
            "",
            Sequence(
                DescribedModification,
                (must(1, "modificationLocation", "place", _PLACE), must(2, "modificationType", "change", _CHANGE)),
            ),
        ),
    ),
    lambda value: (2 if isinstance(value, DescribedModification) else 1, value),
    lambda _, inner: inner,
)
_MODIFICATIONS = Sequence(
    tuple,
    (must(1, "modificationList", "list", SequenceOf(_MODIFICATION), _as_it_is),),
    make=lambda found: found["list"],
)
_MODIFIED = Sequence(
    tuple,
    (
        must(1, "modifiedSIPContent", "message", _SIP_MESSAGE, lambda value: value[0]),
        must(2, "modifications", "modifications", _MODIFICATIONS, lambda value: value[1]),
    ),
    make=lambda found: (found["message"], found["modifications"]),
)
_PAYLOAD = Choice(
    (must(1, "encapsulatedSIPMessage", "", _SIP_MESSAGE), must(2, "modifiedSIPMessage", "", _MODIFIED)),
    lambda value: (1, value[0]) if value[1] is None else (2, value),
    lambda tag, inner: (inner, None) if tag == 1 else inner,
)

# Events

_PLMN = Sequence(Plmn, (must(1, "mCC", "mcc", Text(_DIGITS, 3, 3)), must(2, "mNC", "mnc", Text(_DIGITS, 2, 3))))
_ACCESS = Sequence(
    AccessNetwork,
    (must(1, "accessNetworkInfo", "info", Text()), Member(2, "servingPLMN", "plmn", _PLMN)),
)
_CELLULAR = Sequence(
    CellularNetwork,
    (must(1, "cellularNetworkInfo", "info", Text()), Member(2, "servingPLMN", "plmn", _PLMN)),
)
_ROAMING = Enumerated(Roaming, "roamingLBO roamingS8HR roamingN9HR")


def _ims_message(found: dict[str, Any]) -> ImsMessage:
    found["message"], found["modifications"] = found["message"]
    return ImsMessage(**found)


_IMS_MESSAGE = Sequence(
    ImsMessage,
    (
        must(1, "payload", "message", _PAYLOAD, lambda value: (value.message, value.modifications)),
        must(
            2,
            "sessionDirection",
            "direction",
            Enumerated(SessionDirection, "fromTarget toTarget combined indeterminate"),
        ),
        Member(3, "voIPRoamingIndication", "roaming", _ROAMING),
        Member(6, "location", "location", Raw()),
        Member(7, "accessNetworkInformation", "access", SequenceOf(_ACCESS)),
        Member(8, "cellularNetworkInformation", "cellular", SequenceOf(_CELLULAR)),
        Member(9, "numberTranslationInformation", "translations", Raw()),
    ),
    make=_ims_message,
)
_START = Sequence(
    StartOfInterception,
    (
        must(1, "originatingId", "originating", SequenceOf(IMPU)),
        must(2, "terminatingId", "terminating", IMPU),
        Member(3, "sDPState", "sdp", SequenceOf(Octets())),
        Member(4, "diversionIdentity", "diversion", IMPU),
        Member(5, "voIPRoamingIndication", "roaming", _ROAMING),
        Member(7, "location", "location", Raw()),
        Member(8, "accessNetworkInformation", "access", SequenceOf(_ACCESS)),
        Member(9, "cellularNetworkInformation", "cellular", SequenceOf(_CELLULAR)),
    ),
)
_UNAVAILABLE = Sequence(
    ImsCcUnavailable,
    (must(1, "cCUnavailableReason", "reason", Text()), Member(2, "sDPState", "sdp", Octets())),
)
_EVENT_TAGS: dict[type, int] = {
    ImsMessage: EventTag.IMS_MESSAGE,
    StartOfInterception: EventTag.START_OF_INTERCEPTION,
    ImsCcUnavailable: EventTag.CC_UNAVAILABLE,
}


def _pick_event(value: Event) -> tuple[int, Any]:
    return (-1, value.octets) if isinstance(value, OtherEvent) else (_EVENT_TAGS[type(value)], value)


EVENT: Final = Choice(
    (
        must(EventTag.IMS_MESSAGE, "iMSMessage", "", _IMS_MESSAGE),
        must(EventTag.START_OF_INTERCEPTION, "startOfInterceptionForActiveIMSSession", "", _START),
        must(EventTag.CC_UNAVAILABLE, "iMSCCUnavailable", "", _UNAVAILABLE),
    ),
    _pick_event,
    lambda _, inner: inner,
    OtherEvent,
)

# Identifiers of the target

_SUPI = Choice(
    (must(1, "iMSI", "", Text(_DIGITS, 6, 15)), must(2, "nAI", "", Text())), _as_it_is, lambda tag, inner: (tag, inner)
)
_GPSI = Choice(
    (must(1, "mSISDN", "", Text(_DIGITS, 1, 15)), must(2, "nAI", "", Text())),
    _as_it_is,
    lambda tag, inner: (tag, inner),
)
_PEI = Choice(
    (
        must(1, "iMEI", "", Text(_DIGITS, 14, 14)),
        must(2, "iMEISV", "", Text(_DIGITS, 16, 16)),
        must(3, "mACAddress", "", Octets(6, 6, binary=True)),
        must(4, "eUI64", "", Octets(8, 8, binary=True)),
    ),
    _as_it_is,
    lambda tag, inner: (tag, inner),
)
_IDENTIFIER = Choice(
    (
        must(IdentifierKind.SUPI, "sUPI", "", _SUPI),
        must(IdentifierKind.IMSI, "iMSI", "", Text(_DIGITS, 6, 15)),
        must(IdentifierKind.PEI, "pEI", "", _PEI),
        must(IdentifierKind.IMEI, "iMEI", "", Text(_DIGITS, 14, 14)),
        must(IdentifierKind.GPSI, "gPSI", "", _GPSI),
        must(IdentifierKind.MSISDN, "mSISDN", "", Text(_DIGITS, 1, 15)),
        must(IdentifierKind.NAI, "nAI", "", Text()),
        must(IdentifierKind.IPV4, "iPv4Address", "", Octets(4, 4, binary=True)),
        must(IdentifierKind.IPV6, "iPv6Address", "", Octets(16, 16, binary=True)),
        must(IdentifierKind.ETHERNET, "ethernetAddress", "", Octets(6, 6, binary=True)),
        must(IdentifierKind.IMPU, "iMPU", "", IMPU),
        must(IdentifierKind.IMPI, "iMPI", "", Text()),
        must(IdentifierKind.E164, "e164Number", "", Text(_DIGITS, 1, 15)),
        must(IdentifierKind.EMAIL, "emailAddress", "", Text()),
        must(IdentifierKind.MCPTT_ID, "mCPTTID", "", Text()),
        must(IdentifierKind.INSTANCE_URN, "instanceIdentifierURN", "", Text()),
        must(IdentifierKind.PTC_CHAT_GROUP, "pTCChatGroupID", "", Raw()),
    ),
    lambda value: (value.kind, value.value),
    lambda tag, inner: Identifier(IdentifierKind(tag), inner),
)
_TARGET = Sequence(
    TargetIdentifier,
    (
        must(1, "identifier", "identifier", _IDENTIFIER),
        Member(
            2,
            "provenance",
            "provenance",
            Enumerated(Provenance, "lEAProvided observed matchedOn other"),
        ),
    ),
)
_MEDIATED = Choice(
    (must(1, "xIRIRelativeOID", "", Oid(_MODULE, 2, (1,), relative=True)),),
    lambda value: (1, value),
    lambda _, inner: inner,
)

# Payloads


def _oid(name: str, last: int) -> Member:
    return must(1, name, "release", Oid(_MODULE, 2, (last,), relative=True))


XIRI_PAYLOAD: Final = Sequence(XiriPayload, (_oid("xIRIPayloadOID", 1), must(2, "event", "event", EVENT)))
IRI_PAYLOAD: Final = Sequence(
    IriPayload,
    (
        _oid("iRIPayloadOID", 3),
        must(2, "event", "event", EVENT),
        Member(3, "targetIdentifiers", "targets", SequenceOf(_TARGET)),
        Member(4, "mediatedFromIndicator", "mediated_from", _MEDIATED),
    ),
)
_IMS_CC = Sequence(ImsCc, (must(1, "payload", "payload", Octets(binary=True)), Member(2, "sDPInfo", "sdp", Octets())))
_CC_PDU = Choice(
    (must(6, "iMSCCPDU", "", _IMS_CC),),
    lambda value: (-1, value.octets) if isinstance(value, OtherEvent) else (6, value),
    lambda _, inner: inner,
    OtherEvent,
)
CC_PAYLOAD: Final = Sequence(CcPayload, (_oid("cCPayloadOID", 4), must(2, "pDU", "pdu", _CC_PDU)))
CONTAINED_IRI: Final = Container(IRI_PAYLOAD)
CONTAINED_CC: Final = Container(CC_PAYLOAD)
_IRI_HEAD = ber.identifier(ber.CONTEXT, IriContents.TS33128, False)
_CC_HEAD = ber.identifier(ber.CONTEXT, CcContents.TS33128, False)


def build_iri(payload: IriPayload) -> bytes:
    """threeGPP33128DefinedIRI for ``Iri.contents``; HiError when a value breaks a bound of the module."""
    return write_contents("threeGPP33128DefinedIRI", _IRI_HEAD, CONTAINED_IRI, payload)


def parse_iri(contents: bytes) -> IriPayload:
    """Of ``Iri.contents``; HiError when it is no threeGPP33128DefinedIRI."""
    return read_contents(  # type: ignore[no-any-return]
        "threeGPP33128DefinedIRI", IriContents.TS33128, CONTAINED_IRI, contents
    )


def build_cc(payload: CcPayload) -> bytes:
    """threeGPP33128DefinedCC for ``Cc.contents``."""
    return write_contents("threeGPP33128DefinedCC", _CC_HEAD, CONTAINED_CC, payload)


def parse_cc(contents: bytes) -> CcPayload:
    """Of ``Cc.contents``; HiError when it is no threeGPP33128DefinedCC."""
    return read_contents(  # type: ignore[no-any-return]
        "threeGPP33128DefinedCC", CcContents.TS33128, CONTAINED_CC, contents
    )


def build_xiri(payload: XiriPayload) -> bytes:
    """XIRIPayload: what an X2 PDU of payload format 2 carries."""
    return write_contents("XIRIPayload", b"\x30", XIRI_PAYLOAD, payload)


def parse_xiri(octets: bytes) -> XiriPayload:
    """Of the payload of an X2 PDU; HiError when it is no XIRIPayload."""
    try:
        return XIRI_PAYLOAD.read(octets, sequence(octets))  # type: ignore[no-any-return]
    except (HiError, BerError) as fault:
        raise within("XIRIPayload", fault) from None
