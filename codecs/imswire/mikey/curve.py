"""Points of a curve y^2 = x^3 - 3x + b over F_p, in plain integers: for SAKKE and ECCSI, which no library here has.

Not in constant time: for opening what was captured and for labs, not for guarding a key on a shared machine.
"""

from __future__ import annotations

from typing import NamedTuple

from imswire.mikey.errors import MikeyError

UNCOMPRESSED = 4


class Point(NamedTuple):
    """A point in affine coordinates; infinity is None."""

    x: int
    y: int


_Jacobian = tuple[int, int, int]
_INFINITY: _Jacobian = (1, 1, 0)


class Curve(NamedTuple):
    """The field, ``b``, the order of the subgroup in use, and octets of a coordinate."""

    p: int
    b: int
    order: int
    octets: int

    def has(self, point: Point) -> bool:
        """Whether coordinates are those of a point of the curve."""
        x, y = point
        return 0 <= x < self.p and 0 <= y < self.p and (y * y - x * x * x + 3 * x - self.b) % self.p == 0

    def read(self, octets: bytes, what: str) -> Point:
        """A point from 04 || x || y; MikeyError: of another form, or not on the curve."""
        if len(octets) != 2 * self.octets + 1 or octets[0] != UNCOMPRESSED:
            raise MikeyError(what, f"a point has {2 * self.octets + 1} octets and begins with 4")
        middle = 1 + self.octets
        point = Point(int.from_bytes(octets[1:middle], "big"), int.from_bytes(octets[middle:], "big"))
        if not self.has(point):
            raise MikeyError(what, "the point is not on the curve")
        return point

    def write(self, point: Point) -> bytes:
        return bytes((UNCOMPRESSED,)) + point.x.to_bytes(self.octets, "big") + point.y.to_bytes(self.octets, "big")

    def add(self, first: Point | None, second: Point | None) -> Point | None:
        if first is None or second is None:
            return first or second
        return self._affine(self._add((*first, 1), second))

    def negative(self, point: Point | None) -> Point | None:
        return None if point is None else Point(point.x, -point.y % self.p)

    def multiply(self, factor: int, point: Point | None) -> Point | None:
        """[factor] point, ``factor`` not negative."""
        if point is None:
            return None
        found = _INFINITY
        for bit in bin(factor)[2:]:
            found = self.double(found)
            if bit == "1":
                found = self._add(found, point)
        return self._affine(found)

    def double(self, point: _Jacobian) -> _Jacobian:
        x, y, z = point
        p = self.p
        if not z or not y:
            return _INFINITY
        square, zz = y * y % p, z * z % p
        slope = 3 * (x - zz) * (x + zz) % p
        middle = 4 * x * square % p
        new = (slope * slope - 2 * middle) % p
        return new, (slope * (middle - new) - 8 * square * square) % p, 2 * y * z % p

    def _add(self, first: _Jacobian, second: Point) -> _Jacobian:
        x, y, z = first
        p = self.p
        if not z:
            return *second, 1
        zz = z * z % p
        across, up = (second.x * zz - x) % p, (second.y * zz * z - y) % p
        if not across:
            return _INFINITY if up else self.double(first)
        square = across * across % p
        cube, middle = square * across % p, x * square % p
        new = (up * up - cube - 2 * middle) % p
        return new, (up * (middle - new) - y * cube) % p, z * across % p

    def _affine(self, point: _Jacobian) -> Point | None:
        x, y, z = point
        if not z:
            return None
        inverse = pow(z, -1, self.p)
        square = inverse * inverse % self.p
        return Point(x * square % self.p, y * square * inverse % self.p)
