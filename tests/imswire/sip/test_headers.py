"""Typed headers: read and written back (RFC 3261 20, 25.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import sip
from imswire.sip.headers import MAX_PARAMETERS, parse_parameters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<sip:a@b>", sip.NameAddr("", "sip:a@b")),
        ("sip:a@b", sip.NameAddr("", "sip:a@b")),
        ("sip:a@b ;tag=x", sip.NameAddr("", "sip:a@b", (("tag", "x"),))),
        ("<sip:a@b;lr?x=y>;lr", sip.NameAddr("", "sip:a@b;lr?x=y", (("lr", None),))),
        ('"A \\"q\\" <x>" <sip:a@b>', sip.NameAddr('A "q" <x>', "sip:a@b")),
        ("Mr. Watson <sip:a@b> ; q = 0.5", sip.NameAddr("Mr. Watson", "sip:a@b", (("q", "0.5"),))),
        ('<sip:a@b>;x="y;z"', sip.NameAddr("", "sip:a@b", (("x", '"y;z"'),))),
        ('sip:a@b;x="<urn:y>"', sip.NameAddr("", "sip:a@b", (("x", '"<urn:y>"'),))),
    ],
)
def test_name_addr(text, expected):
    assert sip.parse_name_addr(text) == expected
    assert sip.parse_name_addr(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<sip:a@b",
        "<>",
        '"open <sip:a@b>',
        '"a\\',
        '"name" sip:a@b',
        "a:b <sip:c>",
        "sip:a b",
        "sip:a?x",
        "<sip:a@b> x",
        "<sip:a b>",
        "<sip:a>;=x",
        "a; <sip:b>",
        "<sip:a>;a b=x",
        "<sip:a>" + ";x" * (MAX_PARAMETERS + 1),
    ],
)
def test_no_name_addr(text):
    with pytest.raises(sip.SipError):
        sip.parse_name_addr(text, "From")


def test_parameters():
    assert parse_parameters("", "X") == ()
    assert parse_parameters(";a;b=;c=1", "X") == (("a", None), ("b", ""), ("c", "1"))


@pytest.mark.parametrize(
    ("text", "transport", "host", "port"),
    [
        ("SIP/2.0/UDP 10.0.0.1:5060;branch=x", "UDP", "10.0.0.1", 5060),
        ("SIP / 2.0 / tcp   host.example ;branch=x", "TCP", "host.example", None),
        ("SIP/2.0/TLS [2001:db8::1]:5061;branch=x", "TLS", "[2001:db8::1]", 5061),
        ("SIP/2.0/UDP host : 5070;branch=x", "UDP", "host", 5070),
    ],
)
def test_via(text, transport, host, port):
    via = sip.parse_via(text)
    assert (via.transport, via.host, via.port, via.branch) == (transport, host, port, "x")
    assert sip.parse_via(str(via)) == via


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/1.0/UDP x",
        "SIP/2.0/",
        "SIP/2.0 x",
        "SIP/2.0/U;P x",
        "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP x:y",
        "SIP/2.0/UDP x:99999",
        "SIP/2.0/UDP [::1]x",
        "SIP/2.0/UDP :5060",
        "SIP/2.0/UDP x y",
        "SIP/2.0/UDP <x>",
        "SIP/2.0/UDP x:065536",
    ],
)
def test_no_via(text):
    with pytest.raises(sip.SipError):
        sip.parse_via(text)


@pytest.mark.parametrize("text", ["", "1", "1 A B", "-1 A", "4294967296 A", "1 {", "\u0661 A", "12345678901 A"])
def test_no_cseq(text):
    with pytest.raises(sip.SipError):
        sip.parse_cseq(text)


@given(st.integers(0, 2**31 - 1), st.sampled_from(["INVITE", "x-Y.z"]))
def test_cseq(number, method):
    assert sip.parse_cseq(str(sip.CSeq(number, method))) == sip.CSeq(number, method)
    assert sip.parse_cseq(f"{number:020} {method}") == sip.CSeq(number, method)


@given(st.text(max_size=40))
def test_anything_else_raises_only_its_error(text):
    for parse in (sip.parse_name_addr, sip.parse_via, sip.parse_cseq):
        try:
            parse(text)
        except sip.SipError as error:
            assert error.reason


@given(
    st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=20),
    st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.from_regex(r"[a-z0-9]{1,5}", fullmatch=True)),
)
def test_name_addr_round_trip(display, params):
    value = sip.NameAddr(display, "sip:a@b", tuple(params.items()))
    assert sip.parse_name_addr(str(value)) == value
