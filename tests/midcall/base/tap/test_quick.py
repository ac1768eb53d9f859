"""What the quick reader of a block tells is what the decoder finds in each of its frames."""

from __future__ import annotations

import struct

import pytest

from imswire import inet
from midcall.base.tap import quick

SECOND = 1_000_000_000
V4 = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
V6 = bytes(15) + b"\1", bytes(15) + b"\2"
MAPPED = bytes(10) + b"\xff\xff" + V4[0], bytes(10) + b"\xff\xff" + V4[1]
PAYLOAD = bytes(range(172))


def frame(ends: tuple[bytes, bytes] = V4, payload: bytes = PAYLOAD) -> bytes:
    return inet.udp_frame(ends[0], 4_000, ends[1], 5_000, payload)


def changed(octets: bytes, at: int, *new: int) -> bytes:
    return octets[:at] + bytes(new) + octets[at + len(new) :]


FRAMES = {
    "ipv4": frame(),
    "empty": frame(payload=b""),
    "padded": frame(payload=b"short") + bytes(13),
    "may not be fragmented": changed(frame(), 20, 0x40),
    "ipv6": frame(V6),
    "ipv6, traffic class": changed(frame(V6), 14, 0x6B),
    "ipv4-mapped": frame(MAPPED),
    "a tag in the frame": frame()[:12] + b"\x81\0\0\7" + frame()[12:],
    "options": changed(frame(payload=bytes(8) + PAYLOAD), 14, 0x46),
    "first fragment": changed(frame(), 20, 0x20),
    "last fragment": changed(frame(), 20, 0, 3),
    "ipv6 extension": changed(frame(V6, b"\x11\0" + bytes(6) + PAYLOAD), 20, 0),
    "tcp": changed(frame(), 23, inet.TCP),
    "ipv6 tcp": changed(frame(V6), 20, inet.TCP),
    "udp longer than ip": changed(frame(), 38, 0x0F),
    "udp shorter than itself": changed(frame(), 38, 0, 7),
    "ipv6 udp longer than ip": changed(frame(V6), 58, 0x0F),
    "ipv6 udp shorter than itself": changed(frame(V6), 58, 0, 7),
    "cut": frame()[:100],
    "cut in a header": frame()[:30],
    "ipv6 cut": frame(V6)[:100],
    "ipv6 cut in a header": frame(V6)[:50],
    "length left to the card": changed(frame(), 16, 0, 0),
    "arp": bytes(12) + b"\x08\x06" + bytes(46),
}


def block(frames: list[bytes], link: int = 82, behind: int = 4_096) -> bytes:
    """As the kernel fills it: struct tpacket3_hdr, and the frame ``link`` octets behind its start."""
    octets = b""
    for number, each in enumerate(frames):
        step = (link + len(each) + 7) & ~7
        head = struct.pack("=6IHH", step, 1, number, len(each), len(each), 1, link, link + 14)
        octets += (head + bytes(link - len(head)) + each).ljust(step, b"\0")
    return octets + bytes(behind)


def long_way(octets: bytes, time: int) -> tuple[int, bytes, bytes, bytes] | None:
    found = inet.decode(inet.ETHERNET, octets)
    if not isinstance(found, inet.Datagram) or found.protocol != inet.UDP:
        return None
    source = found.src + found.sport.to_bytes(2, "big")
    return time, inet.endpoint_key(found.dst, found.dport), source, found.payload


@pytest.mark.parametrize("link", [82, 98])
def test_it_tells_what_the_decoder_finds_or_leaves_it_to_the_long_way(link):
    usual, others = [], []
    octets = block(list(FRAMES.values()), link)
    quick.read(octets, 0, len(FRAMES), usual.append, others.append)
    assert len(usual) + len(others) == len(FRAMES)
    times = {SECOND + number: each for number, each in enumerate(FRAMES.values())}
    assert usual == [long_way(times[packet[0]], packet[0]) for packet in usual]
    assert [(time, each) for time, each, _ in others] == [(time, times[time]) for time, _, _ in others]
    names = {SECOND + number: name for number, name in enumerate(FRAMES)}
    assert [names[packet[0]] for packet in usual] == list(FRAMES)[:6]


def test_what_ends_with_the_ring_is_read_too():
    octets = block([FRAMES["ipv4"], FRAMES["empty"]], behind=0)
    for cut in (0, 6):
        usual, others = [], []
        quick.read(octets[: len(octets) - cut], 0, 2, usual.append, others.append)
        assert [packet[3] for packet in usual] + [each[1][42:] for each in others] == [PAYLOAD, b""]


def test_a_packet_that_stands_elsewhere_in_its_slot_takes_the_long_way():
    usual, others = [], []
    quick.read(block([frame()], behind=0) + block([frame()], 98), 0, 2, usual.append, others.append)
    assert len(usual) == len(others) == 1
    assert others[0][1] == frame()
