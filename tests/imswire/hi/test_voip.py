"""Voip-CC-PDU, as the module that pycrate ships reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import ber, hi
from imswire.hi import HiError, voip
from tests.imswire.hi import oracles
from tests.imswire.hi.samples import CC, RTP, SDP, VECTORS, VOIP_CC


def bare(contents: bytes) -> bytes:
    tlv = ber.read(contents)
    return ber.tlv(b"\x30", contents[tlv.start : tlv.end])


def test_the_vector_from_values():
    pdu = hi.parse(VECTORS["PS_VOIPCC"][1])
    assert isinstance(pdu.payload, tuple)
    cc = voip.VoipCc(
        liid=b"LIID1",
        correlation=b"\1",
        sequence=0,
        direction=voip.TpduDirection.TO_TARGET,
        ice_type=voip.IceType.AGW,
        payload=b"E\0",
    )
    assert voip.build(cc) == pdu.payload[0].contents and voip.parse(pdu.payload[0].contents) == cc


@pytest.mark.parametrize("name", ["voip", "voip-bare"])
def test_the_module_of_pycrate_reads_and_writes_the_same(name):
    kind = oracles.shipped().VoIP_HI3_IMS.Voip_CC_PDU
    value = oracles.crate_value(kind, bare(CC[name]))
    assert kind.to_der() == bare(CC[name])
    header = value["voipLIC-header"]
    assert header["hi3voipDomainId"] == (0, 4, 0, 2, 2, 4, 12, 15, 1) and value["payload"] == RTP


def test_every_member_by_its_name():
    kind = oracles.shipped().VoIP_HI3_IMS.Voip_CC_PDU
    header = oracles.crate_value(kind, bare(CC["voip"]))["voipLIC-header"]
    assert header["voipCorrelationNumber"] == b"\1\2" and header["sequence-number"] == 300
    assert (header["t-PDU-direction"], header["ice-type"]) == ("to-target", "aGW")
    assert header["payload-description"] == {
        "copyOfSDPdescription": SDP,
        "mediaFormat": 8,
        "mediaAttributes": b"ptime:20",
    }
    assert header["pTCSessionInfo"] == "session" and header["networkIdentifier"]["operator-Identifier"] == b"OP1"
    assert header["timeStamp"] == ("utcTime", ("24", "01", "02", "03", "04", "05", "Z"))


def test_the_enumerations_of_the_module():
    members = oracles.shipped().VoIP_HI3_IMS.Voip_CC_PDU._cont["voipLIC-header"]._cont
    names = {each.name.lower().replace("_", "-"): each.value for each in voip.TpduDirection}
    assert names == dict(members["t-PDU-direction"]._cont)
    names = {each.name.lower().replace("_", "-"): each.value for each in voip.IceType}
    assert names == {name.lower(): value for name, value in members["ice-type"]._cont.items()}


@given(
    st.builds(
        voip.VoipCc,
        correlation=st.binary(max_size=9),
        sequence=st.integers(0, 65_535),
        direction=st.sampled_from(voip.TpduDirection),
        payload=st.binary(),
        liid=st.none() | st.binary(min_size=1, max_size=25),
        time=st.none() | st.integers(0, 2_000_000_000).map(lambda seconds: seconds * 10**9),
        ice_type=st.none() | st.integers(1, 20),
        description=st.none()
        | st.builds(
            voip.PayloadDescription, st.none() | st.binary(), st.none() | st.integers(0, 127), st.none() | st.binary()
        ),
        session_info=st.none() | st.text(st.characters(codec="utf-8")),
    )
)
def test_what_is_built_is_read(cc):
    assert voip.parse(voip.build(cc)) == cc


def test_local_time():
    cc = voip.VoipCc(correlation=b"", sequence=0, direction=1, payload=b"", time=VOIP_CC.time, season=1)
    assert voip.parse(voip.build(cc)) == cc


@pytest.mark.parametrize(
    "values, path",
    [
        ({"sequence": 65_536}, "sequence-number"),
        ({"direction": 0}, "t-PDU-direction"),
        ({"direction": 5}, "t-PDU-direction"),
        ({"liid": b""}, "lIID"),
        ({"description": voip.PayloadDescription(media_format=128)}, "payload-description.mediaFormat"),
    ],
)
def test_bounds_of_the_module(values, path):
    with pytest.raises(HiError) as caught:
        voip.build(voip.VoipCc(**({"correlation": b"", "sequence": 0, "direction": 1, "payload": b""} | values)))
    assert caught.value.path == f"voipCC-CC-PDU.voipLIC-header.{path}"


def test_directions():
    assert [voip.of_direction(each) for each in (*hi.Direction, None)] == [1, 2, 4, 3, 4, 4]


@pytest.mark.parametrize("octets", [b"", b"\xb4\x00", b"\x94\x00", CC["ipmm"], b"\xb4\x04\xa1\x00\x82\x00"])
def test_what_is_none(octets):
    with pytest.raises(HiError, match="^voipCC-CC-PDU"):
        voip.parse(octets)
