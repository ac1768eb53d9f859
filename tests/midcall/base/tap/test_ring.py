"""The ring by itself: on loopback interfaces and wires of namespaces that exist for one test."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import time
from pathlib import Path

import pytest

from imswire import inet
from midcall.base.tap import Geometry, NotPermitted, Ring, TapError
from midcall.base.tap.assembler import assemble
from midcall.base.tap.rings import Rings, Source
from scripts.netns import INTERFACE
from tests.midcall.base.tap.traffic import LEFT, PATIENCE, RIGHT, raw_socket, udp_socket

SMALL = Geometry(block_octets=4_096, blocks=4, retire_ms=1)
PORT = 4_000
ICMP = 1


def wait(ring):
    return select.select([ring], [], [], PATIENCE)[0]


def those(frames, wanted):
    """Frames with ``wanted`` in them; what else a kernel sends (neighbour discovery, ICMP) is left out."""
    return [frame for frame in frames if wanted in frame[1] and frame[1][23] != ICMP]


def collect(ring, wanted, count):
    found = []
    while len(found) < count and wait(ring):
        found += those(ring.read(), wanted)
    return found


def test_a_packet_on_loopback_is_seen_once(wire, keep):
    _, right = wire
    with right.inside():
        ring = keep(Ring.open("lo"))
    with udp_socket(right) as sock:
        before = time.time_ns()
        for number in range(3):
            sock.sendto(b"number %d" % number, ("127.0.0.1", PORT))
    frames = collect(ring, b"number", 3)
    after = time.time_ns()
    times = [at for at, _, _ in frames]
    datagrams = [inet.decode(inet.ETHERNET, frame) for _, frame, _ in frames]
    assert [each.payload for each in datagrams] == [b"number 0", b"number 1", b"number 2"]
    assert before <= times[0] <= times[1] <= times[2] <= after
    assert all(original == len(frame) for _, frame, original in frames)
    assert ring.read() == []


def test_both_directions_unless_only_what_comes_in_is_wanted(wire, keep):
    _, right = wire
    with right.inside():
        both, incoming = keep(Ring.open(INTERFACE)), keep(Ring.open(INTERFACE, outgoing=False))
    for end, address, text in ((right, LEFT[0], b"going out"), (wire[0], RIGHT[0], b"coming in")):
        with udp_socket(end) as sock:
            sock.sendto(text, (address, PORT))
    assert len(collect(both, b"going out", 1)) == 1
    coming = collect(incoming, b"coming in", 1)
    assert len(coming) == 1


@pytest.mark.parametrize("types", [(0x8100,), (0x88A8, 0x8100), (0x88A8, 0x8100, 0x8100)], ids=len)
def test_a_tag_that_the_kernel_took_out_is_put_back(wire, keep, types):
    left, right = wire
    frame = bytearray(
        inet.udp_frame(inet.pack(LEFT[0]), 9, inet.pack(RIGHT[0]), PORT, b"tagged", vlans=range(5, 5 + len(types)))
    )
    for number, kind in enumerate(types):
        frame[12 + 4 * number : 14 + 4 * number] = kind.to_bytes(2, "big")
    with right.inside():
        ring = keep(Ring.open(INTERFACE))
    with raw_socket(left) as sock:
        sock.send(frame)
    ((_, octets, original),) = collect(ring, b"tagged", 1)
    assert octets == frame
    assert original == len(frame)


def test_a_packet_that_is_larger_than_a_block_is_cut_and_says_so(wire, keep):
    _, right = wire
    with right.inside():
        ring = keep(Ring.open("lo", SMALL))
    with udp_socket(right) as sock:
        sock.sendto(b"large" * 2_000, ("127.0.0.1", PORT))
    ((_, octets, original),) = collect(ring, b"large", 1)
    assert len(octets) < SMALL.block_octets < original == 14 + 28 + 10_000


def test_what_a_full_ring_has_no_room_for_is_counted(wire, keep):
    _, right = wire
    with right.inside():
        ring = keep(Ring.open("lo", SMALL))
    with udp_socket(right) as sock:
        for _ in range(100):
            sock.sendto(b"x" * 1_000, ("127.0.0.1", PORT))
    frames = collect(ring, b"x" * 1_000, 4)
    while wait(ring) and (more := ring.read()):
        frames += those(more, b"x" * 1_000)
        if len(frames) + ring.counters().dropped >= 100:
            break
    counters = ring.counters()
    assert counters.dropped > 0
    assert counters.frozen > 0
    assert counters.packets >= 100
    with udp_socket(right) as sock:
        sock.sendto(b"there is room again", ("127.0.0.1", PORT))
    assert len(collect(ring, b"there is room again", 1)) == 1
    assert ring.counters().dropped == counters.dropped


def test_an_interface_that_goes_down_and_comes_back(wire, keep):
    left, right = wire
    with right.inside():
        ring = keep(Ring.open(INTERFACE))
    right.run("ip", "link", "set", INTERFACE, "down")
    assert wait(ring)
    while ring.read():
        pass
    assert ring.counters().faults == 1
    right.run("ip", "link", "set", INTERFACE, "up")
    with raw_socket(left) as sock:
        sock.send(inet.udp_frame(inet.pack(LEFT[0]), 9, inet.pack(RIGHT[0]), PORT, b"again"))
    assert len(collect(ring, b"again", 1)) == 1


def test_interfaces_that_cannot_be_tapped(wire, keep):
    _, right = wire
    with right.inside():
        with pytest.raises(TapError, match="none of that name"):
            Ring.open("nothing")
        with pytest.raises(TapError, match="interface lo"):
            Ring.open("lo", Geometry(block_octets=1_000))
        with pytest.raises(TapError, match="interfaces"):
            Source(())
        with pytest.raises(TapError, match="none of that name"):
            Rings.open(Source(("lo", "nothing")), _pass_all(), "")


def test_an_interface_without_ethernet(wire, keep):
    _, right = wire
    if not Path("/dev/net/tun").exists():
        pytest.skip("no tun device on this machine")
    right.run("ip", "tuntap", "add", "mode", "tun", "name", "bare")
    with right.inside(), pytest.raises(TapError, match="link type"):
        Ring.open("bare")


def test_promiscuous_mode_ends_with_the_ring(wire, keep):
    _, right = wire

    with right.inside():
        ring = Ring.open(INTERFACE, promiscuous=True)
    assert _promiscuity(right) == 1
    ring.close()
    assert _promiscuity(right) == 0


def test_several_rings_read_as_one_in_the_order_of_time(wire, keep):
    left, right = wire
    with right.inside():
        rings = keep(Rings.open(Source(("lo", INTERFACE)), _pass_all(), "all"))
    with udp_socket(left) as far, udp_socket(right) as near:
        for number in range(5):
            far.sendto(b"number %d" % (2 * number), (RIGHT[0], PORT))
            near.sendto(b"number %d" % (2 * number + 1), ("127.0.0.1", PORT))
    frames = []
    while len(frames) < 10 and select.select(rings.filenos(), [], [], PATIENCE)[0]:
        for batch in rings.batches():
            assert batch == sorted(batch, key=lambda frame: frame[0])
            frames += those(batch, b"number")
    frames.sort(key=lambda frame: frame[0])
    assert [frame[-8:] for _, frame, _ in frames] == [b"number %d" % number for number in range(10)]


def test_a_descriptor_of_no_ring_is_refused_and_closed():
    pipe, end = os.pipe()
    os.close(end)
    with pytest.raises(TapError, match="none of a socket"):
        Ring.attach(pipe, SMALL)
    ours, theirs = socket.socketpair()
    with ours, pytest.raises(TapError, match="mapped"):
        Ring.attach(theirs.detach(), SMALL)
    before = len(list(Path("/proc/self/fd").iterdir()))
    pair = [each.detach() for each in socket.socketpair()]
    with pytest.raises(TapError):
        Rings.attach(pair, SMALL)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_process_that_may_not_is_told_what_is_missing(monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "no")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(NotPermitted, match="CAP_NET_RAW"):
        Ring.open("lo")

    def unknown(*_):
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", unknown)
    with pytest.raises(NotPermitted, match="AF_PACKET"):
        Ring.open("lo")


def _pass_all():
    return assemble([("mov", "r0", 1 << 16), ("exit",)])


def _promiscuity(end):
    with end.inside():
        shown = subprocess.run(["ip", "-d", "-j", "link", "show", INTERFACE], check=True, capture_output=True)
    return json.loads(shown.stdout)[0]["promiscuity"]
