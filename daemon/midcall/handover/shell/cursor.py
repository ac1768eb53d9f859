"""What the sender has settled: up to which row, what became of each record, and which numbers were lost.

Its only writer is the sender. It stays behind what the LEMF has by moments; after a crash so much goes out again.
What is settled is written in a thread, by a connection of its own; all else is asked in the loop's.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from midcall.base.sqlite import connect_in_place, read_only, transaction
from midcall.handover.values import Interface, Port

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursor(interface TEXT PRIMARY KEY, row INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen(tag BLOB PRIMARY KEY, interface TEXT, next INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts(handle INTEGER, interface, what, count INTEGER, UNIQUE(handle, interface, what));
CREATE TABLE IF NOT EXISTS flags(name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
"""
DELIVERED = "delivered"


class Cursor:
    """cursor.db of one destination."""

    def __init__(self, path: Path) -> None:
        self._database = connect_in_place(path)
        self._settling = connect_in_place(path)
        self._thread = ThreadPoolExecutor(1, "cursor")
        with transaction(self._database):
            for statement in filter(None, _SCHEMA.splitlines()):
                self._database.execute(statement)

    def row(self, interface: Interface) -> int:
        """The last row that is done with."""
        found = self._database.execute("SELECT row FROM cursor WHERE interface = ?", (interface,)).fetchone()
        return 0 if found is None else int(found[0])

    def seen(self, tag: bytes) -> int | None:
        """The number expected next in a context, None when none of it was settled yet."""
        found = self._database.execute("SELECT next FROM seen WHERE tag = ?", (tag,)).fetchone()
        return None if found is None else int(found[0])

    def settle(
        self,
        rows: dict[Interface, int],
        seen: Iterable[tuple[bytes, Interface, int]],
        counts: dict[tuple[int, Port, str], int],
    ) -> None:
        """Rows are done with: ``counts`` says what became of the records of each intercept."""
        with transaction(self._settling):
            self._settling.executemany("INSERT OR REPLACE INTO cursor VALUES(?,?)", rows.items())
            self._settling.executemany("INSERT OR REPLACE INTO seen VALUES(?,?,?)", seen)
            self._settling.executemany(
                "INSERT INTO counts VALUES(?,?,?,?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
                [(*which, count) for which, count in counts.items()],
            )

    def settle_beside(
        self,
        rows: dict[Interface, int],
        seen: Iterable[tuple[bytes, Interface, int]],
        counts: dict[tuple[int, Port, str], int],
    ) -> asyncio.Future[None]:
        """The same, for which the loop does not wait."""
        return asyncio.get_running_loop().run_in_executor(self._thread, self.settle, rows, seen, counts)

    def forget_seen(self, interface: Interface) -> None:
        """Numbering has begun anew."""
        self._database.execute("DELETE FROM seen WHERE interface = ?", (interface,))

    def flag(self, name: str) -> int:
        found = self._database.execute("SELECT value FROM flags WHERE name = ?", (name,)).fetchone()
        return 0 if found is None else int(found[0])

    def set_flag(self, name: str, value: int) -> None:
        self._database.execute("INSERT OR REPLACE INTO flags VALUES(?,?)", (name, value))

    def counts(self, handles: Iterable[int], interface: Port) -> dict[str, int]:
        """What became of the records of an intercept, by outcome."""
        return counts(self._database, handles, interface)

    def close(self) -> None:
        self._thread.shutdown()
        self._settling.close()
        self._database.close()


def passed(path: Path, interface: Interface) -> int:
    """The last row that is done with, for who only reads; 0 while it cannot be told."""
    try:
        database = read_only(path)
    except sqlite3.Error:
        return 0
    try:
        found = database.execute("SELECT row FROM cursor WHERE interface = ?", (interface,)).fetchone()
        return 0 if found is None else int(found[0])
    except sqlite3.Error:
        return 0
    finally:
        database.close()


def counts(database: sqlite3.Connection, handles: Iterable[int], interface: Port) -> dict[str, int]:
    found: dict[str, int] = {}
    for handle in handles:
        query = "SELECT what, count FROM counts WHERE handle = ? AND interface = ?"
        for what, count in database.execute(query, (handle, interface)):
            found[what] = found.get(what, 0) + count
    return found
