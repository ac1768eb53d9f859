"""Which numbers are missing, as ranges; and digests of those that came, in bounded memory."""

from __future__ import annotations

from random import Random

import pytest

from midcall.lemf import numbers
from midcall.lemf.numbers import NUMBERS, Digests, Gaps, Memory, runs
from tests.midcall.lemf.deliverer import Sender
from tests.midcall.lemf.memory import Lab


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("first", [0, NUMBERS - 300])
def test_gaps_are_what_a_set_would_be(seed, first):
    random = Random(seed)
    gaps, missing, told = Gaps(), set(), set()
    following = first
    for now in range(60):
        following += random.randrange(1, 20)
        count = random.randrange(1, 10)
        gaps.add(following % NUMBERS, count, now)
        missing |= {each % NUMBERS for each in range(following, following + count)}
        following += count
        for _ in range(3):
            number = random.randrange(first, following) % NUMBERS
            assert gaps.fill(number) == (number in missing)
            missing.discard(number)
        named = [random.randrange(first, following) % NUMBERS for _ in range(3)]
        fresh = {each % NUMBERS for gap in gaps.named(named) for each in gap}
        assert fresh == {each for each in named if each in missing} - told
        told |= fresh
        assert {each % NUMBERS for gap in gaps for each in gap} == missing
    due = {each % NUMBERS for gap in gaps.overdue(1_000) for each in gap}
    assert due == missing - told and not gaps.open and gaps.overdue(1_000) == []


def test_gaps_beyond_the_bound_are_told_and_forgotten(monkeypatch):
    monkeypatch.setattr(numbers, "MAX_GAPS", 3)
    gaps = Gaps()
    for first in range(0, 100, 10):
        gaps.add(first, 2, now := 5)
    assert [each.start for each in gaps.overdue(now - 1)] == [0, 10, 20, 30, 40, 50, 60] and gaps.open
    assert list(gaps) == [range(70, 72), range(80, 82), range(90, 92)] and 5 not in gaps and 71 in gaps


def test_a_gap_of_half_of_all_numbers_is_told_and_not_remembered():
    gaps = Gaps()
    gaps.add(0, NUMBERS - 5, 1)
    assert 3 not in gaps and gaps.open and gaps.overdue(0) == [range(NUMBERS - 5)] and not gaps.open


def test_runs():
    assert runs([1, 2, 3, 7, 9, 10]) == [range(1, 4), range(7, 8), range(9, 11)]


def test_digests_of_all_numbers_that_came():
    memory = Memory()
    digests = Digests(memory)
    for first in (*range(0, 5_000, 100), NUMBERS - 50):
        digests.add(first, [b"%d" % ((first + each) % NUMBERS) for each in range(100)])
    assert all(digests.get(each) == hash(b"%d" % each) for each in (*range(5_000), NUMBERS - 1))
    assert digests.get(5_000) == 0 and digests.get(1 << 20) == 0
    digests.clear()
    assert memory.held == 0 and digests.get(0) == 0


def test_digests_of_all_sequences_are_bounded_together(monkeypatch):
    monkeypatch.setattr(numbers, "MAX_DIGESTS", 4 * numbers.BLOCK)
    memory = Memory()
    old, new = Digests(memory), Digests(memory)
    old.add(0, [b"old"] * 2 * numbers.BLOCK)
    new.add(0, [b"new"] * 3 * numbers.BLOCK)
    assert memory.held == 4 * numbers.BLOCK
    assert old.get(0) == 0 and old.get(numbers.BLOCK) == hash(b"old") and new.get(0) == hash(b"new")
    monkeypatch.setattr(memory._blocks, "bound", 2)
    Digests(memory).add(7, [b"other"])
    assert len(memory._blocks) <= 4


def hashed(count: int) -> list[bytes]:
    """Records with a hash over each 1 000."""
    sender = Sender()
    pdus = []
    for _ in range(0, count, 1_000):
        pdus += [sender.cc() for _ in range(1_000)] + [sender.check()]
    return pdus


@pytest.mark.parametrize("again", [1, 3])
def test_a_long_delivery_that_comes_again_is_left_out(again):
    """A replay that ran twice: its records are known however long ago they came."""
    pdus = hashed(10_000)
    lab = Lab().take(pdus * (1 + again))
    assert lab.said() == [] and lab.lemf.repeats == again * len(pdus)
    assert lab.stored["hi3"] == b"".join(pdus) and len(lab.media) == 10_000


def test_what_is_too_old_to_compare_is_put_aside_and_not_stored_twice(monkeypatch):
    monkeypatch.setattr(numbers, "MAX_DIGESTS", 2 * numbers.BLOCK)
    pdus = hashed(5_000)
    lab = Lab().take([*pdus, pdus[5], pdus[-2]])
    (intercept,) = lab.lemf.intercepts.values()
    assert lab.said() == [("repeat", "CC", 5)] and intercept.aside == [pdus[5]]
    assert lab.stored["hi3"] == b"".join(pdus) and len(lab.media) == 5_000
