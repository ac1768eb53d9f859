"""Readers made of declarations: the same fields as construct reads, without its streams, paths and containers.

A reader knows only what is right. Whatever else comes it leaves to the declaration itself, which says what is wrong
and where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct, error
from typing import Any

import construct as c

Fields = dict[str, Any]
Reader = Callable[[bytes, int], tuple[Fields, int]]
"""The fields from an offset on, and the offset behind them. Unread: they are not of their form."""

_Part = Callable[[bytes, int, Fields], tuple[Any, int]]
"""One field, given those before it."""


class Unread(Exception):
    """Octets that are left to the declaration."""


def reader(layout: c.Construct[Any, Any]) -> Reader:
    """That of a Struct. TypeError: it has a part of a kind that no structure of MIKEY has had so far."""
    read = _part(layout)

    def whole(octets: bytes, at: int) -> tuple[Fields, int]:
        try:
            fields, end = read(octets, at, {})
        except (error, c.ConstructError, LookupError):
            raise Unread from None
        if end > len(octets):
            raise Unread
        return fields, end

    return whole


Stride = tuple[int, int, tuple[int, ...]]
"""Octets of fixed fields; of the length field behind them (0: there is none); how long the field behind is by the
last octet of the fixed ones (empty: there is none).
"""
# Longer than any message: the number of something unknown.
_BEYOND = 1 << 20


def strides(layout: Any) -> tuple[Stride, ...] | None:
    """From field to field of a Struct, for who wants no values; None: its lengths are not told so simply."""
    found: list[Stride] = []
    fixed, last = 0, ""
    for each in layout.subcons:
        inner = _bare(each)
        kind = type(inner)
        if kind in (c.FormatField, c.Transformed):
            fixed, last = fixed + inner.sizeof(), each.name if inner.sizeof() == 1 else ""
            continue
        if kind is c.Prefixed:
            found.append((fixed, inner.lengthfield.length, ()))
        elif kind is c.Bytes and last:
            table = _table(inner.length, last)
            if table is None:
                return None
            found.append((fixed, 0, table))
        else:
            return None
        fixed, last = 0, ""
    return (*found, (fixed, 0, ())) if fixed else tuple(found)


def _table(length: Callable[[Fields], int], name: str) -> tuple[int, ...] | None:
    """A length by each value of the octet that tells it; None: something else tells it."""
    found = []
    for number in range(256):
        try:
            found.append(length({name: number}))
        except c.MappingError:
            found.append(_BEYOND)
        except (LookupError, TypeError):
            return None
    return tuple(found)


def _part(layout: Any) -> _Part:
    """The reader of one declared field. It may end behind the octets: that is seen in the end."""
    make = _KINDS.get(type(layout))
    if make is None:
        raise TypeError(f"no reader for {type(layout).__name__}")
    return make(layout)


def _struct(layout: Any) -> _Part:
    steps = list(_steps(layout.subcons))

    def read(octets: bytes, at: int, _: Fields) -> tuple[Fields, int]:
        fields: Fields = {}
        for names, unpack, size, name, part in steps:
            if part is None:
                fields.update(zip(names, unpack(octets, at), strict=True))
                at += size
            else:
                fields[name], at = part(octets, at, fields)
        return fields, at

    return read


def _bare(layout: Any) -> Any:
    """What stands behind a name, or behind a default that only writing needs."""
    while isinstance(layout, c.Renamed | c.Default):
        layout = layout.subcon
    return layout


_Step = tuple[tuple[str, ...], Callable[[bytes, int], tuple[Any, ...]], int, str, _Part | None]


def _steps(parts: list[Any]) -> Iterator[_Step]:
    """Fields of fixed size that follow one another are read at once, all others one by one."""
    names: list[str] = []
    formats = ">"
    for each in [*parts, None]:
        inner = None if each is None else _bare(each)
        if isinstance(inner, c.FormatField):
            names.append(each.name)
            formats += inner.fmtstr[1:]
            continue
        if names:
            fixed = Struct(formats)
            yield tuple(names), fixed.unpack_from, fixed.size, "", None
            names, formats = [], ">"
        if each is not None:
            yield (), _nothing, 0, each.name, _part(inner)


def _nothing(_octets: bytes, _at: int) -> tuple[Any, ...]:
    return ()


def _number(layout: Any) -> _Part:
    """A whole number, big endian as all are here."""
    size = layout.length

    def read(octets: bytes, at: int, _: Fields) -> tuple[int, int]:
        return int.from_bytes(octets[at : at + size], "big"), at + size

    return read


def _bits(layout: Any) -> _Part:
    """Fields of some bits each, from the highest to the lowest of their octets."""
    size = layout.decodeamount
    places: list[tuple[str, int, int, Callable[[int], Any]]] = []
    shift = 8 * size
    for each in layout.subcon.subcons:
        inner = _bare(each)
        width = inner.sizeof()
        shift -= width
        places.append((each.name, shift, (1 << width) - 1, bool if inner is c.Flag else int))

    def read(octets: bytes, at: int, _: Fields) -> tuple[Fields, int]:
        number = int.from_bytes(octets[at : at + size], "big")
        return {name: kind(number >> down & mask) for name, down, mask, kind in places}, at + size

    return read


def _prefixed(layout: Any) -> _Part:
    """Octets behind their length, and all of them."""
    size = layout.lengthfield.length

    def read(octets: bytes, at: int, _: Fields) -> tuple[bytes, int]:
        start = at + size
        end = start + int.from_bytes(octets[at:start], "big")
        return octets[start:end], end

    return read


def _octets(layout: Any) -> _Part:
    """Octets whose number other fields tell."""
    length = layout.length

    def read(octets: bytes, at: int, fields: Fields) -> tuple[bytes, int]:
        end = at + length(fields)
        return octets[at:end], end

    return read


def _padding(layout: Any) -> _Part:
    def read(_octets: bytes, at: int, fields: Fields) -> tuple[None, int]:
        return None, at + layout.length(fields)

    return read


def _switch(layout: Any) -> _Part:
    """One form or another, as a number before it tells; that of an unknown one is not read."""
    key = layout.keyfunc
    cases = {number: _part(case) for number, case in layout.cases.items()}

    def read(octets: bytes, at: int, fields: Fields) -> tuple[Any, int]:
        return cases[key(fields)](octets, at, fields)

    return read


def _optional(layout: Any) -> _Part:
    """A field that is there or not, as another one tells."""
    condition, then = layout.condfunc, _part(layout.thensubcon)

    def read(octets: bytes, at: int, fields: Fields) -> tuple[Any, int]:
        return then(octets, at, fields) if condition(fields) else (None, at)

    return read


def _array(layout: Any) -> _Part:
    """So many of one form."""
    count, part = layout.count, _part(layout.subcon)
    if isinstance(layout.subcon, c.FormatField) and layout.subcon.length == 1:
        return _octet_array(count)

    def read(octets: bytes, at: int, fields: Fields) -> tuple[list[Any], int]:
        found = []
        for _ in range(count(fields) if callable(count) else count):
            if at >= len(octets):
                raise Unread
            each, at = part(octets, at, fields)
            found.append(each)
        return found, at

    return read


def _octet_array(count: Any) -> _Part:
    """Numbers of one octet each."""

    def read(octets: bytes, at: int, fields: Fields) -> tuple[list[int], int]:
        end = at + (count(fields) if callable(count) else count)
        return list(octets[at:end]), end

    return read


_KINDS: dict[type[Any], Callable[[Any], _Part]] = {
    c.Struct: _struct,
    c.FormatField: _number,
    c.Transformed: _bits,
    c.Prefixed: _prefixed,
    c.Bytes: _octets,
    c.Padded: _padding,
    c.Switch: _switch,
    c.IfThenElse: _optional,
    c.Array: _array,
}
