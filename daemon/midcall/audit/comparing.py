"""A log beside what is known of it elsewhere: heads that were kept on another host, or another copy of the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from midcall.audit.checking import Checked, Checker, LogFile
from midcall.audit.diagnosis import Finding
from midcall.audit.heads import Head, Key
from midcall.audit.lines import Entry


class Kept(Struct, frozen=True):
    """A head that somebody else kept."""

    text: str
    head: Head


def kept(key: Key, texts: Iterable[str]) -> list[Kept]:
    """Heads by their number. HeadError."""
    return sorted((Kept(each, key.head(each)) for each in texts), key=lambda each: each.head.number)


def forked(heads: Sequence[Kept]) -> Finding | None:
    """How heads of one key, sorted by number, contradict each other: all are of one log, which only grows."""
    former: Kept | None = None
    for each in heads:
        if former is not None and each.text != former.text:
            finding = _against(former.head, each.head)
            if finding is not None:
                return finding
        former = each
    return None


def _against(former: Head, head: Head) -> Finding | None:
    if former.log != head.log:
        return Finding("forked", 0, 0, "", 0, f"two logs under one key: {former.log} and {head.log}")
    if head.number == former.number:
        first = min(former.size, head.size)
        reason = f"two heads with number {head.number}: two histories under one key"
        return Finding("forked", 0, max(first - 1, 0), "", 0, reason)
    same = head.size == former.size
    if head.size < former.size or (same and (head.root, head.last) != (former.root, former.last)):
        reason = f"head {head.number} is over fewer or other entries than head {former.number}"
        return Finding("forked", 0, max(head.size - 1, 0), "", 0, reason)
    return None


class Against:
    """Heads that were kept, while a log is checked: each has to come by as it was."""

    def __init__(self, heads: Sequence[Kept]) -> None:
        self._wanted = {each.head.number: each for each in heads}
        self._heads = heads
        self._agreed = 0
        self.met = 0

    def head(self, text: str, head: Head) -> Finding | None:
        """For ``Checker``."""
        wanted = self._wanted.get(head.number)
        if wanted is None:
            return self._by_size(head)
        if wanted.text == text:
            self._agreed = head.size
            self.met += 1
            return None
        if wanted.head.log != head.log:
            reason = f"the anchor is of log {wanted.head.log}, this is {head.log}: two logs under one key"
            return Finding("forked", 0, 0, "", 0, reason)
        return self._fork(min(head.size, wanted.head.size), f"head {head.number} is another one than was anchored")

    def _by_size(self, head: Head) -> Finding | None:
        """Another log has no head with the number of ours: heads of one log alone can be looked at by number."""
        other = next((each for each in self._heads if each.head.log != head.log), None)
        if other is None:
            return None
        reason = f"the anchor is of log {other.head.log}, this is {head.log}: two logs under one key"
        return Finding("forked", 0, 0, "", 0, reason)

    def _fork(self, size: int, reason: str) -> Finding:
        """The first entry that differs stands behind the last head that agrees."""
        return Finding("forked", self._agreed, max(size - 1, self._agreed), "", 0, reason)

    def end(self, checked: Checked) -> Finding | None:
        """What the anchor has and the log has not."""
        place = checked.place
        number, size = (0, 0) if place is None else (place.heads, place.size)
        last = self._heads[-1].head if self._heads else None
        if last is None or last.number <= number:
            return None
        if last.size > size:
            reason = f"the anchor has seen {last.size} entries, and {size} are there"
            return Finding("rolled-back", size, last.size - 1, "", 0, reason)
        reason = f"the anchor has seen head {last.number}, and the last one is {number}"
        return Finding("rolled-back", max(size - 1, 0), max(size - 1, 0), "", 0, reason)


class Leaves:
    """The hashes of a log's entries, in order, for ``Checker``."""

    def __init__(self) -> None:
        self.leaves: list[bytes] = []

    def entry(self, _entry: Entry, leaf: bytes) -> None:
        self.leaves.append(leaf)


class Compared(Struct, frozen=True):
    """Two copies: ``relation`` is same, first-is-older, second-is-older or forked; ``differs``: at which entry."""

    relation: str
    first: int
    second: int
    differs: int | None = None


def compared(key: Key, one: Iterable[LogFile], other: Iterable[LogFile]) -> tuple[Checked, Checked, Compared]:
    """Two copies of a log, each checked by itself."""
    found: list[Checked] = []
    leaves: list[list[bytes]] = []
    for files in (one, other):
        gathered = Leaves()
        found.append(Checker(key, on_entry=gathered.entry).check(files))
        leaves.append(gathered.leaves)
    return found[0], found[1], relation(*leaves)


def relation(one: Sequence[bytes], other: Sequence[bytes]) -> Compared:
    """By the hashes of their entries."""
    sizes = len(one), len(other)
    shorter = min(sizes)
    differs = next((n for n in range(shorter) if one[n] != other[n]), None)
    if differs is not None:
        return Compared("forked", *sizes, differs)
    if sizes[0] == sizes[1]:
        return Compared("same", *sizes)
    return Compared("first-is-older" if sizes[0] < sizes[1] else "second-is-older", *sizes, shorter)
