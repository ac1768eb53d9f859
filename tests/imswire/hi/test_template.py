"""Templates make octet for octet what build makes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import hi
from imswire.hi import template, voip
from tests.imswire.hi.samples import FULL_HEADER, HEADER, RTP, STREAMS, TIME, VECTORS
from tests.imswire.hi.test_pdu import headers

EDGES = (0, 1, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 65_663, 2**23, 2**31 - 1, 2**31, 2**32 - 1)
SIZES = (0, 1, 100, 127, 128, 172, 255, 256, 70_000)
TIMES = (0, 999, 127_000, 128_000, 32_767_000, 32_768_000, 999_999_999, TIME, 2**31 * 10**9, 2**40 * 10**9 + 7_000)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("header", [HEADER, FULL_HEADER])
@pytest.mark.parametrize("direction", [None, *hi.Direction])
def test_all_widths(name, header, direction):
    made = hi.CcTemplate(header, direction, STREAMS[name])
    for place, sequence in enumerate(EDGES):
        for shift, time in enumerate(TIMES):
            payload = bytes(SIZES[(place + shift) % len(SIZES)])
            octets = made.pdu(sequence, time, payload)
            assert octets == hi.build(made.full(sequence, time, payload))


@given(headers, st.sampled_from(sorted(STREAMS)), st.data())
def test_any_order_of_records(header, name, data):
    made = hi.CcTemplate(header, data.draw(st.sampled_from(hi.Direction)), STREAMS[name])
    for _ in range(6):
        sequence, payload = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.binary(max_size=300))
        time = data.draw(st.integers(0, 2**62))
        octets = made.pdu(sequence, time, payload)
        assert octets == hi.build(made.full(sequence, time, payload))
        assert made.pdu(sequence, time, payload) == octets


def test_vectors():
    header = hi.parse(VECTORS["PS_IPMMCC"][1]).header
    stream = hi.IpmmStream(hi.FrameType.IP, b"m=audio 4000")
    made = hi.CcTemplate(header, hi.Direction.TO_TARGET, stream).pdu(1, header.time, b"E\0")
    assert made == VECTORS["PS_IPMMCC"][1]
    stream = hi.VoipStream(b"LIID1", b"\1", None, voip.IceType.AGW)
    # The vector's own number in Voip-CC-PDU is 0, where that of the PS-PDU is 2.
    made = hi.CcTemplate(header, hi.Direction.TO_TARGET, stream).pdu(2, header.time, b"E\0")
    assert made.hex() == VECTORS["PS_VOIPCC"][1].hex().replace("85010086", "85010286")
    made = hi.CcTemplate(header, hi.Direction.FROM_TARGET, hi.Ts33128Stream(b"v=0")).pdu(0, header.time, b"E\0")
    assert made == VECTORS["PS_33128_CC"][1]


def test_a_batch_wraps():
    made = hi.CcTemplate(HEADER, 0, hi.IpmmStream())
    found = made.pdus(2**32 - 1, [(TIME, RTP), (TIME + 20_000_000, RTP)])
    assert [hi.parse(octets).header.sequence for octets in found] == [2**32 - 1, 0]


def test_the_direction_of_voip_follows():
    for direction, expected in ((0, 1), (1, 2), (3, 3), (2, 4), (None, 4)):
        pdu = hi.CcTemplate(HEADER, direction, hi.VoipStream(None, b"\1")).full(0, 0, b"")
        assert isinstance(pdu.payload, tuple) and isinstance(pdu.payload[0], hi.Cc)
        assert voip.parse(pdu.payload[0].contents).direction == expected


@pytest.mark.parametrize("sequence, time", [(-1, 0), (2**32, 0), (0, -1), (0, 2**64 * 10**9)])
def test_out_of_range(sequence, time):
    made = hi.CcTemplate(HEADER, 0, hi.IpmmStream())
    with pytest.raises(hi.HiError):
        made.pdu(sequence, time, b"")
    assert made.pdu(0, 0, b"x") == hi.build(made.full(0, 0, b"x"))


def test_values_out_of_bounds_are_refused_when_the_template_is_made():
    with pytest.raises(hi.HiError, match="lIID"):
        hi.CcTemplate(HEADER, 0, hi.VoipStream(bytes(26), b"\1"))


def test_shapes_kept_are_bounded(monkeypatch):
    monkeypatch.setattr(template, "MAX_SHAPES", 3)
    made = hi.CcTemplate(HEADER, 0, hi.IpmmStream())
    for size in range(20):
        assert made.pdu(0, TIME, bytes(size)) == hi.build(made.full(0, TIME, bytes(size)))
        assert len(made._shapes) <= 3 and len(made._now) <= 3
