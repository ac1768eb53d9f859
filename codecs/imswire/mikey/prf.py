"""The MIKEY PRF (RFC 3830 4.1.2) and the labels of every derivation of RFC 6043 5.1 and Appendix A."""

from __future__ import annotations

import hashlib
import hmac

from imswire.mikey.errors import MikeyError
from imswire.mikey.numbers import ErrorNo, PrfFunc

# RFC 3830 4.1.2: the input key is split at 256 bits, whatever the hash.
_BLOCK = 32
_HASHES = {PrfFunc.MIKEY_1: (hashlib.sha1, 20), PrfFunc.HMAC_SHA_256: (hashlib.sha256, 32)}

# RFC 3830 4.1.3, 4.1.4, RFC 6043 5.1: nine-digit pieces of e.
TEK = bytes.fromhex("2AD01C64")
AUTH_FROM_TGK = bytes.fromhex("1B5C7973")
ENCR_FROM_TGK = bytes.fromhex("15798CEF")
SALT_FROM_TGK = bytes.fromhex("39A2C14B")
ENCR = bytes.fromhex("150533E1")
AUTH = bytes.fromhex("2D22AC75")
SALT = bytes.fromhex("29B88916")
FORKED_MPKR = bytes.fromhex("2B288856")
FORKED_TGK = bytes.fromhex("1512B54A")
MPKI = bytes.fromhex("220E99A2")
MPKR = bytes.fromhex("1F4D675B")

_NONE = bytes.fromhex("FFFFFFFF")


def prf(func: int, inkey: bytes, label: bytes, length: int) -> bytes:
    """``length`` octets from ``inkey`` and ``label``; MikeyError: the function is not known."""
    if func not in (PrfFunc.MIKEY_1, PrfFunc.HMAC_SHA_256):
        raise MikeyError("HDR", f"PRF function {func} is not known", field="prf", error_no=ErrorNo.INVALID_PRF)
    digest, size = _HASHES[PrfFunc(func)]
    rounds = -(-length // size)
    result = 0
    for start in range(0, max(len(inkey), 1), _BLOCK):
        piece = inkey[start : start + _BLOCK]
        chained, stream = label, b""
        for _ in range(rounds):
            chained = hmac.digest(piece, chained, digest)
            stream += hmac.digest(piece, chained + label, digest)
        result ^= int.from_bytes(stream[:length], "big")
    return result.to_bytes(length, "big")


def _rands(*rands: bytes | None) -> bytes:
    """Each with its length in one octet; an absent one is a zero octet."""
    return b"".join(bytes((len(rand or b""),)) + (rand or b"") for rand in rands)


def plain_message_label(constant: bytes, csb_id: int, rand: bytes) -> bytes:
    """Keys of a message of RFC 3830 and its kin (RFC 3830 4.1.4): no phase, the RAND without its length."""
    return constant + b"\xff" + csb_id.to_bytes(4, "big") + rand


def plain_session_label(constant: bytes, cs_id: int, csb_id: int, rand: bytes) -> bytes:
    """Keys of a crypto session of RFC 3830 and its kin (RFC 3830 4.1.3)."""
    return constant + bytes((cs_id,)) + csb_id.to_bytes(4, "big") + rand


def message_label(constant: bytes, csb_id: int, phase: int, randi: bytes | None, randr: bytes | None) -> bytes:
    """Keys of a message: phase 1 for the first, 2 for the response (RFC 6043 5.1.2)."""
    return constant + b"\xff" + csb_id.to_bytes(4, "big") + bytes((phase,)) + _rands(randi, randr)


def session_label(constant: bytes, cs_id: int, randi: bytes | None, randr: bytes | None) -> bytes:
    """Keys of a crypto session, phase 3 (RFC 6043 5.1.4)."""
    return constant + bytes((cs_id,)) + _NONE + b"\x03" + _rands(randi, randr)


def fork_label(constant: bytes, responder: bytes, randrkms: bytes) -> bytes:
    """MPKr' and TGK', phase 0 (RFC 6043 5.1.1): bound to who answered and the KMS's modifier."""
    return constant + b"\xff" + _NONE + b"\x00" + len(responder).to_bytes(2, "big") + responder + _rands(randrkms)


def vr_label() -> bytes:
    """Key of Vr in the Initiator Data, phase 4 (RFC 6043 5.1.5)."""
    return AUTH + b"\xff" + _NONE + b"\x04"


def ticket_label(constant: bytes, rand: bytes) -> bytes:
    """Keys of the base ticket, phase 5 (RFC 6043 A.1)."""
    return constant + b"\xff" + _NONE + b"\x05" + _rands(rand)


def mpk_label(constant: bytes, rand: bytes) -> bytes:
    """MPKi and MPKr from MPK, phase 6 (RFC 6043 A.1)."""
    return constant + b"\xff" + _NONE + b"\x06" + _rands(rand)
