"""Which entry of a log is the first that is not what was written, once a group of lines does not hold.

All that stands before the group is covered by a good head. The chain and the head behind the group are asked which
single change explains what is there; what the head then holds for is sure, and only if none does is a range named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from msgspec import Struct, structs

from midcall.audit.heads import Head, HeadError, Key
from midcall.audit.ledger import Place
from midcall.audit.lines import Entry, HeadLine, Line
from midcall.audit.merkle import Frontier

LOOK_AHEAD = 1_000_000
"""Lines in which an entry that stands elsewhere is looked for."""
GROUP = 65_536
"""Lines of a group at most; writers make far shorter ones."""


class Seen(Struct, frozen=True):
    """A line and where it stands; ``line`` is None: it cannot be read. ``begins``: it is the first of its file."""

    file: str
    first: int
    number: int
    octets: bytes
    line: Line | None
    leaf: bytes
    begins: bool


class Finding(Struct, frozen=True):
    """What is wrong first. ``kind``: edited, cut, reordered, inserted, unsigned, torn, rolled-back or forked.

    ``entry`` to ``until``: the first entry that is concerned; where that cannot be told exactly, the first of them is
    among these. Of what is missing these are all until the next that is there.
    """

    kind: str
    entry: int
    until: int
    file: str
    line: int
    reason: str


def diagnose(place: Place, key: Key, group: Sequence[Seen], rest: Iterator[Seen]) -> Finding:
    """``group``: the lines since ``place``, the last of which is the first that does not fit; ``rest`` follows them."""
    return _Group(place, key, group, rest).found()


class _Group:
    def __init__(self, place: Place, key: Key, group: Sequence[Seen], rest: Iterator[Seen]) -> None:
        self._place = place
        self._key = key
        self._good = list(group[:-1]) if group else []
        self._bad = group[-1]
        self._rest = rest
        self._ahead: list[Seen] = []
        self._previous = self._good[-1].leaf.hex() if self._good else place.previous
        self._next = place.size + len(self._good)

    def found(self) -> Finding:
        line = self._bad.line
        if isinstance(line, Entry):
            return self._entry(line)
        if isinstance(line, HeadLine):
            return self._head(line)
        return self._unreadable()

    # Lines that cannot be read

    def _unreadable(self) -> Finding:
        following = self._look(2)
        if not self._bad.octets.endswith(b"\n"):
            if self._is_like_a_head:
                return self._finding("torn", self._last, self._last, "the file ends within the head behind it")
            return self._finding("torn", self._next, self._next, "the file ends within it")
        behind = next((each.line for each in following if isinstance(each.line, Entry)), None)
        after_head = isinstance(behind, Entry) and behind.n == self._next and behind.previous == self._previous
        begins_so = self._bad.octets.startswith(b'{"head":')
        if begins_so or after_head or (behind is None and self._is_like_a_head):
            return self._finding("edited", self._last, self._last, "the head behind it cannot be read")
        return self._edited(self._next)

    # Entries

    def _entry(self, entry: Entry) -> Finding:
        if entry.n == self._next:
            return self._broken_link(entry)
        if entry.previous == self._previous:
            return self._edited(self._next)
        if entry.n < self._next:
            if entry.n >= self._place.size and entry.previous == self._link(entry.n):
                return self._finding("inserted", entry.n, entry.n, "two lines are this entry")
            return self._finding("reordered", self._next, self._next, f"entry {entry.n} stands in its place")
        if self._stands_later(self._next):
            return self._finding("reordered", self._next, self._next, f"entry {entry.n} stands in its place")
        return self._missing(self._next, entry.n - 1)

    def _broken_link(self, entry: Entry) -> Finding:
        """It names another hash than that of the entry before it."""
        if self._stands_later(self._next):
            return self._finding("inserted", self._next, self._next, "two lines are this entry")
        if not self._good:
            return self._edited(self._next)
        leaves = [each.leaf for each in self._good] + [self._bad.leaf]
        following, head = self._until_head()
        after = [each.leaf for each in following if isinstance(each.line, Entry)]
        before = [*leaves[:-2], bytes.fromhex(entry.previous), *leaves[-1:], *after]
        if head is not None and self._holds(before, head):
            return self._edited(self._next - 1)
        link = self._link_behind(following, head)
        if head is not None and link is not None and self._holds([*leaves[:-1], link, *after], head):
            return self._edited(self._next)
        reason = "changed: more than one of them, or with their heads"
        return self._finding("edited", self._next - 1, self._next, reason)

    def _link_behind(self, following: Sequence[Seen], head: Head | None) -> bytes | None:
        """What the line behind says that the entry's hash was."""
        if following:
            line = following[0].line
            return bytes.fromhex(line.previous) if isinstance(line, Entry) else None
        return None if head is None else head.last

    # Heads

    def _head(self, line: HeadLine) -> Finding:
        last = self._last
        try:
            head = self._key.head(line.head)
        except HeadError as error:
            return self._finding("edited", last, last, f"the head behind it: {error}")
        if head.log != self._place.log:
            return self._finding("forked", self._place.size, last, "a head of another log")
        if head.number < self._place.heads + 1:
            return self._finding("reordered", self._next, self._next, "a head stands again")
        if head.size > self._next:
            return self._missing(self._next, head.size - 1)
        if head.size < self._next:
            return self._finding("inserted", head.size, last, "a head is signed over fewer entries")
        if head.number > self._place.heads + 1:
            reason = f"heads {self._place.heads + 1} to {head.number - 1} are missing"
            return self._finding("cut", self._place.size, last, reason)
        leaves = [each.leaf for each in self._good]
        if leaves and head.last is not None and self._holds([*leaves[:-1], head.last], head):
            return self._edited(last)
        reason = "changed, and the chain behind it computed anew"
        return self._finding("edited", self._place.size, last, reason)

    # What helps

    @property
    def _is_like_a_head(self) -> bool:
        octets = self._bad.octets
        return not octets.startswith(b'{"n":') and (b'{"head"' in octets or b'"midcall.audit/' in octets)

    @property
    def _last(self) -> int:
        """The last entry before the bad line."""
        return max(self._next - 1, 0)

    def _link(self, number: int) -> str:
        """The hash of the entry before the one with that number."""
        place = number - self._place.size
        return self._good[place - 1].leaf.hex() if place else self._place.previous

    def _holds(self, leaves: Sequence[bytes], head: Head) -> bool:
        """Whether the head is signed over these."""
        edge = Frontier(self._place.size, self._place.edge)
        for each in leaves:
            edge.append(each)
        return (edge.size, edge.root()) == (head.size, head.root)

    def _until_head(self) -> tuple[list[Seen], Head | None]:
        """What follows up to the next head, and that, if it is good."""
        following: list[Seen] = []
        for each in self._stream(GROUP):
            if isinstance(each.line, HeadLine):
                try:
                    return following, self._key.head(each.line.head)
                except HeadError:
                    return following, None
            following.append(each)
        return following, None

    def _stands_later(self, number: int) -> bool:
        """Whether the entry that fits here stands further down."""
        return any(
            isinstance(each.line, Entry) and each.line.n == number and each.line.previous == self._previous
            for each in self._stream(LOOK_AHEAD)
        )

    def _look(self, count: int) -> list[Seen]:
        return list(self._stream(count))

    def _stream(self, most: int) -> Iterable[Seen]:
        """What follows, from the beginning each time."""
        return islice(chain(tuple(self._ahead), self._more()), most)

    def _more(self) -> Iterator[Seen]:
        for each in self._rest:
            self._ahead.append(each)
            yield each

    def _missing(self, first: int, last: int) -> Finding:
        said = f"entry {first} is" if first == last else f"entries {first} to {last} are"
        return self._finding("cut", first, last, f"{said} missing")

    def _edited(self, number: int) -> Finding:
        """At its own line."""
        found = self._finding("edited", number, number, "it is not what was written")
        place = number - self._place.size
        if place >= len(self._good):
            return found
        return structs.replace(found, file=self._good[place].file, line=self._good[place].number)

    def _finding(self, kind: str, first: int, last: int, reason: str) -> Finding:
        return Finding(kind, first, max(first, last), self._bad.file, self._bad.number, reason)
