"""Payloads of TS 33.128 as values; :mod:`imswire.hi.ts33128` builds and reads them."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from msgspec import Struct

RELEASE: Final = (19, 3)


class EventTag(IntEnum):
    """IMS events of XIRIEvent and IRIEvent, a CHOICE."""

    IMS_MESSAGE = 105
    START_OF_INTERCEPTION = 106
    CC_UNAVAILABLE = 107


class SessionDirection(IntEnum):
    """SessionDirection."""

    FROM_TARGET = 1
    TO_TARGET = 2
    COMBINED = 3
    INDETERMINATE = 4


class Roaming(IntEnum):
    """VoIPRoamingIndication."""

    LBO = 1
    S8HR = 2
    N9HR = 3


class Provenance(IntEnum):
    """TargetIdentifierProvenance."""

    LEA_PROVIDED = 1
    OBSERVED = 2
    MATCHED_ON = 3
    OTHER = 4


class IdentifierKind(IntEnum):
    """TargetIdentifier, a CHOICE."""

    SUPI = 1
    IMSI = 2
    PEI = 3
    IMEI = 4
    GPSI = 5
    MSISDN = 6
    NAI = 7
    IPV4 = 8
    IPV6 = 9
    ETHERNET = 10
    IMPU = 11
    IMPI = 12
    E164 = 13
    EMAIL = 14
    MCPTT_ID = 15
    INSTANCE_URN = 16
    PTC_CHAT_GROUP = 17


class PredefinedModification(IntEnum):
    """PredefinedPayloadModification."""

    PANI_LOCATION_REMOVAL = 1
    CNI_LOCATION_REMOVAL = 2
    SIP_GEOLOCATION_INFO_REMOVAL = 3
    PRESENCE_INFORMATION_LOCATION_REMOVAL = 4
    SMS_TPDU_REDACTION = 5
    TRUNCATED_SMS_TPDU = 6
    IMS_TEXT_CONTENT_REMOVAL = 7
    IMS_SUBJECT_CONTENT_REMOVAL = 8
    RCS_PRESENCE_LOCATION_REMOVAL = 9
    RCS_CPIM_LOCATION_REMOVAL = 10
    RCS_TEXT_CONTENT_REMOVAL = 11
    RCS_SUBJECT_CONTENT_REMOVAL = 12
    RCS_GEOLOCATION_PUSH_CONTENT_REMOVAL = 13
    RCS_FILE_URL_CONTENT_REMOVAL = 14
    THREEGPP2_SMS_USER_DATA_REDACTION = 15


class PlaceKind(IntEnum):
    """ModificationLocation, a CHOICE."""

    JSON_POINTER = 1
    XPATH = 2
    SIP_HEADER = 3
    SIP_BODY = 4
    MIME_HEADER = 5
    MIME_BODY = 6
    UTF8_LOCATION = 7
    OCTET_LOCATION = 8
    ABNF_RULE = 9


class ChangeKind(IntEnum):
    """ModificationType, a CHOICE."""

    REMOVED = 1
    REPLACED_WITH_CHARACTERS = 2
    REPLACED_WITH_OCTETS = 3
    REPLACED_WITH_BITS = 4


class Unit(IntEnum):
    """PayloadInformationRemoved, a CHOICE of counts."""

    CHARACTERS = 1
    OCTETS = 2
    BITS = 3


SIP_URI: Final = 1
TEL_URI: Final = 2


class Impu(Struct, frozen=True, gc=False):
    """IMPU: sIPURI or tELURI."""

    uri: str
    kind: int = SIP_URI

    @classmethod
    def of(cls, uri: str) -> Impu:
        """The kind by the URI's scheme."""
        return cls(uri, TEL_URI if uri[:4].lower() == "tel:" else SIP_URI)


class Plmn(Struct, frozen=True, gc=False):
    """PLMNID: 3 digits, and 2 or 3."""

    mcc: str
    mnc: str


class AccessNetwork(Struct, frozen=True, gc=False):
    """SIPAccessNetworkInformation."""

    info: str
    plmn: Plmn | None = None


class CellularNetwork(Struct, frozen=True, gc=False):
    """SIPCellularNetworkInformation."""

    info: str
    plmn: Plmn | None = None


class SipMessage(Struct, frozen=True, gc=False):
    """SIPMessage: addresses of 4 or 16 octets."""

    source: bytes
    destination: bytes
    content: bytes


class Place(Struct, frozen=True, gc=False):
    """ModificationLocation: text, a range (first, last) for the two locations, None for a SIP body, or the contents
    of MIMEBody.
    """

    kind: int
    value: str | bytes | tuple[int, int] | None = None


class Change(Struct, frozen=True, gc=False):
    """ModificationType: (Unit, count) of what was removed, text or octets that stand there instead; for bits the
    contents of a BIT STRING.
    """

    kind: int
    value: tuple[int, int] | str | bytes


class DescribedModification(Struct, frozen=True, gc=False):
    """PayloadModificationDescription."""

    place: Place
    change: Change


Modification = int | DescribedModification  # int: a PredefinedModification


class ImsMessage(Struct, frozen=True, gc=False, kw_only=True):
    """IMSMessage. With ``modifications`` it is a modifiedSIPMessage. ``location`` is the contents of Location,
    ``translations`` those of numberTranslationInformation.
    """

    message: SipMessage
    direction: int
    modifications: tuple[Modification, ...] | None = None
    roaming: int | None = None
    location: bytes | None = None
    access: tuple[AccessNetwork, ...] | None = None
    cellular: tuple[CellularNetwork, ...] | None = None
    translations: bytes | None = None


class StartOfInterception(Struct, frozen=True, gc=False, kw_only=True):
    """StartOfInterceptionForActiveIMSSession; ``sdp`` is sDPState: latest offer, latest answer."""

    originating: tuple[Impu, ...]
    terminating: Impu
    sdp: tuple[bytes, ...] | None = None
    diversion: Impu | None = None
    roaming: int | None = None
    location: bytes | None = None
    access: tuple[AccessNetwork, ...] | None = None
    cellular: tuple[CellularNetwork, ...] | None = None


class ImsCcUnavailable(Struct, frozen=True, gc=False):
    """IMSCCUnavailable."""

    reason: str
    sdp: bytes | None = None


class OtherEvent(Struct, frozen=True, gc=False):
    """An event or content of another service: its tag and TLV."""

    tag: int
    octets: bytes


Event = ImsMessage | StartOfInterception | ImsCcUnavailable | OtherEvent


class Identifier(Struct, frozen=True, gc=False):
    """TargetIdentifier: text or octets; Impu for an IMPU; (tag, text or octets) for SUPI, PEI and GPSI; contents
    for a PTC chat group.
    """

    kind: int
    value: str | bytes | Impu | tuple[int, str | bytes]


class TargetIdentifier(Struct, frozen=True, gc=False):
    """IRITargetIdentifier."""

    identifier: Identifier
    provenance: int | None = None


class XiriPayload(Struct, frozen=True, gc=False):
    """XIRIPayload, of LI_X2."""

    event: Event
    release: tuple[int, int] = RELEASE


class IriPayload(Struct, frozen=True, gc=False):
    """IRIPayload, of LI_HI2; ``mediated_from`` is the release of the xIRI it was made of."""

    event: Event
    targets: tuple[TargetIdentifier, ...] | None = None
    mediated_from: tuple[int, int] | None = None
    release: tuple[int, int] = RELEASE


class ImsCc(Struct, frozen=True, gc=False):
    """IMSCCPDU; ``sdp`` is sDPInfo."""

    payload: bytes
    sdp: bytes | None = None


class CcPayload(Struct, frozen=True, gc=False):
    """CCPayload, of LI_HI3."""

    pdu: ImsCc | OtherEvent
    release: tuple[int, int] = RELEASE
