"""What a frame decodes to: a whole datagram, or a fragment of one."""

from __future__ import annotations

from msgspec import Struct

IPV4_IN_IP = 4
TCP = 6
UDP = 17
IPV6_IN_IP = 41
GRE = 47
TUNNELS = frozenset((IPV4_IN_IP, IPV6_IN_IP, GRE))
"""Protocols whose packets hold whole packets (RFC 2003, RFC 2473, RFC 2784); they have no ports."""

FIN = 0x01
SYN = 0x02
RST = 0x04
PSH = 0x08
ACK = 0x10


class Datagram(Struct, frozen=True, gc=False):
    """A UDP datagram, a TCP segment or the content of a tunnel, with the frame that it stands in.

    ``src`` and ``dst`` are 4 or 16 octets. The offsets count from the start of ``frame``; what follows
    ``payload_end`` is padding of the link layer. ``seq`` and ``flags`` are those of TCP, else 0; tunnels
    have no ports.
    """

    src: bytes
    dst: bytes
    protocol: int
    sport: int
    dport: int
    payload: bytes
    ip_offset: int
    payload_offset: int
    payload_end: int
    frame: bytes
    seq: int = 0
    flags: int = 0


class Fragment(Struct, frozen=True, gc=False):
    """A fragment of an IP packet (RFC 791 3.2, RFC 8200 4.5) for the :class:`imswire.inet.Reassembler`.

    ``key`` is what the fragments of one packet have in common. ``offset`` counts octets in the fragmented
    part. The header that goes before the whole packet ends at ``header_end``; ``next_header_at`` is, with
    IPv6, the offset of the octet in it that announced the fragment header, else 0.
    """

    key: bytes
    offset: int
    more: bool
    data: bytes
    ip_offset: int
    header_end: int
    next_header_at: int
    protocol: int
    frame: bytes
