"""What is known of sequence numbers in little memory: which are missing, and a digest of each record that came."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from struct import pack

from midcall.base.bounded import BoundedTable

NUMBERS = 1 << 32
HALF = NUMBERS // 2
MAX_GAPS = 4_096
"""Ranges of missing numbers of one sequence; the oldest is told and forgotten for one more."""
BLOCK = 1_024
MAX_BLOCKS = 1 << 17
"""Each sequence has one at least."""
MAX_DIGESTS = 1 << 25
"""Of all sequences together, 8 octets each: 3.7 minutes of 150 000 records a second, four days of one call."""


class Memory:
    """Digests of all sequences, in blocks; those of the block that began longest ago go first."""

    __slots__ = ("_blocks", "held")

    def __init__(self) -> None:
        self._blocks: BoundedTable[tuple[Digests, int], Digests] = BoundedTable("lemf.digests", MAX_BLOCKS)
        self.held = 0

    def begin(self, digests: Digests, place: int) -> None:
        """A block of ``digests`` begins."""
        if len(self._blocks) >= self._blocks.bound:
            self._evict()
        self._blocks.put((digests, place), digests)

    def grow(self, count: int) -> None:
        """So many digests more are held."""
        self.held += count
        while self.held > MAX_DIGESTS and len(self._blocks) > 1:
            self._evict()

    def end(self, digests: Digests, place: int) -> None:
        """A block is not wanted any more."""
        self._blocks.pop((digests, place))

    def _evict(self) -> None:
        place, digests = next((place, digests) for (digests, place) in self._blocks)
        digests.forget(place)


class Digests:
    """Of each record that came a digest; 0 where there was none, or where it had to go."""

    __slots__ = ("_blocks", "_memory")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._blocks: dict[int, array[int]] = {}

    def add(self, number: int, octets: Iterable[bytes]) -> None:
        """Records with consecutive numbers from ``number`` on."""
        # hash() is keyed anew in each process: nobody outside can make two records that share a digest.
        hashes = list(map(hash, octets))
        fresh = array("q", pack(f"={len(hashes)}q", *hashes))  # an array takes integers one by one, and slowly
        at, count = 0, len(fresh)
        while at < count:
            place, inside = divmod((number + at) % NUMBERS, BLOCK)
            step = min(BLOCK - inside, count - at)
            self._block(place, inside + step)[inside : inside + step] = fresh[at : at + step]
            at += step

    def put(self, number: int, octets: bytes) -> None:
        """One record."""
        place, inside = divmod(number, BLOCK)
        self._block(place, inside + 1)[inside] = hash(octets)

    def _block(self, place: int, size: int) -> array[int]:
        """That block, with room for so many."""
        block = self._blocks.get(place)
        if block is None:
            block = self._blocks[place] = array("q")
            self._memory.begin(self, place)
        lacking = size - len(block)
        if lacking > 0:
            block.frombytes(bytes(8 * lacking))
            self._memory.grow(lacking)
        return block

    def get(self, number: int) -> int:
        place, inside = divmod(number, BLOCK)
        block = self._blocks.get(place)
        return block[inside] if block is not None and inside < len(block) else 0

    def forget(self, place: int) -> None:
        """One block of them."""
        block = self._blocks.pop(place, None)
        if block is not None:
            self._memory.end(self, place)
            self._memory.held -= len(block)

    def clear(self) -> None:
        for place in list(self._blocks):
            self.forget(place)


class _Gap:
    """Numbers from ``first`` on, missing ``since``; ``told``: it was."""

    __slots__ = ("count", "first", "since", "told")

    def __init__(self, first: int, count: int, since: int, told: bool) -> None:
        self.first = first
        self.count = count
        self.since = since
        self.told = told

    @property
    def range(self) -> range:
        """As it were without wrapping."""
        return range(self.first, self.first + self.count)


class Gaps:
    """Ranges of numbers that did not come, in the order of their sequence. What was told stays known as missing."""

    __slots__ = ("_gaps", "_lost", "open")

    def __init__(self) -> None:
        self._gaps: list[_Gap] = []
        self._lost: list[range] = []
        self.open = False
        """Whether there is one that was not told."""

    def __iter__(self) -> Iterator[range]:
        return (gap.range for gap in self._gaps)

    def __contains__(self, number: int) -> bool:
        return self._find(number) >= 0

    def add(self, first: int, count: int, since: int, told: bool = False) -> None:
        """Numbers behind all that are known, missing since then (wall ns)."""
        if not count:
            return
        while self._gaps and (first + count - self._gaps[0].first) % NUMBERS >= HALF:
            self._drop()
        gap = _Gap(first, count, since, told)
        if count < HALF:
            self._gaps.append(gap)
            self._bound()
        elif not told:
            self._lost.append(gap.range)  # numbers have come round before it is filled
        self.open = self.open or not told

    def fill(self, number: int) -> bool:
        """A number comes; whether it was missing."""
        at = self._find(number)
        if at < 0:
            return False
        gap = self._gaps[at]
        before = (number - gap.first) % NUMBERS
        rest = _Gap((number + 1) % NUMBERS, gap.count - before - 1, gap.since, gap.told)
        self._gaps[at : at + 1] = [each for each in (_Gap(gap.first, before, gap.since, gap.told), rest) if each.count]
        self._bound()
        return True

    def overdue(self, before: int, sooner: int = 0, passed: int | None = None) -> list[range]:
        """Numbers missing since before then, those before ``passed`` since ``sooner``; they are given once."""
        found, self._lost = self._lost, []
        for gap in self._gaps:
            certain = passed is not None and (passed - gap.range.stop) % NUMBERS < HALF
            if not gap.told and gap.since <= (sooner if certain else before):
                gap.told = True
                found.append(gap.range)
        self.open = any(not gap.told for gap in self._gaps)
        return found

    def named(self, numbers: Iterable[int]) -> list[range]:
        """Those of ``numbers`` that are missing and were not told yet; they are given once."""
        if not self.open:
            return []
        hits = [number for number in numbers if (at := self._find(number)) >= 0 and not self._gaps[at].told]
        found = runs(sorted(set(hits)))
        for each in found:
            self._tell(each)
        return found

    def tell(self, told: range) -> None:
        """Those of ``told`` that are missing were told before."""
        for gap in list(self._gaps):
            # Where the one begins in the other, whichever begins first; without the turn of numbers in between.
            ahead, behind = (gap.first - told.start) % NUMBERS, (told.start - gap.first) % NUMBERS
            if not gap.told and (ahead < len(told) or behind < gap.count):
                first = gap.first if ahead < len(told) else told.start % NUMBERS
                count = min(len(told) - ahead, gap.count) if ahead < len(told) else min(gap.count - behind, len(told))
                self._tell(range(first, first + count))
        self.open = any(not gap.told for gap in self._gaps)

    def since(self, now: int) -> None:
        """What was not told is missing since then; what had to be forgotten was told."""
        self._lost.clear()
        for gap in self._gaps:
            gap.since = now

    def clear(self) -> None:
        self._gaps.clear()
        self.open = bool(self._lost)

    def _tell(self, named: range) -> None:
        at = self._find(named.start)
        gap = self._gaps[at]
        before = (named.start - gap.first) % NUMBERS
        count = min(len(named), gap.count - before)
        parts = (
            _Gap(gap.first, before, gap.since, False),
            _Gap(named.start, count, gap.since, True),
            _Gap((named.start + count) % NUMBERS, gap.count - before - count, gap.since, False),
        )
        self._gaps[at : at + 1] = [each for each in parts if each.count]
        self._bound()
        if count < len(named):
            self._tell(named[count:])

    def _find(self, number: int) -> int:
        """Which gap has it; -1: none."""
        if not self._gaps:
            return -1
        anchor = self._gaps[0].first
        at = bisect_right(self._gaps, (number - anchor) % NUMBERS, key=lambda gap: (gap.first - anchor) % NUMBERS) - 1
        gap = self._gaps[at]
        return at if (number - gap.first) % NUMBERS < gap.count else -1

    def _bound(self) -> None:
        while len(self._gaps) > MAX_GAPS:
            self._drop()

    def _drop(self) -> None:
        gap = self._gaps.pop(0)
        if not gap.told:
            self._lost.append(gap.range)
            self.open = True


def runs(numbers: Iterable[int]) -> list[range]:
    """Sorted numbers as ranges."""
    found: list[range] = []
    for number in numbers:
        if found and found[-1].stop == number:
            found[-1] = range(found[-1].start, number + 1)
        else:
            found.append(range(number, number + 1))
    return found
