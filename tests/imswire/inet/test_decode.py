"""Frames to datagrams and fragments."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import inet
from imswire.inet.decode import MAX_EXTENSIONS
from imswire.inet.link import LOCATORS, MAX_TAGS
from tests.imswire.inet.samples import (
    A4,
    A6,
    B4,
    B6,
    LINUX,
    PAIRS,
    datagram_of,
    fragment_of,
    linux_frames,
    udp4,
    udp6,
    with_ipv4_options,
    with_ipv6_extensions,
)

HOP_BY_HOP, ROUTING, AH, ESP, DESTINATION = 0, 43, 51, 50, 60


def set_octets(frame: bytes, at: int, octets: bytes) -> bytes:
    return frame[:at] + octets + frame[at + len(octets) :]


# Frames made by the Linux kernel


@pytest.mark.parametrize("name", LINUX)
def test_traffic_of_the_linux_kernel(name: str) -> None:
    link_type, frames = linux_frames(name)
    for half, address in ((frames[:17], "192.0.2.1"), (frames[17:], "2001:db8::1")):
        options, empty, *pieces = (inet.decode(link_type, frame) for frame in half[:5])
        assert isinstance(options, inet.Datagram)
        assert isinstance(empty, inet.Datagram)
        assert options.payload == b"OPTIONS sip:b@example.com SIP/2.0\r\n\r\n"
        assert inet.endpoint(options.src, options.sport) == inet.endpoint(inet.pack(address), 5080)
        assert inet.endpoint(options.dst, options.dport) == inet.endpoint(inet.pack(address), 5060)
        assert empty.payload == b""
        assert all(isinstance(piece, inet.Fragment) for piece in pieces)
        segments = [datagram_of(frame, link_type) for frame in half[5:]]
        assert segments[0].flags == inet.SYN
        assert segments[1].flags == inet.SYN | inet.ACK
        assert segments[0].seq + 1 == segments[2].seq
        assert segments[3].payload == b"REGISTER sip:example.com SIP/2.0\r\n"
        assert b"".join(each.payload for each in segments if each.sport == 5060) == bytes(
            octet % 253 for octet in range(5000)
        )
        assert [each.flags for each in segments[-3:]] == [inet.FIN | inet.ACK, inet.ACK, inet.RST | inet.ACK]


# UDP


def test_a_frame_in_octets() -> None:
    """Written out by hand after RFC 791 3.1 and RFC 768."""
    frame = bytes.fromhex(
        "001122334455 66778899aabb 080045 b8 0020 1234 4000 40 11 0000 c0000201 c63364071388 13ba 000c 0000 deadbeef"
    )
    assert datagram_of(frame) == inet.Datagram(A4, B4, 17, 5000, 5050, b"\xde\xad\xbe\xef", 14, 42, 46, frame)


@pytest.mark.parametrize("vlans", [(), (5,), (5, 6), tuple(range(1, MAX_TAGS + 1))])
@pytest.mark.parametrize(("src", "dst"), PAIRS)
def test_vlan_tags(src: bytes, dst: bytes, vlans: tuple[int, ...]) -> None:
    frame = inet.udp_frame(src, 4000, dst, 5000, b"hello", vlans=vlans)
    datagram = datagram_of(frame)
    assert (datagram.src, datagram.dst, datagram.payload) == (src, dst, b"hello")
    assert datagram.ip_offset == 14 + 4 * len(vlans)


def test_too_many_tags() -> None:
    assert inet.decode(1, inet.udp_frame(A4, 1, B4, 2, b"", vlans=range(MAX_TAGS + 1))) is None


@pytest.mark.parametrize("make", [udp4, udp6])
def test_padding_of_the_link_layer_is_no_payload(make: Callable[[bytes], bytes]) -> None:
    frame = make(b"abc")
    assert datagram_of(frame + bytes(15)).payload == b"abc"


def test_ip_padding_behind_the_udp_length_is_no_payload() -> None:
    frame = udp4(b"abcdef")
    assert datagram_of(set_octets(frame, 38, b"\x00\x0b")).payload == b"abc"


def test_ipv4_options() -> None:
    datagram = datagram_of(with_ipv4_options(udp4(), b"\x94\x04\x00\x00"))
    assert (datagram.payload, datagram.payload_offset) == (b"hello", 46)


def test_length_zero_of_segmentation_offload_is_the_rest_of_the_frame() -> None:
    four = inet.tcp_frame(A4, 1, B4, 2, b"data", seq=1)
    assert datagram_of(set_octets(four, 16, b"\0\0")).payload == b"data"
    six = inet.tcp_frame(A6, 1, B6, 2, b"data", seq=1)
    assert datagram_of(set_octets(six, 18, b"\0\0")).payload == b"data"


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(udp4()[:-1], id="cut short by the capture"),
        pytest.param(udp6()[:-1], id="cut short by the capture, IPv6"),
        pytest.param(udp4()[:30], id="half an IPv4 header"),
        pytest.param(udp6()[:50], id="half an IPv6 header"),
        pytest.param(set_octets(udp4(), 38, b"\x00\x07"), id="UDP length below its header"),
        pytest.param(set_octets(udp4(), 38, b"\x00\x0e"), id="UDP length beyond the packet"),
        pytest.param(set_octets(udp6(), 58, b"\x00\x07"), id="UDP length below its header, IPv6"),
        pytest.param(set_octets(udp4(), 14, b"\x44"), id="header length below 20"),
        pytest.param(set_octets(udp4(), 14, b"\x4f"), id="header length beyond the packet"),
        pytest.param(set_octets(udp4(), 16, b"\x00\x13"), id="total length below the header"),
        pytest.param(set_octets(udp4(), 16, b"\x00\x18"), id="no room for a UDP header"),
        pytest.param(set_octets(udp4(), 23, b"\x01"), id="ICMP"),
        pytest.param(set_octets(udp6(), 20, b"\x3a"), id="ICMPv6"),
        pytest.param(set_octets(udp6(), 20, bytes([ESP])), id="ESP"),
        pytest.param(set_octets(udp4(), 14, b"\x65"), id="IPv6 announced as IPv4"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_is_no_datagram(frame: bytes) -> None:
    assert inet.decode(inet.ETHERNET, frame) is None


def test_unknown_link_type() -> None:
    assert inet.decode(127, udp4()) is None


# TCP


@pytest.mark.parametrize(("src", "dst"), PAIRS)
def test_a_segment(src: bytes, dst: bytes) -> None:
    segment = datagram_of(inet.tcp_frame(src, 5060, dst, 40_000, b"data", seq=0xFFFFFFF0, flags=inet.FIN | inet.ACK))
    assert (segment.protocol, segment.sport, segment.dport) == (inet.TCP, 5060, 40_000)
    assert (segment.seq, segment.flags, segment.payload) == (0xFFFFFFF0, inet.FIN | inet.ACK, b"data")


def test_tcp_options_are_no_payload() -> None:
    frame = inet.tcp_frame(A4, 1, B4, 2, b"\x01\x01\x01\x00data", seq=1)
    assert datagram_of(set_octets(frame, 46, b"\x60")).payload == b"data"


@pytest.mark.parametrize("offset", [b"\x40", b"\xf0"])
def test_a_tcp_header_that_cannot_be(offset: bytes) -> None:
    assert inet.decode(1, set_octets(inet.tcp_frame(A4, 1, B4, 2, b"data", seq=1), 46, offset)) is None


def test_half_a_tcp_header() -> None:
    packet = inet.ip_packet(A4, B4, inet.TCP, bytes(19))
    assert inet.decode(inet.RAW, packet) is None


# IPv6 extension headers (RFC 8200 4)


def test_extension_headers_are_skipped() -> None:
    frame = with_ipv6_extensions(
        udp6(), (HOP_BY_HOP, bytes(8)), (ROUTING, b"\0\x01" + bytes(14)), (DESTINATION, bytes(8))
    )
    datagram = datagram_of(frame)
    assert (datagram.payload, datagram.payload_offset) == (b"hello", 54 + 32 + 8)


def test_the_authentication_header_counts_in_fours() -> None:
    """RFC 4302 2.2: length in 32-bit words minus 2; 24 octets are 4."""
    assert datagram_of(with_ipv6_extensions(udp6(), (AH, b"\0\x04" + bytes(22)))).payload == b"hello"


def test_the_authentication_header_of_ipv4() -> None:
    """RFC 4302 3.1.1; what it protects may be fragmented."""
    udp = inet.udp(A4, 7, B4, 9, b"hello")
    packet = inet.ip_packet(A4, B4, AH, b"\x11\x04" + bytes(22) + udp)
    found = inet.decode(inet.RAW, packet)
    assert isinstance(found, inet.Datagram) and (found.payload, found.payload_offset) == (b"hello", 20 + 24 + 8)
    assembler = inet.Reassembler()
    pieces = [inet.decode(inet.RAW, piece) for piece in inet.fragment_packet(packet, 36)]
    done = [assembler.add(piece, 0) for piece in pieces if isinstance(piece, inet.Fragment)]
    assert [whole.payload for whole in done if whole is not None] == [b"hello"] and len(done) > 2
    assert inet.decode(inet.RAW, inet.ip_packet(A4, B4, AH, b"\x11\x04" + bytes(5))) is None
    assert inet.decode(inet.RAW, inet.ip_packet(A4, B4, AH, b"\x11\xff" + bytes(40))) is None


def test_an_atomic_fragment_is_a_whole_packet() -> None:
    """RFC 6946."""
    assert datagram_of(with_ipv6_extensions(udp6(), (44, bytes(8)))).payload == b"hello"
    assert datagram_of(with_ipv6_extensions(udp6(), (44, bytes(8)), (DESTINATION, bytes(8)))).payload == b"hello"


def test_a_chain_without_end() -> None:
    chain = [(DESTINATION, bytes(8))] * (MAX_EXTENSIONS + 1)
    assert inet.decode(1, with_ipv6_extensions(udp6(), *chain)) is None
    assert datagram_of(with_ipv6_extensions(udp6(), *chain[2:])).payload == b"hello"


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(inet.ip_packet(A6, B6, DESTINATION, bytes(7)), id="half a header"),
        pytest.param(inet.ip_packet(A6, B6, DESTINATION, b"\x11\xff" + bytes(30)), id="beyond the packet"),
        pytest.param(inet.ip_packet(A6, B6, 44, bytes(7)), id="half a fragment header"),
    ],
)
def test_a_chain_that_breaks_off(packet: bytes) -> None:
    assert inet.decode(inet.RAW, packet) is None


# Fragments


def test_ipv4_fragments() -> None:
    frames = inet.fragment_frame(1, udp4(bytes(range(100)), identification=0x1234), 68)
    fragments = [fragment_of(frame) for frame in frames]
    assert [each.offset for each in fragments] == [0, 48, 96]
    assert [each.more for each in fragments] == [True, True, False]
    assert {each.key for each in fragments} == {b"\x04" + A4 + B4 + b"\x11\x12\x34"}
    assert len(b"".join(each.data for each in fragments)) == 108


def test_a_last_fragment_shorter_than_a_udp_header() -> None:
    last = inet.fragment_frame(1, udp4(bytes(41)), 68)[-1]
    assert fragment_of(last).data == bytes(1)


def test_ipv6_fragments_behind_another_header() -> None:
    frame = with_ipv6_extensions(udp6(), (HOP_BY_HOP, bytes(8)), (44, b"\0\0\x00\x09\xde\xad\xbe\xef"))
    fragment = fragment_of(frame)
    assert fragment.key == b"\x06" + A6 + B6 + b"\xde\xad\xbe\xef"
    assert (fragment.offset, fragment.more, fragment.protocol) == (8, True, 17)
    assert (fragment.header_end, fragment.next_header_at) == (62, 54)


def test_fragments_of_other_protocols_are_not_wanted() -> None:
    assert inet.decode(1, set_octets(inet.fragment_frame(1, udp4(bytes(99)), 68)[0], 23, b"\x01")) is None


# Robustness


@given(st.sampled_from(sorted(LOCATORS)), st.binary(max_size=120))
def test_any_octets(link_type: int, frame: bytes) -> None:
    inet.decode(link_type, frame)


@given(
    st.sampled_from(
        [
            udp4(),
            udp6(),
            inet.udp_frame(A4, 1, B4, 2, b"x", vlans=[1]),
            inet.tcp_frame(A6, 1, B6, 2, b"x", seq=7),
            with_ipv4_options(udp4(), bytes(4)),
            with_ipv6_extensions(udp6(), (0, bytes(8)), (44, bytes(8))),
        ]
    ),
    st.lists(st.tuples(st.integers(12, 70), st.integers(0, 255)), max_size=4),
    st.integers(0, 90),
)
def test_damaged_frames(frame: bytes, damage: list[tuple[int, int]], length: int) -> None:
    damaged = bytearray(frame)
    for at, octet in damage:
        damaged[at % len(damaged)] = octet
    octets = bytes(damaged[:length])
    decoded = inet.decode(1, octets)
    if isinstance(decoded, inet.Datagram):
        assert octets[decoded.payload_offset : decoded.payload_end] == decoded.payload
        assert decoded.payload_end <= len(octets)
