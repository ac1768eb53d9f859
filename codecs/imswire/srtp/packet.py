"""RTP and RTCP headers (RFC 3550 5.1, 6.4; RFC 5761 4)."""

from __future__ import annotations

from typing import NamedTuple

from imswire.srtp.errors import SrtpError

VERSION_BITS = 0x80
FIXED_OCTETS = 12


class RtpHeader(NamedTuple):
    """The fields that matter outside a mixer; ``length`` includes CSRCs and the extension."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    length: int


def header_length(packet: bytes) -> int:
    """Octets before the payload; 0 when the packet is no RTP or ends inside its header."""
    octets = len(packet)
    if octets < FIXED_OCTETS or packet[0] & 0xC0 != VERSION_BITS:
        return 0
    length = FIXED_OCTETS + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        if octets < length + 4:
            return 0
        length += 4 + 4 * int.from_bytes(packet[length + 2 : length + 4], "big")
    return length if octets >= length else 0


def rtp_header(packet: bytes) -> RtpHeader:
    """Read the header; SrtpError when it is not that of an RTP packet."""
    length = header_length(packet)
    if not length:
        raise SrtpError("no RTP packet, or one that ends inside its header")
    return RtpHeader(
        packet[1] & 0x7F,
        bool(packet[1] & 0x80),
        int.from_bytes(packet[2:4], "big"),
        int.from_bytes(packet[4:8], "big"),
        int.from_bytes(packet[8:12], "big"),
        length,
    )


def rtp_payload(packet: bytes, header: RtpHeader) -> bytes:
    """The payload of a packet in clear, without padding; empty when the padding count does not fit."""
    end = len(packet)
    if packet[0] & 0x20:
        padding = packet[-1]
        if not 0 < padding <= end - header.length:
            return b""
        end -= padding
    return packet[header.length : end]


def is_rtcp(packet: bytes) -> bool:
    """RTCP by its packet type, 192 to 223, which no RTP packet has where both share a port (RFC 5761 4)."""
    return len(packet) >= 8 and packet[0] & 0xC0 == VERSION_BITS and 192 <= packet[1] <= 223


def is_plain_rtcp(packet: bytes) -> bool:
    """RTCP in clear: packets of it from one end to the other (RFC 3550 6.1). SRTCP has its index and tag behind them,
    and packets from the second on are encrypted (RFC 3711 3.4).
    """
    at, end = 0, len(packet)
    while at + 4 <= end and packet[at] & 0xC0 == VERSION_BITS and 192 <= packet[at + 1] <= 223:
        at += 4 + 4 * int.from_bytes(packet[at + 2 : at + 4], "big")
    return at == end >= 8
