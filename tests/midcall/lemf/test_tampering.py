"""One bit flipped, one PDU dropped, two swapped among 100 000: the receiver names the PDU."""

from __future__ import annotations

import hashlib
from random import Random

import pytest

from imswire import hi
from midcall.lemf import Finding, Lemf, Link, Rule, Rules
from tests.midcall.lemf.deliverer import NOW, SDP, Sender

COUNT, BLOCK = 100_000, 1_000
LATER = NOW + 3_600_000_000_000
STEP = 10_000_000
FORM = hi.IpmmStream(identifier=SDP)


def delivery(locating: bool) -> list[list[bytes]]:
    """Blocks of records, the checks over each at its end: one hash, and with ``locating`` ten that overlap it."""
    sender, random = Sender(), Random(1)
    header = hi.Header(sender.liid, sender.cid, 0, 0, "SE", qualifier=hi.Qualifier.TIME_OF_INTERCEPTION)
    ways = [hi.CcTemplate(header, way, FORM).pdu for way in (0, 1)]
    audio = [random.randbytes(160) for _ in range(50)]
    blocks = []
    for first in range(0, COUNT, BLOCK):
        numbers = range(first, first + BLOCK)
        records = [
            ways[n & 1](n, NOW + STEP * n, sender.rtp(n // 2, n & 1, payload=audio[n % 50], kind=8)) for n in numbers
        ]
        covers = [list(numbers)]
        if locating:
            covers += [[n for n in numbers if (n - first) >> bit & 1] for bit in range(10)]
        checks = [check(sender, first, records, cover) for cover in covers]
        blocks.append(records + checks)
    return blocks


def check(sender: Sender, first: int, records: list[bytes], cover: list[int]) -> bytes:
    digest = hashlib.sha256(b"".join(records[n - first] for n in cover)).digest()
    return sender.tri(hi.IntegrityCheck(tuple(cover), hi.CheckType.HASH, hi.DataType.CC, digest))


@pytest.fixture(scope="module")
def plain() -> list[list[bytes]]:
    return delivery(locating=False)


@pytest.fixture(scope="module")
def locating() -> list[list[bytes]]:
    return delivery(locating=True)


def received(blocks: list[list[bytes]]) -> tuple[Lemf, list[Finding]]:
    lemf = Lemf(Rules())
    link = Link(lemf, "df")
    for block in blocks:
        octets = b"".join(block)
        batch = link.receive(octets, LATER)
        for intercept in batch.stored:
            intercept.hi3.clear()
    lemf.finish(LATER)
    return lemf, lemf.findings.take()


def changed(blocks: list[list[bytes]], number: int, *records: bytes, instead_of: int = 1) -> list[list[bytes]]:
    block, place = divmod(number, BLOCK)
    other = list(blocks[block])
    other[place : place + instead_of] = records
    return [*blocks[:block], other, *blocks[block + 1 :]]


def record(blocks: list[list[bytes]], number: int) -> bytes:
    return blocks[number // BLOCK][number % BLOCK]


def flipped(octets: bytes, bit: int) -> bytes:
    whole = int.from_bytes(octets, "big") ^ 1 << bit
    return whole.to_bytes(len(octets), "big")


def names(found: list[Finding], number: int) -> bool:
    """A finding says LIID, CIN, class and number; where boundaries are lost, which record was the last before."""
    before = f"LIID LIID1, CIN 1, CC {number - 1})"
    return any(
        (each.liid, each.cin, each.payload, each.sequence, each.last) == ("LIID1", 1, "CC", number, None)
        or (each.rule is Rule.FRAMING and before in each.text)
        for each in found
    )


def test_nothing_is_found_where_nothing_is_wrong(plain, locating):
    for blocks in (plain, locating):
        lemf, found = received(blocks)
        assert found == [] and lemf.uncovered == 0
    assert lemf.pdus == COUNT + 11 * COUNT // BLOCK


def test_dropped(plain):
    _, found = received(changed(plain, 61_803))
    assert names(found, 61_803) and {each.rule for each in found} == {Rule.GAP, Rule.UNCHECKED}


def test_swapped(plain):
    first, second = record(plain, 31_415), record(plain, 31_416)
    _, found = received(changed(plain, 31_415, second, first, instead_of=2))
    assert names(found, 31_415) and {each.rule for each in found} == {Rule.ORDER}


def test_a_flipped_bit_of_audio_is_named_where_checks_overlap(locating):
    octets = flipped(record(locating, 27_182), 8 * 100)
    _, found = received(changed(locating, 27_182, octets))
    assert names(found, 27_182)
    assert [(each.rule, each.sequence, each.last) for each in found] == [
        (Rule.HASH, 27_000, 27_999),
        (Rule.LOCATED, 27_182, None),
    ]


def test_a_flipped_bit_of_audio_without_overlap_leaves_its_hash(plain):
    _, found = received(changed(plain, 27_182, flipped(record(plain, 27_182), 8 * 100)))
    assert {(each.rule, each.sequence, each.last) for each in found} == {
        (Rule.HASH, 27_000, 27_999),
        (Rule.LOCATED, 27_000, 27_999),
    }


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(each, marks=pytest.mark.proof) for each in range(2, 8))])
def test_a_flipped_bit_anywhere(locating, seed):
    random = Random(seed)
    number = random.randrange(1, COUNT)
    octets = record(locating, number)
    bit = random.randrange(8 * len(octets))
    near = max(0, number // BLOCK - 1)
    _, found = received(changed(locating, number, flipped(octets, bit))[: near + 3])
    assert names(found, number), (number, bit, found)
