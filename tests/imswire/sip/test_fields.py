"""Headers by their names, however they are written, and the places that are remembered for messages alike."""

from __future__ import annotations

import pytest

from imswire.sip.errors import SipError
from imswire.sip.fields import MAX_HEADERS, fields

BASIC = b"Via: SIP/2.0/UDP h\r\nf: <sip:a@x>\r\nTO : <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 ACK"


def read(lines: bytes) -> dict[bytes, list[bytes]]:
    layout, pieces = fields(lines)
    return {name: [pieces[place].strip() for place in places] for name, places in layout.places.items()}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"", {}),
        (b"A-b: c", {b"a-b": [b"c"]}),
        (b"v: 1\r\nVIA \t: 2:3\r\nx:", {b"via": [b"1", b"2:3"], b"session-expires": [b""]}),
        (b"q:1\nSubject: s\n", {b"q": [b"1"], b"subject": [b"s"]}),
        (b"A: b\r\n c\r\n\td: e\r\nF: g", {b"accept-contact": [b"b c d: e"], b"from": [b"g"]}),
        (b" A: b\r\nF: g", {b" a": [b"b"], b"from": [b"g"]}),
        (b"A: b\r\n\r\n \r\nF: g\r\n\r", {b"accept-contact": [b"b"], b"from": [b"g"]}),
        (b": v\r\n:w", {b"": [b"v", b"w"]}),
    ],
)
def test_names_and_values(lines, expected):
    for _ in range(2):
        assert read(lines) == expected


@pytest.mark.parametrize("lines", [b"word", b"A: b\r\nword", b"A: b\r\nword\r\nC: d", b"A: b\r\n\r\nword\r\nC: d"])
def test_a_line_without_colon(lines):
    for _ in range(2):
        with pytest.raises(SipError) as caught:
            fields(lines)
        assert (caught.value.field, caught.value.status) == ("head", 400)


@pytest.mark.parametrize("fold", [b"", b"\r\n more"])
def test_headers_are_bounded(fold):
    line = b"X: y" + fold + b"\r\n"
    assert len(read(line * MAX_HEADERS)[b"session-expires"]) == MAX_HEADERS
    with pytest.raises(SipError) as caught:
        fields(line * (MAX_HEADERS + 1))
    assert caught.value.status == 513


@pytest.mark.parametrize("lines", [BASIC, BASIC + b"\r\nl: 5", b"l: 5\r\nVia: other\r\n" + BASIC])
def test_the_basic_headers_are_found_at_once(lines):
    layout, pieces = fields(lines)
    assert layout.basic is not None
    assert [pieces[place].strip() for place in layout.basic[1:]] == [b"<sip:a@x>", b"<sip:b@x>", b"c", b"1 ACK"]
    assert layout.basic[0] == layout.places[b"via"][0]
    assert (pieces[layout.length].strip() == b"5") is (b"l: 5" in lines) and layout.names == set(layout.places)


@pytest.mark.parametrize("lines", [BASIC + b"\r\nt: x", BASIC.replace(b"Via", b"Other"), BASIC + b"\r\ni: d"])
def test_what_stands_twice_or_not_is_not_beyond_doubt(lines):
    assert fields(lines)[0].basic is None


def test_a_content_length_that_stands_twice_is_not_beyond_doubt():
    assert fields(BASIC + b"\r\nl: 1\r\nContent-Length: 1")[0].length == 0


def test_places_are_the_same_for_messages_alike_and_long_names_are_not_remembered():
    layout, _ = fields(BASIC)
    assert fields(BASIC.replace(b"sip:b", b"sip:other"))[0] is layout
    long = b"A" * 1_100 + b": b"
    assert fields(long)[0] is not fields(long)[0]
    many = b"A: b\r\n" * 65
    assert fields(many)[0] is not fields(many)[0]
