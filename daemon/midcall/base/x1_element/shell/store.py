"""What an element has acknowledged, in SQLite, each row sealed: tasks and destinations as they were ordered.

A task's row is the X1 message that ordered it, so that it is read, validated and judged again as it came.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
from msgspec import Struct

from imswire import x1
from midcall.base import owner_only, sqlite
from midcall.base.seal import SealError, SealKey
from midcall.base.warrant import Known
from midcall.base.x1_element.values import (
    Change,
    DropDestination,
    DropTask,
    Held,
    Issue,
    KeepDestination,
    KeepKnown,
    KeepPlaced,
    KeepStops,
    KeepTask,
    Kept,
    Memory,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(tag BLOB PRIMARY KEY, sealed BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tasks(tag BLOB PRIMARY KEY, sealed BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS destinations(tag BLOB PRIMARY KEY, sealed BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known(tag BLOB PRIMARY KEY, sealed BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS placed(tag BLOB PRIMARY KEY, sealed BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reports(number INTEGER PRIMARY KEY AUTOINCREMENT, sealed BLOB);
"""
_PUT = {
    "meta": "INSERT OR REPLACE INTO meta VALUES(?, ?)",
    "tasks": "INSERT OR REPLACE INTO tasks VALUES(?, ?)",
    "destinations": "INSERT OR REPLACE INTO destinations VALUES(?, ?)",
    "known": "INSERT OR REPLACE INTO known VALUES(?, ?)",
    "placed": "INSERT OR REPLACE INTO placed VALUES(?, ?)",
}
_GET = {
    "meta": "SELECT tag, sealed FROM meta",
    "tasks": "SELECT tag, sealed FROM tasks",
    "destinations": "SELECT tag, sealed FROM destinations",
    "known": "SELECT tag, sealed FROM known",
    "placed": "SELECT tag, sealed FROM placed",
}
_SALT = b"salt"
REPORTS = 1_024
"""Reports that wait for the ADMF; the oldest is given up for the next."""
T = TypeVar("T")


class StoreError(Exception):
    """The store cannot be read or written; names the file, and nothing in it."""


class _Task(Struct, frozen=True):
    order: bytes
    modified: int
    modifications: int


class _Destination(Struct, frozen=True):
    order: bytes


class _Known(Struct, frozen=True):
    id: str
    version: int
    digest: str
    revoked: bool


class _Placed(Struct, frozen=True):
    octets: bytes


class _Number(Struct, frozen=True):
    name: str
    value: int


def lock(path: Path) -> BinaryIO:
    """Holds a store until it is closed. OSError; StoreError: another process has it."""
    try:
        return owner_only.hold(path.with_name(f"{path.name}.lock"))
    except BlockingIOError:
        reason = "another process has it: each POI and each DF needs a store of its own"
        raise StoreError(f"{path}: {reason}") from None


class X1Store:
    """One element's database, and nobody else's. ``seal`` stays its caller's to wipe, after ``close``."""

    def __init__(self, path: Path, seal: SealKey, admf: str, ne: str) -> None:
        """Open, or begin. StoreError: no database, one sealed with another key, or one that another process has."""
        self.path = path
        self._seal = seal
        self._admf, self._ne = admf, ne
        with ExitStack() as opened, self._faults():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened.enter_context(lock(path))
            self._database = opened.enter_context(closing(sqlite.connect(path, "rwc")))
            self._salt = self._begin()
            self._opened = opened.pop_all()

    def _begin(self) -> bytes:
        self._database.execute("PRAGMA secure_delete=ON")
        with sqlite.transaction(self._database):
            for statement in _SCHEMA.strip().splitlines():
                self._database.execute(statement)
            found = self._database.execute("SELECT sealed FROM meta WHERE tag = ?", (_SALT,)).fetchone()
            if found is None:
                salt = secrets.token_bytes(32)
                self._database.execute(_PUT["meta"], (_SALT, self._seal.seal(salt, b"x1/salt")))
                return salt
        try:
            return self._seal.open(bytes(found[0]), b"x1/salt")
        except SealError:
            raise StoreError(f"{self.path}: sealed with another key, or damaged") from None

    def read(self) -> Memory:
        """All that is in it. StoreError."""
        numbers = {each.name: each.value for each in self._rows("meta", _Number)}
        known = {each.id: Known(each.version, each.digest, each.revoked) for each in self._rows("known", _Known)}
        return Memory(
            tuple(map(self._held, self._rows("tasks", _Task))),
            tuple(map(self._kept, self._rows("destinations", _Destination))),
            known,
            tuple(each.octets for each in self._rows("placed", _Placed)),
            numbers.get("stops", 0),
            numbers.get("heard", 0),
        )

    def write(self, changes: tuple[Change, ...], issues: tuple[Issue, ...] = ()) -> tuple[int, ...]:
        """All of it or nothing; it is on the disk when this returns. The numbers of the reports. StoreError."""
        if not changes and not issues:
            return ()
        with self._faults(), sqlite.transaction(self._database):
            for change in changes:
                self._write(change)
            numbers = tuple(map(self._report, issues))
            if numbers:
                self._database.execute("DELETE FROM reports WHERE number <= ?", (numbers[-1] - REPORTS,))
            return numbers

    def _report(self, issue: Issue) -> int:
        """A row of its own, sealed for that row."""
        number = self._database.execute("INSERT INTO reports(sealed) VALUES(x'')").lastrowid
        assert number is not None
        sealed = self._seal.seal(msgspec.msgpack.encode(issue), _report_place(number))
        self._database.execute("UPDATE reports SET sealed = ? WHERE number = ?", (sealed, number))
        return number

    def reports(self) -> list[tuple[int, Issue]]:
        """Those that the ADMF has not acknowledged, with their numbers, the oldest first. StoreError."""
        decoder: msgspec.msgpack.Decoder[Issue] = msgspec.msgpack.Decoder(Issue)
        with self._faults():
            try:
                return [
                    (number, decoder.decode(self._seal.open(bytes(sealed), _report_place(number))))
                    for number, sealed in self._database.execute("SELECT number, sealed FROM reports ORDER BY number")
                ]
            except (SealError, msgspec.MsgspecError):
                raise StoreError(f"{self.path}: a row of reports does not open") from None

    def told(self, number: int) -> None:
        """The ADMF has acknowledged a report. StoreError."""
        with self._faults():
            self._database.execute("DELETE FROM reports WHERE number = ?", (number,))

    def heard(self, wall: int) -> None:
        """When the ADMF was heard last. StoreError."""
        with self._faults():
            self._put("meta", b"heard", _Number("heard", wall))

    def close(self) -> None:
        self._opened.close()

    def _write(self, change: Change) -> None:
        if isinstance(change, KeepTask):
            held = change.held
            request = x1.ActivateTaskRequest(self._header(held.transaction, held.stamp), held.details)
            row = _Task(x1.build_request([request]), held.modified, held.modifications)
            self._put("tasks", change.xid.encode(), row)
        elif isinstance(change, DropTask):
            self._database.execute("DELETE FROM tasks WHERE tag = ?", (self._tag("tasks", change.xid.encode()),))
        elif isinstance(change, KeepDestination):
            kept = change.kept
            asked = x1.CreateDestinationRequest(self._header(kept.transaction, kept.stamp), kept.details)
            self._put("destinations", change.did.encode(), _Destination(x1.build_request([asked])))
        elif isinstance(change, DropDestination):
            tag = self._tag("destinations", change.did.encode())
            self._database.execute("DELETE FROM destinations WHERE tag = ?", (tag,))
        elif isinstance(change, KeepKnown):
            known = change.known
            row_known = _Known(change.warrant, known.version, known.digest, known.revoked)
            self._put("known", change.warrant.encode(), row_known)
        elif isinstance(change, KeepPlaced):
            self._put("placed", change.digest.encode(), _Placed(change.octets))
        elif isinstance(change, KeepStops):
            self._put("meta", b"stops", _Number("stops", change.stamp))

    def _header(self, transaction: str, stamp: int) -> x1.Header:
        return x1.Header(self._admf, self._ne, stamp, x1.VERSION, transaction)

    def _held(self, row: _Task) -> Held:
        request = self._order(row.order, x1.ActivateTaskRequest)
        header = request.header
        return Held(request.task, header.transaction_id, header.timestamp, row.modified, row.modifications)

    def _kept(self, row: _Destination) -> Kept:
        request = self._order(row.order, x1.CreateDestinationRequest)
        return Kept(request.destination, request.header.transaction_id, request.header.timestamp)

    def _order(self, octets: bytes, kind: type[T]) -> T:
        try:
            (request,) = x1.parse_requests(octets)
        except (x1.X1Error, ValueError):
            raise StoreError(f"{self.path}: a row is no X1") from None
        if not isinstance(request, kind):
            raise StoreError(f"{self.path}: a row is another order")
        return request

    # Rows

    def _tag(self, table: str, name: bytes) -> bytes:
        """A name for a row that tells nobody without the key what it is about."""
        return blake2b(table.encode() + b"\0" + name, digest_size=16, key=self._salt).digest()

    def _put(self, table: str, name: bytes, row: Struct) -> None:
        tag = self._tag(table, name)
        self._database.execute(_PUT[table], (tag, self._seal.seal(msgspec.msgpack.encode(row), _place(table, tag))))

    def _rows(self, table: str, kind: type[T]) -> list[T]:
        decoder = msgspec.msgpack.Decoder(kind)
        with self._faults():
            try:
                return [
                    decoder.decode(self._seal.open(bytes(sealed), _place(table, bytes(tag))))
                    for tag, sealed in self._database.execute(_GET[table])
                    if bytes(tag) != _SALT
                ]
            except (SealError, msgspec.MsgspecError):
                raise StoreError(f"{self.path}: a row of {table} does not open") from None

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.path}: {type(error).__name__}: {error}") from None


def _report_place(number: int) -> bytes:
    return f"x1/reports/{number}".encode()


def _place(table: str, tag: bytes) -> bytes:
    return f"x1/{table}/".encode() + tag
