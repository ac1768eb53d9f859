"""What a receiver has to say about a PS-PDU."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from imswire import hi
from imswire.hi import eps, voip
from imswire.hi.check import check, rules
from tests.imswire.hi import oracles
from tests.imswire.hi.samples import BASE, BUILT, CC, EPS, HEADER, TIME, VECTORS, VOIP_CC, cc, iri

WRONG = {"tri-integrity-bare", "aggregated"}


@pytest.mark.parametrize("name", sorted(set(BUILT) - WRONG))
def test_nothing_is_wrong_with_the_samples(name):
    assert check(BUILT[name]) == []


@pytest.mark.parametrize("name", [name for name, (kind, _) in VECTORS.items() if kind == "PS-PDU"])
def test_nothing_is_wrong_with_the_vectors(name):
    assert check(VECTORS[name][1]) == []


def said(pdu: hi.PsPdu) -> list[str]:
    octets = hi.build(pdu)
    found = check(octets)
    assert all(0 <= finding.offset < len(octets) for finding in found)
    assert [finding.rule for finding in found] == [rule for _, rule in rules(pdu)]
    return [f"{finding.path}: {finding.rule}" for finding in found]


def header(**values: object) -> hi.Header:
    return replace(HEADER, **values)


KEYS = eps.build(EPS["keys"])


@pytest.mark.parametrize(
    "pdu, expected",
    [
        (iri(KEYS), []),
        (hi.PsPdu(header(time=None), iri(KEYS).payload), ["pSHeader: no time stamp"]),
        (hi.PsPdu(header(time=None), hi.KeepAlive()), ["pSHeader: no time stamp"]),
        (hi.PsPdu(header(time=None), (hi.Iri(4, KEYS, TIME),)), []),
        (hi.PsPdu(header(), hi.FirstSegment()), ["pSHeader: segment flag with a time"]),
        (hi.PsPdu(header(time=None), cc(CC["ipmm"]).payload), []),
        (hi.PsPdu(header(country=None), hi.KeepAlive()), []),
        (
            hi.PsPdu(header(cid=hi.CommunicationId(b"OP1")), cc(CC["ipmm"]).payload),
            ["pSHeader.communicationIdentifier: content without"],
        ),
        (hi.PsPdu(header(cid=hi.CommunicationId(b"OP1")), iri(KEYS).payload), []),
        (hi.PsPdu(header(), hi.TestPdu()), ["pSHeader.sequenceNumber: not 0"]),
        (
            hi.PsPdu(header(), hi.CinReset()),
            ["pSHeader.sequenceNumber: not 0", 'pSHeader: cINReset with a LIID that is not "-"'],
        ),
        (hi.PsPdu(header(), (hi.Iri(None, KEYS),)), ["payload.iRIPayloadSequence[0]: no iRIType"]),
        (hi.PsPdu(header(), (hi.Cc(None, CC["ipmm"]),)), ["payload.cCPayloadSequence[0]: no payloadDirection"]),
        (
            hi.PsPdu(header(), hi.IntegrityCheck((), hi.CheckType.HASH, None, b"", None)),
            [
                "payload.tRIPayload.integrityCheck.includedSequenceNumbers: no sequence numbers",
                "payload.tRIPayload.integrityCheck: no dataType",
                "payload.tRIPayload.integrityCheck: hash without",
            ],
        ),
        (
            hi.PsPdu(header(), hi.IntegrityCheck((1,), hi.CheckType.SIGNATURE, 1, b"x")),
            ["payload.tRIPayload.integrityCheck: signature without"],
        ),
        (hi.PsPdu(header(), hi.IntegrityCheck((1,), 9, 1, b"x")), []),
        (
            hi.PsPdu(header(liid=b"OTHER"), iri(KEYS).payload),
            ["payload.iRIPayloadSequence[0].iRIContents.ePSIRI: lawfulInterceptionIdentifier is not"],
        ),
        (
            hi.PsPdu(header(liid=b"OTHER"), cc(CC["voip"]).payload),
            ["payload.cCPayloadSequence[0].cCContents.voipCC-CC-PDU: lIID is not"],
        ),
        (hi.PsPdu(header(liid=b"OTHER"), cc(CC["voip-bare"]).payload), []),
        (
            iri(eps.build(EPS["keys"], hi.IriType.BEGIN)),
            ["payload.iRIPayloadSequence[0].iRIContents.ePSIRI: record of type 1"],
        ),
    ],
)
def test_rules_of_the_prose(pdu, expected):
    found = said(pdu)
    assert len(found) == len(expected)
    assert all(one.startswith(other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    "event, rule",
    [
        (eps.ImsEvent.UNFILTERED_SIP_MESSAGE, "without sIPMessage"),
        (eps.ImsEvent.SIP_HEADER_ONLY, "without sIPMessage"),
        (eps.ImsEvent.DECRYPTION_KEYS_AVAILABLE, "neither"),
        (eps.ImsEvent.START_OF_INTERCEPTION, "without an offer"),
        (eps.ImsEvent.CC_UNAVAILABLE, "without ccUnavailableReason"),
    ],
)
def test_what_belongs_to_an_event(event, rule):
    (found,) = said(iri(eps.build(eps.IriParameters(**BASE, event=event))))
    assert rule in found


@pytest.mark.parametrize(
    "event, value",
    [
        (eps.ImsEvent.SIP_HEADER_ONLY, {"sip_message": b""}),
        (eps.ImsEvent.DECRYPTION_KEYS_AVAILABLE, {"security_failure": 0}),
        (eps.ImsEvent.START_OF_INTERCEPTION, {"header_offer": b""}),
        (eps.ImsEvent.START_OF_INTERCEPTION, {"sdp_offer": b""}),
        (eps.ImsEvent.CC_UNAVAILABLE, {"cc_unavailable_reason": ""}),
        (None, {"initiator": 0}),
    ],
)
def test_what_is_enough_for_an_event(event, value):
    assert said(iri(eps.build(eps.IriParameters(**BASE, event=event, **value)))) == []


def test_a_record_of_nothing():
    nothing = eps.build(eps.IriParameters(**BASE))
    assert "no optional member" in said(iri(nothing))[0]
    assert said(iri(nothing, hi.IriType.END)) == []


EPS_PATH = "payload.iRIPayloadSequence[0].iRIContents.ePSIRI.iRI-EPS-Parameters"


def foreign(**values: object) -> bytes:
    """Of asn1tools, which minds no sizes."""
    pdu = oracles.asn1("ber").decode("PS-PDU", BUILT["eps-keys"])
    pdu["pSHeader"].update(values)
    return oracles.asn1("ber").encode("PS-PDU", {**pdu, "pSHeader": pdu["pSHeader"]})


@pytest.mark.parametrize(
    "octets, path, rule",
    [
        (foreign(**{"li-psDomainId": "0.4.0.2.2.4.1.43"}), "pSHeader.li-psDomainId", "is not 0.4.0.2.2.5.1.n"),
        (foreign(lawfulInterceptionIdentifier=b""), "pSHeader.lawfulInterceptionIdentifier", "0 octets, 1 to 25"),
        (foreign(lawfulInterceptionIdentifier=bytes(26)), "pSHeader.lawfulInterceptionIdentifier", "26 octets"),
        (foreign(authorizationCountryCode="SWE"), "pSHeader.authorizationCountryCode", "3 characters"),
        (foreign(sequenceNumber=2**32), "pSHeader.sequenceNumber", "is not in 0 to 4294967295"),
        (foreign(microSecondTimeStamp={"seconds": 1, "microSeconds": 10**6}), "pSHeader.microSecond", "is not in"),
        (b"", "PS-PDU", "nothing left"),
        (b"\x30\x00", "pSHeader", "missing"),
        (BUILT["tri-test"].replace(b"\x84\x01\x00", b"\x8b\x01\x00"), "pSHeader.sequenceNumber", "missing"),
        (BUILT["tri-test"][:-1] + b"\x01", "payload.tRIPayload", "octets of contents"),
        (hi.build(iri(b"\xaf\x02\xa0\x00")), f"{EPS_PATH}.hi2epsDomainId", "missing"),
        (hi.build(cc(b"\xb4\x00")), "payload.cCPayloadSequence[0].cCContents.voipCC-CC-PDU.voipLIC-header", "missing"),
    ],
)
def test_what_the_module_forbids(octets, path, rule):
    found = check(octets)
    assert any(finding.path.startswith(path) and rule in finding.rule for finding in found), list(map(str, found))


def test_two_times():
    pdu = oracles.asn1("ber").decode("PS-PDU", BUILT["generalized-time"])
    pdu["pSHeader"]["microSecondTimeStamp"] = {"seconds": 7, "microSeconds": 8}
    assert [str(finding) for finding in check(oracles.asn1("ber").encode("PS-PDU", pdu))] == [
        "pSHeader at offset 2: timeStamp and microSecondTimeStamp, where one of them is meant"
    ]


def test_a_voip_cc_of_another_form_is_left_to_the_examination():
    broken = voip.build(VOIP_CC).replace(b"\x86\x01\x02", b"\x86\x01\x07")
    assert [finding.rule for finding in check(hi.build(cc(broken)))] == ["no such value: 7"]


@pytest.mark.parametrize("octets", [hi.build(cc(b"\xb4\x02\xa0\x00")), hi.build(iri(b"\xaf\x02\xa0\x00"))])
def test_contents_that_are_not_one_tlv(octets):
    found = check(octets.replace(b"\x02\xa0\x00", b"\x01\xa0\x00"))
    assert any("Contents" in finding.path and "cut short" in finding.rule for finding in found), list(map(str, found))


def test_a_time_in_pieces_that_are_none():
    octets = re.sub(rb"\x85(?=.20)", b"\xa5", BUILT["generalized-time"], count=1, flags=re.DOTALL)
    assert octets != BUILT["generalized-time"]
    assert [finding.path for finding in check(octets)] == ["pSHeader.timeStamp"]


@given(st.sampled_from(sorted(BUILT)), st.data())
def test_it_never_raises(name, data):
    octets = bytearray(BUILT[name])
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(octets[: data.draw(st.integers(0, len(octets)))]) if data.draw(st.booleans()) else bytes(octets)
    assert isinstance(check(cut), list)
