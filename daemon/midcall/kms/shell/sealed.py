"""What the KMS has to know after a restart, in SQLite, each row sealed: subscribers, TPKs, versions of warrants.

There is no way to read a key out of it but to be the KMS: no export, and nothing that shows a row.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from imswire import sip
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


class SealedStore:
    """One KMS's database; ``seal`` stays its caller's to wipe, after ``close``."""

    def __init__(self, path: Path, seal: SealKey) -> None:
        """Open, or begin. StoreError: no database, or one that was sealed with another key."""
        self._path = path
        self._seal = seal
        with self._faults():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._database = sqlite3.connect(path, isolation_level=None, timeout=10.0)
        try:
            with self._faults():
                self._salt = self._begin()
            self._tpks = sorted(self._rows("tpks", _Tpk), key=lambda tpk: tpk.since, reverse=True)
        except StoreError:
            self._database.close()
            raise

    def _begin(self) -> bytes:
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
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

    # Ticket protection keys

    @property
    def tpks(self) -> tuple[TicketProtectionKey, ...]:
        """The one for new tickets, and those that still open old ones."""
        return tuple(TicketProtectionKey(each.id, each.key) for each in self._tpks)

    def turn(self, now: int, rotate: int, keep: int, draw: Callable[[int], bytes] = secrets.token_bytes) -> bool:
        """At wall time ``now``: a new TPK when there is none or the newest has served ``rotate`` ns; those that have
        been replaced for ``keep`` ns are destroyed. Whether anything changed. StoreError."""
        newest = self._tpks[0] if self._tpks else None
        changed = list(self._tpks)
        if newest is None or now - newest.since >= rotate:
            if newest is not None:
                changed[0] = msgspec.structs.replace(newest, until=now)
            name = b"tpk-" + draw(6).hex().encode()
            changed.insert(0, _Tpk(name, draw(TPK_OCTETS), now, None))
        kept = [each for each in changed if each.until is None or now - each.until < keep]
        if kept == self._tpks:
            return False
        gone = {each.id for each in self._tpks} - {each.id for each in kept}
        with self._faults():
            with self._transaction():
                for tpk in kept:
                    self._put("tpks", tpk.id, tpk)
                for name in gone:
                    self._database.execute("DELETE FROM tpks WHERE tag = ?", (self._tag("tpks", name),))
            if gone:
                # A destroyed key must not outlive its row in the log of the database.
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._tpks = kept
        return True

    def next_turn(self, rotate: int, keep: int) -> int:
        """When ``turn`` has something to do (wall ns)."""
        if not self._tpks:
            return 0
        ends = [each.until + keep for each in self._tpks if each.until is not None]
        return min([self._tpks[0].since + rotate, *ends])

    # Subscribers

    def put_subscribers(self, subscribers: Iterator[Subscriber] | tuple[Subscriber, ...]) -> None:
        """Provision; one who is there is replaced. StoreError."""
        with self._faults(), self._transaction():
            for each in subscribers:
                row = _Subscriber(each.identities, each.psk_id, each.psk)
                self._put("subscribers", each.psk_id or _first(each), row)

    def remove_subscriber(self, subscriber: Subscriber) -> None:
        """Their tickets stay what they are: they are opened by TPKs. StoreError."""
        with self._faults(), self._transaction():
            tag = self._tag("subscribers", subscriber.psk_id or _first(subscriber))
            self._database.execute("DELETE FROM subscribers WHERE tag = ?", (tag,))

    def subscribers(self) -> tuple[Subscriber, ...]:
        """StoreError."""
        rows = self._rows("subscribers", _Subscriber)
        return tuple(Subscriber(each.identities, each.psk_id, each.psk) for each in rows)

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

    def known(self) -> dict[str, Known]:
        """The highest version of each warrant that keys were given under, or that was revoked. StoreError."""
        return {each.id: Known(each.version, each.digest, each.revoked) for each in self._rows("warrants", _Known)}

    def note(self, identifier: str, known: Known) -> None:
        """Keep it for good. StoreError."""
        with self._faults(), self._transaction():
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
        decoder = msgspec.msgpack.Decoder(kind)
        statements = {
            "tpks": "SELECT tag, sealed FROM tpks",
            "subscribers": "SELECT tag, sealed FROM subscribers",
            "warrants": "SELECT tag, sealed FROM warrants",
        }
        with self._faults():
            try:
                return [
                    decoder.decode(self._seal.open(bytes(sealed), _place(table, bytes(tag))))
                    for tag, sealed in self._database.execute(statements[table])
                ]
            except (SealError, msgspec.MsgspecError):
                raise StoreError(f"{self._path}: a row of {table} does not open") from None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._path}: {type(error).__name__}: {error}") from None


def _place(table: str, tag: bytes) -> bytes:
    return f"kms/{table}/".encode() + tag


def _first(subscriber: Subscriber) -> bytes:
    """The name of one who has no key here: the first canonical form of the first identity."""
    return next(iter(sorted(sip.identities(subscriber.identities[0]))), subscriber.identities[0]).encode()
