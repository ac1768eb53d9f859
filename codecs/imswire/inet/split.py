"""Cutting an IP packet into fragments (RFC 791 3.2, RFC 8200 4.5)."""

from __future__ import annotations

from imswire.inet.build import with_header_checksum
from imswire.inet.errors import InetError
from imswire.inet.link import locate

_IPV6_LENGTH = 40
_FRAGMENT_HEADER = 44
_FRAGMENT_HEADER_LENGTH = 8
_MORE = 0x2000


def fragment_packet(packet: bytes, mtu: int, identification: int = 0) -> list[bytes]:
    """``packet`` in pieces of at most ``mtu`` octets; itself alone when it fits.

    IPv4 fragments keep the packet's own identification and repeat its whole header; IPv6 fragments, for a
    packet without extension headers, carry ``identification`` (32 bits). InetError: no room for any data.
    """
    if len(packet) <= mtu:
        return [packet]
    version = packet[0] >> 4
    header = (packet[0] & 0x0F) * 4 if version == 4 else _IPV6_LENGTH
    room = (mtu - header - (_FRAGMENT_HEADER_LENGTH if version == 6 else 0)) // 8 * 8
    if room <= 0:
        raise InetError(f"MTU: {mtu} octets leave no room for data")
    body = packet[header:]
    pieces = [(offset, body[offset : offset + room]) for offset in range(0, len(body), room)]
    make = _ipv4_fragment if version == 4 else _ipv6_fragment
    return [make(packet[:header], piece, offset, offset + room < len(body), identification) for offset, piece in pieces]


def fragment_frame(link_type: int, frame: bytes, mtu: int, identification: int = 0) -> list[bytes]:
    """The frames that carry the fragments of the packet in ``frame``. InetError: it carries none."""
    at = locate(link_type, frame)
    if at is None:
        raise InetError("frame: no IP packet in it")
    link = frame[: at.offset]
    return [link + piece for piece in fragment_packet(frame[at.offset :], mtu, identification)]


def _ipv4_fragment(header: bytes, piece: bytes, offset: int, more: bool, _: int) -> bytes:
    field = (offset // 8) | (_MORE if more else 0)
    total = len(header) + len(piece)
    head = header[:2] + total.to_bytes(2, "big") + header[4:6] + field.to_bytes(2, "big") + header[8:]
    return with_header_checksum(head) + piece


def _ipv6_fragment(header: bytes, piece: bytes, offset: int, more: bool, identification: int) -> bytes:
    length = _FRAGMENT_HEADER_LENGTH + len(piece)
    head = header[:4] + length.to_bytes(2, "big") + bytes([_FRAGMENT_HEADER]) + header[7:]
    field = offset | more
    return head + bytes([header[6], 0]) + field.to_bytes(2, "big") + identification.to_bytes(4, "big") + piece
