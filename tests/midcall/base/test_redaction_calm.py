"""Heads and descriptions of the usual kind: what is passed at once, what has to be looked through, what is kept."""

from __future__ import annotations

import pytest

from imswire import sip
from midcall.base import redaction
from midcall.base.redaction import Lines, Rules, calm, keys, places
from tests.midcall.base import test_redaction_keys as sdes
from tests.midcall.base.test_redaction_proofs import EVERY

ALL = Rules(*[True] * len(Rules.__struct_fields__))
PLACE = b"P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=1\r\n"
HEAD = (
    b"INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
    b'Accept-Contact: *;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service"\r\nContact: <sip:a@b?x=y>\r\n\r\n'
)
SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


def with_header(line: bytes) -> bytes:
    return HEAD.replace(b"From", line + b"From")


def test_usual_heads_stay_as_they_are():
    for rules in EVERY:
        assert calm.head(HEAD, rules) is HEAD
        assert calm.head(with_header(PLACE), rules) == (HEAD if rules.location else with_header(PLACE))


def test_headers_of_places_go_wherever_they_stand():
    rules = Rules(location=True)
    assert calm.head(with_header(PLACE + b"GEOLOCATION \t:x\r\n" + PLACE), rules) == HEAD
    assert calm.head(HEAD[:-2] + PLACE + b"\r\n", rules) == HEAD
    assert calm.head(b"SIP/2.0 200 OK\r\n" + PLACE + b"\r\n", rules) == b"SIP/2.0 200 OK\r\n\r\n"
    assert calm.head(HEAD[:-2] + PLACE * calm.MAX_PLACES + b"\r\n", rules) == HEAD
    assert calm.head(HEAD[:-2] + PLACE * (calm.MAX_PLACES + 1) + b"\r\n", rules) is None
    assert calm.head(PLACE + b"X: y\r\n\r\n", rules) is None, "no start line of a message"


@pytest.mark.parametrize(
    "line",
    [
        b" folded\r\n", b"\tfolded\r\n", b"\r\n", b"X: a\nY: b\r\n", b"X: a\r\r\n", b"X: a\x0bb\r\n",
        b"X: \xc2\x85\r\n", b"\0: x\r\n", b"E: gzip\r\n", b"e\r\n", b"Content-\0Encoding: gzip\r\n",
        b"Content-Transfer-Encoding: x\r\n", b"Subject: x\r\n", b"s :x\r\n", b"S\r\n", b"User-to-User: x\r\n",
        b"Content-Description: x\r\n", b"X: <data:,x>\r\n", b"X: <sip:a@b?body=x>\r\n",
        b"X: <sip:a@b?s%75bject=x>\r\n", b"X: a;ggsn=1\r\n", b"X: g%65o:1,2\r\n", b"X: crypto: x\r\n",
        b"X: IN LINE\r\n", b"X: k=base64:x\r\n", b"X: key-mgmt:mikey A\r\n", b"X: %2525252525\r\n",
    ],
)  # fmt: skip
def test_heads_that_are_looked_through(line):
    assert calm.head(with_header(line), ALL) is None
    assert calm.head(with_header(PLACE + line), ALL) is None


def test_a_head_ends_with_its_blank_line():
    assert calm.head(HEAD[:-2], ALL) is None
    assert calm.head(HEAD + b"Subject: x\r\n\r\n", ALL) is None


def test_usual_descriptions_stay():
    ticket = sdes.TICKET
    for rules in EVERY:
        assert calm.description(SDP, rules) and calm.description(SDP[:-2], rules)
        assert calm.description(SDP + ticket, rules) != rules.ticket
    assert calm.description(b"v=0\r\n" + ticket, Rules(mikey=True))


@pytest.mark.parametrize(
    "line",
    [
        b" \r\n", b"\r\n", b"a=b\x0b\r\n", b"a=b\n", b"A=b\r\n", b"--b\r\n", b"s=x\r\n", b"i=x\r\n", b"k=prompt\r\n",
        b"a=crypto:1\r\n", b"a=x:inline\r\n", b"a=geo:1,2\r\n", b"a=x:pidf\r\n", b"a=x:latitude=1\r\n", b"a=x:%41\r\n",
        b"a=x:y=41\r\n", b"a=x:content-encodin\r\ng=x\r\n", b"a=acap:1 key-mgmt:mikey AQ==\r\n", b"a=key-mgmt:x A\r\n",
        b"a=key-mgmt:mikey AAAA\x0bBBBB\r\n", b"a=key-mgmt:mikey AAAA\nBBBB\r\n", b"a=key-mgmt:mikey AA==A\r\n",
        b"a=key-mgmt:mikey AAAA===\r\n", b"a=key-mgmt:mikey \r\n", b"a=key-mgmt:mikey AQ==\r\n",
    ],
)  # fmt: skip
def test_descriptions_that_are_looked_through(line):
    rules = Rules(location=True, content=True, sdes=True, mikey=True)
    assert not calm.description(b"v=0\r\n" + line, rules)
    assert not calm.description(SDP + line, rules)


def test_a_description_begins_with_its_version():
    assert not calm.description(SDP[5:], ALL) and not calm.description(b"v=0", ALL)


def test_each_form_of_a_place_is_known_before_or_has_a_hint():
    for each in places._BODY:
        assert places.hinted(each) or places.in_body_unhinted(each)
    assert places.in_body_unhinted(b"latitude=1") and not places.in_body_unhinted(b"a=sendrecv")


@pytest.mark.parametrize("rules", EVERY)
def test_lines_that_are_known_change_nothing(rules):
    known = Lines(rules)
    messages = [
        sdes.made(SDP),
        sdes.made(SDP + sdes.TICKET, more=PLACE),
        sdes.made(sdes.SDP, more=b"Subject: x\r\n"),
        sdes.made(SDP, more=b"Accept-Contact: *;a=%41\r\n"),
        sdes.made(SDP.replace(b"s=-", b"s=talk"), more=b"X: <sip:a@b?geolocation=x>\r\n"),
    ]
    for octets in messages * 3:
        assert redaction.of_parsed(sip.parse(octets), octets, rules, known) == redaction.message(octets, rules)


def test_lines_are_known_once_they_were_looked_at(monkeypatch):
    rules = Rules(sdes=True, mikey=True)
    known = Lines(rules)
    assert calm.head(HEAD, rules, known) is HEAD and calm.description(SDP, rules, known)
    monkeypatch.setattr(keys, "hinted", lambda _: pytest.fail("looked at again"))
    assert calm.head(HEAD, rules, known) is HEAD and calm.description(SDP, rules, known)


def test_lines_of_other_rules_prove_nothing():
    known, octets = Lines(Rules(sdes=True)), sdes.made(SDP, more=PLACE)
    for rules in (known.rules, Rules(sdes=True, location=True)):
        assert redaction.of_parsed(sip.parse(octets), octets, rules, known) == redaction.message(octets, rules)


def test_what_is_kept_of_lines():
    """Nothing long, nothing that the rules name, and nothing at all where keys may stand in it."""
    known = Lines(Rules(sdes=True))
    long = b"X: " + b"x" * calm.MAX_LINE + b"\r\n"
    assert calm.head(with_header(long), known.rules, known) is not None
    assert calm.head(with_header(b"X: inline:" + sdes.KEY + b"\r\n"), known.rules, known) is None
    assert set(known.headers) == set(HEAD[:-4].split(b"\r\n"))
    open_to_keys = Lines(Rules(location=True))
    assert calm.description(sdes.CLEAN, open_to_keys.rules, open_to_keys)
    assert not len(open_to_keys.described) and not len(open_to_keys.headers)
