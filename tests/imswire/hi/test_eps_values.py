"""IRI of TS 33.108 as values: numbers as in the module, and no key in a representation."""

from __future__ import annotations

import pytest

from imswire.hi import eps_values as v
from tests.imswire.hi import oracles
from tests.imswire.hi.samples import EPS


@pytest.mark.parametrize(
    "kind, member", [
        (v.ImsEvent, "iMSevent"), (v.Initiator, "initiator"), (v.LdiEvent, "ldiEvent"),
        (v.Roaming, "roamingIndication"), (v.SecurityFailure, "mediaSecFailureIndication"),
    ],
)  # fmt: skip
def test_enumerations_of_the_full_module(kind, member):
    theirs = oracles.shipped().EpsHI2Operations.IRI_Parameters._cont[member]._cont
    assert {each.value for each in kind} == set(theirs.values())


def test_party_qualifiers():
    theirs = oracles.shipped().EpsHI2Operations.PartyInformation._cont["party-Qualifier"]._cont
    assert dict(theirs) == {"gPRSorEPS-Target": v.PartyQualifier.EPS_TARGET}
    theirs = oracles.shipped().HI2Operations.PartyInformation._cont["party-Qualifier"]._cont
    assert {each.value for each in v.PartyQualifier} == set(theirs.values())


def test_representations_show_no_key():
    assert repr(EPS["keys"].keys) == (
        "(CcKeyInfo(cs_id='01', octets=16, <redacted>), CcKeyInfo(cs_id='02', octets=32, <redacted>))"
    )
    shown = repr(EPS["start-of-interception"])
    assert "sdp_offer=<31 octets>" in shown and "192.0.2.1" not in shown and "liid=b'LIID1'" in shown
