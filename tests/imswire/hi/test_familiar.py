"""Content at the pace of its arrival: what is read from memory of its kind is what parse and check say."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from imswire import hi
from imswire.hi import familiar, voip
from imswire.hi.check import check
from imswire.hi.familiar import Familiar
from imswire.hi.peek import peek
from tests.imswire.hi.loose import loosen
from tests.imswire.hi.samples import BUILT, CC, HEADER, RTP, STREAMS, TIME, cc


def agree(octets: bytes, found: familiar.Content) -> None:
    pdu = hi.parse(octets)
    assert isinstance(pdu.payload, tuple)
    (record,) = pdu.payload
    assert isinstance(record, hi.Cc)
    assert (found.liid, found.cid, found.sequence) == peek(octets)[:3]
    assert (found.time, found.direction) == (pdu.header.time, record.direction)
    assert list(found.findings) == check(octets)


@pytest.mark.parametrize("name", STREAMS)
def test_streams(name):
    reader = Familiar()
    made = hi.CcTemplate(HEADER, hi.Direction.FROM_TARGET, STREAMS[name])
    for number in range(300):
        payload = bytes([number % 256]) * (160 + number % 3)
        octets = made.pdu(65_400 + number, TIME + 20_000_123 * number, payload)
        found = reader.read(octets)
        assert found is not None and octets[found.start : found.end] == payload
        agree(octets, found)
    assert len(reader._kinds) < 60


def test_forms():
    assert [Familiar().read(BUILT[f"cc-{name}"]).form for name in ("ipmm", "voip", "33128")] == [12, 20, 23]


@pytest.mark.parametrize("name", ["eps-keys", "tri-keep-alive", "aggregated", "encrypted"])
def test_what_is_no_single_record(name):
    assert Familiar().read(BUILT[name]) is None


@pytest.mark.parametrize(
    "pdu",
    [
        cc(b"\xa2\x00"),
        cc(b"\xac\x00"),
        hi.PsPdu(HEADER, (hi.Cc(0, CC["ipmm"], TIME),)),
        hi.PsPdu(replace(HEADER, time_form=hi.TimeForm.GENERALIZED), (hi.Cc(0, CC["ipmm"]),)),
        hi.PsPdu(HEADER, (hi.Cc(0, CC["ipmm"]), hi.Cc(0, CC["ipmm"]))),
    ],
)
def test_other_content(pdu):
    assert Familiar().read(hi.build(pdu)) is None


def test_findings_go_with_the_kind():
    reader = Familiar()
    made = hi.CcTemplate(replace(HEADER, cid=hi.CommunicationId(b"OP1")), None, hi.IpmmStream())
    for number in (1, 2):
        found = reader.read(made.pdu(number, TIME, RTP))
        assert found is not None
        assert [each.rule.split(" (")[0] for each in found.findings] == [
            "content without a communicationIdentityNumber",
            "no payloadDirection",
        ]


@pytest.mark.parametrize(
    "old, new",
    [
        ("8402012c", "84020001"),  # sequence number longer than needed
        ("8402012c", "8402812c"),  # negative
        ("810301e240", "81030f4240"),  # a million microseconds
        ("810301e240", "8103000001"),
        ("80046593", "8004e593"),
    ],
)
def test_numbers_out_of_bounds_are_for_others(old, new):
    reader = Familiar()
    octets = BUILT["cc-ipmm"]
    assert reader.read(octets) is not None
    broken = bytes.fromhex(octets.hex().replace(old, new, 1))
    assert broken != octets and reader.read(broken) is None and check(broken)
    assert reader.read(octets) is not None


def test_a_number_out_of_bounds_is_no_matter_of_the_kind():
    reader = Familiar()
    octets = BUILT["cc-ipmm"]
    assert reader.read(octets.replace(b"\x81\x03\x01\xe2\x40", b"\x81\x03\x0f\x42\x40")) is None
    found = reader.read(octets)
    assert found is not None and found.findings == ()


@pytest.mark.parametrize("new", ["8502ff2c", "85020001"])
def test_numbers_of_voip_out_of_bounds(new):
    reader = Familiar()
    octets = hi.build(cc(voip.build(voip.VoipCc(correlation=b"\1", sequence=300, direction=1, payload=RTP))))
    assert reader.read(octets) is not None
    broken = bytes.fromhex(octets.hex().replace("8502012c", new, 1))
    assert reader.read(broken) is None and check(broken)


def test_memory_is_bounded(monkeypatch):
    reader = Familiar(3)
    made = hi.CcTemplate(HEADER, 0, hi.IpmmStream())
    for size in range(10):
        assert reader.read(made.pdu(1, TIME, bytes(size))) is not None
        assert len(reader._kinds) <= 3
    for size in range(1, 26):
        stream = hi.CcTemplate(replace(HEADER, liid=b"L" * size), 0, hi.IpmmStream())
        assert reader.read(stream.pdu(1, TIME, b"")) is not None
        assert len(reader._places) <= familiar.MAX_PLACES
    long = hi.CcTemplate(HEADER, 0, hi.IpmmStream(identifier=bytes(5_000)))
    before = len(reader._kinds)
    assert reader.read(long.pdu(1, TIME, b"")) is not None and len(reader._kinds) == before


def test_records_of_another_kind_are_told_apart():
    reader = Familiar()
    first = hi.CcTemplate(HEADER, 0, hi.IpmmStream(identifier=b"one")).pdu(1, TIME, RTP)
    second = hi.CcTemplate(HEADER, 1, hi.IpmmStream(identifier=b"two")).pdu(1, TIME, RTP)
    for octets, direction in ((first, 0), (second, 1), (first, 0)):
        found = reader.read(octets)
        assert found is not None and found.direction == direction


READER = Familiar()


@given(st.sampled_from([name for name in BUILT if name.startswith("cc-")]), st.integers(0, 2**32), st.data())
def test_whatever_comes_it_agrees_with_the_others(name, seed, data):
    octets = bytearray(loosen(BUILT[name], random.Random(seed).randrange) if seed % 2 else BUILT[name])
    for _ in range(data.draw(st.integers(0, 2))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    broken = bytes(octets)
    try:
        found = READER.read(broken)
    except hi.HiError:
        return
    if found is not None:
        agree(broken, found)
