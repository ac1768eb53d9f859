"""A warrant without location: no header, parameter, part or line of a description tells a place."""

from __future__ import annotations

import base64
import gzip

import pytest

from imswire import sip
from midcall.base import redaction
from midcall.base.redaction import Rules

SECRET = b"SECRETPLACE"
RULES = Rules(location=True)
PANI = b"P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=" + SECRET + b"\r\n"
PIDF = b'<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf"><gp:geopriv>SECRETPLACE</gp:geopriv>'
SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
MIXED = b"multipart/mixed;boundary=XX"


def made(body: bytes, kind: bytes = b"text/plain", more: bytes = b"", length: int | None = None) -> bytes:
    head = b"MESSAGE sip:bob@b SIP/2.0\r\n%bVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n" % more
    head += b"To: <sip:bob@b>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Type: %b\r\n" % kind
    return head + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def parts(head: bytes, content: bytes) -> bytes:
    sdp = b"--XX\r\nContent-Type: application/sdp\r\n\r\n" + SDP
    return sdp + b"\r\n--XX\r\n%b\r\n\r\n%b\r\n--XX--\r\n" % (head, content)


HEADERS = {
    "blank": PANI.replace(b"Info:", b"Info \t:"),
    "capitals": PANI.upper(),
    "folded": PANI.replace(b"FDD;", b"FDD;\r\n\t"),
    "folded before the colon": PANI.replace(b"Info: ", b"Info\r\n : "),
    "behind a CR": b"X-A: b\r" + PANI,
    "behind a LF": b"X-A: b\n" + PANI,
    "as a folded line": b"X-A: b\r\n " + PANI,
    "as the first line, folded": b" " + PANI,
    "CR within": PANI.replace(b"FDD;", b"FDD;\r"),
    "visited network": b"P-Visited-Network-ID: " + SECRET + b"\r\n",
    "charging": b'P-Charging-Vector: icid-value=1;access-network-charging-info="%b"\r\n' % SECRET,
    "charging of EPS": b"P-Charging-Vector: icid-value=1; eps-info =\r\n %b\r\n" % SECRET,
    "geo": b"Call-Info: <geo:48.2,16.3;%b>\r\n" % SECRET,
    "in a URI": b"Route: <sip:p;lr?P-Access-Network-Info=%b>\r\n" % SECRET,
}


@pytest.mark.parametrize("lines", HEADERS.values(), ids=HEADERS)
def test_headers_that_tell_a_place(lines):
    octets = made(b"x", more=lines)
    for out in (redaction.message(octets, RULES), redaction.head(sip.parse(octets).head, RULES)):
        assert out.removed == (redaction.LOCATION,) and SECRET not in out.octets
        assert b"\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n" in out.octets
        assert b"icid-value=1;" in out.octets or b"icid" not in octets


BODIES = {
    "PIDF-LO": (PIDF, b"application/pidf+xml"),
    "PIDF-LO in UTF-16": (PIDF.decode().encode("utf-16"), b"application/xml"),
    "PIDF-LO behind the body": (PIDF, b"application/pidf+xml", b"", 0),
    "PIDF-LO in gzip": (gzip.compress(PIDF), b"application/octet-stream"),
    "PIDF-LO in CPIM": (b"Content-type: application/pidf+xml\r\n\r\n" + PIDF, b"message/cpim"),
    "PIDF-LO behind a line of a description": (b"v=0\r\n" + PIDF, b"application/sdp"),
    "eCall": (b"\2\x1d" + SECRET, b"application/EmergencyCallData.eCall.MSD"),
    "MCPTT": (b"<x>SECRETPLACE</x>", b"application/vnd.3gpp.mcptt-location-info+xml"),
    "message/sip": (b"INVITE sip:a SIP/2.0\r\n" + PANI + b"\r\n", b"message/sip"),
    "message/sipfrag": (PANI.replace(b";", b"\r\n ;"), b"message/sipfrag"),
    "description": (SDP + b"a=geo:48.2,16.3 SECRETPLACE\r\n", b"application/sdp"),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bodies_that_tell_a_place(body):
    out = redaction.message(made(*body), RULES)
    assert out.removed and SECRET not in out.octets.replace(b"\0", b"") and b"\x1f\x8b" not in out.octets
    assert b"v=0" not in body[0] or b"geopriv" in body[0] or sip.parse(out.octets).body == SDP


@pytest.mark.parametrize(
    ("head", "content"),
    [
        (b"Content-Type: application/pidf+xml", PIDF),
        (b"Content-Type: application/xml\r\nContent-Transfer-Encoding: base64", base64.encodebytes(PIDF)),
        (b"c: application/EmergencyCallData.eCall.MSD", SECRET),
        (b"c: x/y\r\ne: br", SECRET),
    ],
)
def test_parts_that_tell_a_place_go_and_the_others_stay(head, content):
    out = redaction.message(made(parts(head, content), MIXED), RULES)
    assert redaction.LOCATION in out.removed
    expected = b"--XX\r\nContent-Type: application/sdp\r\n\r\n" + SDP + b"\r\n--XX--\r\n"
    assert sip.parse(out.octets).body == expected


def test_line_ends_and_the_place_of_content_length_stay():
    octets = made(b"hi", more=PANI).replace(b"\r\n", b"\n")
    expected = made(b"hi").replace(b"\r\n", b"\n")
    assert redaction.message(octets, RULES).octets == expected
    early = made(PIDF, b"application/pidf+xml").replace(b"Via:", b"Content-Length: %d\r\nVia:" % len(PIDF), 1)
    early = early.replace(b"xml\r\nContent-Length: %d\r\n" % len(PIDF), b"xml\r\n")
    out = redaction.message(early, RULES).octets
    assert out.startswith(b"MESSAGE sip:bob@b SIP/2.0\r\nContent-Length: 0\r\nVia:") and out.endswith(b"+xml\r\n\r\n")
    head = sip.parse(made(b"hi", more=PANI + b"Content-Length: 2\r\n")).head
    assert b"SIP/2.0\r\nContent-Length: 2\r\nVia:" in redaction.head(head, RULES).octets


def test_a_ticket_whose_base64_spells_a_place_stays():
    octets = made(SDP + b"a=key-mgmt:mikey AAAApidfAAAA\r\n", b"application/sdp")
    assert redaction.message(octets, RULES) == redaction.Redacted(octets, ())
    placed = made(SDP + b"a=key-mgmt:mikey AAAApidfAAAA\r\na=geo:1,2\r\n", b"application/sdp")
    assert redaction.message(placed, RULES).octets == octets
