"""Integrity checks read at speed say the same as those read by the module's tables, or nothing."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import hi
from imswire.hi.check import check
from midcall.lemf import content
from midcall.lemf.quick import QuickCheck, integrity_check
from tests.midcall.lemf.deliverer import NOW, Sender


def built(numbers: tuple[int, ...], **changes: object) -> bytes:
    values = {"kind": 1, "data": 2, "value": bytes(32), "hash_algorithm": 2} | changes
    return Sender().tri(hi.IntegrityCheck(numbers, **values))


def quick(octets: bytes) -> QuickCheck | None:
    prefix = content.prefix_length(octets)
    start = 2 if octets[1] < 0x80 else octets[1] - 0x80 + 2
    return None if prefix is None else integrity_check(octets, start, start + 2 + prefix)


@given(st.lists(st.integers(0, (1 << 32) - 1), min_size=1, max_size=50))
def test_any_numbers(numbers):
    octets = built(tuple(numbers))
    assert quick(octets) == QuickCheck(0, NOW, hi.parse(octets).payload)


@pytest.mark.parametrize("first", [0, 100, 250, 32_700, 65_500, 8_388_500, 16_777_000, (1 << 31) - 10])
def test_runs_of_numbers(first):
    octets = built(tuple(range(first, first + 300)))
    assert quick(octets) == QuickCheck(0, NOW, hi.parse(octets).payload)


def test_a_signature():
    octets = built((1, 2), kind=2, value=bytes(64), hash_algorithm=None, signature_algorithm=3)
    assert quick(octets) == QuickCheck(0, NOW, hi.parse(octets).payload)


@pytest.mark.parametrize(
    "changes",
    [{"numbers": ()}, {"data": None}, {"data": 3}, {"hash_algorithm": None}, {"kind": 2}],
)
def test_what_the_rules_want_told_goes_the_long_way(changes):
    assert quick(built(**({"numbers": (1, 2)} | changes))) is None


def test_other_records_are_none():
    sender = Sender()
    assert quick(sender.cc()) is None and quick(sender.iri()) is None and quick(sender.tri(hi.KeepAlive())) is None


@pytest.mark.parametrize("seed", range(4))
def test_what_is_taken_breaks_no_rule(seed):
    """Octets changed behind the communicationIdentifier (the beginning is compared as a whole)."""
    random = Random(seed)
    octets = built(tuple(range(200, 230)))
    begin = content.prefix_length(octets) + 5
    taken = 0
    for _ in range(400):
        changed = bytearray(octets)
        for _ in range(random.choice((1, 1, 2))):
            changed[random.randrange(begin, len(octets))] = random.choice((0, 1, 2, 0x7F, 0x80, random.randrange(256)))
        found = quick(bytes(changed))
        if found is not None:
            taken += 1
            assert hi.parse(bytes(changed)).payload == found.check
            header = hi.parse(bytes(changed)).header
            assert (header.sequence, header.time) == (found.number, found.time)
            assert [str(each) for each in check(bytes(changed))] == []
    assert taken
