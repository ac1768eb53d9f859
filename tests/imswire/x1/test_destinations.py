"""Destinations and their addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given

from imswire import x1
from imswire.x1.destinations import DESTINATION_RESPONSE_DETAILS
from tests.imswire.x1 import made

ADDRESS = (
    b"<c:address><c:IPv4Address>192.0.2.10</c:IPv4Address></c:address><c:port><c:TCPPort>9992</c:TCPPort></c:port>"
)
WHOLE = b"<ipAddressAndPort>" + ADDRESS + b"</ipAddressAndPort>"


@given(made.destination_responses)
def test_a_destination_comes_back(details):
    assert made.again(DESTINATION_RESPONSE_DETAILS, details) == details


def addressed(old: bytes, new_: bytes) -> object:
    return x1.parse_requests(made.changed(old, new_, made.REQUESTS[1]))[0]


@pytest.mark.parametrize(
    ("old", "new_", "address"),
    [
        (ADDRESS, ADDRESS, x1.IpAddressAndPort(IPv4Address("192.0.2.10"), x1.TcpPort(9992))),
        (
            b"c:TCPPort>9992</c:TCP",
            b"c:UDPPort>0</c:UDP",
            x1.IpAddressAndPort(IPv4Address("192.0.2.10"), x1.UdpPort(0)),
        ),
        (
            b"IPv4Address>192.0.2.10</c:IPv4",
            b"IPv6Address>2001:0db8:0000:0000:0000:0000:0000:0001</c:IPv6",
            x1.IpAddressAndPort(IPv6Address("2001:db8::1"), x1.TcpPort(9992)),
        ),
        (WHOLE, b"<e164Number>4670</e164Number>", x1.E164Number("4670")),
        (WHOLE, b"<uri> https://df2.example/ </uri>", x1.Uri("https://df2.example/")),
        (WHOLE, b"<emailAddress>a@b.example</emailAddress>", x1.EmailAddress("a@b.example")),
    ],
)
def test_every_kind_of_address(old, new_, address):
    message = addressed(old, new_)
    assert message.destination.address == address
    assert made.one(x1.build_request([message])) == message


def test_ipv6_is_written_in_full_as_the_schema_wants_it():
    address = x1.IpAddressAndPort(IPv6Address("2001:db8::1"), x1.TcpPort(9992))
    details = x1.DestinationDetails(made.DID, x1.DeliveryType.X2_ONLY, address)
    octets = x1.build_request([x1.CreateDestinationRequest(made.HEADER, details)])
    assert b">2001:0db8:0000:0000:0000:0000:0000:0001<" in octets


@pytest.mark.parametrize(
    ("old", "new_"),
    [
        (b"192.0.2.10", b"192.0.2.010"),  # the schema takes it; is it .10 or .8?
        (b"192.0.2.10", b"192.0.2.256"),
        (b"9992", b"1"),
        (b"9992", b"65536"),
        (b"IPv4Address>192.0.2.10</c:IPv4", b"IPv6Address>2001:db8::1</c:IPv6"),
        (ADDRESS, b""),
    ],
)
def test_no_such_address(old, new_):
    bad = addressed(old, new_)
    assert isinstance(bad, x1.Malformed) and bad.error.code == x1.ErrorCode.SCHEMA
    assert bad.error.path.startswith("destinationDetails/deliveryAddress/ipAddressAndPort")
    assert "192" not in str(bad.error)
