"""Keys and places that stand in forms of their own: MIKEY beside its attribute, other letters, parts told by a head."""

from __future__ import annotations

import base64
import itertools

import pytest
from msgspec import structs

from imswire import mikey, sip
from imswire.mikey import payloads
from imswire.mikey import values as v
from midcall.base import redaction
from midcall.base.redaction import Lines, Rules, codings, keys, places
from tests.imswire.mikey.test_skim import asking, message, with_policy
from tests.midcall.base.test_redaction_keys import CLEAN, CRYPTO, KEY, MIXED, TICKET, made, parts

IN_CLEAR = Rules(location=True, sdes=True, mikey=True)
PLACE = Rules(location=True)
DATA = v.KeyData(2, b"SECRET-SECRET-16")
NULL = v.Kemac(0, payloads.write_chain([DATA]))
SEALED = v.Kemac(1, b"\xde\xad\xbe\xef" * 6)
OPEN, OPAQUE = message(NULL), message(SEALED)


def managed(octets: bytes) -> bytes:
    return b"a=key-mgmt:mikey " + base64.b64encode(octets)


@pytest.mark.parametrize(
    "octets",
    [
        message(DATA),
        message(SEALED, v.Sk(2, b"key")),
        message(asking(NULL)),
        message(asking(DATA)),
        with_policy(NULL),
        with_policy(SEALED, DATA),
        with_policy(v.Kemac(0, payloads.write_chain([DATA, v.Rand(b"r")]))),
    ],
)
def test_keys_that_stand_outside_of_a_kemac_or_in_a_policy(octets):
    """As they are: anybody reads them, wherever a sender puts them."""
    assert keys.anybody_reads(managed(octets))
    assert redaction.description(CLEAN + managed(octets) + b"\r\n", IN_CLEAR).octets == CLEAN


def test_what_a_policy_asks_for_is_no_key():
    asked = v.Kemac(0, payloads.write_chain([v.KeyData(1, bytes(16), bytes(14))]))
    for octets in (message(asking(asked)), with_policy(asked)):
        assert not mikey.opaque(octets) and keys.anybody_reads(managed(octets)) is False


def test_a_policy_that_cannot_be_read():
    octets = message(structs.replace(asking(), tp_data=b"\1\0"))
    assert keys.anybody_reads(managed(octets)) is None


def test_two_messages_in_one_line():
    """Together they may be one that is opaque, and one of them another that is not."""
    whole = next(
        octets for length in range(3) if (octets := message(v.Extension(1, bytes(length) + OPEN))).index(OPEN) % 3 == 0
    )
    at = whole.index(OPEN)
    first, second = base64.b64encode(whole[:at]), base64.b64encode(whole[at:])
    assert keys.anybody_reads(managed(whole)) is False
    for line in (managed(whole[:at]) + b" " + second, b"a=key-mgmt:mikey%b %b" % (first, second)):
        out = redaction.message(made(CLEAN + line + b"\r\n"), IN_CLEAR)
        assert second not in out.octets and redaction.UNREADABLE in out.removed


@pytest.mark.parametrize("coded", [False, True])
def test_mikey_as_a_body(coded):
    """application/mikey, as a body or as a part."""
    for octets, stays in ((OPAQUE, True), (OPEN, False), (OPEN[:-1], False)):
        more = b"Content-Transfer-Encoding: base64\r\n" if coded else b""
        body = base64.b64encode(octets) if coded else octets
        part = parts((b"Content-Type: application/mikey\r\n" + more[:-2], body)) if coded else b""
        for each in filter(None, (made(body, b"application/mikey", more), part and made(part, MIXED))):
            out = redaction.message(each, IN_CLEAR)
            assert (body in out.octets) is stays and bool(out.removed) is not stays
        assert body not in redaction.message(made(body, b"application/mikey", more), Rules(ticket=True)).octets
    spelled = message(v.Id(1, b"inline:" + KEY))
    assert mikey.opaque(spelled)
    assert KEY not in redaction.message(made(spelled, b"application/mikey"), IN_CLEAR).octets


def test_mikey_in_a_header_of_rtsp():
    line = b'KeyMgmt: prot=mikey;uri="x";data="%b"\r\n' % base64.b64encode(OPEN)
    known = Lines(IN_CLEAR)
    for octets in (made(CLEAN, more=line), made(b"OPTIONS x RTSP/1.0\r\n" + line, b"text/plain")):
        out = redaction.of_parsed(sip.parse(octets), octets, IN_CLEAR, known)
        assert base64.b64encode(OPEN) not in out.octets and redaction.TICKET in out.removed


@pytest.mark.parametrize("line", [b"k=base64 " + KEY, b"k=" + KEY, b"K = clear x", b"k=x-own:" + KEY, b"k="])
def test_a_description_says_k_for_keys_alone(line):
    out = redaction.description(CLEAN + line + b"\r\n", Rules(sdes=True))
    assert out == redaction.Redacted(CLEAN, (redaction.SDES,))


def test_methods_without_a_key_and_other_texts():
    for octets in (made(CLEAN + b"k=prompt\r\n"), made(b"for k=3 and k=base64\r\n", b"text/plain")):
        assert redaction.message(octets, Rules(sdes=True)) == redaction.Redacted(octets, ())
    assert KEY not in redaction.message(made(b"x k=base64 " + KEY, b"text/plain"), Rules(sdes=True)).octets


@pytest.mark.parametrize("form", [b"latitude=48.2", b"pidf", b"held+xml", b"coordinates:[16.3,48.2]"])
@pytest.mark.parametrize("more", [b"", b"a=x:%41\r\n"])
def test_places_that_have_no_hint_in_a_description(form, more):
    line = b"a=x:" + form + b"\r\n"
    out = redaction.message(made(CLEAN + line + more), PLACE)
    assert line not in out.octets and out.removed == (redaction.LOCATION,)


XML = b"<?xml version='1.0' encoding='UTF-7'?><p>+AGcAZQBvAHAAcgBpAHY- 48.2 16.3</p>"
ELSEWHERE = [
    (b"v=0\r\na=+AGMAcgB5AHAAdABv-:1 A +AGkAbgBsAGkAbgBl-:48.2\r\n", b"application/sdp;charset=UTF-7"),
    (b"v=0\r\na=48.2\r\n", b"application/sdp;charset*=us-ascii''utf-7"),
    (b"+ADw-gml 48.2", b'text/plain; charset="utf-7"'),
    (XML, b"application/xml"),
    (XML.decode().replace("UTF-7", "cp037").encode("cp037"), b"application/xml"),
    (b'{"type":"Point","x":[16.3,48.2]}', b"application/geo+json"),
    (b'{"coordinates": [16.3, 48.2]}', b"application/json"),
    (b"<kml><coordinates>16.3,48.2</coordinates></kml>", b"application/vnd.google-earth.kml+xml"),
    (b'<gpx><wpt lat="48.2"/></gpx>', b"application/gpx+xml"),
    (b"BEGIN:VCARD\r\nGE\r\n O:48.2;16.3\r\nEND:VCARD\r\n", b"text/vcard"),
]


@pytest.mark.parametrize(("body", "kind"), ELSEWHERE)
def test_other_letters_and_other_forms_of_places(body, kind):
    known = Lines(IN_CLEAR)
    for octets in (made(CLEAN), made(body, kind), made(parts((b"Content-Type: " + kind, body)), MIXED)) * 2:
        out = redaction.of_parsed(sip.parse(octets), octets, IN_CLEAR, known)
        place = "48.2".encode("cp037") if b"\x6f\xa7\x94" in octets else b"48.2"
        assert place not in out.octets and bool(out.removed) is (octets != made(CLEAN))


@pytest.mark.parametrize("charset", [b"utf-8", b'"UTF-8"', b"us-ascii", b"'iso-8859-1'", b"windows-1252", b"UTF-16LE"])
def test_letters_that_are_looked_through(charset):
    for body, kind in ((b"hello", b"text/plain"), (CLEAN, b"application/sdp"), (b"<a/>", b"text/xml")):
        octets = made(body, kind + b";charset=" + charset)
        assert redaction.message(octets, IN_CLEAR) == redaction.Redacted(octets, ())
    assert not codings.odd_xml(b"", b"<?xmlversion='1.0'encoding=" + charset.lower() + b"?>")


MSD = b"\x02\x24\x0fplace"
TOLD = {
    "info package": b"Info-Package: EmergencyCallData.eCall.MSD\r\n",
    "call info": b"Call-Info: <cid:1@x>;purpose=EmergencyCallData.eCall.MSD\r\n",
    "geolocation": b"Geolocation: <cid:1@x>\r\n",
    "folded": b"Info-Package:\r\n EmergencyCallData.eCall.MSD\r\n",
}


@pytest.mark.parametrize("more", TOLD.values(), ids=TOLD)
def test_parts_of_which_the_head_says_that_they_tell_a_place(more):
    part = b"Content-Type: application/octet-stream\r\nContent-ID: <1@x>", MSD
    for body, kind in ((MSD, b"x/y"), (parts((b"Content-Type: application/sdp", CLEAN), part), MIXED)):
        out = redaction.message(made(body, kind, more), PLACE)
        assert b"place" not in out.octets and out.removed == (redaction.LOCATION,)
        assert (CLEAN in out.octets) is (kind == MIXED)
        unsaid = made(body, kind, b"Recv-Info: EmergencyCallData.eCall.MSD\r\n")
        assert redaction.message(unsaid, PLACE) == redaction.Redacted(unsaid, ())


def test_data_in_a_uri_of_a_header():
    held = (b"<presence><geopriv>48.2 16.3</geopriv></presence>" * 2, CLEAN + CRYPTO, CLEAN + TICKET)
    for inner, by in itertools.product(held, (b"", b"xx")):
        line = b"Call-Info: <data:x/y;base64,%b>;purpose=info\r\n" % base64.b64encode(by + inner)
        out = redaction.message(made(CLEAN, more=line), IN_CLEAR)
        assert line not in out.octets and out.removed
    ring = made(CLEAN, more=b"Alert-Info: <data:audio/wav;base64,%b>\r\n" % base64.b64encode(bytes(range(90))))
    assert redaction.message(ring, IN_CLEAR) == redaction.Redacted(ring, ())


@pytest.mark.parametrize("name", [b"utran-cell-\r\n id-3gpp", b"gg\r\n\tsn", b"utran- cell-id-3gpp"])
def test_names_that_are_torn(name):
    out = redaction.message(made(CLEAN, more=b"X: a;" + name + b"=CELL;b=c\r\n"), PLACE)
    assert b"CELL" not in out.octets and out.removed == (redaction.LOCATION,)
    assert not places.parameter(b"x:a;ggsn=-;b=c") and places.parameter(b"ggsn=-1")
