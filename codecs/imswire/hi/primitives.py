"""The primitive types of the modules, with their bounds."""

from __future__ import annotations

import re
import struct
from enum import IntEnum
from typing import Any

from imswire import ber
from imswire.ber import BerError, Tlv
from imswire.hi import times
from imswire.hi.errors import HiError
from imswire.hi.examination import Node, Report, hexadecimal, unknown
from imswire.hi.schema import Choice, Leaf, one_tlv

_INLINE = re.compile(rb"(inline:)[^|;\s]+", re.IGNORECASE)  # keys of a=crypto (RFC 4568)


class Octets(Leaf):
    """OCTET STRING. ``secret``: key material, withheld where it is shown. ``binary``: never shown as text."""

    def __init__(self, low: int = 0, high: int | None = None, *, secret: bool = False, binary: bool = False) -> None:
        self._low, self._high = low, high
        self._secret, self._binary = secret, secret or binary

    def wrong(self, value: bytes) -> str | None:
        return _size(len(value), self._low, self._high, "octets")

    def write(self, value: bytes) -> bytes:
        if self._low or self._high is not None:
            self._bounded(value)
        return value

    def read(self, octets: bytes, tlv: Tlv) -> bytes:
        return ber.string(octets, tlv)

    def shown(self, value: bytes, report: Report) -> str:
        if self._secret and not report.keys:
            return f"<{len(value)} octets, withheld>"
        if self._binary:
            return hexadecimal(value)
        return readable(value if report.keys else _INLINE.sub(rb"\1<withheld>", value))


_PRINTABLE = frozenset(" '()+,-./:=?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_DIGITS = frozenset("0123456789 ")
_CHARACTERS: dict[int, frozenset[str]] = {ber.PRINTABLE_STRING: _PRINTABLE, ber.NUMERIC_STRING: _DIGITS}


class Text(Leaf):
    """A character string: UTF8String, or one of ASCII."""

    def __init__(self, kind: int = ber.UTF8_STRING, low: int = 0, high: int | None = None) -> None:
        self.universal = kind
        self._coding = "utf-8" if kind == ber.UTF8_STRING else "ascii"
        self._low, self._high = low, high
        self._characters = _CHARACTERS.get(kind)

    def wrong(self, value: str) -> str | None:
        if self._characters is not None and not self._characters.issuperset(value):
            return "a character that this kind of string does not have"
        return _size(len(value), self._low, self._high, "characters")

    def write(self, value: str) -> bytes:
        self._bounded(value)
        try:
            return value.encode(self._coding)
        except UnicodeEncodeError:
            raise HiError("", "a character that this kind of string does not have") from None

    def read(self, octets: bytes, tlv: Tlv) -> str:
        try:
            return ber.string(octets, tlv).decode(self._coding)
        except UnicodeDecodeError:
            raise HiError("", f"no {self._coding.upper()}", tlv.at) from None

    def shown(self, value: str, report: Report) -> str:  # noqa: ARG002
        return escaped(value)


class Integer(Leaf):
    """INTEGER with its range."""

    universal = ber.INTEGER
    _listed: frozenset[int] | None = None

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def wrong(self, value: int) -> str | None:
        return None if self._low <= value <= self._high else f"{value} is not in {self._low} to {self._high}"

    def write(self, value: int) -> bytes:
        if not self._low <= value <= self._high or self._listed is not None:
            self._bounded(value)
        return ber.integer_contents(value)

    def write_items(self, values: tuple[int, ...]) -> bytes | None:
        """The TLVs of many at once (a hash lists a thousand numbers); None: one of them is to be refused."""
        if self.universal != ber.INTEGER or self._low < 0 or not values:
            return None
        least, most = min(values), max(values)
        if least < self._low or most > self._high:
            return None
        size = most.bit_length() >> 3
        if least.bit_length() >> 3 == size < _MAX_EVEN:  # neighbours mostly are as wide as one another
            return _even(values, size)
        return b"".join(
            [
                _INTEGER_HEADS[size] + each.to_bytes(size + 1, "big")
                for each in values
                for size in (each.bit_length() >> 3,)
            ]
        )

    def read(self, octets: bytes, tlv: Tlv) -> int:
        return ber.integer(octets, tlv)

    def shown(self, value: int, report: Report) -> int:  # noqa: ARG002
        return value

    def examine(self, octets: bytes, tlv: Tlv, name: str, report: Report) -> Node:
        if tlv.end - tlv.start > 1 and octets[tlv.start] in (0, 0xFF) and _same_sign(octets, tlv.start):
            report.say("integer longer than needed", tlv.at)
        return super().examine(octets, tlv, name, report)


_MAX_EVEN = 8


def _even(values: tuple[int, ...], size: int) -> bytes:
    """TLVs of values that all take ``size`` + 1 octets: all first octets at once, then all second ones."""
    out = bytearray((_INTEGER_HEADS[size] + bytes(size + 1)) * len(values))
    wide = struct.pack(f">{len(values)}Q", *values)
    for place in range(size + 1):
        out[2 + place :: size + 3] = wide[7 - size + place :: 8]
    return bytes(out)


_INTEGER_HEADS = tuple(bytes((ber.INTEGER, size + 1)) for size in range(ber.MAX_INTEGER_OCTETS))


def _same_sign(octets: bytes, at: int) -> bool:
    return octets[at] >> 7 == octets[at + 1] >> 7


class Enumerated(Integer):
    """ENUMERATED: the member of ``kind``, or a plain number that is not in it, which only an extension may send.

    ``names`` are those of the module, in the order of ``kind``.
    """

    universal = ber.ENUMERATED

    def __init__(self, kind: type[IntEnum], names: str, *, extensible: bool = True) -> None:
        super().__init__(0, 65_535)
        self._kind: dict[int, IntEnum] = {member.value: member for member in kind}
        self._names = dict(zip((member.value for member in kind), names.split(), strict=True))
        self._listed = None if extensible else frozenset(self._kind)

    def wrong(self, value: int) -> str | None:
        if self._listed is not None and value not in self._listed:
            return f"no such value: {value}"
        return super().wrong(value)

    def read(self, octets: bytes, tlv: Tlv) -> int:
        value = ber.integer(octets, tlv)
        return self._kind.get(value, value)

    def shown(self, value: int, report: Report) -> str | int:  # type: ignore[override]  # noqa: ARG002
        return f"{self._names[value]}({int(value)})" if value in self._names else int(value)


class Boolean(Leaf):
    """BOOLEAN."""

    universal = ber.BOOLEAN

    def write(self, value: bool) -> bytes:
        return b"\xff" if value else b"\0"

    def read(self, octets: bytes, tlv: Tlv) -> bool:
        return ber.boolean(octets, tlv)


class Null(Leaf):
    """NULL: read as ``value``, written when the value is that."""

    universal = ber.NULL

    def __init__(self, value: Any = True) -> None:
        self._value = value

    def write(self, value: Any) -> bytes:  # noqa: ARG002
        return b""

    def read(self, octets: bytes, tlv: Tlv) -> Any:  # noqa: ARG002
        ber.null(tlv)
        return self._value

    def shown(self, value: Any, report: Report) -> str:  # noqa: ARG002
        return "NULL"


_FEW = 16


class Oid(Leaf):
    """OBJECT IDENTIFIER or RELATIVE-OID (``relative``) of a module: arcs before and behind those that tell the
    version. The value is the version: a number, or a tuple of ``arcs`` numbers.
    """

    def __init__(
        self, before: tuple[int, ...], arcs: int = 1, behind: tuple[int, ...] = (), *, relative: bool = False
    ) -> None:
        self.universal = ber.RELATIVE_OID if relative else ber.OBJECT_IDENTIFIER
        self._before, self._arcs, self._behind = before, arcs, behind
        self._relative = relative
        self._usual: dict[Any, bytes] = {}  # of the first few versions: a sender has one

    def write(self, value: Any) -> bytes:
        contents = self._usual.get(value)
        if contents is None:
            contents = self._contents(value)
            if len(self._usual) < _FEW:
                self._usual[value] = contents
        return contents

    def _contents(self, value: Any) -> bytes:
        version = (value,) if isinstance(value, int) else tuple(value)
        if len(version) != self._arcs:
            raise HiError("", f"a version of {self._arcs} arcs")
        arcs = self._before + version + self._behind
        return ber.relative_oid_contents(arcs) if self._relative else ber.oid_contents(arcs)

    def read(self, octets: bytes, tlv: Tlv) -> Any:
        arcs = ber.relative_oid(octets, tlv) if self._relative else ber.oid(octets, tlv)
        first = len(self._before)
        last = first + self._arcs
        if arcs[:first] != self._before or arcs[last:] != self._behind or len(arcs) < last:
            raise HiError("", f"object identifier {dotted(arcs)} is not {self._pattern()}", tlv.at)
        return arcs[first] if self._arcs == 1 else arcs[first:last]

    def shown(self, value: Any, report: Report) -> str:  # noqa: ARG002
        return dotted(self._before + ((value,) if self._arcs == 1 else value) + self._behind)

    def _pattern(self) -> str:
        return ".".join([*map(str, self._before), *"n" * self._arcs, *map(str, self._behind)])


def dotted(arcs: tuple[int, ...]) -> str:
    """Arcs as "0.4.0.2.2.5.1.43"."""
    return ".".join(map(str, arcs))


class _Time(Leaf):
    """A time in nanoseconds; what is read is cut to what the type can say when it is written."""

    kind = ""

    def wrong(self, value: int) -> str | None:
        return None if 0 <= value < times.LAST else f"a time from 1970 to {times.LAST_YEAR}"

    def _text(self, octets: bytes, tlv: Tlv) -> str:
        return ber.string(octets, tlv)[:64].decode("ascii", "replace")

    def _known(self, value: int | None, tlv: Tlv) -> int:
        if value is None:
            raise HiError("", f"no {self.kind}", tlv.at)
        return value

    def shown(self, value: int, report: Report) -> str:  # noqa: ARG002
        return times.generalized(value) if 0 <= value < times.LAST else str(value)


class GeneralizedTime(_Time):
    """GeneralizedTime: written in UTC to microseconds."""

    universal = ber.GENERALIZED_TIME
    kind = "GeneralizedTime"

    def __init__(self, *, zoned: bool = False) -> None:
        """``zoned``: local time has to say its zone."""
        self._zoned = zoned

    def examine(self, octets: bytes, tlv: Tlv, name: str, report: Report) -> Node:
        if self._zoned and not self._has_zone(octets, tlv):
            report.say("local time without its zone", tlv.at)
        return super().examine(octets, tlv, name, report)

    def _has_zone(self, octets: bytes, tlv: Tlv) -> bool:
        """Of what is no string, reading says so."""
        try:
            return times.has_zone(self._text(octets, tlv))
        except BerError:
            return True

    def write(self, value: int) -> bytes:
        self._bounded(value)
        return times.generalized(value).encode()

    def read(self, octets: bytes, tlv: Tlv) -> int:
        return self._known(times.of_generalized(self._text(octets, tlv)), tlv)


class UtcTime(_Time):
    """UTCTime: written to seconds."""

    universal = ber.UTC_TIME
    kind = "UTCTime"

    def write(self, value: int) -> bytes:
        self._bounded(value)
        return times.utc(value).encode()

    def read(self, octets: bytes, tlv: Tlv) -> int:
        return self._known(times.of_utc(self._text(octets, tlv)), tlv)


class Raw(Leaf):
    """A SEQUENCE that is carried as it is: the value is its contents. Shown in hexadecimal."""

    universal = ber.SEQUENCE
    constructed = True

    def write(self, value: bytes) -> bytes:
        return value

    def read(self, octets: bytes, tlv: Tlv) -> bytes:
        return octets[tlv.start : tlv.end]

    def shown(self, value: bytes, report: Report) -> str:  # noqa: ARG002
        return hexadecimal(value)


class Captured:
    """A CHOICE whose value is the TLV of its alternative, unread; examination goes into those that are given."""

    universal = -1
    constructed = True

    def __init__(self, alternatives: Choice) -> None:
        self._alternatives = alternatives

    def write(self, value: bytes) -> bytes:
        return one_tlv(value)

    def read(self, octets: bytes, tlv: Tlv) -> bytes:
        return octets[tlv.start : tlv.end]

    def examine(self, octets: bytes, tlv: Tlv, name: str, report: Report) -> Node:
        return self._alternatives.examine(octets, tlv, name, report)


class Container(Leaf):
    """OCTET STRING CONTAINING a SEQUENCE: the value is that of the SEQUENCE."""

    def __init__(self, inside: Any) -> None:
        self._inside = inside

    def write(self, value: Any) -> bytes:
        return ber.tlv(b"\x30", self._inside.write(value))

    def read(self, octets: bytes, tlv: Tlv) -> Any:
        contents = ber.string(octets, tlv)
        return self._inside.read(contents, sequence(contents))

    def examine(self, octets: bytes, tlv: Tlv, name: str, report: Report) -> Node:
        if tlv.constructed:
            return unknown(octets, tlv)  # in pieces: what is inside has no offsets of its own
        try:
            inner = ber.read(octets, tlv.start, tlv.end)
        except ber.BerError as fault:
            report.say(fault.reason, fault.offset)
            return unknown(octets, tlv)
        if inner.after != tlv.end or (inner.klass, inner.number) != (ber.UNIVERSAL, ber.SEQUENCE):
            report.say("not one SEQUENCE", tlv.start)
            return unknown(octets, tlv)
        return self._inside.examine(octets, inner, name, report)  # type: ignore[no-any-return]


def sequence(octets: bytes) -> Tlv:
    """The SEQUENCE that the octets are."""
    tlv = ber.only(octets)
    if (tlv.klass, tlv.number) != (ber.UNIVERSAL, ber.SEQUENCE):
        raise HiError("", "no SEQUENCE", tlv.at)
    return tlv


def _size(size: int, low: int, high: int | None, unit: str) -> str | None:
    if high is None:
        return None if size >= low else f"{size} {unit}, at least {low} are wanted"
    return None if low <= size <= high else f"{size} {unit}, {low} to {high} are allowed"


_CONTROLS = frozenset(map(chr, (*range(32), 127))) - frozenset("\r\n\t")


def readable(octets: bytes) -> str:
    """Octets as text where they are text (SIP, SDP, identifiers), else in hexadecimal."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        return hexadecimal(octets)
    if text.isspace() or not _CONTROLS.isdisjoint(text):
        return hexadecimal(octets)
    return escaped(text)


_ESCAPES = str.maketrans({"\\": "\\\\", "\r": "\\r", "\n": "\\n", "\t": "\\t"})


def escaped(text: str) -> str:
    """Text on one line, control characters as escapes."""
    text = text.translate(_ESCAPES)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
