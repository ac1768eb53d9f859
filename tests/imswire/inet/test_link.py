"""Where the IP header begins, for each link layer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import inet
from imswire.inet import link
from imswire.inet.link import LOCATORS, MAX_TAGS, IpAt, locate
from tests.imswire.inet.samples import LINUX, linux_frames, udp4, udp6

IP4 = udp4()[14:]
IP6 = udp6()[14:]
MACS = bytes(12)
TYPE4, TYPE6 = b"\x08\x00", b"\x86\xdd"


@pytest.mark.parametrize(
    ("link_type", "frame", "expected"),
    [
        (1, MACS + TYPE4 + IP4, IpAt(4, 14)),
        (1, MACS + TYPE6 + IP6, IpAt(6, 14)),
        (1, MACS + b"\x81\x00\x00\x05" + TYPE4 + IP4, IpAt(4, 18)),
        (1, MACS + b"\x88\xa8\x00\x05\x81\x00\x00\x06" + TYPE6 + IP6, IpAt(6, 22)),
        (1, MACS + b"\x91\x00\x00\x05\x92\x00\x00\x06\x81\x00\x00\x07" + TYPE4 + IP4, IpAt(4, 26)),
        (1, MACS + b"\x00\x64\xaa\xaa\x03\0\0\0" + TYPE4 + IP4, IpAt(4, 22)),  # RFC 1042
        (1, MACS + b"\x81\x00\x00\x05\x00\x64\xaa\xaa\x03\0\0\0" + TYPE6 + IP6, IpAt(6, 26)),
        (113, bytes(14) + b"\0\4\xaa\xaa\x03\0\0\0" + TYPE4 + IP4, IpAt(4, 24)),
        (101, IP4, IpAt(4, 0)),
        (101, IP6, IpAt(6, 0)),
        (12, IP4, IpAt(4, 0)),
        (14, IP6, IpAt(6, 0)),
        (228, IP4, IpAt(4, 0)),
        (229, IP6, IpAt(6, 0)),
        (0, b"\x02\0\0\0" + IP4, IpAt(4, 4)),
        (0, b"\0\0\0\x02" + IP4, IpAt(4, 4)),
        (0, b"\x18\0\0\0" + IP6, IpAt(6, 4)),
        (0, b"\0\0\0\x1c" + IP6, IpAt(6, 4)),
        (0, b"\x1e\0\0\0" + IP6, IpAt(6, 4)),
        (108, b"\0\0\0\x02" + IP4, IpAt(4, 4)),
        (113, bytes(14) + TYPE4 + IP4, IpAt(4, 16)),
        (113, bytes(14) + b"\x81\x00\x00\x05" + TYPE6 + IP6, IpAt(6, 20)),
        (276, TYPE6 + bytes(18) + IP6, IpAt(6, 20)),
        (276, b"\x81\x00" + bytes(18) + b"\x00\x05" + TYPE4 + IP4, IpAt(4, 24)),
    ],
)
def test_the_ip_header_is_found(link_type: int, frame: bytes, expected: IpAt) -> None:
    assert locate(link_type, frame) == expected


@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        (1, b""),
        (1, MACS + TYPE4),
        (1, MACS + b"\x08\x06" + bytes(28)),  # ARP
        (1, MACS + TYPE4 + IP6),  # announced as the other version
        (1, MACS + TYPE6 + IP4),
        (1, MACS + b"\x00\x26\x42\x42\x03" + bytes(40)),  # IEEE 802.3 with a length
        (1, MACS + b"\x00\x26\xaa\xaa\x03\0\0"),
        (1, MACS + (b"\x00\x26\xaa\xaa\x03\0\0\0") * (MAX_TAGS + 1) + TYPE4 + IP4),
        (1, MACS + b"\x81\x00\x00\x05" * 3),
        (1, MACS + b"\x81\x00\x00\x05" * (MAX_TAGS + 1) + TYPE4 + IP4),
        (101, b""),
        (101, b"\x55" + bytes(30)),
        (228, IP6),
        (229, IP4),
        (0, b"\x07\0\0\0" + IP4),
        (0, b"\x02\0"),
        (108, b"\x02\0\0\0" + IP4),
        (113, bytes(10)),
        (276, bytes(10)),
        (127, bytes(60)),  # a link type that is not known
    ],
)
def test_no_ip_header(link_type: int, frame: bytes) -> None:
    assert locate(link_type, frame) is None


def test_as_many_tags_as_are_allowed() -> None:
    frame = MACS + b"\x81\x00\x00\x05" * MAX_TAGS + TYPE4 + IP4
    assert locate(1, frame) == IpAt(4, 14 + 4 * MAX_TAGS)


@pytest.mark.parametrize(("name", "offset"), [*zip(LINUX, (14, 16, 20), strict=True)])
def test_frames_of_the_linux_kernel(name: str, offset: int) -> None:
    link_type, frames = linux_frames(name)
    found = [locate(link_type, frame) for frame in frames]
    assert {at.offset for at in found if at} == {offset}
    assert [at.version for at in found if at] == [4] * 17 + [6] * 17


@given(st.sampled_from(sorted(LOCATORS)), st.binary(max_size=80))
def test_any_octets(link_type: int, frame: bytes) -> None:
    at = locate(link_type, frame)
    assert at is None or frame[at.offset] >> 4 == at.version


PACKET = bytes((0x45,)) + bytes(39)
PACKET6 = bytes((0x60,)) + bytes(59)


@pytest.mark.parametrize(
    ("behind", "packet", "version"),
    [
        (b"\x88\x47" + b"\0\0\x10\x40" + b"\0\0\x21\x40", PACKET, 4),
        (b"\x88\x48" + b"\0\0\x21\x40", PACKET6, 6),
        (b"\x88\x47" + b"\0\0\x10\x40" * 8, PACKET, None),
        (b"\x88\x47" + b"\0\0\x11\x40", b"\x10", None),
        (b"\x88\x47\0\0", b"", None),
        (b"\x88\x64" + b"\x11\0\0\1\0\x2a\0\x21", PACKET, 4),
        (b"\x81\0\0\5\x88\x64" + b"\x11\0\0\1\0\x2a\0\x57", PACKET6, 6),
        (b"\x88\x64" + b"\x11\0\0\1\0\x2a\xc0\x21", PACKET, None),
    ],
)
def test_labels_and_pppoe(behind, packet, version):
    frame = bytes(12) + behind + packet
    found = inet.locate(inet.ETHERNET, frame)
    if version is None:
        assert found is None
    else:
        assert (found.version, found.offset) == (version, len(frame) - len(packet))


@pytest.mark.parametrize("link_type", [0, 1, 12, 14, 101, 108, 113, 276])
@pytest.mark.parametrize(("version", "packet"), [(4, PACKET), (6, PACKET6)])
def test_a_header_made_for_a_bare_packet_is_found_again(link_type, version, packet):
    frame = link.header(link_type, version) + packet
    found = inet.locate(link_type, frame)
    assert (found.version, frame[found.offset :]) == (version, packet)
    assert link.header(228, 4) == link.header(229, 6) == b""
