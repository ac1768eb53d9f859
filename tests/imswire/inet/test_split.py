"""Packets into fragments."""

from __future__ import annotations

import pytest

from imswire import inet
from imswire.inet import checksum
from tests.imswire.inet.samples import A4, B4, fragment_of, udp4, udp6, with_ipv4_options


def test_a_packet_that_fits_stays_whole() -> None:
    packet = udp4()[14:]
    assert inet.fragment_packet(packet, len(packet)) == [packet]


def test_ipv4_headers_of_fragments() -> None:
    packet = inet.ip_packet(A4, B4, 17, bytes(range(50)), identification=0x1234)
    first, second, third = inet.fragment_packet(packet, 44)
    assert [len(each) for each in (first, second, third)] == [44, 44, 22]
    assert [each[4:8].hex() for each in (first, second, third)] == ["12342000", "12342003", "12340006"]
    assert all(checksum.partial(each[:20]) == 0 for each in (first, second, third))
    assert first[20:] + second[20:] + third[20:] == bytes(range(50))


def test_ipv4_options_are_repeated() -> None:
    frame = with_ipv4_options(udp4(bytes(100)), b"\x94\x04\x00\x00")
    assert all(piece[34:38] == b"\x94\x04\x00\x00" for piece in inet.fragment_frame(1, frame, 80))


def test_ipv6_fragments_carry_the_identification() -> None:
    frames = inet.fragment_frame(inet.ETHERNET, udp6(bytes(100)), 100, identification=0xDEADBEEF)
    assert all(frame[20] == 44 and frame[54:56] == b"\x11\x00" for frame in frames)
    assert [frame[56:62].hex() for frame in frames] == ["0001deadbeef", "0031deadbeef", "0060deadbeef"]
    assert [len(frame) - 14 for frame in frames] == [96, 96, 60]
    assert fragment_of(frames[-1]).more is False


@pytest.mark.parametrize(("frame", "mtu"), [(udp4(), 27), (udp6(), 52)])
def test_no_room(frame: bytes, mtu: int) -> None:
    with pytest.raises(inet.InetError, match="MTU"):
        inet.fragment_frame(inet.ETHERNET, frame, mtu)


def test_no_packet_in_the_frame() -> None:
    with pytest.raises(inet.InetError, match="no IP"):
        inet.fragment_frame(inet.ETHERNET, bytes(60), 1500)
