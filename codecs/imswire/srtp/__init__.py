"""SRTP and SRTCP (RFC 3711, 6188, 7714): policies, key derivation, rollover counters, opening and protecting."""

from imswire.srtp.errors import Refusal, SrtpError
from imswire.srtp.keys import MasterKey
from imswire.srtp.packet import RtpHeader, is_plain_rtcp, is_rtcp, rtp_header, rtp_payload
from imswire.srtp.policy import (
    AEAD_AES_128_GCM,
    AEAD_AES_256_GCM,
    AES_192_CM_HMAC_SHA1_32,
    AES_192_CM_HMAC_SHA1_80,
    AES_256_CM_HMAC_SHA1_32,
    AES_256_CM_HMAC_SHA1_80,
    AES_CM_128_HMAC_SHA1_32,
    AES_CM_128_HMAC_SHA1_80,
    F8_128_HMAC_SHA1_32,
    F8_128_HMAC_SHA1_80,
    Auth,
    Cipher,
    Policy,
)
from imswire.srtp.protect import Protector
from imswire.srtp.rollover import locate_mki, search
from imswire.srtp.sdes import SdesKey
from imswire.srtp.stream import Unprotector, open_stream

__all__ = [
    "AEAD_AES_128_GCM",
    "AEAD_AES_256_GCM",
    "AES_192_CM_HMAC_SHA1_32",
    "AES_192_CM_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
    "AES_CM_128_HMAC_SHA1_80",
    "AES_256_CM_HMAC_SHA1_32",
    "AES_256_CM_HMAC_SHA1_80",
    "F8_128_HMAC_SHA1_32",
    "F8_128_HMAC_SHA1_80",
    "Auth",
    "Cipher",
    "MasterKey",
    "Policy",
    "Protector",
    "Refusal",
    "RtpHeader",
    "SdesKey",
    "SrtpError",
    "Unprotector",
    "is_plain_rtcp",
    "is_rtcp",
    "locate_mki",
    "open_stream",
    "rtp_header",
    "rtp_payload",
    "search",
]
