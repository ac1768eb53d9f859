"""What the rules name behind escapes, between parts, and where no standard puts it: it does not leave."""

from __future__ import annotations

import base64
import gzip
import quopri
import zlib
from urllib.parse import quote

import pytest

from imswire import mikey, sip
from imswire.mikey import values as v
from imswire.mikey.ticket import read_data
from midcall.base import redaction
from midcall.base.redaction import Rules, escapes
from tests.imswire.mikey.vectors import SET1
from tests.midcall.base.test_redaction_keys import CRYPTO, KEY, MIKEY, MIXED, TICKET, parts
from tests.midcall.base.test_redaction_places import PIDF

SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n"
SECRET = b"SECRETPLACE"
CELL = b"2620112340987654"
TEXT = b"attack"
KEYS, PLACES, EVENTS = Rules(sdes=True), Rules(location=True), Rules(content=True, sdes=True)
# Content goes over in clear: then no key may.
CLEAR = Rules(sdes=True, mikey=True)
AS_SDP = b"Content-Type: application/sdp"
QUOTED = b"Content-Transfer-Encoding: quoted-printable"


def made(body: bytes = b"", kind: bytes = b"application/sdp", more: bytes = b"", *, uri: bytes = b"sip:bob@b") -> bytes:
    head = b"INVITE %b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n" % uri
    head += b"To: <sip:bob@b>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n" + more
    return head + b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body)) + body


def escaped(octets: bytes) -> bytes:
    return b"".join(b"%%%02x" % each for each in octets)


def twice(octets: bytes) -> bytes:
    return escaped(octets).replace(b"%", b"%25")


def referred(field: bytes) -> bytes:
    return made(more=b"Refer-To: <sip:x@y?%b>\r\n" % field)


def quoted_unlabelled(octets: bytes) -> bytes:
    return octets.replace(b"=", b"=3D").replace(b"inline", b"=69nline").replace(b"crypto", b"=63rypto")


BODY = SDP + CRYPTO + b"\r\n"
JSON = b'{"sdp":"v=0\\r\\na=crypto:1 AES_CM_128_HMAC_SHA1_80 %binline:%b\\r\\n"}'
GZIPPED = gzip.compress(BODY)
HIDDEN_KEYS = {
    "= and CR in a body": made(SDP + b"=\r" + CRYPTO + b"\r\n", more=QUOTED + b"\r\n"),
    "= and CR in a valid body": made(
        SDP.replace(b"=", b"=3D") + b"=\r" + CRYPTO.replace(b"=", b"=3D") + b"\r\n", more=QUOTED + b"\r\n"
    ),
    "= and CR in a part": made(
        parts(
            (
                AS_SDP + b"\r\n" + QUOTED,
                SDP.replace(b"=", b"=3D") + b"=\r" + CRYPTO.replace(b"=", b"=3D"),
            )
        ),
        MIXED,
    ),
    "= and CR in parts in a part": made(
        parts(
            (
                b"Content-Type: multipart/mixed;boundary=Y\r\n" + QUOTED,
                parts((AS_SDP, SDP + b"=\r" + CRYPTO), boundary=b"Y"),
            )
        ),
        MIXED,
    ),
    "k= that the label spoils": made(SDP + b"k=base64:" + KEY + b"\r\n", more=QUOTED + b"\r\n"),
    "k= alone that the label spoils": made(b"k=base64:" + KEY + b"\r\n", more=QUOTED + b"\r\n"),
    "delimiter": made(b"--XX " + CRYPTO + b"\r\n" + AS_SDP + b"\r\n\r\n" + SDP + b"\r\n--XX--\r\n", MIXED),
    "delimiter, VT": made(b"--XX\x0b" + CRYPTO + b"\r\n" + AS_SDP + b"\r\n\r\n" + SDP + b"\r\n--XX--\r\n", MIXED),
    "closing delimiter": made(b"--XX\r\n" + AS_SDP + b"\r\n\r\n" + SDP + b"\r\n--XX--\x0b" + CRYPTO + b"\r\n", MIXED),
    "preamble, escaped": made(quote(CRYPTO).encode() + b"\r\n" + parts((AS_SDP, SDP)), MIXED),
    "preamble, base64": made(base64.b64encode(CRYPTO) + b"\r\n" + parts((AS_SDP, SDP)), MIXED),
    "head of a part, escaped": made(parts((AS_SDP + b"\r\nX: " + CRYPTO.replace(b"inl", b"%69nl"), SDP)), MIXED),
    "URI, a letter escaped": referred(b"body=" + quote(BODY).replace("inline", "%69nline").encode()),
    "URI, all escaped": referred(b"body=" + escaped(BODY)),
    "URI, all escaped twice": referred(b"body=" + twice(BODY)),
    "head of a part, quoted and escaped": made(parts((AS_SDP + b"\r\nX: =25=36=39nline:" + KEY, SDP)), MIXED),
    "URI, k=": referred(b"body=k%3Dbase64%3A" + KEY),
    "start line": made(uri=b"sip:bob@b?body=%69nline:" + KEY),
    "start line, as user": made(uri=b"sip:%69nline:" + KEY + b"@b"),
    "header, a value alone": made(more=b"X: %69nline:" + KEY + b"\r\n"),
    "header, too deep": made(more=b"X: %2525252525252569nline:" + KEY + b"\r\n"),
    "JSON": made(JSON % (b"", KEY), b"application/json"),
    "JSON, a letter escaped": made(
        (JSON % (b"", KEY)).replace(b"crypto", b"\\u0063rypto").replace(b"inl", b"\\u0069nl"), b"application/json"
    ),
    "JSON, / escaped": made(JSON % (b"", KEY[:9] + b"\\/" + KEY[10:]), b"application/json"),
    "JSON, / escaped late": made(JSON % (b"", KEY[:25] + b"\\/" + KEY[26:]), b"application/json"),
    "JSON, k=": made(b'{"sdp":"k=base64:' + KEY + b'"}', b"application/json"),
    "XML, a letter escaped": made(b"<x>&#x69;nline:" + KEY + b"</x>", b"text/xml"),
    "XML, a name of its own": made(b'<!DOCTYPE x [<!ENTITY a "inl">]><x>&a;ine:' + KEY + b"</x>", b"text/xml"),
    "two boundaries": made(
        b"--A\r\n\r\nx\r\n--B\r\n" + AS_SDP + b"\r\ne: gzip\r\n\r\n" + GZIPPED + b"\r\n--B--\r\n--A--",
        b"multipart/mixed;boundary=A;boundary=B",
    ),
    "a boundary in pieces": made(
        b"--AB\r\ne: deflate\r\n\r\n" + zlib.compress(BODY, wbits=-15) + b"\r\n--AB--",
        b"multipart/mixed;boundary*0=A;boundary*1=B",
    ),
    "another boundary": made(b"--B\r\nE :\r\n gzip\r\n\r\n" + GZIPPED + b"\r\n--B--", b"multipart/mixed;boundary=A"),
    "gzip within": made(b"here it is: " + GZIPPED, b"text/plain"),
    "gzip, cut, without a label": made(zlib.compress(BODY)[:-9], b"x/y"),
    "base64 behind a line": made(b"#\r\n" + base64.b64encode(BODY), b"text/plain"),
    "base64 behind text": made(b"see below\r\n" + base64.encodebytes(BODY), b"text/plain"),
    "base64 with marks in it": made(base64.b64encode(BODY).replace(b"A", b"A#"), b"text/plain"),
    "base64 of URLs": made(b"x: " + base64.urlsafe_b64encode(BODY), b"text/plain"),
    "base64 of gzip behind a line": made(b"#\r\n" + base64.b64encode(GZIPPED), b"text/plain"),
    "quoted-printable without a label": made(quoted_unlabelled(BODY)),
    "the same as text": made(quoted_unlabelled(BODY), b"text/plain"),
    "a soft line end in a key": made(b"X: inline:" + KEY[:25] + b"=\r\n" + KEY[25:], b"text/plain"),
    "a soft line end in a name": made(b"a=cryp=\r\nto:1 AES inli=\r\nne:" + KEY, b"text/plain"),
    "a comment of gzip": made(
        GZIPPED[:3] + b"\x10" + GZIPPED[4:10] + b"inline:" + KEY + b"\0" + gzip.compress(SDP)[10:],
        b"x/y",
        b"e: gzip\r\n",
    ),
}


def looks(octets: bytes) -> bool:
    """The key, or its end, in what is left as any of the above may read it."""
    joined = octets.replace(b"#", b"").replace(b"\r\n", b"").replace(b"=\r\n", b"")
    pieces = (
        KEY,
        KEY[-14:],
        twice(KEY),
        escaped(KEY),
        base64.b64encode(BODY)[-40:-8],
        GZIPPED[12:40],
        zlib.compress(BODY)[9:30],
    )
    return any(each in whole for each in pieces for whole in (octets, joined))


@pytest.mark.parametrize("octets", HIDDEN_KEYS.values(), ids=HIDDEN_KEYS)
@pytest.mark.parametrize("rules", [KEYS, EVENTS, Rules(*[True] * 4)], ids=["keys", "events", "all"])
def test_keys(octets, rules):
    out = redaction.message(octets, rules)
    assert out.removed and not looks(out.octets)
    parsed = sip.parse(out.octets)
    assert parsed.from_tag == "1" and parsed.call_id == "1" and parsed.method == "INVITE"
    assert b"Content-Length: %d\r\n" % len(parsed.body) in parsed.head


HIDDEN_PLACES = {
    "quoted-printable, = and CR": made(b"x=\r" + PIDF, b"text/plain", QUOTED + b"\r\n"),
    "preamble": made(PIDF + b"\r\n" + parts((AS_SDP, SDP)), MIXED),
    "head of a part, its name escaped": made(parts((AS_SDP + b"\r\nX: %0d%0aGeolocation: SECRETPLACE", SDP)), MIXED),
    "epilogue": made(parts((AS_SDP, SDP)) + PIDF, MIXED),
    "head of a part": made(parts((AS_SDP + b"\r\nX: " + PIDF, SDP)), MIXED),
    "delimiter": made(b"--XX " + PIDF + b"\r\n" + AS_SDP + b"\r\n\r\n" + SDP + b"\r\n--XX--\r\n", MIXED),
    "header": made(more=b"X: " + PIDF + b"\r\n"),
    "header, folded": made(more=b"X: " + PIDF.replace(b" ", b"\r\n ") + b"\r\n"),
    "header, a letter escaped": made(more=b"X: " + PIDF.replace(b"geopriv", b"%67eopriv") + b"\r\n"),
    "URI, its name escaped": referred(b"P%2DAccess-Network-Info=3GPP%3butran-cell-id-3gpp%3d" + SECRET),
    "URI, its name escaped, nothing else": referred(b"P%2DVisited-Network-ID=" + SECRET),
    "URI, geo": referred(b"Call-Info=%3Cgeo%3A48.137154%2C11.576124%3B" + SECRET + b"%3E"),
    "URI, a header": referred(b"body=x%0D%0AGeolocation%3A%20" + SECRET),
    "parameter elsewhere": made(more=b"Contact: <sip:a@x>;utran-cell-id-3gpp=" + SECRET + b"\r\n"),
    "node elsewhere": made(more=b'X: IEEE-802.11;i-wlan-node-id="' + SECRET + b'"' + SECRET + b"\r\n"),
    "cell in a description": made(SDP + b"a=x:y;cgi-3gpp=" + SECRET + b"\r\n"),
    "XML, letters escaped": made(
        b'<p xmlns="http://www.opengis.net/&#103;ml"><g&#x6d;l:pos>SECRETPLACE</gml:pos></p>', b"text/xml"
    ),
    "XML, names of its own": made(b'<!DOCTYPE x [<!ENTITY a "gml">]><&a;:pos>SECRETPLACE', b"text/xml"),
    "JSON": made(b'{"latitude":48.137154,"longitude":"SECRETPLACE"}', b"application/json"),
    "JSON, escaped": made(b'{"uri":"\\u0067eo:48.1,11.5;SECRETPLACE"}', b"application/json"),
    "a line of a description, escaped": made(SDP + b"a=x:ge%6f:48.1,11.5;SECRETPLACE\r\n"),
    "base64 behind a line": made(b"#\r\n" + base64.b64encode(PIDF), b"text/plain"),
}


@pytest.mark.parametrize("octets", HIDDEN_PLACES.values(), ids=HIDDEN_PLACES)
def test_places(octets):
    out = redaction.message(octets, PLACES)
    assert out.removed and SECRET not in out.octets and base64.b64encode(PIDF)[-40:] not in out.octets
    assert sip.parse(out.octets).from_tag == "1"


HIDDEN_TEXTS = {
    "subject in a URI, a letter escaped": referred(b"S%75bject=" + TEXT),
    "subject in a URI, compact": referred(b"s=" + TEXT),
    "body in a URI, escaped twice": referred(b"%2562ody=" + TEXT),
    "user to user": made(more=b"User-to-User: " + TEXT + b";encoding=hex\r\n"),
    "user to user in a URI": referred(b"User%2Dto-User=" + TEXT),
    "data": made(more=b"Call-Info: <data:text/plain,%20\r\n " + TEXT + b">;purpose=icon\r\n"),
    "data, escaped": made(more=b"Call-Info: <d%61ta:text/plain," + TEXT + b">\r\n"),
    "data without brackets": made(more=b"Alert-Info: DATA:text/plain," + TEXT + b"\r\n"),
    "description of the content": made(SDP, more=b"Content-Description: " + TEXT + b"\r\n"),
}


@pytest.mark.parametrize("octets", HIDDEN_TEXTS.values(), ids=HIDDEN_TEXTS)
def test_texts(octets):
    out = redaction.message(octets, EVENTS)
    assert redaction.CONTENT in out.removed and TEXT not in out.octets
    assert redaction.message(octets, KEYS) == redaction.Redacted(octets, ())


def test_a_header_loses_as_little_as_will_do():
    octets = made(more=b"Refer-To: <sip:x@y?a=b&body=%69nline:" + KEY + b"&c=d>;p=q\r\n")
    assert b"Refer-To: <sip:x@y?a=b&body=-&c=d>;p=q\r\n" in redaction.message(octets, KEYS).octets
    octets = made().replace(b"sip:a@b>;tag=1", b"sip:%69nline:" + KEY + b"@b>;tag=1;x=y")
    assert b"From: <sip:->;tag=1\r\nTo" in redaction.message(octets, KEYS).octets
    octets = made(more=b"Refer-To: <sip:x@y?body=%69nline:" + KEY[:25] + b"\r\n " + KEY[25:] + b">\r\n")
    assert b"Refer-To: <sip:x@y?body=->\r\n" in redaction.message(octets, KEYS).octets
    octets = made(more=b"X: a\r\nY: inl%69ne\x0b:" + KEY + b"\r\n z\r\n")
    assert b"X: a\r\nContent-Type" in redaction.message(octets, KEYS).octets


@pytest.mark.parametrize("start", [b"INVITE %b SIP/2.0", b"SIP/2.0 200 %b"])
def test_a_start_line_stays_one(start):
    plain = redaction.message(made(uri=b"sip:b?body=inline:" + KEY), KEYS)
    assert plain.octets == made(uri=b"sip:b?body=inline:-")
    torn = b"INVITE sip:b\rX: inline: " + KEY + made()[made().index(b"\r\n") :]
    assert redaction.head(torn, KEYS).octets.startswith(b"INVITE sip:- SIP/2.0\r\nVia")
    octets = start % (b"in%6cine: " + KEY.replace(b"g", b"g ")) + made().partition(b"SIP/2.0")[2]
    kept = redaction.head(octets, KEYS).octets
    assert kept.startswith((b"INVITE sip:- SIP/2.0\r\nVia", b"SIP/2.0 200 -\r\nVia"))


ORDINARY = {
    "escapes as networks write them": made(
        SDP,
        more=b'Accept-Contact: *;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"\r\n'
        b'History-Info: <sip:a@b?Reason=SIP%3Bcause%3D302>;index=1\r\nX: 100%;a&b;"O\\"Brien"\r\n',
    ),
    "what somebody accepts": made(
        SDP,
        more=b"Accept: application/pidf+xml,application/held+xml\r\nSupported: geolocation-sip\r\n"
        b"Recv-Info: EmergencyCallData.eCall.MSD\r\n",
    ),
    "video": made(
        SDP + b"a=fmtp:97 profile-level-id=42e01f;max-br=4521\r\na=candidate:1 1 UDP 1 10.0.0.1 9 typ host\r\n"
    ),
    "a ticket": made(SDP + TICKET + b"a=sendrecv\r\n"),
    "blanks behind delimiters": made(b"--XX \t\r\n" + AS_SDP + b"\r\n\r\n" + SDP + b"\r\n--XX--  \r\n", MIXED),
    "valid quoted-printable": made(quopri.encodestring(b"caf\xe9 =\r\n"), b"text/plain", QUOTED + b"\r\n"),
    "a description of any boundary": made(SDP, b"multipart/mixed;boundary=A;boundary=B"),
    "what gzip begins with": made(b"see \x1f\x8b\x08 and \x1f\x8b\x08\0\0\0\0\0\0\0\xff", b"text/plain"),
    "what zlib begins with": made(b"x^2 + y^2", b"text/plain"),
    "text": made(b"type: gzip, 50% off & more =)\r\n====\r\n\r\n\r\n\r\n\r\n\r\n", b"text/plain"),
    "base64": made(base64.encodebytes(bytes(range(256)) * 3), b"text/plain"),
}


@pytest.mark.parametrize("octets", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_messages_stay_octet_for_octet(octets):
    for rules in (KEYS, PLACES, Rules(location=True, sdes=True)):
        assert redaction.message(octets, rules) == redaction.Redacted(octets, ())


def test_a_delimiter_is_its_boundary_and_no_more():
    body = b"--XX text\r\n" + AS_SDP + b"\r\n\r\n" + SDP + b"\r\n--XX--more\r\n"
    out = redaction.message(made(body, MIXED), KEYS)
    assert out.octets.endswith(b"\r\n\r\n--XX\r\n" + AS_SDP + b"\r\n\r\n" + SDP + b"\r\n--XX--\r\n")
    assert out.removed == out.from_body == (redaction.TRAILING,)


def test_what_escapes_stand_for():
    assert (
        escapes.unescaped(b"%69&#x69;&#105;\\u0069\\x69&amp;&quot;\\/\\\\%zz&#9999999;") == b'iiiii&"/\\%zz&#9999999;'
    )
    assert escapes.unescaped(b"%25252569") == b"i" and escapes.unescaped(b"%252525252569") is None
    assert escapes.unquoted(b"a=3d=\r\nb= \rc=zz=") == b"a=bc=zz"


# Orders for events only, or for content in clear: MIKEY that nobody here can read may be readable elsewhere.

_HEADER = v.Header(0, 0, 1, mikey.MapType.SRTP_ID)
_TIME = v.Timestamp(mikey.TsType.COUNTER, bytes(4))
_NULL = v.Kemac(mikey.EncrAlg.NULL, b"\xde\xad\xbe\xef" * 6, mikey.MacAlg.NULL, b"")
_IN_CLEAR = mikey.build(_HEADER, [_TIME, _NULL])
_NEXT = _IN_CLEAR.index(_NULL.encr_data) - 4
MESSAGES = {
    "as it should be": _IN_CLEAR,
    "one octet behind the end": _IN_CLEAR + b"\0",
    "timestamp twice": mikey.build(_HEADER, [_TIME, _TIME, _NULL]),
    "keys twice": mikey.build(_HEADER, [_TIME, _NULL, _NULL]),
    "unknown payload behind": _IN_CLEAR[:_NEXT] + bytes([77]) + _IN_CLEAR[_NEXT + 1 :] + bytes(4),
    "unknown payload, cut": _IN_CLEAR[:_NEXT] + bytes([200]) + _IN_CLEAR[_NEXT + 1 :],
    "version 2": b"\2" + _IN_CLEAR[1:],
    "cut": _IN_CLEAR[:-1],
}
FORMS = {
    "base64": base64.b64encode,
    "padding within": lambda octets: base64.b64encode(octets[:10]) + base64.b64encode(octets[10:]),
    "a letter of another alphabet": lambda octets: base64.b64encode(octets)[:8] + b"_" + base64.b64encode(octets)[8:],
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("rules", [EVENTS, CLEAR])
def test_mikey_that_others_may_read(message, form, rules):
    line = b"a=key-mgmt:mikey " + form(message)
    out = redaction.description(SDP + line + b"\r\n", rules)
    canonical = line == b"a=key-mgmt:mikey " + base64.b64encode(_IN_CLEAR)
    assert out.octets == SDP
    assert out.removed == ((redaction.TICKET,) if canonical else (redaction.TICKET, redaction.UNREADABLE))


@pytest.mark.parametrize(
    "line", [b"a=key-mgmt:mikey AQsA", b"a=key-mgmt:x", b"X=key-mgmt:mikey " + MIKEY, TICKET[:-2] + b" " + TICKET[:-2]]
)
@pytest.mark.parametrize("rules", [EVENTS, CLEAR])
def test_key_management_that_nobody_knows(line, rules):
    out = redaction.description(SDP + line.lower()[:1] + line[1:] + b"\r\n", rules)
    assert out == redaction.Redacted(SDP, (redaction.TICKET, redaction.UNREADABLE))


def ticketed(encryption: int, initiator: bytes = b"") -> bytes:
    """A line with a ticket as those of RFC 6043 are."""
    keys, policy = (v.KeyData(mikey.KeyType.MPK, bytes(16)),), SET1.ticket.policy
    sealed = mikey.seal_ticket(policy, bytes(16), keys, timestamp=_TIME, rand=bytes(16), encr_alg=1, auth_alg=1)
    data = sealed.ticket_data
    if encryption == mikey.EncrAlg.NULL:
        # The algorithm stands before the length of what it encrypts.
        at = data.index(read_data(data).kemac.encr_data) - 3
        data = data[:at] + bytes([encryption]) + data[at + 1 :]
    return carried(v.Ticket(policy, data, initiator))


def carried(ticket: v.Ticket) -> bytes:
    return b"a=key-mgmt:mikey " + base64.b64encode(mikey.build(_HEADER, [_TIME, ticket])) + b"\r\n"


@pytest.mark.parametrize("rules", [EVENTS, CLEAR])
def test_tickets_are_looked_into(rules):
    in_clear = mikey.build(_HEADER, [_NULL])[len(mikey.build(_HEADER, [])) :]
    good = SDP + ticketed(mikey.EncrAlg.AES_CM_128)
    assert redaction.description(good, rules) == redaction.Redacted(good, ())
    inner = bytes([mikey.PayloadType.KEMAC]) + in_clear
    for line in (ticketed(mikey.EncrAlg.NULL), ticketed(mikey.EncrAlg.AES_CM_128, inner)):
        assert redaction.description(SDP + line, rules) == redaction.Redacted(SDP, (redaction.TICKET,))
    opaque = SDP + carried(v.Ticket(SET1.ticket.policy, b"opaque"))
    assert redaction.description(opaque, rules).removed == (redaction.TICKET, redaction.UNREADABLE)


def test_key_management_behind_escapes():
    line = b"a=key-m%67mt:mikey " + base64.b64encode(_IN_CLEAR) + b"\r\n"
    for rules in (EVENTS, CLEAR, Rules(ticket=True)):
        assert redaction.description(SDP + line, rules) == redaction.Redacted(b"", (redaction.TICKET,))


_LINE = b"a=key-mgmt:mikey " + base64.b64encode(_IN_CLEAR)
_ALSO = {
    "in a part": made(parts((AS_SDP, SDP + _LINE + b"\r\n"), (b"Content-Type: text/plain", b"x")), MIXED),
    "in a part without a type": made(parts((b"X: y", SDP + _LINE + b"\r\n"), (b"X: y", b"x")), MIXED),
    "in the head of a part": made(parts((_LINE, SDP)), MIXED),
    "escaped in the head of a part": made(parts((b"X: " + _LINE.replace(b"-", b"%2d"), SDP)), MIXED),
    "compressed": made(gzip.compress(SDP + _LINE + b"\r\n"), more=b"Content-Encoding: gzip\r\n"),
    "compressed without a label": made(gzip.compress(SDP + _LINE + b"\r\n")),
    "base64 within a text": made(b'{"x": "%b"}' % base64.b64encode(SDP + _LINE), b"text/plain"),
    "in JSON": made(b'{"sdp": "v=0\\r\\n%b"}' % _LINE, b"application/json"),
    "in a fragment of SIP": made(b"INVITE sip:b@c SIP/2.0\r\n\r\n" + SDP + _LINE + b"\r\n", b"message/sipfrag"),
    "in a header": made(more=b"X-SDP: " + _LINE + b"\r\n"),
    "in a URI": made(more=b"Refer-To: <sip:b@c?body=%b>\r\n" % quote(_LINE).encode()),
    "in a start line": made(uri=b"sip:b@c?body=" + quote(_LINE).encode()),
}


@pytest.mark.parametrize("octets", _ALSO.values(), ids=_ALSO)
def test_mikey_in_clear_stands_nowhere_when_content_does(octets):
    out = redaction.message(octets, CLEAR)
    assert out.removed and redaction.message(out.octets, CLEAR) == redaction.Redacted(out.octets, ())
    left = base64.b64encode(_IN_CLEAR)
    assert left not in out.octets.replace(b"%2B", b"+").replace(b"%2F", b"/").replace(b"%3D", b"=")
    assert sip.parse(out.octets).call_id == "1"


def test_an_opaque_ticket_stays_when_content_goes_over_in_clear():
    octets = made(SDP + ticketed(mikey.EncrAlg.AES_CM_128))
    assert redaction.message(octets, CLEAR) == redaction.Redacted(octets, ())
