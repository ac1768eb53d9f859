"""What a receiver must know of every PS-PDU is the same whichever way it is found."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import ber, hi
from imswire.hi import HiError
from imswire.hi import peek as module
from imswire.hi.peek import Peek, peek
from tests.imswire.hi.loose import loosen
from tests.imswire.hi.samples import ALL, BUILT, VECTORS


@pytest.mark.parametrize("name", ALL)
def test_it_is_what_parse_says(name):
    octets, pdu = BUILT[name], ALL[name]
    found = peek(octets)
    assert (found.liid, found.sequence) == (pdu.header.liid, pdu.header.sequence)
    assert octets[found.at - 2] == 0x84
    tlv = ber.read(found.cid)
    assert (tlv.number, tlv.after) == (3, len(found.cid))
    if name.startswith("tri-"):
        assert found.tag == hi.PayloadTag.TRI and found.tri in list(hi.TriTag)
    else:
        assert found.tri == (3 if found.tag == hi.PayloadTag.TRI else -1)
    if name != "full-header":
        assert module._short(octets) == found, "the usual form takes the short way"


def test_the_vector():
    octets = VECTORS["KA"][1]
    cid = bytes.fromhex("a313a00a80034f5031810344463281010782025345")
    assert peek(octets) == Peek(b"LIID1", cid, 5, hi.PayloadTag.TRI, hi.TriTag.KEEP_ALIVE, 47)


def test_contexts_differ_in_what_they_count():
    assert len({peek(BUILT[name])[3:5] for name in BUILT if name.startswith("tri-")}) == len(hi.TriTag)


@given(st.sampled_from(sorted(ALL)), st.integers(0, 2**32))
def test_any_ber(name, seed):
    octets = loosen(BUILT[name], random.Random(seed).randrange, frozenset({b"LIID1"}))
    found, usual = peek(octets), peek(BUILT[name])
    assert (found.liid, found.sequence, found.tag, found.tri) == (usual.liid, usual.sequence, usual.tag, usual.tri)


@given(st.sampled_from(sorted(BUILT)), st.data())
def test_both_ways_agree_and_nothing_but_their_own_error(name, data):
    octets = bytearray(BUILT[name])
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, min(len(octets), 80) - 1))] = data.draw(st.integers(0, 255))
    broken = bytes(octets)
    try:
        pdu = hi.parse(broken)
    except HiError:
        pdu = None
    try:
        found = peek(broken)
    except HiError:
        assert pdu is None
        return
    if pdu is not None:
        assert (found.liid, found.sequence) == (pdu.header.liid, pdu.header.sequence)
        assert found == module._any(broken)


@pytest.mark.parametrize(
    "text, rule",
    [
        ("", "nothing left"),
        ("30", "cut short"),
        ("3100", "no SEQUENCE"),
        ("3000", "pSHeader: missing|pSHeader at"),
        ("3004a100a200", "lawfulInterceptionIdentifier"),
        ("300fa10b8000810161a3008402ffffa200", "behind it|nothing left"),
    ],
)
def test_what_is_no_pdu(text, rule):
    with pytest.raises(HiError, match=rule):
        peek(bytes.fromhex(text))


def test_a_payload_that_is_empty():
    with pytest.raises(HiError, match="nothing left"):
        peek(bytes.fromhex("300ea10a80008101 61a300840101a200".replace(" ", "")))
