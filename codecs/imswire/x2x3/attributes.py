"""Conditional attributes of a header (TS 103 221-2 5.3): TLVs of a type and a length of 16 bits each.

Each type has one form, declared once for both directions. What does not have its form is kept as
:class:`Unreadable`: content is not lost for one bad field of its header.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from struct import Struct as Layout
from typing import Any, Final, NamedTuple

from msgspec import Struct

from imswire.x2x3.errors import X2X3Error
from imswire.x2x3.numbers import CORRELATION_LENGTH, XID_LENGTH, AttributeType

MAX_ATTRIBUTES: Final = 1_024  # of one header; the standard has 22 types, of which eight may stand several times
MAX_LENGTH: Final = 0xFFFF
SECOND: Final = 1_000_000_000

_HEAD = Layout("!HH")
_TIME = Layout("!II")
_LONG_TIME = Layout("!qi")
_OWNER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?", re.ASCII)


class Proprietary(Struct, frozen=True, gc=False):
    """Attribute 4: the owner's domain name, and a value that only the owner can tell more of."""

    owner: str
    value: bytes

    def __repr__(self) -> str:
        return f"Proprietary({self.owner!r}, <{len(self.value)} octets>)"


class AdditionalXid(Struct, frozen=True, gc=False):
    """Attribute 21: a further task that the same payload belongs to, with its own correlation and number."""

    xid: bytes
    correlation: bytes
    sequence: int | None = None


class Unreadable(Struct, frozen=True, gc=False):
    """The octets of a known attribute that has not the form of its type; ``reason`` names the rule."""

    octets: bytes
    reason: str = ""

    def __repr__(self) -> str:
        return f"Unreadable(<{len(self.octets)} octets>, {self.reason!r})"


Value = int | str | bytes | Proprietary | AdditionalXid | Unreadable


class Attribute(Struct, frozen=True, gc=False):
    """One attribute. ``value`` by type: octets of 1 to 3, 5 to 7, 10 to 13, 22 and of unknown types; a number of
    8, 14 to 16; nanoseconds since 1970 of 9; text of 17 to 20; :class:`Proprietary` of 4; :class:`AdditionalXid`
    of 21. 17 and 18 are the contents of X1's TargetIdentifier, as XML.
    """

    type: int
    value: Value

    def __repr__(self) -> str:
        return f"Attribute({name_of(self.type)})"


class _Form(NamedTuple):
    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes]
    repeats: bool = False


class _Bad(Exception):
    """Not of the form; the text is the rule."""


def _octets(length: int | None = None) -> Callable[[Any], bytes]:
    def same(value: Any) -> bytes:
        if not isinstance(value, bytes):
            raise _Bad("octets are expected")
        if length is not None and len(value) != length:
            raise _Bad(f"{len(value)} octets, {length} are expected")
        return value

    return same


def _number(width: int) -> _Form:
    exact = _octets(width)

    def read(octets: bytes) -> int:
        return int.from_bytes(exact(octets), "big")

    def write(value: Any) -> bytes:
        if not isinstance(value, int) or not 0 <= value < 1 << 8 * width:
            raise _Bad(f"not a number of {8 * width} bits")
        return value.to_bytes(width, "big")

    return _Form(read, write)


def _read_text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise _Bad("not UTF-8") from None


def _write_text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise _Bad("text is expected")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise _Bad("text that UTF-8 cannot carry") from None


def _read_time(octets: bytes) -> int:
    seconds, ns = _TIME.unpack(_octets(_TIME.size)(octets))
    if ns >= SECOND:
        raise _Bad("nanoseconds of a second or more")
    return seconds * SECOND + ns  # type: ignore[no-any-return]


def _write_time(value: Any) -> bytes:
    if not isinstance(value, int) or not 0 <= value < SECOND << 32:
        raise _Bad("a time before 1970 or out of range")
    return _TIME.pack(*divmod(value, SECOND))


def _read_proprietary(octets: bytes) -> Proprietary:
    size = octets[0] if octets else 0
    owner = octets[1 : 1 + size].decode("latin-1")
    if len(owner) < size or not _OWNER.fullmatch(owner):
        raise _Bad("no domain name of an owner in front")
    return Proprietary(owner, octets[1 + size :])


def _write_proprietary(value: Any) -> bytes:
    if not isinstance(value, Proprietary) or not _OWNER.fullmatch(value.owner):
        raise _Bad("the owner is no domain name")
    return bytes((len(value.owner),)) + value.owner.encode() + value.value


def _read_additional(octets: bytes) -> AdditionalXid:
    end = XID_LENGTH + CORRELATION_LENGTH
    if len(octets) not in (end, end + 4):
        raise _Bad(f"{len(octets)} octets, {end} or {end + 4} are expected")
    sequence = int.from_bytes(octets[end:], "big") if len(octets) > end else None
    return AdditionalXid(octets[:XID_LENGTH], octets[XID_LENGTH:end], sequence)


def _write_additional(value: Any) -> bytes:
    if not isinstance(value, AdditionalXid):
        raise _Bad("an AdditionalXid is expected")
    octets = _octets(XID_LENGTH)(value.xid) + _octets(CORRELATION_LENGTH)(value.correlation)
    return octets if value.sequence is None else octets + _number(4).write(value.sequence)


_ANY = _Form(_octets(), _octets())
_REPEATED = _ANY._replace(repeats=True)
_IPV4 = _Form(_octets(4), _octets(4))
_IPV6 = _Form(_octets(16), _octets(16))
_TEXT = _Form(_read_text, _write_text)
_PORT = _number(2)

FORMS: Final[dict[int, _Form]] = {
    AttributeType.TS_102_232_1: _REPEATED,
    AttributeType.TS_33_128: _REPEATED,
    AttributeType.TS_33_108: _REPEATED,
    AttributeType.PROPRIETARY: _Form(_read_proprietary, _write_proprietary, True),
    AttributeType.DOMAIN_ID: _ANY,
    AttributeType.NFID: _ANY,
    AttributeType.IPID: _ANY,
    AttributeType.SEQUENCE_NUMBER: _number(4),
    AttributeType.TIMESTAMP: _Form(_read_time, _write_time),
    AttributeType.SOURCE_IPV4: _IPV4,
    AttributeType.DESTINATION_IPV4: _IPV4,
    AttributeType.SOURCE_IPV6: _IPV6,
    AttributeType.DESTINATION_IPV6: _IPV6,
    AttributeType.SOURCE_PORT: _PORT,
    AttributeType.DESTINATION_PORT: _PORT,
    AttributeType.IP_PROTOCOL: _number(1),
    AttributeType.MATCHED_TARGET: _TEXT._replace(repeats=True),
    AttributeType.OTHER_TARGET: _TEXT._replace(repeats=True),
    AttributeType.MIME_TYPE: _TEXT,
    AttributeType.MIME_ENCODING: _TEXT,
    AttributeType.ADDITIONAL_XID: _Form(_read_additional, _write_additional, True),
    # Session descriptions are evidence: not all that is sent as one is UTF-8.
    AttributeType.SDP: _ANY,
}


def name_of(type_: int) -> str:
    """For errors and logs: ``SEQUENCE_NUMBER``, or the number of a type that nobody knows."""
    return AttributeType(type_).name if type_ in FORMS else str(type_)


def repeats(type_: int) -> bool:
    """Whether a type may stand several times; of the others the first one counts."""
    form = FORMS.get(type_)
    return form is None or form.repeats


def long_time(octets: bytes) -> int | None:
    """Nanoseconds since 1970 of a timestamp with seconds of 64 bits (and nanoseconds of 32), as some write it.

    None: it is none either, or not from 1970 to 2106.
    """
    if len(octets) != _LONG_TIME.size:
        return None
    seconds, ns = _LONG_TIME.unpack(octets)
    return seconds * SECOND + ns if 0 <= seconds < 1 << 32 and 0 <= ns < SECOND else None


def read(octets: bytes, start: int, end: int) -> tuple[Attribute, ...]:
    """The attributes from ``start`` to ``end``. X2X3Error: they do not end there, or are too many."""
    found: list[Attribute] = []
    at = start
    while at < end:
        if at + _HEAD.size > end:
            raise X2X3Error("attributes", "a type and length cut short", at)
        type_, length = _HEAD.unpack_from(octets, at)
        after = at + _HEAD.size + length
        if after > end:
            raise X2X3Error(f"attributes.{name_of(type_)}", f"{length} octets reach behind the header", at)
        if len(found) == MAX_ATTRIBUTES:
            raise X2X3Error("attributes", f"more than {MAX_ATTRIBUTES}", at)
        found.append(Attribute(type_, _read_value(type_, octets[at + _HEAD.size : after])))
        at = after
    return tuple(found)


def _read_value(type_: int, octets: bytes) -> Value:
    form = FORMS.get(type_)
    if form is None:
        return octets
    try:
        return form.read(octets)  # type: ignore[no-any-return]
    except _Bad as bad:
        return Unreadable(octets, str(bad))


def write(attributes: tuple[Attribute, ...]) -> bytes:
    """The TLVs, in the order given. X2X3Error: a value has not the form of its type."""
    if len(attributes) > MAX_ATTRIBUTES:
        raise X2X3Error("attributes", f"more than {MAX_ATTRIBUTES}")
    return b"".join(map(_write, attributes))


def _write(attribute: Attribute) -> bytes:
    name = f"attributes.{name_of(attribute.type)}"
    try:
        octets = _write_value(attribute.type, attribute.value)
    except _Bad as bad:
        raise X2X3Error(name, str(bad)) from None
    if len(octets) > MAX_LENGTH or not 0 <= attribute.type <= 0xFFFF:
        raise X2X3Error(name, f"{len(octets)} octets, or a type out of range")
    return _HEAD.pack(attribute.type, len(octets)) + octets


def _write_value(type_: int, value: Value) -> bytes:
    if not isinstance(value, Unreadable):
        return FORMS.get(type_, _ANY).write(value)
    if _read_value(type_, value.octets) != value:
        raise _Bad("marked as unreadable, which it is not for that reason")
    return value.octets
