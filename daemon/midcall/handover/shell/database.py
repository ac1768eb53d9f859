"""SQLite as the spool uses it: WAL, every commit on the disk, and errors sorted by what helps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

BUSY_MS = 10_000
# WAL pages before they are copied home; small, since a segment is small.
CHECKPOINT_PAGES = 512
PAGE_OCTETS = 8_192
_FULL = {sqlite3.SQLITE_FULL}
_WRITING = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}


def connect(path: Path, mode: Literal["ro", "rw", "rwc"], synchronous: str = "FULL") -> sqlite3.Connection:
    """A connection to one file; sqlite3.Error when it is missing (but for ``rwc``) or no database."""
    # A reader of a WAL writes into its index, hence rw; query_only keeps it from anything else.
    opened = "rw" if mode == "ro" else mode
    database = sqlite3.connect(
        f"file:{quote(str(path))}?mode={opened}", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        database.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        if mode == "ro":
            database.execute("PRAGMA query_only=ON")
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return database
        database.execute(f"PRAGMA page_size={PAGE_OCTETS}")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(f"PRAGMA synchronous={synchronous}")
        database.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        database.execute(f"PRAGMA journal_size_limit={CHECKPOINT_PAGES * PAGE_OCTETS}")
    except sqlite3.Error:
        database.close()
        raise
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
