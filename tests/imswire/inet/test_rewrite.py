"""Another payload behind the headers of a captured frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import inet
from tests.imswire.inet.samples import (
    A4,
    A6,
    B4,
    B6,
    LINUX,
    PAIRS,
    datagram_of,
    linux_frames,
    udp4,
    udp6,
    with_ipv4_options,
    with_ipv6_extensions,
)

Make = Callable[..., bytes]


@pytest.mark.parametrize("vlans", [(), (5,), (5, 6)])
@pytest.mark.parametrize("payload", [b"", b"odd", b"even", bytes(1200)])
@pytest.mark.parametrize(("src", "dst"), PAIRS)
def test_the_result_is_the_frame_as_its_sender_would_have_made_it(
    src: bytes, dst: bytes, payload: bytes, vlans: tuple[int, ...]
) -> None:
    options: dict[str, Any] = {
        "vlans": vlans,
        "hops": 7,
        "traffic_class": 0xB8,
        "identification": 0x4321 * (len(src) == 4),
    }
    frame = inet.udp_frame(src, 4000, dst, 5000, b"secret" * 20, **options)
    expected = inet.udp_frame(src, 4000, dst, 5000, payload, **options)
    assert inet.replace_udp_payload(inet.ETHERNET, frame, payload) == expected


def test_a_flow_keeps_what_varies_from_packet_to_packet() -> None:
    rewriter = inet.UdpRewriter(inet.ETHERNET)
    for number in range(5):
        frame = udp4(bytes(180), identification=number)
        assert rewriter.rewrite(frame, bytes(170 + number)) == udp4(bytes(170 + number), identification=number)


def test_headers_that_change_are_learnt_anew() -> None:
    rewriter = inet.UdpRewriter(inet.ETHERNET)
    variants: list[dict[str, Any]] = [{"hops": 64}, {"hops": 63}, {"traffic_class": 4}, {"vlans": [9]}, {}]
    for make in (udp4, udp6, udp4):
        for options in variants:
            assert rewriter.rewrite(make(b"before", **options), b"after") == make(b"after", **options)
    other = inet.udp_frame(A4, 4000, B4, 5001, b"before")
    assert rewriter.rewrite(other, b"after") == inet.udp_frame(A4, 4000, B4, 5001, b"after")


def test_a_udp_checksum_of_zero_stays_zero_with_ipv4() -> None:
    frame = udp4(b"before")
    without = frame[:40] + bytes(2) + frame[42:]
    rewriter = inet.UdpRewriter(inet.ETHERNET)
    expected = udp4(b"after")
    assert rewriter.rewrite(without, b"after") == expected[:40] + bytes(2) + expected[42:]
    assert rewriter.rewrite(frame, b"after") == expected


def test_a_udp_checksum_of_zero_is_mended_with_ipv6() -> None:
    """RFC 8200 8.1: zero is no checksum there."""
    frame = udp6(b"before")
    assert inet.replace_udp_payload(1, frame[:60] + bytes(2) + frame[62:], b"after") == udp6(b"after")


def test_wrong_checksums_are_mended() -> None:
    """Of a host that leaves them to its network card."""
    frame = bytearray(udp4(b"before"))
    frame[24:26], frame[40:42] = b"\0\0", b"\x12\x34"
    assert inet.replace_udp_payload(inet.ETHERNET, bytes(frame), b"after") == udp4(b"after")


@pytest.mark.parametrize("words", [b"\0\0", b"\xff\xff"])
def test_a_udp_checksum_that_comes_out_as_zero_is_sent_as_all_ones(words: bytes) -> None:
    rest = int.from_bytes(udp4(bytes(4))[40:42], "big")
    payload = rest.to_bytes(2, "big") + words
    assert inet.replace_udp_payload(inet.ETHERNET, udp4(), payload)[40:42] == b"\xff\xff"


def test_padding_goes() -> None:
    assert inet.replace_udp_payload(inet.ETHERNET, udp4(b"ab") + bytes(16), b"a") == udp4(b"a")


def test_options_and_extension_headers_stay() -> None:
    rewritten = inet.replace_udp_payload(1, with_ipv4_options(udp4(b"before"), b"\x94\x04\0\0"), b"after")
    plain = datagram_of(rewritten)
    assert (plain.payload, rewritten[34:38]) == (b"after", b"\x94\x04\0\0")
    assert inet.checksum.partial(rewritten[14:38]) == 0
    extended = [with_ipv6_extensions(udp6(text), (0, bytes(8)), (60, bytes(16))) for text in (b"a", b"bcd")]
    extended = [frame.replace(bytes(16), b"\0\1" + bytes(14)) for frame in extended]
    assert inet.replace_udp_payload(inet.RAW, udp6(b"before")[14:], b"after") == udp6(b"after")[14:]


@pytest.mark.parametrize("name", LINUX)
def test_frames_of_the_linux_kernel_keep_everything_but_lengths_and_sums(name: str) -> None:
    link_type, frames = linux_frames(name)
    for frame in (frames[0], frames[17]):
        before = datagram_of(frame, link_type)
        after = datagram_of(inet.replace_udp_payload(link_type, frame, b"clear"), link_type)
        assert after.payload == b"clear"
        assert after.frame[: before.ip_offset] == frame[: before.ip_offset]
        assert (after.src, after.dst, after.sport, after.dport) == (
            before.src,
            before.dst,
            before.sport,
            before.dport,
        )


def test_a_reassembled_datagram() -> None:
    whole = udp4(bytes(3000), identification=9)
    reassembler = inet.Reassembler()
    fragments = [inet.decode(1, frame) for frame in inet.fragment_frame(1, whole, 1500)]
    done = [reassembler.add(each, 0) for each in fragments if isinstance(each, inet.Fragment)][-1]
    assert done is not None
    assert inet.replace_udp_payload(1, done.frame, bytes(2990)) == udp4(bytes(2990), identification=9)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        udp4()[:-1],
        inet.tcp_frame(A4, 1, B4, 2, b"data", seq=1),
        inet.fragment_frame(1, udp4(bytes(99)), 68)[0],
        inet.tcp_frame(A6, 1, B6, 2, b"data", seq=1),
    ],
)
def test_what_is_no_udp_datagram(frame: bytes) -> None:
    rewriter = inet.UdpRewriter(inet.ETHERNET)
    with pytest.raises(inet.InetError, match="no UDP datagram"):
        rewriter.rewrite(frame, b"")
    assert rewriter.rewrite(udp4(b"still works"), b"after") == udp4(b"after")


@pytest.mark.parametrize(("frame", "longest"), [(udp4(), 65_507), (udp6(), 65_527)])
def test_the_longest_payload(frame: bytes, longest: int) -> None:
    rewriter = inet.UdpRewriter(inet.ETHERNET)
    assert datagram_of(rewriter.rewrite(frame, bytes(longest))).payload == bytes(longest)
    with pytest.raises(inet.InetError, match="do not fit"):
        rewriter.rewrite(frame, bytes(longest + 1))


@given(st.sampled_from([udp4, udp6]), st.binary(max_size=300), st.binary(max_size=300), st.integers(0, 255))
def test_rewriting_equals_building(make: Make, before: bytes, after: bytes, hops: int) -> None:
    frame, expected = make(before, hops=hops), make(after, hops=hops)
    assert inet.replace_udp_payload(inet.ETHERNET, frame, after) == expected
