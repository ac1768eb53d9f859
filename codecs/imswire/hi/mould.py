"""Octets in which a few values change: taken apart once, put together again with every length set right."""

from __future__ import annotations

from typing import Final, NamedTuple

from imswire import ber
from imswire.hi.places import Path, chain

# Of contents as long as most SIP messages are.
_LENGTHS: Final = tuple(map(ber.length, range(0x1000)))


class _Span(NamedTuple):
    """Sizes of contents, from ``low`` to ``high``, with which every length takes as many octets as with the others.

    Then all lengths grow as the contents do: a piece that has some is a number that starts at ``start`` with contents
    of no octet and grows by ``step`` with each one.
    """

    low: int
    high: int
    octets: list[bytes]  # the pieces, and places for contents between them
    growing: list[tuple[int, int, int, int]]  # place, start, step, octets


class Mould:
    """One TLV in DER, with holes where the contents of the TLVs at ``paths`` stand.

    The paths are in the order in which their values stand, and none leads into another. Values at those that are
    ``fixed`` as well never change their size. BerError: a path leads nowhere.
    """

    __slots__ = ("_behind", "_cuts", "_free", "_heads", "_holes", "_sizes", "_span", "_steps")

    def __init__(self, octets: bytes, paths: tuple[Path, ...], fixed: tuple[Path, ...] = ()) -> None:
        # The TLVs that are filled, and all whose length may change by that: the free ones and what is around them.
        chains = [chain(octets, path)[-1:] if path in fixed else chain(octets, path) for path in paths]
        nodes = {tlv.at: tlv for each in chains for tlv in each}
        numbers = {at: number for number, at in enumerate(sorted(nodes))}
        around = {inner.at: outer.at for each in chains for outer, inner in zip(each, each[1:], strict=False)}
        holes = {each[-1].at: path for path, each in zip(paths, chains, strict=True)}
        ends = [numbers[at] + 1 for at in holes]
        self._cuts = list(zip([0, *ends], ends, strict=False))
        self._free = [place for place, path in enumerate(paths) if path not in fixed]
        self._holes = [numbers[at] for at, path in holes.items() if path not in fixed]
        # Of each its contents without any free one inside, and the octets up to its length from the last one on.
        self._sizes = [0 if at in holes else nodes[at].end - nodes[at].start for at in numbers]
        self._heads: list[bytes] = []
        self._steps: list[tuple[int, int, int]] = []
        begin = 0
        for at, number in numbers.items():
            tlv = nodes[at]
            free = holes.get(at) not in fixed
            identifier = len(ber.identifier(tlv.klass, tlv.number, tlv.constructed))
            self._heads.append(octets[begin : at + identifier if free else tlv.start])
            begin = tlv.end if at in holes else tlv.start
            if free:
                outer = numbers[around[at]] if at in around else -1
                self._steps.append((number, outer, identifier))
                if outer >= 0:
                    self._sizes[outer] -= tlv.after - at
        self._steps.reverse()
        self._behind = octets[begin:]
        self._span = _Span(0, -1, [], [])

    def pieces(self, *sizes: int) -> list[bytes]:
        """What stands before, between and behind contents; ``sizes`` are those of the free ones, in octets."""
        inside, heads = self._inside(sizes), self._heads.copy()
        for number, _, _ in self._steps:
            size = inside[number]
            heads[number] += _LENGTHS[size] if size < 0x1000 else ber.length(size)
        found = [b"".join(heads[begin:end]) for begin, end in self._cuts]
        found.append(self._behind)
        return found

    def filled(self, *contents: bytes) -> bytes:
        """The TLV with these contents in its holes: at speed, if but one of them is free."""
        if len(self._free) == 1:
            size = len(contents[self._free[0]])
            span = self._span
            if not span.low <= size <= span.high:
                span = self._span = self._spanned(size)
            out = span.octets.copy()
            for place, start, step, octets in span.growing:
                out[place] = (start + step * size).to_bytes(octets, "big")
        else:
            out = _parted(self.pieces(*[len(contents[place]) for place in self._free]))
        out[1::2] = contents
        return b"".join(out)

    def _inside(self, sizes: tuple[int, ...]) -> list[int]:
        """Octets of contents of each TLV whose length may change."""
        inside = self._sizes.copy()
        for hole, size in zip(self._holes, sizes, strict=True):
            inside[hole] = size
        for number, outer, identifier in self._steps:
            if outer >= 0:
                size = inside[number]
                inside[outer] += identifier + size + len(_LENGTHS[size] if size < 0x1000 else ber.length(size))
        return inside

    def _spanned(self, size: int) -> _Span:
        inside = self._inside((size,))
        bounds = [(inside[number], _alike(inside[number])) for number, _, _ in self._steps]
        low = size + max(least - each for each, (least, _) in bounds)
        high = size + min(most - each for each, (_, most) in bounds)
        octets = _parted(self.pieces(low))
        growing = []
        for place, (first, second) in enumerate(zip(octets, _parted(self.pieces(min(low + 1, high))), strict=True)):
            start = int.from_bytes(first, "big")
            step = int.from_bytes(second, "big") - start
            if step:
                growing.append((place, start - step * low, step, len(first)))
        return _Span(low, high, octets, growing)


def _parted(pieces: list[bytes]) -> list[bytes]:
    """Pieces with a place for contents between each two."""
    out = [b""] * (2 * len(pieces) - 1)
    out[::2] = pieces
    return out


def _alike(size: int) -> tuple[int, int]:
    """The least and the most whose length takes as many octets."""
    octets = len(ber.length(size)) - 1
    if octets < 2:
        return (0x80, 0xFF) if octets else (0, 0x7F)
    return 1 << 8 * (octets - 1), (1 << 8 * octets) - 1
