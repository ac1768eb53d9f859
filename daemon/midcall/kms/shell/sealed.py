"""What the KMS has to know after a restart, in SQLite, each row sealed: subscribers, TPKs, versions of warrants.

There is no way to read a key out of it but to be the KMS: no export, and nothing that shows a row. Several processes
may have it open, KMSs and who administers them: each sees what the others have written once it asks ``changed``.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from imswire import sip
from midcall.base import sqlite
from midcall.base.seal import SealError, SealKey
from midcall.base.warrant import Known
from midcall.kms.store import KmsStore, Subscriber, TicketProtectionKey

VERSION = 1
HOUR = 3_600_000_000_000
TPK_OCTETS = 32
"""Enough for tickets of both families (RFC 6043 6.2)."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tpks(tag BLOB PRIMARY KEY, sealed BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subscribers(tag BLOB PRIMARY KEY, sealed BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS warrants(tag BLOB PRIMARY KEY, sealed BLOB) WITHOUT ROWID;
"""

T = TypeVar("T")


class StoreError(Exception):
    """The store cannot be read or written; names the file, and nothing in it."""


class _Tpk(Struct, frozen=True):
    id: bytes
    key: bytes
    since: int
    until: int | None

    def __repr__(self) -> str:
        return "_Tpk(<redacted>)"


class _Subscriber(Struct, frozen=True):
    identities: Annotated[tuple[str, ...], Meta(min_length=1)]
    psk_id: bytes
    psk: bytes

    def __repr__(self) -> str:
        return "_Subscriber(<redacted>)"


class _Known(Struct, frozen=True):
    id: str
    version: int
    digest: str
    revoked: bool


_SUBSCRIBER = msgspec.msgpack.Decoder(_Subscriber)
_KNOWN = msgspec.msgpack.Decoder(_Known)


class SealedStore:
    """One KMS's database; ``seal`` stays its caller's to wipe, after ``close``."""

    def __init__(self, path: Path, seal: SealKey) -> None:
        """Open, or begin. StoreError: no database, or one that was sealed with another key."""
        self._path = path
        self._seal = seal
        with self._faults():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = sqlite.connect(path, "rwc")
        try:
            with self._faults():
                self._salt = self._begin()
                self._seen = self._data_version()
            self._tpks = self._read_tpks()
            self._subscribers = self._generation()
        except StoreError:
            self._database.close()
            raise

    def _begin(self) -> bytes:
        self._database.execute("PRAGMA secure_delete=ON")
        with self._transaction():
            for statement in _SCHEMA.strip().splitlines():
                self._database.execute(statement)
            found = self._database.execute("SELECT value FROM meta WHERE name = 'salt'").fetchone()
            if found is None:
                salt = secrets.token_bytes(32)
                self._database.execute("INSERT INTO meta VALUES('salt', ?)", (self._seal.seal(salt, b"kms/salt/1"),))
                return salt
        try:
            return self._seal.open(bytes(found[0]), b"kms/salt/1")
        except SealError:
            raise StoreError(f"{self._path}: sealed with another key, or damaged") from None

    # What others have written

    def changed(self) -> bool:
        """Whether another process has written since this was asked last; then what is kept of TPKs is read anew.
        StoreError.
        """
        with self._faults():
            seen = self._data_version()
        if seen == self._seen:
            return False
        self._seen, self._tpks = seen, self._read_tpks()
        return True

    def subscribers_changed(self) -> bool:
        """Whether subscribers came or went since this was asked last, by whomever. StoreError."""
        before, self._subscribers = self._subscribers, self._generation()
        return self._subscribers != before

    def _data_version(self) -> int:
        """Another number after each commit of another connection."""
        return int(self._database.execute("PRAGMA data_version").fetchone()[0])

    def _generation(self) -> int:
        """Another number after each change of subscribers."""
        with self._faults():
            found = self._database.execute("SELECT value FROM meta WHERE name = 'subscribers'").fetchone()
        return 0 if found is None else int(found[0])

    def _changes_subscribers(self) -> None:
        add = "INSERT INTO meta VALUES('subscribers', 1) ON CONFLICT(name) DO UPDATE SET value = value + 1"
        self._database.execute(add)

    # Ticket protection keys

    @property
    def tpks(self) -> tuple[TicketProtectionKey, ...]:
        """The one for new tickets, and those that still open old ones."""
        return tuple(TicketProtectionKey(each.id, each.key) for each in self._tpks)

    def turn(self, now: int, rotate: int, keep: int, draw: Callable[[int], bytes] = secrets.token_bytes) -> bool:
        """At wall time ``now``: a new TPK when there is none or the newest has served ``rotate`` ns; those that have
        been replaced for ``keep`` ns are destroyed. Whether anything changed. StoreError."""
        if now < self.next_turn(rotate, keep):
            return False
        with self._faults():
            with self._transaction():
                # Another process may have turned them meanwhile.
                before = self._read_tpks()
                kept = _turned(before, now, rotate, keep, draw)
                gone = {each.id for each in before} - {each.id for each in kept}
                for tpk in kept:
                    self._put("tpks", tpk.id, tpk)
                for name in gone:
                    self._database.execute("DELETE FROM tpks WHERE tag = ?", (self._tag("tpks", name),))
            if gone:
                # A destroyed key must not outlive its row in the log of the database.
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        changed, self._tpks = kept != self._tpks, kept
        return changed

    def _read_tpks(self) -> list[_Tpk]:
        """The one that has no successor first."""
        return sorted(self._rows("tpks", _Tpk), key=lambda tpk: (tpk.until is None, tpk.since), reverse=True)

    def next_turn(self, rotate: int, keep: int) -> int:
        """When ``turn`` has something to do (wall ns)."""
        if not self._tpks:
            return 0
        ends = [each.until + keep for each in self._tpks if each.until is not None]
        return min([self._tpks[0].since + rotate, *ends])

    # Subscribers

    def put_subscribers(self, subscribers: Iterable[Subscriber]) -> None:
        """Provision; one who is there is replaced. StoreError."""
        with self._faults(), self._transaction():
            self._changes_subscribers()
            for each in subscribers:
                row = _Subscriber(each.identities, each.psk_id, each.psk)
                self._put("subscribers", each.psk_id or _first(each), row)

    def remove_subscribers(self, subscribers: Iterable[Subscriber]) -> None:
        """Their tickets stay what they are: they are opened by TPKs. StoreError."""
        with self._faults(), self._transaction():
            self._changes_subscribers()
            for each in subscribers:
                tag = self._tag("subscribers", each.psk_id or _first(each))
                self._database.execute("DELETE FROM subscribers WHERE tag = ?", (tag,))

    def subscribers(self) -> tuple[Subscriber, ...]:
        """StoreError."""
        return tuple(self.each_subscriber())

    def each_subscriber(self) -> Iterator[Subscriber]:
        """One after the other, as they stand when the first one is read, whatever is written meanwhile. StoreError."""
        with self._faults():
            reader = sqlite.read_only(self._path)
        with closing(reader):
            for row in self._each(reader, "subscribers", _SUBSCRIBER):
                yield Subscriber(row.identities, row.psk_id, row.psk)

    def import_lab(self, keys: KmsStore, now: int) -> None:
        """All of a KEYS.toml; laboratories only. The first of its TPKs is the one for new tickets. StoreError."""
        present = {each.id for each in self._tpks}
        added = [each for each in keys.tpks if each.id not in present]
        if added:
            begun = [_Tpk(each.id, each.key, now - place, now if place else None) for place, each in enumerate(added)]
            replaced = [each if each.until else msgspec.structs.replace(each, until=now) for each in self._tpks]
            with self._faults(), self._transaction():
                for tpk in begun + replaced:
                    self._put("tpks", tpk.id, tpk)
            self._tpks = sorted(begun + replaced, key=lambda tpk: tpk.since, reverse=True)
        self.put_subscribers(keys.subscribers)

    # Warrants

    @property
    def known(self) -> Mapping[str, Known]:
        """The highest version of each warrant that was shown, or that was revoked; look-ups raise StoreError."""
        return _KnownWarrants(self)

    def known_warrant(self, identifier: str) -> Known | None:
        """StoreError."""
        tag = self._tag("warrants", identifier.encode())
        with self._faults():
            found = self._database.execute("SELECT sealed FROM warrants WHERE tag = ?", (tag,)).fetchone()
        row = None if found is None else self._opened("warrants", tag, found[0], _KNOWN)
        return None if row is None else Known(row.version, row.digest, row.revoked)

    def known_warrants(self) -> list[str]:
        """Identifiers. StoreError."""
        return [each.id for each in self._rows("warrants", _Known)]

    def count_known_warrants(self) -> int:
        """StoreError."""
        with self._faults():
            return int(self._database.execute("SELECT count(*) FROM warrants").fetchone()[0])

    def note(self, identifier: str, known: Known) -> None:
        """Keep it for good. StoreError, also when another process has noted what ends it."""
        with self._faults(), self._transaction():
            before = self.known_warrant(identifier)
            if before is not None and (before.revoked or before.version > known.version) and not known.revoked:
                raise StoreError(f"{self._path}: a later version of the warrant was noted meanwhile")
            row = _Known(identifier, known.version, known.digest, known.revoked)
            self._put("warrants", identifier.encode(), row)

    def close(self) -> None:
        self._database.close()

    # Rows

    def _tag(self, table: str, name: bytes) -> bytes:
        """A name for a row that tells nobody without the key whose it is."""
        return blake2b(table.encode() + b"\0" + name, digest_size=16, key=self._salt).digest()

    def _put(self, table: str, name: bytes, row: Struct) -> None:
        tag = self._tag(table, name)
        sealed = self._seal.seal(msgspec.msgpack.encode(row), _place(table, tag))
        statements = {
            "tpks": "INSERT OR REPLACE INTO tpks VALUES(?, ?)",
            "subscribers": "INSERT OR REPLACE INTO subscribers VALUES(?, ?)",
            "warrants": "INSERT OR REPLACE INTO warrants VALUES(?, ?)",
        }
        self._database.execute(statements[table], (tag, sealed))

    def _rows(self, table: str, kind: type[T]) -> list[T]:
        return list(self._each(self._database, table, msgspec.msgpack.Decoder(kind)))

    def _each(self, database: sqlite3.Connection, table: str, decoder: msgspec.msgpack.Decoder[T]) -> Iterator[T]:
        statements = {
            "tpks": "SELECT tag, sealed FROM tpks",
            "subscribers": "SELECT tag, sealed FROM subscribers",
            "warrants": "SELECT tag, sealed FROM warrants",
        }
        with self._faults():
            for tag, sealed in database.execute(statements[table]):
                yield self._opened(table, bytes(tag), sealed, decoder)

    def _opened(self, table: str, tag: bytes, sealed: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
        try:
            return decoder.decode(self._seal.open(bytes(sealed), _place(table, tag)))
        except (SealError, msgspec.MsgspecError):
            raise StoreError(f"{self._path}: a row of {table} does not open") from None

    def _transaction(self) -> AbstractContextManager[None]:
        return sqlite.transaction(self._database)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._path}: {type(error).__name__}: {error}") from None


class _KnownWarrants(Mapping[str, Known]):
    """Versions of warrants, each read when it is asked for."""

    def __init__(self, store: SealedStore) -> None:
        self._store = store

    def __getitem__(self, identifier: str) -> Known:
        found = self._store.known_warrant(identifier)
        if found is None:
            raise KeyError(identifier)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._store.known_warrants())

    def __len__(self) -> int:
        return self._store.count_known_warrants()


def _turned(tpks: list[_Tpk], now: int, rotate: int, keep: int, draw: Callable[[int], bytes]) -> list[_Tpk]:
    """What is kept of them, behind a new one when the newest has served."""
    kept = list(tpks)
    newest = kept[0] if kept else None
    if newest is None or now - newest.since >= rotate:
        if newest is not None:
            kept[0] = msgspec.structs.replace(newest, until=now)
        name = b"tpk-" + draw(6).hex().encode()
        kept.insert(0, _Tpk(name, draw(TPK_OCTETS), now, None))
    return [each for each in kept if each.until is None or now - each.until < keep]


def _place(table: str, tag: bytes) -> bytes:
    return f"kms/{table}/".encode() + tag


def _first(subscriber: Subscriber) -> bytes:
    """The name of one who has no key here: the first canonical form of the first identity."""
    return next(iter(sorted(sip.identities(subscriber.identities[0]))), subscriber.identities[0]).encode()
