"""A cheap look at the destination of a frame, for packets that nobody wants: no value is made of them."""

from __future__ import annotations

from collections.abc import Callable, Container
from struct import Struct, error

from imswire.inet.address import unmapped
from imswire.inet.link import ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, LOCATORS, TAGS, Locator
from imswire.inet.values import UDP

Peek = Callable[[bytes], tuple[bytes, int] | None]

_FRAGMENTED = 0x3FFF
_ETHERNET_IPV4 = Struct("!12xHB5xHxB6x4s2x2s4x").unpack_from
_ETHERNET_PAYLOAD = Struct("!12x3s5x2sxB6x4s2x2s4xB").unpack_from
_SHORTEST = 43
_PLAIN = b"\x08\x00\x45"
"""EtherType of IPv4, its version, and a header without options."""
_WHOLE = frozenset((b"\x00\x00", b"\x40\x00"))
"""Flags and offset of a packet that is no fragment; it may say that it must not become one."""
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


Passes = Callable[[bytes, int, int], bool]


def plain_udp(link_type: int, wanted: Callable[[bytes], bool], begins: Container[int]) -> Passes:
    """Tells of the frame from ``start`` to ``end`` of some octets whether it is plain UDP that nobody wants.

    ``wanted`` is asked with the endpoint_key of the destination; ``begins`` are first octets of payloads to be
    looked at, wherever they go. False says nothing: a frame without payload, with tags, or of another link type
    is left to :func:`peek_udp`.
    """
    if link_type != ETHERNET:
        return _never

    def passes(octets: bytes, start: int, end: int) -> bool:
        if end - start < _SHORTEST:
            return False
        plain, fragment, protocol, address, port, first = _ETHERNET_PAYLOAD(octets, start)
        return (
            plain == _PLAIN
            and protocol == UDP
            and fragment in _WHOLE
            and first not in begins
            and not wanted(address + port)
        )

    return passes


def _never(_octets: bytes, _start: int, _end: int) -> bool:
    return False


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
    if protocol != UDP:
        return None
    return (unmapped(address) + port, ip + 48)


_peek_ethernet_slow = _peek_located(LOCATORS[ETHERNET])
