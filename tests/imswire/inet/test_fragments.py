"""Whole packets from fragments, honest and hostile."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from imswire import inet
from imswire.inet import Fragment, Reassembler, checksum
from imswire.inet.fragments import MAX_AGE_NS, MAX_PIECES
from tests.imswire.inet.samples import (
    LINUX,
    PAIRS,
    SECOND,
    datagram_of,
    fragment_of,
    linux_frames,
    udp4,
    udp6,
    with_ipv4_options,
    with_ipv6_extensions,
)

Make = Callable[..., bytes]


def pieces(frame: bytes, mtu: int = 200, identification: int = 0) -> list[Fragment]:
    return [fragment_of(each) for each in inet.fragment_frame(1, frame, mtu, identification)]


def fed(reassembler: Reassembler, fragments: list[Fragment], now_ns: int = 0) -> list[inet.Datagram]:
    results = [reassembler.add(each, now_ns) for each in fragments]
    return [each for each in results if each is not None]


@pytest.mark.parametrize("name", LINUX)
def test_datagrams_that_the_linux_kernel_fragmented(name: str) -> None:
    link_type, frames = linux_frames(name)
    reassembler = Reassembler()
    whole = fed(reassembler, [fragment_of(frame, link_type) for frame in frames[2:5] + frames[19:22]])
    assert [len(each.src) for each in whole] == [4, 16]
    for datagram in whole:
        assert datagram.payload == bytes(octet % 251 for octet in range(4001))
        assert (datagram.sport, datagram.dport) == (5080, 5060)
    assert (len(reassembler), reassembler.octets, reassembler.given_up) == (0, 0, 0)


@pytest.mark.parametrize("vlans", [(), (5,)])
@pytest.mark.parametrize(("src", "dst"), PAIRS)
def test_the_new_frame_is_the_one_before_fragmentation(src: bytes, dst: bytes, vlans: tuple[int, ...]) -> None:
    frame = inet.udp_frame(src, 4000, dst, 5000, bytes(range(250)) * 10, vlans=vlans, identification=5)
    (whole,) = fed(Reassembler(), pieces(frame))
    assert whole == datagram_of(frame)


def test_a_tcp_segment() -> None:
    frame = inet.tcp_frame(*(PAIRS[0][0], 1, PAIRS[0][1], 2), bytes(500), seq=7)
    (whole,) = fed(Reassembler(), pieces(frame))
    assert (whole.protocol, whole.seq, len(whole.payload)) == (inet.TCP, 7, 500)


def test_options_are_those_of_the_first_fragment() -> None:
    frame = with_ipv4_options(udp4(bytes(400)), b"\x94\x04\0\0")
    (whole,) = fed(Reassembler(), pieces(frame)[::-1])
    assert whole.frame == inet.replace_udp_payload(1, frame, bytes(400))
    assert checksum.partial(whole.frame[14:38]) == 0


def test_extension_headers_before_the_fragment_header_stay() -> None:
    datagram = udp6(bytes(16))[54:]
    bare = udp6(b"")
    first = with_ipv6_extensions(bare[:54], (0, bytes(8)), (44, b"\0\0\0\x01\0\0\0\x07"))
    last = with_ipv6_extensions(bare[:54], (0, bytes(8)), (44, b"\0\0\0\x10\0\0\0\x07"))

    def filled(frame: bytes, data: bytes) -> bytes:
        return frame[:18] + (len(frame) - 54 + len(data)).to_bytes(2, "big") + frame[20:] + data

    fragments = [filled(first, datagram[:16]), filled(last, datagram[16:])]
    (whole,) = fed(Reassembler(), [fragment_of(each) for each in fragments])
    assert whole.frame == with_ipv6_extensions(udp6(bytes(16)), (0, bytes(8)))


@pytest.mark.parametrize("make", [udp4, udp6])
def test_interleaved_packets(make: Make) -> None:
    one, two = make(b"1" * 500), make(b"2" * 500)
    if make is udp4:
        first, second = pieces(udp4(b"1" * 500, identification=1)), pieces(udp4(b"2" * 500, identification=2))
    else:
        first, second = pieces(one, identification=1), pieces(two, identification=2)
    mixed = [each for pair in zip(first, second, strict=True) for each in pair]
    assert [each.payload for each in fed(Reassembler(), mixed)] == [b"1" * 500, b"2" * 500]


def test_repetitions_are_ignored() -> None:
    fragments = pieces(udp4(bytes(500)))
    (whole,) = fed(Reassembler(), [fragments[0], fragments[0], fragments[2], *fragments[1:2]])
    assert whole.payload == bytes(500)


# What no honest sender makes


@pytest.mark.parametrize("make", [udp4, udp6])
@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda each: replace(each, data=b"X" * len(each.data)), id="other octets at the same place"),
        pytest.param(lambda each: replace(each, offset=each.offset + 8), id="overlaps the next"),
        pytest.param(lambda each: replace(each, offset=each.offset - 8), id="overlaps the one before"),
        pytest.param(lambda each: replace(each, data=each.data[:-1]), id="not a multiple of eight"),
        pytest.param(lambda each: replace(each, data=b""), id="empty"),
        pytest.param(lambda each: replace(each, offset=65_528, more=True), id="beyond the longest packet"),
        pytest.param(lambda each: replace(each, more=False, offset=8), id="an end before what is there"),
    ],
)
def test_a_forged_fragment_condemns_the_packet(make: Make, forge: Callable[[Fragment], Fragment]) -> None:
    fragments = pieces(make(bytes(800)))
    reassembler = Reassembler()
    hostile = [*fragments[:2], fragments[3], forge(fragments[1]), *fragments[2:]]
    assert fed(reassembler, hostile) == []
    assert reassembler.given_up == 1
    assert reassembler.octets == 0
    assert fed(reassembler, fragments) == []  # nothing new begins under its key
    assert [each.payload for each in fed(reassembler, fragments, MAX_AGE_NS + 1)] == [bytes(800)]


def test_two_ends() -> None:
    fragments = pieces(udp4(bytes(800)))
    end = fragments[-1]
    assert fed(Reassembler(), [end, replace(end, offset=end.offset + 8), *fragments]) == []


def test_a_hole_that_an_overlap_makes_up_for_in_octets() -> None:
    one, two, *_, last = pieces(udp4(bytes(800)))
    cover = replace(two, offset=two.offset - 8)
    total = replace(last, offset=one.offset + 2 * len(two.data), data=bytes(8))
    assert fed(Reassembler(), [one, cover, total]) == []


def test_more_pieces_than_any_packet_needs() -> None:
    template = pieces(udp4(bytes(800)))[0]
    reassembler = Reassembler()
    for number in range(MAX_PIECES + 1):
        reassembler.add(replace(template, offset=8 * number, data=bytes(8)), 0)
    assert (reassembler.given_up, reassembler.octets) == (1, 0)


@pytest.mark.parametrize("make", [udp4, udp6])
def test_a_packet_longer_than_its_length_field_can_say(make: Make) -> None:
    template = pieces(make(bytes(800)))[0]
    header = 60 if make is udp4 else 40
    fragment = replace(template, header_end=template.ip_offset + header, frame=template.frame[:14] + bytes(99))
    body = 65_528
    data = bytes(body)
    reassembler = Reassembler()
    first = replace(fragment, offset=0, data=data, more=True, header_end=template.ip_offset + header + 8)
    last = replace(fragment, offset=body, data=bytes(7), more=False)
    assert fed(reassembler, [first, last]) == []
    assert (reassembler.given_up, len(reassembler)) == (1, 0)


def test_a_whole_that_is_no_datagram() -> None:
    first, *rest = pieces(udp4(bytes(800)))
    reassembler = Reassembler()
    assert fed(reassembler, [replace(first, data=bytes(len(first.data))), *rest]) == []
    assert reassembler.given_up == 1


# Bounds


def test_old_packets_are_given_up() -> None:
    fragments = pieces(udp4(bytes(500)))
    reassembler = Reassembler(max_age_ns=30 * SECOND)
    assert fed(reassembler, fragments[:-1]) == []
    assert fed(reassembler, fragments[-1:], 30 * SECOND + 1) == []
    assert reassembler.given_up == 1
    assert len(reassembler) == 1


def test_the_oldest_packet_gives_way_to_the_newest() -> None:
    reassembler = Reassembler(max_packets=2)
    packets = [pieces(udp4(bytes(500), identification=number)) for number in range(3)]
    assert fed(reassembler, [each[0] for each in packets]) == []
    assert (len(reassembler), reassembler.given_up) == (2, 1)
    assert len(fed(reassembler, [piece for each in packets[1:] for piece in each[1:]])) == 2


def test_octets_are_bounded() -> None:
    reassembler = Reassembler(max_octets=1000)
    for number in range(50):
        fed(reassembler, pieces(udp4(bytes(500), identification=number))[:-1])
        assert reassembler.octets <= 1000
    assert reassembler.given_up >= 47


def test_what_a_frame_holds_besides_its_fragment_is_not_kept() -> None:
    fragment = pieces(udp4(bytes(500)))[0]
    reassembler = Reassembler()
    reassembler.add(replace(fragment, frame=fragment.frame + bytes(100_000)), 0)
    assert reassembler.octets == fragment.header_end + len(fragment.data)


def test_condemned_packets_are_counted_once() -> None:
    fragments = pieces(udp4(bytes(500)))
    reassembler = Reassembler()
    fed(reassembler, [fragments[0], replace(fragments[0], data=b"X" * 8)])
    fed(reassembler, fragments[:1], MAX_AGE_NS + 1)
    assert reassembler.given_up == 1


@given(st.sampled_from([udp4, udp6]), st.binary(min_size=100, max_size=900), st.data())
def test_any_order_and_repetition(make: Make, payload: bytes, data: st.DataObject) -> None:
    frame = make(payload)
    fragments = pieces(frame, data.draw(st.integers(64, 99)))
    doubled = fragments + data.draw(st.lists(st.sampled_from(fragments), max_size=3))
    reassembler = Reassembler()
    whole = fed(reassembler, data.draw(st.permutations(doubled)))
    assert whole[0] == datagram_of(frame)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 40), st.booleans(), st.integers(0, 2)), max_size=30))
def test_any_fragments(parts: list[tuple[int, int, bool, int]]) -> None:
    template = pieces(udp4(bytes(800)))[0]
    reassembler = Reassembler(max_packets=2, max_octets=100)
    for offset, length, more, key in parts:
        fragment = replace(template, offset=8 * offset, data=bytes(length), more=more, key=bytes([key]))
        reassembler.add(fragment, 0)
        assert len(reassembler) <= 2
        assert reassembler.octets <= 100
