"""CC of TS 33.108 B.12, module VoIP-HI3-IMS r15 version-1: Voip-CC-PDU, as voipCC-CC-PDU of TS 102 232-1."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from msgspec import Struct

from imswire import ber
from imswire.hi.common import (
    LIID,
    NATIONAL,
    NETWORK_ID,
    TIME_STAMP,
    NationalParameters,
    NetworkId,
    time_and_season,
    timed,
)
from imswire.hi.numbers import CcContents, Direction
from imswire.hi.primitives import Enumerated, Integer, Octets, Oid, Text
from imswire.hi.schema import Member, Sequence, must, read_contents, write_contents

DOMAIN: Final = (0, 4, 0, 2, 2, 4, 12)  # hi3voip; release and version follow
RELEASE: Final = (15, 1)


class TpduDirection(IntEnum):
    """TPDU-direction."""

    FROM_TARGET = 1
    TO_TARGET = 2
    COMBINED = 3
    UNKNOWN = 4


class IceType(IntEnum):
    """ice-type."""

    GGSN = 1
    PDN_GW = 2
    AGW = 3
    TRGW = 4
    MGW = 5
    OTHER = 6
    UNKNOWN = 7
    MRF = 8
    LMISF = 9
    SGW = 10


class PayloadDescription(Struct, frozen=True, gc=False):
    """payload-description: copyOfSDPdescription, mediaFormat (an RTP payload type), mediaAttributes."""

    sdp: bytes | None = None
    media_format: int | None = None
    media_attributes: bytes | None = None


class VoipCc(Struct, frozen=True, gc=False, kw_only=True):
    """Voip-CC-PDU. ``correlation`` is what the IRI carry in ``cc`` of imsVoIP, ``sequence`` counts modulo 2^16,
    ``time`` in nanoseconds is sent as utcTime, with a ``season`` as localTime.
    """

    correlation: bytes
    sequence: int
    direction: int
    payload: bytes
    liid: bytes | None = None
    time: int | None = None
    season: int | None = None
    national: NationalParameters | None = None
    ice_type: int | None = None
    description: PayloadDescription | None = None
    network: NetworkId | None = None
    session_info: str | None = None
    release: tuple[int, int] = RELEASE


_DIRECTION = Enumerated(TpduDirection, "from-target to-target combined unknown", extensible=False)
_ICE_TYPE = Enumerated(IceType, "ggsn pDN-GW aGW trGW mGW other unknown mRF lmISF sGW")
_DESCRIPTION = Sequence(
    PayloadDescription,
    (
        Member(1, "copyOfSDPdescription", "sdp", Octets()),
        Member(2, "mediaFormat", "media_format", Integer(0, 127)),
        Member(3, "mediaAttributes", "media_attributes", Octets()),
    ),
)
_HEADER = Sequence(
    dict,
    (
        must(0, "hi3voipDomainId", "release", Oid(DOMAIN, 2)),
        Member(2, "lIID", "liid", LIID),
        must(3, "voipCorrelationNumber", "correlation", Octets(binary=True)),
        Member(4, "timeStamp", "time", TIME_STAMP, get=time_and_season),
        must(5, "sequence-number", "sequence", Integer(0, 65_535)),
        must(6, "t-PDU-direction", "direction", _DIRECTION),
        Member(7, "national-HI3-ASN1parameters", "national", NATIONAL),
        Member(8, "ice-type", "ice_type", _ICE_TYPE),
        Member(9, "payload-description", "description", _DESCRIPTION),
        Member(10, "networkIdentifier", "network", NETWORK_ID),
        Member(11, "pTCSessionInfo", "session_info", Text()),
    ),
    make=timed(dict),
)
VOIP_CC: Final = Sequence(
    VoipCc,
    (must(1, "voipLIC-header", "header", _HEADER, lambda cc: cc), must(2, "payload", "payload", Octets(binary=True))),
    make=lambda found: VoipCc(payload=found["payload"], **found["header"]),
)
_HEAD = ber.identifier(ber.CONTEXT, CcContents.VOIP_CC_PDU, True)
_OF_PAYLOAD: dict[Any, TpduDirection] = {
    Direction.FROM_TARGET: TpduDirection.FROM_TARGET,
    Direction.TO_TARGET: TpduDirection.TO_TARGET,
    Direction.COMBINED: TpduDirection.COMBINED,
}


def of_direction(direction: int | None) -> TpduDirection:
    """The TPDU-direction that says the same as a payloadDirection."""
    return _OF_PAYLOAD.get(direction, TpduDirection.UNKNOWN)


def build(cc: VoipCc) -> bytes:
    """voipCC-CC-PDU for ``Cc.contents``; HiError when a value breaks a bound of the module."""
    return write_contents("voipCC-CC-PDU", _HEAD, VOIP_CC, cc)


def parse(contents: bytes) -> VoipCc:
    """Of ``Cc.contents``; HiError when it is no voipCC-CC-PDU."""
    return read_contents("voipCC-CC-PDU", CcContents.VOIP_CC_PDU, VOIP_CC, contents)  # type: ignore[no-any-return]
