"""Sakai-Kasahara key encryption (RFC 6508) over parameter set 1 of RFC 6509.

A KMS with master secret z can make the key of any identifier: who holds z can open every SAKKE message to its users.
"""

from __future__ import annotations

import hashlib
import hmac

from imswire.mikey.curve import Curve, Point
from imswire.mikey.errors import MikeyError
from imswire.mikey.numbers import ErrorNo

SSV_OCTETS = 16
"""n of parameter set 1: 128 bits."""
MAX_IDENTIFIER = 512

_P = int(
    "997abb1f0a563fda65c61198dad0657a416c0ce19cb48261be9ae358b3e01a2ef40aab27e2fc0f1b228730d531a59cb0e791b39ff7c88a19"
    "356d27f4a666a6d0e26c6487326b4cd4512ac5cd65681ce1b6aff4a831852a82a7cf3c521c3c09aa9f94d6af56971f1ffce3e82389857db0"
    "80c5df10ac7ace87666d807afea85feb",
    16,
)
_Q = (_P + 1) // 4
CURVE = Curve(_P, 0, _Q, 128)
BASE = Point(
    int(
        "53fc09ee332c29ad0a7990053ed9b52a2b1a2fd60aec69c698b2f204b6ff7cbfb5edb6c0f6ce2308ab10db9030b09e1043d5f22cdb9d"
        "fa55718bd9e7406ce8909760af765dd5bccb337c86548b72f2e1a702c3397a60de74a7c1514dba66910dd5cfb4cc80728d87ee9163a5"
        "b63f73ec80ec46c4967e0979880dc8abeae63895",
        16,
    ),
    int(
        "0a8249063f6009f1f9f1f0533634a135d3e82016029906963d778d821e141178f5ea69f4654ec2b9e7f7f5e5f0de55f66b598ccf9a14"
        "0b2e416cff0ca9e032b970dae117ad547c6ccad696b5b7652fe0ac6f1e80164aa989492d979fc5a4d5f213515ad7e9cb99a980bdad5a"
        "d5bb4636adb9b5706a67dcde75573fd71bef16d7",
        16,
    ),
)
G = int(
    "66fc2a432b6ea392148f15867d623068c6a87bd1fb94c41e27fabe658e015a87371e94744c96feda449ae9563f8bc446cbfda85d5d00ef57"
    "7072da8f541721beee0faed1828eab90b99dfb0138c7843355df0460b4a9fd74b4f1a32bcafa1ffad682c033a7942bcce3720f20b9b7b040"
    "3c8cae87b7a0042acde0fab36461ea46",
    16,
)
ENCAPSULATED_OCTETS = 2 * CURVE.octets + 1 + SSV_OCTETS


# Keys


class MasterSecret:
    """z, the master secret of a KMS for a period, and Z = [z]P; shows neither z nor what it makes."""

    __slots__ = ("_z", "public")

    def __init__(self, z: bytes) -> None:
        self._z = int.from_bytes(z, "big") % _Q
        public = CURVE.multiply(self._z, BASE)
        if public is None:
            raise MikeyError("SAKKE", "the master secret is zero")
        self.public: Point = public

    def receiver_key(self, identifier: bytes) -> Point:
        """K_b, the Receiver Secret Key of an identifier (RFC 6508 2.2)."""
        factor = (_integer(identifier) + self._z) % _Q
        key = CURVE.multiply(pow(factor, -1, _Q), BASE) if factor else None
        if key is None:
            raise MikeyError("SAKKE", "the identifier has no key under this master secret")
        return key

    def __repr__(self) -> str:
        return "MasterSecret(<redacted>)"


def proves(key: Point, identifier: bytes, public: Point) -> bool:
    """Whether a Receiver Secret Key is that of an identifier under a KMS's public key (RFC 6508 6.1.2)."""
    return CURVE.has(key) and pairing(_towards(identifier, public), key) == G


def read_point(octets: bytes) -> Point:
    """A point of the curve that belongs to its subgroup of order q; MikeyError: it is none."""
    point = CURVE.read(octets, "SAKKE")
    if CURVE.multiply(_Q, point) is not None:
        raise MikeyError("SAKKE", "the point is not of the right order")
    return point


# Encapsulation


def encapsulate(ssv: bytes, identifier: bytes, public: Point) -> bytes:
    """SAKKE Encapsulated Data for an identifier (RFC 6508 6.2.1); ``ssv``: 16 random octets."""
    if len(ssv) != SSV_OCTETS:
        raise MikeyError("SAKKE", f"a shared secret of {len(ssv)} octets, not {SSV_OCTETS}")
    factor = hash_to_integer(ssv + identifier, _Q)
    point = CURVE.multiply(factor, _towards(identifier, public))
    if point is None:
        raise MikeyError("SAKKE", "the identifier cannot be encrypted to")
    return CURVE.write(point) + _masked(ssv, _power(G, factor))


def decapsulate(data: bytes, identifier: bytes, key: Point, public: Point) -> bytes:
    """The shared secret in Encapsulated Data (RFC 6508 6.2.2).

    MikeyError: the data is not of its form, or was not made for this identifier: then it must not be used.
    """
    if len(data) != ENCAPSULATED_OCTETS:
        raise MikeyError("SAKKE", f"{len(data)} octets of data, not {ENCAPSULATED_OCTETS}")
    point = CURVE.read(data[:-SSV_OCTETS], "SAKKE")
    ssv = _masked(data[-SSV_OCTETS:], pairing(point, key))
    expected = CURVE.multiply(hash_to_integer(ssv + identifier, _Q), _towards(identifier, public))
    if expected is None or not hmac.compare_digest(CURVE.write(expected), data[:-SSV_OCTETS]):
        raise MikeyError("SAKKE", "not made for this identifier and key", error_no=ErrorNo.AUTH_FAILURE)
    return ssv


def _towards(identifier: bytes, public: Point) -> Point:
    """[b]P + Z."""
    point = CURVE.add(CURVE.multiply(_integer(identifier) % _Q, BASE), public)
    if point is None:
        raise MikeyError("SAKKE", "the identifier cannot be encrypted to")
    return point


def _integer(identifier: bytes) -> int:
    if not 0 < len(identifier) <= MAX_IDENTIFIER:
        raise MikeyError("SAKKE", f"an identifier of {len(identifier)} octets, from 1 to {MAX_IDENTIFIER} expected")
    return int.from_bytes(identifier, "big")


def _masked(octets: bytes, element: int) -> bytes:
    mask = hash_to_integer(element.to_bytes(CURVE.octets, "big"), 1 << (8 * SSV_OCTETS))
    return (int.from_bytes(octets, "big") ^ mask).to_bytes(SSV_OCTETS, "big")


def hash_to_integer(octets: bytes, limit: int) -> int:
    """HashToIntegerRange with SHA-256 (RFC 6508 5.1): a number from 0 to ``limit`` - 1."""
    seed = hashlib.sha256(octets).digest()
    bits = (limit - 1).bit_length()
    chained, stream = bytes(32), b""
    for _ in range(-(-bits // 256)):
        chained = hashlib.sha256(chained).digest()
        stream += hashlib.sha256(chained + seed).digest()
    return int.from_bytes(stream, "big") % limit


# The pairing


def pairing(first: Point, second: Point) -> int:
    """The Tate-Lichtenbaum pairing (RFC 6508 3.2) as the representative b/a of a + ib in PF_p.

    Points run in Jacobian coordinates: factors of F_p do not change an element of PF_p, so that no line needs a
    division.
    """
    p = _P
    px, py = first
    qx, qy = second
    real, imaginary = 1, 0
    point = (px, py, 1)
    for bit in bin(_Q - 1)[3:]:
        x, y, z = point
        zz = z * z % p
        point = CURVE.double(point)
        slope = 3 * (x - zz) * (x + zz) % p
        line = (slope * (qx * zz + x) - 2 * y * y) % p, qy * point[2] % p * zz % p
        real, imaginary = _times(_times((real, imaginary), (real, imaginary)), line)
        if bit == "1":
            x, y, z = point
            zz = z * z % p
            across, up = (px * zz - x) % p, (py * zz * z - y) % p
            depth = z * across % p
            real, imaginary = _times((real, imaginary), ((up * (qx + px) - py * depth) % p, qy * depth % p))
            square = across * across % p
            cube, middle = square * across % p, x * square % p
            new = (up * up - cube - 2 * middle) % p
            point = new, (up * (middle - new) - y * cube) % p, depth
    value = _times((real, imaginary), (real, imaginary))
    return _representative(_times(value, value))


def _power(element: int, exponent: int) -> int:
    """An element of PF_p by its representative, raised to a power."""
    real, imaginary = 1, 0
    for bit in bin(exponent)[2:]:
        real, imaginary = _times((real, imaginary), (real, imaginary))
        if bit == "1":
            real, imaginary = _times((real, imaginary), (1, element))
    return _representative((real, imaginary))


def _times(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    a, b = first
    c, d = second
    return (a * c - b * d) % _P, (a * d + b * c) % _P


def _representative(element: tuple[int, int]) -> int:
    real, imaginary = element
    if not real:
        raise MikeyError("SAKKE", "the pairing is degenerate")
    return imaginary * pow(real, -1, _P) % _P
