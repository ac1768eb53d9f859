"""One file of the spool: sealed rows, the contexts they number, and the number that comes next in each.

The numbers are committed with the rows that bear them, so that a crash forgets both or neither.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from midcall.base.seal import OVERHEAD, SealError
from midcall.base.sqlite import PAGE_OCTETS, connect, insert, is_full, transaction
from midcall.handover.assembler import Assembler
from midcall.handover.rows import Span, pack_numbers, pieces, split, unpack_spans
from midcall.handover.shell.keys import KeyForeign, KeyGone, KeyStore
from midcall.handover.shell.tail import Fresh
from midcall.handover.values import KINDS, NUMBERS, ContextKey, Interface, Kind, Run

_SCHEMA = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE contexts(id INTEGER PRIMARY KEY, handle INTEGER, kind INTEGER, tag BLOB UNIQUE, sealed BLOB);
CREATE TABLE counters(context INTEGER PRIMARY KEY, next INTEGER, total INTEGER);
CREATE TABLE rows(id INTEGER PRIMARY KEY, handle INTEGER, at INTEGER, spans BLOB, body BLOB);
CREATE TABLE unsigned(id INTEGER PRIMARY KEY, context INTEGER, number INTEGER, sealed BLOB);
"""
# What the events' file holds besides: numbers of idle contexts of content, what was refused, what was given up.
_EVENTS_SCHEMA = """
CREATE TABLE archive(tag BLOB PRIMARY KEY, handle INTEGER, kind INTEGER, next INTEGER, total INTEGER) WITHOUT ROWID;
CREATE TABLE producers(handle INTEGER PRIMARY KEY, key INTEGER);
CREATE TABLE marks(id INTEGER PRIMARY KEY AUTOINCREMENT, mark BLOB UNIQUE);
CREATE TABLE refused(handle INTEGER, interface TEXT, reason TEXT, count INTEGER, UNIQUE(handle, interface, reason));
CREATE TABLE gone(id INTEGER PRIMARY KEY, handle INTEGER, spans BLOB, tags BLOB);
"""
TAG_OCTETS = 16
LARGE_PAGE_OCTETS = 16_384
"""Of large files of content, whose rows have 32 KB: each page costs a call of the system, and another one later."""
LEAST_PAGES = 16
"""Of a log, however small the disk: a commit has no fewer."""
_COUNTED = "ON CONFLICT(context) DO UPDATE SET next = excluded.next, total = total + excluded.total"


class Row(NamedTuple):
    """A row as it stands on disk; ``at`` is when it was written (wall ns)."""

    id: int
    handle: int
    at: int
    spans: bytes
    body: bytes


class KnownContext(NamedTuple):
    """A line of the table of contexts with its counter."""

    id: int
    handle: int
    kind: int
    tag: bytes
    sealed: bytes
    next: int
    total: int


class Summary(NamedTuple):
    """A segment without its octets: names of its contexts; time and spans of its rows; and for the sender row, handle,
    spans, and kind and tag of the context of each span.
    """

    contexts: dict[int, ContextKey]
    rows: list[tuple[int, list[Span]]]
    gone: list[tuple[int, int, bytes, bytes]]


def place(interface: Interface, row: int, handle: int, spans: bytes) -> bytes:
    """What a row's seal is bound to."""
    return b"%s row %d of %d " % (interface.encode(), row, handle) + spans


def encode_key(key: ContextKey) -> bytes:
    return msgspec.json.encode(key)


def decode_key(octets: bytes) -> ContextKey:
    liid, operator, element, cin, country, kind = msgspec.json.decode(octets)
    return ContextKey(liid, operator, element, cin, country, Kind(kind))


class Unborn(sqlite3.DatabaseError):
    """A file that was being made when its maker died: nothing was ever in it."""


class Store:
    """A file that the writer has open. After any error it is to be opened anew: what it knows may be ahead."""

    def __init__(self, path: Path, interface: Interface, keys: KeyStore, chained: bool, signed: bool) -> None:
        self.path = path
        self.interface = interface
        self.octets = 0
        # How many records an idle context had before it came (back) into this file.
        self.total_of: Callable[[bytes], int] = lambda _: 0
        self.database = connect(path, "rw")
        self._keys = keys
        self._chained = chained
        self._signed = signed
        self._ids: dict[ContextKey, int] = {}
        self._uncovered: dict[ContextKey, int] = {}
        try:
            if not self.database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise Unborn(f"{path.name}: empty")
            self.reload()
        except sqlite3.Error:
            self.database.close()
            raise

    def reload(self) -> None:
        """Forget what is not on the disk. sqlite3.DatabaseError: damaged, or not a file of the spool."""
        if self.database.in_transaction:
            self.database.execute("ROLLBACK")
        self._ids.clear()
        self._uncovered.clear()
        self.first = self.meta("first")
        self.low = self.meta("low")
        (last,) = self.database.execute("SELECT max(id) FROM rows").fetchone()
        self.next_row = max(self.meta("row"), (last or 0) + 1)
        self._next_context = self.meta("context")
        (pages,), (size,) = (self.database.execute(f"PRAGMA {p}").fetchone() for p in ("page_count", "page_size"))
        self.octets = pages * size
        self._page_octets = size

    @staticmethod
    def create(
        path: Path,
        interface: Interface,
        first: int,
        next_context: int = 1,
        contexts: Iterable[KnownContext] = (),
        unsigned: Iterable[tuple[int, int, bytes]] = (),
        low: int | None = None,
        page_octets: int = PAGE_OCTETS,
    ) -> None:
        """A new file whose rows begin with ``first``, going on with the numbers of ``contexts``;
        rows from ``low`` on, in older files, are not covered by an integrity check yet.
        """
        database = connect(path, "rwc", page_octets)
        try:
            with transaction(database):
                schema = _SCHEMA + (_EVENTS_SCHEMA if interface == "hi2" else "")
                for statement in filter(None, schema.splitlines()):
                    database.execute(statement)
                for context in contexts:
                    database.execute("INSERT INTO contexts VALUES(?,?,?,?,?)", context[:5])
                    database.execute("INSERT INTO counters VALUES(?,?,?)", (context.id, context.next, context.total))
                database.executemany("INSERT INTO unsigned(context, number, sealed) VALUES(?,?,?)", unsigned)
                meta = {"first": first, "row": first, "low": first if low is None else low, "context": next_context}
                database.executemany("INSERT INTO meta VALUES(?,?)", meta.items())
        finally:
            database.close()

    def set_log(self, octets: int) -> None:
        """How long the log may be before it is copied into the file, about."""
        self.database.execute(f"PRAGMA wal_autocheckpoint={max(octets // self._page_octets, LEAST_PAGES)}")

    def meta(self, name: str) -> int:
        found = self.database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        if found is None or not isinstance(found[0], int):
            raise sqlite3.DatabaseError(f"{self.path.name}: without {name}")
        return found[0]

    def set_meta(self, name: str, value: int | bytes) -> None:
        self.database.execute("INSERT OR REPLACE INTO meta VALUES(?,?)", (name, value))

    def noted(self, name: str) -> bool:
        return self.database.execute("SELECT 1 FROM meta WHERE name = ?", (name,)).fetchone() is not None

    def note(self, name: str, value: int | bytes | None) -> None:
        """Note something, or (None) that it is no more."""
        if value is None:
            self.database.execute("DELETE FROM meta WHERE name = ?", (name,))
        else:
            self.set_meta(name, value)

    # Writing, inside a transaction

    def append(self, runs: Iterable[Run], now: int) -> list[Fresh]:
        """Seal runs into rows and commit their numbers with them; returns the rows in clear."""
        fresh: list[Fresh] = []
        rows: list[object] = []
        counters: list[object] = []
        for liid, own in _by_liid(runs).items():
            handle = self._keys.handle(liid)
            key = self._keys.key(handle)
            for piece in pieces(own):
                spans: list[int] = []
                plains: list[bytes] = []
                for run in piece:
                    _, name, first, octets, data, _, joined = run
                    context, pdus = self._id(name, handle), len(octets)
                    spans += (context, first, pdus)
                    counters += (context, (first + pdus) % NUMBERS, pdus)
                    plains.append(joined or b"".join(octets))
                    if data is not None:
                        self._check(run, data, handle)
                    elif self._chained and name not in self._uncovered and name.kind.is_data:
                        self._uncovered[name] = self.next_row
                packed = pack_numbers(spans)
                plain = plains[0] if len(plains) == 1 else b"".join(plains)
                body = key.seal(plain, place(self.interface, self.next_row, handle, packed))
                rows += (self.next_row, handle, now, packed, body)
                fresh.append(Fresh(self.next_row, handle, now, packed, plain))
                self.octets += len(body) + len(packed)
                self.next_row += 1
        insert(self.database, "rows", rows, 5)
        insert(self.database, "counters", counters, 3, _COUNTED)
        self._set_low()
        return fresh

    def _check(self, run: Run, of: ContextKey, handle: int) -> None:
        """Which rows hold PDUs that no check covers yet, and which hashes wait for a signature."""
        data = self._id(of, handle)
        if run.check == 1:
            self._uncovered.pop(of, None)
            if self._signed:
                sealed = self._keys.key(handle).seal(run.octets[0], b"unsigned %d" % run.first)
                values = (data, run.first, sealed)
                self.database.execute("INSERT INTO unsigned(context, number, sealed) VALUES(?,?,?)", values)
        else:
            self.database.execute("DELETE FROM unsigned WHERE context = ?", (data,))

    def _set_low(self) -> None:
        low = min(self._uncovered.values(), default=self.next_row)
        if low != self.low:
            self.low = low
            self.set_meta("low", low)

    def _id(self, key: ContextKey, handle: int) -> int:
        known = self._ids.get(key)
        if known is not None:
            return known
        encoded = encode_key(key)
        tag = self._keys.tag(encoded)
        found = self.database.execute("SELECT id FROM contexts WHERE tag = ?", (tag,)).fetchone()
        if found is not None:
            known = int(found[0])
        else:
            known = self._next_context
            self._next_context += 1
            sealed = self._keys.key(handle).seal(encoded, b"context " + tag)
            self.database.execute("INSERT INTO contexts VALUES(?,?,?,?,?)", (known, handle, int(key.kind), tag, sealed))
            self.set_meta("context", self._next_context)
            if before := self.total_of(tag):
                self.database.execute("INSERT INTO counters VALUES(?,0,?)", (known, before))
        self._ids[key] = known
        return known

    def let_go(self, last: int, last_content: int) -> bool:
        """Delete events' rows up to ``last``, and what was noted of given up content up to ``last_content``.

        Where the disk has no room to log it all, in smaller steps: what a step frees is room for the next. True: some
        are gone. sqlite3.Error: not even one row found room.
        """
        if self.interface != "hi2":
            return False
        (oldest,) = self.database.execute("SELECT min(id) FROM rows").fetchone()
        (gone,) = self.database.execute("SELECT min(id) FROM gone").fetchone()
        rows = 0 if oldest is None else max(last - oldest + 1, 0)
        if not rows and (gone is None or gone > last_content):
            return False
        start = first = last + 1 - rows
        step = max(rows, 1)
        while True:
            upto = min(first + step - 1, last)
            try:
                self._delete(upto, last_content)
            except sqlite3.Error as error:
                if not is_full(error) or (step == 1 and first == start):
                    raise
                if step == 1:
                    return True
                self.bring_home()
                step = max(step // 8, 1)
                continue
            first = upto + 1
            if first > last:
                return True

    def bring_home(self) -> None:
        """Copy the log into the file, as far as there is room: then the log begins anew."""
        with suppress(sqlite3.Error):
            self.database.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _delete(self, last: int, last_content: int) -> None:
        with transaction(self.database):
            self.set_meta("row", self.next_row)
            self.database.execute("DELETE FROM rows WHERE id <= ?", (last,))
            self.database.execute("DELETE FROM gone WHERE id <= ?", (last_content,))

    # Reading

    def next_of(self, tag: bytes) -> int | None:
        """The number that comes next in a context, None when it is not here."""
        query = "SELECT next FROM contexts JOIN counters ON context = id WHERE tag = ?"
        found = self.database.execute(query, (tag,)).fetchone()
        return None if found is None else int(found[0])

    def known(self) -> Iterator[KnownContext]:
        query = "SELECT id, handle, kind, tag, sealed, next, total FROM contexts JOIN counters ON context = id"
        return (KnownContext(*row) for row in self.database.execute(query))

    def unsigned(self) -> list[tuple[int, int, bytes]]:
        """Hashes that no signature covers yet: context of their data, number, sealed octets."""
        return self.database.execute("SELECT context, number, sealed FROM unsigned ORDER BY id").fetchall()

    @property
    def next_context(self) -> int:
        return self._next_context

    def key_of(self, context: int) -> ContextKey | None:
        """The context of a span; None when nothing tells it any more."""
        return read_context(self.database, self._keys, context)

    def replay(self, database: sqlite3.Connection, assembler: Assembler, low: int, now: int) -> None:
        """Give the assembler back what no integrity check covers yet, from row ``low`` of a file on."""
        for row in database.execute("SELECT * FROM rows WHERE id >= ? ORDER BY id", (low,)):
            self._replay_row(database, assembler, Row(*row), now)

    def replay_hashes(self, assembler: Assembler, now: int) -> None:
        for context, number, sealed in self.database.execute(
            "SELECT context, number, sealed FROM unsigned ORDER BY id"
        ):
            key = self.key_of(context)
            if key is not None:
                handle = self._keys.handle(key.liid)
                try:
                    octets = self._keys.key(handle).open(sealed, b"unsigned %d" % number)
                except SealError:
                    continue
                assembler.resume_hash(key, number, octets, now)

    def _replay_row(self, database: sqlite3.Connection, assembler: Assembler, row: Row, now: int) -> None:
        try:
            plain = self._keys.key(row.handle).open(row.body, place(self.interface, row.id, row.handle, row.spans))
        except (SealError, KeyGone, KeyForeign):
            return  # the sender will report it; nothing can be proved about it any more
        spans = unpack_spans(row.spans)
        octets = list(split(plain, sum(span.pdus for span in spans)))
        for span in spans:
            own, octets = octets[: span.pdus], octets[span.pdus :]
            key = read_context(database, self._keys, span.context)
            if key is None:
                continue
            if key.kind.is_data and self._chained:
                assembler.resume(key, span.first, own, now)
                self._uncovered.setdefault(key, row.id)
            elif key.kind is Kind.INTEGRITY:
                data = key.other(KINDS[self.interface])
                for each in own:
                    if assembler.resume_check(data, each) == 1:
                        self._uncovered.pop(data, None)

    def share_uncovered(self, other: Store) -> None:
        """Note rows without a check where the older file notes them."""
        self._uncovered = other._uncovered

    def forget(self, keys: Iterable[ContextKey]) -> None:
        for key in keys:
            self._ids.pop(key, None)
            self._uncovered.pop(key, None)

    def close(self) -> None:
        self.database.close()


def summary(database: sqlite3.Connection, keys: KeyStore, passed: int) -> Summary:
    """What is not delivered of a segment that is given up."""
    tags: dict[int, bytes] = {}
    names: dict[int, ContextKey] = {}
    for number, kind, tag in database.execute("SELECT id, kind, tag FROM contexts").fetchall():
        tags[number] = bytes((kind,)) + tag
        if (key := read_context(database, keys, number)) is not None:
            names[number] = key
    query = "SELECT id, handle, at, spans FROM rows WHERE id > ? ORDER BY id"
    rows, gone = [], []
    for row, handle, at, packed in database.execute(query, (passed,)):
        spans = unpack_spans(packed)
        rows.append((at, spans))
        gone.append((row, handle, packed, b"".join(tags.get(span.context, bytes(1 + TAG_OCTETS)) for span in spans)))
    return Summary(names, rows, gone)


def read_context(database: sqlite3.Connection, keys: KeyStore, context: int) -> ContextKey | None:
    found = database.execute("SELECT handle, tag, sealed FROM contexts WHERE id = ?", (context,)).fetchone()
    if found is None:
        return None
    handle, tag, sealed = found
    try:
        return decode_key(keys.key(handle).open(bytes(sealed), b"context " + bytes(tag)))
    except (SealError, KeyGone, KeyForeign):
        return None


def _by_liid(runs: Iterable[Run]) -> dict[str, list[Run]]:
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        liid = run.key.liid
        own = grouped.get(liid)
        if own is None:
            grouped[liid] = [run]
        else:
            own.append(run)
    return grouped


__all__ = ["OVERHEAD", "KnownContext", "Row", "Store", "place", "read_context"]
