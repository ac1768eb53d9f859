"""PDUs out of a stream, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import x2x3
from imswire.x2x3 import Splitter, X2X3Error
from tests.imswire.x2x3.samples import KEEPALIVE, START, changed, pdus


@given(st.lists(pdus.map(x2x3.build), max_size=5), st.data())
def test_every_cut_gives_the_same_pdus(sent, data):
    stream, splitter, found = b"".join(sent), Splitter(), []
    while stream:
        width = data.draw(st.integers(1, len(stream)))
        found += splitter.feed(stream[:width])
        stream = stream[width:]
    assert found == sent and splitter.pending == 0 and splitter.fault is None


def test_octet_by_octet():
    splitter = Splitter()
    assert [pdu for octet in START + KEEPALIVE for pdu in splitter.feed(bytes([octet]))] == [START, KEEPALIVE]


def test_half_a_pdu_waits():
    splitter = Splitter()
    assert splitter.feed(b"") == [] and splitter.feed(START[:-1]) == [] and splitter.pending == len(START) - 1
    assert splitter.feed(START[-1:] + KEEPALIVE) == [START, KEEPALIVE]


BROKEN = [
    (b"HTTP/1.1 400 Bad Request", "major version 72"),
    (changed(START, 0, 5, 0), "swapped"),
    (b"\x01\x05", "major version 1"),
    (changed(START, 4, 0, 0, 0, 39), "39 octets"),
    (changed(START, 8, 0, 32, 0, 0), "at most 2097152"),
    (changed(START, 4, 255, 255, 255, 255, 255, 255, 255, 255), "PDU of 8589934590"),
]


@pytest.mark.parametrize("octets, rule", BROKEN)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_broken_stream_says_where_and_goes_no_further(octets, rule, step):
    splitter, found = Splitter(), []
    stream = KEEPALIVE + octets
    with pytest.raises(X2X3Error, match=rule) as caught:
        for at in range(0, len(stream), step):
            found += splitter.feed(stream[at : at + step])
        splitter.feed(b"")
    assert found == [KEEPALIVE] and caught.value is splitter.fault and splitter.pending == 0
    assert caught.value.offset == 48
    with pytest.raises(X2X3Error, match=rule):
        splitter.feed(KEEPALIVE)


def test_the_limit_is_one_of_whole_pdus():
    assert Splitter(len(START)).feed(START) == [START]
    with pytest.raises(X2X3Error, match="at most"):
        Splitter(len(START) - 1).feed(START[:12])


def test_majors_that_are_allowed():
    swapped = changed(START, 0, 5, 0)
    assert Splitter(majors={0, 5}).feed(swapped + KEEPALIVE) == [swapped, KEEPALIVE]


def test_other_minors_pass():
    assert Splitter().feed(changed(START, 1, 6)) == [changed(START, 1, 6)]
