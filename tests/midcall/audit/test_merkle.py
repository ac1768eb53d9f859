"""Merkle trees against the definitions of RFC 9162 2.1, written down here once more as they stand there."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midcall.audit import merkle
from midcall.audit.merkle import Frontier, ProofError

# The definitions, term by term: D is a list of inputs.


def mth(d: list[bytes]) -> bytes:
    """2.1.1."""
    n = len(d)
    if n == 0:
        return sha256().digest()
    if n == 1:
        return sha256(b"\x00" + d[0]).digest()
    k = largest_power_below(n)
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: list[bytes]) -> list[bytes]:
    """2.1.3.1."""
    n = len(d)
    if n == 1:
        return []
    k = largest_power_below(n)
    if m < k:
        return [*path(m, d[:k]), mth(d[k:])]
    return [*path(m - k, d[k:]), mth(d[:k])]


def proof(m: int, d: list[bytes]) -> list[bytes]:
    """2.1.4.1."""
    return subproof(m, d, True)


def subproof(m: int, d: list[bytes], b: bool) -> list[bytes]:
    n = len(d)
    if m == n:
        return [] if b else [mth(d)]
    k = largest_power_below(n)
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def largest_power_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


# Inputs and roots of the test of the reference implementation of Certificate Transparency (RFC 6962, the same hashes).
CT_INPUTS = [bytes.fromhex(each) for each in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def hashes(inputs: list[bytes]) -> list[bytes]:
    return [merkle.leaf_hash(each) for each in inputs]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_of_certificate_transparency(size):
    assert merkle.root(hashes(CT_INPUTS), 0, size).hex() == CT_ROOTS[size - 1]
    assert mth(CT_INPUTS[:size]).hex() == CT_ROOTS[size - 1]


def test_the_empty_tree():
    assert merkle.root([]) == Frontier().root() == mth([]) == sha256(b"").digest()


@pytest.mark.parametrize("size", range(1, 34))
def test_all_proofs_of_small_trees_are_those_of_the_definitions(size):
    d = [bytes([n]) for n in range(size)]
    leaves, root = hashes(d), mth(d)
    for m in range(size):
        found = merkle.inclusion(leaves, m, size)
        assert found == path(m, d)
        merkle.check_inclusion(leaves[m], m, size, found, root)
    for m in range(1, size + 1):
        found = merkle.consistency(leaves, m, size)
        assert found == proof(m, d)
        merkle.check_consistency(m, size, mth(d[:m]), root, found)
    assert merkle.consistency(leaves, 0, size) == []
    merkle.check_consistency(0, size, mth([]), root, [])


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=200), st.data())
def test_proofs_are_those_of_the_definitions(d, data):
    leaves = hashes(d)
    size = data.draw(st.integers(1, len(d)))
    m = data.draw(st.integers(0, size - 1))
    assert merkle.root(leaves, 0, size) == mth(d[:size])
    found = merkle.inclusion(leaves, m, size)
    assert found == path(m, d[:size])
    merkle.check_inclusion(leaves[m], m, size, found, mth(d[:size]))
    former = merkle.consistency(leaves, m + 1, size)
    assert former == proof(m + 1, d[:size])
    merkle.check_consistency(m + 1, size, mth(d[: m + 1]), mth(d[:size]), former)


@settings(max_examples=40)
@given(st.integers(1, 300), st.data())
def test_a_proof_that_is_changed_in_any_way_proves_nothing(size, data):
    leaves = hashes([n.to_bytes(2, "big") for n in range(size)])
    root = merkle.root(leaves)
    m = data.draw(st.integers(0, size - 1))
    good = merkle.inclusion(leaves, m, size)
    for bad in changed(good, data):
        with pytest.raises(ProofError):
            merkle.check_inclusion(leaves[m], m, size, bad, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda each: each != m) if size > 1 else st.just(size))
    with pytest.raises(ProofError):
        merkle.check_inclusion(leaves[m], other, size, good, root)
    former = data.draw(st.integers(1, size))
    whole = merkle.consistency(leaves, former, size)
    for bad in changed(whole, data):
        with pytest.raises(ProofError):
            merkle.check_consistency(former, size, merkle.root(leaves, 0, former), root, bad)
    with pytest.raises(ProofError):
        merkle.check_consistency(former, size, bytes(32), root, whole)


def changed(good: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    found = [[*good, bytes(32)]]
    if good:
        place = data.draw(st.integers(0, len(good) - 1))
        bit = data.draw(st.integers(0, 255))
        flipped = (int.from_bytes(good[place], "big") ^ 1 << bit).to_bytes(32, "big")
        found += [good[:-1], good[1:], [*good[:place], flipped, *good[place + 1 :]], [*good[:place], good[place][:-1]]]
    return found


def test_a_second_history_is_no_continuation_of_the_first():
    one = hashes([bytes([n]) for n in range(20)])
    other = [*one[:7], *hashes([b"other"]), *one[8:]]
    for former in range(8, 20):
        with pytest.raises(ProofError):
            merkle.check_consistency(
                former, 20, merkle.root(one, 0, former), merkle.root(other), merkle.consistency(other, former, 20)
            )


@pytest.mark.parametrize(("former", "size"), [(-1, 3), (4, 3), (0, 4)])
def test_trees_that_are_not_there(former, size):
    leaves = hashes([b"1", b"2", b"3"])
    with pytest.raises(ValueError):
        merkle.consistency(leaves, former, size)
    with pytest.raises(ValueError):
        merkle.inclusion(leaves, former if former else 4, size)
    with pytest.raises(ProofError):
        merkle.check_consistency(former if former else 5, size, bytes(32), bytes(32), [])
    with pytest.raises(ProofError):
        merkle.check_inclusion(bytes(32), former if former else 4, size, [], bytes(32))


@given(st.integers(0, 600))
def test_an_edge_is_enough_to_go_on(size):
    leaves = hashes([n.to_bytes(2, "big") for n in range(size + 3)])
    edge = Frontier()
    for each in leaves[:size]:
        edge.append(each)
    again = Frontier(size, edge.nodes)
    for each in leaves[size:]:
        again.append(each)
    assert again.root() == merkle.root(leaves)
    assert len(edge.nodes) == size.bit_count()
    with pytest.raises(ValueError, match="no edge"):
        Frontier(size + 1, edge.nodes if (size + 1).bit_count() != len(edge.nodes) else edge.nodes[1:])
