"""What is proved cheaply is what the careful way finds: with and without the proofs the outcome is the same octets."""

from __future__ import annotations

import itertools
import os
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import sip
from imswire.mikey import EncrAlg
from midcall.base import redaction
from midcall.base.redaction import Rules, calm, hidden, keyless, lines, places, proofs
from midcall.base.redaction.text import squeezed
from tests.midcall.base import test_redaction_content as content
from tests.midcall.base import test_redaction_hidden as hiding
from tests.midcall.base import test_redaction_keys as sdes
from tests.midcall.base import test_redaction_places as location
from tests.midcall.base.test_redaction import HEAD, SDP, made

TORTURE = [path.read_bytes() for path in sorted((Path(__file__).parents[2] / "data" / "torture").glob("*/*.dat"))]
# With content kept back the last rule changes little; orders for content in clear have it beside the keys.
IN_CLEAR = (Rules(sdes=True, mikey=True), Rules(location=True, sdes=True, mikey=True))
EVERY = tuple(Rules(*each) for each in itertools.product((False, True), repeat=len(Rules.__struct_fields__)))
PROOF = bool(os.environ.get("MIDCALL_PROOF"))
MOST = EVERY if PROOF else tuple(each for each in EVERY if not each.mikey or each in IN_CLEAR)
PLAIN = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
TICKET = sdes.TICKET
HOSTILE = [
    *content.TEXTS.values(),
    *(sdes.made(sdes.SDP.replace(sdes.CRYPTO, line)) for line in sdes.LINES.values()),
    *(sdes.made(*coded) for coded in sdes.CODED.values()),
    *(
        sdes.made(sdes.parts((b"Content-Type: application/sdp", PLAIN), each), sdes.MIXED)
        for each in sdes.HIDDEN.values()
    ),
    *(sdes.made(PLAIN).replace(b"CSeq", line + b"\r\nCSeq") for line in sdes.HEADERS.values()),
    *(location.made(PLAIN, b"application/sdp", more=lines) for lines in location.HEADERS.values()),
    *(location.made(*body) for body in location.BODIES.values()),
    *hiding.HIDDEN_KEYS.values(),
    *hiding.HIDDEN_PLACES.values(),
    *hiding.HIDDEN_TEXTS.values(),
    *hiding.ORDINARY.values(),
    made(SDP),
    made(PLAIN),
    made(PLAIN + TICKET),
    made(PLAIN + content._mikey(EncrAlg.NULL)),
    made(b""),
    b"E :x SIP/2.0\r\n" + made(PLAIN).replace(b"INVITE", b"E").partition(b"\r\n")[2],
]
# What somebody may put where it is least expected; the rules act upon each of them in some place.
PIECES = [
    b"\r\n", b"\n", b"\r", b"\r\n ", b"\r\n\r\n", b"\n\n", b"\x0b", b"\x1c", b"\0", b" ", b"\t", b"\xc2\x85",
    b"\x85", b"\xe2\x80\xa8", b"\xc3\xa9", b"e: gzip\r\n", b"E\r\n :gzip\r\n", b"\xa9e:br\r\n", b"s: x\r\n",
    b"S \t:x\r\n", b"s\r\n : x\r\n", b"Subject: x\r\n", b"Sub\0ject:x\r\n", b"Content-Encoding: gzip\r\n",
    b"Content-\0Encoding:br\r\n", b"Content-Transfer-Encoding: base64\r\n", b"c: multipart/mixed;boundary=b\r\n",
    b"\r\n--b\r\n", b"--b--", b"k=clear:xyz\r\n", b"k=\r\n", b"i=x\r\n", b"s=x\r\n", b"s= \r\n",
    b"a=crypto:1 X inline:" + sdes.KEY + b"\r\n", b"A = CRYPTO :", b"inline:" + sdes.KEY,
    b"a=key-mgmt:mikey AQsA\r\n", TICKET,
    content._mikey(EncrAlg.NULL), content._mikey(EncrAlg.AES_CM_128),
    b"a=geo:1,2\r\n", b"geo:1,2",
    b"Geo\0location: x\r\n", b";ggsn=1", b";pdngw = x", b"eps-info=x", b"P-Access-Network-Info: x\r\n",
    b"p-visited-network-id:x\r\n", b"<gml:", b"pidf", b"?body=x", b"&subject=x", b"?%62ody=x", b"v=0\r\n", b"m=",
    b"%69nline:" + sdes.KEY, b"\\u0069nline:" + sdes.KEY, b"&#x69;nline:" + sdes.KEY, b"=69nline:" + sdes.KEY, b"%",
    b"%25", b"\\", b"&", b"=69", b"=\r\n", b"%2525252525", b"ge%6f:1", b";cgi-3gpp=1", b"?S%75bject=x",
    b"User-to-User: x\r\n",
    b"Call-Info: <data:,x>\r\n", b"<gml:pos>1", b"key%2dmgmt:mikey A", b"k%3dbase64:x", b"%0d%0aGeolocation: x",
    b"?s=x",
    b"inlin\r\ne=x", b"ge\r\no=x", b"content-encodin\r\ng=x", b"k=prompt\r\n", b"a=x:pidf\r\n", b"a=x:y=41\r\n",
    b"a=key-mgmt:mikey AAAA\x0bBBBB\r\n", b"Cellular-Network-Info: x\r\n" * 9, b"X: inline\r\n", b": " + b"A" * 24,
    b"=", b":", b"a=content-encoding:x\r\n", b"l: 0\r\n", b"\x1f\x8b", b"Content-Disposition: early-session\r\n",
]  # fmt: skip
ROUNDS = 40 if PROOF else 4


def without_proofs(patch: pytest.MonkeyPatch) -> None:
    """Nothing is proved: the careful way decides everything."""
    for name in ("no_coding", "nothing_written", "nothing_hidden", "session_stays"):
        patch.setattr(proofs, name, lambda *_: False)
    patch.setattr(calm, "head", lambda *_: None)
    patch.setattr(calm, "description", lambda *_: False)
    patch.setattr(keyless, "hands_over_none", lambda _: False)
    patch.setattr(lines, "plain_ends", lambda _: False)


def outcome(octets: bytes, rules: Rules) -> tuple[object, ...]:
    try:
        whole: object = redaction.message(octets, rules)
    except sip.SipError as error:
        return (str(error),)
    parsed = sip.parse(octets)
    # A head that comes without its message may have more behind its blank line.
    heads_ = redaction.head(parsed.head, rules), redaction.head(octets, rules)
    return whole, *heads_, redaction.description(parsed.body, rules)


def assert_same(messages: list[bytes], rules: tuple[Rules, ...] = MOST) -> None:
    with pytest.MonkeyPatch.context() as patch:
        without_proofs(patch)
        expected = [[outcome(octets, each) for each in rules] for octets in messages]
    for octets, carefully in zip(messages, expected, strict=True):
        assert [outcome(octets, each) for each in rules] == carefully


def with_its_length(octets: bytes) -> bytes:
    """Most bent messages are none as their length is wrong: this one is right again."""
    end = max(octets.find(b"\r\n\r\n"), 0)
    length = b"Content-Length: %d\r\n" % (len(octets) - end - 4)
    head = re.sub(rb"(?im)^(?:content-length|l)[ \t]*:[^\n]*\n", b"", octets[: end + 2]) + length
    return head + octets[end + 2 :] if end else octets


def bent(draw: random.Random, octets: bytes) -> bytes:
    """Pieces put in, octets changed, letters in another case, parts of other messages."""
    out = bytearray(octets)
    for _ in range(draw.randrange(1, 4)):
        kind = draw.random()
        # Places next to line ends and names are those that matter.
        ends = [match.end() for match in re.finditer(rb"\n|=|:", out)] or [0]
        at = draw.choice(ends) if kind < 0.7 else draw.randrange(len(out) + 1)
        if kind < 0.8:
            out[at:at] = draw.choice(PIECES)
        elif kind < 0.9:
            out[at : at + draw.randrange(1, 3)] = bytes((draw.randrange(256),))
        else:
            other = draw.choice(HOSTILE)
            out[at:] = other[draw.randrange(len(other)) :]
    if draw.random() < 0.1:
        return bytes(out).swapcase()
    return with_its_length(bytes(out)) if draw.random() < 0.8 else bytes(out)


def test_messages_that_are_known_to_hurt():
    assert_same([*TORTURE, *HOSTILE])


@given(st.randoms(use_true_random=False))
def test_bent_messages(draw: random.Random):
    plain = [made(PLAIN), made(PLAIN + TICKET), made(b""), content.made(PLAIN + TICKET, method=b"INVITE")]
    quiet = [each.replace(HEAD[HEAD.index(b"P-Access") :], b"") for each in plain]
    pool = [draw.choice((quiet, plain, HOSTILE, TORTURE)) for _ in range(ROUNDS)]
    rules = EVERY if PROOF else tuple(draw.sample(EVERY, 16))
    assert_same([bent(draw, draw.choice(each)) for each in pool], rules)


def test_every_piece_in_every_place_that_matters():
    octets = content.made(b"v=0\r\ns=-\r\n" + TICKET + b"a=x:y\r\n", method=b"INVITE")
    rules = (
        Rules(location=True),
        Rules(sdes=True),
        Rules(content=True, sdes=True),
        Rules(ticket=True),
        Rules(*[True] * 5),
        IN_CLEAR[0],
    )
    places_ = [0, *(match.end() for match in re.finditer(rb"\n|=", octets))]
    bent_ = [octets[:at] + piece + octets[at:] for piece in PIECES for at in places_]
    assert_same([with_its_length(each) for each in bent_], rules)


def test_messages_as_they_are_used_are_proved():
    """A proof that is never given costs time and gains none."""
    head = sip.parse(content.made(b"", method=b"INVITE")).head
    assert proofs.no_coding(head) and proofs.nothing_written(head)
    for rules in EVERY:
        assert proofs.nothing_hidden(head, rules) and proofs.session_stays(PLAIN, rules)
        assert proofs.session_stays(PLAIN + TICKET, rules) != rules.ticket
    for rules in (Rules(content=True), Rules(mikey=True)):
        assert not proofs.session_stays(PLAIN + content._mikey(EncrAlg.NULL), rules)
        assert proofs.session_stays(PLAIN + content._mikey(EncrAlg.AES_CM_128), rules)
    for body in (b"", PLAIN, PLAIN + TICKET, PLAIN + TICKET + b"a=sendrecv\r\n"):
        assert keyless.hands_over_none(sip.parse(content.made(body, method=b"INVITE")))


def test_where_keys_alone_are_taken_out_nothing_with_a_hint_of_one_is_passed_at_once():
    usual = content.made(PLAIN + TICKET, method=b"INVITE")
    for line in (b"a=crypto:1 X inline:x", b"k=prompt", b"a=x:INLINE", b"a=x:%69nline", b"a=x:=69", b"a", b"A=x"):
        assert not keyless.hands_over_none(sip.parse(with_its_length(usual + line + b"\r\n")))
    for line in (
        b"e: gzip",
        b"X:\tx",
        b"X: x\r\n y",
        b"X: \xc3\xa9",
        b"X: base64",
        b"X: charset=x",
        b"Content-Encoding:x",
    ):
        assert not keyless.hands_over_none(sip.parse(usual.replace(b"CSeq", line + b"\r\nCSeq")))
    assert not keyless.hands_over_none(sip.parse(usual + b"more")), "octets behind its length"
    coded = b"E :x SIP/2.0\r\n" + usual.partition(b"\r\n")[2].replace(b"1 INVITE", b"1 E")
    assert sip.parse(coded).method == "E" and not keyless.hands_over_none(sip.parse(coded)), "by its start line"


HINTS = (
    b"network-info", b"network-id", b"geo", b"charging-info", b"ggsn", b"pdp-info", b"pdngw", b"eps-info", b"-3gpp",
    b"node-id", b"location", b"gml",
)  # fmt: skip


@given(st.lists(st.sampled_from([*HINTS, b"-info", b"x", b"network-", b"g"])).map(b"".join))
def test_hints_of_places(octets):
    named = any(each in octets for each in HINTS)
    assert places.hinted(octets) == (named or b"network-i" in octets)


@pytest.mark.parametrize("name", sorted(places.LOCATION_HEADERS))
def test_each_header_of_places_is_hinted(name):
    assert places.hinted(squeezed(name.upper()))
    assert hidden.without_places(b"X: y\r\n%b : z\r\n" % name) == b"X: y\r\n"


def test_a_line_without_an_end_goes_and_the_one_before_it_keeps_its_own():
    assert hidden.without_places(b"X: y\r\nGeolocation: z") == b"X: y\r\n"
    assert hidden.without_places(b"Geolocation: z\r\n x") == b""


def test_a_folded_length_is_set_right():
    octets = made(SDP).replace(b"Content-Length: ", b"Content-Length:\r\n ")
    out = redaction.message(octets, Rules(sdes=True)).octets
    assert b"Content-Length: %d\r\n\r\nv=0" % len(sip.parse(out).body) in out
