"""Readers made of declarations: whatever the octets, they read what the declaration reads, or leave it to that."""

from __future__ import annotations

import io
from typing import Any

import construct as c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire.mikey import layouts, payloads
from imswire.mikey.numbers import PayloadType
from imswire.mikey.reading import Unread, reader, strides
from tests.imswire.mikey.test_payloads import PAYLOADS, SESSIONS

LAYOUTS = [layouts.HEADER, *layouts.PAYLOADS.values()]
READERS = [reader(layout) for layout in LAYOUTS]


def plain(value: Any) -> Any:
    """Without what construct keeps for itself."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items() if name != "_io"}
    return [plain(each) for each in value] if isinstance(value, list) else value


def agree(number: int, octets: bytes, at: int) -> bool:
    """Whether both read; they then read the same, as far as the same place."""
    stream = io.BytesIO(octets)
    stream.seek(at)
    try:
        declared = plain(LAYOUTS[number].parse_stream(stream))
    except c.ConstructError:
        with pytest.raises(Unread):
            READERS[number](octets, at)
        return False
    fields, end = READERS[number](octets, at)
    assert (fields, end) == (declared, stream.tell())
    return True


@given(st.integers(0, len(LAYOUTS) - 1), st.binary(max_size=80), st.integers(0, 3))
def test_any_octets(number, octets, at):
    agree(number, octets, at)


@given(PAYLOADS, st.binary(max_size=4), st.data())
def test_payloads_whole_changed_and_cut(value, behind, data):
    number = 1 + list(layouts.PAYLOADS).index(payloads.payload_type(value))
    octets = bytearray(payloads.write_payload(value, PayloadType.LAST) + behind)
    assert agree(number, bytes(octets), 1)
    octets[data.draw(st.integers(1, len(octets) - 1))] = data.draw(st.integers(0, 255))
    agree(number, bytes(octets), 1)
    agree(number, bytes(octets[: data.draw(st.integers(0, len(octets)))]), 1)


@given(st.lists(SESSIONS, min_size=1, max_size=3), st.data())
def test_maps_whole_changed_and_cut(sessions, data):
    header = payloads.v.Header(0, 0, 1, 2, tuple(sessions))
    octets = bytearray(payloads.write_header(header, 0))
    assert agree(0, bytes(octets), 0)
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    agree(0, bytes(octets), 0)
    agree(0, bytes(octets[: data.draw(st.integers(0, len(octets)))]), 0)


def test_a_number_by_itself():
    layout = c.Struct("kind" / c.Byte, "choice" / c.Switch(c.this.kind, {1: c.Int16ub, 2: c.Array(2, c.Byte)}))
    read = reader(layout)
    assert read(b"\x01\x02\x03", 0) == ({"kind": 1, "choice": 515}, 3)
    assert read(b"\x02\x02\x03", 0) == ({"kind": 2, "choice": [2, 3]}, 3)
    for octets in (b"\x02\x02", b"\x01\x02", b"\x03"):
        with pytest.raises(Unread):
            read(octets, 0)


def test_a_kind_that_is_not_known_here():
    with pytest.raises(TypeError, match="GreedyRange"):
        reader(c.Struct("all" / c.GreedyRange(c.Byte)))


@given(PAYLOADS, st.binary(max_size=4))
def test_strides_end_where_a_payload_does(value, behind):
    number = payloads.payload_type(value)
    octets = payloads.write_payload(value, PayloadType.LAST) + behind
    steps = strides(layouts.PAYLOADS[number])
    if steps is None:
        return
    at = 1
    for fixed, length, table in steps:
        at += fixed
        if length:
            at += length + int.from_bytes(octets[at : at + length], "big")
        elif table:
            at += table[octets[at - 1]]
    assert at == len(octets) - len(behind)


def test_strides_of_what_is_told_otherwise():
    """Lengths in bits or by other fields, what is there or not, octets whose length no single octet tells."""
    for name in ("PKE", "DH", "SIGN", "KEY_DATA", "ECCPT"):
        assert strides(layouts.PAYLOADS[PayloadType[name]]) is None
    by_two = c.Struct("a" / c.Byte, "b" / c.Byte, "c" / c.Bytes(lambda this: this["a"] + this["b"]))
    assert strides(by_two) is None
    assert strides(c.Struct("a" / c.Int16ub, "b" / c.Bytes(lambda this: this["a"]))) is None
    assert strides(c.Struct("a" / c.Byte, "b" / c.Int16ub)) == ((3, 0, ()),)
