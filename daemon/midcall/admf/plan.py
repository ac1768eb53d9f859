"""What a warrant comes to at each element: a destination, and a task for each of its targets (DESIGN 5)."""

from __future__ import annotations

import re
from hashlib import sha1
from ipaddress import ip_address

from msgspec import Struct

from imswire import x1
from imswire.x1 import DeliveryType, MediationDeliveryType
from midcall import config
from midcall.base.warrant import Target, Warrant

_IMEI = re.compile(r"urn:gsma:imei:(\d{8})-(\d{6})-\d", re.IGNORECASE | re.ASCII)
_NAMESPACE = bytes.fromhex("7e1d9a526b0e4f8a9c552f4f2b1c0d11")
ROLES = ("df", "poi")
"""What takes product in stands before what gives it: tasks begin in this order, and end the other way round."""


class At(Struct, frozen=True):
    """An element that is ordered. ``element``: its name in warrants. ``x2`` (host:port): where a POI sends X2, or where
    a DF that shares tasks with others takes it.
    """

    role: str
    ne: str
    url: str
    x2: str = ""
    element: str = ""


def destination(at: At, warrant: Warrant) -> x1.DestinationDetails:
    """Where the element sends what it makes."""
    host, port = _whereto(at, warrant)
    address: x1.DeliveryAddress
    try:
        address = x1.IpAddressAndPort(ip_address(host), x1.TcpPort(port))
    except ValueError:
        address = x1.Uri(f"tls://{host}:{port}")
    delivery = DeliveryType.X2_AND_X3 if at.role == "df" else DeliveryType.X2_ONLY
    return x1.DestinationDetails(did(at, warrant), delivery, address)


def did(at: At, warrant: Warrant) -> str:
    """The same place is the same destination, whoever asks for it."""
    return _did(at.role, *_whereto(at, warrant))


def x2_did(x2: str) -> str:
    """What a POI knows a DF as whose X2 is there."""
    return _did("poi", *config.address(x2))


def _did(role: str, host: str, port: int) -> str:
    return _uuid5(f"{role} {host.lower()} {port}")


def task(at: At, warrant: Warrant, octets: bytes, target: Target) -> x1.TaskDetails:
    """The task of one target, with the signed warrant in it."""
    handed_over = MediationDeliveryType.HI2_AND_HI3 if warrant.content else MediationDeliveryType.HI2_ONLY
    mediation = x1.MediationDetails(target.liid, handed_over, warrant.start_ns, warrant.end_ns)
    return x1.TaskDetails(
        target.xid,
        (_named(target.identity),),
        DeliveryType.X2_AND_X3 if at.role == "df" and warrant.content else DeliveryType.X2_ONLY,
        x1.ListOfDids((did(at, warrant),)),
        mediation=(mediation,) if at.role == "df" else (),
        extensions=(x1.warrant_extension(octets),),
    )


def _whereto(at: At, warrant: Warrant) -> tuple[str, int]:
    """A DF delivers to the LEMF, a POI to the DF."""
    if at.role == "df":
        first = warrant.destinations[0]
        return first.host, first.port
    return config.address(at.x2)


def _uuid5(name: str) -> str:
    """RFC 9562 5.5: the same name has the same UUID."""
    octets = bytearray(sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest()[:16])
    octets[6] = octets[6] & 0x0F | 0x50
    octets[8] = octets[8] & 0x3F | 0x80
    digits = octets.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _named(identity: str) -> x1.TargetIdentifier:
    """An identity of a warrant as X1 names it."""
    imei = _IMEI.fullmatch(identity)
    if imei is not None:
        return x1.Imei(imei[1] + imei[2])
    return x1.TelUri(identity) if identity.lower().startswith("tel:") else x1.SipUri(identity)
