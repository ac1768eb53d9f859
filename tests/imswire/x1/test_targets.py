"""Target identifiers: all that the schema names."""

from __future__ import annotations

from importlib import resources

import pytest
from lxml import etree

from imswire import x1
from imswire.x1.targets import OTHERS, TARGET_IDENTIFIER, name_of
from tests.imswire.x1 import made

XS = "{http://www.w3.org/2001/XMLSchema}"
C = b' xmlns:c="http://uri.etsi.org/03280/common/2017/07"'
HASHED = (
    b'<hashedIdentifier xmlns:h="http://uri.etsi.org/03221/X1/2017/10/HashedID"><h:hashContextID>'
    + made.XID.encode()
    + b"</h:hashContextID><h:targetIdentityType>sipUri</h:targetIdentityType><h:hashDigest>00FF</h:hashDigest>"
    + b"</hashedIdentifier>"
)


@pytest.mark.parametrize(
    ("element", "value"),
    [
        (b"<sipUri>sip:a@b</sipUri>", x1.SipUri("sip:a@b")),
        (b"<sipUri> sips:a@b </sipUri>", x1.SipUri("sips:a@b")),
        (b"<telUri>tel:+4670</telUri>", x1.TelUri("tel:+4670")),
        (b"<e164Number>4670</e164Number>", x1.E164Number("4670")),
        (b"<impu>tel:+4670</impu>", x1.Impu("tel:+4670")),
        (b"<impi>a@b</impi>", x1.Impi("a@b")),
        (b"<imei>49015420323751</imei>", x1.Imei("49015420323751")),
        (b"<callPartyRole>Forwarded-To</callPartyRole>", x1.CallPartyRole.FORWARDED_TO),
        (b"<nonLocalIdentifier>NonLocal</nonLocalIdentifier>", x1.NonLocalIdentifier.NON_LOCAL),
        (HASHED, x1.HashedIdentifier(made.XID, "sipUri", b"\0\xff")),
        (
            b"<targetIdentifierExtension><Owner>o</Owner></targetIdentifierExtension>",
            x1.Extension("o"),
        ),
    ],
)
def test_those_of_ims_are_values(element, value):
    message = made.one(made.with_target(element))
    assert message.task.targets == (value,)
    assert made.one(x1.build_request([message])) == message
    assert b"<" + name_of(value).encode() in element


@pytest.mark.parametrize(
    "element",
    [
        b"<imsi>262011234567890</imsi>",
        b"<peiImei>49015420323751</peiImei>",
        b"<gpsiMsisdn>4670</gpsiMsisdn>",
        b"<tcpPortRange%s><c:start>2</c:start><c:end>9</c:end></tcpPortRange>" % C,
        b"<ipv4Cidr%s><c:IPv4CIDR>192.0.2.0/24</c:IPv4CIDR></ipv4Cidr>" % C,
        b"<udpPortList><udpPort>1</udpPort><udpPort>2</udpPort></udpPortList>",
    ],
)
def test_others_are_named_and_kept(element):
    message = made.one(made.with_target(element))
    (target,) = message.task.targets
    assert isinstance(target, x1.Opaque)
    assert element.startswith(b"<" + name_of(target).encode())
    assert made.one(x1.build_request([message])) == message


def test_none_is_forgotten():
    root = etree.fromstring(resources.files("imswire.x1").joinpath("schemas", "TS_103_221_01.xsd").read_bytes())
    (choice,) = (each for each in root.iter(f"{XS}complexType") if each.get("name") == "TargetIdentifier")
    named = {each.get("name") for each in choice.iter(f"{XS}element")}
    known = {tag.rpartition("}")[2] for tag in TARGET_IDENTIFIER._read} | set(OTHERS)
    assert named == known


@pytest.mark.parametrize(
    "element",
    [
        b"<imei>490154203237518</imei>",
        b"<sipUri>tel:1</sipUri>",
        b"<e164Number>+4670</e164Number>",
        b"<callPartyRole>Nobody</callPartyRole>",
        b"<unheardOf/>",
        b"",
        b"<impu>a</impu><impi>b</impi>",
    ],
)
def test_no_such_target(element):
    assert isinstance(made.one(made.with_target(element)), x1.Malformed)


@pytest.mark.parametrize(
    "value", [x1.SipUri("sip:alice@b"), x1.Impi("alice"), x1.HashedIdentifier(made.XID, "impu", b"alice")]
)
def test_a_representation_shows_no_identity(value):
    assert "alice" not in repr(value) and type(value).__name__ in repr(value)
