"""Payloads of TS 33.128: vectors, and two foreign compilers over the IMS part of the module."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import ber, hi
from imswire.hi import HiError, ts33128
from imswire.hi.check import check
from imswire.hi.describe import lines
from tests.imswire.hi import oracles
from tests.imswire.hi.samples import ALICE_IMPU, CC, IDENTIFIERS, INVITE, SDP, SIP33128, TS33128, VECTORS, iri

PAYLOADS = {name: value for name, value in VECTORS.items() if value[0] != "PS-PDU"}


def inside(contents: bytes) -> bytes:
    tlv = ber.read(contents)
    return contents[tlv.start : tlv.end]


@pytest.mark.parametrize("name", PAYLOADS)
def test_vectors_octet_for_octet(name):
    kind, octets = PAYLOADS[name]
    if kind == "XIRIPayload":
        assert ts33128.build_xiri(ts33128.parse_xiri(octets)) == octets
    elif kind == "IRIPayload":
        contents = ber.tlv(b"\x93", octets)
        assert ts33128.build_iri(ts33128.parse_iri(contents)) == contents
    else:
        contents = ber.tlv(b"\x97", octets)
        assert ts33128.build_cc(ts33128.parse_cc(contents)) == contents


def test_the_start_of_interception_on_x2_from_values():
    start = ts33128.StartOfInterception(
        originating=(ts33128.Impu("sip:a@x"),),
        terminating=ts33128.Impu("sip:b@x"),
        sdp=(b"v=0\r\n", b"v=0\r\n"),
    )
    octets = ts33128.build_xiri(ts33128.XiriPayload(start))
    assert octets in {value for _, value in PAYLOADS.values()}


@pytest.mark.parametrize("name", TS33128)
def test_every_event_comes_back(name):
    contents = ts33128.build_iri(TS33128[name])
    assert ts33128.parse_iri(contents) == TS33128[name]
    assert check(hi.build(iri(contents))) == []


@pytest.mark.parametrize("name", TS33128)
def test_foreign_compilers_read_and_write_the_same(name):
    octets = inside(ts33128.build_iri(TS33128[name]))
    value = oracles.asn1_33128().decode("IRIPayload", octets)
    assert oracles.asn1_33128().encode("IRIPayload", value) == octets
    assert value["iRIPayloadOID"] == bytes((4, 19, 19, 3, 3))
    kind = oracles.crate().TS33128Payloads.IRIPayload
    assert oracles.crate_value(kind, octets)["event"][0] == value["event"][0] and kind.to_der() == octets


def test_members_in_asn1tools():
    value = oracles.asn1_33128().decode("IRIPayload", inside(ts33128.build_iri(TS33128["modified"])))
    kind, message = value["event"]
    assert kind == "iMSMessage" and message["sessionDirection"] == "toTarget"
    form, modified = message["payload"]
    assert form == "modifiedSIPMessage" and modified["modifiedSIPContent"]["sIPContent"] == INVITE
    changes = modified["modifications"]["modificationList"]
    assert changes[0] == ("predefinedModification", "pANILocationRemoval")
    assert changes[1][1] == {
        "modificationLocation": ("sIPBody", None),
        "modificationType": ("removed", ("octetsRemoved", 40)),
    }
    value = oracles.asn1_33128().decode("CCPayload", inside(CC["33128"]))
    assert value["cCPayloadOID"] == bytes((4, 19, 19, 3, 4)) and value["pDU"][1]["sDPInfo"] == SDP


def test_what_the_compilers_cannot_say():
    place = ts33128.Place(ts33128.PlaceKind.MIME_BODY, b"\x80\x01x")
    change = ts33128.Change(ts33128.ChangeKind.REPLACED_WITH_BITS, b"\x00\xff")
    message = ts33128.ImsMessage(
        message=SIP33128,
        direction=ts33128.SessionDirection.COMBINED,
        modifications=(ts33128.DescribedModification(place, change),),
        location=b"\x81\x01x",
        translations=b"\x30\x00",
    )
    group = ts33128.TargetIdentifier(ts33128.Identifier(ts33128.IdentifierKind.PTC_CHAT_GROUP, b"\x81\x01x"), 9)
    payload = ts33128.IriPayload(message, (group,))
    assert ts33128.parse_iri(ts33128.build_iri(payload)) == payload


def test_events_of_other_services_pass_through():
    payload = ts33128.IriPayload(ts33128.OtherEvent(1, b"\xa1\x03\x81\x01x"))
    contents = ts33128.build_iri(payload)
    assert ts33128.parse_iri(contents) == payload
    assert [line.value for line in lines(hi.build(iri(contents)))][-1] == "0x810178"
    other = ts33128.CcPayload(ts33128.OtherEvent(1, b"\xa1\x00"))
    assert ts33128.parse_cc(ts33128.build_cc(other)) == other


@given(st.binary(), st.none() | st.binary(), st.tuples(st.integers(0, 200), st.integers(0, 200)))
def test_content_comes_back(payload, sdp, release):
    cc = ts33128.CcPayload(ts33128.ImsCc(payload, sdp), release)
    assert ts33128.parse_cc(ts33128.build_cc(cc)) == cc


@pytest.mark.parametrize("kind", ts33128.IdentifierKind)
def test_every_kind_of_identifier_is_among_the_samples(kind):
    kinds = {each.identifier.kind for each in IDENTIFIERS} | {ts33128.IdentifierKind.PTC_CHAT_GROUP}
    assert kind in kinds


@pytest.mark.parametrize(
    "event",
    [
        ts33128.ImsMessage(message=ts33128.SipMessage(b"x", bytes(4), b""), direction=1),
        ts33128.StartOfInterception(originating=(ALICE_IMPU,), terminating=ts33128.Impu("x", 3)),
        ts33128.OtherEvent(1, b"x"),
        ts33128.ImsMessage(
            message=SIP33128, direction=1, access=(ts33128.AccessNetwork("x", ts33128.Plmn("24", "01")),)
        ),
    ],
)
def test_what_cannot_be_built(event):
    with pytest.raises(HiError, match="^threeGPP33128DefinedIRI"):
        ts33128.build_iri(ts33128.IriPayload(event))
    with pytest.raises(HiError, match="^XIRIPayload"):
        ts33128.build_xiri(ts33128.XiriPayload(event))


@pytest.mark.parametrize("octets", [b"", b"\x30\x00", b"\x93\x00", b"\x97\x02\x30\x00", b"\x31\x00"])
def test_what_is_none(octets):
    for read in (ts33128.parse_iri, ts33128.parse_cc, ts33128.parse_xiri):
        with pytest.raises(HiError):
            read(octets)
