"""Keys in a session description do not leave, however they are written and wherever they stand."""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib

import pytest

from imswire import mikey, sip
from imswire.mikey import values as v
from midcall.base import redaction
from midcall.base.redaction import Rules

KEY = b"WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
CRYPTO = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + KEY + b"|2^20|1:4"
MIKEY = base64.b64encode(
    mikey.build(
        v.Header(0, 0, 1, mikey.MapType.SRTP_ID),
        [v.Timestamp(mikey.TsType.COUNTER, bytes(4)), v.Kemac(mikey.EncrAlg.AES_CM_128, bytes(24))],
    )
)
TICKET = b"a=key-mgmt:mikey " + MIKEY + b"\r\n"
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n"
    + TICKET
    + CRYPTO
    + b"\r\na=sendrecv\r\n"
)
CLEAN = SDP.replace(CRYPTO + b"\r\n", b"")
HEAD = (
    b"INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
    b"To: <sip:bob@example.com>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n"
)
ISUP = b"Content-Type: application/isup;base=itu-t92+", b"\1\2ISUP\0k="
MIXED = b"multipart/mixed;boundary=XX"
BASE64 = b"Content-Type: application/sdp\r\nContent-Transfer-Encoding: base64"
EVERY = (Rules(sdes=True), Rules(sdes=True, content=True), Rules(sdes=True, location=True))


def made(body: bytes, kind: bytes = b"application/sdp", more: bytes = b"") -> bytes:
    return HEAD + b"Content-Type: %b\r\n%bContent-Length: %d\r\n\r\n" % (kind, more, len(body)) + body


def parts(*each: tuple[bytes, bytes], boundary: bytes = b"XX") -> bytes:
    body = b"".join(b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary, head, content) for head, content in each)
    return body + b"--%b--\r\n" % boundary


def secret(octets: bytes) -> bool:
    """The key, or its base64 at any of the three shifts, or behind zlib, or as UTF-16."""
    shifted = [base64.b64encode(b"x" * shift + KEY)[4:-6][:40] for shift in range(3)]
    joined = octets.replace(b"\r\n", b"").replace(b"\n", b"").replace(b"\0", b"")
    at = octets.find(b"\x1f\x8b")
    packed = zlib.decompressobj(31).decompress(octets[at:]) if at >= 0 else b""
    return any(each in joined + packed for each in (KEY, *shifted))


LINES = {
    "blank behind a=": CRYPTO.replace(b"a=", b"a= "),
    "blank before =": CRYPTO.replace(b"a=", b"a ="),
    "blank before a": b" " + CRYPTO,
    "blank before the colon": CRYPTO.replace(b"crypto:", b"crypto :"),
    "tab": CRYPTO.replace(b":1", b":\t1"),
    "no-break space": CRYPTO.replace(b"a=", b"a=\xc2\xa0"),
    "NUL": b"\0" + CRYPTO,
    "VT": b"a=x\x0b" + CRYPTO,
    "NEL": b"a=x\xc2\x85" + CRYPTO,
    "U+2028": b"a=x\xe2\x80\xa8" + CRYPTO,
    "CR": b"a=x\r" + CRYPTO,
    "LF CR": b"a=x\n\r" + CRYPTO,
    "capitals": CRYPTO.replace(b"a=crypto", b"A=CRYPTO"),
    "CR within": CRYPTO.replace(b" inline", b"\rinline"),
    "VT within": CRYPTO.replace(b"inline", b"in\x0bline"),
    "VT within twice": CRYPTO.replace(b"inline", b"in\x0bline").replace(b"crypto", b"cr\x0bypto"),
    "escaped": CRYPTO.replace(b"crypto", b"%63rypto"),
    "capability": CRYPTO.replace(b"a=crypto", b"a=acap:1 crypto"),
    "k=": b"k=base64:" + KEY,
    "k= in clear": b"k=clear:" + KEY,
    "information": b"i=inline:" + KEY,
    "attribute of its own": b"a=x-key:inline:" + KEY,
    "phone": b"p=inline:" + KEY,
    "phone, torn": b"p=inline\x01:" + KEY,
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
@pytest.mark.parametrize("rules", EVERY)
def test_lines_as_any_receiver_may_read_them(line, rules):
    description = SDP.replace(CRYPTO, line)
    out = redaction.message(made(description), rules)
    assert not secret(out.octets) and redaction.SDES in out.removed
    assert sip.parse(out.octets).octets.endswith(sip.parse(out.octets).body)
    assert TICKET in out.octets or rules.content
    alone = redaction.description(description, rules)
    assert not secret(alone.octets) and redaction.SDES in alone.removed


@pytest.mark.parametrize("name", ["VT", "U+2028", "CR", "LF CR"])
def test_the_line_behind_one_that_went_begins_where_it_began(name):
    out = redaction.description(SDP.replace(CRYPTO, LINES[name]), Rules(sdes=True))
    assert out.octets.endswith((b"a=x\r\na=sendrecv\r\n", b"a=x\n\r\na=sendrecv\r\n"))


@pytest.mark.parametrize(
    "text",
    [
        SDP.replace(b"\r\n", b"\r"),
        SDP.replace(b"\r\n", b"\n"),
        b"\xef\xbb\xbf" + SDP,
        SDP.decode().encode("utf-16"),
        SDP.decode().encode("utf-16-be"),
    ],
    ids=["CR", "LF", "BOM", "UTF-16", "UTF-16BE"],
)
@pytest.mark.parametrize("kind", [b"application/sdp", b"APPLICATION/SDP;x=y", b"text/plain", b"\r\n application/sdp"])
def test_whole_descriptions_of_another_form(text, kind):
    for rules in EVERY:
        assert not secret(redaction.message(made(text, kind), rules).octets)


CODED = {
    "gzip": (gzip.compress(SDP), b"application/sdp", b"Content-Encoding: gzip\r\n"),
    "gzip, compact": (gzip.compress(SDP), b"application/sdp", b"e:gzip\r\n"),
    "gzip, identity": (gzip.compress(SDP), b"application/sdp", b"Content-Encoding: gzip, identity\r\n"),
    "gzip twice": (gzip.compress(gzip.compress(SDP)), b"application/sdp", b"Content-Encoding: gzip, gzip\r\n"),
    "gzip without a label": (gzip.compress(SDP), b"application/octet-stream", b""),
    "zlib without a label": (zlib.compress(SDP), b"application/octet-stream", b""),
    "base64 without a label": (base64.encodebytes(SDP), b"text/plain", b""),
    "base64": (base64.b64encode(SDP), b"application/sdp", b"Content-Transfer-Encoding: base64\r\n"),
    "gzip, cut": (gzip.compress(SDP)[:-9], b"application/octet-stream", b""),
    "gzip, more behind": (gzip.compress(CLEAN) + gzip.compress(SDP), b"x/y", b""),
    "behind a CR in the head": (
        zlib.compress(SDP, wbits=-15),
        b"application/sdp",
        b"X: y\rContent-Encoding: deflate\r\n",
    ),
    "unknown": (b"\1" + KEY, b"application/sdp", b"Content-Encoding: br\r\n"),
    "too many": (gzip.compress(SDP), b"application/sdp", b"Content-Encoding: gzip, br, br, br, br\r\n"),
    "gzip of parts": (gzip.compress(parts((BASE64, base64.b64encode(SDP)))), MIXED, b"Content-Encoding: gzip\r\n"),
    "base64, more behind": (b"AAAA==" + base64.b64encode(SDP), b"x/y", b"Content-Transfer-Encoding: base64\r\n"),
    "base64, one letter": (b"A" + base64.b64encode(SDP * 3), b"x/y", b"Content-Transfer-Encoding: base64\r\n"),
}


@pytest.mark.parametrize("coded", CODED.values(), ids=CODED)
@pytest.mark.parametrize("rules", EVERY)
def test_bodies_that_are_encoded(coded, rules):
    out = redaction.message(made(*coded), rules)
    assert out.removed and not secret(out.octets) and KEY not in out.octets
    assert sip.parse(out.octets).body == b"" or b"a=sendrecv" in out.octets


HIDDEN = {
    "base64": (BASE64, base64.b64encode(SDP)),
    "early session": (BASE64 + b"\r\nContent-Disposition: early-session", base64.b64encode(SDP)),
    "quoted-printable": (BASE64.replace(b"base64", b"quoted-printable"), binascii.b2a_qp(SDP, istext=True)),
    "gzip": (b"Content-Type: application/sdp\r\nContent-Encoding: gzip", gzip.compress(SDP)),
    "folded": (BASE64.replace(b" base64", b"\r\n\tBase64"), base64.b64encode(SDP)),
    "unknown": (BASE64.replace(b"base64", b"x-uu"), base64.b64encode(SDP)),
    "nested": (b'c: multipart/alternative; boundary="Y"', parts((BASE64, base64.b64encode(SDP)), boundary=b"Y")),
    "no such boundary": (b"c: multipart/mixed; boundary=Z", parts((BASE64, base64.b64encode(SDP)), boundary=b"Y")),
    "no boundary": (b"c: multipart/mixed", parts((BASE64, base64.b64encode(SDP)), boundary=b"Y")),
    "a whole message": (b"c: message/rfc822", BASE64 + b"\r\n\r\n" + base64.b64encode(SDP)),
    "plain": (b"Content-Type: application/sdp", SDP),
}


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize("clear", [CLEAN, SDP])
@pytest.mark.parametrize("rules", EVERY)
def test_parts_that_are_encoded_and_those_beside_them(hidden, clear, rules):
    octets = made(parts((b"Content-Type: application/sdp", clear), hidden, ISUP), MIXED)
    out = redaction.message(octets, rules)
    parsed = sip.parse(out.octets)
    assert not secret(out.octets) and parsed.sdp == CLEAN
    if not rules.content:
        assert b"--XX\r\n%b\r\n\r\n%b\r\n" % ISUP in parsed.body and parsed.body.endswith(b"--XX--\r\n")


def test_a_part_alone_in_base64_is_given_in_clear_and_every_other_octet_stays():
    octets = made(parts(ISUP, (BASE64, base64.encodebytes(SDP))), MIXED)
    out = redaction.message(octets, Rules(sdes=True))
    assert sip.parse(out.octets).body == parts(ISUP, (b"Content-Type: application/sdp", CLEAN))
    unkeyed = made(parts(ISUP, (BASE64, base64.encodebytes(CLEAN))), MIXED)
    assert redaction.message(unkeyed, Rules(sdes=True)) == redaction.Redacted(unkeyed, ())


def test_parts_and_nesting_beyond_the_bounds():
    for body in (parts(*[ISUP] * 3), parts((BASE64, base64.b64encode(SDP)))):
        boundary = b"XX"
        for depth in range(9):
            boundary, inner = b"Y%d" % depth, boundary
            body = parts((b"Content-Type: " + MIXED.replace(b"XX", inner), body), boundary=boundary)
        out = redaction.message(made(body, MIXED.replace(b"XX", boundary)), Rules(sdes=True))
        assert redaction.UNREADABLE in out.removed and sip.parse(out.octets).body == b""


def test_more_parts_than_a_body_is_looked_into_for():
    out = redaction.message(made(parts(*[ISUP] * 70), MIXED), Rules(sdes=True))
    assert out.removed == (redaction.UNREADABLE,) and sip.parse(out.octets).body == b""


@pytest.mark.parametrize("rules", [*EVERY, Rules(location=True)])
def test_octets_behind_the_body_are_cut(rules):
    for octets in (made(CLEAN) + SDP, made(CLEAN) + b"\r\n\r\n" + SDP):
        out = redaction.message(octets, rules)
        assert out == redaction.Redacted(made(CLEAN), (redaction.TRAILING,))


HEADERS = {
    "header": b"X-Sdp: " + CRYPTO,
    "folded": b"Subject: x\r\n\t" + CRYPTO,
    "key folded": b"Subject: inline:" + KEY[:12] + b"\r\n " + KEY[12:],
    "URI": b"Refer-To: <sip:x@y?body=a%3Dcrypto%3A1%20AES%20inline%3A" + KEY + b">",
}


@pytest.mark.parametrize("line", HEADERS.values(), ids=HEADERS)
def test_key_material_in_headers(line):
    octets = made(CLEAN).replace(b"CSeq", line + b"\r\nCSeq")
    head = sip.parse(octets).head
    for out in (redaction.message(octets, Rules(sdes=True)), redaction.head(head, Rules(sdes=True))):
        assert out.removed == (redaction.SDES,) and KEY[12:] not in out.octets
        assert b"\r\nCSeq: 1 INVITE\r\n" in out.octets and b"Content-Length: %d\r\n" % len(CLEAN) in out.octets


@pytest.mark.parametrize("line", [b"a = key-mgmt : mikey AQsA", b"a=acap:1 key-mgmt:mikey AQsA", b"A=KEY-MGMT:mikey A"])
def test_tickets_go_as_leniently(line):
    out = redaction.description(CLEAN.replace(TICKET[:-2], line), Rules(ticket=True))
    assert out.removed == (redaction.TICKET,) and b"key" not in out.octets.lower()


def test_parts_that_grow_beyond_all_bounds_leave():
    bomb = b"c: x/y\r\ne: gzip", gzip.compress(b"x" * 200_000)
    for _ in range(2):
        inner = parts(*[bomb] * 60, boundary=b"Y")
        bomb = b"c: multipart/mixed;boundary=Y\r\ne: gzip", gzip.compress(inner)
    out = redaction.message(made(parts(ISUP, bomb, bomb), MIXED), Rules(sdes=True))
    assert redaction.UNREADABLE in out.removed and ISUP[1] in out.octets
