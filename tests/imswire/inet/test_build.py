"""Packets from values; the checksums are judged by tests/peers/test_tshark_inet.py too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import inet
from imswire.inet import build, checksum
from tests.imswire.inet.samples import A4, A6, B4, B6, LINUX, PAIRS, datagram_of, linux_frames


def sums_up(datagram: inet.Datagram, header: int) -> bool:
    """The transport checksum is right: pseudo-header and segment sum to all ones."""
    segment = datagram.frame[datagram.payload_offset - header : datagram.payload_end]
    pseudo = datagram.src + datagram.dst + bytes([0, datagram.protocol]) + len(segment).to_bytes(2, "big")
    return (checksum.partial(pseudo) + checksum.partial(segment)) % 65_535 == 0


def test_the_header_checksum_is_that_of_the_linux_kernel() -> None:
    _, frames = linux_frames(LINUX[0])
    header = frames[0][14:34]
    assert build.with_header_checksum(header[:10] + b"??" + header[12:]) == header


@pytest.mark.parametrize(("src", "dst"), PAIRS)
@pytest.mark.parametrize("payload", [b"", b"a", b"ab", bytes(1472), b"\xff" * 333])
def test_checksums_are_right(src: bytes, dst: bytes, payload: bytes) -> None:
    datagram = datagram_of(inet.udp_frame(src, 4000, dst, 5000, payload))
    assert sums_up(datagram, 8)
    segment = datagram_of(inet.tcp_frame(src, 4000, dst, 5000, payload, seq=5, ack=6))
    assert sums_up(segment, 20)
    if len(src) == 4:
        assert checksum.partial(datagram.frame[14:34]) == 0


def test_fields_of_the_ip_header() -> None:
    four = inet.udp_frame(A4, 1, B4, 2, b"", hops=3, traffic_class=0xB8, identification=0x1234)
    assert four[14:24].hex() == "45b8" + "001c" + "1234" + "0000" + "0311"
    six = inet.udp_frame(A6, 1, B6, 2, b"", hops=3, traffic_class=0xB8)
    assert six[14:22].hex() == "6b800000" + "0008" + "11" + "03"


def test_fields_of_the_tcp_header() -> None:
    head = inet.tcp(A4, 1, B4, 2, b"", seq=3, ack=4, flags=inet.SYN, window=5)
    assert head[:16].hex() == "00010002000000030000000450020005"


def test_mac_addresses_and_tags() -> None:
    packet = inet.ip_packet(A4, B4, 17, b"")
    frame = inet.ethernet_frame(packet, (1, 4095), src_mac=b"\x02sssss", dst_mac=b"\x02ddddd")
    assert frame == b"\x02ddddd\x02sssss" + bytes.fromhex("81000001 81000fff 0800") + packet


@pytest.mark.parametrize(
    "make",
    [
        lambda: inet.udp(A4, 65_536, B4, 2, b""),
        lambda: inet.udp(A4, 1, B4, -1, b""),
        lambda: inet.udp(A4, 1, B4, 2, bytes(65_528)),
        lambda: inet.tcp(A4, 1, B4, 2, b"", seq=1 << 32),
        lambda: inet.tcp(A4, 1, B4, 2, b"", seq=1, flags=256),
        lambda: inet.ip_packet(A4, B6, 17, b""),
        lambda: inet.ip_packet(b"", b"", 17, b""),
        lambda: inet.ip_packet(A4, B4, 17, bytes(65_516)),
        lambda: inet.ip_packet(A4, B4, 17, b"", hops=256),
        lambda: inet.ip_packet(A6, B6, 17, bytes(65_536)),
        lambda: inet.ethernet_frame(b""),
        lambda: inet.ethernet_frame(b"\x55" + bytes(30)),
        lambda: inet.ethernet_frame(inet.ip_packet(A4, B4, 17, b""), src_mac=b"short"),
        lambda: inet.udp_frame(A4, 1, B4, 2, b"", vlans=[4096]),
    ],
)
def test_values_that_do_not_fit(make: Callable[[], bytes]) -> None:
    with pytest.raises(inet.InetError):
        make()


@given(
    st.sampled_from(PAIRS),
    st.integers(0, 65_535),
    st.integers(0, 65_535),
    st.binary(max_size=200),
    st.lists(st.integers(0, 4095), max_size=3),
)
def test_what_is_built_decodes_to_the_same(
    pair: tuple[bytes, bytes], sport: int, dport: int, payload: bytes, vlans: list[int]
) -> None:
    datagram = datagram_of(inet.udp_frame(pair[0], sport, pair[1], dport, payload, vlans=vlans))
    assert (datagram.src, datagram.dst, datagram.sport, datagram.dport) == (*pair, sport, dport)
    assert datagram.payload == payload
    assert sums_up(datagram, 8)
