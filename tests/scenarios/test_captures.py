"""One call in captures of every kind: what comes out is the same."""

from __future__ import annotations

import gzip
import struct

import pytest

from imswire import inet, pcap
from tests.imswire.inet.test_tunnels import VXLAN, gre, gtp
from tests.imswire.pcap.test_pcapng import enhanced, interface, section
from tests.scenarios.world import World, truth

CORE_A, CORE_B = inet.pack("172.16.0.1"), inet.pack("172.16.0.2")
CORE_A6, CORE_B6 = inet.pack("fd00::1"), inet.pack("fd00::2")


@pytest.fixture(scope="module")
def talked():
    world = World()
    call = world.call(transport="UDP")
    call.establish(world.held("DEFGHINO"))
    call.talk(2)
    call.hang_up()
    return world, call, list(world.wire.in_order())


def replayed(talked, tmp_path, capture: bytes):
    world, call, _ = talked
    outcome = world.replay(tmp_path, start=1.0, octets=capture)
    assert outcome.rtp == truth(call, 1.0) and outcome.rtp
    assert outcome.dialog()["errors"] == [] and outcome.report["errors"] == []
    return outcome


def ng(frames, link: int = 1, order: str = "<") -> bytes:
    options = struct.pack(f"{order}HHB3x", 9, 1, 9)
    blocks = [section(order), interface(link, options, order)]
    return b"".join([*blocks, *(enhanced(time, frame, order=order) for time, frame in frames)])


def classic(frames, link: int = 1) -> bytes:
    return pcap.file_header(link) + b"".join(pcap.record(time, frame) for time, frame in frames)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
def test_pcapng(talked, tmp_path, order, packed):
    capture = ng(talked[2], order=order)
    replayed(talked, tmp_path, gzip.compress(capture) if packed else capture)


def test_gzip(talked, tmp_path):
    replayed(talked, tmp_path, gzip.compress(classic(talked[2])))


def test_a_capture_in_gzip_that_is_cut(talked, tmp_path):
    world, call, frames = talked
    packed = gzip.compress(classic(frames), 1)
    outcome = world.replay(tmp_path, start=1.0, octets=packed[: len(packed) // 2])
    assert outcome.rtp == truth(call, 1.0)[: len(outcome.rtp)]
    assert "gzip: cut short" in outcome.report["errors"][-1]["reason"]


@pytest.mark.parametrize("first", [inet.ETHERNET, inet.LINUX_SLL, inet.RAW])
def test_two_interfaces_of_different_link_types(talked, tmp_path, first):
    """Signalling on one, media on the other, packet by packet."""
    cooked = bytes((0, 0, 0, 1)) + bytes(10) + b"\x08\x00"
    heads = {inet.ETHERNET: bytes(12) + b"\x08\x00", inet.LINUX_SLL: cooked, inet.RAW: b""}
    second = inet.LINUX_SLL2
    capture = section() + interface(first) + interface(second)
    for number, (time, frame) in enumerate(talked[2]):
        packet = frame[14:]
        sll2 = b"\x08\x00" + bytes(18) + packet
        on_second = number % 3 == 0
        capture += enhanced(time // 1000, sll2 if on_second else heads[first] + packet, int(on_second))
    outcome = replayed(talked, tmp_path, capture)
    with (outcome.folder / "media.pcap").open("rb") as file:
        assert pcap.Reader(file.read).link_type == first


def in_udp(port: int, make):
    def wrap(frame: bytes) -> bytes:
        return inet.udp_frame(CORE_A, 40_000, CORE_B, port, make(frame))

    return wrap


def in_ip(protocol: int, make, six: bool = False):
    source, destination = (CORE_A6, CORE_B6) if six else (CORE_A, CORE_B)

    def wrap(frame: bytes) -> bytes:
        packet = inet.ip_packet(source, destination, protocol, make(frame))
        return inet.ethernet_frame(packet)

    return wrap


TUNNELS = {
    "GTP-U": in_udp(2152, lambda frame: gtp(frame[14:])),
    "GTP-U with extension": in_udp(2152, lambda frame: gtp(frame[14:], 0x34, b"\0\0\0\x85" + b"\1\0\0\0")),
    "VXLAN": in_udp(4789, lambda frame: VXLAN + frame),
    "IP in IP": in_ip(4, lambda frame: frame[14:]),
    "IPv4 in IPv6": in_ip(4, lambda frame: frame[14:], six=True),
    "GRE": in_ip(47, lambda frame: gre(frame[14:], 0x20, optional=b"key!")),
    "GTP-U in VXLAN": lambda frame: TUNNELS["VXLAN"](TUNNELS["GTP-U"](frame)),
}


@pytest.mark.parametrize("tunnel", TUNNELS)
def test_tunnels(talked, tmp_path, tunnel):
    outcome = replayed(talked, tmp_path, classic((time, TUNNELS[tunnel](frame)) for time, frame in talked[2]))
    assert {stream["dst"] for stream in outcome.streams()} == {"10.0.0.1:40000", "10.0.0.2:40000"}


def test_vxlan_with_a_group_policy(talked, tmp_path):
    """Its flag bits, reserved in RFC 7348 5, are ignored; the first octet is one of RTP then."""
    marked = in_udp(4789, lambda frame: b"\x88" + VXLAN[1:] + frame)
    replayed(talked, tmp_path, classic((time, marked(frame)) for time, frame in talked[2]))


SERVICE_TAGS = b"\x88\xa8\x00\x05\x81\x00\x00\x06"
LINKS = {
    "QinQ": (inet.ETHERNET, lambda frame: frame[:12] + SERVICE_TAGS + frame[12:]),
    "QinQ, cooked": (inet.LINUX_SLL, lambda frame: bytes(14) + SERVICE_TAGS + frame[12:]),
    "QinQ, cooked v2": (
        inet.LINUX_SLL2,
        lambda frame: SERVICE_TAGS[:2] + bytes(18) + SERVICE_TAGS[2:] + frame[12:],
    ),
    "LLC and SNAP": (
        inet.ETHERNET,
        lambda frame: frame[:12] + (len(frame) - 6).to_bytes(2, "big") + b"\xaa\xaa\x03\0\0\0" + frame[12:],
    ),
    "padded": (inet.ETHERNET, lambda frame: frame + bytes(7)),
}


@pytest.mark.parametrize("link", LINKS)
def test_links(talked, tmp_path, link):
    number, wrap = LINKS[link]
    replayed(talked, tmp_path, classic(((time, wrap(frame)) for time, frame in talked[2]), number))


EXTENSIONS = {
    "hop by hop": [(0, bytes(6))],
    "destination options and routing": [(60, bytes(6)), (43, bytes(14))],
    "authentication": [(51, bytes(22))],
    "an atomic fragment": [(44, bytes(6))],
    "options behind an atomic fragment": [(0, bytes(6)), (44, bytes(6)), (60, bytes(6))],
}


def extended(packet: bytes, headers: list[tuple[int, bytes]]) -> bytes:
    """An IPv6 packet with extension headers: number, and the octets behind next header and length."""
    following, chain = packet[6], b""
    for number, rest in reversed(headers):
        length = {51: (len(rest) + 2) // 4 - 2, 44: 0}.get(number, (len(rest) + 2) // 8 - 1)
        chain = bytes((following, length)) + rest + chain
        following = number
    size = (len(packet) - 40 + len(chain)).to_bytes(2, "big")
    return packet[:4] + size + bytes((following,)) + packet[7:40] + chain + packet[40:]


@pytest.fixture(scope="module")
def talked6():
    world = World()
    parties = [world.party(name, address=f"2001:db8::{place}") for place, name in enumerate(world.users, 1)]
    call = world.call(*parties)
    call.establish(world.held("DEFGHINO"))
    call.talk(2)
    call.hang_up()
    return world, call, list(world.wire.in_order())


@pytest.mark.parametrize("headers", EXTENSIONS)
def test_extension_headers(talked6, tmp_path, headers):
    frames = ((time, frame[:14] + extended(frame[14:], EXTENSIONS[headers])) for time, frame in talked6[2])
    replayed(talked6, tmp_path, classic(frames))


def test_fragments_between_extension_headers(talked6, tmp_path):
    """Hop-by-hop options in each fragment, destination options in the first alone (RFC 8200 4.5)."""
    frames = []
    for number, (time, frame) in enumerate(talked6[2]):
        whole = extended(frame[14:], [(60, bytes(6))])
        for piece in inet.fragment_packet(whole, 200, number):
            frames.append((time, frame[:14] + extended(piece, [(0, bytes(6))])))
    replayed(talked6, tmp_path, classic(frames))


def test_fragments_of_a_tunnel_and_in_it(talked, tmp_path):
    frames = []
    for time, frame in talked[2]:
        for part in inet.fragment_frame(inet.ETHERNET, frame, 400):
            outer = TUNNELS["GRE"](part)
            frames += [(time, piece) for piece in inet.fragment_frame(inet.ETHERNET, outer, 300)]
    replayed(talked, tmp_path, classic(frames))


def test_tunnels_without_end_are_given_up(talked, tmp_path):
    frame = talked[2][0][1]
    for _ in range(6):
        frame = TUNNELS["IP in IP"](frame)
    world, _, frames = talked
    outcome = world.replay(tmp_path, octets=classic([(frames[0][0], frame), *frames]))
    assert len(outcome.report["dialogs"]) == 1 and outcome.dialog()["errors"] == []


def test_media_on_a_port_that_tunnels_use(tmp_path):
    world = World()
    call = world.call(caller=world.party("alice", rtp_port=2152), callee=world.party("bob", rtp_port=4789))
    call.establish(world.held())
    call.talk(1)
    outcome = world.replay(tmp_path)
    assert outcome.rtp == truth(call) and outcome.dialog()["errors"] == []


def mapped(frame: bytes) -> bytes:
    """SIP whose descriptions name IPv4 addresses as IPv6 ones; other frames as they are."""
    found = inet.decode(inet.ETHERNET, frame)
    assert isinstance(found, inet.Datagram)
    head, blank, body = found.payload.partition(b"\r\n\r\n")
    if b"SIP/2.0" not in head or not body:
        return frame
    changed = body.replace(b"c=IN IP4 ", b"c=IN IP6 ::ffff:")
    assert changed != body
    head = head.replace(b"Content-Length: %d" % len(body), b"Content-Length: %d" % len(changed))
    return inet.udp_frame(found.src, found.sport, found.dst, found.dport, head + blank + changed)


def test_addresses_of_ipv4_written_as_ipv6(talked, tmp_path):
    """RFC 5118 4.9: the media is IPv4 all the same."""
    replayed(talked, tmp_path, classic((time, mapped(frame)) for time, frame in talked[2]))
