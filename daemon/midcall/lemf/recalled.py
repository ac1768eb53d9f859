"""What a receiver reads again when it starts: checks of both interfaces in one order, and gaps that it has told.

Integrity checks of HI2 and of HI3 share one sequence (TS 102 232-1 5.2.5) and stand in two files. Which came first is
seen by their numbers, or, where these do not go on, by their times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from msgspec import Struct

from midcall.lemf.context import Key
from midcall.lemf.numbers import NUMBERS
from midcall.lemf.records import shown

MAX_OCTETS: Final = 1 << 26
"""Of checks that wait for those in the other file; more than any interception has in a day."""


class Check(NamedTuple):
    """An integrity check as it is stored; its time in wall ns, and ``queue``: 1 if it stands among the content."""

    number: int
    time: int
    octets: bytes
    queue: int


class Recalled:
    """Checks by their sequence, those of each file in their order."""

    def __init__(self) -> None:
        self._lines: dict[Key, tuple[deque[Check], deque[Check]]] = {}
        self._octets = 0

    @property
    def full(self) -> bool:
        return self._octets > MAX_OCTETS

    @property
    def keys(self) -> list[Key]:
        return list(self._lines)

    def note(self, key: Key, check: Check) -> None:
        """It waits for those in the other file."""
        lines = self._lines.get(key)
        if lines is None:
            lines = self._lines[key] = deque(), deque()
        lines[check.queue].append(check)
        self._octets += len(check.octets)

    def take(self, key: Key, due: Callable[[], int], half: bool = False) -> Iterator[Check]:
        """In the order in which they came; ``due`` tells which number goes on. ``half`` of them, or all."""
        lines = self._lines[key]
        rest = sum(map(len, lines)) // 2 if half else 0
        while (left := len(lines[0]) + len(lines[1])) > rest:
            line = lines[_earlier(lines, due() % NUMBERS)]
            check = line.popleft()
            self._octets -= len(check.octets)
            yield check
        if not left:
            del self._lines[key]


def _earlier(lines: tuple[deque[Check], deque[Check]], due: int) -> bool:
    """Whose first check came before that of the other."""
    first, second = lines
    if not first or not second:
        return not first
    if due in (first[0].number, second[0].number):
        return first[0].number != due
    return second[0].time < first[0].time


class ToldGap(Struct, frozen=True):
    """Of a line of findings.jsonl what names a gap."""

    rule: str
    payload: str = ""
    liid: str = ""
    operator: str = ""
    element: str | None = None
    cin: int | None = None
    country: str | None = None
    sequence: int | None = None
    last: int | None = None

    @property
    def place(self) -> tuple[str, str, str | None, int | None, str | None, str]:
        """As ``place`` gives it of a key."""
        return self.liid, self.operator, self.element, self.cin, self.country, self.payload

    @property
    def range(self) -> range:
        first = self.sequence or 0
        return range(first, first + 1 + ((self.last if self.last is not None else first) - first) % NUMBERS)


def place(key: Key) -> tuple[str, str, str | None, int | None, str | None, str]:
    """The sequence as findings name it."""
    element = None if key.element is None else shown(key.element)
    return shown(key.liid), shown(key.operator), element, key.cin, key.country, key.payload
