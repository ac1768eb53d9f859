"""The short way reads what parse reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import x2x3
from imswire.errors import WireError
from imswire.x2x3 import Attribute, PacketReader, Pdu, X2X3Error, X3Template, packets
from tests.imswire.x2x3.samples import EVERY, KEEPALIVE, START, STREAM, TIME, XID, changed, pdus, tlv, with_attributes


def same(reader: PacketReader, octets: bytes) -> None:
    """The packet is what parse makes of the octets, or both refuse them alike."""
    try:
        expected = x2x3.parse(octets)
    except WireError as fault:
        with pytest.raises(X2X3Error) as caught:
            reader.packet(octets)
        assert str(caught.value) == str(fault)
        return
    found = reader.packet(octets)
    assert (found.sequence, found.time, found.payload) == (expected.sequence, expected.time, expected.payload)
    other = found.stream
    assert (other.kind, other.format, other.direction, other.xid, other.correlation, other.version) == (
        expected.kind, expected.format, expected.direction, expected.xid, expected.correlation, expected.version,
    )  # fmt: skip
    assert [each for each in other.attributes if each.type not in (8, 9)] == [
        each for each in expected.attributes if each.type not in (8, 9)
    ]


@given(st.lists(pdus.map(x2x3.build), max_size=6), st.data())
def test_any_pdus_in_any_order(sent, data):
    reader = PacketReader()
    for _ in range(12 if sent else 0):
        octets = bytearray(data.draw(st.sampled_from(sent)))
        if data.draw(st.booleans()):
            octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
        same(reader, bytes(octets))


def test_a_stream_is_known_by_its_second_packet():
    sent = X3Template(STREAM).pdus(7, [(TIME, b"one"), (TIME + 1, b"two"), (TIME + 2, b"")])
    first, second, third = PacketReader().packets(sent)
    assert first.stream is second.stream is third.stream and first.stream.payload == b""
    assert [(each.sequence, each.time, each.payload) for each in (first, second, third)] == [
        (7, TIME, b"one"), (8, TIME + 1, b"two"), (9, TIME + 2, b""),
    ]  # fmt: skip


def test_streams_with_headers_of_one_length_are_told_apart():
    reader = PacketReader()
    one = X3Template(STREAM).pdu(1, TIME, b"x")
    for place in (3, 13, 15, 20, 35, 46, 55):
        other = bytearray(one)
        other[place] ^= 1
        same(reader, one)
        same(reader, bytes(other))


def test_number_and_time_elsewhere_in_a_header_of_the_same_length():
    reader = PacketReader()
    for held in (
        (tlv(8, bytes(4)), tlv(9, bytes(8)), tlv(30, b"")),
        (tlv(30, b""), tlv(8, bytes(4)), tlv(9, bytes(8))),
    ):
        for _ in range(2):
            same(reader, with_attributes(*held, payload=b"x"))


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        KEEPALIVE,
        START[:50],
        with_attributes(tlv(9, bytes(8)), tlv(8, bytes(4))),
        with_attributes(tlv(8, bytes(4)), tlv(9, bytes(12))),
        with_attributes(tlv(8, bytes(4)), tlv(8, b"\0\0\0\1"), tlv(9, bytes(8))),
        with_attributes(tlv(8, bytes(4)), tlv(9, bytes(4) + b"\xff" * 4)),
        changed(START, 0, 1),
    ],
)
def test_what_goes_the_long_way(octets):
    reader = PacketReader()
    same(reader, octets)
    same(reader, octets)


def test_nanoseconds_of_a_second_or_more_in_a_stream_that_is_known():
    reader, octets = PacketReader(), X3Template(STREAM).pdu(1, TIME, b"x")
    place = octets.index(b"\x00\x09\x00\x08") + 8
    same(reader, octets)
    same(reader, changed(octets, place, 255, 255, 255, 255))
    same(reader, octets)


def test_majors():
    assert PacketReader({0, 5}).packet(changed(START, 0, 5, 0)).stream.version == (5, 0)


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(packets, "MAX_LAYOUTS", 3)
    monkeypatch.setattr(packets, "MAX_STREAMS", 2)
    reader = PacketReader()
    for number in range(9):
        held = (EVERY[7], EVERY[8], Attribute(30, bytes(number % 5)))
        octets = x2x3.build(Pdu(2, 5, 3, XID[:-1] + bytes([number]), attributes=held))
        same(reader, octets)
        assert len(reader._layouts) <= 3 and all(len(each.streams) <= 2 for each in reader._layouts.values())
