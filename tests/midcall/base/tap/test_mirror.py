"""SIP from a mirror port: real sockets over a wire, and frames where a network has to misbehave."""

from __future__ import annotations

import socket
import time

import pytest

from imswire import inet
from midcall.base.tap import Mirror, MirrorTap, Source, TapError
from scripts.netns import INTERFACE
from tests.midcall.base.tap.traffic import LEFT, PATIENCE, RIGHT, arrived, messages, raw_socket, udp_socket

WIRE = Source((INTERFACE,), promiscuous=True)
SIP = 5_060
A, B = inet.pack(LEFT[0]), inet.pack(RIGHT[0])
SECOND = 1_000_000_000


def message(number, body=b""):
    head = b"MESSAGE sip:%d@example.com SIP/2.0\r\nCall-ID: %d\r\nContent-Length: %d\r\n\r\n"
    return head % (number, number, len(body)) + body


@pytest.fixture
def mirror(wire, keep):
    with wire[1].inside():
        return keep(MirrorTap(WIRE, [SIP]).open())


def test_messages_over_udp_with_the_times_of_both_clocks(wire, mirror):
    before = time.time_ns(), time.monotonic_ns()
    with udp_socket(wire[0]) as sock:
        for number in range(5):
            sock.sendto(message(number), (RIGHT[0], SIP))
            sock.sendto(b"\x80" * 172, (RIGHT[0], SIP + 2))
        sock.sendto(b"\r\n\r\n", (RIGHT[0], SIP))
        source = f"{LEFT[0]}:{sock.getsockname()[1]}"
        sock.sendto(message(5), (RIGHT[0], SIP))
    seen = messages(mirror, 6)
    after = time.time_ns(), time.monotonic_ns()
    assert [each.octets for each in seen] == [message(number) for number in range(6)]
    assert {(each.source, each.destination, each.frame) for each in seen} == {(source, f"{RIGHT[0]}:{SIP}", 0)}
    assert all(before[0] <= each.at.wall <= after[0] for each in seen)
    assert all(before[1] - SECOND <= each.at.mono <= after[1] + SECOND for each in seen)
    counters = mirror.counters()
    assert (counters.read, counters.messages, counters.other, counters.undecoded) == (7, 6, 1, 0)
    assert [ring.packets for ring in counters.rings] == [7]
    assert counters.dropped == 0


def test_a_message_in_fragments(wire, mirror):
    long = message(1, b"v=0\r\n" * 1_000)
    with udp_socket(wire[0]) as sock:
        sock.sendto(long, (RIGHT[0], SIP))
    assert [each.octets for each in messages(mirror, 1)] == [long]


@pytest.mark.parametrize("host", [0, 1], ids=["ipv4", "ipv6"])
def test_both_directions_of_a_connection(wire, mirror, host):
    family = (socket.AF_INET, socket.AF_INET6)[host]
    with wire[1].inside():
        server = socket.create_server((RIGHT[host], SIP), family=family)
    with wire[0].inside():
        client = socket.socket(family)
    with server, client:
        client.settimeout(PATIENCE)
        client.connect((RIGHT[host], SIP))
        accepted, _ = server.accept()
        with accepted:
            client.sendall(message(1, b"x" * 20_000) + message(2)[:30])
            client.sendall(message(2)[30:])
            accepted.sendall(b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n")
            seen = messages(mirror, 3)
    assert [each.octets for each in seen if each.destination.endswith(f":{SIP}")] == [
        message(1, b"x" * 20_000),
        message(2),
    ]
    assert [each.octets for each in seen if each.source.endswith(f":{SIP}")] == [
        b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"
    ]


def test_a_segment_that_the_mirror_lost(wire, mirror):
    at, frames = 1, []
    for number in range(4):
        frames.append(inet.tcp_frame(A, 40_000, B, SIP, message(number), seq=at))
        at += len(message(number))
    with raw_socket(wire[0]) as sock:
        for frame in (frames[0], frames[2], frames[3]):
            sock.send(frame)
        sock.send(inet.udp_frame(A, 9, B, SIP, message(9)))
    assert [each.octets for each in messages(mirror, 2)] == [message(0), message(9)]
    due = mirror.next_deadline()
    assert due is not None
    assert mirror.deadline(due - 1) == []
    assert [each.octets for each in mirror.deadline(due)] == [message(2), message(3)]
    assert mirror.next_deadline() is None
    assert mirror.counters().broken == 0


def test_a_connection_that_cannot_be_followed(wire, mirror):
    broken = b"MESSAGE sip:a SIP/2.0\r\nContent-Length: none\r\n\r\n"
    with raw_socket(wire[0]) as sock:
        sock.send(inet.tcp_frame(A, 40_000, B, SIP, message(1), seq=1))
        sock.send(inet.tcp_frame(A, 40_000, B, SIP, broken, seq=1 + len(message(1))))
        sock.send(inet.udp_frame(A, 9, B, SIP, message(9)))
    assert [each.octets for each in messages(mirror, 2)] == [message(1), message(9)]
    assert mirror.counters().broken == 1


def test_a_datagram_that_looks_like_a_tunnel_stays_what_it_is(wire, mirror):
    inside = inet.udp_frame(inet.pack("203.0.113.9"), SIP, inet.pack("203.0.113.8"), SIP, message(1))
    vxlan = inet.udp_frame(A, SIP, B, 4_789, bytes((8, 0, 0, 0, 0, 0, 1, 0)) + inside)
    with raw_socket(wire[0]) as sock:
        sock.send(vxlan)
        sock.send(inet.udp_frame(A, 9, B, SIP, message(2)))
    assert [each.octets for each in messages(mirror, 1)] == [message(2)]
    assert mirror.counters().other == 1


def test_a_mirror_is_handed_over_like_a_tap(wire, keep):
    ours, theirs = (keep(each) for each in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    with wire[1].inside():
        MirrorTap(WIRE, [SIP]).hand_over(ours)
    mirror = keep(Mirror.receive(theirs))
    with udp_socket(wire[0]) as sock:
        sock.sendto(message(1), (RIGHT[0], SIP))
    assert arrived(mirror)
    assert [each.octets for each in messages(mirror, 1)] == [message(1)]
    with wire[1].inside(), pytest.raises(TapError, match="none of that name"):
        MirrorTap(Source(("nothing",)), [SIP]).hand_over(ours)
    with pytest.raises(TapError, match="nothing to give"):
        Mirror.receive(theirs)
