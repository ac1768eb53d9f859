"""Rows of one interface in their order, and what became of those that cannot be read.

Nothing is passed over in silence: numbers that will not come are reported once, exactly, as soon as a later number
of their context, or the writer's count, tells where they end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from midcall.base.seal import SealError
from midcall.base.sqlite import read_only
from midcall.handover.rows import Span, numbers, unpack_spans, without
from midcall.handover.shell.cursor import DELIVERED, Cursor
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.keys import KeyForeign, KeyGone, KeyStore
from midcall.handover.shell.segments import given_up
from midcall.handover.shell.store import TAG_OCTETS, Row, place, read_context
from midcall.handover.shell.tail import Fresh, Tail
from midcall.handover.values import NUMBERS, PORTS, ContextKey, Interface, Kind, Lost, Port

DESTROYED = "key destroyed"
FOREIGN = "foreign key"
UNREADABLE = "unreadable"
GIVEN_UP = "disk full"
# Contexts of a file that are kept by their number; more are read again.
_MOST_CONTEXTS = 65_536
# Row numbers tried one by one in a damaged file before the loop has its turn again.
_STEPS = 4_096
_WHOLE, _PART = 1, 2
KNOWN = frozenset(map(int, Kind))


Counts = dict[tuple[int, Port, str], int]


class Item(NamedTuple):
    """A row that goes out, or is done with (no octets). ``counts``: records by handle, port and outcome."""

    row: int
    octets: bytes
    pdus: int
    at: int
    counts: Counts
    seen: list[tuple[bytes, int]]


class _Context(NamedTuple):
    """``counted``: as what its records count when they are delivered; None: they do not."""

    handle: int
    kind: int
    tag: bytes
    counted: tuple[int, Port, str] | None

    @classmethod
    def of(cls, handle: int, kind: int, tag: bytes) -> _Context:
        port = PORTS.get(Kind(kind)) if kind in KNOWN else None
        return cls(handle, kind, tag, None if port is None else (handle, port, DELIVERED))


class _File(NamedTuple):
    path: Path
    inode: int
    first: int
    database: sqlite3.Connection


class Reader:
    """Reads behind the cursor. ``lost`` is told of numbers that will not come; ``tail`` has what was just written."""

    def __init__(
        self,
        folder: Folder,
        interface: Interface,
        keys: KeyStore,
        cursor: Cursor,
        lost: Callable[[Lost], None],
        tail: Tail | None = None,
    ) -> None:
        self.interface = interface
        self.after = cursor.row(interface)
        self._folder = folder
        self._keys = keys
        self._cursor = cursor
        self._lost = lost
        self._tail = tail
        self._file: _File | None = None
        self._contexts: dict[int, _Context | None] = {}
        self._seen: dict[bytes, int] = {}
        self._suspect = False
        # Whether a file was just opened, and the last row of content that the writer has declared not to come.
        self._fresh, self._given = False, 0
        self._whole = self._knows_all()

    def rewind(self) -> None:
        """Go back to what is settled: the connection is gone, and all behind it goes out again."""
        self.after = self._cursor.row(self.interface)
        self._seen.clear()
        if self._tail is not None:
            self._tail.leave()
        self._close()

    def read(self, octets: int) -> list[Item]:
        """The next rows, about ``octets`` of them; an empty list when there are none yet."""
        self._keys.refresh()
        items: list[Item] = []
        while octets > 0:
            fetched: Sequence[Row | Fresh | Item] | None = None
            if self._tail is not None:
                fetched = self._tail.take(self.after, octets)
            if fetched is None:
                fetched = self._fetch(octets)
            if not fetched:
                break
            for row in fetched:
                item = row if isinstance(row, Item) else self._item(row)
                items.append(item)
                self.after = item.row
                octets -= len(item.octets) + 1
        if not items and self._suspect:
            self._suspect = False
            items = self._settle_tail()
        return items

    def settled(self, most: int) -> None:
        """Nothing is under way: what was seen stands in the cursor, and is kept here up to ``most`` contexts."""
        if len(self._seen) > most:
            self._seen.clear()

    def close(self) -> None:
        self._close()

    # Rows

    def _fetch(self, octets: int) -> Sequence[Row | Fresh | Item]:
        """From the files; at their end what is written next is waited for."""
        while True:
            file = self._file or self._choose()
            if file is None:
                return []
            if self._fresh or _inode(file.path) != file.inode:
                self._fresh, self._given = False, self._declared()
            rows = self._query(file, octets)
            if rows:
                return rows
            newer = self._newer(file)
            if newer is None:
                if self._tail is not None:
                    self._tail.join(file.path, self.after)
                return []
            rows = self._query(file, octets)  # what was written before the newer file was made
            if rows:
                newer.database.close()
                return rows
            self._close()
            self._file = newer
            self._fresh = True
            if newer.first - 1 > self.after:
                return self._missing(newer.first - 1)

    def _query(self, file: _File, octets: int) -> list[Row | Item]:
        found: list[Row | Item] = []
        after = self.after
        cursor = file.database.cursor()
        try:
            for values in cursor.execute("SELECT * FROM rows WHERE id > ? ORDER BY id", (after,)):
                row = Row(*values)
                if row.id != after + 1:
                    return found or self._missing(row.id - 1)
                found.append(row)
                after = row.id
                octets -= len(row.body)
                if octets <= 0:
                    break
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return []
            return found or self._step(file)
        finally:
            cursor.close()
        return found

    def _step(self, file: _File) -> list[Row | Item]:
        """Row by row through a damaged file."""
        newer = self._newer(file)
        if newer is not None:
            newer.database.close()
        for number in range(self.after + 1, self.after + 1 + _STEPS):
            if newer is not None and number >= newer.first:
                return self._missing(newer.first - 1) if number > self.after + 1 else []
            try:
                found = file.database.execute("SELECT * FROM rows WHERE id = ?", (number,)).fetchone()
            except sqlite3.DatabaseError:
                continue
            if found is not None:
                return [Row(*found)] if number == self.after + 1 else self._missing(number - 1)
        return self._missing(self.after + _STEPS) if newer is not None else []

    def _missing(self, last: int) -> list[Row | Item]:
        """Rows that are not there, up to ``last``: given up by the writer, or lost."""
        items: list[Row | Item] = list(self._given_up(last)) if self.interface == "hi3" else []
        at = items[-1].row if items and isinstance(items[-1], Item) else self.after
        if at < last:
            self._suspect = self._suspect or self._whole
            items.append(Item(last, b"", 0, 0, {}, []))
        return items

    def _declared(self) -> int:
        """The last row that the writer has given up, whether its file is there or not; 0: none that it still notes.

        Content that is declared does not go out any more, though it can be read. Checks do: they may be of what did.
        """
        if self.interface != "hi3":
            return 0
        try:
            with closing(read_only(self._folder.events)) as events:
                return given_up(events)
        except sqlite3.Error:
            return 0

    def _given_up(self, last: int) -> list[Item]:
        try:
            events = read_only(self._folder.events)
        except sqlite3.Error:
            return []
        items = []
        try:
            query = "SELECT id, handle, spans, tags FROM gone WHERE id > ? AND id <= ? ORDER BY id"
            for number, handle, packed, tags in events.execute(query, (self.after, last)):
                counts: Counts = {}
                seen = []
                for index, span in enumerate(unpack_spans(packed)):
                    name = tags[index * (1 + TAG_OCTETS) : (index + 1) * (1 + TAG_OCTETS)]
                    if name and name[0] == Kind.CC:
                        _add(counts, (handle, PORTS[Kind.CC], GIVEN_UP), span.pdus)
                        self._seen[name[1:]] = span.end
                        seen.append((name[1:], span.end))
                items.append(Item(number, b"", 0, 0, counts, seen))
        except sqlite3.Error:
            pass
        finally:
            events.close()
        return items

    def _item(self, row: Row | Fresh) -> Item:
        """Each row of content comes through here: for the usual one nothing is called that need not be."""
        number, handle, at, packed, octets = row
        try:
            key = self._keys.key(handle)
            if isinstance(row, Row):
                octets = key.open(octets, place(self.interface, number, handle, packed))
        except KeyGone:
            return self._unreadable(row, unpack_spans(packed), DESTROYED)
        except KeyForeign:
            return self._unreadable(row, unpack_spans(packed), FOREIGN)
        except (SealError, TypeError):
            return self._unreadable(row, unpack_spans(packed), UNREADABLE)
        if number <= self._given:
            return self._without_given(row, octets)
        counts: Counts = {}
        seen = []
        pdus = 0
        for which, first, count in numbers(packed):
            pdus += count
            context = self._contexts.get(which) or self._context(which)
            if context is None:
                continue
            if context.counted is None:
                if context.kind == Kind.CIN_RESET:
                    self._seen.clear()
                    self._cursor.forget_seen(self.interface)
                continue
            tag, end = context.tag, (first + count) % NUMBERS
            if self._seen.get(tag) != first:
                self._follow(which, context, first, counts)
            self._seen[tag] = end
            counted = context.counted if context.handle == handle else (handle, *context.counted[1:])
            counts[counted] = counts.get(counted, 0) + count
            seen.append((tag, end))
        return Item(number, octets, pdus, at, counts, seen)

    def _without_given(self, row: Row | Fresh, octets: bytes) -> Item:
        """A row of which content was given up."""
        counts: Counts = {}
        seen = []
        spans, given = unpack_spans(row.spans), set[Span]()
        for span in spans:
            context = self._context(span.context)
            if context is None:
                continue
            if context.kind == Kind.CIN_RESET:
                self._seen.clear()
                self._cursor.forget_seen(self.interface)
            elif context.counted is not None:
                if context.kind == Kind.CC:
                    given.add(span)
                else:
                    self._follow(span.context, context, span.first, counts)
                outcome = GIVEN_UP if context.kind == Kind.CC else DELIVERED
                _add(counts, (row.handle, context.counted[1], outcome), span.pdus)
                self._seen[context.tag] = span.end
                seen.append((context.tag, span.end))
        if given:
            octets, spans = without(octets, spans, given)
        return Item(row.id, octets, sum(span.pdus for span in spans), row.at, counts, seen)

    def _follow(self, which: int, context: _Context, first: int, counts: Counts) -> None:
        """Report the numbers between what was expected and what came."""
        expected = self._expected(context.tag)
        if expected is not None and 0 < (first - expected) % NUMBERS < NUMBERS // 2:
            self._report(which, context, expected, (first - 1) % NUMBERS, UNREADABLE, counts)

    def _unreadable(self, row: Row | Fresh, spans: list[Span], reason: str) -> Item:
        """Report what the spans say, where they agree with what was expected; else the next number will tell."""
        counts: Counts = {}
        seen = []
        for span in spans:
            context = self._context(span.context)
            if context is None or context.handle != row.handle or context.kind not in PORTS:
                self._suspect = self._suspect or context is None
                continue
            if self._expected(context.tag) in (None, span.first) and span.pdus < NUMBERS // 2:
                self._report(span.context, context, span.first, span.last, reason, counts)
                self._seen[context.tag] = span.end
                seen.append((context.tag, span.end))
            else:
                self._suspect = True
        self._suspect = self._suspect or not spans
        return Item(row.id, b"", 0, row.at, counts, seen)

    def _settle_tail(self) -> list[Item]:
        """Nothing more is there: the writer's counts say whether the last numbers were lost too."""
        file = self._file
        if file is None:
            return []
        counts: Counts = {}
        seen = []
        query = "SELECT id, handle, kind, tag, next FROM contexts JOIN counters ON context = id WHERE kind IN (1, 2, 5)"
        try:
            file.database.execute("BEGIN")
            more = file.database.execute("SELECT 1 FROM rows WHERE id > ? LIMIT 1", (self.after,)).fetchone()
            found = [] if more else file.database.execute(query).fetchall()
            file.database.execute("COMMIT")
        except sqlite3.Error:
            return []
        if more:
            self._suspect = True
            return []
        for number, handle, kind, tag, following in found:
            expected = self._expected(tag)
            if expected is not None and 0 < (following - expected) % NUMBERS < NUMBERS // 2:
                context = _Context.of(handle, kind, tag)
                self._report(number, context, expected, (following - 1) % NUMBERS, UNREADABLE, counts)
                self._seen[tag] = following
                seen.append((tag, following))
        return [Item(self.after, b"", 0, 0, counts, seen)] if seen else []

    # Contexts

    def _context(self, number: int) -> _Context | None:
        if number not in self._contexts and self._file is not None:
            if len(self._contexts) >= _MOST_CONTEXTS:
                self._contexts.clear()
            query = "SELECT handle, kind, tag FROM contexts WHERE id = ?"
            try:
                found = self._file.database.execute(query, (number,)).fetchone()
            except sqlite3.Error:
                return None
            if found is None:
                return None
            self._contexts[number] = _Context.of(*found)
        return self._contexts.get(number)

    def _expected(self, tag: bytes) -> int | None:
        known = self._seen.get(tag)
        if known is None:
            known = self._cursor.seen(tag)
            if known is None and self._whole:
                known = 0
        return known

    def _report(
        self,
        number: int,
        context: _Context,
        first: int,
        last: int,
        reason: str,
        counts: Counts,
    ) -> None:
        key: ContextKey | None = None
        if self._file is not None:
            try:
                key = read_context(self._file.database, self._keys, number)
            except sqlite3.Error:
                key = None
        liid = self._keys.liid(context.handle) if key is None else key.liid
        kind = Kind(context.kind)
        lost = Lost(liid, PORTS[kind], None if key is None else key.cin, kind, first, last, reason)
        _add(counts, (context.handle, lost.interface, reason), lost.count)
        self._lost(lost)

    # Files

    def _knows_all(self) -> bool:
        """False: the cursor was new beside an old spool, and does not know what was delivered before it."""
        flag = f"whole {self.interface}"
        if not self._cursor.flag(flag):
            self._cursor.set_flag(flag, _WHOLE if self._begins() else _PART)
        return self._cursor.flag(flag) == _WHOLE

    def _begins(self) -> bool:
        """Whether the spool still has all that it ever had."""
        files = self._folder.files(self.interface)
        for path in files:
            file = _open(path, path != files[-1])
            if file is None:
                continue
            try:
                found = file.database.execute("SELECT min(id) FROM rows").fetchone()[0]
                return file.first == 1 and found in (None, 1)
            except sqlite3.Error:
                return False
            finally:
                file.database.close()
        return True

    def _choose(self) -> _File | None:
        """The file in which the next row stands, or the first one behind it."""
        best: _File | None = None
        files = self._folder.files(self.interface)
        for path in files:
            file = _open(path, path != files[-1])
            if file is None:
                continue
            if best is None or file.first <= self.after + 1:
                if best is not None:
                    best.database.close()
                best = file
            else:
                file.database.close()
        self._close()
        self._file = best
        self._fresh = True
        return best

    def _newer(self, current: _File) -> _File | None:
        """The next file that can be read, when there is one."""
        files = self._folder.files(self.interface)
        behind = [path for path in files if path.name > current.path.name or _inode(path) != current.inode]
        for path in files if current.path not in files else behind:
            if path != current.path or _inode(path) != current.inode:
                file = _open(path, path != files[-1])
                # One that was left before it had a row begins where the next one does.
                if file is not None and (file.first, path.name) > (current.first, current.path.name):
                    return file
                if file is not None:
                    file.database.close()
        return None

    def _close(self) -> None:
        if self._file is not None:
            self._file.database.close()
            self._file = None
        self._contexts.clear()


def _add(counts: Counts, which: tuple[int, Port, str], count: int) -> None:
    counts[which] = counts.get(which, 0) + count


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _open(path: Path, closed: bool) -> _File | None:
    """A file of the spool; None when it is gone, not ready, or damaged at its root."""
    inode = _inode(path)
    try:
        database = read_only(path, closed)
    except sqlite3.Error:
        return None
    try:
        found = database.execute("SELECT value FROM meta WHERE name = 'first'").fetchone()
        return _File(path, inode, int(found[0]), database)
    except (sqlite3.Error, TypeError):
        database.close()
        return None
