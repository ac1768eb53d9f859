"""Payloads of TS 33.128 as values: numbers as in the module."""

from __future__ import annotations

import pytest

from imswire.hi import ts33128_values as v
from tests.imswire.hi import oracles


@pytest.mark.parametrize(
    "kind, name",
    [
        (v.SessionDirection, "SessionDirection"),
        (v.Roaming, "VoIPRoamingIndication"),
        (v.Provenance, "TargetIdentifierProvenance"),
        (v.PredefinedModification, "PredefinedPayloadModification"),
    ],
)
def test_enumerations(kind, name):
    theirs = getattr(oracles.crate().TS33128Payloads, name)._cont
    assert sorted(each.value for each in kind) == sorted(theirs.values())


@pytest.mark.parametrize(
    "kind, name, left_out",
    [
        (v.EventTag, "IRIEvent", set()),
        (v.IdentifierKind, "TargetIdentifier", {17}),
        (v.PlaceKind, "ModificationLocation", {6}),
        (v.ChangeKind, "ModificationType", set()),
        (v.Unit, "PayloadInformationRemoved", set()),
    ],
)
def test_tags(kind, name, left_out):
    tags = {each._tag[0] for each in getattr(oracles.crate().TS33128Payloads, name)._cont.values()}
    assert tags == {each.value for each in kind} - left_out


def test_the_kind_of_a_uri_follows_its_scheme():
    assert v.Impu.of("sip:a@x").kind == v.SIP_URI
    assert v.Impu.of("TEL:+1").kind == v.Impu.of("tel:+1").kind == v.TEL_URI
