"""Frames that the tests share: captures made by the Linux kernel, and two hosts to build frames between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imswire import inet, pcap

CAPTURES = Path(__file__).parents[2] / "data" / "captures"
LINUX = ("linux-ethernet.pcap", "linux-sll.pcap", "linux-sll2.pcap")
"""The same traffic over a loopback of MTU 1500, seen through three link layers: for IPv4, then for IPv6, an
OPTIONS, an empty datagram, a fragmented datagram of 4 001 octets, and a TCP connection."""

A4, B4 = inet.pack("192.0.2.1"), inet.pack("198.51.100.7")
A6, B6 = inet.pack("2001:db8::1"), inet.pack("2001:db8:5::7")
PAIRS = ((A4, B4), (A6, B6))
SECOND = 1_000_000_000


def linux_frames(name: str) -> tuple[int, list[bytes]]:
    """Link type and frames of one of the captures."""
    with (CAPTURES / name).open("rb") as file:
        reader = pcap.Reader(file.read)
        return reader.link_type, [frame for batch in reader.batches() for _, frame, _ in batch]


def datagram_of(frame: bytes, link_type: int = inet.ETHERNET) -> inet.Datagram:
    """What the frame decodes to, which must be a whole datagram."""
    decoded = inet.decode(link_type, frame)
    assert isinstance(decoded, inet.Datagram)
    return decoded


def fragment_of(frame: bytes, link_type: int = inet.ETHERNET) -> inet.Fragment:
    """What the frame decodes to, which must be a fragment."""
    decoded = inet.decode(link_type, frame)
    assert isinstance(decoded, inet.Fragment)
    return decoded


def udp4(payload: bytes = b"hello", **options: Any) -> bytes:
    """A plain frame from A to B over IPv4."""
    return inet.udp_frame(A4, 4000, B4, 5000, payload, **options)


def udp6(payload: bytes = b"hello", **options: Any) -> bytes:
    """A plain frame from A to B over IPv6."""
    return inet.udp_frame(A6, 4000, B6, 5000, payload, **options)


def with_ipv4_options(frame: bytes, options: bytes) -> bytes:
    """The frame with options in its IPv4 header (a multiple of four octets)."""
    total = int.from_bytes(frame[16:18], "big") + len(options)
    first = 0x45 + len(options) // 4
    return frame[:14] + bytes([first]) + frame[15:16] + total.to_bytes(2, "big") + frame[18:34] + options + frame[34:]


def with_ipv6_extensions(frame: bytes, *headers: tuple[int, bytes]) -> bytes:
    """The frame with extension headers of these numbers; the first octet of each body is its next header."""
    numbers = [number for number, _ in headers] + [frame[20]]
    chain = b"".join(bytes([after]) + body[1:] for (_, body), after in zip(headers, numbers[1:], strict=True))
    length = int.from_bytes(frame[18:20], "big") + len(chain)
    return frame[:18] + length.to_bytes(2, "big") + bytes([numbers[0]]) + frame[21:54] + chain + frame[54:]
