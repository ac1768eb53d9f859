"""What leaves a message before it goes to the agency, and that nothing else does."""

from __future__ import annotations

import base64
import gzip

import pytest

from imswire import sip
from midcall.base import redaction
from midcall.base.redaction import Rules

KEY = b"WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n"
    b"a=key-mgmt:mikey AQsA\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + KEY + b"\r\na=sendrecv\r\n"
)
HEAD = (
    b"INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
    b"To: <sip:bob@example.com>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nP-Access-Network-Info: 3GPP-E-UTRAN-FDD;\r\n"
    b" utran-cell-id-3gpp=2340300\r\nGeolocation: <cid:x@y>\r\n"
)


def made(body: bytes, kind: bytes = b"application/sdp", more: bytes = b"", length: bytes = b"Content-Length") -> bytes:
    return HEAD + b"Content-Type: %b\r\n%b%b: %d\r\n\r\n" % (kind, more, length, len(body)) + body


def test_without_a_rule_the_octets_are_those_that_were_intercepted():
    octets = made(SDP)
    assert redaction.message(octets, Rules()) == redaction.Redacted(octets, ())


def test_a_rule_that_finds_nothing_changes_nothing():
    octets = b"\r\n" + made(b"v=0\r\n").replace(b"P-Access", b"X-Access").replace(b"utran", b"x").replace(
        b"Geolocation", b"X-Geo"
    )
    every = Rules(location=True, content=True, sdes=True, ticket=True)
    assert redaction.message(octets, every).octets == octets


def test_location_headers_go_folded_lines_and_all():
    out = redaction.message(made(SDP), Rules(location=True))
    assert out.removed == (redaction.LOCATION,)
    assert b"2340300" not in out.octets and b"Geolocation" not in out.octets
    assert out.octets.endswith(SDP) and b"Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\n" in out.octets


def test_sdes_keys_go_and_the_length_is_that_of_what_is_left():
    out = redaction.message(made(SDP), Rules(sdes=True))
    assert out.removed == (redaction.SDES,)
    parsed = sip.parse(out.octets)
    assert KEY not in out.octets and parsed.sdp == SDP.replace(
        b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + KEY + b"\r\n", b""
    )
    assert b"P-Access-Network-Info" in out.octets


def test_tickets_go_when_the_profile_says_so():
    out = redaction.message(made(SDP, length=b"l"), Rules(ticket=True))
    assert b"key-mgmt" not in out.octets and KEY in out.octets
    assert sip.parse(out.octets).body.endswith(b"a=sendrecv\r\n")


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_keys_in_any_body_and_case(ends):
    body = b"--b\r\nContent-Type: application/sdp\r\n\r\n" + SDP.replace(b"a=crypto", b"A=CRYPTO") + b"\r\n--b--"
    body = body.replace(b"\r\n", ends) if ends == b"\n" else body
    out = redaction.message(made(body, b"multipart/mixed;boundary=b"), Rules(sdes=True))
    assert KEY not in out.octets and b"--b--" in out.octets


def test_keys_in_a_compressed_body():
    packed = gzip.compress(SDP, mtime=0)
    out = redaction.message(made(packed, more=b"Content-Encoding: gzip\r\n"), Rules(sdes=True))
    parsed = sip.parse(out.octets)
    assert parsed.first("Content-Encoding") is None and parsed.sdp is not None
    assert b"a=crypto" not in parsed.sdp and b"a=sendrecv" in parsed.sdp
    untouched = redaction.message(made(packed, more=b"Content-Encoding: gzip\r\n"), Rules(location=False))
    assert untouched.removed == ()


def test_keys_in_a_part_in_base64():
    part = b"--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    body = part + base64.encodebytes(SDP) + b"\r\n--b--"
    octets = made(body, b"multipart/mixed;boundary=b")
    assert sip.parse(octets).sdp == SDP
    parsed = sip.parse(redaction.message(octets, Rules(sdes=True)).octets)
    assert parsed.sdp is not None and b"a=crypto" not in parsed.sdp and b"base64" not in parsed.body


def test_an_order_for_events_only_gets_no_body_but_the_session_description():
    text = redaction.message(made(b"hello", b"text/plain"), Rules(content=True))
    parsed = sip.parse(text.octets)
    assert text.removed == (redaction.CONTENT,) and parsed.body == b"" and parsed.content_type == "text/plain"
    body = (
        b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/sdp\r\n\r\n"
        + SDP
        + b"\r\n--b--"
    )
    mixed = redaction.message(made(body, b"multipart/mixed;boundary=b"), Rules(content=True, sdes=True))
    parsed = sip.parse(mixed.octets)
    assert b"hello" not in mixed.octets and KEY not in mixed.octets
    assert parsed.content_type == "application/sdp" and parsed.sdp is not None and b"m=audio" in parsed.sdp
    unreadable = redaction.message(made(b"\1\2", more=b"Content-Encoding: br\r\n"), Rules(content=True))
    assert sip.parse(unreadable.octets).body == b""


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<presence xmlns:gp='urn:ietf:params:xml:ns:pidf:geopriv10'/>", b"application/pidf+xml"),
        (b"<x>geo:52.5,13.4</x>", b"application/vnd.gsma.rcspushlocation+xml"),
        (b"--b\r\nContent-Type: application/pidf+xml\r\n\r\n<gml:pos/>\r\n--b--", b"multipart/mixed;boundary=b"),
    ],
)
def test_bodies_that_tell_a_place_go(body, kind):
    out = redaction.message(made(body, kind), Rules(location=True))
    assert sip.parse(out.octets).body == b""
    kept = redaction.message(made(body, kind), Rules(sdes=True))
    assert sip.parse(kept.octets).body == body


def test_a_multipart_body_that_tells_a_place_keeps_its_session_description():
    body = (
        b"--b\r\nContent-Type: application/pidf+xml\r\n\r\n<gml:pos/>\r\n--b\r\nContent-Type: application/sdp\r\n\r\n"
        + SDP
        + b"\r\n--b--"
    )
    parsed = sip.parse(redaction.message(made(body, b"multipart/mixed;boundary=b"), Rules(location=True)).octets)
    assert parsed.sdp is not None and b"gml" not in parsed.body


def test_an_encoded_body_that_nobody_can_read_may_tell_a_place():
    out = redaction.message(made(b"\1\2", b"x/y", b"Content-Encoding: br\r\n"), Rules(location=True))
    assert sip.parse(out.octets).body == b""


def test_head_and_description_alone():
    head = sip.parse(made(SDP)).head
    assert redaction.head(head, Rules()).octets == head
    out = redaction.head(head, Rules(location=True))
    assert b"utran" not in out.octets and out.octets.endswith(b"Content-Length: %d\r\n\r\n" % len(SDP))
    plain = head.replace(b"P-Access", b"X-Access").replace(b"utran", b"x").replace(b"Geolocation", b"X-Geo")
    assert redaction.head(plain, Rules(location=True)).octets == plain
    assert redaction.description(SDP, Rules(sdes=True)).removed == (redaction.SDES,)
    assert KEY not in redaction.description(SDP, Rules(sdes=True)).octets
