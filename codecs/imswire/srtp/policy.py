"""SRTP policies, and how MIKEY's SP parameters name them (RFC 3830 6.10.1, RFC 4771, RFC 7714 14.2).

Security descriptions name them by crypto suites: :mod:`imswire.srtp.sdes`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

from msgspec import Struct

from imswire.srtp.errors import SrtpError


class Cipher(enum.Enum):
    """Encryption of the payload."""

    NULL = 0
    AES_CM = 1
    AES_F8 = 2
    AES_GCM = 6


class Auth(enum.Enum):
    """Authentication of the packet; an AEAD cipher brings its own."""

    NULL = 0
    HMAC_SHA1 = 1


class Policy(Struct, frozen=True, gc=False):
    """What protects a stream; lengths in octets.

    ``derivation_rate`` is the number of packets for which session keys hold (RFC 3711 4.3.1), 0: all.
    ``rtcp_tag_lengths`` are the SRTCP tag lengths to try: MIKEY does not say what a 4-octet SRTP tag means for
    SRTCP, and senders differ.
    """

    cipher: Cipher
    key_length: int
    salt_length: int
    auth: Auth
    tag_length: int
    rtcp_tag_lengths: tuple[int, ...]
    encrypts_rtcp: bool = True
    encrypts_rtp: bool = True
    derivation_rate: int = 0

    @property
    def aead(self) -> bool:
        return self.cipher is Cipher.AES_GCM

    @property
    def authenticates_rtp(self) -> bool:
        return self.aead or (self.auth is not Auth.NULL and self.tag_length > 0)

    @property
    def name(self) -> str:
        """The name that RFC 4568, 6188 or 7714 give it, or one made alike."""
        bits = self.key_length * 8
        if self.aead:
            return f"AEAD_AES_{bits}_GCM"
        if self.cipher is Cipher.NULL or not self.encrypts_rtp:
            cipher = "NULL"
        elif self.cipher is Cipher.AES_F8:
            cipher = f"F8_{bits}"
        else:
            cipher = "AES_CM_128" if bits == 128 else f"AES_{bits}_CM"
        tag = f"HMAC_SHA1_{self.tag_length * 8}" if self.authenticates_rtp else "NULL_AUTH"
        return f"{cipher}_{tag}"

    @classmethod
    def from_sp(cls, params: Mapping[int, bytes]) -> Policy:
        """The policy of an SP payload: absent parameters have SRTP's defaults. SrtpError names the parameter.

        Lengths of what is not there count for nothing: those of the authentication beside an AEAD cipher, zeros for
        a NULL algorithm. Parameters that no standard named here knows are passed over.
        """
        values = {number: _value(number, octets) for number, octets in params.items() if number <= _LAST}
        cipher = _cipher(values)
        if cipher is Cipher.AES_GCM:
            _check_fixed(values, _AEAD_UNUSED)
            return _aead(values)
        auth_on = values.get(10, 1)
        auth = _auth(values.get(14, values.get(2, 1)) if auth_on else 0)
        if auth is Auth.NULL:
            values = _without_zeros(values, (3, 11, 16, 18))
        if cipher is Cipher.NULL:
            values = _without_zeros(values, (1, 4))
        _check_fixed(values)
        tag = values.get(18, values.get(11, 10)) if auth is not Auth.NULL else 0
        if auth is not Auth.NULL and tag not in (4, 10):
            raise SrtpError(f"SP parameter 11 (authentication tag length): {tag} is not supported")
        rtcp = values.get(19, values.get(11))
        if rtcp is not None and rtcp not in (4, 10):
            raise SrtpError(f"SP parameter 19 (SRTCP tag length): {rtcp} is not supported")
        lengths = (10, 4) if rtcp == 4 and 19 not in values else (rtcp or 10,)
        key, salt = values.get(1, 16), values.get(4, 14)
        if key not in (16, 24, 32):
            raise SrtpError(f"SP parameter 1 (encryption key length): {key} is not supported")
        if salt != 14:
            raise SrtpError(f"SP parameter 4 (salt length): {salt} is not supported")
        if cipher is Cipher.AES_F8 and key != 16:
            raise SrtpError(f"SP parameter 1 (encryption key length): {key} is not supported with AES-f8")
        return cls(cipher, key, salt, auth, tag, lengths, values.get(8, 1) == 1, values.get(7, 1) == 1)


_LAST = 20
_NAMES = {
    0: "encryption algorithm",
    3: "authentication key length",
    5: "PRF",
    6: "key derivation rate",
    9: "FEC order",
    12: "prefix length",
    15: "SRTCP authentication algorithm",
    16: "SRTP authentication key length",
    17: "SRTCP authentication key length",
    20: "AEAD tag length",
}
# Parameters of which only these values are known here; the first is the default.
_FIXED = {
    3: (20,),
    5: (0,),
    6: (0,),
    9: (0,),
    12: (0,),
    15: (1,),
    16: (20,),
    17: (20,),
    20: (16,),
}
# An AEAD cipher has no authentication function beside it (RFC 7714 14.2).
_AEAD_UNUSED = frozenset((3, 15, 16, 17))


def _check_fixed(values: Mapping[int, int], unused: frozenset[int] = frozenset()) -> None:
    for number, allowed in _FIXED.items():
        if number not in unused and values.get(number, allowed[0]) not in allowed:
            raise SrtpError(f"SP parameter {number} ({_NAMES[number]}): {values[number]} is not supported")


def _without_zeros(values: Mapping[int, int], numbers: Sequence[int]) -> dict[int, int]:
    return {number: value for number, value in values.items() if value or number not in numbers}


def _value(number: int, octets: bytes) -> int:
    if not 0 < len(octets) <= 4:
        raise SrtpError(f"SP parameter {number}: {len(octets)} octets")
    return int.from_bytes(octets, "big")


def _cipher(values: Mapping[int, int]) -> Cipher:
    number = values.get(0, 1)
    try:
        return Cipher(number)
    except ValueError:
        raise SrtpError(f"SP parameter 0 (encryption algorithm): {number} is not supported") from None


def _auth(number: int) -> Auth:
    try:
        return Auth(number)
    except ValueError:
        raise SrtpError(f"SP parameter 2 (authentication algorithm): {number} is not supported") from None


def _aead(values: Mapping[int, int]) -> Policy:
    key, salt = values.get(1, 16), values.get(4, 12)
    if key not in (16, 32):
        raise SrtpError(f"SP parameter 1 (encryption key length): {key} is not supported with AES-GCM")
    if salt != 12:
        raise SrtpError(f"SP parameter 4 (salt length): {salt} is not supported with AES-GCM")
    if values.get(7, 1) != 1:
        raise SrtpError("SP parameter 7 (SRTP encryption): off is not supported with AES-GCM")
    return Policy(Cipher.AES_GCM, key, salt, Auth.NULL, 16, (16,), values.get(8, 1) == 1)


def _cm(octets: int, tag: int) -> Policy:
    return Policy(Cipher.AES_CM, octets, 14, Auth.HMAC_SHA1, tag, (10,))


AES_CM_128_HMAC_SHA1_80 = _cm(16, 10)
AES_CM_128_HMAC_SHA1_32 = _cm(16, 4)
AES_192_CM_HMAC_SHA1_80 = _cm(24, 10)
AES_192_CM_HMAC_SHA1_32 = _cm(24, 4)
AES_256_CM_HMAC_SHA1_80 = _cm(32, 10)
AES_256_CM_HMAC_SHA1_32 = _cm(32, 4)
F8_128_HMAC_SHA1_80 = Policy(Cipher.AES_F8, 16, 14, Auth.HMAC_SHA1, 10, (10,))
F8_128_HMAC_SHA1_32 = Policy(Cipher.AES_F8, 16, 14, Auth.HMAC_SHA1, 4, (10,))
AEAD_AES_128_GCM = Policy(Cipher.AES_GCM, 16, 12, Auth.NULL, 16, (16,))
AEAD_AES_256_GCM = Policy(Cipher.AES_GCM, 32, 12, Auth.NULL, 16, (16,))
