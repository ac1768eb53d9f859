"""IRI and CC of TS 102 232-5."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import hi
from imswire.hi import HiError, ipmm
from tests.imswire.hi import oracles
from tests.imswire.hi.samples import BUILT, CC, FULL_ADDRESS, INVITE, IPMM, IPMM_MORE, V4, V6, VECTORS


def contents(name: str) -> bytes:
    pdu = hi.parse(VECTORS[name][1])
    assert isinstance(pdu.payload, tuple)
    return pdu.payload[0].contents


def test_vectors_from_values():
    message = ipmm.SipMessage(V4, ipmm.IpAddress.of(b"\xc0\x00\x02\x02"), b"BYE")
    assert ipmm.build_iri(ipmm.IpmmIri(ipmm.MessageForm.SIP, message)) == contents("PS_IPMMIRI")
    cc = ipmm.IpmmCc(b"E\0", hi.FrameType.IP, b"m=audio 4000", hi.MmccProtocol.RTP)
    assert ipmm.build_cc(cc) == contents("PS_IPMMCC") and ipmm.parse_cc(contents("PS_IPMMCC")) == cc


@pytest.mark.parametrize("name", IPMM | IPMM_MORE)
def test_every_form(name):
    iri = (IPMM | IPMM_MORE)[name]
    assert ipmm.parse_iri(ipmm.build_iri(iri)) == iri


def test_members_in_asn1tools():
    value = oracles.asn1().decode("PS-PDU", BUILT["ipmm-sip"])
    kind, inner = value["payload"][1][0]["iRIContents"]
    assert kind == "iPMMIRI" and inner["iPMMIRIObjId"] == bytes((5, 5, 13, 1))
    form, message = inner["iPMMIRIContents"]
    assert form == "sIPMessage" and message["sIPContent"] == INVITE
    assert message["iPSourceAddress"] == {"iP-type": "iPV4", "iP-value": ("iPBinaryAddress", b"\xc0\x00\x02\x01")}
    assert message["iPDestinationAddress"]["iP-assignment"] == "dynamic"
    value = oracles.asn1().decode("PS-PDU", BUILT["cc-ipmm"])
    kind, inner = value["payload"][1][0]["cCContents"]
    assert (kind, inner["iPMMCCObjId"]) == ("iPMMCC", bytes((5, 5, 13, 2)))
    assert (inner["frameType"], inner["mMCCprotocol"]) == ("rtpFrame", "rTP")


@given(st.binary(), st.none() | st.sampled_from(hi.FrameType), st.none() | st.binary(), st.none() | st.integers(0, 9))
def test_content_comes_back(payload, frame, identifier, protocol):
    cc = ipmm.IpmmCc(payload, frame, identifier, protocol)
    assert ipmm.parse_cc(ipmm.build_cc(cc)) == cc


@pytest.mark.parametrize(
    "iri",
    [
        ipmm.IpmmIri(ipmm.MessageForm.SIP, INVITE),
        ipmm.IpmmIri(ipmm.MessageForm.XCAP, ipmm.SipMessage(V4, V6, INVITE)),
        ipmm.IpmmIri(ipmm.MessageForm.NATIONAL, INVITE),
        ipmm.IpmmIri(7, INVITE),
        ipmm.IpmmIri(ipmm.MessageForm.SIP, ipmm.SipMessage(ipmm.IpAddress(0, b"x"), V4, INVITE)),
        ipmm.IpmmIri(ipmm.MessageForm.SIP, ipmm.SipMessage(ipmm.IpAddress(0, "short"), V4, INVITE)),
        ipmm.IpmmIri(ipmm.MessageForm.SIP, ipmm.SipMessage(ipmm.IpAddress(1, bytes(16), prefix=129), V4, INVITE)),
        ipmm.IpmmIri(ipmm.MessageForm.SIP, ipmm.SipMessage(ipmm.IpAddress(0, bytes(4), mask=b"x"), V4, INVITE)),
        ipmm.IpmmIri(ipmm.MessageForm.XCAP, b"", version=-1),
    ],
)
def test_what_cannot_be_built(iri):
    with pytest.raises(HiError, match="^iPMMIRI"):
        ipmm.build_iri(iri)


def test_addresses():
    assert (V4.kind, V6.kind) == (ipmm.IpType.IPV4, ipmm.IpType.IPV6) and FULL_ADDRESS.address == "192.0.2.2"


@pytest.mark.parametrize("octets", [b"", b"\xab\x00", b"\xac\x00", CC["voip"]])
def test_what_is_none(octets):
    for read in (ipmm.parse_iri, ipmm.parse_cc):
        with pytest.raises(HiError):
            read(octets)
