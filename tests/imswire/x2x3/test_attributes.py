"""Attributes 1 to 22: forms, bounds, and what has not its form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire.x2x3 import AdditionalXid, Attribute, AttributeType, Proprietary, Unreadable, X2X3Error
from imswire.x2x3.attributes import FORMS, MAX_ATTRIBUTES, long_time, name_of, read, repeats, write
from tests.imswire.x2x3.samples import EVERY, TIME, XID, known, tlv, unknown


def one(type_: int, octets: bytes) -> Attribute:
    (found,) = read(tlv(type_, octets), 0, 4 + len(octets))
    return found


@given(st.lists(known | unknown, max_size=8).map(tuple))
def test_round_trip(held):
    octets = write(held)
    assert read(octets, 0, len(octets)) == held


@given(st.lists(st.builds(tlv, st.integers(0, 30), st.binary(max_size=30)), max_size=6).map(b"".join))
def test_octets_that_are_read_are_those_that_are_written(octets):
    """Also of attributes that have not their form."""
    assert write(read(octets, 0, len(octets))) == octets


def test_one_of_each():
    octets = write(EVERY)
    assert read(octets, 0, len(octets)) == EVERY
    assert {each.type for each in EVERY} == set(FORMS)


@pytest.mark.parametrize(
    "attribute, octets",
    [
        (Attribute(4, Proprietary("a.example", b"xy")), "0004000c 09612e6578616d706c65 7879"),
        (Attribute(8, 7), "00080004 00000007"),
        (Attribute(9, 1_700_000_000_123_456_000), "00090008 6553f100 075bca00"),
        (Attribute(15, 5060), "000f0002 13c4"),
        (Attribute(16, 17), "00100001 11"),
        (Attribute(17, "<impu>sip:a@x</impu>"), "00110014 3c696d70753e7369703a6140783c2f696d70753e"),
        (Attribute(21, AdditionalXid(XID, bytes(8))), "00150018 000102030405060708090a0b0c0d0e0f 0000000000000000"),
        (
            Attribute(21, AdditionalXid(XID, bytes(8), 1)),
            "0015001c 000102030405060708090a0b0c0d0e0f 0000000000000000 00000001",
        ),
        (Attribute(99, b"later"), "00630005 6c61746572"),
    ],
)
def test_octets(attribute, octets):
    assert write((attribute,)) == bytes.fromhex(octets) and read(
        bytes.fromhex(octets), 0, len(write((attribute,)))
    ) == (attribute,)


@pytest.mark.parametrize(
    "type_, octets, rule",
    [
        (4, b"", "no domain name"),
        (4, b"\x05abc", "no domain name"),
        (4, b"\x02-a", "no domain name"),
        (4, b"\x02a\xff", "no domain name"),
        (8, b"\x00\x07", "2 octets, 4 are expected"),
        (9, bytes(12), "12 octets, 8 are expected"),
        (9, bytes(4) + b"\x3b\x9a\xca\x00", "a second or more"),
        (10, bytes(16), "16 octets, 4 are expected"),
        (13, bytes(4), "4 octets, 16 are expected"),
        (17, b"\xff", "not UTF-8"),
        (21, bytes(25), "25 octets, 24 or 28"),
    ],
)
def test_what_has_not_its_form_is_kept(type_, octets, rule):
    found = one(type_, octets)
    assert isinstance(found.value, Unreadable) and found.value.octets == octets and rule in found.value.reason
    assert write((found,)) == tlv(type_, octets)


@pytest.mark.parametrize(
    "type_, value, rule",
    [
        (1, "text", "octets are expected"),
        (4, b"", "no domain name"),
        (4, Proprietary("", b""), "no domain name"),
        (4, Proprietary("x" * 256, b""), "no domain name"),
        (4, Proprietary("a\n", b""), "no domain name"),
        (8, -1, "not a number of 32 bits"),
        (8, 1 << 32, "not a number of 32 bits"),
        (8, b"\0\0\0\1", "not a number of 32 bits"),
        (9, -1, "before 1970"),
        (9, (1 << 32) * 10**9, "before 1970"),
        (9, "now", "before 1970"),
        (10, b"123", "3 octets, 4 are expected"),
        (14, 65_536, "not a number of 16 bits"),
        (17, b"<a/>", "text is expected"),
        (17, "\ud800", "UTF-8 cannot carry"),
        (21, b"", "an AdditionalXid is expected"),
        (21, AdditionalXid(b"short", bytes(8)), "5 octets, 16 are expected"),
        (21, AdditionalXid(XID, bytes(8), 1 << 32), "not a number of 32 bits"),
        (22, bytes(65_536), "65536 octets"),
        (65_536, b"", "type out of range"),
        (-1, b"", "type out of range"),
        (99, 5, "octets are expected"),
        (8, Unreadable(bytes(4)), "marked as unreadable"),
        (8, Unreadable(bytes(3), "some other reason"), "marked as unreadable"),
    ],
)
def test_values_out_of_bounds(type_, value, rule):
    with pytest.raises(X2X3Error, match=rule):
        write((Attribute(type_, value),))


@pytest.mark.parametrize(
    "octets, rule",
    [
        (b"\x00", "cut short"),
        (b"\x00\x08\x00", "cut short"),
        (tlv(8, bytes(4))[:-1], "SEQUENCE_NUMBER at offset 0: 4 octets reach behind"),
        (tlv(99, b"") + tlv(99, bytes(4))[:-1], "99 at offset 4"),
        (tlv(99, b"") * (MAX_ATTRIBUTES + 1), "more than 1024"),
    ],
)
def test_broken_lists(octets, rule):
    with pytest.raises(X2X3Error, match=rule):
        read(octets, 0, len(octets))


def test_too_many_to_write():
    assert len(read(tlv(99, b"") * MAX_ATTRIBUTES, 0, 4 * MAX_ATTRIBUTES)) == MAX_ATTRIBUTES
    with pytest.raises(X2X3Error, match="more than"):
        write((Attribute(99, b""),) * (MAX_ATTRIBUTES + 1))


def test_a_time_with_seconds_of_64_bits():
    """As implementations exist that write it: read beside the standard, never written."""
    seconds, ns = divmod(TIME, 10**9)
    assert long_time(seconds.to_bytes(8, "big") + ns.to_bytes(4, "big")) == TIME
    for octets in (bytes(8), b"\xff" * 12, (1 << 32).to_bytes(8, "big") + bytes(4), bytes(8) + b"\x3b\x9a\xca\x00"):
        assert long_time(octets) is None


def test_names_and_repetition():
    assert name_of(8) == "SEQUENCE_NUMBER" and name_of(99) == "99"
    assert [type_ for type_ in AttributeType if repeats(type_)] == [1, 2, 3, 4, 17, 18, 21] and repeats(99)


def test_no_representation_shows_a_value():
    for each in (*EVERY, Attribute(17, Unreadable(b"sip:alice", "rule"))):
        assert "alice" not in repr(each) and "35145" not in repr(each)
    assert "value" not in repr(Proprietary("a.example", b"value")) and "alice" not in repr(Unreadable(b"alice"))
