"""An order for events only: nothing that somebody wrote, said or drew goes with them."""

from __future__ import annotations

import base64
import gzip

import pytest

from imswire import mikey, sip
from imswire.mikey import values as v
from midcall.base import redaction
from midcall.base.redaction import Rules

SECRET = b"SECRETCONTENT"
SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
RULES = Rules(content=True, sdes=True)
MIXED = b"multipart/mixed;boundary=XX"


def made(
    body: bytes,
    kind: bytes = b"application/sdp",
    more: bytes = b"",
    *,
    method: bytes = b"MESSAGE",
    length: int | None = None,
) -> bytes:
    head = b"%b sip:bob@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n" % method
    head += b"To: <sip:bob@b>\r\nCall-ID: 1\r\nCSeq: 1 %b\r\n%bContent-Type: %b\r\n" % (method, more, kind)
    return head + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def part(kind: bytes, content: bytes) -> bytes:
    return b"--XX\r\nContent-Type: %b\r\n\r\n%b\r\n--XX--\r\n" % (kind, content)


TEXTS = {
    "text": made(SECRET, b"text/plain"),
    "behind Content-Length: 0": made(SECRET, b"text/plain", length=0),
    "behind a short length": made(b"xx" + SECRET, b"text/plain", length=2),
    "called a description": made(SECRET),
    "called so in capitals": made(SECRET, b"Application/SDP;x=y"),
    "called so in a folded header": made(SECRET, b"\r\n application/sdp"),
    "of the form of one": made(SDP.replace(b"s=-", b"s=" + SECRET)),
    "gzip": made(gzip.compress(SECRET), more=b"Content-Encoding: gzip\r\n"),
    "in a part": made(part(b"application/sdp", SECRET), MIXED),
    "in an INVITE": made(SECRET, method=b"INVITE"),
    "in an INFO": made(SDP + SECRET, method=b"INFO"),
    "short message": made(b"\0\1" + SECRET, b"application/vnd.3gpp.sms"),
    "behind a description": made(SDP + SECRET, method=b"INVITE"),
    "as its name": made(SDP.replace(b"s=-", b"s=" + SECRET), method=b"INVITE"),
    "as its information": made(SDP + b"i=" + SECRET + b"\r\n", method=b"INVITE"),
    "as a subject": made(b"", more=b"Subject: %b\r\n %b\r\n" % (SECRET, SECRET)),
    "as a short subject": made(b"", more=b"s : %b\r\n" % SECRET),
    "in a reference": made(b"", more=b"Refer-To: <sip:x@y?a=b&body=%b>\r\n" % SECRET, method=b"REFER"),
    "in a reference, escaped": made(b"", more=b"Refer-To: <sip:x@y?%%62ody=%b>\r\n" % SECRET, method=b"REFER"),
    "behind another blank line": made(b"", more=b"X: y\n\nZ:%b\r\n" % SECRET),
}


@pytest.mark.parametrize("octets", TEXTS.values(), ids=TEXTS)
def test_what_somebody_wrote_stays_here(octets):
    out = redaction.message(octets, RULES)
    assert out.removed and SECRET not in out.octets and b"\x1f\x8b" not in out.octets
    if b"\n\nZ" not in octets:
        assert b"Content-Length: %d\r\n" % len(sip.parse(out.octets).body) in out.octets


@pytest.mark.parametrize("method", [b"INVITE", b"ACK", b"PRACK", b"UPDATE", b"OPTIONS"])
def test_descriptions_in_messages_that_carry_them_are_no_content(method):
    octets = made(SDP, method=method)
    response = b"SIP/2.0 200 OK\r\n" + octets.partition(b"\r\n")[2]
    for each in (octets, response):
        assert redaction.message(each, RULES) == redaction.Redacted(each, ())


def test_a_description_keeps_a_name_as_it_must_have_one():
    out = redaction.description(SDP.replace(b"s=-", b"s=my talk") + b"i=of today\r\n", RULES)
    assert out == redaction.Redacted(SDP, (redaction.CONTENT,))
    assert redaction.description(b"hello", RULES) == redaction.Redacted(b"", (redaction.CONTENT,))


def test_a_message_whose_method_nobody_can_tell_has_none():
    octets = b"SIP/2.0 200 OK\r\n" + made(SDP).replace(b"CSeq: 1 MESSAGE", b"CSeq: x").partition(b"\r\n")[2]
    assert SDP not in redaction.message(octets, RULES).octets


def _mikey(encryption: mikey.EncrAlg) -> bytes:
    kemac = v.Kemac(encryption, b"\0" * 24, mikey.MacAlg.NULL, b"")
    header = v.Header(0, 0, 1, mikey.MapType.SRTP_ID)
    octets = mikey.build(header, [v.Timestamp(mikey.TsType.COUNTER, b"\0" * 4), kemac])
    return b"a=key-mgmt:mikey " + base64.b64encode(octets) + b"\r\n"


def test_mikey_that_anybody_reads_stays_here_and_tickets_go():
    assert redaction.description(SDP + _mikey(mikey.EncrAlg.NULL), RULES).removed == (redaction.TICKET,)
    line = _mikey(mikey.EncrAlg.AES_CM_128)
    assert redaction.description(SDP + line, RULES) == redaction.Redacted(SDP + line, ())
