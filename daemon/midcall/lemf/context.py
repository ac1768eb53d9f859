"""One sequence of numbers: what came, what is missing, what is still to be covered by a hash (TS 102 232-1 5.2.5)."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from midcall.lemf.calls import Call, Packets
from midcall.lemf.numbers import HALF, NUMBERS, Digests, Gaps, Memory

NEAR = 64
"""A number further ahead than this may be a wrong one: the sequence goes on there with the next one that does."""
MAX_STRAYS = 256
"""Wrong numbers of one sequence whose records are known again."""
IRI, CC = "IRI", "CC"
_NOTHING = -1 << 40
"""No number that a record can have."""
_TOLD = 1 << 63
"""A time that no gap is older than."""


class Key(NamedTuple):
    """TS 102 232-1 table 1A: a member that is absent is a value of its own; ``payload`` names the class."""

    liid: bytes
    operator: bytes
    element: bytes | None
    cin: int | None
    country: str | None
    payload: str

    def of(self, payload: str) -> Key:
        """The sequence of another class of payload beside this one."""
        return Key(*self[:-1], payload)


class Arrival(Enum):
    """What a number is to its sequence."""

    NEXT = "next"
    AHEAD = "ahead"  # numbers are missing before it
    FAR = "far"  # so many that it waits for another one beside it
    LATE = "late"  # it was missing
    REPEAT = "repeat"  # the same octets again
    DOUBLED = "doubled"  # other octets
    OLD = "old"  # came before, too long ago to compare


TAKEN = (Arrival.NEXT, Arrival.AHEAD, Arrival.FAR, Arrival.LATE)
"""Records that are kept as what their sequence has."""


class Outlier(NamedTuple):
    """A record whose number is far ahead, and what would be next without it. ``queue``: as in ``Context.arrive``."""

    number: int
    octets: bytes
    due: int
    since: int
    queue: int = 0


class Context:
    """Mutable, one for each ``Key``; the fast path writes its members itself.

    ``fresh``: octets by number that no hash has covered yet. ``block``: those of the last cover, kept until the
    next one, so that checks may overlap. ``out`` and ``media`` gather what the shell takes. ``deliverer`` is whose
    sequence it is; ``again`` may be where it began anew. While there is an ``outlier`` no number is ``next``: all that
    comes is looked at (``arrive``).
    """

    __slots__ = (
        "accused", "again", "aliases", "begun", "block", "call", "checked", "deliverer", "digests", "dirty", "doubled",
        "faulty", "fresh", "generation", "key", "last", "last_time", "media", "missing", "next", "out", "outlier",
        "passed", "repeats", "strays", "suspects", "uncovered_told",
    )  # fmt: skip

    def __init__(self, key: Key, out: list[bytes], memory: Memory, deliverer: str = "") -> None:
        self.key = key
        self.deliverer = deliverer
        self.next = 0
        self.begun = False
        self.outlier: Outlier | None = None
        self.last: list[int | None] = [None, None]  # of each queue (``arrive``)
        self.again: bytes | None = None
        self.strays: dict[int, int] = {}
        self.last_time = 0
        self.missing = Gaps()
        self.fresh: dict[int, bytes] = {}
        self.block: dict[int, bytes] = {}
        self.passed: set[int] = set()
        self.suspects: set[int] | None = None
        self.accused: list[int] = []
        self.digests = Digests(memory)
        self.out = out
        self.media = Packets()
        self.call: Call | None = None
        self.aliases: set[bytes] = set()
        self.dirty = False
        self.generation = 0
        self.repeats = self.doubled = self.checked = self.faulty = 0
        self.uncovered_told = False

    def arrive(self, number: int, octets: bytes, now: int, queue: int = 0) -> tuple[Arrival, int | None]:
        """Take a number into the sequence; and the number of a record before, which has turned out to be a stray.

        One number far ahead moves nothing: a second one there does, and one that goes on where the sequence stood
        makes a stray of it. ``queue``: checks of events and of content share a sequence and go out apart; of those of
        one any number may be ahead of those of the other.
        """
        arrived = self._arrive(number, octets, now, queue)
        if arrived[0] in TAKEN:
            last = self.last[queue]
            if last is None or (number - last) % NUMBERS < HALF:
                self.last[queue] = number
        return arrived

    def _arrive(self, number: int, octets: bytes, now: int, queue: int) -> tuple[Arrival, int | None]:
        far = self.outlier
        if far is None:
            return self._place(number, octets, now, queue), None
        if number == far.number:
            return self._compare(far.octets == octets), None
        if 0 < (number - far.number) % NUMBERS <= max(NEAR, (far.number - far.due) % NUMBERS):
            self.admit()
            return self._place(number, octets, now, queue), None
        if self.begun and (number - far.due) % NUMBERS >= HALF:
            return self._behind(number, octets), None
        if queue != far.queue:
            return self._between(far, number, now), None
        self.outlier, self.next = None, far.due
        if len(self.strays) >= MAX_STRAYS:
            del self.strays[next(iter(self.strays))]
        self.strays[far.number] = hash(far.octets)
        return self._place(number, octets, now, queue), far.number

    def _between(self, far: Outlier, number: int, now: int) -> Arrival:
        """One of the other queue says nothing of the one far ahead, which waits for another one of its own."""
        ahead = (number - far.due) % NUMBERS
        self._go_on(number, ahead, now, told=False)
        self.outlier, self.next = far._replace(due=self.next), _NOTHING
        if self.due == far.number:
            self.admit()
        return Arrival.AHEAD if ahead else Arrival.NEXT

    def _place(self, number: int, octets: bytes, now: int, queue: int) -> Arrival:
        expected = self.next % NUMBERS
        ahead = (number - expected) % NUMBERS
        if self.begun and ahead >= HALF:
            return self._behind(number, octets)
        if ahead > NEAR:
            if self.strays.get(number) == hash(octets):
                return self._compare(True)
            self.outlier = Outlier(number, octets, expected, now, queue)
            self.next = _NOTHING
            return Arrival.FAR
        self._go_on(number, ahead, now, told=False)
        return Arrival.AHEAD if ahead else Arrival.NEXT

    def _go_on(self, number: int, ahead: int, now: int, told: bool) -> None:
        self.missing.add(self.due, ahead, now, told)
        self.next = (number + 1) % NUMBERS
        self.begun = True

    @property
    def due(self) -> int:
        """The number that goes on."""
        return self.next % NUMBERS if self.outlier is None else self.outlier.due

    def tell(self, told: range) -> None:
        """What is missing of these numbers was told before."""
        self.missing.tell(told)
        far = self.outlier
        if far is not None and far.due in told:
            self.outlier = far._replace(since=_TOLD)

    def since(self, now: int) -> None:
        """What was not told is missing since then (wall ns)."""
        self.missing.since(now)
        far = self.outlier
        if far is not None and far.since != _TOLD:
            self.outlier = far._replace(since=now)

    def admit(self) -> None:
        """The number far ahead was right: the sequence goes on behind it."""
        far, self.outlier = self.outlier, None
        if far is not None:
            self.next = far.due
            self._go_on(far.number, (far.number - far.due) % NUMBERS, far.since, told=far.since == _TOLD)
            self.hold(far.number, far.octets)

    def hold(self, number: int, octets: bytes) -> None:
        """IRI and CC wait for their hash."""
        if self.outlier is not None and self.outlier.number == number:
            return
        if self.key.payload in (IRI, CC):
            self.fresh[number] = octets
        else:
            self.digests.put(number, octets)

    def octets(self, number: int) -> bytes | None:
        """The record of that number, as long as checks may name it."""
        return self.fresh.get(number) or self.block.get(number)

    def _behind(self, number: int, octets: bytes) -> Arrival:
        if self.missing.fill(number):
            return Arrival.LATE
        former = self.octets(number)
        if former is not None:
            return self._compare(former == octets)
        digests = [each for each in (self.digests.get(number), self.strays.get(number)) if each]
        return self._compare(hash(octets) in digests) if digests else Arrival.OLD

    def _compare(self, same: bool) -> Arrival:
        if same:
            self.repeats += 1
            return Arrival.REPEAT
        self.doubled += 1
        return Arrival.DOUBLED

    def restart(self) -> None:
        """Numbers begin anew (cINReset)."""
        self.next = 0
        self.begun = False
        self.outlier = None
        self.last = [None, None]
        self.strays.clear()
        self.missing.clear()
        self.digests.clear()

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

    @property
    def certain(self) -> int:
        """What is missing before this number will not come: later ones of both queues have. The sequence has begun."""
        first, second = (self.due if last is None else last for last in self.last)
        return first if (second - first) % NUMBERS < HALF else second

    def overdue(self, before: int, unsure: int | None = None) -> list[range]:
        """Numbers missing since before then; they are given once. ``unsure``: those that may be in the other queue."""
        if unsure is None:
            unsure = before
            found = self.missing.overdue(before) if self.missing.open else []
        else:
            both = None not in self.last
            found = self.missing.overdue(unsure, before, self.certain if both else None) if self.missing.open else []
        far = self.outlier
        if far is not None and far.since <= unsure:
            # What is next stays: behind a pause the sequence may still go on where it stood.
            found.append(range(far.due, far.due + (far.number - far.due) % NUMBERS))
            self.outlier = far._replace(since=_TOLD)
        return found
