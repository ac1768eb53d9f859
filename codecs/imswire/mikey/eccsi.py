"""Identity-based signatures ECCSI (RFC 6507) over P-256 with SHA-256, as MIKEY-SAKKE uses them (RFC 6509 4.4)."""

from __future__ import annotations

import hashlib
import hmac

from msgspec import Struct

from imswire.mikey.curve import Curve, Point
from imswire.mikey.errors import MikeyError
from imswire.mikey.numbers import ErrorNo

_OCTETS = 32
_POINT_OCTETS = 2 * _OCTETS + 1
SIGNATURE_OCTETS = 2 * _OCTETS + _POINT_OCTETS

CURVE = Curve(
    0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
    0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    _OCTETS,
)
BASE = Point(
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


class SigningKey(Struct, frozen=True):
    """SSK and PVT of an identifier (RFC 6507 5.1); shows neither."""

    ssk: int
    pvt: Point

    def __repr__(self) -> str:
        return "SigningKey(<redacted>)"


def public_key(ksak: int) -> Point:
    """KPAK, which verifies for all users of a KMS, from its secret KSAK."""
    return _multiple(ksak, BASE)


def signing_key(ksak: int, identifier: bytes, v: int) -> SigningKey:
    """The key of an identifier (RFC 6507 5.1.1); ``v``: random, below the order of the curve, used once."""
    pvt = _multiple(v, BASE)
    ssk = (ksak + _hs(public_key(ksak), identifier, pvt) * v) % CURVE.order
    if not ssk:
        raise MikeyError("ECCSI", "this number gives no key")
    return SigningKey(ssk, pvt)


def proves(key: SigningKey, identifier: bytes, kpak: Point) -> bool:
    """Whether a key is that of an identifier under a KPAK (RFC 6507 5.1.2)."""
    if not CURVE.has(key.pvt):
        return False
    behind = CURVE.negative(CURVE.multiply(_hs(kpak, identifier, key.pvt), key.pvt))
    return CURVE.add(CURVE.multiply(key.ssk, BASE), behind) == kpak


def sign(octets: bytes, key: SigningKey, identifier: bytes, kpak: Point, j: int) -> bytes:
    """r || s || PVT, 129 octets (RFC 6507 5.2.1); ``j``: random, below the order of the curve, used once."""
    r = _multiple(j, BASE).x % CURVE.order
    he = _he(_hs(kpak, identifier, key.pvt), r, octets)
    below = (he + r * key.ssk) % CURVE.order
    if not r or not below:
        raise MikeyError("ECCSI", "this number gives no signature")
    s = pow(below, -1, CURVE.order) * j % CURVE.order
    return r.to_bytes(_OCTETS, "big") + s.to_bytes(_OCTETS, "big") + CURVE.write(key.pvt)


def verify(octets: bytes, signature: bytes, identifier: bytes, kpak: Point) -> None:
    """MikeyError: not a signature of the identifier over ``octets`` (RFC 6507 5.2.2)."""
    if len(signature) != SIGNATURE_OCTETS:
        raise MikeyError("SIGN", f"{len(signature)} octets, not {SIGNATURE_OCTETS}", error_no=ErrorNo.AUTH_FAILURE)
    r, s = (int.from_bytes(signature[at : at + _OCTETS], "big") for at in (0, _OCTETS))
    pvt = CURVE.read(signature[2 * _OCTETS :], "SIGN")
    if not 0 < r < CURVE.order or not 0 < s < CURVE.order:
        raise MikeyError("SIGN", "the signature is wrong", error_no=ErrorNo.AUTH_FAILURE)
    hs = _hs(kpak, identifier, pvt)
    y = CURVE.add(CURVE.multiply(hs, pvt), kpak)
    inside = CURVE.add(CURVE.multiply(_he(hs, r, octets), BASE), CURVE.multiply(r, y))
    found = CURVE.multiply(s, inside)
    shown = b"" if found is None else (found.x % CURVE.order).to_bytes(_OCTETS, "big")
    if not hmac.compare_digest(shown, signature[:_OCTETS]):
        raise MikeyError("SIGN", "the signature is wrong", error_no=ErrorNo.AUTH_FAILURE)


def _hs(kpak: Point, identifier: bytes, pvt: Point) -> int:
    octets = CURVE.write(BASE) + CURVE.write(kpak) + identifier + CURVE.write(pvt)
    return int.from_bytes(hashlib.sha256(octets).digest(), "big")


def _he(hs: int, r: int, octets: bytes) -> int:
    covered = hs.to_bytes(_OCTETS, "big") + r.to_bytes(_OCTETS, "big") + octets
    return int.from_bytes(hashlib.sha256(covered).digest(), "big")


def _multiple(factor: int, point: Point) -> Point:
    if not 0 < factor < CURVE.order:
        raise MikeyError("ECCSI", "a secret is zero, or not below the order of the curve")
    found = CURVE.multiply(factor, point)
    assert found is not None
    return found
