"""Octets in which a few values change: taken apart once, put together again with every length set right."""

from __future__ import annotations

from typing import Final

from imswire import ber
from imswire.hi.places import Path, chain

_LENGTHS: Final = tuple(map(ber.length, range(0x100)))


class Mould:
    """One TLV in DER, with holes where the contents of the TLVs at ``paths`` stand.

    The paths are in the order in which their values stand, and none leads into another. BerError: one leads nowhere.
    """

    __slots__ = ("_behind", "_cuts", "_heads", "_holes", "_sizes", "_steps")

    def __init__(self, octets: bytes, paths: tuple[Path, ...]) -> None:
        chains = [chain(octets, path) for path in paths]
        # The TLVs whose length may change: those that are filled, and all around them.
        nodes = {tlv.at: tlv for each in chains for tlv in each}
        numbers = {at: number for number, at in enumerate(sorted(nodes))}
        around = {inner.at: outer.at for each in chains for outer, inner in zip(each, each[1:], strict=False)}
        filled = {each[-1].at for each in chains}
        self._holes = [numbers[each[-1].at] for each in chains]
        self._cuts = [0, *(hole + 1 for hole in self._holes)]
        # Of each its contents without any such TLV inside, and the octets up to its length from the last one on.
        self._sizes = [0 if at in filled else nodes[at].end - nodes[at].start for at in numbers]
        self._heads: list[bytes] = []
        self._steps: list[tuple[int, int, int]] = []
        begin = 0
        for at, number in numbers.items():
            identifier = at + len(ber.identifier(*nodes[at][:3]))
            self._heads.append(octets[begin:identifier])
            begin = nodes[at].end if at in filled else nodes[at].start
            outer = numbers[around[at]] if at in around else -1
            self._steps.append((number, outer, identifier - at))
            if outer >= 0:
                self._sizes[outer] -= nodes[at].after - at
        self._steps.reverse()
        self._behind = octets[begin:]

    def pieces(self, *sizes: int) -> list[bytes]:
        """What stands before, between and behind contents of so many octets."""
        inside, heads = self._sizes.copy(), self._heads.copy()
        for hole, size in zip(self._holes, sizes, strict=True):
            inside[hole] = size
        for number, outer, identifier in self._steps:
            size = inside[number]
            length = _LENGTHS[size] if size < 0x100 else ber.length(size)
            heads[number] += length
            if outer >= 0:
                inside[outer] += identifier + len(length) + size
        cuts = self._cuts
        found = [b"".join(heads[begin:end]) for begin, end in zip(cuts, cuts[1:], strict=False)]
        found.append(self._behind)
        return found

    def filled(self, *contents: bytes) -> bytes:
        """The TLV with these contents in its holes."""
        out: list[bytes] = []
        for piece, value in zip(self.pieces(*map(len, contents)), (*contents, b""), strict=True):
            out += (piece, value)
        return b"".join(out)
