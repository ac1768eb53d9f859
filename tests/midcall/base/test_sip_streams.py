"""SIP out of TCP as a capture has it: what is not SIP, what is missing, where reading goes on."""

from __future__ import annotations

import pytest

from imswire.inet import Flow, StreamData
from midcall.base.sip_streams import SipStreams

FLOW = Flow(b"\1\2\3\4", 1, b"\5\6\7\x08", 5060)
ONE = b"MESSAGE sip:b@x SIP/2.0\r\nCall-ID: one\r\nContent-Length: 600\r\n\r\n" + b"x" * 600
TWO = b"SIP/2.0 200 OK\r\nCall-ID: two\r\nContent-Length: 0\r\n\r\n"
THREE = b"!odd.method tel:+1 SIP/2.0\r\nCall-ID : three\r\nl: 2\r\n\r\nok"


def fed(streams: SipStreams, *pieces: StreamData) -> tuple[list[bytes], list[str]]:
    messages, faults = [], []
    for piece in pieces:
        more, fault = streams.feed(piece)
        messages += more
        faults += [] if fault is None else [fault]
    return messages, faults


def test_a_start_line_may_come_in_two_pieces():
    assert fed(SipStreams(), StreamData(FLOW, TWO[:5]), StreamData(FLOW, TWO[5:])) == ([TWO], [])


def test_what_is_not_sip_is_passed_over_until_it_is():
    http = StreamData(FLOW, b"HTTP/1.1 200 OK\r\n\r\n" + TWO)
    assert fed(SipStreams(), http, StreamData(FLOW, b"\0\1\2"), StreamData(FLOW, ONE)) == ([ONE], [])


@pytest.mark.parametrize(
    ("before", "next_one"),
    [
        (b"", TWO),
        (b"", THREE),
        (b"\r\n\r\n", TWO),
        (b"\r\n\r\n", THREE),
        (b"rest of a body\r\nwith lines\r\n", TWO),
        (b"rest of a body\r\nwith lines\r\n", THREE),
        (b"x" * 300, TWO),
    ],
)
def test_behind_what_is_missing_the_next_start_line_is_found(before, next_one):
    """Messages do not begin where segments do."""
    streams = SipStreams()
    fed(streams, StreamData(FLOW, ONE + ONE[:300]))
    assert fed(streams, StreamData(FLOW, before + next_one + ONE, lost=50)) == ([next_one, ONE], [])


def test_pieces_without_a_start_line_are_passed_over():
    streams = SipStreams()
    fed(streams, StreamData(FLOW, ONE))
    middle = [
        StreamData(FLOW, b"SIP/2.0 is no start line here\r\n", lost=1),
        StreamData(FLOW, b"more"),
        StreamData(FLOW, b""),
    ]
    assert fed(streams, *middle, StreamData(FLOW, b"x\r\n" + TWO[:30]), StreamData(FLOW, TWO[30:] + ONE)) == (
        [TWO, ONE],
        [],
    )


def test_a_piece_may_end_inside_the_start_line_behind_what_is_missing():
    streams = SipStreams()
    fed(streams, StreamData(FLOW, ONE))
    assert fed(streams, StreamData(FLOW, ONE[:14], lost=9), StreamData(FLOW, ONE[14:])) == ([ONE], [])


def test_a_fault_is_told_once_and_reading_goes_on():
    streams = SipStreams()
    bad = StreamData(FLOW, ONE + b"INVITE sip:x SIP/2.0\r\nl: x\r\n\r\n")
    messages, faults = fed(streams, bad, StreamData(FLOW, b"tail"), StreamData(FLOW, b"tail\n" + TWO))
    assert messages == [ONE, TWO] and faults == ["Content-Length: not a number"]


def test_a_fault_of_what_never_was_sip_is_none():
    upper = StreamData(FLOW, b"UPPER CASE")
    assert fed(SipStreams(), upper, StreamData(FLOW, b" and a line\n"), StreamData(FLOW, TWO)) == ([TWO], [])


def test_an_end_begins_anew():
    streams = SipStreams()
    fed(streams, StreamData(FLOW, ONE + ONE[:9]), StreamData(FLOW, b"", ended=True))
    assert fed(streams, StreamData(FLOW, b"x\r\n" + TWO), StreamData(FLOW, TWO)) == ([TWO], [])


def test_something_is_lost_of_what_is_not_known_to_be_sip():
    streams = SipStreams()
    assert fed(streams, StreamData(FLOW, ONE[:90]), StreamData(FLOW, ONE[200:], lost=110)) == ([], [])
    assert fed(streams, StreamData(FLOW, TWO)) == ([TWO], [])
