"""Destinations: where product goes, and how deliveries there stand (TS 103 221-1 6.3.1.2, 6.4.3.2)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from msgspec import Struct

from imswire.x1.document import COMMON
from imswire.x1.enumerations import DeliveryType, DestinationDeliveryStatus
from imswire.x1.extensions import Extension
from imswire.x1.members import (
    EXTENSION,
    INTEGER,
    STRING,
    TOKEN,
    Choice,
    Leaf,
    Sequence,
    Valued,
    collapsed,
    many,
    may,
    must,
    word,
)
from imswire.x1.targets import E164Number
from imswire.x1.tasks import FAULTS, Fault


class TcpPort(Struct, frozen=True, gc=False):
    value: int


class UdpPort(Struct, frozen=True, gc=False):
    value: int


class IpAddressAndPort(Struct, frozen=True, gc=False):
    """Where X2 and X3 connect to."""

    address: IPv4Address | IPv6Address
    port: TcpPort | UdpPort


class Uri(Struct, frozen=True, gc=False):
    value: str


class EmailAddress(Struct, frozen=True, gc=False):
    value: str


DeliveryAddress = IpAddressAndPort | E164Number | Uri | EmailAddress


class DestinationDetails(Struct, frozen=True, gc=False):
    """A destination; tasks name it by its DID."""

    did: str
    delivery: DeliveryType
    address: DeliveryAddress
    friendly_name: str | None = None
    extensions: tuple[Extension, ...] = ()


class DestinationStatus(Struct, frozen=True, gc=False):
    """How deliveries stand at the time of asking."""

    delivery: DestinationDeliveryStatus
    faults: tuple[Fault, ...] = ()


class DestinationResponseDetails(Struct, frozen=True, gc=False):
    """A destination and how it stands."""

    destination: DestinationDetails
    status: DestinationStatus


# The schema takes leading zeros, which some read as octal: ipaddress refuses what could be two addresses.
_ADDRESS = Choice(
    {
        "IPv4Address": (IPv4Address, Leaf(lambda text: IPv4Address(collapsed(text)), str)),
        "IPv6Address": (IPv6Address, Leaf(lambda text: IPv6Address(collapsed(text)), lambda each: each.exploded)),
    },
    ns=COMMON,
)
_PORT = Choice(
    {"TCPPort": (TcpPort, Valued(TcpPort, INTEGER)), "UDPPort": (UdpPort, Valued(UdpPort, INTEGER))}, ns=COMMON
)
_DELIVERY_ADDRESS = Choice(
    {
        "ipAddressAndPort": (
            IpAddressAndPort,
            Sequence(
                IpAddressAndPort,
                must("address", "address", _ADDRESS, COMMON),
                must("port", "port", _PORT, COMMON),
            ),
        ),
        "e164Number": (E164Number, Valued(E164Number, TOKEN)),
        "uri": (Uri, Valued(Uri, TOKEN)),
        "emailAddress": (EmailAddress, Valued(EmailAddress, STRING)),
    }
)
DESTINATION_DETAILS = Sequence(
    DestinationDetails,
    must("dId", "did", TOKEN),
    may("friendlyName", "friendly_name", STRING),
    must("deliveryType", "delivery", word(DeliveryType)),
    must("deliveryAddress", "address", _DELIVERY_ADDRESS),
    many("destinationDetailsExtensions", "extensions", EXTENSION),
)
DESTINATION_RESPONSE_DETAILS = Sequence(
    DestinationResponseDetails,
    must("destinationDetails", "destination", DESTINATION_DETAILS),
    must(
        "destinationStatus",
        "status",
        Sequence(
            DestinationStatus,
            must("destinationDeliveryStatus", "delivery", word(DestinationDeliveryStatus)),
            must("listOfFaults", "faults", FAULTS),
        ),
    ),
)
