"""Keys of security descriptions: the value of a=crypto (RFC 4568), with the suites of RFC 6188 and RFC 7714."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator, Sequence

from msgspec import Struct, structs

from imswire.srtp import policy as p
from imswire.srtp.errors import SrtpError
from imswire.srtp.keys import MasterKey
from imswire.srtp.policy import Auth, Policy

MAX_KEYS = 16
"""Master keys of one attribute; who changes keys within a session sends two or three."""
MAX_MKI = 128
MAX_RATE_EXPONENT = 24
MIN_WINDOW = 64

SUITES: dict[str, Policy] = {
    "AES_CM_128_HMAC_SHA1_80": p.AES_CM_128_HMAC_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": p.AES_CM_128_HMAC_SHA1_32,
    "F8_128_HMAC_SHA1_80": p.F8_128_HMAC_SHA1_80,
    # Only the grammar of RFC 4568 9.2 has it.
    "F8_128_HMAC_SHA1_32": p.F8_128_HMAC_SHA1_32,
    "AES_192_CM_HMAC_SHA1_80": p.AES_192_CM_HMAC_SHA1_80,
    "AES_192_CM_HMAC_SHA1_32": p.AES_192_CM_HMAC_SHA1_32,
    "AES_256_CM_HMAC_SHA1_80": p.AES_256_CM_HMAC_SHA1_80,
    "AES_256_CM_HMAC_SHA1_32": p.AES_256_CM_HMAC_SHA1_32,
    "AEAD_AES_128_GCM": p.AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": p.AEAD_AES_256_GCM,
    # Names that were in use before RFC 6188 had its own.
    "AES_CM_192_HMAC_SHA1_80": p.AES_192_CM_HMAC_SHA1_80,
    "AES_CM_192_HMAC_SHA1_32": p.AES_192_CM_HMAC_SHA1_32,
    "AES_CM_256_HMAC_SHA1_80": p.AES_256_CM_HMAC_SHA1_80,
    "AES_CM_256_HMAC_SHA1_32": p.AES_256_CM_HMAC_SHA1_32,
}


class SdesKey(Struct, frozen=True):
    """A master key that an endpoint will send under, and how; shows no key. ``lifetime`` in packets, 0: not said."""

    policy: Policy
    master: MasterKey
    lifetime: int = 0


def keys(suite: str, key_params: Sequence[str], session_params: Sequence[str] = ()) -> tuple[SdesKey, ...]:
    """The keys of one a=crypto line. SrtpError: a suite or parameter that is not known, or not of its form.

    A session parameter with a minus sign before it may be ignored (RFC 4568 6.3.8); others may not.
    """
    if suite.upper() not in SUITES:
        raise SrtpError(f"crypto suite {suite[:40]!r} is not known")
    policy = _with_session(SUITES[suite.upper()], session_params)
    if len(key_params) > MAX_KEYS:
        raise SrtpError(f"more than {MAX_KEYS} keys in one attribute")
    found = tuple(_key(policy, each) for each in key_params)
    if len(found) > 1 and len({each.master.mki for each in found}) < len(found):
        raise SrtpError("several keys in one attribute without an MKI of its own each")
    return found


def _key(policy: Policy, text: str) -> SdesKey:
    """inline:key||salt[|lifetime][|MKI:length] (RFC 4568 6.1); some senders leave the padding of the base64 out."""
    method, colon, info = text.strip().partition(":")
    if not colon or method.lower() != "inline":
        raise SrtpError("key method is not inline")
    material, *rest = info.split("|")
    try:
        octets = b64decode(material.encode("ascii") + b"=" * (-len(material) % 4), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise SrtpError("inline key is not base64") from None
    lifetime, mki = 0, b""
    for place, part in enumerate(rest):
        if ":" in part:
            mki = _mki(part)
        elif place == 0:
            lifetime = _lifetime(part)
        else:
            raise SrtpError("inline key: neither lifetime nor MKI behind it")
    master = MasterKey(octets[: policy.key_length], octets[policy.key_length :], mki)
    master.fits(policy)
    return SdesKey(policy, master, lifetime)


def _lifetime(text: str) -> int:
    if text.startswith("2^"):
        exponent = _number(text[2:], "lifetime")
        if exponent > 48:
            raise SrtpError("lifetime: more than 2^48 packets")
        return 1 << exponent
    return _number(text, "lifetime")


def _mki(text: str) -> bytes:
    value, _, length = text.partition(":")
    octets, number = _number(length, "MKI length"), _number(value, "MKI")
    if not 1 <= octets <= MAX_MKI or number >= 1 << (8 * octets):
        raise SrtpError("MKI: does not fit its length")
    return number.to_bytes(octets, "big")


def _number(text: str, what: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 310:  # 2^1024 has 309 digits
        raise SrtpError(f"{what}: not a number")
    return int(text)


def _with_session(policy: Policy, params: Sequence[str]) -> Policy:
    changes: dict[str, object] = {}
    for param in params:
        changes.update(_session(policy, param))
    return structs.replace(policy, **changes) if changes else policy


def _session(policy: Policy, param: str) -> Iterator[tuple[str, object]]:
    """What a session parameter changes in the policy (RFC 4568 6.3)."""
    name, _, value = param.partition("=")
    if name == "KDR":
        exponent = _number(value, "KDR")
        if exponent > MAX_RATE_EXPONENT:
            raise SrtpError(f"KDR: more than {MAX_RATE_EXPONENT}")
        yield "derivation_rate", 1 << exponent
    elif name == "WSH":
        if _number(value, "WSH") < MIN_WINDOW:
            raise SrtpError(f"WSH: less than {MIN_WINDOW}")
    elif name in ("UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP"):
        yield from _switched_off(policy, name)
    elif name == "FEC_KEY":
        # Keys of a stream of its own, whose packets are not media: they must be keys, and nothing else follows.
        for each in value.split(";", MAX_KEYS)[:MAX_KEYS]:
            _key(policy, each)
    elif name == "FEC_ORDER" and value in ("FEC_SRTP", "SRTP_FEC"):
        if value == "SRTP_FEC":
            raise SrtpError("FEC_ORDER: FEC over SRTP is not supported")
    elif not name.startswith("-"):
        raise SrtpError(f"session parameter {name[:40]!r} is not supported")


def _switched_off(policy: Policy, name: str) -> Iterator[tuple[str, object]]:
    if policy.aead and name != "UNENCRYPTED_SRTCP":
        raise SrtpError(f"{name}: not with an AEAD cipher (RFC 7714 14.3)")
    if name == "UNENCRYPTED_SRTP":
        yield "encrypts_rtp", False
    elif name == "UNENCRYPTED_SRTCP":
        yield "encrypts_rtcp", False
    else:
        yield "auth", Auth.NULL
        yield "tag_length", 0
