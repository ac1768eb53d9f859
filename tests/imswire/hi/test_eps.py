"""IRI of TS 33.108: vectors, and the full module as pycrate ships it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import ber, hi
from imswire.hi import HiError, eps
from imswire.hi.check import check
from imswire.hi.describe import lines
from tests.imswire.hi import oracles
from tests.imswire.hi.samples import ALICE, BASE, BOB, EPS, SDP, VECTORS, iri


def inner(contents: bytes) -> bytes:
    """IRI-Parameters as a SEQUENCE of its own, out of iRI-EPS-Parameters."""
    tlv = ber.read(contents)
    tlv = ber.read(contents, tlv.start)
    return ber.tlv(b"\x30", contents[tlv.start : tlv.end])


def contents(name: str) -> bytes:
    pdu = hi.parse(VECTORS[name][1])
    assert isinstance(pdu.payload, tuple)
    return pdu.payload[0].contents


def test_the_start_of_interception_of_the_vectors_from_values():
    values = eps.IriParameters(
        liid=b"LIID1",
        time=1_704_164_645 * 10**9,
        initiator=eps.Initiator.ORIGINATING_TARGET,
        parties=(eps.PartyInformation(eps.PartyQualifier.ORIGINATING_PARTY, sip_uri=b"sip:a@x"),),
        event=eps.ImsEvent.START_OF_INTERCEPTION,
        correlation=eps.Correlation(eps.IriToCc((b"\1",))),
        header_offer=b"H1",
        header_answer=b"H2",
        sdp_offer=b"S1",
        sdp_answer=b"S2",
    )
    assert eps.build(values) == contents("SOI-plain")
    assert eps.build(values, hi.IriType.REPORT) == contents("SOI-nested")
    assert eps.parse(contents("SOI-plain")) == eps.parse(contents("SOI-nested")) == values


def test_the_keys_of_the_vectors_from_values():
    values = eps.IriParameters(
        liid=b"LIID1",
        time=1_704_164_646 * 10**9,
        event=eps.ImsEvent.DECRYPTION_KEYS_AVAILABLE,
        keys=(eps.CcKeyInfo(b"\0", bytes(range(16)), bytes(range(14))),),
        ims_voip=(eps.ImsVoip(b"\x09", eps.IriToCc((b"\1",))),),
    )
    assert eps.build(values) == contents("KEYS-plain")
    assert eps.build(values, hi.IriType.REPORT) == contents("KEYS-nested")


@pytest.mark.parametrize("name", EPS)
def test_the_full_module_of_pycrate_reads_and_writes_the_same(name):
    octets = inner(eps.build(EPS[name]))
    kind = oracles.shipped().EpsHI2Operations.IRI_Parameters
    value = oracles.crate_value(kind, octets)
    assert kind.to_der() == octets
    assert value["hi2epsDomainId"] == (0, 4, 0, 2, 2, 4, 8, 16, 1)
    assert value["lawfulInterceptionIdentifier"] == b"LIID1"
    assert value["timeStamp"][0] == ("localTime" if EPS[name].season is not None else "utcTime")


def test_the_members_that_pycrate_names():
    kind = oracles.shipped().EpsHI2Operations.IRI_Parameters
    value = oracles.crate_value(kind, inner(eps.build(EPS["start-of-interception"])))
    assert value["iMSevent"] == "startOfInterceptionForIMSEstablishedSession"
    assert (value["sipMessageHeaderOffer"], value["sipMessageHeaderAnswer"]) == (b"INVITE", b"SIP/2.0 200 OK")
    assert (value["sdpOffer"], value["sdpAnswer"]) == (SDP, SDP)
    assert value["correlation"][0] == "both-IRI-CC"
    bob = value["partyInformation"][1]
    assert value["partyInformation"][0]["party-Qualifier"] == "gPRSorEPS-Target"
    assert bob["party-Qualifier"] == "_ext_1"  # terminating-Party is of TS 101 671
    assert bob["partyIdentity"]["x-3GPP-Asserted-Identity"] == b"<sip:bob@example.com>"
    value = oracles.crate_value(kind, inner(eps.build(EPS["keys"])))
    assert value["mediaDecryption-info"][0] == {
        "cCCSID": b"\1",
        "cCDecKey": bytes(range(16)),
        "cCSalt": bytes(range(14)),
    }
    value = oracles.crate_value(kind, inner(eps.build(EPS["no-keys"])))
    assert value["mediaSecFailureIndication"] == "genericFailure"


def test_all_members_of_the_module_are_known_by_tag_and_name():
    kind = oracles.shipped().EpsHI2Operations.IRI_Parameters
    theirs = {member._tag[0]: name for name, member in kind._cont.items()}
    ours = {member.tag: member.name for member in eps.PARAMETERS._members}
    assert ours == theirs


def test_both_records_of_a_sequence_in_pycrate():
    octets = eps.build_all(((4, EPS["keys"]), (1, EPS["no-keys"])))
    tlv = ber.read(octets)
    tlv = ber.read(octets, tlv.start)
    value = oracles.crate_value(oracles.shipped().EpsHI2Operations.EpsIRIsContent, octets[tlv.start : tlv.end])
    assert value[0] == "epsIRISequence" and [each[0] for each in value[1]] == ["iRI-Report-record", "iRI-Begin-record"]
    assert eps.parse_all(octets) == ((4, EPS["keys"]), (1, EPS["no-keys"]))
    with pytest.raises(HiError, match="2 records"):
        eps.parse(octets)
    assert check(hi.build(iri(octets)))[0].rule.startswith("record of type 1 in an IRIPayload of type 4")


def test_other_members_are_read_over_and_shown():
    kind = oracles.shipped().EpsHI2Operations.IRI_Parameters
    value = oracles.crate_value(kind, inner(eps.build(EPS["keys"])))
    value["ePSevent"] = "locationInfoUpdate"
    value["scefID"] = "scef"
    value["sgsnAddress"] = ("x25Address", b"x")
    kind.set_val(value)
    octets = kind.to_der()
    tlv = ber.read(octets)
    wrapped = ber.tlv(b"\xaf", ber.tlv(b"\xa0", octets[tlv.start : tlv.end]))
    assert eps.parse(wrapped) == EPS["keys"]
    shown = {line.path.rpartition(".")[2]: line.value for line in lines(hi.build(iri(wrapped)))}
    assert shown["ePSevent"] == "0x0a" and "sgsnAddress" in shown and check(hi.build(iri(wrapped))) == []


times = st.integers(0, 4_000_000_000).map(lambda seconds: seconds % 2_524_608_000 * 10**9)
octet_strings = st.none() | st.binary(min_size=1, max_size=20)
correlations = st.builds(
    eps.IriToCc, st.lists(st.binary(max_size=9), max_size=3).map(tuple), st.none() | st.binary(max_size=9)
)
parameters = st.builds(
    eps.IriParameters,
    liid=st.binary(min_size=1, max_size=25),
    time=times,
    season=st.none() | st.integers(0, 2),
    initiator=st.none() | st.sampled_from(eps.Initiator),
    location=st.none() | st.just(b"\x81\x01x"),
    parties=st.none() | st.lists(st.sampled_from([ALICE, BOB]), min_size=1, max_size=10).map(tuple),
    national=st.none() | st.lists(st.binary(min_size=1, max_size=256), min_size=1, max_size=3).map(tuple),
    event=st.none() | st.sampled_from(eps.ImsEvent) | st.just(99),
    sip_message=octet_strings,
    correlation=st.none()
    | st.builds(eps.Correlation, correlations, st.none() | st.binary(max_size=9))
    | st.builds(eps.Correlation, st.none(), st.binary(max_size=9)),
    keys=st.none()
    | st.lists(st.builds(eps.CcKeyInfo, st.binary(max_size=3), st.binary(), octet_strings), max_size=3).map(tuple),
    ims_voip=st.none()
    | st.lists(st.builds(eps.ImsVoip, st.binary(max_size=9), st.none() | correlations), max_size=3).map(tuple),
    sdp_offer=octet_strings,
    security_failure=st.none() | st.just(0),
    cc_unavailable_reason=st.none() | st.just("buffer full"),
    roaming=st.none() | st.sampled_from(eps.Roaming),
    national_hi2=st.none() | st.builds(eps.NationalParameters, st.just("SE"), st.just((b"\x82\x00",))),
    release=st.tuples(st.integers(0, 300), st.integers(0, 300)),
)


@given(parameters, st.none() | st.sampled_from(hi.IriType))
def test_what_is_built_is_read(values, record):
    octets = eps.build(values, record)
    assert eps.parse_all(octets) == ((record, values),)


def test_a_correlation_of_nothing_is_one_to_no_content():
    octets = eps.build(eps.IriParameters(**BASE, correlation=eps.Correlation()))
    assert eps.parse(octets).correlation == eps.Correlation(eps.IriToCc(()))


@pytest.mark.parametrize(
    "values, path",
    [
        ({"liid": bytes(26)}, "lawfulInterceptionIdentifier"),
        ({"time": -1}, "timeStamp.utcTime"),
        ({"parties": ()}, "partyInformation"),
        ({"parties": (ALICE,) * 11}, "partyInformation"),
        ({"parties": (eps.PartyInformation(0, imei=b"x"),)}, "partyInformation[0].partyIdentity.imei"),
        ({"parties": (eps.PartyInformation(0, imsi=b"x"),)}, "partyInformation[0].partyIdentity.imsi"),
        ({"national": ()}, "national-Parameters"),
        ({"national": (b"",)}, "national-Parameters[0]"),
        ({"national": (bytes(257),)}, "national-Parameters[0]"),
        ({"national": (b"x",) * 41}, "national-Parameters"),
        ({"cc_unavailable_reason": "@"}, "ccUnavailableReason"),
        ({"network": eps.NetworkId(bytes(6))}, "networkIdentifier.operator-Identifier"),
        ({"release": (1,)}, "hi2epsDomainId"),
    ],
)
def test_bounds_of_the_module(values, path):
    with pytest.raises(HiError) as caught:
        eps.build(eps.IriParameters(**(BASE | values)))
    assert caught.value.path == f"ePSIRI.iRI-EPS-Parameters.{path}"


@pytest.mark.parametrize(
    "octets", [b"", b"\xae\x00", b"\xaf\x00", b"\xaf\x02\xa2\x00", b"\xaf\x02\xa0\x00", b"\xaf\x02\xa1\x00"]
)
def test_what_is_none(octets):
    with pytest.raises(HiError, match="^ePSIRI"):
        eps.parse(octets)


@given(st.sampled_from(sorted(EPS)), st.data())
def test_nothing_but_its_own_error(name, data):
    octets = bytearray(eps.build(EPS[name], data.draw(st.none() | st.just(4))))
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(HiError):
        eps.parse_all(bytes(octets))
