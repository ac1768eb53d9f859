"""From a captured frame to a datagram: IPv4 (RFC 791), IPv6 (RFC 8200), UDP (RFC 768), TCP (RFC 9293).

Every packet of a capture comes through here, so the common case (no IP options, not fragmented, UDP) is one
struct call; everything else takes the longer way below it. Checksums are not verified: the capturing host may
have left them to its network card.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, error

from imswire.inet.link import ETHERNET, ETHERTYPE_IPV4, LOCATORS, MAX_TAGS, TAGS, IpAt, Locator
from imswire.inet.values import TCP, TUNNELS, UDP, Datagram, Fragment

Decoder = Callable[[bytes], Datagram | Fragment | None]

_MORE = 0x2000
_OFFSET = 0x1FFF
_FRAGMENTED = _MORE | _OFFSET

_LAST_TAG = 14 + 4 * (MAX_TAGS - 1)
_UDP_LENGTH = 8
_TCP_LENGTH = 20
_IPV6_LENGTH = 40

MAX_EXTENSIONS = 16
"""IPv6 extension headers before the transport header; honest packets have two or three."""
_AUTHENTICATION = 51
_FRAGMENT_HEADER = 44
_EXTENSION_UNIT = {0: 8, 43: 8, 60: 8, 135: 8, 139: 8, 140: 8, _AUTHENTICATION: 4, _FRAGMENT_HEADER: 0}
"""Extension headers to skip and the unit of their length field; AH counts in 4 octets (RFC 4302 2.2)."""
_CARRIERS = TUNNELS | {UDP, TCP, _AUTHENTICATION}

_ETHERNET_IPV4_UDP = Struct("!12xHBxHxxHxB2x4s4sHHH").unpack_from
_IPV4 = Struct("!BxHHHxB2x4s4s").unpack_from
_IPV6 = Struct("!4xHBx16s16s").unpack_from
_UDP_HEADER = Struct("!HHH").unpack_from
_TCP_HEADER = Struct("!HHI4xBB").unpack_from


def decode(link_type: int, frame: bytes) -> Datagram | Fragment | None:
    """The UDP datagram, TCP segment or tunnelled packet in ``frame``, or a fragment that may become one.

    None for anything else: other protocols, unknown link types, packets that are malformed or were cut short
    by the capture.
    """
    return decoder(link_type)(frame)


def decoder(link_type: int) -> Decoder:
    """:func:`decode` for one link type: take it once for each capture, not for each frame."""
    return _DECODERS.get(link_type, _nothing)


def _nothing(_: bytes) -> None:
    return None


def _decode_ethernet(frame: bytes) -> Datagram | Fragment | None:
    ip = 14
    try:
        ethertype, first, total, fragment, protocol, src, dst, sport, dport, length = _ETHERNET_IPV4_UDP(frame)
        while ethertype != ETHERTYPE_IPV4:
            if ethertype not in TAGS or ip > _LAST_TAG:
                return _decode_ethernet_slow(frame)
            ip += 4
            ethertype, first, total, fragment, protocol, src, dst, sport, dport, length = _ETHERNET_IPV4_UDP(
                frame, ip - 14
            )
    except error:
        return _decode_ethernet_slow(frame)
    at = ip + 28
    end = ip + 20 + length
    if (
        first != 0x45
        or protocol != UDP
        or fragment & _FRAGMENTED
        or length < _UDP_LENGTH
        or length + 20 > total
        or end > len(frame)
    ):
        return _decode_ethernet_slow(frame)
    return Datagram(src, dst, UDP, sport, dport, frame[at:end], ip, at, end, frame)


def _located(locator: Locator) -> Decoder:
    def decode_located(frame: bytes) -> Datagram | Fragment | None:
        at = locator(frame)
        return decode_ip(frame, at) if at is not None else None

    return decode_located


def decode_ip(frame: bytes, at: IpAt) -> Datagram | Fragment | None:
    """:func:`decode` for a frame whose IP header was located already."""
    try:
        return _ipv4(frame, at.offset) if at.version == 4 else _ipv6(frame, at.offset)
    except error:
        return None  # a header that the frame is too short for


def _ipv4(frame: bytes, ip: int) -> Datagram | Fragment | None:
    first, total, identification, fragment, protocol, src, dst = _IPV4(frame, ip)
    header = (first & 0x0F) * 4
    end = ip + total if total else len(frame)  # 0: segmentation was left to the network card
    at = ip + header
    if header < 20 or not at <= end <= len(frame):
        return None
    if not fragment & _FRAGMENTED:
        if protocol == _AUTHENTICATION and at + 8 <= end:
            protocol, at = frame[at], at + 8 + frame[at + 1] * 4
        return _transport(frame, ip, protocol, src, dst, at, end)
    if protocol not in _CARRIERS:
        return None
    key = b"\x04%b%b%c%b" % (src, dst, protocol, identification.to_bytes(2, "big"))
    offset = (fragment & _OFFSET) * 8
    return Fragment(key, offset, bool(fragment & _MORE), frame[at:end], ip, at, 0, protocol, frame)


def _ipv6(frame: bytes, ip: int) -> Datagram | Fragment | None:
    length, protocol, src, dst = _IPV6(frame, ip)
    at = ip + _IPV6_LENGTH
    end = at + length if length else len(frame)
    if end > len(frame):
        return None
    announced_at = ip + 6
    for _ in range(MAX_EXTENSIONS):
        unit = _EXTENSION_UNIT.get(protocol)
        if unit is None:
            return _transport(frame, ip, protocol, src, dst, at, end)
        if at + 8 > end:
            return None
        if protocol == _FRAGMENT_HEADER:
            field = int.from_bytes(frame[at + 2 : at + 4], "big")
            if field & 0xFFF9:  # else an atomic fragment: it stands alone (RFC 6946)
                key = b"\x06%b%b%b" % (src, dst, frame[at + 4 : at + 8])
                data, more = frame[at + 8 : end], bool(field & 1)
                return Fragment(key, field & 0xFFF8, more, data, ip, at, announced_at, frame[at], frame)
        announced_at, protocol = at, frame[at]
        at += 8 + frame[at + 1] * unit
    return None


def _transport(frame: bytes, ip: int, protocol: int, src: bytes, dst: bytes, at: int, end: int) -> Datagram | None:
    if protocol == UDP and at + _UDP_LENGTH <= end:
        sport, dport, length = _UDP_HEADER(frame, at)
        stop = at + length
        if length < _UDP_LENGTH or stop > end:
            return None
        at += _UDP_LENGTH
        return Datagram(src, dst, UDP, sport, dport, frame[at:stop], ip, at, stop, frame)
    if protocol == TCP and at + _TCP_LENGTH <= end:
        sport, dport, seq, offset, flags = _TCP_HEADER(frame, at)
        at += (offset >> 4) * 4
        if offset < 0x50 or at > end:
            return None
        return Datagram(src, dst, TCP, sport, dport, frame[at:end], ip, at, end, frame, seq, flags)
    if protocol in TUNNELS:
        return Datagram(src, dst, protocol, 0, 0, frame[at:end], ip, at, end, frame)
    return None


_decode_ethernet_slow = _located(LOCATORS[ETHERNET])
_DECODERS: dict[int, Decoder] = {link: _located(locator) for link, locator in LOCATORS.items()}
_DECODERS[ETHERNET] = _decode_ethernet
