"""Datagrams out of a block of the ring, where they stand: of the usual ones what media need, and nothing else.

Usual is Ethernet without a tag that the kernel left in the frame, IPv4 without options or IPv6 without extensions, UDP,
whole. Whatever else came is for the long way.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from functools import cache
from struct import Struct
from typing import Any

from imswire import inet
from imswire.inet.address import MAPPED
from midcall.base.tap.ring import Frame, frame_at
from midcall.events import TapPacket

_SECOND = 1_000_000_000
_LINK_AT = 24
"""Of the offset of the frame in struct tpacket3_hdr."""
_LINK = Struct("=H").unpack_from
# Numbers of two octets are read in the order of this machine: such as are small cost least.
_IPV4, _IPV6 = (int.from_bytes(octets, sys.byteorder) for octets in (b"\x08\x00", b"\x86\xdd"))
_NO_OPTIONS = 0x45
_PARTS = 0xFFFF ^ int.from_bytes(b"\x40\x00", sys.byteorder)
"""Flags and offset of an IPv4 packet, but for what says that it must not become a fragment: none in a whole one."""
_ETHERNET, _IPV4_HEADER, _IPV6_HEADER, _UDP_HEADER = 14, 20, 40, 8
_PAYLOAD_V4 = _ETHERNET + _IPV4_HEADER + _UDP_HEADER
_PAYLOAD_V6 = _ETHERNET + _IPV6_HEADER + _UDP_HEADER
# From the IPv6 header on: its length, next header, source, destination; ports and length of UDP.
_V6 = Struct("!4xHBx16s16s2s2sH").unpack_from


@cache
def _head(link: int) -> Callable[[mmap.mmap, int], tuple[Any, ...]]:
    """struct tpacket3_hdr (the next packet, seconds, nanoseconds, octets kept, offset of the frame) and, ``link``
    octets behind its start, the headers of Ethernet, IPv4 and UDP.

    The numbers of the latter are in network order, so lengths come in single octets; where but a few values count they
    are compared as they are read.
    """
    packet = f"=4I8xH{link - _LINK_AT - 2}x"
    return Struct(packet + "12xHBxBB2xHxB2x4s4s2s2sBB2x").unpack_from


def read(
    octets: mmap.mmap,
    position: int,
    count: int,
    append: Callable[[TapPacket], None],
    other: Callable[[Frame], None],
) -> None:
    """The packets of a block in their order, as :meth:`midcall.base.tap.ring.Ring.visit` shows it; ``other`` has
    those that are not usual.
    """
    parts, second, ipv4, udp = _PARTS, _SECOND, _IPV4, inet.UDP
    current = since = 0
    (expected,) = _LINK(octets, position + _LINK_AT)
    head = _head(expected)
    last = len(octets) - expected - _PAYLOAD_V4
    for _ in range(count):
        if position > last:
            other(frame_at(octets, position))  # the last packet of the ring, and a short one
            return
        (
            step,
            seconds,
            nanoseconds,
            kept,
            link,
            kind,
            version,
            high,
            low,
            fragment,
            protocol,
            source,
            destination,
            source_port,
            port,
            size_high,
            size_low,
        ) = head(octets, position)
        size = size_high << 8 | size_low
        if seconds != current:
            current, since = seconds, seconds * second
        if (
            kind == ipv4
            and version == _NO_OPTIONS
            and protocol == udp
            and not fragment & parts
            and _UDP_HEADER <= size <= (high << 8 | low) - _IPV4_HEADER
            and size + 34 <= kept
            and link == expected
        ):
            begin = position + link + _PAYLOAD_V4
            payload = octets[begin : begin + size - 8]
            append((since + nanoseconds, destination + port, source + source_port, payload))
        elif kind != _IPV6 or not _ipv6(octets, position + link, kept, since + nanoseconds, append):
            other(frame_at(octets, position))
        position += step


def _ipv6(octets: mmap.mmap, begin: int, kept: int, time: int, append: Callable[[TapPacket], None]) -> bool:
    """The same for IPv6; False: it is not usual."""
    if kept < _PAYLOAD_V6:
        return False
    length, protocol, source, destination, source_port, port, size = _V6(octets, begin + _ETHERNET)
    if (
        protocol != inet.UDP
        or not _UDP_HEADER <= size <= length
        or _ETHERNET + _IPV6_HEADER + size > kept
        or destination[:12] == MAPPED
    ):
        return False
    begin += _PAYLOAD_V6
    append((time, destination + port, source + source_port, octets[begin : begin + size - _UDP_HEADER]))
    return True
