"""One sequence of numbers: what came, what is missing, what is still to be covered by a hash (TS 102 232-1 5.2.5)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from midcall.lemf.calls import Call, MediaStream

NUMBERS = 1 << 32
_HALF = NUMBERS // 2
DIGESTS = 2_048
"""Records back that a repeat is compared with; a link that was lost repeats less (6.3.3)."""
MAX_MISSING = 4_096
"""Numbers remembered one by one; a longer gap is told at once as a range."""


class Key(NamedTuple):
    """TS 102 232-1 table 1A: a member that is absent is a value of its own; ``payload`` names the class."""

    liid: bytes
    operator: bytes
    element: bytes | None
    cin: int | None
    country: str | None
    payload: str


class Arrival(Enum):
    """What a number is to its sequence."""

    NEXT = "next"
    AHEAD = "ahead"  # numbers are missing before it
    LATE = "late"  # it was missing
    REPEAT = "repeat"  # the same octets again
    DOUBLED = "doubled"  # other octets
    OLD = "old"  # came before, too long ago to compare


class Digests:
    """Of the last records, a digest each; 0 where there was none."""

    __slots__ = ("_base", "_values")

    def __init__(self) -> None:
        self._base = 0
        self._values: array[int] = array("q")

    def add(self, number: int, octets: Iterable[bytes]) -> None:
        """Records with consecutive numbers from ``number`` on."""
        # hash() is keyed anew in each process: nobody outside can make two records that share a digest.
        fresh = array("q", map(hash, octets))
        at = (number - self._base) % NUMBERS
        if at == len(self._values):
            self._values.extend(fresh)
        elif at < len(self._values) + DIGESTS:
            self._values.extend([0] * (at + len(fresh) - len(self._values)))
            self._values[at : at + len(fresh)] = fresh
        elif at < _HALF or not self._values:
            self._base, self._values = number, fresh
        if len(self._values) > 2 * DIGESTS:
            excess = len(self._values) - DIGESTS
            del self._values[:excess]
            self._base = (self._base + excess) % NUMBERS

    def get(self, number: int) -> int:
        at = (number - self._base) % NUMBERS
        return self._values[at] if at < len(self._values) else 0


class Context:
    """Mutable, one for each ``Key``; the fast path writes its members itself.

    ``fresh``: octets by number that no hash has covered yet. ``block``: those of the last cover, kept until the
    next one, so that checks may overlap. ``out`` and ``media`` gather what the shell takes.
    """

    __slots__ = (
        "aliases", "block", "call", "checked", "digests", "dirty", "doubled", "faulty", "fresh", "generation", "key",
        "last_time", "media", "missing", "next", "out", "passed", "received", "repeats", "suspects", "uncovered_told",
    )  # fmt: skip

    def __init__(self, key: Key, out: list[bytes]) -> None:
        self.key = key
        self.next = 0
        self.last_time = 0
        self.missing: dict[int, int] = {}
        self.fresh: dict[int, bytes] = {}
        self.block: dict[int, bytes] = {}
        self.passed: set[int] = set()
        self.suspects: set[int] | None = None
        self.digests = Digests()
        self.out = out
        self.media: list[tuple[int, MediaStream, bytes]] = []
        self.call: Call | None = None
        self.aliases: list[bytes] = []
        self.dirty = False
        self.generation = 0
        self.received = self.repeats = self.doubled = self.checked = self.faulty = 0
        self.uncovered_told = False

    def arrive(self, number: int, octets: bytes, now: int) -> tuple[Arrival, range]:
        """Take a number into the sequence; the range is what is missing since, as it were without wrapping."""
        expected = self.next % NUMBERS
        ahead = (number - expected) % NUMBERS
        if ahead == 0:
            self.next = (number + 1) % NUMBERS
            return Arrival.NEXT, range(0)
        if ahead < _HALF or not self.received:
            self.next = (number + 1) % NUMBERS
            gap = range(expected, expected + ahead)
            if len(self.missing) + ahead <= MAX_MISSING:
                self.missing.update((each % NUMBERS, now) for each in gap)
            return Arrival.AHEAD, gap
        if self.missing.pop(number, None) is not None:
            return Arrival.LATE, range(0)
        return self._again(number, octets), range(0)

    def _again(self, number: int, octets: bytes) -> Arrival:
        former = self.fresh.get(number) or self.block.get(number)
        if former is not None:
            same = former == octets
        elif digest := self.digests.get(number):
            same = digest == hash(octets)
        else:
            return Arrival.OLD
        if same:
            self.repeats += 1
            return Arrival.REPEAT
        self.doubled += 1
        return Arrival.DOUBLED

    def restart(self) -> None:
        """Numbers begin anew (cINReset)."""
        self.next = 0
        self.missing.clear()
        self.digests = Digests()

    def settle(self, octets_by_number: dict[int, bytes]) -> None:
        """Keep no more than the digests of these records."""
        if not octets_by_number:
            return
        first = next(iter(octets_by_number))
        if list(octets_by_number) == list(range(first, first + len(octets_by_number))):
            self.digests.add(first, octets_by_number.values())
            return
        run: list[bytes] = []
        following = -1
        for number, octets in octets_by_number.items():
            if number != following and run:
                self.digests.add(first, run)
                run = []
            if not run:
                first = number
            run.append(octets)
            following = (number + 1) % NUMBERS
        if run:
            self.digests.add(first, run)

    def overdue(self, before: int) -> list[range]:
        """Numbers missing since before then; they are given once."""
        due = sorted(number for number, since in self.missing.items() if since <= before)
        return runs(due, self.missing)

    def named_missing(self, numbers: Iterable[int]) -> list[range]:
        """Those of ``numbers`` that are missing; they are given once."""
        if not self.missing:
            return []
        return runs(sorted(number for number in numbers if number in self.missing), self.missing)


def runs(numbers: list[int], forget: dict[int, int] | None = None) -> list[range]:
    """Sorted numbers as ranges; ``forget`` loses them."""
    found: list[range] = []
    for number in numbers:
        if forget is not None:
            del forget[number]
        if found and found[-1].stop == number:
            found[-1] = range(found[-1].start, number + 1)
        else:
            found.append(range(number, number + 1))
    return found
