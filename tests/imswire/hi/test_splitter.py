"""PS-PDUs out of a stream, however it is cut."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire.hi import HiError, Splitter
from tests.imswire.hi.loose import loosen
from tests.imswire.hi.samples import BUILT

ONE, TWO = BUILT["tri-keep-alive"], BUILT["eps-start-of-interception"]
ENDLESS = bytes.fromhex("3080 a080 0401ff 9f1f0100 9f8f1f0100 0481020000 0000 0500 0000".replace(" ", ""))


@given(st.lists(st.sampled_from(sorted(BUILT)), max_size=5), st.integers(0, 2**32), st.data())
def test_every_cut_gives_the_same_pdus(names, seed, data):
    draw = random.Random(seed)
    pdus = [loosen(BUILT[name], draw.randrange) if draw.randrange(2) else BUILT[name] for name in names]
    stream = b"".join(pdus)
    splitter, found = Splitter(), []
    while stream:
        width = data.draw(st.integers(1, len(stream)))
        found += splitter.feed(stream[:width])
        stream = stream[width:]
    assert found == pdus and splitter.pending == 0 and splitter.fault is None


@pytest.mark.parametrize("octets", [ONE, TWO, ENDLESS])
def test_octet_by_octet(octets):
    splitter = Splitter()
    found = [pdu for octet in octets * 2 for pdu in splitter.feed(bytes([octet]))]
    assert found == [octets, octets] and splitter.pending == 0


def test_half_a_pdu_waits():
    splitter = Splitter()
    assert splitter.feed(b"") == [] and splitter.feed(TWO[:-1]) == []
    assert splitter.pending == len(TWO) - 1
    assert splitter.feed(TWO[-1:] + ONE) == [TWO, ONE]


@pytest.mark.parametrize(
    "text, rule",
    [
        ("16", "where a PS-PDU should begin"),
        ("1603", "where a PS-PDU should begin"),
        ("3089", "length of 9 octets"),
        ("308400100000", "at most 1000"),
        ("30880000000100000000", "at most 1000"),
        ("3080 0480", "primitive, or too deep"),
        ("3080" * 40, "too deep"),
        ("3080 0001", "end-of-contents with a length"),
        ("3080 1fffffffffff", "tag of more than four octets"),
        ("3080 0489", "length of 9 octets"),
        ("3080 0484 00ffffff", "more than 1000"),
        ("3080 0482 03f0 " + "00" * 1008, "more than 1000"),
        ("3080 3080 " * 1 + "0400" * 600, "more than 1000"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_what_cannot_be_split(text, rule, whole):
    octets = bytes.fromhex(text.replace(" ", ""))
    splitter = Splitter(1_000)
    assert splitter.feed(ONE) == [ONE]
    with pytest.raises(HiError, match=rule) as caught:
        for piece in [octets] if whole else [octets[place : place + 1] for place in range(len(octets))]:
            assert splitter.feed(piece) == []
    assert caught.value.offset is not None and caught.value.offset >= len(ONE)
    assert splitter.fault is caught.value and splitter.pending == 0
    with pytest.raises(HiError, match=rule):
        splitter.feed(ONE)


def test_pdus_before_garbage_come_first():
    splitter = Splitter()
    assert splitter.feed(ONE + TWO + b"garbage") == [ONE, TWO]
    assert splitter.fault is not None and splitter.fault.offset == len(ONE + TWO)
    with pytest.raises(HiError):
        splitter.feed(b"")


@pytest.mark.parametrize(
    "text", ["3080", "308004", "30801f", "30801f81", "30800482", "308004820001", "30", "3082", "308201"]
)
def test_what_may_become_a_pdu_waits(text):
    splitter = Splitter()
    assert splitter.feed(bytes.fromhex(text)) == [] and splitter.fault is None


@given(st.binary(max_size=80), st.data())
def test_nothing_but_its_own_error_and_the_same_wherever_it_is_cut(octets, data):
    def run(pieces):
        splitter, found = Splitter(64), []
        try:
            for piece in pieces:
                found += splitter.feed(piece)
            splitter.feed(b"")
        except HiError as fault:
            return found, str(fault)
        return found, None

    octets = data.draw(st.sampled_from([b"", b"\x30\x80", b"\x30\x10"])) + octets
    place = data.draw(st.integers(0, len(octets)))
    assert run([octets]) == run([octets[:place], octets[place:]])
