"""The chain of integrity checks: what it takes in pieces of any size is hashed as one."""

from __future__ import annotations

import hashlib

import pytest

from midcall.handover.integrity import Chain
from midcall.handover.values import NUMBERS, ContextKey, Kind

KEY = ContextKey("LI-1", "operator", None, 1, None, Kind.CC)


@pytest.mark.parametrize("size", [10, 500, 1_300])
def test_a_hash_covers_the_octets_in_their_order(size):
    chain, octets = Chain(KEY), [bytes((n,)) * size for n in range(12)]
    assert chain.add(NUMBERS - 5, octets[:3]) == b"".join(octets[:3])
    chain.add(NUMBERS - 2, octets[3:5])
    chain.add(0, octets[5:9])
    chain.add(7, octets[9:])
    (check,) = chain.take_hashes()
    assert check.value == hashlib.sha256(b"".join(octets)).digest()
    assert check.numbers == (*range(NUMBERS - 5, NUMBERS), *range(4), 7, 8, 9)
    assert chain.empty


def test_one_that_goes_on_from_another_leaves_it_alone():
    chain = Chain(KEY, locate=True)
    chain.add(0, [b"a", b"b"])
    other = Chain(KEY, locate=True).go_on_from(chain)
    other.add(2, [b"c"])
    assert (chain.count, other.count) == (2, 3)
    assert chain.take_hashes()[0].numbers == (0, 1) and other.take_hashes()[0].numbers == (0, 1, 2)
