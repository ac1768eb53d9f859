"""Whole PDUs: vectors, versions, keepalives, numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import x2x3
from imswire.errors import WireError
from imswire.x2x3 import Attribute, AttributeType, Direction, PayloadFormat, Pdu, PduType, X2X3Error
from tests.imswire.x2x3.samples import (
    A4,
    A6,
    B4,
    B6,
    CORRELATION,
    EVERY,
    KEEPALIVE,
    SDP,
    START,
    TIME,
    XID,
    changed,
    pdus,
    tlv,
    with_attributes,
)


def test_the_vector_of_x2():
    found = x2x3.parse(START)
    assert (found.kind, found.format, found.direction) == (
        PduType.X2,
        PayloadFormat.TS_33_128,
        Direction.NOT_APPLICABLE,
    )
    assert (found.nfid, found.ipid, found.sequence, found.time) == (b"pcscf-1", b"sip-in", 0, 1_700_000_000_123_456_000)
    assert x2x3.xid_text(found.xid) == "29f28e1c-f230-486a-a860-f5a784ab9172" and found.version == (0, 5)
    assert found.matched == (x2x3.target("impu", "sip:a@x"),) and found.correlation == x2x3.NOT_CORRELATED
    assert x2x3.build(found) == START


def test_the_vector_of_a_keepalive_and_its_answer():
    assert x2x3.build(x2x3.keepalive(7)) == KEEPALIVE
    asked = x2x3.parse(KEEPALIVE)
    answer = x2x3.acknowledgement(asked)
    assert x2x3.build(answer) == changed(KEEPALIVE, 3, 4)
    assert x2x3.is_keepalive(asked) and x2x3.is_keepalive(answer) and not x2x3.is_keepalive(x2x3.parse(START))
    for other in (x2x3.parse(START), answer, Pdu(PduType.KEEPALIVE, 0, 0, x2x3.NO_XID)):
        with pytest.raises(X2X3Error, match="keepalive"):
            x2x3.acknowledgement(other)


@given(pdus)
def test_round_trip(pdu):
    octets = x2x3.build(pdu)
    assert x2x3.parse(octets) == pdu and x2x3.build(x2x3.parse(octets)) == octets


@given(st.binary(max_size=120) | st.binary(max_size=80).map(lambda tail: START[:40] + tail))
def test_nothing_but_its_own_error(octets):
    try:
        found = x2x3.parse(octets)
    except WireError:
        return
    assert x2x3.build(found) == octets


# Versions (5.2.2): traps of existing code have a decided behaviour


@pytest.mark.parametrize("minor", [0, 1, 4, 6, 255])
def test_any_minor_version_is_read(minor):
    assert x2x3.parse(changed(START, 1, minor)).version == (0, minor)


def test_another_major_version_is_refused():
    with pytest.raises(X2X3Error, match=r"major version 1 \(minor 5\) is not read$"):
        x2x3.parse(changed(START, 0, 1))


def test_a_version_with_its_octets_swapped_is_refused_with_a_hint_and_read_when_allowed():
    swapped = changed(START, 0, 5, 0)
    with pytest.raises(X2X3Error, match="swapped its octets"):
        x2x3.parse(swapped)
    found = x2x3.parse(swapped, {0, 5})
    assert found.version == (5, 0) and found.payload == x2x3.parse(START).payload
    assert x2x3.build(found) == swapped


def test_a_time_of_twelve_octets_is_taken_and_found_fault_with():
    seconds, ns = divmod(TIME, 10**9)
    found = x2x3.parse(with_attributes(tlv(9, seconds.to_bytes(8, "big") + ns.to_bytes(4, "big")), payload=b"x"))
    assert found.time == TIME and found.payload == b"x" and found.first(9) is None
    assert any("seconds of 64 bits" in finding for finding in x2x3.check(found))
    assert x2x3.parse(with_attributes(tlv(9, bytes(7)))).time is None


def test_the_payload_stands_behind_the_header_whatever_is_in_it():
    found = x2x3.parse(with_attributes(tlv(99, b"later"), tlv(8, bytes(4)), tlv(65_535, b""), payload=b"payload"))
    assert found.payload == b"payload" and found.sequence == 0
    assert found.attributes[0] == Attribute(99, b"later")


def test_the_first_of_what_stands_once_counts():
    found = x2x3.parse(
        with_attributes(tlv(8, b"\0\0\0\1"), tlv(8, b"\0\0\0\2"), tlv(17, b"<a>1</a>"), tlv(17, b"<a>2</a>"))
    )
    assert found.sequence == 1 and found.matched == ("<a>1</a>", "<a>2</a>")
    unreadable_first = x2x3.parse(with_attributes(tlv(8, b"\1"), tlv(8, b"\0\0\0\2"), tlv(18, b"\xff")))
    assert unreadable_first.sequence is None and unreadable_first.others == ()


def test_views():
    found = Pdu(2, 5, 3, XID, CORRELATION, EVERY)
    assert (found.domain, found.sdp, found.time, found.sequence) == (b"domain", SDP, TIME, 2**32 - 1)
    assert (found.source, found.destination) == (A4, B4)
    six = Pdu(2, 6, 3, XID, attributes=tuple(each for each in EVERY if each.type not in (10, 11)))
    assert (six.source, six.destination) == (A6, B6)
    assert found.all(AttributeType.ADDITIONAL_XID) == (x2x3.AdditionalXid(XID[::-1], CORRELATION),)
    assert found.sequence_key == (2, XID, b"domain", b"pcscf-1", b"sip-in", CORRELATION)
    empty = Pdu(1, 2, 5, XID)
    assert empty.time is None and empty.source is None and empty.sequence_key == (1, XID, None, None, None, bytes(8))


def test_the_representation_shows_no_identity_and_no_payload():
    shown = repr(Pdu(1, 9, 3, XID, attributes=EVERY, payload=b"INVITE sip:bob"))
    assert "alice" not in shown and "INVITE" not in shown and "MATCHED_TARGET" in shown and "<14 octets>" in shown


@pytest.mark.parametrize(
    "octets, rule",
    [
        (b"", "0 octets, at least 40"),
        (START[:39], "39 octets"),
        (START[:-1], "payload length"),
        (START + b"x", "payload length"),
        (changed(START, 4, 0, 0, 0, 39), "header.length"),
        (changed(START, 4, 0, 1, 0, 0), "header.length"),
        (changed(START, 4, 255, 255, 255, 255), "header.length"),
        (changed(KEEPALIVE, 43, 5), "reach behind the header"),
        (changed(KEEPALIVE, 43, 2), "cut short"),
    ],
)
def test_refused(octets, rule):
    with pytest.raises(X2X3Error, match=rule):
        x2x3.parse(octets)


@pytest.mark.parametrize(
    "pdu, rule",
    [
        (Pdu(1, 2, 5, b"short"), "XID"),
        (Pdu(1, 2, 5, XID, b"short"), "correlation"),
        (Pdu(65_536, 2, 5, XID), "out of range"),
        (Pdu(1, -1, 5, XID), "out of range"),
        (Pdu(1, 2, 5, XID, version=(0, 256)), "out of range"),
        (Pdu(1, 2, 5, XID, attributes=(Attribute(8, -1),)), "SEQUENCE_NUMBER"),
    ],
)
def test_not_to_be_built(pdu, rule):
    with pytest.raises(X2X3Error, match=rule):
        x2x3.build(pdu)


def test_numbers_wrap_and_losses_show():
    assert x2x3.following(0) == 1 and x2x3.following(2**32 - 1) == 0
    assert x2x3.missing(5, 6) == 0 and x2x3.missing(5, 9) == 3 and x2x3.missing(2**32 - 1, 0) == 0
    assert x2x3.missing(2**32 - 2, 1) == 2
    assert x2x3.missing(5, 5) is None and x2x3.missing(5, 4) is None and x2x3.missing(0, 2**32 - 1) is None


def test_x1_and_octets():
    text = "29f28e1c-f230-486a-a860-f5a784ab9172"
    assert x2x3.xid_text(x2x3.xid_octets(text)) == text == x2x3.xid_text(x2x3.xid_octets(text.upper()))
    for other in ("", text[:-1], text.replace("-", ""), text + "\n", "g" + text[1:]):
        with pytest.raises(X2X3Error, match="no UUID"):
            x2x3.xid_octets(other)
