"""Numbers of TS 103 221-2: PDU types, payload formats, directions, attributes."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

HEADER_LENGTH: Final = 40
"""Octets of the header before its attributes (5.1)."""
MAJOR: Final = 0
VERSION: Final = (MAJOR, 5)
"""Major and minor version of TS 103 221-2 V1.6.1 to V1.9.1."""
XID_LENGTH: Final = 16
CORRELATION_LENGTH: Final = 8
NOT_CORRELATED: Final = bytes(CORRELATION_LENGTH)
NO_XID: Final = bytes(XID_LENGTH)


class PduType(IntEnum):
    """PDU type (5.2.3)."""

    X2 = 1
    X3 = 2
    KEEPALIVE = 3
    KEEPALIVE_ACK = 4


KEEPALIVES: Final = frozenset((PduType.KEEPALIVE, PduType.KEEPALIVE_ACK))


class PayloadFormat(IntEnum):
    """Payload format (5.4)."""

    KEEPALIVE = 0
    TS_102_232_1 = 1
    TS_33_128 = 2
    TS_33_108 = 3
    PROPRIETARY = 4
    IPV4 = 5
    IPV6 = 6
    ETHERNET = 7
    RTP = 8
    SIP = 9
    DHCP = 10
    RADIUS = 11
    GTP_U = 12
    MSRP = 13
    EPS_IRI = 14
    MIME = 15
    UNSTRUCTURED = 16
    PS_PDU_PAYLOAD = 17


_BOTH = frozenset((PduType.X2, PduType.X3))
_X2 = frozenset((PduType.X2,))
_X3 = frozenset((PduType.X3,))
CARRIED_BY: Final[dict[int, frozenset[PduType]]] = {
    PayloadFormat.KEEPALIVE: KEEPALIVES,
    PayloadFormat.TS_102_232_1: _BOTH,
    PayloadFormat.TS_33_128: _BOTH,
    PayloadFormat.TS_33_108: _BOTH,
    PayloadFormat.PROPRIETARY: _BOTH,
    PayloadFormat.IPV4: _BOTH,
    PayloadFormat.IPV6: _BOTH,
    PayloadFormat.ETHERNET: _X3,
    PayloadFormat.RTP: _X3,
    PayloadFormat.SIP: _X2,
    PayloadFormat.DHCP: _X2,
    PayloadFormat.RADIUS: _X2,
    PayloadFormat.GTP_U: _X3,
    PayloadFormat.MSRP: _X3,
    PayloadFormat.EPS_IRI: _X2,
    PayloadFormat.MIME: _BOTH,
    PayloadFormat.UNSTRUCTURED: _X3,
    PayloadFormat.PS_PDU_PAYLOAD: _BOTH,
}
"""Which PDUs may carry a payload format."""


class Direction(IntEnum):
    """Payload direction (5.2.6)."""

    KEEPALIVE = 0
    UNKNOWN = 1
    TO_TARGET = 2
    FROM_TARGET = 3
    SEVERAL = 4
    NOT_APPLICABLE = 5


class AttributeType(IntEnum):
    """Types of the header's conditional attributes (5.3)."""

    TS_102_232_1 = 1
    TS_33_128 = 2
    TS_33_108 = 3
    PROPRIETARY = 4
    DOMAIN_ID = 5
    NFID = 6
    IPID = 7
    SEQUENCE_NUMBER = 8
    TIMESTAMP = 9
    SOURCE_IPV4 = 10
    DESTINATION_IPV4 = 11
    SOURCE_IPV6 = 12
    DESTINATION_IPV6 = 13
    SOURCE_PORT = 14
    DESTINATION_PORT = 15
    IP_PROTOCOL = 16
    MATCHED_TARGET = 17
    OTHER_TARGET = 18
    MIME_TYPE = 19
    MIME_ENCODING = 20
    ADDITIONAL_XID = 21
    SDP = 22
