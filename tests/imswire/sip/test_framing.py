"""Messages out of a stream, however it is cut (RFC 3261 18.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import sip

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
        (b"A" * 70_000, "head"),
    ],
)
def test_streams_that_cannot_go_on(octets, field):
    with pytest.raises(sip.SipError) as caught:
        sip.StreamFramer().feed(octets)
    assert caught.value.field == field
