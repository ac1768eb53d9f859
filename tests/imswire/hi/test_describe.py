"""PS-PDUs for people."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import ber
from imswire.hi import HiError, describe
from tests.imswire.hi.samples import BUILT, VECTORS


def test_a_keep_alive_in_full():
    assert [str(line) for line in describe.lines(VECTORS["KA"][1])] == [
        "pSHeader.li-psDomainId = 0.4.0.2.2.5.1.43",
        "pSHeader.lawfulInterceptionIdentifier = LIID1",
        "pSHeader.authorizationCountryCode = SE",
        "pSHeader.communicationIdentifier.networkIdentifier.operatorIdentifier = OP1",
        "pSHeader.communicationIdentifier.networkIdentifier.networkElementIdentifier = DF2",
        "pSHeader.communicationIdentifier.communicationIdentityNumber = 7",
        "pSHeader.communicationIdentifier.deliveryCountryCode = SE",
        "pSHeader.sequenceNumber = 5",
        "pSHeader.microSecondTimeStamp.seconds = 1704164645",
        "pSHeader.microSecondTimeStamp.microSeconds = 0",
        "pSHeader.timeStampQualifier = timeOfInterception(1)",
        "payload.tRIPayload.keep-alive = NULL",
    ]


def test_keys_are_withheld_unless_asked_for():
    octets = BUILT["eps-keys"]
    secret = bytes(range(16)).hex()
    shown = {line.path.split("ePSIRI.")[-1]: line.value for line in describe.lines(octets)}
    assert shown["iRI-EPS-Parameters.mediaDecryption-info[0].cCDecKey"] == "<16 octets, withheld>"
    assert shown["iRI-EPS-Parameters.mediaDecryption-info[0].cCSalt"] == "<14 octets, withheld>"
    assert shown["iRI-EPS-Parameters.mediaDecryption-info[0].cCCSID"] == "0x01"
    for text in (str(describe.as_json(octets)), str(describe.lines(octets)), repr(describe.tree(octets))):
        assert secret not in text
    asked = {line.path: line.value for line in describe.lines(octets, keys=True)}
    assert f"0x{secret}" in asked.values()


@pytest.mark.parametrize("name", BUILT)
def test_every_line_stands_where_it_says(name):
    octets = BUILT[name]
    found = describe.lines(octets)
    assert len({line.path for line in found}) == len(found)
    for line in found:
        tlv = ber.read(octets, line.offset)
        assert tlv.after - tlv.at == line.octets
    assert [line.offset for line in found] == sorted(line.offset for line in found)
    assert not any(
        "<" in line.path for line in found if not name.startswith(("ipmm-h323", "ipmm-national", "hi1", "ilhi"))
    )


def test_json():
    value = json.loads(json.dumps(describe.as_json(BUILT["33128-start"])))
    payload = value["payload"]["iRIPayloadSequence"][0]["iRIContents"]["threeGPP33128DefinedIRI"]
    event = payload["event"]["startOfInterceptionForActiveIMSSession"]
    assert event["originatingId"] == [{"sIPURI": "sip:alice@example.com"}, {"tELURI": "tel:+461"}]
    assert event["sDPState"][0].startswith("v=0\\r\\n") and value["pSHeader"]["sequenceNumber"] == 300


def test_json_of_members_that_stand_twice_and_of_nothing():
    octets = BUILT["tri-test"]
    place = octets.index(bytes.fromhex("840100"))
    thrice = octets[:place] + bytes.fromhex("840100") * 2 + octets[place:]
    thrice = bytes((thrice[0], thrice[1] + 6, thrice[2], thrice[3] + 6)) + thrice[4:]
    assert describe.as_json(thrice)["pSHeader"]["sequenceNumber"] == [0, 0, 0]
    assert describe.as_json(b"\x30\x00") == {}


@pytest.mark.parametrize("octets", [b"", b"\x31\x00", b"\x30\x01", b"\x30\x00\x00"])
def test_what_is_no_pdu(octets):
    with pytest.raises(HiError, match="^PS-PDU"):
        describe.lines(octets)


@given(st.sampled_from(sorted(BUILT)), st.data())
def test_nothing_but_its_own_error(name, data):
    octets = bytearray(BUILT[name])
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        json.dumps(describe.as_json(bytes(octets)))
        describe.lines(bytes(octets), keys=True)
    except HiError:
        return
