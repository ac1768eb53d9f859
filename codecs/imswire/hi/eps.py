"""IRI of TS 33.108, module EpsHI2Operations r16 version-1, for IMS: events, SDP, decryption keys.

``build`` makes the ePSIRI alternative of IRIContents (TS 102 232-7 table A.2): iRI-EPS-Parameters, or with
``record`` epsIRIsContent with that kind of record. Members that concern packet bearers are read over, and seen
by examination only.
"""

from __future__ import annotations

from typing import Any, Final

from imswire import ber
from imswire.ber import Tlv
from imswire.hi.common import (
    LIID,
    NATIONAL,
    NETWORK_ID,
    TIME_STAMP,
    ElementForm,
    NationalParameters,
    NetworkId,
    Season,
    time_and_season,
    timed,
)
from imswire.hi.eps_values import (
    RELEASE,
    CcKeyInfo,
    Correlation,
    ImsEvent,
    ImsVoip,
    Initiator,
    IriParameters,
    IriToCc,
    LdiEvent,
    PaniHeader,
    PaniLocation,
    PartyInformation,
    PartyQualifier,
    Roaming,
    SecurityFailure,
)
from imswire.hi.errors import HiError
from imswire.hi.examination import Node, Report, parts
from imswire.hi.numbers import IriContents, IriType
from imswire.hi.primitives import Enumerated, Null, Octets, Oid, Raw, Text
from imswire.hi.schema import (
    Choice,
    Member,
    Sequence,
    SequenceOf,
    examine_item,
    must,
    one_inside,
    read_contents,
    read_item,
    write_contents,
)

__all__ = [
    "CORRELATION",
    "CcKeyInfo",
    "Correlation",
    "DOMAIN",
    "EPS_IRI",
    "ElementForm",
    "ImsEvent",
    "ImsVoip",
    "Initiator",
    "IriParameters",
    "IriToCc",
    "LdiEvent",
    "NationalParameters",
    "NetworkId",
    "PARAMETERS",
    "PaniHeader",
    "PaniLocation",
    "PartyInformation",
    "PartyQualifier",
    "RELEASE",
    "Record",
    "Roaming",
    "Season",
    "SecurityFailure",
    "build",
    "build_all",
    "parse",
    "parse_all",
]

DOMAIN: Final = (0, 4, 0, 2, 2, 4, 8)  # hi2eps; release and version follow


# Layouts

_IDENTITY = (
    Member(1, "imei", "imei", Octets(8, 8, binary=True)),
    Member(3, "imsi", "imsi", Octets(3, 8, binary=True)),
    Member(6, "msISDN", "msisdn", Octets(1, 9, binary=True)),
    Member(7, "e164-Format", "e164", Octets(1, 25)),
    Member(8, "sip-uri", "sip_uri", Octets()),
    Member(9, "tel-uri", "tel_uri", Octets()),
    Member(10, "nai", "nai", Octets()),
    Member(11, "x-3GPP-Asserted-Identity", "asserted", Octets()),
    Member(12, "xUI", "xui", Octets()),
    Member(13, "iMPI", "impi", Octets()),
    Member(14, "extID", "external_id", Text()),
)
_PARTY = Sequence(
    PartyInformation,
    (
        must(
            0,
            "party-Qualifier",
            "qualifier",
            Enumerated(PartyQualifier, "originating-Party terminating-Party forwarded-to-Party gPRSorEPS-Target"),
        ),
        must(1, "partyIdentity", "identity", Sequence(dict, _IDENTITY, make=lambda found: found), lambda party: party),
        Member(4, "services-Data-Information", "", Raw()),
    ),
    make=lambda found: PartyInformation(found["qualifier"], **found["identity"]),
)
_KEY_INFO = Sequence(
    CcKeyInfo,
    (
        must(1, "cCCSID", "cs_id", Octets(binary=True)),
        must(2, "cCDecKey", "key", Octets(secret=True)),
        Member(3, "cCSalt", "salt", Octets(secret=True)),
    ),
)
_NUMBER = Octets(binary=True)
_IRI_TO_CC = Sequence(
    IriToCc,
    (
        must(0, "cc", "cc", SequenceOf(_NUMBER, unordered=True)),
        Member(1, "iri", "iri", _NUMBER),
    ),
)


def _pick_correlation(value: Correlation) -> tuple[int, Any]:
    if value.to_iri is None:
        return 0, value.to_cc if value.to_cc is not None else IriToCc(())
    return (1, value.to_iri) if value.to_cc is None else (2, value)


def _make_correlation(tag: int, inner: Any) -> Correlation:
    if tag == 2:
        return inner  # type: ignore[no-any-return]
    return Correlation(to_cc=inner) if tag == 0 else Correlation(to_iri=inner)


CORRELATION: Final = Choice(
    (
        must(0, "iri-to-CC", "", _IRI_TO_CC),
        must(1, "iri-to-iri", "", _NUMBER),
        must(
            2,
            "both-IRI-CC",
            "",
            Sequence(
                Correlation,
                (must(0, "iri-CC", "to_cc", _IRI_TO_CC), must(1, "iri-IRI", "to_iri", _NUMBER)),
            ),
        ),
    ),
    _pick_correlation,
    _make_correlation,
)
_IMS_VOIP = Sequence(ImsVoip, (must(0, "ims-iri", "iri", _NUMBER), Member(1, "ims-cc", "cc", _IRI_TO_CC)))
_PANI = Sequence(
    PaniHeader,
    (
        Member(1, "access-Type", "access_type", Octets()),
        Member(2, "access-Class", "access_class", Octets()),
        Member(3, "network-Provided", "network_provided", Null(), get=lambda value: value.network_provided or None),
        Member(
            4,
            "pANI-Location",
            "location",
            Sequence(
                PaniLocation,
                (
                    Member(1, "raw-Location", "raw", Octets()),
                    Member(2, "location", "location", Raw()),
                    Member(3, "ePSLocation", "eps_location", Raw()),
                ),
            ),
        ),
    ),
)
_EVENTS = (
    "unfilteredSIPmessage sIPheaderOnly decryptionKeysAvailable startOfInterceptionForIMSEstablishedSession"
    " xCAPRequest xCAPResponse ccUnavailable sMSOverIMS servingSystem subscriberRecordChange"
    " registrationTermination locationInformationRequest"
)


# Of packet bearers, HSS and push-to-talk: named where they are examined, else read over.
_OTHERS = {
    13: "serviceCenterAddress",
    14: "sMS",
    20: "ePSevent",
    21: "sgsnAddress",
    22: "gPRSOperationErrorCode",
    24: "ggsnAddress",
    25: "qOS",
    27: "sMSOriginatingAddress",
    28: "sMSTerminatingAddress",
    31: "servingSGSN-number",
    32: "servingSGSN-address",
    36: "ePS-GTPV2-specificParameters",
    37: "ePS-PMIP-specificParameters",
    38: "ePS-DSMIP-SpecificParameters",
    39: "ePS-MIP-SpecificParameters",
    40: "servingNodeAddress",
    43: "servingS4-SGSN-address",
    48: "uLITimestamp",
    49: "packetDataHeaderInformation",
    51: "csgIdentity",
    52: "heNBIdentity",
    53: "heNBiPAddress",
    54: "heNBLocation",
    55: "tunnelProtocol",
    59: "logicalFunctionInformation",
    62: "current-previous-systems",
    63: "change-Of-Target-Identity",
    64: "requesting-Network-Identifier",
    65: "requesting-Node-Type",
    66: "serving-System-Identifier",
    67: "proSeTargetType",
    68: "proSeRelayMSISDN",
    69: "proSeRelayIMSI",
    70: "proSeRelayIMEI",
    71: "extendedLocParameters",
    72: "locationErrorCode",
    74: "deregistrationReason",
    75: "requesting-Node-Identifier",
    77: "cSREvent",
    78: "ptc",
    79: "ptcEncryption",
    80: "additionalCellIDs",
    81: "scefID",
}


def _with_others(members: tuple[Member, ...]) -> tuple[Member, ...]:
    others = (Member(tag, name, "", Raw()) for tag, name in _OTHERS.items())
    return tuple(sorted((*members, *others), key=lambda member: member.tag))


PARAMETERS: Final = Sequence(
    IriParameters,
    _with_others(
        (
            must(0, "hi2epsDomainId", "release", Oid(DOMAIN, 2)),
            must(1, "lawfulInterceptionIdentifier", "liid", LIID),
            must(3, "timeStamp", "time", TIME_STAMP, time_and_season),
            Member(
                4,
                "initiator",
                "initiator",
                Enumerated(Initiator, "not-Available originating-Target terminating-Target"),
            ),
            Member(8, "locationOfTheTarget", "location", Raw()),
            Member(9, "partyInformation", "parties", SequenceOf(_PARTY, 1, 10, unordered=True)),
            Member(16, "national-Parameters", "national", SequenceOf(Octets(1, 256), 1, 40, unordered=True)),
            Member(18, "ePSCorrelationNumber", "eps_correlation", _NUMBER),
            Member(26, "networkIdentifier", "network", NETWORK_ID),
            Member(29, "iMSevent", "event", Enumerated(ImsEvent, _EVENTS)),
            Member(30, "sIPMessage", "sip_message", Octets()),
            Member(34, "ldiEvent", "ldi_event", Enumerated(LdiEvent, "targetEntersIA targetLeavesIA")),
            Member(35, "correlation", "correlation", CORRELATION),
            Member(41, "visitedNetworkId", "visited_network", Text()),
            Member(42, "mediaDecryption-info", "keys", SequenceOf(_KEY_INFO)),
            Member(44, "sipMessageHeaderOffer", "header_offer", Octets()),
            Member(45, "sipMessageHeaderAnswer", "header_answer", Octets()),
            Member(46, "sdpOffer", "sdp_offer", Octets()),
            Member(47, "sdpAnswer", "sdp_answer", Octets()),
            Member(50, "mediaSecFailureIndication", "security_failure", Enumerated(SecurityFailure, "genericFailure")),
            Member(56, "pANI-Header-Info", "pani", SequenceOf(_PANI)),
            Member(57, "imsVoIP", "ims_voip", SequenceOf(_IMS_VOIP, unordered=True)),
            Member(58, "xCAPmessage", "xcap_message", Octets()),
            Member(60, "ccUnavailableReason", "cc_unavailable_reason", Text(ber.PRINTABLE_STRING)),
            Member(61, "carrierSpecificData", "carrier_data", Octets()),
            Member(73, "otherIdentities", "other_identities", SequenceOf(_PARTY)),
            Member(76, "roamingIndication", "roaming", Enumerated(Roaming, "roamingLBO roamingS8HR")),
            Member(255, "national-HI2-ASN1parameters", "national_hi2", NATIONAL),
        )
    ),
    make=timed(IriParameters),
)


class _Records:
    """EpsIRIsContent: one EpsIRIContent, or a SEQUENCE of them. The value is a tuple of (IriType, parameters)."""

    universal = -1
    constructed = True
    record = Choice(
        (
            must(IriType.BEGIN, "iRI-Begin-record", "", PARAMETERS),
            must(IriType.END, "iRI-End-record", "", PARAMETERS),
            must(IriType.CONTINUE, "iRI-Continue-record", "", PARAMETERS),
            must(IriType.REPORT, "iRI-Report-record", "", PARAMETERS),
        ),
        lambda value: value,
        lambda tag, inner: (IriType(tag), inner),
    )
    records = SequenceOf(record)

    def write(self, value: tuple[tuple[int, IriParameters], ...]) -> bytes:
        if len(value) == 1:
            return self.record.write(value[0])
        return ber.tlv(b"\x30", self.records.write(value))

    def read(self, octets: bytes, tlv: Tlv) -> tuple[tuple[int, IriParameters], ...]:
        inner = one_inside(octets, tlv)
        if inner.klass == ber.UNIVERSAL:
            return read_item(self.records, octets, inner)  # type: ignore[no-any-return]
        return (self.record.read_item(octets, inner),)

    def examine(self, octets: bytes, tlv: Tlv, name: str, report: Report) -> Node:
        inside = tuple(
            examine_item(self.records, octets, inner, "epsIRISequence", report)
            if inner.klass == ber.UNIVERSAL
            else self.record.examine_item(octets, inner, report)
            for inner in parts(octets, tlv, report)
        )
        return Node(name, tlv.at, tlv.after - tlv.at, None, inside)


Record = tuple[int | None, IriParameters]  # None: iRI-EPS-Parameters, where iRIType of the PS-PDU says it


def _pick_iri(value: tuple[Record, ...]) -> tuple[int, Any]:
    if len(value) == 1 and value[0][0] is None:
        return 0, value[0][1]
    return 1, value


EPS_IRI: Final = Choice(
    (must(0, "iRI-EPS-Parameters", "", PARAMETERS), must(1, "epsIRIsContent", "", _Records())),
    _pick_iri,
    lambda tag, inner: ((None, inner),) if tag == 0 else inner,
)
_HEAD = ber.identifier(ber.CONTEXT, IriContents.EPS, True)


def build(parameters: IriParameters, record: int | None = None) -> bytes:
    """The TLV for ``Iri.contents``; HiError when a value breaks a bound of the module."""
    return build_all(((record, parameters),))


def build_all(records: tuple[Record, ...]) -> bytes:
    """The same for several records in one epsIRISequence; only a single one may be without a kind."""
    return write_contents("ePSIRI", _HEAD, EPS_IRI, records)


def parse(contents: bytes) -> IriParameters:
    """The parameters of ``Iri.contents``, in either form; HiError when it is no ePSIRI or has several records."""
    records = parse_all(contents)
    if len(records) != 1:
        raise HiError("ePSIRI", f"{len(records)} records, one is expected")
    return records[0][1]


def parse_all(contents: bytes) -> tuple[Record, ...]:
    """All records of ``Iri.contents``."""
    return read_contents("ePSIRI", IriContents.EPS, EPS_IRI, contents)  # type: ignore[no-any-return]
