"""The primitive types: both directions, their bounds, and what examination says of them."""

from __future__ import annotations

from enum import IntEnum

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imswire import ber
from imswire.ber import BerError
from imswire.hi import HiError, eps
from imswire.hi import primitives as p
from imswire.hi.contents import IRI_CONTENTS
from imswire.hi.examination import Report
from imswire.hi.schema import Sequence, must
from tests.imswire.hi.samples import EPS, TIME


class Kind(IntEnum):
    ONE = 1
    TWO = 2


def examined(kind, contents: bytes, keys: bool = False, head: bytes = b"\x80"):
    octets = ber.tlv(head, contents)
    report = Report(keys)
    node = kind.examine(octets, ber.read(octets), "x", report)
    return node.value, [finding.rule for finding in report.findings]


def again(kind, value):
    octets = ber.tlv(b"\x80", kind.write(value))
    return kind.read(octets, ber.read(octets))


@pytest.mark.parametrize(
    "kind, value",
    [
        (p.Octets(), b""),
        (p.Octets(1, 2), b"ab"),
        (p.Text(), "ö"),
        (p.Text(ber.PRINTABLE_STRING, 2, 2), "SE"),
        (p.Text(ber.NUMERIC_STRING), "123"),
        (p.Text(ber.IA5_STRING), "a@b"),
        (p.Integer(0, 255), 255),
        (p.Enumerated(Kind, "one two"), Kind.TWO),
        (p.Enumerated(Kind, "one two"), 9),
        (p.Boolean(), True),
        (p.Boolean(), False),
        (p.Null(), True),
        (p.Oid((1, 2)), 3),
        (p.Oid((1, 2), 2, (5,), relative=True), (3, 4)),
        (p.GeneralizedTime(), TIME),
        (p.UtcTime(), TIME // 10**9 * 10**9),
        (p.Raw(), b"\x80\x00"),
    ],
)
def test_what_is_written_is_read(kind, value):
    assert again(kind, value) == value


@pytest.mark.parametrize(
    "kind, value",
    [
        (p.Octets(1), b""),
        (p.Octets(1, 2), b"abc"),
        (p.Text(ber.PRINTABLE_STRING), "@"),
        (p.Text(ber.PRINTABLE_STRING, 2, 2), "SWE"),
        (p.Text(ber.NUMERIC_STRING), "12a"),
        (p.Text(ber.IA5_STRING), "ö"),
        (p.Text(), "\ud800"),
        (p.Integer(0, 255), 256),
        (p.Integer(0, 255), -1),
        (p.Enumerated(Kind, "one two", extensible=False), 3),
        (p.Enumerated(Kind, "one two"), 65_536),
        (p.Oid((1, 2)), (3, 4)),
        (p.GeneralizedTime(), -1),
        (p.UtcTime(), 10**30),
    ],
)
def test_values_out_of_bounds(kind, value):
    with pytest.raises(HiError):
        kind.write(value)


@pytest.mark.parametrize(
    "kind, contents",
    [
        (p.Text(), b"\xff"),
        (p.Text(ber.IA5_STRING), b"\xff"),
        (p.Integer(0, 1), b""),
        (p.Oid((1, 2)), b"\x2b\x01"),
        (p.Oid((1, 2)), b"\x2a\x01\x02"),
        (p.Oid((1, 2), 2), b"\x2a\x01"),
        (p.GeneralizedTime(), b"yesterday"),
        (p.UtcTime(), b"yesterday"),
    ],
)
def test_contents_that_are_none(kind, contents):
    octets = ber.tlv(b"\x80", contents)
    with pytest.raises((HiError, BerError)):
        kind.read(octets, ber.read(octets))
    value, rules = examined(kind, contents)
    assert value == f"<{len(contents)} octets, not readable>" and len(rules) == 1


@pytest.mark.parametrize(
    "kind, contents, shown, rules",
    [
        (p.Octets(), b"INVITE\r\n", "INVITE\\r\\n", []),
        (p.Octets(), b"\x01\x02", "0x0102", []),
        (p.Octets(), b"\xff", "0xff", []),
        (p.Octets(1, 2), b"abc", "abc", ["3 octets, 1 to 2 are allowed"]),
        (p.Octets(2), b"a", "a", ["1 octets, at least 2 are wanted"]),
        (p.Octets(binary=True), b"abc", "0x616263", []),
        (p.Octets(secret=True), b"abc", "<3 octets, withheld>", []),
        (p.Octets(), bytes(5_000), "0x" + "00" * 4_096 + " and 904 octets more", []),
        (p.Text(), "a\\ö\n".encode(), "a\\\\ö\\n", []),
        (p.Text(), b"a\x01\xc2\x85\n", "a\\x01\\x85\\n", []),
        (p.Text(ber.PRINTABLE_STRING), b"a@", "a@", ["a character that this kind of string does not have"]),
        (p.Integer(0, 9), b"\x0a", 10, ["10 is not in 0 to 9"]),
        (p.Integer(0, 9), b"\x00\x01", 1, ["integer longer than needed"]),
        (p.Integer(-9, 9), b"\xff\xff", -1, ["integer longer than needed"]),
        (p.Integer(0, 999), b"\x00\x80", 128, []),
        (p.Enumerated(Kind, "one two"), b"\x02", "two(2)", []),
        (p.Enumerated(Kind, "one two"), b"\x03", 3, []),
        (p.Enumerated(Kind, "one two", extensible=False), b"\x03", 3, ["no such value: 3"]),
        (p.Boolean(), b"\xff", "True", []),
        (p.Null(), b"", "NULL", []),
        (p.Oid((1, 2)), b"\x2a\x03", "1.2.3", []),
        (p.Oid((1, 2), 2), b"\x2a\x03\x04", "1.2.3.4", []),
        (p.GeneralizedTime(), b"20240102030405", "20240102030405Z", []),
        (p.GeneralizedTime(zoned=True), b"20240102030405", "20240102030405Z", ["local time without its zone"]),
        (p.GeneralizedTime(zoned=True), b"20240102030405Z", "20240102030405Z", []),
        (p.UtcTime(), b"600101000000Z", "-315619200000000000", ["a time from 1970 to 9999"]),
        (p.Raw(), b"\x80\x00", "0x8000", []),
    ],
)
def test_what_is_shown_and_said(kind, contents, shown, rules):
    assert examined(kind, contents) == (shown, rules)


def test_keys_are_shown_when_asked_for():
    assert examined(p.Octets(secret=True), b"abc", keys=True) == ("0x616263", [])


def test_keys_of_sdp_are_withheld_too():
    line = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^20|1:4;Inline:bW9yZQ==\r\n"
    shown = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:<withheld>|2^20|1:4;Inline:<withheld>\\r\\n"
    assert examined(p.Octets(), line) == (shown, [])
    assert "c2VjcmV0" in str(examined(p.Octets(), line, keys=True))


INSIDE = Sequence(dict, (must(0, "a", "a", p.Integer(0, 9)),), make=lambda found: found)


class One:
    a = 1


def test_containers():
    kind = p.Container(INSIDE)
    assert kind.write(One) == bytes.fromhex("3003800101")
    assert again(kind, One) == {"a": 1}
    octets = ber.tlv(b"\x80", kind.write(One))
    node = kind.examine(octets, ber.read(octets), "x", Report())
    assert [each.name for each in node.inside] == ["a"]


@pytest.mark.parametrize("contents", [b"", b"\x30\x01", b"\x31\x00", b"\x30\x00\x00"])
def test_containers_of_something_else(contents):
    octets = ber.tlv(b"\x80", contents)
    with pytest.raises((HiError, BerError)):
        p.Container(INSIDE).read(octets, ber.read(octets))
    value, rules = examined(p.Container(INSIDE), contents)
    assert value == "0x" + contents.hex() and len(rules) == 1


def test_a_container_in_pieces_is_not_looked_into():
    kind = p.Container(INSIDE)
    pieces = ber.tlv(b"\x04", b"\x30\x03") + ber.tlv(b"\x04", b"\x80\x01\x01")
    octets = ber.tlv(b"\xa0", pieces)
    assert kind.read(octets, ber.read(octets)) == {"a": 1}
    assert kind.examine(octets, ber.read(octets), "x", Report()).value == "0x" + pieces.hex()


def test_captured_alternatives():
    kind = p.Captured(IRI_CONTENTS)
    contents = eps.build(EPS["keys"])
    assert kind.write(contents) == contents
    octets = ber.tlv(b"\xa2", contents)
    assert kind.read(octets, ber.read(octets)) == contents
    assert kind.examine(octets, ber.read(octets), "x", Report()).inside[0].name == "ePSIRI"
    for wrong in (b"", b"\x30\x00", b"\xa0\x00\x00", b"\xa0\x01"):
        with pytest.raises(HiError):
            kind.write(wrong)


def test_a_sequence_and_nothing_else():
    assert p.sequence(b"\x30\x00").number == ber.SEQUENCE
    with pytest.raises(HiError, match="no SEQUENCE"):
        p.sequence(b"\xa0\x00")


@pytest.mark.parametrize(
    "octets, text", [(b"", ""), (b"sip:a", "sip:a"), (b"\t", "0x09"), (b"a\0", "0x6100"), (b"a\x7f", "0x617f")]
)
def test_readable(octets, text):
    assert p.readable(octets) == text


@example(2**63, [0, 1])  # nine octets
@example(120, [0, 20])  # of two widths
@given(
    st.one_of(st.integers(0, 2**64 - 300), st.sampled_from([0, 120, 127, 128, 32_700, 2**31, 2**55, 2**56])),
    st.lists(st.integers(0, 255), min_size=1, max_size=40),
)
def test_many_integers_at_once_are_those_one_by_one(base, steps):
    number = p.Integer(0, 2**64 - 1)
    values = tuple(base + step for step in steps)
    assert number.write_items(values) == b"".join(ber.tlv(b"\2", number.write(each)) for each in values)
