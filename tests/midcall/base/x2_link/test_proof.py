"""Keepalives and what their answers prove (TS 103 221-2 6.2.4), on a clock of the test's own."""

from __future__ import annotations

import pytest

from imswire import x2x3
from midcall.base.x2_link.proof import NS, LinkLost, Numbers, Proof
from midcall.base.x2_link.settings import X2LinkSettings

SETTINGS = X2LinkSettings(answers=3, proof_pdus=10)


def answer(octets: bytes, more: int = 0) -> x2x3.Pdu:
    return x2x3.acknowledgement(x2x3.keepalive((x2x3.parse(octets).sequence or 0) + more))


def opened() -> tuple[Proof, bytes]:
    proof = Proof(SETTINGS, Numbers(), 0)
    return proof, proof.hello(0)


def test_a_keepalive_each_time_p1_when_idle():
    proof, hello = opened()
    proof.received(answer(hello), 1 * NS)
    assert proof.heard and proof.next_deadline() == 60 * NS
    assert proof.due(60 * NS - 1) == b""
    assert x2x3.parse(proof.due(60 * NS)) == x2x3.keepalive(1)


def test_the_octets_of_a_keepalive():
    """Header of 48 octets, type 3, attribute 8, all else zero."""
    _, hello = opened()
    assert hello == bytes.fromhex("0005 0003 00000030 00000000") + bytes(28) + bytes.fromhex("0008 0004 00000000")


def test_behind_data_after_a_second_or_so_many_pdus():
    proof, _ = opened()
    proof.sent(1, 9, 2 * NS)
    assert proof.due(2 * NS) == b"" and proof.next_deadline() == 3 * NS
    assert proof.due(3 * NS)
    proof.sent(2, 10, 4 * NS)
    assert proof.due(4 * NS)
    proof.sent(3, 1, 5 * NS)
    assert proof.due(5 * NS) == b"" and proof.due(5 * NS, urgent=True) and proof.due(5 * NS, urgent=True) == b""


def test_an_answer_releases_what_stands_before_its_question():
    proof, _ = opened()
    proof.sent(1, 1, 0)
    first = proof.due(NS)
    proof.sent(2, 1, NS)
    second = proof.due(2 * NS)
    proof.sent(3, 1, 2 * NS)
    proof.received(answer(first), 3 * NS)
    assert proof.released == 1
    proof.received(answer(second), 3 * NS)
    assert proof.released == 2
    proof.received(answer(first), 3 * NS)  # once more: answers nothing
    assert proof.released == 2 and proof.strays == 1


def test_an_answer_settles_the_questions_before_it():
    proof, _ = opened()
    proof.sent(1, 1, 0)
    proof.due(NS)
    proof.sent(2, 1, NS)
    second = proof.due(2 * NS)
    proof.received(answer(second), 3 * NS)
    assert proof.released == 2
    proof.tick(1_000 * NS)  # nothing is open


def test_no_valid_answer_within_time_p2():
    proof, hello = opened()
    proof.received(answer(hello, 1), 100 * NS)  # a wrong number does not count
    assert not proof.heard
    proof.tick(180 * NS - 1)
    assert proof.next_deadline() == 60 * NS
    with pytest.raises(LinkLost, match="180 s"):
        proof.tick(180 * NS)


def test_silence_counts_from_the_last_valid_answer():
    proof, hello = opened()
    proof.received(answer(hello), 50 * NS)
    assert proof.due(110 * NS)
    proof.tick(229 * NS)
    with pytest.raises(LinkLost):
        proof.tick(230 * NS)


def test_chatter_ends_the_connection():
    proof, _ = opened()
    for _ in range(3):
        proof.received(x2x3.keepalive(0), 0)
    with pytest.raises(LinkLost, match="answer nothing"):
        proof.received(x2x3.keepalive(0), 0)


def test_numbers_go_on_over_connections_and_wrap():
    numbers = Numbers()
    Proof(SETTINGS, numbers, 0).hello(0)
    assert x2x3.parse(Proof(SETTINGS, numbers, 0).hello(0)).sequence == 1
    numbers._next = (1 << 32) - 1
    assert (numbers.take(), numbers.take()) == ((1 << 32) - 1, 0)
