"""Which rules a PDU breaks."""

from __future__ import annotations

import pytest
from hypothesis import given

from imswire import x2x3
from imswire.x2x3 import Attribute, Pdu
from tests.imswire.x2x3.samples import EVERY, KEEPALIVE, SDP, START, STREAM, XID, pdus, tlv, with_attributes

SDP22, PORT, ADDRESS = Attribute(22, SDP), EVERY[14], EVERY[10]


def test_the_vectors_break_none():
    assert x2x3.check(x2x3.parse(START), of_3gpp=True) == () == x2x3.check(x2x3.parse(KEEPALIVE))


@pytest.mark.parametrize(
    "pdu, finding",
    [
        (Pdu(9, 2, 5, XID), "PDU type 9"),
        (Pdu(1, 18, 5, XID), "payload format 18 is unknown"),
        (Pdu(2, 9, 5, XID), "payload format 9 is not carried by X3"),
        (Pdu(1, 7, 5, XID), "payload format 7 is not carried by X2"),
        (Pdu(1, 0, 5, XID), "payload format 0"),
        (Pdu(1, 2, 0, XID), "payload direction 0"),
        (Pdu(1, 2, 6, XID), "payload direction 6"),
        (Pdu(3, 0, 0, XID, attributes=(EVERY[7],)), "more than its sequence number"),
        (Pdu(4, 0, 0, x2x3.NO_XID), "one attribute"),
        (x2x3.parse(with_attributes(tlv(8, b"x"))), "SEQUENCE_NUMBER: 1 octets"),
        (x2x3.parse(with_attributes(tlv(9, bytes(12)))), "taken as seconds of 64 bits"),
        (x2x3.parse(with_attributes(tlv(9, b"\xff" * 12))), "TIMESTAMP: 12 octets, 8 are expected"),
        (x2x3.parse(with_attributes(tlv(8, bytes(4)), tlv(8, bytes(4)))), "SEQUENCE_NUMBER stands more than once"),
        (Pdu(1, 9, 3, XID, attributes=(SDP22,)), "session description with payload format 9"),
        (Pdu(2, 8, 3, XID, attributes=(SDP22, PORT)), "without destination address and port"),
        (Pdu(2, 13, 3, XID, attributes=(SDP22, ADDRESS)), "without destination address and port"),
    ],
)
def test_findings(pdu, finding):
    assert any(finding in each for each in x2x3.check(pdu))


@pytest.mark.parametrize(
    "pdu",
    [
        Pdu(2, 5, 3, XID, attributes=(SDP22,)),
        Pdu(2, 6, 3, XID, attributes=(SDP22,)),
        Pdu(2, 8, 3, XID, attributes=(ADDRESS, PORT, SDP22)),
        x2x3.parse(with_attributes(tlv(17, b"<a>1</a>"), tlv(17, b"<a>2</a>"), tlv(99, b""), tlv(99, b""))),
    ],
)
def test_none(pdu):
    assert x2x3.check(pdu) == ()


def test_what_ts_33_128_wants():
    assert x2x3.check(STREAM, of_3gpp=True) == (
        "SEQUENCE_NUMBER is missing (TS 33.128 5.3)",
        "TIMESTAMP is missing (TS 33.128 5.3)",
    )
    assert len(x2x3.check(Pdu(1, 2, 5, XID), of_3gpp=True)) == 5


@given(pdus)
def test_any_pdu_can_be_checked(pdu):
    assert isinstance(x2x3.check(pdu, of_3gpp=True), tuple)
