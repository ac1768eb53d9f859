"""The tap of media: what enters user space, and who may read it. Packets are sent by real sockets over a wire."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from imswire import inet
from midcall.base.tap import Geometry, MapFull, NotPermitted, Source, Tap, TapError, TapPort, ebpf, passing
from midcall.base.tap.passing import Offer
from scripts.netns import INTERFACE
from tests.midcall.base.tap.traffic import (
    LEFT,
    RIGHT,
    arrived,
    numbers,
    place,
    raw_socket,
    sending,
    udp_socket,
    until_mark,
)

WIRE = Source((INTERFACE,))
LARGE = Geometry(block_octets=1 << 20, blocks=64, retire_ms=200)
"""Room for a whole burst, so that no count depends on how fast the machine is."""
PORT = 4_000
NET_RAW, BPF = 13, 39


@pytest.fixture
def port(wire, keep):
    with wire[1].inside():
        return keep(Tap(WIRE, places=16_384).open())


def seen_by_filter(port):
    """What the ring was given, the last packet of ``until_mark`` left out."""
    return sum(ring.packets for ring in port.counters().rings)


def test_armed_media_enter_user_space_and_nothing_else(wire, port):
    armed, other, elsewhere = place(RIGHT[0], PORT), (RIGHT[0], PORT + 1), (RIGHT[0], PORT + 2)
    assert port.arm(armed)
    assert not port.arm(armed)
    with udp_socket(wire[0]) as sock:
        for number in range(50):
            sock.sendto(number.to_bytes(4, "big"), (RIGHT[0], PORT))
            sock.sendto(b"nobody's", other)
            sock.sendto(b"nobody's", elsewhere)
    packets = until_mark(port, wire[0])
    assert numbers(packets, PORT) == list(range(50))
    assert {each.place for each in packets} == {armed}
    assert [each.time for each in packets] == sorted(each.time for each in packets)
    assert {each.source.split(":")[0] for each in packets} == {LEFT[0]}
    assert seen_by_filter(port) == 50 + 1
    assert port.packets(armed) == 50
    assert port.disarm(armed) == 50
    assert port.disarm(armed) == 0
    assert port.armed == frozenset()


def test_two_workers_have_each_what_they_armed_and_no_packet_of_the_other(wire, port, keep):
    """Each ring has a filter and a map of its own: what one worker armed does not leave the kernel for the other."""
    with wire[1].inside():
        second = keep(Tap(WIRE, places=64).open())
    port.arm(place(RIGHT[0], PORT))
    second.arm(place(RIGHT[0], PORT + 1))
    for each in (port, second):
        each.arm(place(RIGHT[0], PORT + 2))  # two targets who talk to each other
    with udp_socket(wire[0]) as sock:
        for number in range(60):
            sock.sendto(number.to_bytes(4, "big"), (RIGHT[0], PORT + number % 4))
    for own, worker in ((PORT, port), (PORT + 1, second)):
        packets = until_mark(worker, wire[0])
        assert {each.place for each in packets} == {place(RIGHT[0], own), place(RIGHT[0], PORT + 2)}
        assert len(numbers(packets, own)) == len(numbers(packets, PORT + 2)) == 15
        assert worker.packets(place(RIGHT[0], own)) == 15
    assert seen_by_filter(port) == 30 + 1, "and the mark of its own"


def test_media_that_this_host_sends(wire, port):
    port.arm(place(LEFT[0], PORT))
    with udp_socket(wire[1]) as sock:
        sock.sendto(b"going out", (LEFT[0], PORT))
    assert [each.payload for each in until_mark(port, wire[0])] == [b"going out"]


@pytest.mark.parametrize("vlans", [(5,), (5, 6)], ids=["VLAN", "QinQ"])
@pytest.mark.parametrize("host", [0, 1], ids=["ipv4", "ipv6"])
def test_tagged_media(wire, port, keep, vlans, host):
    """Received, the outer tag stands beside the frame; sent, all stand in it."""
    with wire[0].inside():
        sent = keep(Tap(WIRE).open())
    src, dst = inet.pack(LEFT[host]), inet.pack(RIGHT[host])
    frames = [inet.udp_frame(src, 9, dst, to, b"tagged", vlans=vlans) for to in (PORT, PORT + 1)]
    for tap in (port, sent):
        tap.arm(place(RIGHT[host], PORT))
    with raw_socket(wire[0]) as sock:
        for frame in frames:
            sock.send(frame)
    for tap in (port, sent):
        assert [each.datagram.frame for each in until_mark(tap, wire[0])] == [frames[0]]


def test_the_quick_way_tells_the_same(wire, keep):
    """IPv4 and IPv6, with and without tags, in fragments, over one interface and over two."""
    loop = Source((INTERFACE, "lo"))
    with wire[1].inside():
        ports = [keep(Tap(source).open()) for source in (WIRE, WIRE, loop)]
    for each in ports:
        for address in RIGHT:
            each.arm(place(address, PORT))
    ends = [(inet.pack(LEFT[host]), inet.pack(RIGHT[host])) for host in (0, 1)]
    for number, (src, dst) in enumerate(ends):
        with raw_socket(wire[0]) as sock:
            for vlans in ((), (5,), (5, 6)):
                sock.send(inet.udp_frame(src, 9, dst, PORT, b"number %d" % number, vlans=vlans))
        with udp_socket(wire[0], (socket.AF_INET, socket.AF_INET6)[number]) as sock:
            sock.sendto(b"whole", (RIGHT[number], PORT))
            sock.sendto(b"in parts" * 500, (RIGHT[number], PORT))
            sock.sendto(b"", (RIGHT[number], PORT))
    expected = [(each.place, each.origin, each.payload) for each in until_mark(ports[0], wire[0], RIGHT[1])]
    assert len(expected) == 2 * 6
    for quick in ports[1:]:
        found = []
        while len(found) < len(expected) and arrived(quick):
            packets = quick.media()
            assert [each[0] for each in packets] == sorted(each[0] for each in packets)
            found += [each[1:] for each in packets]
        assert found[: len(expected)] == expected
        assert quick.counters().read + 1 == ports[0].counters().read, "the mark"


def test_ipv6(wire, port):
    port.arm(place(RIGHT[1], PORT))
    with udp_socket(wire[0], socket.AF_INET6) as sock:
        sock.sendto(b"sixth", (RIGHT[1], PORT))
        sock.sendto(b"other", (RIGHT[1], PORT + 1))
    (packet,) = until_mark(port, wire[0], RIGHT[1])
    assert (packet.place, packet.payload) == (place(RIGHT[1], PORT), b"sixth")


@pytest.mark.parametrize("host", [0, 1], ids=["ipv4", "ipv6"])
def test_media_in_fragments(wire, port, host):
    """Later fragments to the same address come in with those of the armed port, and never become anything."""
    port.arm(place(RIGHT[host], PORT))
    with udp_socket(wire[0], (socket.AF_INET, socket.AF_INET6)[host]) as sock:
        for number in range(3):
            sock.sendto(bytes([number]) * 4_000, (RIGHT[host], PORT))
            sock.sendto(b"nobody's" * 500, (RIGHT[host], PORT + 1))
    packets = until_mark(port, wire[0], RIGHT[host])
    assert [each.payload for each in packets] == [bytes([number]) * 4_000 for number in range(3)]
    assert port.packets(place(RIGHT[host], PORT)) == 3
    assert port.counters().fragments == 3 * 3 + 3 * 2
    port.disarm(place(RIGHT[host], PORT))
    with udp_socket(wire[0], (socket.AF_INET, socket.AF_INET6)[host]) as sock:
        sock.sendto(b"nobody's" * 500, (RIGHT[host], PORT))
    port.arm(place(LEFT[host], PORT))
    before = seen_by_filter(port)
    until_mark(port, wire[0], RIGHT[host])
    assert seen_by_filter(port) == before + 1


def test_ten_thousand_places(wire, port):
    places = [inet.endpoint_key(bytes((198, 51, 100, number >> 8)), 1 + number) for number in range(9_999)]
    for each in [*places, place(RIGHT[0], PORT)]:
        port.arm(each)
    with udp_socket(wire[0]) as sock:
        for number in range(1_000):
            sock.sendto(number.to_bytes(4, "big"), (RIGHT[0], PORT))
            sock.sendto(b"nobody's", (RIGHT[0], 1 + number))
    assert numbers(until_mark(port, wire[0]), PORT) == list(range(1_000))
    assert len(port.armed) == 10_000
    assert port.packets(places[0]) == 0
    assert sum(map(port.disarm, [*places, place(RIGHT[0], PORT)])) == 1_000
    assert port.counters().armed == 0


def test_more_places_than_there_is_room_for(wire, keep):
    with wire[1].inside():
        port = keep(Tap(WIRE, places=2).open())
    first, second, third = (place(RIGHT[0], PORT + number) for number in range(3))
    assert port.arm(first)
    assert port.arm(second)
    with pytest.raises(MapFull, match="2 places"):
        port.arm(third)
    port.disarm(first)
    assert port.arm(third)
    assert port.armed == {second, third}


def test_a_place_for_which_the_kernel_has_no_room_is_not_armed(wire, keep):
    with wire[1].inside():
        port = keep(Tap(WIRE, places=1).open())
    port._bound = 2  # as if the map were larger than it is
    first, second = place(RIGHT[0], PORT), place(RIGHT[0], PORT + 1)
    port.arm(first)
    with pytest.raises(MapFull, match="kernel"):
        port.arm(second)
    assert port.armed == {first}
    port.disarm(first)
    assert port.arm(second)


def test_a_burst_of_a_hundred_thousand_packets(wire, keep):
    with wire[1].inside():
        port = keep(Tap(Source((INTERFACE,), LARGE)).open())
    port.arm(place(RIGHT[0], PORT))
    packets = []
    with sending(wire[0], RIGHT[0], 100_000, PORT) as process:
        while len(packets) < 100_000 and arrived(port):
            packets += port.read()
        assert process.wait() == 0
    assert numbers(packets, PORT) == list(range(100_000))
    counters = port.counters()
    assert counters.dropped == 0
    assert counters.read == seen_by_filter(port) == port.packets(place(RIGHT[0], PORT)) == 100_000


def test_arming_and_disarming_under_traffic_loses_nothing_that_is_armed(wire, keep):
    """Three ports are sent the same numbers: armed throughout, armed meanwhile, disarmed meanwhile."""
    with wire[1].inside():
        port = keep(Tap(Source((INTERFACE,), LARGE)).open())
    always, later, first = (place(RIGHT[0], PORT + number) for number in range(3))
    port.arm(always)
    port.arm(first)
    others = [inet.endpoint_key(bytes((192, 0, 2, 2)), 10_000 + number) for number in range(500)]
    packets, turns = [], 30
    with sending(wire[0], RIGHT[0], turns * 1_000, PORT, PORT + 1, PORT + 2, step=1_000) as process:
        assert arrived(port)
        for turn in range(turns):
            process.stdin.write(b".")  # a thousand numbers more, which are sent during what follows
            for each in others:
                port.arm(each) if turn % 2 == 0 else port.disarm(each)
            if turn == turns // 2:
                port.arm(later)
                counted = port.disarm(first)
            packets += port.read()
        assert process.wait() == 0
    packets += until_mark(port, wire[0])
    assert port.counters().dropped == 0
    assert numbers(packets, PORT) == list(range(turns * 1_000))
    of_later, of_first = numbers(packets, PORT + 1), numbers(packets, PORT + 2)
    assert of_later == list(range(of_later[0], turns * 1_000))
    assert of_first == list(range(counted))
    assert 0 < of_later[0] < turns * 1_000


def test_two_interfaces_under_one_map(wire, keep):
    with wire[1].inside():
        port = keep(Tap(Source(("lo", INTERFACE))).open())
    port.arm(place("127.0.0.1", PORT))
    port.arm(place(RIGHT[0], PORT))
    with udp_socket(wire[0]) as far, udp_socket(wire[1]) as near:
        far.sendto(b"far", (RIGHT[0], PORT))
        near.sendto(b"near", ("127.0.0.1", PORT))
    packets = []
    while len(packets) < 2 and arrived(port):
        packets += port.read()
    assert {each.payload for each in packets} == {b"far", b"near"}
    assert [ring.packets for ring in port.counters().rings] == [1, 1]


def test_what_is_cut_or_no_datagram_is_counted(wire, keep):
    with wire[1].inside():
        port = keep(Tap(Source(("lo",), Geometry(4_096, 8, 1))).open())
    port.arm(place("127.0.0.1", PORT))
    with udp_socket(wire[1]) as sock:
        sock.sendto(bytes(8_000), ("127.0.0.1", PORT))
        sock.sendto(b"whole", ("127.0.0.1", PORT))
    packets = []
    while not packets and arrived(port):
        packets += port.read()
    assert [each.payload for each in packets] == [b"whole"]
    counters = port.counters()
    assert (counters.read, counters.undecoded, counters.cut) == (2, 1, 1)


# Who may


@contextmanager
def child(namespace, *arguments, fds=()):
    command = [sys.executable, "-m", "tests.midcall.base.tap.confined", *map(str, arguments)]
    with namespace.inside():
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, pass_fds=fds, cwd=Path(__file__).parents[4]
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_worker_without_capabilities_reads_and_steers(wire):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    armed = place(RIGHT[0], PORT)
    with ours, child(wire[1], "read", theirs.fileno(), armed.hex(), 200, fds=(theirs.fileno(),)) as process:
        theirs.close()
        with wire[1].inside():
            Tap(WIRE).hand_over(ours)
        assert json.loads(process.stdout.readline()) == {"armed": 1}
        with udp_socket(wire[0]) as sock:
            for number in range(200):
                sock.sendto(number.to_bytes(4, "big"), (RIGHT[0], PORT))
                sock.sendto(b"nobody's", (RIGHT[0], 1))
        assert json.loads(process.stdout.readline()) == {
            "own": False,
            "locked": True,
            "numbers": list(range(200)),
            "dropped": 0,
            "counted": 200,
        }
        assert process.wait() == 0


@pytest.mark.parametrize(
    ("capabilities", "told"),
    [
        ((NET_RAW, BPF), {"opened": True}),
        ((BPF,), {"missing": "CAP_NET_RAW"}),
        (
            (NET_RAW,),
            {"missing": "CAP_BPF (before Linux 5.8 CAP_SYS_ADMIN; before 5.11 also RLIMIT_MEMLOCK)"},
        ),
    ],
    ids=["both", "no CAP_NET_RAW", "no CAP_BPF"],
)
def test_the_tap_needs_two_capabilities_and_names_the_one_that_is_missing(wire, capabilities, told):
    with child(wire[1], "open", INTERFACE, *capabilities) as process:
        assert json.loads(process.stdout.readline()) == told


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def pair(keep):
    return [keep(each) for each in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)]


def test_nothing_of_a_tap_that_was_handed_over_stays_open(wire, keep):
    ours, theirs = pair(keep)
    before = descriptors()
    with wire[1].inside():
        Tap(WIRE).hand_over(ours)
    port = TapPort.receive(theirs)
    assert descriptors() == before + 4  # the ring, its mapping, two maps
    port.close()
    assert descriptors() == before


def test_a_worker_is_told_why_there_is_no_tap(wire, keep):
    ours, theirs = pair(keep)
    before = descriptors()
    with wire[1].inside(), pytest.raises(TapError, match="none of that name"):
        Tap(Source(("nothing",))).hand_over(ours)
    with pytest.raises(TapError, match="nothing to give: interface nothing"):
        TapPort.receive(theirs)
    assert descriptors() == before


def test_a_worker_is_told_what_is_not_permitted(monkeypatch, keep):
    def refuse(command, attributes):
        raise PermissionError(1, "no")

    monkeypatch.setattr(ebpf, "_bpf", refuse)
    ours, theirs = pair(keep)
    with pytest.raises(NotPermitted):
        Tap(WIRE).hand_over(ours)
    with pytest.raises(TapError, match="CAP_BPF"):
        TapPort.receive(theirs)


def test_nobody_at_the_other_end(wire, keep):
    ours, theirs = pair(keep)
    theirs.close()
    before = descriptors()
    with wire[1].inside(), pytest.raises(TapError, match="passed on"):
        Tap(WIRE).hand_over(ours)
    assert descriptors() == before


@pytest.mark.parametrize(
    ("octets", "fds", "reason"),
    [
        (b"", 0, "hung up"),
        (b"hello", 1, "no offer"),
        (b'{"kind":"media","more":1}', 1, "no offer"),
        (passing.msgspec.json.encode(Offer("mirror", ("a",))), 1, "'mirror'"),
        (passing.msgspec.json.encode(Offer("media", ("a",), maps=2)), 2, "without all"),
        (passing.msgspec.json.encode(Offer("media", ("a",), maps=2)), 3, "mapped"),
        (passing.msgspec.json.encode(Offer("media", ("a",), maps=2)), 40, "without all"),
    ],
)
def test_what_is_no_offer_is_refused_and_its_descriptors_are_closed(keep, octets, fds, reason):
    ours, theirs = pair(keep)
    sockets = [keep(socket.socket()) for _ in range(fds)]
    if octets:
        socket.send_fds(ours, [octets], [each.fileno() for each in sockets])
    else:
        ours.close()
    before = descriptors()
    with pytest.raises(TapError, match=reason):
        TapPort.receive(theirs)
    assert descriptors() == before


def test_a_tap_that_does_not_answer(keep):
    _, theirs = pair(keep)
    theirs.settimeout(0.0)
    with pytest.raises(TapError, match="passes no descriptors"):
        TapPort.receive(theirs)
