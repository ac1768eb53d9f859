"""SIP messages: octets kept, headers found however they are written, bodies cut, torture messages judged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import sip
from tests.imswire.sip.torture import TORTURE, VERDICTS

CLASSES = {name: verdict["class"] for name, verdict in VERDICTS.items()}

INVITE = (
    b"INVITE sip:bob@example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK776\r\n"
    b"v: SIP/2.0/TCP [2001:db8::1];branch=z9hG4bKabc, SIP/2.0/TLS host.example;branch=z9hG4bKdef\r\n"
    b'f: "Alice, A." <sip:alice@example.com>;tag=1928\r\n'
    b"To: Bob\r\n <sip:bob@example.com>\r\n"
    b"i: a84b4c76e66710\r\n"
    b"CSeq: 314159 INVITE\r\n"
    b"P-Asserted-Identity: <sip:alice@example.com>, <tel:+1-201-555-0123>\r\n"
    b'P-Asserted-Identity: "x, y" <sip:second@example.com>\r\n'
    b"Subject: one, two\r\n"
    b"c: application/sdp;charset=utf-8\r\n"
    b"l: 6\r\n"
    b"\r\n"
    b"v=0\r\n\0trailing"
)


def test_what_a_request_says():
    message = sip.parse(INVITE)
    assert message.is_request and message.method == "INVITE"
    assert message.request_uri == "sip:bob@example.com" and message.status is None
    assert message.call_id == "a84b4c76e66710"
    assert message.cseq == sip.CSeq(314159, "INVITE")
    assert message.from_ == sip.NameAddr("Alice, A.", "sip:alice@example.com", (("tag", "1928"),))
    assert message.from_tag == message.from_.tag == "1928"
    assert message.to.display == "Bob" and message.to_tag is None
    assert [via.transport for via in message.vias] == ["UDP", "TCP", "TLS"]
    assert message.top_branch == "z9hG4bK776"
    assert message.values("P-Asserted-Identity") == (
        "<sip:alice@example.com>",
        "<tel:+1-201-555-0123>",
        '"x, y" <sip:second@example.com>',
    )
    assert message.values("Subject") == ("one, two",) and message.first("s") == "one, two"
    assert message.content_type == "application/sdp"
    assert message.body == message.sdp == b"v=0\r\n\0"
    assert message.octets is INVITE and message.head + message.body == INVITE[: -len(b"trailing")]


def test_what_a_response_says():
    message = sip.parse(INVITE.replace(b"INVITE sip:bob@example.com SIP/2.0", b"SIP/2.0 183 Session  Progress", 1))
    assert not message.is_request
    assert (message.status, message.reason, message.method) == (183, "Session  Progress", "INVITE")
    assert message.request_uri is None


def test_header_lines_keep_their_octets():
    lines = dict(sip.parse(INVITE).header_lines())
    assert lines["To"] == b"To: Bob\r\n <sip:bob@example.com>"
    assert lines["l"] == b"l: 6"


def test_keep_alives_before_a_message_and_line_feeds_alone():
    assert sip.parse(b"\r\n\r\n" + INVITE).method == "INVITE"
    assert sip.parse(INVITE.replace(b"\r\n", b"\n").replace(b"l: 6", b"l: 5")).body == b"v=0\n\0"


def changed(*pairs: tuple[bytes, bytes]) -> bytes:
    octets = INVITE
    for old, new in pairs:
        assert old in octets
        octets = octets.replace(old, new, 1)
    return octets


@pytest.mark.parametrize(
    ("octets", "field", "status"),
    [
        (b"", "head", 400),
        (b"INVITE sip:x SIP/2.0\r\nTo: x", "head", 400),
        (changed((b"SIP/2.0\r\n", b"SIP/3.0\r\n")), "Request-Line", 505),
        (changed((b"INVITE sip:bob@example.com ", b"INVITE <sip:bob@example.com> ")), "Request-Line", 400),
        (changed((b"INVITE sip:bob@example.com ", b"INVITE  ")), "Request-Line", 400),
        (changed((b"INVITE sip:bob@example.com ", b"IN{VITE sip:b ")), "Request-Line", 400),
        (changed((b"INVITE sip:bob@example.com SIP/2.0", b"SIP/2.0 4 x")), "Status-Line", 400),
        (changed((b"INVITE sip:bob@example.com SIP/2.0", b"SIP/2.0 999 x")), "Status-Line", 400),
        (changed((b"INVITE sip:bob@example.com SIP/2.0", b"SIP/7.0 200 x")), "Status-Line", 505),
        (changed((b"l: 6", b"l: 600")), "Content-Length", 400),
        (changed((b"l: 6", b"l: -6")), "Content-Length", 400),
        (changed((b"l: 6", b"l: 6\r\nContent-Length: 7")), "Content-Length", 400),
        (changed((b"Subject: one", b"Subject one")), "head", 400),
        (b"A" * 70_000, "message", 513),
        (b"OPTIONS sip:x SIP/2.0\r\n" + b"X: y\r\n" * 2_000 + b"\r\n", "head", 513),
    ],
)
def test_no_message(octets, field, status):
    with pytest.raises(sip.SipError) as caught:
        sip.parse(octets)
    assert (caught.value.field, caught.value.status) == (field, status)


@pytest.mark.parametrize(
    ("change", "ask"),
    [
        ((b"i: a84b4c76e66710\r\n", b""), "call_id"),
        ((b"i: a84b4c76e66710", b"i: a\r\nCall-ID: b"), "call_id"),
        ((b"i: a84b4c76e66710", b"i: a b"), "call_id"),
        ((b"314159 INVITE", b"314159 BYE"), "cseq"),
        ((b"314159 INVITE", b"4294967296 INVITE"), "cseq"),
        ((b"314159 INVITE", b"x INVITE"), "cseq"),
        ((b"f: ", b"X-f: "), "from_"),
        ((b"SIP/2.0/UDP", b"SIP/9.0/UDP"), "vias"),
    ],
)
def test_headers_raise_when_asked(change, ask):
    message = sip.parse(changed(change))
    with pytest.raises(sip.SipError):
        getattr(message, ask)


@pytest.mark.parametrize(
    "changes",
    [
        (),
        ((b'f: "Alice, A." <sip:alice@', b"f: <sip:alice@"),),
        ((b"To: Bob", b"To:<sip:bob@x>;tag=b;x=y\r\nX: y"),),
        ((b"Via: SIP", b"Odd: SIP"), (b"v: SIP", b"Odd: SIP")),
        ((b";branch=z9hG4bK776", b";received=10.0.0.9"),),
        ((b"branch=z9hG4bK776", b"BRANCH=z9hG4bK776"),),
    ],
)
def test_what_a_message_belongs_to_is_what_its_headers_say(changes):
    octets = changed(*changes)
    one, other = sip.parse(octets), sip.parse(octets)
    alone = one.call_id, one.from_tag or "", one.to_tag or "", one.cseq, one.top_branch or ""
    assert other.belongs() == alone and other.cseq == sip.CSeq(314159, "INVITE")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ((b"i: a84b4c76e66710", b"i: a b"), "Call-ID"),
        ((b"i: a84b4c76e66710\r\n", b""), "Call-ID"),
        ((b"CSeq: 314159 INVITE", b"CSeq: 314159 ACK"), "CSeq"),
        ((b"To: Bob\r\n <sip:bob@example.com>\r\n", b""), "To"),
        ((b"f: ", b"f: <sip:x>\r\nFrom: "), "From"),
    ],
)
def test_a_message_that_belongs_to_nothing(change, field):
    with pytest.raises(sip.SipError) as caught:
        sip.parse(changed(change)).belongs()
    assert caught.value.field == field


def test_top_branch_by_the_long_way():
    quoted = changed((b"5060;branch=z9hG4bK776", b'5060;x="a,b";branch=z9hG4bKq'))
    assert sip.parse(quoted).top_branch == "z9hG4bKq"
    assert sip.parse(changed((b";branch=z9hG4bK776", b""))).top_branch is None
    assert sip.parse(b"OPTIONS sip:x SIP/2.0\r\nTo: x\r\n\r\n").top_branch is None


def test_tags_by_the_long_way():
    assert sip.parse(changed((b">;tag=1928", b"> ; tag = 77"))).from_tag == "77"
    assert (
        sip.parse(changed((b'f: "Alice, A." <sip:alice@example.com>', b"f: sip:alice@example.com"))).from_tag == "1928"
    )
    assert sip.parse(changed((b'f: "Alice, A." <sip:alice@', b"f: <sip:a;tag=no@"))).from_tag == "1928"


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        (b"<sip:a@h>;tag=1\r://h>;tag=2", "1\r://h>"),
        (b"sip:a@h;tag=1, b@h>;tag=2", "1, b@h>"),
        (b"sip:a@h ;  tag  = 1;tag=2", "1"),
        (b"sip:a@h;tag=1<sip:b@h>;tag=2", "1<sip:b@h>"),
        (b"<sip:a@h>;TAG=1;tag=2", "1"),
        (b"<sip:tag@h>;x=y;tag=1;tag=2", "1"),
    ],
)
def test_a_tag_that_may_be_mistaken_goes_the_long_way(value, tag):
    message = sip.parse(changed((b'f: "Alice, A." <sip:alice@example.com>;tag=1928', b"f: " + value)))
    assert message.from_tag == message.from_.tag == tag


@pytest.mark.parametrize("value", [b"h; branch = 1;branch=2", b"h;BRANCH=1;branch=2", b"h;x=<y;branch=2>;branch=1"])
def test_a_branch_that_may_be_mistaken_goes_the_long_way(value):
    message = sip.parse(b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP " + value + b"\r\n\r\n")
    assert message.top_branch == message.vias[0].branch == "1"


def test_values_of_a_list_have_the_blanks_of_octets_around_them():
    message = sip.parse(b"OPTIONS sip:x SIP/2.0\r\nContact: \x1d<sip:a>, \x1d<sip:b>\r\nm: \x1d<sip:c>\r\n\r\n")
    assert message.values("Contact") == ("\x1d<sip:a>", "\x1d<sip:b>", "\x1d<sip:c>")


@pytest.mark.parametrize("octets", [b"INVITE sip:x SIP/2.0\r\n", b"SIP/2.0 200 OK", b"Q SIP/", b"!% x SIP/2.0"])
def test_looks_like_sip(octets):
    assert sip.looks_like_sip(octets)


@pytest.mark.parametrize("octets", [b"", b"\x80\x00", b"GET / HTTP/1.1\r\nSIP/2.0", b"\r\n\r\n"])
def test_does_not_look_like_sip(octets):
    assert not sip.looks_like_sip(octets)


VALID = sorted(name for name, verdict in CLASSES.items() if verdict == "valid")


@pytest.mark.parametrize("name", VALID)
def test_valid_torture_messages_are_read(name):
    path = TORTURE / name
    # The RFC's text gives these two a wrong Content-Length; the corrected form stands beside them.
    mended = path.with_suffix(".clfix.dat")
    message = sip.parse((mended if mended.exists() else path).read_bytes())
    assert message.call_id and message.cseq and message.from_.uri and message.to.uri and message.vias
    assert message.lines("Via")


def test_torture_list_is_whole():
    assert len(CLASSES) == 64
    assert all((TORTURE / name).is_file() for name in CLASSES)


SEEDS = [INVITE, *((TORTURE / name).read_bytes() for name in sorted(CLASSES)[:20])]


@given(st.sampled_from(SEEDS), st.data())
def test_mutations_raise_nothing_else(seed, data):
    octets = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(octets) - 1))
        octets[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        message = sip.parse(bytes(octets))
        _ = message.method, message.call_id, message.cseq, message.from_, message.to, message.sdp
        _ = message.from_tag, message.to_tag, message.top_branch, message.vias, message.content_type
        _ = [message.values(name) for name, _ in message.header_lines()]
    except sip.SipError as error:
        assert str(error)


def test_blank_lines_inside_the_head_are_passed_over():
    """A proxy refuses them; interception must not lose what stands behind them."""
    octets = INVITE.replace(b"To: Bob\r\n", b"To: Bob\r\n\n \r\n")
    message = sip.parse(octets)
    assert message.to == sip.parse(INVITE).to and message.call_id == "a84b4c76e66710"
    assert [name for name, _ in message.header_lines()] == [name for name, _ in sip.parse(INVITE).header_lines()]


@pytest.mark.parametrize("length", ["4", "00000000000004", "\r\n 4"])
def test_a_content_length_in_any_form(length):
    message = sip.parse(b"OPTIONS sip:x SIP/2.0\r\nl:" + length.encode() + b"\r\n\r\nbodysurplus")
    assert message.body == b"body"


def test_the_start_line_tells_which_blank_line_ends_the_head():
    assert sip.parse(b"OPTIONS sip:x SIP/2.0\nX: y\n\na\r\n\r\nb").body == b"a\r\n\r\nb"
    assert sip.parse(b"OPTIONS sip:x SIP/2.0\r\nX: y\r\n\r\na\n\nb").body == b"a\n\nb"
    assert sip.parse(b"OPTIONS sip:x SIP/2.0\nX: y\r\n\r\nb").body == b"b"


def test_headers_and_their_lines():
    message = sip.parse(b"OPTIONS sip:x SIP/2.0\r\nV: a\r\nOdd: b\r\nVia: c\r\n\r\n")
    assert message.places().keys() == {b"via", b"odd"} and len(message.places()[b"via"]) == 2
    assert message.has(b"via") and not message.has(b"to")
    assert message.has_any(frozenset({b"odd", b"to"})) and not message.has_any(frozenset({b"to"}))
    assert list(message.fields().items()) == [(b"via", [b"a", b"c"]), (b"odd", [b"b"])]
    assert message.raws(b"via") == [b"a", b"c"] and message.raws(b"to") == []


@pytest.mark.parametrize(
    ("header", "name", "values"),
    [
        ("y: abc", "Identity", ("abc",)),
        ("n: <http://x>", "Identity-Info", ("<http://x>",)),
        ('a: *;a="x,y", *;b', "Accept-Contact", ('*;a="x,y"', "*;b")),
        ("P-Access-Network-Info: 3GPP-E-UTRAN-FDD;a=b, IEEE-802.11", "P-Access-Network-Info", None),
        ("Resource-Priority: ets.0, wps.1", "Resource-Priority", ("ets.0", "wps.1")),
        ("Subject: one, two", "Subject", ("one, two",)),
    ],
)
def test_compact_forms_and_lists(header, name, values):
    message = sip.parse(f"OPTIONS sip:x SIP/2.0\r\n{header}\r\n\r\n".encode())
    assert message.values(name) == (values or ("3GPP-E-UTRAN-FDD;a=b", "IEEE-802.11"))
