"""SQLite as spools and caches use it: WAL, every commit on the disk, and errors sorted by what helps."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from midcall.base.owner_only import FILE_MODE

BUSY_MS = 10_000
# WAL pages before they are copied home; small, since a segment is small.
CHECKPOINT_PAGES = 256
PAGE_OCTETS = 4_096
IN_PLACE_OCTETS = 256 << 10
INSERTED = tuple(1 << power for power in range(10, -1, -1))
"""Rows that one statement inserts; each is kept prepared."""
_FULL = {sqlite3.SQLITE_FULL}
_WRITING = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}


def connect(path: Path, mode: Literal["rw", "rwc"], page_octets: int = PAGE_OCTETS) -> sqlite3.Connection:
    """A connection that writes; sqlite3.Error when the file is missing (but for ``rwc``) or no database.

    A new file is its owner's alone, and so are those that SQLite makes beside it. ``page_octets`` is of a new file.
    """
    if mode == "rwc":
        _make(path)
    database = _open(path, f"mode={mode}")
    try:
        database.execute(f"PRAGMA page_size={page_octets}")
        _log_ahead(database)
        database.execute("PRAGMA synchronous=FULL")
        database.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        database.execute(f"PRAGMA journal_size_limit={CHECKPOINT_PAGES * PAGE_OCTETS}")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _make(path: Path) -> None:
    """What goes wrong here goes wrong again when SQLite opens it, which then says what."""
    with suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))


def _log_ahead(database: sqlite3.Connection) -> None:
    """WAL; two who open a new file at once wait for each other, which SQLite does not do by itself here."""
    until = time.monotonic() + BUSY_MS / 1_000
    while True:
        try:
            database.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.005)


def connect_in_place(path: Path) -> sqlite3.Connection:
    """A small database that goes on writing on a full disk: all the room it ever needs is taken at once."""
    _make(path)
    database = _open(path, "mode=rwc")
    try:
        database.execute("PRAGMA journal_mode=PERSIST")
        database.execute("PRAGMA synchronous=NORMAL")
        with transaction(database):
            fresh = not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if fresh:
                database.execute("CREATE TABLE room(octets BLOB)")
                database.execute("INSERT INTO room VALUES(zeroblob(?))", (IN_PLACE_OCTETS,))
        if fresh:
            # What is changed goes through the journal, which thereby gets its size.
            database.execute("UPDATE room SET octets = randomblob(?)", (IN_PLACE_OCTETS,))
            database.execute("DELETE FROM room")
    except sqlite3.Error:
        database.close()
        raise
    return database


def read_only(path: Path, closed: bool = False) -> sqlite3.Connection:
    """A connection that only reads. ``closed``: nobody writes the file any more; it then opens on a full disk too."""
    quiet = closed and not path.with_name(path.name + "-wal").exists()
    # A reader of a WAL writes into its index, hence rw; query_only keeps it from anything else.
    database = _open(path, "immutable=1" if quiet else "mode=rw")
    try:
        database.execute("PRAGMA query_only=ON")
        try:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            # So SQLite reads a file that was cut, as far as it goes.
            database.execute("PRAGMA writable_schema=ON")
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        database.close()
        raise
    return database


def _open(path: Path, how: str) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"file:{quote(str(path))}?{how}", uri=True, isolation_level=None, check_same_thread=False
    )
    database.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    return database


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; what went wrong comes out after the rollback."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            if database.in_transaction:
                database.execute("ROLLBACK")
        raise


def insert(database: sqlite3.Connection, into: str, values: list[object], width: int, behind: str = "") -> None:
    """Rows of ``width`` values each, one row behind the other in ``values``, by few statements: at each one the thread
    lets go of the interpreter. ``into`` names the table, ``behind`` is what goes behind the rows (ON CONFLICT).
    """
    row = f"({','.join('?' * width)})"
    at = 0
    for rows in INSERTED:
        step = rows * width
        statement = f"INSERT INTO {into} VALUES{','.join([row] * rows)} {behind}"  # noqa: S608 - our own words
        while len(values) - at >= step:
            database.execute(statement, values[at : at + step])
            at += step


def is_full(error: sqlite3.Error) -> bool:
    """No space left: it helps to remove another file."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _FULL


def is_writing(error: sqlite3.Error) -> bool:
    """The disk did not take it, for want of space or for another reason."""
    return is_full(error) or getattr(error, "sqlite_errorcode", 0) & 0xFF in _WRITING


def is_damage(error: sqlite3.Error) -> bool:
    """The file is no sound database any more."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def unlink(path: Path) -> None:
    """Remove a database with the files beside it; the log goes first, so that it never meets another database."""
    for each in (path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm"), path):
        each.unlink(missing_ok=True)
