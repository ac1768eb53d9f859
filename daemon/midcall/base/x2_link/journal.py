"""The POI's buffer on its disk: rows of PDUs, sealed, in one SQLite file that a crash does not harm."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from midcall.base.seal import SealError, SealKey

_SCHEMA = "CREATE TABLE IF NOT EXISTS rows(id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER, pdus INTEGER, body BLOB)"
_FORGET = "DELETE FROM rows WHERE id > ? AND id <= ? AND id NOT IN strange"
_PLACE = b"midcall x2 row "
_CHECKPOINT_PAGES = 256
_JOURNAL_OCTETS = 4 << 20
_DAMAGE = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))


class JournalError(Exception):
    """The file cannot be used: another process has it, or there is no place for it. One line."""


class Row(NamedTuple):
    """PDUs that are kept, sent and released together; ``time`` is when they were given, on the wall clock."""

    id: int
    time: int
    pdus: int
    octets: bytes


class Journal:
    """Rows on the disk. One process at a time; all calls from one thread at a time.

    ``key`` is an object of its own. Rows that it does not open (another key's, or damaged ones) are counted in
    ``unreadable`` and stay, for the key may be found, until they are too old. ``moved`` is where a file went that is
    no sound database.
    """

    def __init__(self, path: Path, key: SealKey) -> None:
        """JournalError."""
        self._path = path
        self._key = key
        self._forgotten = 0
        self.unreadable = 0
        self.moved: Path | None = None
        try:
            self._database = self._opened()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGE:
                raise JournalError(f"{path}: {error}") from None
            self.moved = path.with_name(path.name + ".damaged")
            _move(path, self.moved)
            try:
                self._database = self._opened()
            except sqlite3.Error as again:
                raise JournalError(f"{path}: {again}") from None

    def _opened(self) -> sqlite3.Connection:
        try:
            # SQLite gives the files beside it the same access.
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise JournalError(f"{self._path}: {error.strerror}") from None
        database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=0.0)
        try:
            # Exclusive: no other process, and no shared memory beside the file.
            for setting in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
                database.execute(f"PRAGMA {setting}")
            database.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            database.execute(f"PRAGMA journal_size_limit={_JOURNAL_OCTETS}")
            database.execute(_SCHEMA)
            database.execute("BEGIN IMMEDIATE")
            database.execute("COMMIT")
            found = database.execute("PRAGMA quick_check(1)").fetchone()
            if found[0] != "ok":
                raise _damage(str(found[0]))
        except sqlite3.Error:
            database.close()
            raise
        return database

    def load(self) -> list[Row]:
        """The rows that are there, oldest first. Once, before anything is written."""
        rows = []
        strange: list[tuple[int]] = []
        for id_, time, pdus, body in self._database.execute("SELECT id, time, pdus, body FROM rows ORDER BY id"):
            try:
                rows.append(Row(id_, time, pdus, self._key.open(body, _place(id_, time, pdus))))
            except (SealError, TypeError, ValueError, OverflowError):
                strange.append((id_,))
        self._database.execute("CREATE TEMP TABLE strange(id INTEGER PRIMARY KEY)")
        self._database.executemany("INSERT INTO strange VALUES(?)", strange)
        self.unreadable = len(strange)
        return rows

    def last_id(self) -> int:
        """The highest number that a row ever had."""
        found = self._database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'rows'").fetchone()
        return int(found[0]) if found else 0

    def write(self, rows: Iterable[Row], released: int, before: int) -> None:
        """Keep ``rows``; forget those up to number ``released`` and those given before the time ``before``.

        All or nothing. sqlite3.Error: the disk does not take it.
        """
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            database.execute("DELETE FROM rows WHERE time < ?", (before,))
            database.execute(_FORGET, (self._forgotten, released))
            database.executemany(
                "INSERT INTO rows VALUES(?,?,?,?)",
                [(r.id, r.time, r.pdus, self._key.seal(r.octets, _place(r.id, r.time, r.pdus))) for r in rows],
            )
            database.execute("COMMIT")
            self._forgotten = max(released, self._forgotten)
        except BaseException:
            with suppress(sqlite3.Error):
                if database.in_transaction:
                    database.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._database.close()


def _place(id_: int, time: int, pdus: int) -> bytes:
    """What a row's seal is bound to: neither its number nor its time can be changed."""
    return b"%s%d %d %d" % (_PLACE, id_, time, pdus)


def _damage(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _move(path: Path, to: Path) -> None:
    """Put a damaged file aside; its log must not meet the next one."""
    try:
        path.replace(to)
        for suffix in ("-wal", "-shm"):
            beside = path.with_name(path.name + suffix)
            if beside.exists():
                beside.replace(to.with_name(to.name + suffix))
    except OSError as error:
        raise JournalError(f"{path}: damaged, and cannot be put aside: {error.strerror}") from None
