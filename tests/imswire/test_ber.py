"""BER (X.690): examples of the standard, bounds, and all that must be refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import ber
from imswire.ber import BerError


def octets(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("0500", (ber.UNIVERSAL, 5, False, 0, 2, 2, 2)),
        ("a003800101", (ber.CONTEXT, 0, True, 0, 2, 5, 5)),
        ("9f1f0100", (ber.CONTEXT, 31, False, 0, 3, 4, 4)),
        ("bf817f0181", (ber.CONTEXT, 255, True, 0, 4, 5, 5)),
        ("0481020000", (ber.UNIVERSAL, 4, False, 0, 3, 5, 5)),
        ("04880000000000000001ff", (ber.UNIVERSAL, 4, False, 0, 10, 11, 11)),
        ("308005000000", (ber.UNIVERSAL, 16, True, 0, 2, 4, 6)),
        ("4100", (ber.APPLICATION, 1, False, 0, 2, 2, 2)),
        ("c100", (ber.PRIVATE, 1, False, 0, 2, 2, 2)),
    ],
)
def test_a_tlv_and_its_places(text, expected):
    assert ber.read(octets(text)) == expected


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "nothing left"),
        ("04", "cut short in the length"),
        ("0402ff", "2 octets of contents where 1"),
        ("048901", "length of 9 octets"),
        ("0482ff", "cut short in the length"),
        ("0480", "indefinite length of a primitive"),
        ("04ff", "length of 127 octets"),
        ("1f", "cut short in the tag"),
        ("1f80", "leading zero"),
        ("1f1e00", "long form"),
        ("1fffffffff7f00", "tag above"),
        ("3080", "no end-of-contents"),
        ("308004", "no end-of-contents"),
        ("3080000100", "end-of-contents with a length"),
        ("308004800000", "indefinite length of a primitive"),
        ("30801f8181", "cut short in the tag"),
        ("30801f8101", "no end-of-contents"),
        ("3080048501", "cut short in the length"),
        ("3080" * 40, "indefinite lengths in one another"),
    ],
)
def test_what_is_no_tlv(text, reason):
    with pytest.raises(BerError, match=reason) as caught:
        ber.read(octets(text))
    assert caught.value.reason in str(caught.value) and caught.value.offset >= 0


def test_indefinite_lengths_in_one_another_and_definite_ones_in_them():
    data = octets("3080 3080 0401ff 9f1f0100 0481020000 0000 0500 0000".replace(" ", ""))
    outer = ber.read(data)
    assert outer.after == len(data) and outer.end == len(data) - 2
    inner, null = ber.elements(data, outer)
    assert null.number == ber.NULL and len(ber.elements(data, inner)) == 3


def test_a_tlv_ends_where_its_surroundings_do():
    with pytest.raises(BerError):
        ber.read(octets("300404050000"), 2, 4)


def test_only_one():
    assert ber.only(octets("0500")).number == 5
    with pytest.raises(BerError, match="1 octets behind"):
        ber.only(octets("050000"))


def test_elements_of_a_primitive():
    with pytest.raises(BerError, match="primitive"):
        ber.elements(b"\x04\x00", ber.read(b"\x04\x00"))


def test_a_string_in_pieces_in_pieces():
    data = octets("2480 0402aabb 2404 0402ccdd 040100 0000".replace(" ", ""))
    assert ber.string(data, ber.read(data)) == octets("aabbccdd00")


@pytest.mark.parametrize("text", ["a402a000", "a40280"])
def test_pieces_that_are_none(text):
    data = octets(text)
    with pytest.raises(BerError):
        ber.string(data, ber.read(data))


def test_pieces_too_deep():
    data = b"\x04\x00"
    for _ in range(ber.MAX_DEPTH + 1):
        data = ber.tlv(b"\x24", data)
    with pytest.raises(BerError, match="deep"):
        ber.string(data, ber.read(data))


@pytest.mark.parametrize(
    "value, text",
    [(0, "00"), (127, "7f"), (128, "0080"), (255, "00ff"), (256, "0100"), (-1, "ff"), (-128, "80"), (-129, "ff7f")],
)
def test_integers(value, text):
    assert ber.integer_contents(value) == octets(text)
    data = ber.tlv(b"\x02", octets(text))
    assert ber.integer(data, ber.read(data)) == value


@given(st.integers(-(1 << 63), (1 << 64) - 1))
def test_integers_come_back(value):
    data = ber.tlv(b"\x02", ber.integer_contents(value))
    assert ber.integer(data, ber.read(data)) == value


@pytest.mark.parametrize("text", ["0200", "020a00000000000000000000", "2203020101"])
def test_no_integers(text):
    data = octets(text)
    with pytest.raises(BerError):
        ber.integer(data, ber.read(data))


def test_an_integer_longer_than_needed_is_read():
    assert ber.integer(octets("02020001"), ber.read(octets("02020001"))) == 1


def test_booleans_and_null():
    assert ber.boolean(octets("0101ff"), ber.read(octets("0101ff"))) is True
    assert ber.boolean(octets("010100"), ber.read(octets("010100"))) is False
    ber.null(ber.read(octets("0500")))
    for text in ("0100", "0102ffff"):
        with pytest.raises(BerError, match="BOOLEAN"):
            ber.boolean(octets(text), ber.read(octets(text)))
    with pytest.raises(BerError, match="NULL"):
        ber.null(ber.read(octets("050100")))


@pytest.mark.parametrize(
    "arcs, text",
    [
        ((2, 100, 3), "813403"),  # X.690 8.19.5
        ((0, 4, 0, 2, 2, 5, 1, 43), "040002020501" + "2b"),
        ((1, 39), "4f"),
        ((0, 0), "00"),
        ((2, 999, 1 << 20), "8837" + "c08000"),
    ],
)
def test_object_identifiers(arcs, text):
    assert ber.oid_contents(arcs) == octets(text)
    data = ber.tlv(b"\x06", octets(text))
    assert ber.oid(data, ber.read(data)) == arcs


def test_relative_identifiers():
    assert ber.relative_oid_contents((8571, 3, 2)) == octets("c27b0302")  # X.690 8.20.5
    data = octets("0d04c27b0302")
    assert ber.relative_oid(data, ber.read(data)) == (8571, 3, 2)


@pytest.mark.parametrize(
    "text", ["0600", "060181", "06028001", "0603018001", "2602aabb", "0606ffffffffff7f", "0641" + "01" * 65]
)
def test_no_identifiers(text):
    data = octets(text)
    with pytest.raises(BerError):
        ber.oid(data, ber.read(data))


@pytest.mark.parametrize("arcs", [(1,), (3, 1), (1, 40), (-1, 1), (1, -1), (1, 1, -1), (1, 1, 1 << 35), (1,) * 70])
def test_identifiers_that_cannot_be_written(arcs):
    with pytest.raises(BerError):
        ber.oid_contents(arcs)


@pytest.mark.parametrize("size, text", [(0, "00"), (127, "7f"), (128, "8180"), (256, "820100"), (1 << 16, "83010000")])
def test_lengths(size, text):
    assert ber.length(size) == octets(text)


@pytest.mark.parametrize(
    "given_, text",
    [((2, 5, False), "85"), ((2, 30, True), "be"), ((2, 31, False), "9f1f"), ((0, 255, True), "3f817f")],
)
def test_identifier_octets(given_, text):
    assert ber.identifier(*given_) == octets(text)


@given(st.integers(0, 3), st.integers(0, ber.MAX_TAG), st.booleans(), st.binary(max_size=300))
def test_what_is_written_is_read(klass, number, constructed, contents):
    data = ber.tlv(ber.identifier(klass, number, constructed), contents)
    found = ber.only(data)
    assert found[:3] == (klass, number, constructed) and data[found.start : found.end] == contents


@given(st.binary(max_size=60))
def test_nothing_but_its_own_error(data):
    try:
        tlv = ber.read(data)
    except BerError:
        return
    assert 0 < tlv.start <= tlv.end <= tlv.after <= len(data)
    for read in (ber.string, ber.integer, ber.boolean, ber.oid, ber.relative_oid, ber.elements):
        try:
            read(data, tlv)
        except BerError:
            continue
