"""BER (X.690): TLVs out of octets and back, within bounds.

Reading takes all of BER: long lengths, indefinite lengths, strings in pieces. Writing is DER. A TLV is a
:class:`Tlv` of offsets into the octets it was read from, so that nothing is copied and every fault has a place.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from imswire.errors import WireError

UNIVERSAL: Final = 0
APPLICATION: Final = 1
CONTEXT: Final = 2
PRIVATE: Final = 3

BOOLEAN: Final = 1
INTEGER: Final = 2
OCTET_STRING: Final = 4
NULL: Final = 5
OBJECT_IDENTIFIER: Final = 6
ENUMERATED: Final = 10
UTF8_STRING: Final = 12
RELATIVE_OID: Final = 13
SEQUENCE: Final = 16
SET: Final = 17
NUMERIC_STRING: Final = 18
PRINTABLE_STRING: Final = 19
IA5_STRING: Final = 22
UTC_TIME: Final = 23
GENERALIZED_TIME: Final = 24

MAX_DEPTH: Final = 32  # records of TS 102 232 nest 14 deep; 32 leaves room and ends recursion early
MAX_TAG: Final = (1 << 28) - 1  # four octets of a long tag
MAX_LENGTH_OCTETS: Final = 8
MAX_INTEGER_OCTETS: Final = 9  # 0 to 2^64 - 1, with its sign bit
MAX_ARCS: Final = 64
MAX_ARC: Final = (1 << 35) - 1  # five octets
_INDEFINITE: Final = 0x80


class BerError(WireError):
    """Octets that are no BER; ``reason`` is the rule, ``offset`` the place of the TLV that breaks it."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"BER at offset {offset}: {reason}")
        self.reason = reason
        self.offset = offset


class Tlv(NamedTuple):
    """A TLV: its class and tag number, whether constructed, and offsets.

    ``at`` is that of the identifier, ``start`` and ``end`` enclose the contents, ``after`` is behind all of it
    (behind the end-of-contents of an indefinite length, else ``end``).
    """

    klass: int
    number: int
    constructed: bool
    at: int
    start: int
    end: int
    after: int


# Reading


def read(octets: bytes, at: int = 0, end: int | None = None) -> Tlv:
    """The TLV at ``at``; it ends at ``end`` (None: of the octets) at the latest. BerError otherwise."""
    if end is None:
        end = len(octets)
    if at >= end:
        raise BerError("nothing left where a TLV should be", at)
    first = octets[at]
    number = first & 0x1F
    start = at + 1
    if number == 0x1F:
        number, start = _long_tag(octets, at, end)
    if start >= end:
        raise BerError("cut short in the length", at)
    length = octets[start]
    start += 1
    if length < 0x80:
        stop = after = start + length
    elif length == _INDEFINITE:
        if not first & 0x20:
            raise BerError("indefinite length of a primitive", at)
        stop = _end_of_contents(octets, at, start, end)
        after = stop + 2
    else:
        length, start = _long_length(octets, at, start, end, length & 0x7F)
        stop = after = start + length
    if after > end:
        raise BerError(f"{stop - start} octets of contents where {end - start} are left", at)
    return _new(Tlv, (first >> 6, number, first & 0x20 != 0, at, start, stop, after))


# As Tlv() does, without a call of its own: thousands are made for each record of a second.
_new = tuple.__new__


def only(octets: bytes) -> Tlv:
    """The TLV that the octets are; BerError when there is another octet behind it."""
    tlv = read(octets)
    if tlv.after != len(octets):
        raise BerError(f"{len(octets) - tlv.after} octets behind it", tlv.after)
    return tlv


def elements(octets: bytes, tlv: Tlv) -> list[Tlv]:
    """The TLVs inside a constructed one."""
    if not tlv.constructed:
        raise BerError("primitive where parts should be", tlv.at)
    found: list[Tlv] = []
    at, end = tlv.start, tlv.end
    last = end - 2
    while at <= last:
        first, start = octets[at], at + 2
        after = start + octets[at + 1]
        if first & 0x1F == 0x1F or after - start >= _INDEFINITE or after > end:
            inner = read(octets, at, end)
            found.append(inner)
            at = inner.after
        else:  # tag and length of one octet each, as nearly all have
            found.append(_new(Tlv, (first >> 6, first & 0x1F, first & 0x20 != 0, at, start, after, after)))
            at = after
    if at < end:
        read(octets, at, end)  # one octet is none: it says so
    return found


def _long_tag(octets: bytes, at: int, end: int) -> tuple[int, int]:
    number = 0
    for place in range(at + 1, min(at + 5, end)):
        octet = octets[place]
        number = number << 7 | octet & 0x7F
        if not number:
            raise BerError("tag with a leading zero", at)
        if octet < 0x80:
            if number < 0x1F:
                raise BerError(f"tag {number} in the long form", at)
            return number, place + 1
    raise BerError("cut short in the tag" if at + 5 > end else f"tag above {MAX_TAG}", at)


def _long_length(octets: bytes, at: int, start: int, end: int, count: int) -> tuple[int, int]:
    if count > MAX_LENGTH_OCTETS:
        raise BerError(f"length of {count} octets, at most {MAX_LENGTH_OCTETS} are read", at)
    if start + count > end:
        raise BerError("cut short in the length", at)
    return int.from_bytes(octets[start : start + count], "big"), start + count


def _end_of_contents(octets: bytes, at: int, start: int, end: int) -> int:
    """Where the end-of-contents of an indefinite length stands; definite contents are stepped over."""
    place, open_ = start, 1
    while True:
        if place + 2 > end:
            raise BerError("no end-of-contents", at)
        if octets[place] == 0:
            if octets[place + 1]:
                raise BerError("end-of-contents with a length", place)
            open_ -= 1
            if not open_:
                return place
            place += 2
            continue
        first, start = octets[place], place + 1
        if first & 0x1F == 0x1F:
            start = _long_tag(octets, place, end)[1]
        if start >= end:
            raise BerError("no end-of-contents", at)
        length = octets[start]
        start += 1
        if length == _INDEFINITE:
            if not first & 0x20:
                raise BerError("indefinite length of a primitive", place)
            open_ += 1
            if open_ > MAX_DEPTH:
                raise BerError(f"more than {MAX_DEPTH} indefinite lengths in one another", place)
            place = start
            continue
        if length > _INDEFINITE:
            length, start = _long_length(octets, place, start, end, length & 0x7F)
        place = start + length


def string(octets: bytes, tlv: Tlv) -> bytes:
    """The contents of a string, put together when it came in pieces (X.690 8.7.3)."""
    if not tlv.constructed:
        return octets[tlv.start : tlv.end]
    pieces: list[bytes] = []
    _pieces(octets, tlv, pieces, 1)
    return b"".join(pieces)


def _pieces(octets: bytes, tlv: Tlv, pieces: list[bytes], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise BerError(f"string in pieces more than {MAX_DEPTH} deep", tlv.at)
    for piece in elements(octets, tlv):
        if piece.klass != UNIVERSAL:
            raise BerError("piece of a string that is no string", piece.at)
        if piece.constructed:
            _pieces(octets, piece, pieces, depth + 1)
        else:
            pieces.append(octets[piece.start : piece.end])


def integer(octets: bytes, tlv: Tlv) -> int:
    """INTEGER or ENUMERATED. A longer form than needed, which X.690 8.3.2 forbids, is read all the same."""
    size = tlv.end - tlv.start
    if tlv.constructed or not 0 < size <= MAX_INTEGER_OCTETS:
        raise BerError(f"integer of 1 to {MAX_INTEGER_OCTETS} octets", tlv.at)
    return int.from_bytes(octets[tlv.start : tlv.end], "big", signed=True)


def boolean(octets: bytes, tlv: Tlv) -> bool:
    """BOOLEAN."""
    if tlv.constructed or tlv.end - tlv.start != 1:
        raise BerError("BOOLEAN of one octet", tlv.at)
    return octets[tlv.start] != 0


def null(tlv: Tlv) -> None:
    """NULL."""
    if tlv.constructed or tlv.end != tlv.start:
        raise BerError("NULL with contents", tlv.at)


def oid(octets: bytes, tlv: Tlv) -> tuple[int, ...]:
    """OBJECT IDENTIFIER: its arcs."""
    arcs = relative_oid(octets, tlv)
    top = min(arcs[0] // 40, 2)
    return (top, arcs[0] - 40 * top, *arcs[1:])


def relative_oid(octets: bytes, tlv: Tlv) -> tuple[int, ...]:
    """RELATIVE-OID: its arcs."""
    if tlv.constructed or tlv.start == tlv.end:
        raise BerError("object identifier without contents", tlv.at)
    return _arcs(octets[tlv.start : tlv.end], tlv.at)


def _arcs(contents: bytes, at: int) -> tuple[int, ...]:
    if contents[-1] & 0x80:
        raise BerError("object identifier cut short", at)
    arcs, arc, fresh = [], 0, True
    for octet in contents:
        if fresh and octet == 0x80:
            raise BerError("arc with a leading zero", at)
        arc = arc << 7 | octet & 0x7F
        fresh = octet < 0x80
        if arc > MAX_ARC:
            raise BerError(f"arc above {MAX_ARC}", at)
        if fresh:
            arcs.append(arc)
            arc = 0
            if len(arcs) > MAX_ARCS:
                raise BerError(f"more than {MAX_ARCS} arcs", at)
    return tuple(arcs)


# Writing


def identifier(klass: int, number: int, constructed: bool) -> bytes:
    """Identifier octets."""
    first = klass << 6 | constructed << 5
    if number < 0x1F:
        return bytes((first | number,))
    return bytes((first | 0x1F,)) + _base128(number)


def length(size: int) -> bytes:
    """Length octets, as few as there can be."""
    if size < 0x80:
        return _SHORT[size]
    if size < 0x100:
        return b"\x81" + size.to_bytes(1, "big")
    count = (size.bit_length() + 7) >> 3
    return bytes((0x80 | count,)) + size.to_bytes(count, "big")


_SHORT = tuple(bytes((size,)) for size in range(0x80))


def tlv(head: bytes, contents: bytes) -> bytes:
    """A TLV of its identifier octets and contents."""
    size = len(contents)
    return head + (_SHORT[size] if size < 0x80 else length(size)) + contents


def integer_contents(value: int) -> bytes:
    """Contents of INTEGER and ENUMERATED: two's complement, as short as it can be."""
    if 0 <= value < 0x80:
        return _SHORT[value]
    size = ((value if value >= 0 else ~value).bit_length() >> 3) + 1
    return value.to_bytes(size, "big", signed=True)


@lru_cache(256)
def oid_contents(arcs: tuple[int, ...]) -> bytes:
    """Contents of OBJECT IDENTIFIER. BerError: not an identifier that can be written."""
    if len(arcs) < 2 or not 0 <= arcs[0] <= 2 or arcs[1] < 0 or (arcs[0] < 2 and arcs[1] > 39):
        raise BerError("not the arcs of an object identifier", 0)
    return relative_oid_contents((40 * arcs[0] + arcs[1], *arcs[2:]))


@lru_cache(256)
def relative_oid_contents(arcs: tuple[int, ...]) -> bytes:
    """Contents of RELATIVE-OID. BerError: an arc that cannot be written."""
    if not 0 < len(arcs) <= MAX_ARCS or not all(0 <= arc <= MAX_ARC for arc in arcs):
        raise BerError(f"1 to {MAX_ARCS} arcs of 0 to {MAX_ARC}", 0)
    return b"".join(map(_base128, arcs))


def _base128(number: int) -> bytes:
    octets = [number & 0x7F]
    while number := number >> 7:
        octets.append(0x80 | number & 0x7F)
    return bytes(reversed(octets))
