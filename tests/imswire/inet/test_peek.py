"""The cheap look must say what decoding says, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import inet
from imswire.inet.link import LOCATORS
from tests.imswire.inet.samples import (
    A4,
    A6,
    B4,
    B6,
    LINUX,
    PAIRS,
    linux_frames,
    udp4,
    udp6,
    with_ipv4_options,
    with_ipv6_extensions,
)


@pytest.mark.parametrize("vlans", [(), (5,), (5, 6)])
@pytest.mark.parametrize(("src", "dst"), PAIRS)
def test_destination_and_payload(src: bytes, dst: bytes, vlans: tuple[int, ...]) -> None:
    frame = inet.udp_frame(src, 4000, dst, 5000, b"hello", vlans=vlans)
    found = inet.peek_udp(inet.ETHERNET)(frame)
    assert found is not None
    key, at = found
    assert key == inet.endpoint_key(dst, 5000)
    assert frame[at:] == b"hello"


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(with_ipv4_options(udp4(), bytes(4)), id="IPv4 options"),
        pytest.param(with_ipv6_extensions(udp6(), (0, bytes(8))), id="extension header"),
        pytest.param(inet.tcp_frame(A4, 1, B4, 2, b"", seq=1), id="TCP"),
        pytest.param(inet.tcp_frame(A6, 1, B6, 2, b"", seq=1), id="TCP over IPv6"),
        pytest.param(inet.tcp_frame(A4, 1, B4, 2, b"", seq=1, vlans=[1]), id="TCP, tagged"),
        pytest.param(inet.tcp_frame(A4, 1, B4, 2, b"", seq=1, vlans=[1, 2]), id="TCP, twice tagged"),
        pytest.param(inet.fragment_frame(1, udp4(bytes(200)), 100)[0], id="first fragment"),
        pytest.param(inet.fragment_frame(1, udp4(bytes(200)), 100)[-1], id="last fragment"),
        pytest.param(udp4()[:40], id="too short"),
        pytest.param(inet.udp_frame(A4, 1, B4, 2, b"", vlans=[1])[:45], id="too short, tagged"),
        pytest.param(udp6()[:55], id="too short, IPv6"),
        pytest.param(bytes(12) + b"\x08\x06" + bytes(46), id="ARP"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_everything_else_is_for_decode(frame: bytes) -> None:
    assert inet.peek_udp(inet.ETHERNET)(frame) is None


def test_unknown_link_type() -> None:
    assert inet.peek_udp(127)(udp4()) is None


def test_other_link_types() -> None:
    peek = inet.peek_udp(inet.RAW)
    assert peek(udp4()[14:]) == (inet.endpoint_key(B4, 5000), 28)
    assert peek(udp6()[14:]) == (inet.endpoint_key(B6, 5000), 48)
    assert peek(udp4()[14:30]) is None


@pytest.mark.parametrize("name", LINUX)
def test_traffic_of_the_linux_kernel(name: str) -> None:
    link_type, frames = linux_frames(name)
    peek = inet.peek_udp(link_type)
    assert [at for at, frame in enumerate(frames) if peek(frame)] == [0, 1, 17, 18]


@given(
    st.sampled_from(sorted(LOCATORS)),
    st.sampled_from([udp4(), udp6(), udp4()[14:], udp6()[14:], inet.udp_frame(A4, 1, B4, 2, b"", vlans=[1])]),
    st.lists(st.tuples(st.integers(0, 70), st.integers(0, 255)), max_size=4),
    st.integers(0, 90),
)
def test_peek_and_decode_agree(link_type: int, frame: bytes, damage: list[tuple[int, int]], length: int) -> None:
    damaged = bytearray(frame)
    for at, octet in damage:
        damaged[at % len(damaged)] = octet
    octets = bytes(damaged[:length])
    found, decoded = inet.peek_udp(link_type)(octets), inet.decode(link_type, octets)
    if found is not None and isinstance(decoded, inet.Datagram):
        assert found == (inet.endpoint_key(decoded.dst, decoded.dport), decoded.payload_offset)


WANTED = inet.endpoint_key(B4, 5000)


@pytest.mark.parametrize(
    ("frame", "passed"),
    [
        (inet.udp_frame(A4, 1, B4, 5001, b"hello"), True),
        (inet.udp_frame(A4, 5000, B4, 5001, b"hello"), True),
        (inet.udp_frame(A4, 1, B4, 5000, b"hello"), False),
        (inet.udp_frame(A4, 1, B4, 5001, b"INVITE"), False),
        (inet.udp_frame(A4, 1, B4, 5001, b""), False),
        (inet.udp_frame(A4, 1, B4, 5001, b"hello", vlans=[1]), False),
        (inet.udp_frame(A6, 1, B6, 5001, b"hello"), False),
        (inet.tcp_frame(A4, 1, B4, 5001, b"hello", seq=1), False),
        (with_ipv4_options(inet.udp_frame(A4, 1, B4, 5001, b"hello"), bytes(4)), False),
        (inet.fragment_frame(1, udp4(bytes(200)), 100)[0], False),
        (inet.fragment_frame(1, udp4(bytes(200)), 100)[-1], False),
    ],
)
def test_plain_udp_that_nobody_wants(frame: bytes, passed: bool) -> None:
    passes = inet.plain_udp(inet.ETHERNET, {WANTED}.__contains__, frozenset(b"I"))
    for around in (0, 1, 100):
        octets = bytes(around) + frame + bytes(around)
        assert passes(octets, around, around + len(frame)) is passed
    assert not inet.plain_udp(inet.RAW, {WANTED}.__contains__, frozenset())(frame, 0, len(frame))


@given(st.binary(max_size=80), st.sampled_from([b"", inet.udp_frame(A4, 1, B4, 5001, b"hello")]))
def test_what_is_passed_over_is_what_the_cheap_look_knows(octets: bytes, start: bytes) -> None:
    frame = start[: len(start) - len(octets) // 2] + octets
    if inet.plain_udp(inet.ETHERNET, {WANTED}.__contains__, frozenset(b"I"))(frame, 0, len(frame)):
        found = inet.peek_udp(inet.ETHERNET)(frame)
        assert found is not None and found[0] != WANTED and frame[found[1]] not in b"I"


def test_an_ipv4_mapped_destination() -> None:
    mapped = inet.pack("::ffff:192.0.2.1")
    found = inet.peek_udp(inet.ETHERNET)(inet.udp_frame(mapped, 1, mapped, 5000, b"hello"))
    assert found == (inet.endpoint_key(inet.pack("192.0.2.1"), 5000), 62)
