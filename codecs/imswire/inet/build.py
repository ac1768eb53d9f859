"""Packets from values: frames for simulators and made captures, and what is to be sent as a new packet."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct, error

from imswire.inet import checksum
from imswire.inet.address import IPV4_LENGTH, IPV6_LENGTH
from imswire.inet.errors import InetError
from imswire.inet.link import ETHERTYPE_IPV4, ETHERTYPE_IPV6
from imswire.inet.values import ACK, PSH, TCP, UDP

_UDP = Struct("!HHHH").pack
_TCP = Struct("!HHIIBBHHH").pack
_IPV4 = Struct("!BBHHHBBH4s4s").pack
_IPV6 = Struct("!IHBB16s16s").pack

HOPS = 64
"""The default time to live (IANA, IP parameters)."""
WINDOW = 65_535
DEFAULT_SOURCE_MAC = bytes.fromhex("020000000001")
DEFAULT_DESTINATION_MAC = bytes.fromhex("020000000002")
_TAG = b"\x81\x00"
_MAX_VLAN = 4095


def udp(src: bytes, sport: int, dst: bytes, dport: int, payload: bytes) -> bytes:
    """A UDP datagram with its checksum. InetError: a port or the length does not fit."""
    try:
        head = _UDP(sport, dport, 8 + len(payload), 0)
    except error as why:
        raise InetError(f"UDP header: {why}") from None
    total = checksum.transport(src, dst, UDP, head + payload)
    return head[:6] + total.to_bytes(2, "big") + payload


def tcp(
    src: bytes,
    sport: int,
    dst: bytes,
    dport: int,
    payload: bytes,
    *,
    seq: int,
    ack: int = 0,
    flags: int = ACK | PSH,
    window: int = WINDOW,
) -> bytes:
    """A TCP segment without options, with its checksum. InetError: a field does not fit."""
    try:
        head = _TCP(sport, dport, seq, ack, 0x50, flags, window, 0, 0)
    except error as why:
        raise InetError(f"TCP header: {why}") from None
    total = checksum.transport(src, dst, TCP, head + payload)
    return head[:16] + total.to_bytes(2, "big") + head[18:] + payload


def ip_packet(
    src: bytes,
    dst: bytes,
    protocol: int,
    body: bytes,
    *,
    hops: int = HOPS,
    traffic_class: int = 0,
    identification: int = 0,
) -> bytes:
    """An IPv4 or IPv6 packet, by the length of its addresses.

    ``identification`` is that of IPv4; IPv6 has it in fragments only. InetError: the addresses differ in
    length, or a field does not fit.
    """
    if len(src) != len(dst) or len(src) not in (IPV4_LENGTH, IPV6_LENGTH):
        raise InetError(f"addresses: {len(src)} and {len(dst)} octets, twice 4 or twice 16 expected")
    try:
        if len(src) == IPV6_LENGTH:
            return _IPV6(6 << 28 | traffic_class << 20, len(body), protocol, hops, src, dst) + body
        head = _IPV4(0x45, traffic_class, 20 + len(body), identification, 0, hops, protocol, 0, src, dst)
    except error as why:
        raise InetError(f"IP header: {why}") from None
    return with_header_checksum(head) + body


def with_header_checksum(header: bytes) -> bytes:
    """An IPv4 header with its checksum put in."""
    bare = header[:10] + bytes(2) + header[12:]
    return header[:10] + checksum.internet(bare).to_bytes(2, "big") + header[12:]


def ethernet_frame(
    packet: bytes,
    vlans: Iterable[int] = (),
    src_mac: bytes = DEFAULT_SOURCE_MAC,
    dst_mac: bytes = DEFAULT_DESTINATION_MAC,
) -> bytes:
    """An IP packet behind an Ethernet header; ``vlans`` are VLAN identifiers, outermost first.

    InetError: the packet is no IP, or an identifier is out of range.
    """
    ethertype = {4: ETHERTYPE_IPV4, 6: ETHERTYPE_IPV6}.get(packet[0] >> 4 if packet else 0)
    if ethertype is None or len(src_mac) != 6 or len(dst_mac) != 6:
        raise InetError("Ethernet frame: not an IP packet between two MAC addresses")
    return dst_mac + src_mac + b"".join(map(_tag, vlans)) + ethertype.to_bytes(2, "big") + packet


def _tag(vlan: int) -> bytes:
    if not 0 <= vlan <= _MAX_VLAN:
        raise InetError(f"VLAN identifier: {vlan}, 0 to {_MAX_VLAN} expected")
    return _TAG + vlan.to_bytes(2, "big")


def udp_frame(
    src: bytes,
    sport: int,
    dst: bytes,
    dport: int,
    payload: bytes,
    *,
    vlans: Iterable[int] = (),
    identification: int = 0,
    hops: int = HOPS,
    traffic_class: int = 0,
) -> bytes:
    """An Ethernet frame with one UDP datagram, checksums right."""
    datagram = udp(src, sport, dst, dport, payload)
    packet = ip_packet(
        src,
        dst,
        UDP,
        datagram,
        hops=hops,
        traffic_class=traffic_class,
        identification=identification,
    )
    return ethernet_frame(packet, vlans)


def tcp_frame(
    src: bytes,
    sport: int,
    dst: bytes,
    dport: int,
    payload: bytes,
    *,
    seq: int,
    ack: int = 0,
    flags: int = ACK | PSH,
    vlans: Iterable[int] = (),
    identification: int = 0,
) -> bytes:
    """An Ethernet frame with one TCP segment, checksums right."""
    segment = tcp(src, sport, dst, dport, payload, seq=seq, ack=ack, flags=flags)
    return ethernet_frame(ip_packet(src, dst, TCP, segment, identification=identification), vlans)
