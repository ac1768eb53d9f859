"""SEQUENCE, SEQUENCE OF and CHOICE from tables: both directions, and examination."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from imswire import ber
from imswire.ber import BerError
from imswire.hi import HiError, schema
from imswire.hi.examination import Report
from imswire.hi.primitives import Integer, Octets
from imswire.hi.schema import Choice, Member, Sequence, SequenceOf, must


class Pair(Struct, frozen=True):
    a: int
    b: bytes | None = None


class More(Struct, frozen=True):
    a: int
    rest: tuple[bytes, ...] = ()


NUMBER = Integer(0, 9)
PAIR = Sequence(Pair, (must(0, "a", "a", NUMBER), Member(1, "b", "b", Octets(0, 3)), Member(9, "seen", "", Octets())))
MORE = Sequence(More, (must(0, "a", "a", NUMBER),), rest="rest")
NUMBERS = SequenceOf(NUMBER, 1, 2)
CHOICE: Choice = Choice(
    (must(0, "number", "", NUMBER), must(1, "pair", "", PAIR)),
    lambda value: (1 if isinstance(value, Pair) else 0, value),
    lambda _, inner: inner,
)
OPEN = Choice(
    (must(0, "number", "", NUMBER),), lambda value: value, lambda tag, inner: (tag, inner), lambda *both: both
)


def tlv(text: str, head: str = "30") -> tuple[bytes, ber.Tlv]:
    octets = ber.tlv(bytes.fromhex(head), bytes.fromhex(text))
    return octets, ber.read(octets)


def rules(kind: Any, text: str, head: str = "30") -> list[str]:
    octets, place = tlv(text, head)
    report = Report()
    kind.examine(octets, place, "x", report)
    return [f"{finding.path}: {finding.rule}" if finding.path else finding.rule for finding in report.findings]


@pytest.mark.parametrize(
    "kind, value, text",
    [
        (PAIR, Pair(1), "800101"),
        (PAIR, Pair(1, b"x"), "800101810178"),
        (MORE, More(1), "800101"),
        (MORE, More(1, (b"\x85\x00", b"\xa6\x00")), "8001018500a600"),
        (NUMBERS, (1,), "020101"),
        (NUMBERS, (1, 2), "020101020102"),
        (SequenceOf(CHOICE), (1, Pair(2)), "800101a103800102"),
        (CHOICE, Pair(1), "a103800101"),
        (CHOICE, 5, "800105"),
        (OPEN, (0, 5), "800105"),
        (OPEN, (7, b"\x87\x00"), "8700"),
    ],
)
def test_both_directions(kind, value, text):
    assert kind.write(value).hex() == text
    assert kind.read(*tlv(text)) == value
    assert rules(kind, text) == []


@pytest.mark.parametrize(
    "kind, value, path, rule",
    [
        (PAIR, Pair(10), "a", "10 is not in 0 to 9"),
        (PAIR, Pair(1, b"long"), "b", "4 octets"),
        (Sequence(Pair, (must(1, "b", "b", Octets()),)), Pair(1), "b", "missing"),
        (MORE, More(1, (b"\x30\x00",)), "", "context class"),
        (NUMBERS, (), "", "0 items"),
        (NUMBERS, (1, 2, 3), "", "3 items"),
        (NUMBERS, (1, 10), "[1]", "10 is not"),
        (CHOICE, 10, "number", "10 is not"),
        (CHOICE, Pair(10), "pair.a", "10 is not"),
        (OPEN, (7, 1), "", "no alternative with tag 7"),
        (OPEN, (7, b"x"), "", "not one TLV"),
    ],
)
def test_what_cannot_be_written(kind, value, path, rule):
    with pytest.raises(HiError, match=rule) as caught:
        kind.write(value)
    assert caught.value.path == path and caught.value.offset is None


@pytest.mark.parametrize(
    "kind, text, path, rule",
    [
        (PAIR, "", "a", "missing"),
        (PAIR, "800101800101", "a", "twice"),
        (PAIR, "8000", "a", "integer of 1"),
        (PAIR, "80", "", "cut short"),
        (NUMBERS, "040101", "[0]", "tag 4 of class 0 where 2"),
        (NUMBERS, "0201010200", "[1]", "integer of 1"),
        (CHOICE, "", "", "0 TLVs"),
        (CHOICE, "800101800101", "", "2 TLVs"),
        (CHOICE, "820101", "", "no such alternative: tag 2 of class 2"),
        (CHOICE, "020101", "", "no such alternative: tag 2 of class 0"),
        (CHOICE, "a100", "pair.a", "missing"),
        (OPEN, "020101", "", "no such alternative"),
    ],
)
def test_what_cannot_be_read(kind, text, path, rule):
    with pytest.raises((HiError, BerError), match=rule) as caught:
        kind.read(*tlv(text))
    assert getattr(caught.value, "path", "") == path and caught.value.offset is not None


def test_extensions_are_stepped_over():
    assert PAIR.read(*tlv("8001018500020100")) == Pair(1)


@pytest.mark.parametrize(
    "kind, text, found",
    [
        (PAIR, "", ["a: missing"]),
        (PAIR, "800101800101", ["a: twice"]),
        (PAIR, "810178800101", ["a: behind a member that it comes before"]),
        (PAIR, "80010a", ["a: 10 is not in 0 to 9"]),
        (PAIR, "80010181", ["cut short in the length"]),
        (PAIR, "8001018500", []),
        (PAIR, "800101020100", []),
        (PAIR, "a003020101", ["a: constructed where it is a primitive", "a: integer of 1 to 9 octets"]),
        (PAIR, "800101a1030401ff", []),
        (NUMBERS, "", ["0 items, 1 to 2 are allowed"]),
        (NUMBERS, "02010a", ["[0]: 10 is not in 0 to 9"]),
        (NUMBERS, "040101", ["[0]: tag 4 of class 0 where 2 should be"]),
        (CHOICE, "", ["0 TLVs where one alternative is chosen"]),
        (CHOICE, "800101800102", ["2 TLVs where one alternative is chosen"]),
        (CHOICE, "820101", ["no such alternative: tag 2 of class 2"]),
        (CHOICE, "a100", ["pair.a: missing"]),
        (OPEN, "8700", []),
        (SequenceOf(CHOICE), "80010a", ["[0].number: 10 is not in 0 to 9"]),
    ],
)
def test_what_examination_says(kind, text, found):
    assert rules(kind, text) == found


def test_primitives_where_parts_should_be():
    for kind in (PAIR, NUMBERS, CHOICE):
        assert "primitive where parts should be" in rules(kind, "800101", "80")


def test_items_are_bounded(monkeypatch):
    monkeypatch.setattr(schema, "MAX_ITEMS", 2)
    many = SequenceOf(NUMBER, 0, 9)
    with pytest.raises(HiError, match="more than 2 items"):
        many.read(*tlv("020101" * 3))
    assert rules(many, "020101" * 3) == ["[2]: more than 2 items"] or rules(many, "020101" * 3) == ["more than 2 items"]


def test_contents_alone():
    written = schema.write_contents("pair", b"\xa7", PAIR, Pair(1))
    assert written.hex() == "a703800101" and schema.read_contents("pair", 7, PAIR, written) == Pair(1)
    with pytest.raises(HiError, match="pair.a"):
        schema.write_contents("pair", b"\xa7", PAIR, Pair(10))
    for wrong in (b"\xa8\x03\x80\x01\x01", b"\xa7", b"\xa7\x00", b"\x67\x03\x80\x01\x01"):
        with pytest.raises(HiError, match="^pair"):
            schema.read_contents("pair", 7, PAIR, wrong)


def test_faults_from_outside():
    assert schema.within("a", BerError("rule", 3)).offset == 3
    assert schema.within("a", HiError("", "rule")).path == "a"
    assert schema.within("a", HiError("[0].b", "rule", 4)).path == "a[0].b"
    assert schema.within("a", HiError("b", "rule")).path == "a.b"
