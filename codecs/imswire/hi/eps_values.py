"""IRI of TS 33.108 as values; :mod:`imswire.hi.eps` builds and reads them."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from msgspec import Struct

from imswire.hi.common import NationalParameters, NetworkId

RELEASE: Final = (16, 1)  # of EpsHI2Operations


class ImsEvent(IntEnum):
    """IMSevent."""

    UNFILTERED_SIP_MESSAGE = 1
    SIP_HEADER_ONLY = 2
    DECRYPTION_KEYS_AVAILABLE = 3
    START_OF_INTERCEPTION = 4
    XCAP_REQUEST = 5
    XCAP_RESPONSE = 6
    CC_UNAVAILABLE = 7
    SMS_OVER_IMS = 8
    SERVING_SYSTEM = 9
    SUBSCRIBER_RECORD_CHANGE = 10
    REGISTRATION_TERMINATION = 11
    LOCATION_INFORMATION_REQUEST = 12


class Initiator(IntEnum):
    """initiator."""

    NOT_AVAILABLE = 0
    ORIGINATING_TARGET = 1
    TERMINATING_TARGET = 2


class PartyQualifier(IntEnum):
    """party-Qualifier. EpsHI2Operations has EPS_TARGET alone: its partyInformation is that of the target. The others
    are those of TS 101 671, which a receiver takes as extensions.
    """

    ORIGINATING_PARTY = 0
    TERMINATING_PARTY = 1
    FORWARDED_TO_PARTY = 2
    EPS_TARGET = 3


class LdiEvent(IntEnum):
    """ldiEvent."""

    TARGET_ENTERS_IA = 1
    TARGET_LEAVES_IA = 2


class Roaming(IntEnum):
    """roamingIndication."""

    LBO = 1
    S8HR = 2


class SecurityFailure(IntEnum):
    """mediaSecFailureIndication."""

    GENERIC_FAILURE = 0


class PartyInformation(Struct, frozen=True, gc=False):
    """PartyInformation: a PartyQualifier and the identities of one party.

    ``imei`` 8 octets, ``imsi`` 3 to 8, ``msisdn`` 1 to 9, ``e164`` 1 to 25, in the codings of the module.
    """

    qualifier: int
    sip_uri: bytes | None = None
    tel_uri: bytes | None = None
    imei: bytes | None = None
    imsi: bytes | None = None
    msisdn: bytes | None = None
    e164: bytes | None = None
    nai: bytes | None = None
    asserted: bytes | None = None
    xui: bytes | None = None
    impi: bytes | None = None
    external_id: str | None = None


class CcKeyInfo(Struct, frozen=True, gc=False):
    """CCKeyInfo: cCCSID, cCDecKey, cCSalt; the representation shows no key."""

    cs_id: bytes
    key: bytes
    salt: bytes | None = None

    def __repr__(self) -> str:
        return f"CcKeyInfo(cs_id={self.cs_id.hex()!r}, octets={len(self.key)}, <redacted>)"


class IriToCc(Struct, frozen=True, gc=False):
    """IRI-to-CC-Correlation: correlation numbers of content, and of the IRI."""

    cc: tuple[bytes, ...]
    iri: bytes | None = None


class Correlation(Struct, frozen=True, gc=False):
    """CorrelationValues: iri-to-CC, iri-to-iri, or both."""

    to_cc: IriToCc | None = None
    to_iri: bytes | None = None


class ImsVoip(Struct, frozen=True, gc=False):
    """An entry of IMS-VoIP-Correlation: ims-iri, ims-cc."""

    iri: bytes
    cc: IriToCc | None = None


class PaniHeader(Struct, frozen=True, gc=False):
    """PANI-Header-Info; ``raw_location`` as the header says it, ``location`` and ``eps_location`` as contents."""

    access_type: bytes | None = None
    access_class: bytes | None = None
    network_provided: bool | None = None
    location: PaniLocation | None = None


class PaniLocation(Struct, frozen=True, gc=False):
    """pANI-Location: the header's text, and contents of Location and EPSLocation."""

    raw: bytes | None = None
    location: bytes | None = None
    eps_location: bytes | None = None


class IriParameters(Struct, frozen=True, gc=False, kw_only=True):
    """IRI-Parameters. ``time`` in nanoseconds is sent as utcTime, with a ``season`` as localTime (in UTC).

    The representation gives no message and no SDP, which may hold keys, but their sizes.
    """

    liid: bytes
    time: int
    season: int | None = None
    initiator: int | None = None
    location: bytes | None = None
    parties: tuple[PartyInformation, ...] | None = None
    national: tuple[bytes, ...] | None = None
    eps_correlation: bytes | None = None
    network: NetworkId | None = None
    event: int | None = None
    sip_message: bytes | None = None
    ldi_event: int | None = None
    correlation: Correlation | None = None
    visited_network: str | None = None
    keys: tuple[CcKeyInfo, ...] | None = None
    header_offer: bytes | None = None
    header_answer: bytes | None = None
    sdp_offer: bytes | None = None
    sdp_answer: bytes | None = None
    security_failure: int | None = None
    pani: tuple[PaniHeader, ...] | None = None
    ims_voip: tuple[ImsVoip, ...] | None = None
    xcap_message: bytes | None = None
    cc_unavailable_reason: str | None = None
    carrier_data: bytes | None = None
    other_identities: tuple[PartyInformation, ...] | None = None
    roaming: int | None = None
    national_hi2: NationalParameters | None = None
    release: tuple[int, int] = RELEASE

    def __repr__(self) -> str:
        given = ((name, getattr(self, name)) for name in self.__struct_fields__)
        shown = (
            f"{name}={f'<{len(value)} octets>' if isinstance(value, bytes) and name != 'liid' else repr(value)}"
            for name, value in given
            if value is not None
        )
        return f"IriParameters({', '.join(shown)})"
