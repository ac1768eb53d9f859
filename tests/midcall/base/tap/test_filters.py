"""The filters in the kernel: frames are put before them by a pair of Unix sockets, which need no network.

What passes is compared with what the decoder of ``imswire.inet`` makes of the frame.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import inet
from midcall.base.tap import filters
from midcall.base.tap.ebpf import HashMap, load_socket_filter

SO_ATTACH_BPF = 50
A4, B4, C4 = (inet.pack(f"192.0.2.{last}") for last in (1, 2, 3))
A6, B6, C6 = (inet.pack(f"2001:db8::{last}") for last in (1, 2, 3))
PORT = 4_000
ARMED = (inet.endpoint_key(B4, PORT), inet.endpoint_key(B6, PORT))


class Sieve:
    """A filter on one end of a pair of sockets."""

    def __init__(self, program: bytes) -> None:
        descriptor = load_socket_filter(program)
        self._in, self._out = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._out.setsockopt(socket.SOL_SOCKET, SO_ATTACH_BPF, descriptor)
        os.close(descriptor)

    def passes(self, frame: bytes) -> bool:
        self._in.send(frame)
        try:
            return self._out.recv(70_000, socket.MSG_DONTWAIT) == frame
        except BlockingIOError:
            return False

    def close(self) -> None:
        self._in.close()
        self._out.close()


class MediaSieve(Sieve):
    def __init__(self) -> None:
        self.places = HashMap.create(filters.PLACE_OCTETS, 8, 16)
        self.addresses = HashMap.create(filters.ADDRESS_OCTETS, 8, 16)
        super().__init__(filters.media_filter(self.places.fileno(), self.addresses.fileno()))
        for place in ARMED:
            key = filters.place_key(place)
            self.places.add(key, filters.NO_PACKETS)
            self.addresses.add(key[:16], filters.NO_PACKETS)

    def count(self) -> int:
        values = [value for table in (self.places, self.addresses) for _, value in table.items()]
        return sum(filters.COUNTER.unpack(value)[0] for value in values)

    def close(self) -> None:
        super().close()
        self.places.close()
        self.addresses.close()


@contextmanager
def made(sieve: Sieve) -> Iterator[Sieve]:
    try:
        yield sieve
    finally:
        sieve.close()


@pytest.fixture(scope="module")
def media(bpf):
    """Armed are B4 and B6 at PORT."""
    with made(MediaSieve()) as sieve:
        yield sieve


@pytest.fixture(scope="module")
def mirror(bpf):
    """Ports 5060 and 5080."""
    with made(Sieve(filters.sip_filter([5060, 5080]))) as sieve:
        yield sieve


def udp(dst, port=PORT, src=None, sport=9, **more):
    return inet.udp_frame(src or (A4 if len(dst) == 4 else A6), sport, dst, port, b"payload", **more)


def retagged(frame, *types):
    """The same with other types of VLAN tags."""
    octets = bytearray(frame)
    for number, kind in enumerate(types):
        octets[12 + 4 * number : 14 + 4 * number] = kind.to_bytes(2, "big")
    return bytes(octets)


def with_options(frame, words=3):
    """An IPv4 header that is longer by no-operation options."""
    head = bytes([0x45 + words]) + frame[15:16] + (len(frame) - 14 + 4 * words).to_bytes(2, "big") + frame[18:34]
    return frame[:14] + head + b"\x01" * (4 * words) + frame[34:]


def extended(frame, *headers):
    """An IPv6 frame with extension headers before UDP: their type and length field."""
    octets, kinds = b"", [kind for kind, _ in headers]
    for (kind, length), following in zip(headers, [*kinds[1:], inet.UDP], strict=True):
        size = 8 if kind == 44 else 8 + length * (4 if kind == 51 else 8)
        octets += bytes([following, 0 if kind == 44 else length]) + bytes(size - 2)
    total = (len(frame) - 54 + len(octets)).to_bytes(2, "big")
    return frame[:18] + total + bytes([kinds[0]]) + frame[21:54] + octets + frame[54:]


@pytest.mark.parametrize("dst", [B4, B6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("tags", [(), (0x8100,), (0x88A8, 0x8100), (0x9100, 0x9200)], ids=len)
def test_armed_media_pass_and_nothing_else(media, dst, tags):
    vlans = range(5, 5 + len(tags))
    other = C4 if len(dst) == 4 else C6
    assert media.passes(retagged(udp(dst, vlans=vlans), *tags))
    assert not media.passes(retagged(udp(dst, PORT + 1, vlans=vlans), *tags))
    assert not media.passes(retagged(udp(other, vlans=vlans), *tags))
    assert not media.passes(retagged(udp(other, 7, src=dst, sport=PORT, vlans=vlans), *tags))
    assert not media.passes(retagged(inet.tcp_frame(other, 9, dst, PORT, b"", seq=1, vlans=vlans), *tags))


def test_three_tags_are_more_than_the_filter_reads(media):
    assert not media.passes(udp(B4, vlans=(5, 6, 7)))


def test_each_packet_is_counted_where_it_was_let_in(media):
    key = filters.place_key(ARMED[0])
    before = filters.COUNTER.unpack(media.places.get(key))[0]
    for port in (PORT, PORT + 1, PORT):
        media.passes(udp(B4, port))
    assert filters.COUNTER.unpack(media.places.get(key))[0] == before + 2


def test_options_of_ipv4(media):
    for words in (1, 10):
        frame = with_options(udp(B4), words)
        assert isinstance(inet.decode(inet.ETHERNET, frame), inet.Datagram)
        assert media.passes(frame)
        assert not media.passes(with_options(udp(B4, PORT + 1), words))


EXTENSIONS = [
    [(0, 0)],
    [(43, 2)],
    [(60, 1), (60, 0)],
    [(135, 0), (139, 0), (140, 0)],
    [(51, 4)],
    [(0, 0), (43, 2), (44, 0), (51, 4), (60, 1)],
    [(60, 0)] * 15,
]


@pytest.mark.parametrize("headers", EXTENSIONS, ids=str)
def test_extension_headers_of_ipv6(media, headers):
    frame = extended(udp(B6), *headers)
    assert isinstance(inet.decode(inet.ETHERNET, frame), inet.Datagram)
    assert media.passes(frame)
    assert not media.passes(extended(udp(B6, PORT + 1), *headers))


def test_extension_headers_are_bounded(media):
    assert not media.passes(extended(udp(B6), *[(60, 0)] * 17))
    assert not media.passes(udp(B6)[:20] + b"\x3c" + udp(B6)[21:54])


@pytest.mark.parametrize(("src", "dst"), [(A4, B4), (A6, B6)], ids=["ipv4", "ipv6"])
def test_the_first_fragment_passes_by_its_port_and_the_others_by_their_address(media, src, dst):
    frames = {
        port: inet.fragment_frame(inet.ETHERNET, inet.udp_frame(src, 9, dst, port, bytes(3_000)), 1_000, 5)
        for port in (PORT, PORT + 1)
    }
    assert [media.passes(frame) for frame in frames[PORT]] == [True] * len(frames[PORT])
    assert [media.passes(frame) for frame in frames[PORT + 1]] == [False] + [True] * (len(frames[PORT]) - 1)
    other = inet.fragment_frame(inet.ETHERNET, inet.udp_frame(dst, 9, src, PORT, bytes(3_000)), 1_000, 5)
    assert not any(media.passes(frame) for frame in other)


def test_an_ipv4_address_in_its_mapped_form_is_the_same_place(media):
    frame = udp(bytes(10) + b"\xff\xff" + B4, src=A6)
    assert media.passes(frame)
    assert inet.peek_udp(inet.ETHERNET)(frame)[0] == ARMED[0]


@pytest.mark.parametrize("dst", [B4, B6], ids=["ipv4", "ipv6"])
def test_a_frame_that_ends_too_early_is_dropped(media, dst):
    frame = udp(dst)
    port_ends = len(frame) - len(b"payload") - 4
    assert [length for length in range(1, len(frame) + 1) if media.passes(frame[:length])] == list(
        range(port_ends, len(frame) + 1)
    )


def _frame(dst, port, protocol, vlans, mtu, number, body):
    src = A4 if len(dst) == 4 else A6
    if protocol == inet.UDP:
        frame = inet.udp_frame(src, 9, dst, port, bytes(body), vlans=vlans)
    else:
        frame = inet.tcp_frame(src, 9, dst, port, bytes(body), seq=1, vlans=vlans)
    pieces = inet.fragment_frame(inet.ETHERNET, frame, mtu, 7)
    return pieces[number % len(pieces)]


frames = st.builds(
    _frame,
    st.sampled_from([B4, C4, B6, C6]),
    st.sampled_from([PORT, PORT + 1, 0xA00F]),
    st.sampled_from([inet.UDP, inet.TCP]),
    st.lists(st.integers(0, 4095), max_size=2),
    st.sampled_from([576, 1_500]),
    st.integers(0, 3),
    st.integers(0, 1_500),
)


@given(frame=frames, changes=st.lists(st.tuples(st.integers(12, 120), st.integers(0, 255)), max_size=3))
def test_the_kernel_and_the_decoder_agree(media, frame, changes):
    """Whatever decodes to a datagram of an armed place passes; what decodes to another datagram does not."""
    octets = bytearray(frame)
    for at, value in changes:
        octets[min(at, len(octets) - 1)] = value
    frame = bytes(octets)
    before = media.count()
    passed = media.passes(frame)
    assert media.count() - before == passed
    decoded = inet.decode(inet.ETHERNET, frame)
    if isinstance(decoded, inet.Datagram):
        at = inet.endpoint_key(decoded.dst, decoded.dport)
        tags = (decoded.ip_offset - 14) // 4
        wanted = decoded.protocol == inet.UDP and at in ARMED
        assert passed == wanted or (wanted and tags > 2) or _only_in_user_space(frame)


def _only_in_user_space(frame):
    """Links that the decoder of captures knows and the filter does not: MPLS, PPPoE, SNAP."""
    types = {int.from_bytes(frame[at : at + 2], "big") for at in (12, 16, 20)}
    return bool(types & {0x8847, 0x8848, 0x8864}) or min(types) <= 1_500


# The mirror


@pytest.mark.parametrize(("src", "dst"), [(A4, B4), (A6, B6)], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("vlans", [(), (5, 6)], ids=len)
def test_ports_of_sip_pass_in_both_directions_over_udp_and_tcp(mirror, src, dst, vlans):
    for sport, dport, wanted in ((9, 5060, True), (5080, 9, True), (5061, 5059, False)):
        assert mirror.passes(inet.udp_frame(src, sport, dst, dport, b"x", vlans=vlans)) == wanted
        assert mirror.passes(inet.tcp_frame(src, sport, dst, dport, b"x", seq=1, vlans=vlans)) == wanted
    sctp = bytearray(inet.udp_frame(src, 5060, dst, 5060, b"x", vlans=vlans))
    sctp[14 + 4 * len(vlans) + (9 if len(dst) == 4 else 6)] = 132
    assert not mirror.passes(bytes(sctp))


@pytest.mark.parametrize(("src", "dst"), [(A4, B4), (A6, B6)], ids=["ipv4", "ipv6"])
def test_a_long_invite_in_fragments_passes_the_mirror(mirror, src, dst):
    frame = inet.udp_frame(src, 5060, dst, 5060, bytes(4_000))
    pieces = inet.fragment_frame(inet.ETHERNET, frame, 1_500, 3)
    assert all(mirror.passes(piece) for piece in pieces)


@pytest.mark.parametrize("ports", [[], [0], [65_536], range(1, 66)], ids=["none", "0", "65536", "65 of them"])
def test_ports_that_a_mirror_cannot_have(ports):
    with pytest.raises(ValueError, match="ports"):
        filters.sip_filter(ports)


def test_a_mirror_of_as_many_ports_as_there_may_be(bpf):
    with made(Sieve(filters.sip_filter(range(65_535, 65_535 - filters.MAX_SIP_PORTS, -1)))) as sieve:
        assert sieve.passes(inet.udp_frame(A4, 1, B4, 65_535 - filters.MAX_SIP_PORTS + 1, b""))
        assert not sieve.passes(inet.udp_frame(A4, 1, B4, 65_535 - filters.MAX_SIP_PORTS, b""))


def test_a_place_has_six_or_eighteen_octets():
    with pytest.raises(ValueError, match="place"):
        filters.place_key(bytes(5))


@pytest.mark.parametrize("program", [filters.media_filter(3, 4), filters.sip_filter([5060])], ids=["media", "sip"])
def test_no_value_at_the_head_of_a_slot_is_one_that_a_kernel_tracks(program: bytes) -> None:
    """Linux 6.1 takes it for a spilled register, and lets only CAP_PERFMON, which the tap has not, write behind it."""
    stores = {0x62, 0x6A, 0x72, 0x7A}
    instructions = [struct.unpack_from("<BBhi", program, at) for at in range(0, len(program), 8)]
    kept = [(offset, value) for code, _, offset, value in instructions if code in stores]
    assert kept and all(offset % 8 or not value for offset, value in kept)
