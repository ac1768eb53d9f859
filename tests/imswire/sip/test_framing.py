"""Messages out of a stream, however it is cut (RFC 3261 18.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import sip
from imswire.sip.verdict import judge
from tests.imswire.sip.torture import TORTURE, VERDICTS, named

ONE = b"OPTIONS sip:x SIP/2.0\r\nl : 4\r\n\r\nbody"
TWO = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"
BARE = b"BYE sip:x SIP/2.0\r\nX: y\r\n\r\n"


@given(st.lists(st.sampled_from([ONE, TWO, BARE]), max_size=6), st.data())
def test_every_cut_gives_the_same_messages(messages, data):
    stream = b"".join(b"\r\n\r\n" * data.draw(st.integers(0, 2)) + message for message in messages)
    framer, found = sip.StreamFramer(), []
    while stream:
        width = data.draw(st.integers(1, len(stream)))
        found += framer.feed(stream[:width])
        stream = stream[width:]
    assert found == messages and framer.pending == 0


def test_octet_by_octet():
    framer = sip.StreamFramer()
    found = [message for octet in ONE + b"\r\n\r\n" + TWO for message in framer.feed(bytes([octet]))]
    assert found == [ONE, TWO]


def test_half_a_message_waits():
    framer = sip.StreamFramer()
    assert framer.feed(ONE[:-1]) == [] and framer.pending == len(ONE) - 1


@pytest.mark.parametrize(
    ("octets", "field"),
    [
        (b"OPTIONS sip:x SIP/2.0\r\nContent-Length: x\r\n\r\n", "Content-Length"),
        (b"OPTIONS sip:x SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\n", "Content-Length"),
        (b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 9999999\r\n\r\n", "message"),
        (b"OPTIONS sip:x SIP/2.0\r\n" + b"A" * 70_000, "head"),
        (b"A" * 9_000, "start line"),
        (b"body longer than announced\r\n", "start line"),
    ],
)
def test_streams_that_cannot_go_on(octets, field):
    framer = sip.StreamFramer()
    assert framer.feed(ONE + octets) == [ONE]
    assert framer.fault is not None and framer.fault.field == field
    assert framer.feed(TWO) == [] and framer.pending == 0


@pytest.mark.parametrize("name", sorted(VERDICTS))
def test_torture_messages_give_the_same_wherever_the_stream_is_cut(name):
    octets = (TORTURE / name).read_bytes()
    whole = read_stream(octets)
    assert [read_stream(octets[:cut], octets[cut:]) for cut in range(1, len(octets))] == [whole] * (len(octets) - 1)
    assert read_stream(*(octets[place : place + 1] for place in range(len(octets)))) == whole


@pytest.mark.parametrize("name", sorted(VERDICTS))
def test_torture_messages_on_a_stream(name):
    messages, fault, pending = read_stream((TORTURE / name).read_bytes())
    expected = VERDICTS[name]["stream"]
    if expected == "wait":
        assert not messages and not fault and pending
    elif expected == "close":
        assert not messages and fault
    else:
        assert named(judge(messages[0])) == expected.partition(",")[0]
        assert bool(fault) == expected.endswith("then close")
        assert len(messages) == (2 if "then more" in expected else 1)


def read_stream(*pieces):
    framer = sip.StreamFramer()
    messages = [message for piece in pieces for message in framer.feed(piece)]
    return messages, str(framer.fault or ""), framer.pending


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_content_length_is_a_header_and_may_be_folded(end):
    lines = ["OPTIONS sip:x SIP/2.0", "Subject: x", " l: 500", "Content-Length:", "  004", "", "body"]
    octets = end.join(lines).encode()
    assert read_stream(octets + ONE) == ([octets, ONE], "", 0)
    assert read_stream(*((octets + TWO)[place : place + 1] for place in range(len(octets + TWO))))[0] == [octets, TWO]
