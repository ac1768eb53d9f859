"""Destinations: which can be delivered to, and what a task makes of those that it names."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from imswire.x1 import (
    DeliveryType,
    DestinationDetails,
    ErrorCode,
    IpAddressAndPort,
    ListOfDids,
    MediationDeliveryType,
    TcpPort,
    Uri,
)
from midcall.base.warrant import Warrant
from midcall.base.x1_element.settings import Settings
from midcall.base.x1_element.values import Refusal

EVENTS, CONTENT = "events", "content"
KINDS = {
    DeliveryType.X2_ONLY: frozenset((EVENTS,)),
    DeliveryType.X3_ONLY: frozenset((CONTENT,)),
    DeliveryType.X2_AND_X3: frozenset((EVENTS, CONTENT)),
    MediationDeliveryType.HI2_ONLY: frozenset((EVENTS,)),
    MediationDeliveryType.HI3_ONLY: frozenset((CONTENT,)),
    MediationDeliveryType.HI2_AND_HI3: frozenset((EVENTS, CONTENT)),
}
SCHEME = "tls"
_PLACE = re.compile(rf"{SCHEME}://(?P<host>\[[0-9A-Fa-f:.]{{2,45}}\]|[0-9A-Za-z.-]{{1,253}}):(?P<port>[0-9]{{1,5}})")

Lookup = Callable[[str], DestinationDetails | None]


def place(details: DestinationDetails) -> tuple[str, int]:
    """Host, in one spelling, and port. Refusal (6020): an address that nothing is delivered to."""
    address = details.address
    if isinstance(address, IpAddressAndPort) and isinstance(address.port, TcpPort):
        return _spelt(str(address.address)), _port(address.port.value)
    found = _PLACE.fullmatch(address.value) if isinstance(address, Uri) else None
    if found is None:
        raise Refusal(ErrorCode.ADDRESS_TYPE, f"ipAddressAndPort with TCPPort, or uri {SCHEME}://host:port")
    return _spelt(found["host"].strip("[]")), _port(int(found["port"]))


def spelt(host: str, port: int) -> tuple[str, int]:
    """A place as :func:`place` gives it."""
    return _spelt(host), port


def check(details: DestinationDetails, settings: Settings, fail: ErrorCode) -> None:
    """Refusal: something in it cannot be honoured."""
    found = place(details)
    if settings.places and found not in settings.places:
        raise Refusal(fail, "this element has no way to that address")
    if details.extensions:
        raise Refusal(fail, "destinationDetailsExtensions")


def chosen(
    named: ListOfDids, kinds: frozenset[str], lookup: Lookup, settings: Settings, fail: ErrorCode
) -> tuple[DestinationDetails, ...]:
    """The destinations that are named, which have to take what is delivered. Refusal (2040, 2060, 3030, 3040)."""
    found = known(named, lookup)
    if not found:
        raise Refusal(fail, "listOfDIDs: no destination")
    if len(found) > settings.destinations_of_a_task:
        raise Refusal(ErrorCode.MULTIPLE_DESTINATIONS)
    taken = [KINDS[each.delivery] & kinds for each in found]
    if not all(taken) or frozenset().union(*taken) != kinds:
        raise Refusal(ErrorCode.DELIVERY_TYPE)
    return found


def known(named: ListOfDids, lookup: Lookup) -> tuple[DestinationDetails, ...]:
    """Refusal (2040, 2060): one is not there; sets of destinations are none of the objects here."""
    if named.dsids:
        raise Refusal(ErrorCode.OBJECT_UNKNOWN, "dSId")
    found = []
    for did in dict.fromkeys(named.dids):
        details = lookup(did)
        if details is None:
            raise Refusal(ErrorCode.DID_UNKNOWN, "listOfDIDs/dId")
        found.append(details)
    return tuple(found)


def pin(details: DestinationDetails, warrant: Warrant, fail: ErrorCode) -> str:
    """The certificate that a warrant names for a destination. Refusal: it does not name the destination."""
    wanted = place(details)
    for each in warrant.destinations:
        if (_spelt(each.host), each.port) == wanted:
            return each.certificate
    raise Refusal(fail, "the signed warrant does not name a destination of the task")


def _spelt(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().rstrip(".")


def _port(port: int) -> int:
    if not 0 < port < 1 << 16:
        raise Refusal(ErrorCode.ADDRESS_TYPE, "no such port")
    return port
