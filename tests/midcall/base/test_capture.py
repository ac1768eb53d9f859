"""What a live input asks of the sorter: its own clock, no tunnels, deadlines. Captures are tested as whole calls."""

from __future__ import annotations

from collections.abc import Iterator

from imswire import inet
from midcall.base.capture import Found, FrameSorter
from midcall.events import Instant, SipSeen

SECOND = 1_000_000_000
A, B = inet.pack("192.0.2.1"), inet.pack("192.0.2.2")
MESSAGE = b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n"
VXLAN = bytes((8, 0, 0, 0, 0, 0, 1, 0))
GRE = 47


def seen(found: Iterator[Found]) -> list[SipSeen]:
    return [each for each in found if isinstance(each, SipSeen)]


def test_times_are_made_by_whoever_knows_the_clocks():
    sorter = FrameSorter(inet.ETHERNET, lambda time: Instant(time, time - 5))
    (message,) = seen(sorter.sort(7, inet.udp_frame(A, 5060, B, 5060, MESSAGE), 0))
    assert message.at == Instant(7, 2)


def test_a_datagram_that_looks_like_a_tunnel_is_one_only_where_tunnels_are_expected():
    inside = inet.udp_frame(B, 5060, A, 5060, MESSAGE)
    frame = inet.udp_frame(A, 5060, B, 4789, VXLAN + inside)
    assert [each.source for each in seen(FrameSorter(inet.ETHERNET).sort(1, frame, 0))] == ["192.0.2.2:5060"]
    (datagram,) = FrameSorter(inet.ETHERNET, tunnels=False).sort(1, frame, 0)
    assert isinstance(datagram, inet.Datagram) and datagram.dport == 4789


def test_sip_in_a_packet_without_ports_is_no_message():
    frame = inet.ethernet_frame(inet.ip_packet(A, B, GRE, MESSAGE))
    assert list(FrameSorter(inet.ETHERNET, tunnels=False).sort(1, frame, 0)) == []
    assert list(FrameSorter(inet.ETHERNET).sort(1, frame, 0)) == []


def test_a_lost_segment_is_waited_for_until_the_deadline():
    sorter = FrameSorter(inet.ETHERNET)
    assert sorter.next_deadline() is None
    pieces = [MESSAGE, MESSAGE, MESSAGE]
    segments = [
        inet.tcp_frame(A, 40_000, B, 5060, data, seq=1 + number * len(MESSAGE)) for number, data in enumerate(pieces)
    ]
    assert len(seen(sorter.sort(SECOND, segments[0], 0))) == 1
    assert seen(sorter.sort(SECOND, segments[2], 0)) == []
    due = sorter.next_deadline()
    assert due is not None
    assert list(sorter.deadline(due - 1, 0)) == []
    assert [each.octets for each in seen(sorter.deadline(due, 0))] == [MESSAGE]
    assert sorter.next_deadline() is None
