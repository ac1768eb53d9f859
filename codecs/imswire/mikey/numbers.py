"""Number tables of MIKEY (RFC 3830 6, 4563, 4738, 6043 6, 6267, 6309, 6509)."""

from __future__ import annotations

from enum import IntEnum


class DataType(IntEnum):
    """RFC 3830 6.1, RFC 6043 6.1: what a message is."""

    PSK_INIT = 0
    PSK_RESP = 1
    PK_INIT = 2
    PK_RESP = 3
    DH_INIT = 4
    DH_RESP = 5
    ERROR = 6
    DHHMAC_INIT = 7
    DHHMAC_RESP = 8
    RSA_R_INIT = 9
    RSA_R_RESP = 10
    REQUEST_INIT_PSK = 11
    REQUEST_INIT_PK = 12
    REQUEST_RESP = 13
    TRANSFER_INIT = 14
    TRANSFER_RESP = 15
    RESOLVE_INIT_PSK = 16
    RESOLVE_INIT_PK = 17
    RESOLVE_RESP = 18
    REQUEST_KEY_PSK = 19
    REQUEST_KEY_PKE = 20
    REQUEST_KEY_RESP = 21
    IBAKE_I_MESSAGE_1 = 22
    IBAKE_R_MESSAGE_1 = 23
    IBAKE_I_MESSAGE_2 = 24
    IBAKE_R_MESSAGE_2 = 25
    SAKKE = 26
    CS_ID_MAP_UPDATE = 27


class PayloadType(IntEnum):
    """Next payload (RFC 3830 6.1, RFC 6043 6.1)."""

    LAST = 0
    KEMAC = 1
    PKE = 2
    DH = 3
    SIGN = 4
    T = 5
    ID = 6
    CERT = 7
    CHASH = 8
    V = 9
    SP = 10
    RAND = 11
    ERR = 12
    TR = 13
    IDR = 14
    RANDR = 15
    TP = 16
    TICKET = 17
    KEY_DATA = 20
    GENERAL_EXTENSION = 21
    IBAKE = 22
    ESK = 23
    SK = 24
    ECCPT = 25
    SAKKE = 26


class PrfFunc(IntEnum):
    """RFC 3830 4.1.3, RFC 6043 6.1."""

    MIKEY_1 = 0
    HMAC_SHA_256 = 1


class MapType(IntEnum):
    """CS ID map type (RFC 3830 6.1.1, RFC 4563 4, RFC 6043 6.1.1)."""

    SRTP_ID = 0
    EMPTY = 1
    GENERIC_ID = 2


class EncrAlg(IntEnum):
    """RFC 3830 6.2, RFC 6043 6.2."""

    NULL = 0
    AES_CM_128 = 1
    AES_KW_128 = 2
    AES_CM_256 = 3


class MacAlg(IntEnum):
    """RFC 3830 6.2, RFC 6043 6.2; also Auth alg of V."""

    NULL = 0
    HMAC_SHA_1_160 = 1
    HMAC_SHA_256_256 = 2


class HashFunc(IntEnum):
    """RFC 3830 6.8, RFC 6043 6.8."""

    SHA_1 = 0
    MD5 = 1
    SHA_256 = 2


class SignType(IntEnum):
    """S type (RFC 3830 6.5, RFC 6509 4.4)."""

    RSA_PKCS1 = 0
    RSA_PSS = 1
    ECCSI = 2


class CertType(IntEnum):
    """RFC 3830 6.7."""

    X509 = 0
    X509_URL = 1
    X509_SIGN = 2
    X509_ENCRYPT = 3


class KeyType(IntEnum):
    """Key data type (RFC 3830 6.13, RFC 6043 6.14, RFC 6267)."""

    TGK = 0
    TGK_SALT = 1
    TEK = 2
    TEK_SALT = 3
    GTGK = 4
    GTGK_SALT = 5
    MPK = 6
    K_PR = 7


SALTED = frozenset({KeyType.TGK_SALT, KeyType.TEK_SALT, KeyType.GTGK_SALT})
TEKS = frozenset({KeyType.TEK, KeyType.TEK_SALT})
TGKS = frozenset({KeyType.TGK, KeyType.TGK_SALT})


class KvType(IntEnum):
    """Key validity (RFC 3830 6.13)."""

    NULL = 0
    SPI = 1
    INTERVAL = 2


class TsType(IntEnum):
    """RFC 3830 6.6, RFC 6043 6.6."""

    NTP_UTC = 0
    NTP = 1
    COUNTER = 2
    NTP_UTC_32 = 3


class TsRole(IntEnum):
    """RFC 6043 6.4."""

    ISSUE = 1
    START = 2
    END = 3
    REKEY = 4


class IdType(IntEnum):
    """RFC 3830 6.7, RFC 6043 6.6."""

    NAI = 0
    URI = 1
    BYTE_STRING = 2


class IdRole(IntEnum):
    """RFC 6043 6.6, RFC 6509 6.1; 8 and 9 as 3GPP TS 33.180 implementations use them."""

    INITIATOR = 1
    RESPONDER = 2
    KMS = 3
    PSK = 4
    APPLICATION = 5
    KMS_INITIATOR = 6
    KMS_RESPONDER = 7
    UID_INITIATOR = 8
    UID_RESPONDER = 9


class RandRole(IntEnum):
    """RFC 6043 6.8."""

    INITIATOR = 1
    RESPONDER = 2
    KMS = 3


class ErrorNo(IntEnum):
    """RFC 3830 6.12, RFC 4738, RFC 6043 6.9."""

    AUTH_FAILURE = 0
    INVALID_TS = 1
    INVALID_PRF = 2
    INVALID_MAC = 3
    INVALID_EA = 4
    INVALID_HA = 5
    INVALID_DH = 6
    INVALID_ID = 7
    INVALID_CERT = 8
    INVALID_SP = 9
    INVALID_SP_PAR = 10
    INVALID_DT = 11
    UNSPECIFIED = 12
    UNSUPPORTED_MESSAGE = 13
    INVALID_TICKET = 14
    INVALID_TP_PAR = 15


class ExtensionType(IntEnum):
    """General extension (RFC 3830 6.15, 4442, 4563, 4738, 5410; 6 and 7 as implementations use them)."""

    VENDOR_ID = 0
    SDP_IDS = 1
    TESLA_I_KEY = 2
    KEY_ID = 3
    CSB_ID = 4
    OMA_BCAST = 5
    SAKKE_TO_SELF = 6
    KEY_PARAMETERS = 7


class ProtType(IntEnum):
    """Security protocol (RFC 3830 6.10)."""

    SRTP = 0
    TESLA = 1


class SpParam(IntEnum):
    """SRTP policy parameters (RFC 3830 6.10.1, RFC 4771, RFC 6043, RFC 6309, RFC 7714)."""

    ENCR_ALG = 0
    ENCR_KEY_LENGTH = 1
    AUTH_ALG = 2
    AUTH_KEY_LENGTH = 3
    SALT_LENGTH = 4
    PRF = 5
    KEY_DERIVATION_RATE = 6
    SRTP_ENCRYPTION = 7
    SRTCP_ENCRYPTION = 8
    FEC_ORDER = 9
    SRTP_AUTHENTICATION = 10
    TAG_LENGTH = 11
    PREFIX_LENGTH = 12
    ROC_RATE = 13
    SRTP_AUTH_ALG = 14
    SRTCP_AUTH_ALG = 15
    SRTP_AUTH_KEY_LENGTH = 16
    SRTCP_AUTH_KEY_LENGTH = 17
    SRTP_TAG_LENGTH = 18
    SRTCP_TAG_LENGTH = 19
    AEAD_TAG_LENGTH = 20


# SEED-CCM, SEED-GCM, AES-GCM, ARIA-GCM of SP parameter 0 (RFC 6309 4.2, RFC 7714 14.3, RFC 8269).
AEAD_CIPHERS = frozenset({4, 5, 6, 8})
ENCR_KEY_OCTETS: dict[int, int] = {
    EncrAlg.NULL: 0,
    EncrAlg.AES_CM_128: 16,
    EncrAlg.AES_KW_128: 16,
    EncrAlg.AES_CM_256: 32,
}
MAC_OCTETS: dict[int, int] = {MacAlg.NULL: 0, MacAlg.HMAC_SHA_1_160: 20, MacAlg.HMAC_SHA_256_256: 32}
HASH_OCTETS: dict[int, int] = {HashFunc.SHA_1: 20, HashFunc.MD5: 16, HashFunc.SHA_256: 32}
TS_OCTETS: dict[int, int] = {TsType.NTP_UTC: 8, TsType.NTP: 8, TsType.COUNTER: 4, TsType.NTP_UTC_32: 4}
DH_OCTETS = {0: 192, 1: 96, 2: 128}
# Octets of a coordinate on the curves of RFC 6267 6.4, by their numbers: NIST P, B and K.
ECC_OCTETS = dict(
    enumerate((24, 21, 21, 21, 28, 30, 30, 32, 36, 36, 48, 52, 52, 66, 72, 72), 1),
)
