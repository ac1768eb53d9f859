"""Transport-related information in all its forms."""

from __future__ import annotations

import pytest

from imswire import hi
from imswire.hi.tri import TRI_CLASSES
from tests.imswire.hi import oracles
from tests.imswire.hi.samples import BUILT, HEADER, TRI


def test_all_alternatives_are_among_the_samples():
    assert {type(each) for each in TRI.values()} == set(TRI_CLASSES)
    assert len(TRI_CLASSES) == len(hi.TriTag)


@pytest.mark.parametrize("name", TRI)
def test_foreign_decoders_see_the_alternative(name):
    value = oracles.asn1().decode("PS-PDU", BUILT[f"tri-{name}"])
    kind, (chosen, inner) = value["payload"]
    assert kind == "tRIPayload"
    names = list(oracles.crate().LI_PS_PDU.TRIPayload._cont)
    assert names.index(chosen) == TRI_CLASSES.index(type(TRI[name]))
    assert (inner is None) == (type(TRI[name]).__struct_fields__ == ())


def test_an_integrity_check_member_by_member():
    value = oracles.asn1().decode("PS-PDU", BUILT["tri-integrity-signature"])
    assert value["payload"][1][1] == {
        "includedSequenceNumbers": [0, 1],
        "checkType": "signature",
        "dataType": "cC",
        "checkValue": bytes(64),
        "signatureAlgorithm": "edDSA",
    }


def test_an_option_of_the_future_can_be_declined():
    octets = hi.build(hi.PsPdu(HEADER, hi.OptionRequest((0, 9))))
    pdu = hi.parse(octets)
    assert pdu.payload == hi.OptionRequest((hi.Option.PDU_ACKNOWLEDGEMENT, 9))
    answer = hi.OptionResponse((0,), (9,))
    assert hi.parse(hi.build(hi.PsPdu(HEADER, answer))).payload == answer


def test_numbers_of_the_future_stay():
    check = hi.IntegrityCheck((1,), 3, 4, b"x", 9, 9)
    assert hi.parse(hi.build(hi.PsPdu(HEADER, check))).payload == check


def test_too_many_numbers():
    with pytest.raises(hi.HiError, match="includedSequenceNumbers"):
        hi.build(hi.PsPdu(HEADER, hi.IntegrityCheck(tuple(range(65_537)), 1, 1, b"")))
