"""TCP octets in order, whatever network and capture did to the segments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import inet
from imswire.inet import ACK, FIN, RST, SYN, Flow, StreamData, TcpStreams
from imswire.inet.streams import MAX_FLOW_PIECES, MAX_WAIT_NS, RESET_WINDOW
from tests.imswire.inet.samples import A4, B4, LINUX, SECOND, datagram_of, linux_frames, udp4

FORTH = Flow(A4, 40_000, B4, 5060)
BACK = FORTH.reversed()
ISN = 1000


def segment(data: bytes = b"", seq: int = ISN, flags: int = ACK, flow: Flow = FORTH) -> inet.Datagram:
    return inet.Datagram(
        flow.src, flow.dst, inet.TCP, flow.sport, flow.dport, data, 0, 0, 0, b"", seq % (1 << 32), flags
    )


def fed(streams: TcpStreams, *segments: inet.Datagram, now_ns: int = 0) -> list[StreamData]:
    return [piece for each in segments for piece in streams.add(each, now_ns)]


def read(pieces: list[StreamData], flow: Flow = FORTH) -> bytes:
    return b"".join(piece.data for piece in pieces if piece.flow == flow)


# In order


@pytest.mark.parametrize("name", LINUX)
def test_connections_of_the_linux_kernel(name: str) -> None:
    link_type, frames = linux_frames(name)
    streams = TcpStreams()
    for half in (frames[5:17], frames[22:34]):
        pieces = fed(streams, *(datagram_of(frame, link_type) for frame in half))
        client = datagram_of(half[0], link_type)
        forth = Flow(client.src, client.sport, client.dst, client.dport)
        assert read(pieces, forth) == b"REGISTER sip:example.com SIP/2.0\r\nContent-Length: 0\r\n\r\n"
        assert read(pieces, forth.reversed()) == bytes(octet % 253 for octet in range(5000))
        assert [piece.flow for piece in pieces if piece.ended] == [forth, forth.reversed()]
        assert not any(piece.lost for piece in pieces)


def test_a_connection_from_syn_to_fin() -> None:
    pieces = fed(
        TcpStreams(),
        segment(seq=ISN - 1, flags=SYN),
        segment(b"INVITE "),
        segment(b"sip:b", ISN + 7),
        segment(b"\r\n", ISN + 12, ACK | FIN),
    )
    assert pieces == [
        StreamData(FORTH, b"INVITE "),
        StreamData(FORTH, b"sip:b"),
        StreamData(FORTH, b"\r\n", ended=True),
    ]


def test_data_on_the_syn() -> None:
    """RFC 7413."""
    assert read(fed(TcpStreams(), segment(b"ab", ISN - 1, SYN), segment(b"cd", ISN + 2))) == b"abcd"


def test_the_sequence_number_wraps() -> None:
    start = (1 << 32) - 3
    pieces = fed(TcpStreams(), segment(b"abc", start), segment(b"ghi", 3), segment(b"def", 0))
    assert read(pieces) == b"abcdefghi"


def test_a_connection_that_began_before_the_capture() -> None:
    assert read(fed(TcpStreams(), segment(seq=5), segment(b"mid", 77), segment(b"dle", 80))) == b"middle"


def test_segments_without_data_open_nothing() -> None:
    streams = TcpStreams()
    assert fed(streams, segment(), segment(flags=ACK | FIN), segment(flags=RST)) == []
    assert len(streams) == 0


def test_other_protocols_are_not_its_business() -> None:
    assert fed(TcpStreams(), datagram_of(udp4())) == []


def test_both_directions_are_flows_of_their_own() -> None:
    pieces = fed(TcpStreams(), segment(b"question"), segment(b"answer", 5, flow=BACK))
    assert (read(pieces, FORTH), read(pieces, BACK)) == (b"question", b"answer")


# Repeated, reordered, overlapping


def test_retransmissions_are_delivered_once() -> None:
    pieces = fed(TcpStreams(), segment(b"abc"), segment(b"abc"), segment(b"bcdef", ISN + 1), segment(b"", ISN + 6))
    assert [piece.data for piece in pieces] == [b"abc", b"def"]


def test_reordered_segments_wait() -> None:
    streams = TcpStreams()
    assert read(fed(streams, segment(b"ab"), segment(b"ef", ISN + 4), segment(b"gh", ISN + 6))) == b"ab"
    assert streams.octets == 4
    assert read(fed(streams, segment(b"cd", ISN + 2))) == b"cdefgh"
    assert (streams.octets, streams.next_deadline()) == (0, None)


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (segment(b"XXXXXX", ISN + 2), b"abXXefXX"),
        (segment(b"XXXX", ISN + 1), b"abXXef"),
        (segment(b"XX", ISN + 2), b"abXXef"),
        (segment(b"XXXXXXXXXX"), b"abXXefXXXX"),
    ],
)
def test_of_octets_sent_twice_the_first_win(later: inet.Datagram, expected: bytes) -> None:
    assert read(fed(TcpStreams(), segment(b"ab"), segment(b"ef", ISN + 4), later)) == expected


def test_overlaps_among_those_that_wait() -> None:
    pieces = fed(
        TcpStreams(),
        segment(b"0"),
        segment(b"44", ISN + 4),
        segment(b"88", ISN + 8),
        segment(b"5555", ISN + 5),  # its first octet is known
        segment(b"333333333", ISN + 3),  # fills what is left, to both sides
        segment(b"12", ISN + 1),
    )
    assert read(pieces) == b"012344558833"


def test_the_syn_again() -> None:
    pieces = fed(TcpStreams(), segment(seq=ISN - 1, flags=SYN), segment(b"a"), segment(seq=ISN - 1, flags=SYN))
    assert pieces == [StreamData(FORTH, b"a")]


# Ends


def test_the_end_waits_for_what_is_before_it() -> None:
    streams = TcpStreams()
    assert fed(streams, segment(b"a"), segment(b"c", ISN + 2, ACK | FIN)) == [StreamData(FORTH, b"a")]
    assert fed(streams, segment(b"b", ISN + 1)) == [StreamData(FORTH, b"bc", ended=True)]


def test_a_bare_fin() -> None:
    assert fed(TcpStreams(), segment(b"a"), segment(seq=ISN + 1, flags=ACK | FIN))[-1] == StreamData(
        FORTH, b"", ended=True
    )


def test_nothing_follows_an_end() -> None:
    streams = TcpStreams()
    fed(streams, segment(b"a"), segment(seq=ISN + 1, flags=FIN))
    assert fed(streams, segment(b"a"), segment(b"more", ISN + 1), segment(flags=FIN)) == []


def test_a_new_connection_on_the_same_ports() -> None:
    streams = TcpStreams()
    fed(streams, segment(b"a", flags=ACK | FIN))
    assert read(fed(streams, segment(seq=5, flags=SYN), segment(b"new", 6))) == b"new"


def test_a_new_connection_ends_the_old_one() -> None:
    streams = TcpStreams()
    fed(streams, segment(b"old"), segment(b"waits", ISN + 50))
    assert fed(streams, segment(seq=5, flags=SYN), segment(b"new", 6)) == [
        StreamData(FORTH, b"", ended=True),
        StreamData(FORTH, b"new"),
    ]
    assert (streams.octets, streams.next_deadline()) == (0, None)


def test_ports_in_use_anew_when_the_syn_was_missed() -> None:
    streams = TcpStreams()
    fed(streams, segment(b"old", flags=ACK | FIN))
    elsewhere = ISN + (1 << 30)
    assert fed(streams, segment(b"new", elsewhere), segment(b"er", elsewhere + 3)) == [
        StreamData(FORTH, b"new"),
        StreamData(FORTH, b"er"),
    ]


def test_a_reset_that_the_receiver_does_not_believe() -> None:
    streams = TcpStreams()
    fed(streams, segment(b"one"), segment(seq=ISN + 100, flags=RST))
    assert fed(streams, segment(b"one"), segment(seq=ISN + 3)) == []
    assert read(fed(streams, segment(b"two", ISN + 3), segment(b"three", ISN + 6))) == b"twothree"


def test_a_reset_ends_both_directions() -> None:
    streams = TcpStreams()
    fed(streams, segment(b"question"), segment(b"answer", 5, flow=BACK), segment(b"waits", ISN + 50))
    assert fed(streams, segment(seq=ISN + 8, flags=RST)) == [
        StreamData(FORTH, b"", ended=True),
        StreamData(BACK, b"", ended=True),
    ]
    assert streams.octets == 0
    assert fed(streams, segment(seq=ISN + 8, flags=RST)) == []


@pytest.mark.parametrize("seq", [ISN, ISN + RESET_WINDOW + 2, ISN + (1 << 31)])
def test_a_reset_from_nowhere_is_not_believed(seq: int) -> None:
    streams = TcpStreams()
    fed(streams, segment(b"a"))
    assert fed(streams, segment(seq=seq, flags=RST)) == []
    assert read(fed(streams, segment(b"b", ISN + 1))) == b"b"


# Lost


def test_a_hole_is_skipped_when_its_time_is_up() -> None:
    streams = TcpStreams()
    fed(streams, segment(b"ab"), now_ns=0)
    fed(streams, segment(b"gh", ISN + 6), now_ns=SECOND)
    assert streams.next_deadline() == SECOND + MAX_WAIT_NS
    assert streams.flush(SECOND + MAX_WAIT_NS - 1) == []
    assert streams.flush(SECOND + MAX_WAIT_NS) == [StreamData(FORTH, b"gh", lost=4)]
    assert streams.next_deadline() is None
    assert fed(streams, segment(b"cdef", ISN + 2)) == []


def test_holes_are_skipped_one_by_one() -> None:
    streams = TcpStreams()
    fed(streams, segment(b"a"), segment(b"c", ISN + 2), segment(b"e", ISN + 4))
    assert streams.flush(MAX_WAIT_NS) == [StreamData(FORTH, b"c", lost=1)]
    assert streams.next_deadline() == 2 * MAX_WAIT_NS
    assert streams.flush(2 * MAX_WAIT_NS) == [StreamData(FORTH, b"e", lost=1)]


def test_the_next_segment_of_any_flow_shows_that_time_passes() -> None:
    streams = TcpStreams()
    fed(streams, segment(b"ab"), segment(b"gh", ISN + 6))
    pieces = fed(streams, segment(b"other", flow=BACK), now_ns=MAX_WAIT_NS)
    assert pieces == [StreamData(FORTH, b"gh", lost=4), StreamData(BACK, b"other")]


def test_a_flow_that_goes_on_is_not_thrown_by_a_forged_segment_ahead() -> None:
    streams = TcpStreams()
    fed(streams, segment(b"a"), segment(b"forged", ISN + 10_000))
    for number in range(1, 20):
        pieces = fed(streams, segment(b"x", ISN + number), now_ns=number * SECOND)
        assert pieces == [StreamData(FORTH, b"x")]


def test_the_end_of_the_capture() -> None:
    streams = TcpStreams()
    fed(streams, segment(b"a"), segment(b"c", ISN + 2), segment(b"e", ISN + 4, ACK | FIN))
    assert streams.finish() == [
        StreamData(FORTH, b"c", lost=1),
        StreamData(FORTH, b"e", lost=1, ended=True),
    ]
    assert (streams.octets, streams.finish()) == (0, [])


# Bounds


def test_octets_of_a_flow_are_bounded() -> None:
    streams = TcpStreams(max_flow_octets=10)
    pieces = fed(streams, segment(b"a"), segment(b"b" * 6, ISN + 3), segment(b"c" * 6, ISN + 20))
    assert pieces[1:] == [StreamData(FORTH, b"b" * 6, lost=2)]
    assert streams.octets == 6


def test_pieces_of_a_flow_are_bounded() -> None:
    streams = TcpStreams()
    pieces = fed(streams, segment(b"a"), *(segment(b"b", ISN + 2 * at) for at in range(1, MAX_FLOW_PIECES + 2)))
    assert [piece.lost for piece in pieces] == [0, 1]
    assert streams.octets == MAX_FLOW_PIECES


def test_octets_of_all_flows_are_bounded() -> None:
    streams = TcpStreams(max_octets=10)
    fed(streams, segment(b"a"), segment(b"b" * 8, ISN + 3), segment(b"a", flow=BACK))
    pieces = fed(streams, segment(b"c" * 8, ISN + 3, flow=BACK))
    assert pieces == [StreamData(BACK, b"c" * 8, lost=2)]
    assert streams.octets == 8


def test_the_longest_silent_flow_gives_way() -> None:
    streams = TcpStreams(max_flows=2)
    flows = [FORTH._replace(sport=port) for port in (1, 2, 3)]
    fed(streams, segment(b"a", flow=flows[0]), segment(b"a", flow=flows[1]), segment(b"c", ISN + 2, flow=flows[1]))
    fed(streams, segment(b"b", ISN + 1, flow=flows[0]))
    pieces = fed(streams, segment(b"a", flow=flows[2]))
    assert pieces == [StreamData(flows[2], b"a"), StreamData(flows[1], b"", ended=True)]
    assert (len(streams), streams.octets, streams.next_deadline()) == (2, 0, None)


@given(st.binary(min_size=1, max_size=200), st.integers(0, (1 << 32) - 1), st.data())
def test_any_cut_order_and_repetition(octets: bytes, start: int, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(octets) - 1)), max_size=8)) | {0, len(octets)})
    parts = [segment(octets[a:b], start + a) for a, b in zip(cuts, cuts[1:], strict=False)]
    spans = data.draw(st.lists(st.tuples(st.integers(0, len(octets)), st.integers(0, 50)), max_size=5))
    parts += [segment(octets[a : a + n], start + a) for a, n in spans]
    streams = TcpStreams()
    pieces = fed(streams, segment(seq=start - 1, flags=SYN), *data.draw(st.permutations(parts)))
    assert read(pieces) == octets
    assert streams.octets == 0


@given(
    st.lists(
        st.tuples(
            st.integers(-20, 60), st.binary(max_size=20), st.sampled_from([0, SYN, FIN, RST, SYN | FIN]), st.booleans()
        ),
        max_size=40,
    )
)
def test_any_segments(parts: list[tuple[int, bytes, int, bool]]) -> None:
    streams = TcpStreams(max_flows=2, max_flow_octets=30, max_octets=40)
    for now, (place, data, flags, back) in enumerate(parts):
        fed(streams, segment(data, ISN + place, flags, BACK if back else FORTH), now_ns=now * SECOND)
        assert len(streams) <= 2
        assert 0 <= streams.octets <= 40
    streams.finish()
    assert streams.octets == 0
