"""Tunnels: what is inside, however their headers are filled; what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import inet
from imswire.inet.tunnels import bare, inner

A, B = inet.pack("192.0.2.1"), inet.pack("198.51.100.7")
A6, B6 = inet.pack("2001:db8::1"), inet.pack("2001:db8::2")
INSIDE = inet.ip_packet(A, B, inet.UDP, inet.udp(A, 5060, B, 5060, b"inside"))
INSIDE6 = inet.ip_packet(A6, B6, inet.UDP, inet.udp(A6, 5060, B6, 5060, b"inside"))
ETHERNET = bytes(12) + b"\x08\x00" + INSIDE
TAGGED = bytes(12) + b"\x81\x00\x00\x05\x08\x00" + INSIDE


def in_udp(port: int, payload: bytes) -> inet.Datagram:
    found = inet.decode(inet.ETHERNET, inet.udp_frame(A, 9, B, port, payload))
    assert isinstance(found, inet.Datagram)
    return found


def in_ip(protocol: int, payload: bytes) -> inet.Datagram:
    found = inet.decode(inet.RAW, inet.ip_packet(A, B, protocol, payload))
    assert isinstance(found, inet.Datagram)
    return found


def gtp(packet: bytes, flags: int = 0x30, optional: bytes = b"", kind: int = 0xFF, trailer: bytes = b"") -> bytes:
    length = (len(optional) + len(packet)).to_bytes(2, "big")
    return bytes((flags, kind)) + length + b"TEID" + optional + packet + trailer


def gre(packet: bytes, flags: int = 0, protocol: int = 0x0800, optional: bytes = b"", version: int = 0) -> bytes:
    return bytes((flags, version)) + protocol.to_bytes(2, "big") + optional + packet


VXLAN = b"\x08\0\0\0\0\0\7\0"


@pytest.mark.parametrize(
    "tunnel",
    [
        in_ip(4, INSIDE),
        in_ip(41, INSIDE6),
        in_ip(47, gre(INSIDE)),
        in_ip(47, gre(INSIDE6, protocol=0x86DD)),
        in_ip(47, gre(INSIDE, 0xB0, optional=bytes(12))),
        in_ip(47, gre(INSIDE, 0x20, optional=bytes(4))),
        in_ip(47, gre(TAGGED, protocol=0x6558)),
        in_udp(2152, gtp(INSIDE)),
        in_udp(2152, gtp(INSIDE6, trailer=b"padding")),
        in_udp(2152, gtp(INSIDE, 0x32, bytes(4))),
        in_udp(2152, gtp(INSIDE, 0x31, b"\0\0\0\x85")),  # without flag E the last octet means nothing
        in_udp(2152, gtp(INSIDE, 0x34, b"\0\0\0\x85" + b"\1\0\0\0")),
        in_udp(2152, gtp(INSIDE, 0x37, b"\0\1\0\x85" + b"\2" + bytes(6) + b"\x40" + b"\1\0\0\0")),
        in_udp(4789, VXLAN + ETHERNET),
        in_udp(8472, VXLAN + TAGGED),
    ],
)
def test_what_is_inside(tunnel):
    found = inner(tunnel)
    assert found is not None
    for link_type in (inet.ETHERNET, inet.RAW, inet.LINUX_SLL, inet.LINUX_SLL2, inet.NULL, inet.LOOP, 999):
        frame = bare(link_type, found)
        datagram = inet.decode(inet.ETHERNET if link_type == 999 else link_type, frame)
        assert datagram.payload == b"inside" and datagram.dport == 5060


@pytest.mark.parametrize(
    "tunnel",
    [
        in_udp(2153, gtp(INSIDE)),
        in_udp(2152, gtp(INSIDE)[:7]),
        in_udp(2152, gtp(INSIDE, 0x50)),
        in_udp(2152, gtp(INSIDE, 0x20)),
        in_udp(2152, gtp(INSIDE, kind=1)),
        in_udp(2152, gtp(INSIDE)[:-1]),
        in_udp(2152, gtp(b"")),
        in_udp(2152, gtp(b"\x80 no IP")),
        in_udp(2152, gtp(b"", 0x34, b"\0\0\0\x85")),
        in_udp(2152, gtp(INSIDE, 0x34, b"\0\0\0\x85" + bytes(4))),
        in_udp(2152, gtp(b"", 0x34, b"\0\0\0\x85" + b"\xff\0\0\0")),
        in_udp(2152, gtp(INSIDE, 0x34, b"\0\0\0\x85" + b"\1\0\0\x85" * 17)),
        in_udp(4789, VXLAN),
        in_udp(4789, b"\0" + VXLAN[1:] + ETHERNET),
        in_ip(47, gre(INSIDE, 0x40)),
        in_ip(47, gre(INSIDE, version=1)),
        in_ip(47, gre(INSIDE, protocol=0x88BE)),
        in_ip(47, b"\0\0"),
        in_ip(4, b""),
        in_ip(4, b"\x50"),
        inet.decode(inet.ETHERNET, inet.tcp_frame(A, 2152, B, 2152, b"x", seq=1)),
    ],
)
def test_what_is_no_tunnel(tunnel):
    assert inner(tunnel) is None


def test_a_frame_without_ip_inside():
    assert bare(inet.ETHERNET, inet.Inner(inet.ETHERNET, bytes(12) + b"\x08\x06" + bytes(28))) is None


@given(st.sampled_from([2152, 4789, 8472]), st.binary(max_size=60))
def test_anything_else_is_none_or_a_frame(port, payload):
    found = inner(in_udp(port, payload))
    assert found is None or payload.endswith(found.frame) or found.frame in payload


@given(st.sampled_from([4, 41, 47]), st.binary(max_size=60))
def test_anything_in_ip(protocol, payload):
    found = inner(in_ip(protocol, payload))
    assert found is None or payload.endswith(found.frame)
