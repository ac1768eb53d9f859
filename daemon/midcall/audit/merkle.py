"""Merkle trees as RFC 9162 2.1 defines them: hashes, proofs that an entry is in, and that one tree continues another.

Pure functions of hashes. Positions count from 0; a tree of ``size`` leaves has those of positions below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

HASH_OCTETS = 32
EMPTY = sha256(b"").digest()
"""The root of a tree without leaves (2.1.1)."""
LEAF, NODE = b"\x00", b"\x01"


class ProofError(ValueError):
    """A proof does not prove what it is for."""


def leaf_hash(octets: bytes) -> bytes:
    return sha256(LEAF + octets).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(NODE + left + right).digest()


class Frontier:
    """The right edge of a tree that grows: roots of its perfect subtrees, the largest first.

    It takes a hash a leaf on average, and as many hashes of memory as the size has bits that are set.
    """

    __slots__ = ("nodes", "size")

    def __init__(self, size: int = 0, nodes: Iterable[bytes] = ()) -> None:
        """ValueError: so many nodes are no edge of a tree of that size."""
        self.size = size
        self.nodes = list(nodes)
        if len(self.nodes) != size.bit_count() or any(len(each) != HASH_OCTETS for each in self.nodes):
            raise ValueError("no edge of a tree of that size")

    def append(self, leaf: bytes) -> None:
        nodes, size = self.nodes, self.size
        while size & 1:
            leaf = sha256(NODE + nodes.pop() + leaf).digest()
            size >>= 1
        nodes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        if not self.nodes:
            return EMPTY
        found = self.nodes[-1]
        for left in reversed(self.nodes[:-1]):
            found = node_hash(left, found)
        return found

    def copy(self) -> Frontier:
        return Frontier(self.size, self.nodes)


def root(leaves: Sequence[bytes], begin: int = 0, end: int | None = None) -> bytes:
    """The root over the leaf hashes from ``begin`` to before ``end``."""
    edge = Frontier()
    for position in range(begin, len(leaves) if end is None else end):
        edge.append(leaves[position])
    return edge.root()


def inclusion(leaves: Sequence[bytes], position: int, size: int) -> list[bytes]:
    """The path from a leaf to the root of the tree of ``size`` (2.1.3.1). ValueError."""
    if not 0 <= position < size <= len(leaves):
        raise ValueError("no such entry in a tree of that size")
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if position < middle:
            path.append(root(leaves, middle, end))
            end = middle
        else:
            path.append(root(leaves, begin, middle))
            begin = middle
    return path[::-1]


def consistency(leaves: Sequence[bytes], former: int, size: int) -> list[bytes]:
    """That the tree of ``size`` begins with that of ``former`` leaves (2.1.4.1). ValueError."""
    if not 0 <= former <= size <= len(leaves):
        raise ValueError("no such tree")
    if former in (0, size):
        return []
    path: list[bytes] = []
    begin, end, whole = 0, size, True
    while former - begin != end - begin:
        middle = begin + _split(end - begin)
        if former <= middle:
            path.append(root(leaves, middle, end))
            end = middle
        else:
            path.append(root(leaves, begin, middle))
            begin, whole = middle, False
    if not whole:
        path.append(root(leaves, begin, end))
    return path[::-1]


def check_inclusion(leaf: bytes, position: int, size: int, path: Sequence[bytes], expected: bytes) -> None:
    """As 2.1.3.2 verifies it. ProofError."""
    if not 0 <= position < size or any(len(each) != HASH_OCTETS for each in path):
        raise ProofError("no such entry in a tree of that size")
    place, last, found = position, size - 1, leaf
    for each in path:
        if last == 0:
            raise ProofError("a path that is too long")
        if place & 1 or place == last:
            found = node_hash(each, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, each)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise ProofError("a path that is too short")
    if found != expected:
        raise ProofError("the entry is not in that tree")


def check_consistency(former: int, size: int, first: bytes, second: bytes, path: Sequence[bytes]) -> None:
    """As 2.1.4.2 verifies it; an empty tree is continued by every other. ProofError."""
    if not 0 <= former <= size or any(len(each) != HASH_OCTETS for each in path):
        raise ProofError("the later tree is the smaller one")
    if former in (0, size):
        if path:
            raise ProofError("a path where there is none")
        if first != (EMPTY if former == 0 else second):
            raise ProofError("two trees of one size, with different roots")
        return
    if not path:
        raise ProofError("a path is missing")
    nodes = list(path)
    if former & (former - 1) == 0:
        nodes.insert(0, first)
    place, last = former - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = nodes[0]
    for each in nodes[1:]:
        if last == 0:
            raise ProofError("a path that is too long")
        if place & 1 or place == last:
            old, new = node_hash(each, old), node_hash(each, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, each)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise ProofError("a path that is too short")
    if old != first or new != second:
        raise ProofError("the later tree does not begin with the former one")


def _split(count: int) -> int:
    """The largest power of two that is smaller than ``count``."""
    return 1 << (count - 1).bit_length() - 1
