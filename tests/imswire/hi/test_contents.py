"""The alternatives that an examination goes into, and those that it shows as they are."""

from __future__ import annotations

import pytest

from imswire import ber
from imswire.hi import contents, eps, ipmm, ts33128
from imswire.hi.examination import Report
from tests.imswire.hi.samples import CC, EPS, IPMM, TS33128


@pytest.mark.parametrize(
    "octets, name",
    [
        (eps.build(EPS["keys"]), "ePSIRI"),
        (ipmm.build_iri(IPMM["sip"]), "iPMMIRI"),
        (ts33128.build_iri(TS33128["start"]), "threeGPP33128DefinedIRI"),
        (b"\xa4\x00", "<4>"),
    ],
)
def test_iri(octets, name):
    report = Report()
    node = contents.IRI_CONTENTS.examine_item(octets, ber.read(octets), report)
    assert node.name == name and not report.findings


@pytest.mark.parametrize(
    "octets, name",
    [
        (CC["ipmm"], "iPMMCC"),
        (CC["voip"], "voipCC-CC-PDU"),
        (CC["33128"], "threeGPP33128DefinedCC"),
        (b"\xa2\x00", "<2>"),
    ],
)
def test_cc(octets, name):
    report = Report()
    node = contents.CC_CONTENTS.examine_item(octets, ber.read(octets), report)
    assert node.name == name and not report.findings


def test_values_pass_through_by_tag():
    octets = b"\xa4\x00"
    assert contents.IRI_CONTENTS.read_item(octets, ber.read(octets)) == (4, octets)
    assert contents.CC_CONTENTS.write((4, octets)) == octets
    cc = contents.CC_CONTENTS.read_item(CC["ipmm"], ber.read(CC["ipmm"]))
    assert cc == (12, ipmm.parse_cc(CC["ipmm"])) and contents.CC_CONTENTS.write(cc) == CC["ipmm"]
