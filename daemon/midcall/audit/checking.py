"""Whether a log is what was written: every line, every link, every head; and where it first is not.

A head is signed over the tree and the last hash, and the hash of each entry stands in the next one. So what was changed
without the key shows at the next head at the latest, and the chain says which entry it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from midcall.audit import lines
from midcall.audit.diagnosis import GROUP, Finding, Seen, diagnose
from midcall.audit.heads import Head, HeadError, Key
from midcall.audit.ledger import Place
from midcall.audit.lines import Begin, Entry, HeadLine, LineError
from midcall.audit.merkle import Frontier
from midcall.base.audit_link.values import Phase

UNRESOLVED = 100_000
"""Intents without an outcome that are remembered."""


class LogFile(Struct, frozen=True):
    """A file of a log: the number in its name, and its lines with their ends, but for the first ``skipped``."""

    name: str
    first: int
    lines: Iterable[bytes]
    skipped: int = 0


class Checked(Struct, frozen=True):
    """``place``: how far the log is good. ``found``: what is wrong next; None: nothing. ``tail``: octets of the last
    file behind its last good head. ``unresolved``: intents without an outcome.
    """

    place: Place | None
    found: Finding | None
    files: int
    tail: int = 0
    unresolved: tuple[Entry, ...] = ()


class Checker:
    """Reads one log once. ``on_entry`` is given each entry that a good head covers, with its leaf; ``on_head`` each."""

    def __init__(
        self,
        key: Key,
        on_head: Callable[[str, Head], Finding | None] = lambda _text, _head: None,
        on_entry: Callable[[Entry, bytes], None] | None = None,
    ) -> None:
        self._key = key
        self._on_head = on_head
        self._on_entry = on_entry
        self._place: Place | None = None
        self._edge = Frontier()
        self._previous = lines.FIRST
        self._files = 0
        self._tail = 0
        self._open: dict[int, Entry] = {}
        self._group: list[Seen] = []

    def check(self, files: Iterable[LogFile]) -> Checked:
        """Until something is wrong."""
        rest = _seen(files)
        for seen in rest:
            found = self._line(seen, rest)
            if found is not None:
                return self._result(found)
        return self._result(self._end())

    def resume(self, place: Place) -> None:
        """What is checked goes on from there: files before were looked at another time."""
        self._place = place
        self._edge = Frontier(place.size, place.edge)
        self._previous = place.previous

    def _result(self, found: Finding | None) -> Checked:
        unresolved = tuple(self._open.values())
        return Checked(self._place, found, self._files, self._tail, unresolved)

    # Lines

    def _line(self, seen: Seen, rest: Iterator[Seen]) -> Finding | None:
        if seen.begins:
            found = self._begin(seen)
            if found is None:
                self._files += 1
                self._tail = 0
            return found
        self._tail += len(seen.octets)
        self._group.append(seen)
        if len(self._group) > GROUP:
            reason = f"{GROUP} lines without a head"
            place = self._place or Place("")
            return Finding("unsigned", place.size, self._edge.size, seen.file, seen.number, reason)
        if isinstance(seen.line, Entry):
            return self._entry(seen, seen.line, rest)
        if isinstance(seen.line, HeadLine):
            return self._head(seen.line, rest)
        return self._wrong(rest)

    def _entry(self, seen: Seen, entry: Entry, rest: Iterator[Seen]) -> Finding | None:
        if entry.n != self._edge.size or entry.previous != self._previous:
            return self._wrong(rest)
        self._edge.append(seen.leaf)
        self._previous = seen.leaf.hex()
        return None

    def _head(self, line: HeadLine, rest: Iterator[Seen]) -> Finding | None:
        place = self._place
        assert place is not None
        try:
            head = self._key.head(line.head)
        except HeadError:
            return self._wrong(rest)
        last = None if self._edge.size == 0 else bytes.fromhex(self._previous)
        expected = Head(place.log, self._edge.size, self._edge.root(), place.heads + 1, last, head.wall)
        if head != expected:
            return self._wrong(rest)
        self._place = Place(place.log, self._edge.size, tuple(self._edge.nodes), self._previous, head.number, line.head)
        self._covered()
        self._group = []
        self._tail = 0
        return self._on_head(line.head, head)

    def _covered(self) -> None:
        for seen in self._group:
            entry = seen.line
            if not isinstance(entry, Entry):
                continue
            if entry.phase is Phase.INTENT and len(self._open) < UNRESOLVED:
                self._open[entry.n] = entry
            elif entry.phase is Phase.OUTCOME and entry.of is not None:
                self._open.pop(entry.of, None)
            if self._on_entry is not None:
                self._on_entry(entry, seen.leaf)

    def _begin(self, seen: Seen) -> Finding | None:
        """The first line of a file."""
        begin = seen.line
        place = self._place
        if self._group:
            return self._headless(begin)
        if not isinstance(begin, Begin):
            at = 0 if place is None else place.size
            return Finding("edited", at, at, seen.file, seen.number, "the first line of the file")
        if place is None:
            if begin.first:
                reason = f"entries 0 to {begin.first - 1} are missing: the files before this one"
                return Finding("cut", 0, begin.first - 1, seen.file, seen.number, reason)
            place = Place(begin.log)
        elif begin.first > place.size:
            reason = f"entries {place.size} to {begin.first - 1} are missing: a file"
            return Finding("cut", place.size, begin.first - 1, seen.file, seen.number, reason)
        elif begin.first < place.size:
            reason = f"the file begins with entry {begin.first}, which stands in one before"
            return Finding("reordered", begin.first, place.size - 1, seen.file, seen.number, reason)
        if begin.first != seen.first or lines.encode(begin) + b"\n" != place.begin():
            return Finding("edited", place.size, place.size, seen.file, seen.number, "the first line of the file")
        self.resume(place)
        return None

    # What is wrong

    def _headless(self, begin: object) -> Finding:
        """A file ends with entries, and another one begins."""
        assert self._place is not None
        last, here = self._group[-1], self._edge.size
        if isinstance(begin, Begin) and begin.first > here:
            reason = f"entries {here} to {begin.first - 1} are missing: the end of the file"
            return Finding("cut", here, begin.first - 1, last.file, last.number, reason)
        reason = "behind them a head is missing"
        return Finding("cut", self._place.size, max(here - 1, self._place.size), last.file, last.number, reason)

    def _wrong(self, rest: Iterator[Seen]) -> Finding:
        assert self._place is not None
        return diagnose(self._place, self._key, self._group, rest)

    def _end(self) -> Finding | None:
        place = self._place
        if place is None:
            return Finding("cut", 0, 0, "", 0, "there is nothing")
        if not self._group and place.heads:
            return None
        last = self._group[-1] if self._group else None
        reason = "behind them a head is missing" if self._group else "there is no head"
        until = max(self._edge.size - 1, place.size)
        where = ("", 0) if last is None else (last.file, last.number)
        return Finding("unsigned", place.size, until, *where, reason)


def _seen(files: Iterable[LogFile]) -> Iterator[Seen]:
    for file in files:
        for number, octets in enumerate(file.lines, file.skipped + 1):
            line: lines.Line | None
            try:
                line = lines.decode(octets[:-1]) if octets.endswith(b"\n") else None
            except LineError:
                line = None
            leaf = lines.entry_hash(octets[:-1]) if isinstance(line, Entry) else b""
            begins = number == 1
            if isinstance(line, Begin) and not begins:
                line = None
            yield Seen(file.name, file.first, number, octets, line, leaf, begins)


def first_bad(found: Finding) -> str:
    """What a person reads."""
    where = f"{found.file}, line {found.line}: " if found.file else ""
    entries = f"entry {found.entry}" if found.entry == found.until else f"entries {found.entry} to {found.until}"
    return f"{where}{found.kind}: {entries}: {found.reason}"
