"""A cheap look at the destination of a frame, for packets that nobody wants: no value is made of them."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, error

from imswire.inet.link import ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, LOCATORS, TAGS, Locator
from imswire.inet.values import UDP

Peek = Callable[[bytes], tuple[bytes, int] | None]

_FRAGMENTED = 0x3FFF
_ETHERNET_IPV4 = Struct("!12xHB5xHxB6x4s2x2s4x").unpack_from
_IPV4 = Struct("!B5xHxB6x4s2x2s4x").unpack_from
_IPV6 = Struct("!6xB17x16s2x2s4x").unpack_from


def peek_udp(link_type: int) -> Peek:
    """Gives the :func:`~imswire.inet.endpoint_key` of the destination and the offset of the payload.

    It knows plain UDP only: IPv4 without options or IPv6 without extension headers, not fragmented, tagged
    or not. For all else it returns None, and so it does for frames that are no IP: who wants those asks
    :func:`imswire.inet.decode`. Lengths are not checked; decode does that with the few frames that matter.
    """
    if link_type == ETHERNET:
        return _peek_ethernet
    return _peek_located(LOCATORS.get(link_type, _nowhere))


def _nowhere(_: bytes) -> None:
    return None


def _peek_ethernet(frame: bytes) -> tuple[bytes, int] | None:
    try:
        ethertype, first, fragment, protocol, address, port = _ETHERNET_IPV4(frame)
        if ethertype == ETHERTYPE_IPV4:
            if protocol == UDP and first == 0x45 and not fragment & _FRAGMENTED:
                return address + port, 42
            return None
        if ethertype in TAGS:
            ethertype, first, fragment, protocol, address, port = _ETHERNET_IPV4(frame, 4)
            if ethertype == ETHERTYPE_IPV4 and protocol == UDP and first == 0x45 and not fragment & _FRAGMENTED:
                return address + port, 46
        elif ethertype == ETHERTYPE_IPV6:
            return _peek_ipv6(frame, 14)
    except error:
        return None
    return _peek_ethernet_slow(frame)


def _peek_located(locator: Locator) -> Peek:
    def peek(frame: bytes) -> tuple[bytes, int] | None:
        at = locator(frame)
        if at is None:
            return None
        try:
            return _peek_ipv4(frame, at.offset) if at.version == 4 else _peek_ipv6(frame, at.offset)
        except error:
            return None

    return peek


def _peek_ipv4(frame: bytes, ip: int) -> tuple[bytes, int] | None:
    first, fragment, protocol, address, port = _IPV4(frame, ip)
    if protocol != UDP or first != 0x45 or fragment & _FRAGMENTED:
        return None
    return address + port, ip + 28


def _peek_ipv6(frame: bytes, ip: int) -> tuple[bytes, int] | None:
    protocol, address, port = _IPV6(frame, ip)
    return (address + port, ip + 48) if protocol == UDP else None


_peek_ethernet_slow = _peek_located(LOCATORS[ETHERNET])
