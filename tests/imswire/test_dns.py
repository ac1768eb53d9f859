"""DNS as far as RFC 3263 needs it; answers are written here by hand from RFC 1035 4.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import dns
from imswire.dns import Answer, DnsError, Pointer, Service, Type

NAME = b"\x04_sip\x04_udp\x07example\x03com\0"
TEXT = "_sip._udp.example.com"
SRV = b"\0\x21\0\x01"
HEAD = b"\x12\x34\x81\x80\0\x01"
FIRST = b"\xc0\x0c" + SRV + b"\0\0\0\x3c\0\x0b" + b"\0\x0a\0\x05\x13\xc4" + b"\x02p1\xc0\x16"
SECOND = b"\xc0\x0c" + SRV + b"\0\0\0\x1e\0\x0b" + b"\0\x14\0\0\x13\xc5" + b"\x02p2\xc0\x16"
ANSWER = HEAD + b"\0\x02\0\0\0\0" + NAME + SRV + FIRST + SECOND


def test_a_question():
    asked = dns.question(0x1234, TEXT + ".", Type.SRV)
    assert asked == b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01" + NAME + SRV + b"\0\0\x29\x10\0\0\0\0\0\0\0"


def test_services_with_compressed_names():
    assert dns.answer(ANSWER, 0x1234, "_SIP._udp.Example.com", Type.SRV) == Answer(
        (Service(10, 5, 5060, "p1.example.com"), Service(20, 0, 5061, "p2.example.com")), 30, True, False
    )


def test_pointers_behind_an_alias():
    """A CNAME stands before what it leads to."""
    name = b"\x07example\x03com\0"
    alias = b"\xc0\x0c\0\x05\0\x01\0\0\0\x05\0\x04\x01a\xc0\x0c"
    data = b"\0\x32\0\x0a\x01S\x07sip+d2u\0" + b"\x04_sip\x04_udp\xc0\x0c"
    record = b"\x01a\xc0\x0c\0\x23\0\x01\0\0\x0e\x10" + len(data).to_bytes(2, "big") + data
    octets = HEAD + b"\0\x02\0\0\0\0" + name + b"\0\x23\0\x01" + alias + record
    assert dns.answer(octets, 0x1234, "example.com", Type.NAPTR) == Answer(
        (Pointer(50, 10, "s", "SIP+D2U", "_sip._udp.example.com"),), 3600, True, False
    )


def test_a_name_that_is_not_there_and_an_answer_that_was_cut():
    empty = NAME + SRV
    nobody = b"\x12\x34\x81\x83\0\x01\0\0\0\0\0\0" + empty
    assert dns.answer(nobody, 0x1234, TEXT, Type.SRV) == Answer((), 0, False, False)
    cut = b"\x12\x34\x83\x80\0\x01\0\0\0\0\0\0" + empty
    assert dns.answer(cut, 0x1234, TEXT, Type.SRV).cut


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        ANSWER[:11],
        b"\x12\x35" + ANSWER[2:],
        ANSWER.replace(b"\x81\x80", b"\x01\x80"),
        ANSWER.replace(b"\x81\x80", b"\x81\x82"),
        ANSWER.replace(b"\x07example", b"\x07exampl3"),
        ANSWER.replace(NAME + SRV, NAME + b"\0\x23\0\x01"),
        ANSWER.replace(b"\0\x02\0\0\0\0", b"\x10\x02\0\0\0\0"),
        ANSWER.replace(b"\0\x02\0\0\0\0", b"\0\x03\0\0\0\0"),
        ANSWER[:-1],
        ANSWER[:-8],
        ANSWER.replace(b"p1\xc0\x16", b"p1\xc0\x7f"),
        ANSWER.replace(b"\x02p1\xc0\x16", b"\x82p1\xc0\x16"),
        ANSWER.replace(b"\x02p1\xc0\x16", b"\x3fp1\xc0\x16"),
    ],
)
def test_what_is_no_answer(octets):
    with pytest.raises(DnsError) as caught:
        dns.answer(octets, 0x1234, TEXT, Type.SRV)
    assert caught.value.place and caught.value.reason


def test_a_string_of_a_pointer_ends_in_it():
    data = b"\0\x32\0\x0a\x01S\x7fsip"
    name = b"\x07example\x03com\0"
    octets = HEAD + b"\0\x01\0\0\0\0" + name + b"\0\x23\0\x01\xc0\x0c\0\x23\0\x01\0\0\0\1\0\x09" + data
    with pytest.raises(DnsError):
        dns.answer(octets, 0x1234, "example.com", Type.NAPTR)


@pytest.mark.parametrize("name", ["", "a..b", "a" * 64, "\xe4.example", ".".join(["a" * 60] * 5)])
def test_no_name(name):
    with pytest.raises(DnsError):
        dns.question(1, name, Type.SRV)


@given(st.integers(0, len(ANSWER)), st.binary(max_size=6), st.integers(0, 6))
def test_whatever_comes_is_an_answer_or_an_error(place, put, length):
    octets = ANSWER[:place] + put + ANSWER[place + length :]
    try:
        found = dns.answer(octets, 0x1234, TEXT, Type.SRV)
    except DnsError:
        return
    assert len(found.records) <= 2
