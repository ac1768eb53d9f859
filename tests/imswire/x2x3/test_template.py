"""Templates make octet for octet what build makes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import x2x3
from imswire.x2x3 import Attribute, AttributeType, Pdu, X2X3Error, X3Template
from tests.imswire.x2x3.samples import EVERY, SDP, STREAM, TIME, XID, pdus


@given(pdus, st.integers(0, 2**32 - 1), st.integers(0, 2**32 * 10**9 - 1), st.binary(max_size=300))
def test_any_stream(pdu, sequence, time, payload):
    held = tuple(each for each in pdu.attributes if each.type not in (8, 9))
    constant = Pdu(pdu.kind, pdu.format, pdu.direction, pdu.xid, pdu.correlation, held, version=pdu.version)
    made = X3Template(constant)
    full = made.full(sequence, time, payload)
    assert made.pdu(sequence, time, payload) == x2x3.build(full)
    assert (full.sequence, full.time, full.payload) == (sequence, time, payload)


def test_attributes_stay_in_order():
    held = tuple(each for each in EVERY if each.type not in (8, 9))
    full = X3Template(Pdu(2, 8, 3, XID, attributes=held)).full(2**32 - 1, TIME, b"")
    assert full.attributes == EVERY


def test_a_description_opens_a_stream():
    made = X3Template(STREAM)
    opened = made.full(0, TIME, b"E", SDP)
    assert x2x3.parse(x2x3.build(opened)).sdp == SDP and x2x3.check(opened, of_3gpp=True) == ()
    assert x2x3.parse(made.pdu(1, TIME, b"E")).sdp is None


def test_a_batch_wraps():
    found = [x2x3.parse(each) for each in X3Template(STREAM).pdus(2**32 - 1, [(TIME, b"one"), (TIME + 1, b"two")])]
    assert [(each.sequence, each.time, each.payload) for each in found] == [
        (2**32 - 1, TIME, b"one"),
        (0, TIME + 1, b"two"),
    ]


@pytest.mark.parametrize(
    "sequence, time, size", [(-1, 0, 0), (2**32, 0, 0), (0, -1, 0), (0, 2**32 * 10**9, 0), (0, 0, 1 << 21)]
)
def test_out_of_range(sequence, time, size):
    made = X3Template(STREAM)
    with pytest.raises(X2X3Error):
        made.pdu(sequence, time, bytes(size))
    assert made.pdu(0, 0, b"") == x2x3.build(made.full(0, 0, b""))


@pytest.mark.parametrize(
    "constant",
    [
        Pdu(2, 5, 3, XID, payload=b"x"),
        Pdu(2, 5, 3, XID, attributes=(Attribute(AttributeType.SEQUENCE_NUMBER, 1),)),
        Pdu(2, 5, 3, XID, attributes=(Attribute(AttributeType.TIMESTAMP, 1),)),
        Pdu(2, 5, 3, b"short"),
    ],
)
def test_what_no_template_can_be_made_of(constant):
    with pytest.raises(X2X3Error):
        X3Template(constant)
