"""HI1 notifications, as the module that pycrate ships reads them."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import ber, hi
from imswire.hi import HiError, hi1
from imswire.hi.check import check
from tests.imswire.hi import oracles
from tests.imswire.hi.samples import BUILT, HEADER, HI1, SECOND


@pytest.mark.parametrize("name", HI1)
def test_both_directions(name):
    octets = hi1.build(HI1[name])
    assert hi1.parse(octets) == HI1[name]
    pdu = hi.parse(BUILT[f"hi1-{name}"])
    assert pdu.payload == hi.Hi1(octets) and check(BUILT[f"hi1-{name}"]) == []


@pytest.mark.parametrize(
    "name, alternative",
    [
        ("activated", "liActivated"),
        ("deactivated", "liDeactivated"),
        ("modified", "liModified"),
        ("alarm", "alarms-indicator"),
        ("national", "national-HI1-ASN1parameters"),
    ],
)
def test_the_module_of_pycrate_reads_and_writes_the_same(name, alternative):
    kind = oracles.shipped_etsi().HI1NotificationOperations.HI1_Operation
    octets = hi1.build(HI1[name])
    chosen, value = oracles.crate_value(kind, octets)
    assert chosen == alternative == hi1.name(HI1[name])
    # What a country adds behind the marker is not in the module.
    assert kind.to_der() == (octets if name != "national" else hi1.build(hi1.NationalHi1("SE")))
    if name != "modified":
        assert value["domainID"] == (0, 4, 0, 2, 2, 0, 1, 6)
    if name == "activated":
        assert value["target-Information"] == b"sip:alice@example.com"
        assert value["communicationIdentifier"]["network-Identifier"] == {"operator-Identifier": b"OP1"}
    if name == "alarm":
        assert value["alarm-information"] == b"link down"


def test_an_alarm_without_a_domain():
    alarm = hi1.AlarmIndicator(time=SECOND, information=b"x", season=2, version=None)
    assert hi1.parse(hi1.build(alarm)) == alarm
    national = hi1.NationalHi1("SE", version=None)
    assert hi1.parse(hi1.build(national)) == national


@pytest.mark.parametrize(
    "operation",
    [
        hi1.Notification(kind=1, liid=b"", time=SECOND),
        hi1.Notification(kind=1, liid=b"L", time=SECOND, target=bytes(257)),
        hi1.Notification(kind=9, liid=b"L", time=SECOND),
        hi1.AlarmIndicator(time=SECOND, information=b""),
        hi1.NationalHi1("SWE"),
    ],
)
def test_bounds_of_the_module(operation):
    with pytest.raises(HiError, match="^hI1-Operation"):
        hi1.build(operation)


@pytest.mark.parametrize("octets", [b"", b"\xa1\x00", b"\xa6\x00", b"\x30\x00", b"\xa1\x00\x00"])
def test_what_is_none(octets):
    with pytest.raises(HiError, match="^hI1-Operation"):
        hi1.parse(octets)


def test_a_notification_of_another_domain():
    octets = hi1.build(HI1["activated"]).replace(ber.oid_contents((0, 4, 0, 2, 2, 0, 1, 6)), b"\x04\0\2\2\1\1\6")
    with pytest.raises(HiError, match="domainID.*is not 0.4.0.2.2.0.1.n"):
        hi1.parse(octets)


def test_a_notification_of_another_lawful_interception_identifier_than_the_header_breaks_a_rule():
    for name in ("activated", "alarm"):
        octets = hi.build(hi.PsPdu(HEADER, hi.Hi1(hi1.build(structs.replace(HI1[name], liid=b"LIID2")))))
        (finding,) = check(octets)
        assert finding.path == "payload.hI1-Operation" and "not that of the header" in finding.rule
