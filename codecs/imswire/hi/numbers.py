"""Numbers of TS 102 232-1 (module LI-PS-PDU version43) and the object identifiers of all records.

Values stay plain integers where they are read, since a peer may send one that is newer than this list; the
enumerations compare equal to them.
"""

from __future__ import annotations

from enum import IntEnum

PS_PDU_VERSION = 43
PS_PDU_OID = (0, 4, 0, 2, 2, 5, 1)  # li-ps(5) genHeader(1); the version follows


class IriType(IntEnum):
    """IRIType; TS 33.108 numbers its records alike."""

    BEGIN = 1
    END = 2
    CONTINUE = 3
    REPORT = 4


class Direction(IntEnum):
    """PayloadDirection."""

    FROM_TARGET = 0
    TO_TARGET = 1
    INDETERMINATE = 2
    COMBINED = 3
    NOT_APPLICABLE = 4


class Qualifier(IntEnum):
    """TimeStampQualifier."""

    UNKNOWN = 0
    TIME_OF_INTERCEPTION = 1
    TIME_OF_MEDIATION = 2
    TIME_OF_AGGREGATION = 3


class TimeForm(IntEnum):
    """Which member carries the time."""

    MICROSECONDS = 0  # microSecondTimeStamp
    GENERALIZED = 1  # timeStamp, a GeneralizedTime


class PayloadTag(IntEnum):
    """Payload, a CHOICE."""

    IRI = 0
    CC = 1
    TRI = 2
    HI1 = 3
    ENCRYPTION_CONTAINER = 4
    THREE_GPP_HI1 = 5
    ILHI = 6
    HI4 = 7


class IriContents(IntEnum):
    """IRIContents, a CHOICE: the tags of those that are named here or by other modules."""

    EMAIL = 1
    IP = 2
    IP_ONLY = 3
    UMTS = 4
    ETSI671 = 5
    L2 = 6
    L2_ONLY = 7
    PSTN_ISDN = 10
    IPMM = 11
    MESSAGING = 14
    EPS = 15
    CONF = 16
    PROSE = 17
    GCSE = 18
    TS33128 = 19
    IP_PACKET_REPORT = 20


class CcContents(IntEnum):
    """CCContents, a CHOICE."""

    EMAIL = 1
    IP = 2
    UMTS = 4
    L2 = 6
    PSTN_ISDN = 11
    IPMM = 12
    MESSAGING = 14
    EPS = 15
    UMTS_CC_PDU = 16
    EPS_CC_PDU = 17
    MESSAGING_MM = 18
    CONF_CC_PDU = 19
    VOIP_CC_PDU = 20
    GCSE_CC_PDU = 21
    CS_VOICE_CC_PDU = 22
    TS33128 = 23


class TriTag(IntEnum):
    """TRIPayload, a CHOICE."""

    INTEGRITY_CHECK = 0
    TEST_PDU = 1
    PADDING_PDU = 2
    KEEP_ALIVE = 3
    KEEP_ALIVE_RESPONSE = 4
    FIRST_SEGMENT_FLAG = 5
    LAST_SEGMENT_FLAG = 6
    CIN_RESET = 7
    OPERATOR_LEA_MESSAGE = 8
    OPTION_REQUEST = 9
    OPTION_RESPONSE = 10
    OPTION_COMPLETE = 11
    PDU_ACKNOWLEDGEMENT_REQUEST = 12
    PDU_ACKNOWLEDGEMENT_RESPONSE = 13


class CheckType(IntEnum):
    """checkType of IntegrityCheck."""

    HASH = 1
    SIGNATURE = 2


class DataType(IntEnum):
    """dataType of IntegrityCheck."""

    IRI = 1
    CC = 2
    ILHI = 3


class HashAlgorithm(IntEnum):
    """hashAlgorithm of IntegrityCheck."""

    SHA_1 = 1
    SHA_256 = 2
    SHA_384 = 3
    SHA_512 = 4


class SignatureAlgorithm(IntEnum):
    """signatureAlgorithm of IntegrityCheck."""

    DSA = 1
    ECDSA = 2
    EDDSA = 3


class Priority(IntEnum):
    """messagePriority of OperatorLeaMessage."""

    ERROR = 1
    INFORMATIONAL = 2


class Option(IntEnum):
    """Option, a CHOICE of NULLs: its tags."""

    PDU_ACKNOWLEDGEMENT = 0


class EncryptionType(IntEnum):
    """encryptionType of EncryptionContainer."""

    NONE = 1
    NATIONAL_OPTION = 2
    AES_192_CBC = 3
    AES_256_CBC = 4
    BLOWFISH_192_CBC = 5
    BLOWFISH_256_CBC = 6
    THREEDES_CBC = 7


class EncryptedPayloadType(IntEnum):
    """encryptedPayloadType of EncryptionContainer: the part of TS 102 232 that the inside belongs to."""

    UNKNOWN = 1
    PART2 = 2
    PART3 = 3
    PART4 = 4
    PART5 = 5
    PART6 = 6
    PART7 = 7
    PART1 = 8


class FrameType(IntEnum):
    """frameType of IPMMCC (TS 102 232-5): where the copy begins."""

    IP = 0
    UDP = 1
    RTP = 2
    AUDIO = 3
    TCP = 4
    ARTIFICIAL_RTP = 5
    UDPTL = 6
    MSRP = 7


class MmccProtocol(IntEnum):
    """mMCCprotocol of IPMMCC (TS 102 232-5)."""

    RTP = 0
    MSRP = 1
    UDPTL = 2
