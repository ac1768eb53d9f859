"""Packets inside packets, as captures of core networks have them: IP in IP, GRE, GTP-U and VXLAN."""

from __future__ import annotations

from msgspec import Struct

from imswire.inet.link import ETHERNET, RAW, header, locate
from imswire.inet.values import GRE, IPV4_IN_IP, IPV6_IN_IP, UDP, Datagram

GTP_U_PORT = 2152
VXLAN_PORTS = frozenset((4789, 8472))
"""The port of RFC 7348 8, and the one that Linux had before it."""
TUNNEL_PORTS = VXLAN_PORTS | {GTP_U_PORT}
MAX_DEPTH = 4
"""Tunnels in tunnels: a GTP-U packet in VXLAN in GRE is more than any network has."""

_MAX_EXTENSIONS = 16
_GTP_HEADER, _VXLAN_HEADER, _GRE_HEADER = 8, 8, 4
_GTP_DATA = 0xFF
_GRE_PROTOCOLS = {0x0800: RAW, 0x86DD: RAW, 0x6558: ETHERNET}


class Inner(Struct, frozen=True, gc=False):
    """What a tunnel carries: a frame and its link type (raw IP or Ethernet)."""

    link_type: int
    frame: bytes


def inner(datagram: Datagram) -> Inner | None:
    """The content of a tunnel; None when the datagram is none, or is malformed."""
    if datagram.protocol == UDP:
        if datagram.dport == GTP_U_PORT:
            return _gtp_u(datagram.payload)
        return _vxlan(datagram.payload) if datagram.dport in VXLAN_PORTS else None
    if datagram.protocol in (IPV4_IN_IP, IPV6_IN_IP):
        return _ip(datagram.payload)
    return _gre(datagram.payload) if datagram.protocol == GRE else None


def bare(link_type: int, found: Inner) -> bytes | None:
    """The inner IP packet as a frame of ``link_type`` with a header made for it; None: it holds no IP packet."""
    at = locate(found.link_type, found.frame)
    if at is None:
        return None
    return header(link_type, at.version) + found.frame[at.offset :]


def _ip(packet: bytes) -> Inner | None:
    return Inner(RAW, packet) if packet and packet[0] >> 4 in (4, 6) else None


def _gtp_u(payload: bytes) -> Inner | None:
    """TS 29.281 5.1: version 1, message G-PDU; optional fields and extension headers are passed over."""
    if len(payload) < _GTP_HEADER or payload[0] & 0xF0 != 0x30 or payload[1] != _GTP_DATA:
        return None
    end = _GTP_HEADER + int.from_bytes(payload[2:4], "big")
    if end > len(payload):
        return None
    at = _GTP_HEADER
    if payload[0] & 0x07:
        at += 4
        following = payload[at - 1] if payload[0] & 0x04 and at <= end else 0
        for _ in range(_MAX_EXTENSIONS):
            if not following:
                break
            if at >= end or not payload[at]:
                return None
            at += 4 * payload[at]
            if at > end:
                return None
            following = payload[at - 1]
        else:
            return None
    return _ip(payload[at:end])


def _vxlan(payload: bytes) -> Inner | None:
    """RFC 7348 5: flag I set, a network identifier, an Ethernet frame."""
    if len(payload) <= _VXLAN_HEADER or not payload[0] & 0x08:
        return None
    return Inner(ETHERNET, payload[_VXLAN_HEADER:])


def _gre(payload: bytes) -> Inner | None:
    """RFC 2784, RFC 2890: version 0 without routing; checksum, key and sequence number are passed over."""
    if len(payload) < _GRE_HEADER or payload[0] & 0x40 or payload[1] & 0x07:
        return None
    link_type = _GRE_PROTOCOLS.get(int.from_bytes(payload[2:4], "big"))
    if link_type is None:
        return None
    at = _GRE_HEADER + 4 * sum(bool(payload[0] & flag) for flag in (0x80, 0x20, 0x10))
    return _ip(payload[at:]) if link_type == RAW else Inner(ETHERNET, payload[at:])
