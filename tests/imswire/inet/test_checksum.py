"""The Internet checksum against RFC 1071 and a plain loop."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imswire.inet import checksum
from tests.imswire.inet.samples import A4, A6, B4, B6


def plain_sum(octets: bytes) -> int:
    """RFC 1071 4.1, word by word."""
    padded = octets + bytes(len(octets) % 2)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_example_of_rfc_1071_3() -> None:
    octets = bytes.fromhex("0001f203f4f5f6f7")
    assert checksum.partial(octets) == 0xDDF2
    assert checksum.internet(octets) == 0x220D


def test_ipv4_header() -> None:
    header = bytes.fromhex("45000073000040004011" + "0000" + "c0a80001c0a800c7")
    assert checksum.internet(header) == 0xB861


def test_udp_sends_zero_as_all_ones() -> None:
    segment = b"\x10\x00\x10\x01\x00\x0a\x00\x00"
    rest = checksum.partial(A4 + B4) + 17 + 10 + checksum.partial(segment)
    body = segment + (-rest % 65_535).to_bytes(2, "big")
    assert checksum.transport(A4, B4, 17, body) == 0xFFFF


def test_tcp_sends_zero_as_zero() -> None:
    segment = bytes(20)
    rest = checksum.partial(A6 + B6) + 6 + 22
    body = segment + (-rest % 65_535).to_bytes(2, "big")
    assert checksum.transport(A6, B6, 6, body) == 0


@given(st.binary(max_size=300))
def test_partial_is_the_ones_complement_sum(octets: bytes) -> None:
    assert checksum.partial(octets) == plain_sum(octets) % 65_535


@given(st.binary(min_size=1, max_size=100).filter(any))
def test_a_packet_with_its_checksum_sums_to_all_ones(octets: bytes) -> None:
    even = octets + bytes(len(octets) % 2)
    assert plain_sum(even + checksum.internet(even).to_bytes(2, "big")) == 0xFFFF


@given(st.lists(st.binary(max_size=20).map(lambda part: part + bytes(len(part) % 2)), max_size=5))
def test_partial_sums_add_up(parts: list[bytes]) -> None:
    assert sum(map(checksum.partial, parts)) % 65_535 == checksum.partial(b"".join(parts))
