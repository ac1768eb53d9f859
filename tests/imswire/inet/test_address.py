"""Addresses in octets and in text."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire.inet import InetError
from imswire.inet.address import endpoint, endpoint_key, pack, text


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        ("c0000201", "192.0.2.1"),
        ("00000000", "0.0.0.0"),
        # RFC 5952 4: longest run of zeros, lower case, no leading zeros
        ("20010db8000000000000000000000001", "2001:db8::1"),
        ("20010db8000000010001000100010001", "2001:db8:0:1:1:1:1:1"),
        ("2001000000000001000000000000000a", "2001:0:0:1::a"),
        # RFC 5952 5
        ("00000000000000000000ffffc0000201", "::ffff:192.0.2.1"),
        ("00" * 16, "::"),
    ],
)
def test_text_form(octets: str, expected: str) -> None:
    assert text(bytes.fromhex(octets)) == expected
    assert pack(expected) == bytes.fromhex(octets)


def test_endpoint_brackets_ipv6_only() -> None:
    assert endpoint(pack("192.0.2.1"), 5060) == "192.0.2.1:5060"
    assert endpoint(pack("2001:db8::1"), 5060) == "[2001:db8::1]:5060"


@pytest.mark.parametrize(
    "bad", ["", "192.0.2", "192.0.2.256", "192.0.2.01", "fe80::1%eth0", "[::1]", "2001:db8::1::2", "example.com"]
)
def test_what_is_no_address(bad: str) -> None:
    with pytest.raises(InetError, match="address"):
        pack(bad)


@pytest.mark.parametrize("octets", [b"", b"abc", bytes(5), bytes(17)])
def test_octets_that_are_no_address(octets: bytes) -> None:
    with pytest.raises(InetError):
        text(octets)
    with pytest.raises(InetError):
        endpoint_key(octets, 1)


def test_endpoint_key_is_address_and_port_in_network_order() -> None:
    assert endpoint_key(pack("192.0.2.1"), 5060) == bytes.fromhex("c000020113c4")
    assert len(endpoint_key(pack("::1"), 65_535)) == 18


@pytest.mark.parametrize("port", [-1, 65_536])
def test_no_key_for_no_port(port: int) -> None:
    with pytest.raises(InetError, match="port"):
        endpoint_key(bytes(4), port)


@given(st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)))
def test_round_trip(address: bytes) -> None:
    assert pack(text(address)) == address


@given(st.text(max_size=50))
def test_any_text_is_an_address_or_an_error(garbage: str) -> None:
    with contextlib.suppress(InetError):
        assert len(pack(garbage)) in (4, 16)


def test_an_ipv4_mapped_endpoint_is_that_of_ipv4() -> None:
    """RFC 5118 4.9: the form of the message is not that of the wire."""
    mapped, plain = pack("::ffff:192.0.2.1"), pack("192.0.2.1")
    assert endpoint_key(mapped, 5060) == endpoint_key(plain, 5060)
    assert endpoint(mapped, 5060) == "192.0.2.1:5060"
    assert endpoint(pack("::fffe:192.0.2.1"), 1) == "[::fffe:c000:201]:1"
