"""The durable ticket cache: the messages that shaped each live call, sealed, in one SQLite file.

Rows are written in groups by a thread of their own and removed with their call. Keys are those of an epoch: all live
rows are sealed anew under a new one at least each ``rotate_seconds``, and the old key is destroyed, so that what was
removed opens for nobody, neither in free pages nor in a backup. The wrapping key comes from outside.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from midcall.base.bounded import BoundedTable
from midcall.base.seal import SealError, SealKey
from midcall.base.sqlite import connect, transaction
from midcall.events import Instant, SipSeen
from midcall.poi.dialog import Call

# What one call may write: a re-INVITE each half hour makes four rows.
MESSAGES_OF_A_CALL = 256
OCTETS_OF_A_CALL = 1 << 20
CALLS = 1 << 20
# Rows sealed anew in one transaction.
ROTATED_TOGETHER = 1_000
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS epochs(id INTEGER PRIMARY KEY AUTOINCREMENT, wrapped BLOB)",
    "CREATE TABLE IF NOT EXISTS messages(id INTEGER PRIMARY KEY, call INTEGER, epoch INTEGER, sealed BLOB)",
    "CREATE INDEX IF NOT EXISTS of_a_call ON messages(call)",
)


class _Row(Struct, array_like=True):
    """A message as it is sealed: octets, addresses, both clocks, frame, whether its copy was authenticated."""

    octets: bytes
    source: str
    destination: str
    wall: int
    mono: int
    frame: int
    authenticated: bool = True


class _Entry:
    """What is kept of one call: its number in the file, and how much it has written."""

    __slots__ = ("messages", "number", "octets")

    def __init__(self, number: int) -> None:
        self.number = number
        self.messages = 0
        self.octets = 0


class SipJournal:
    """Collects what the cache tells (:class:`midcall.poi.core.Journal`) and writes it when asked.

    ``path`` is the file, ``master`` wraps the keys of the epochs. ``lost`` counts messages beyond a call's bounds, and
    rows that no longer open.
    """

    def __init__(self, path: Path, master: SealKey) -> None:
        self._database = connect(path, "rwc")
        self._database.execute("PRAGMA secure_delete=ON")
        with transaction(self._database):
            for statement in _SCHEMA:
                self._database.execute(statement)
        self._master = master
        self._entries: BoundedTable[Call, _Entry] = BoundedTable("poi.journal.calls", CALLS)
        self._fresh: list[tuple[int, bytes]] = []
        self._gone: list[int] = []
        self._next = 1 + (self._database.execute("SELECT max(call) FROM messages").fetchone()[0] or 0)
        self.lost = 0
        self._epoch, self._key = self._new_epoch()

    # What the cache tells

    def message(self, call: Call, seen: SipSeen) -> None:
        entry = self._entries.get(call)
        if entry is None:
            entry = _Entry(self._next)
            self._next += 1
            self._entries.put(call, entry)
        if entry.messages >= MESSAGES_OF_A_CALL or entry.octets + len(seen.octets) > OCTETS_OF_A_CALL:
            self.lost += 1
            return
        entry.messages += 1
        entry.octets += len(seen.octets)
        ends, at = (seen.source, seen.destination), seen.at
        row = _Row(seen.octets, *ends, at.wall, at.mono, seen.frame, seen.authenticated)
        self._fresh.append((entry.number, msgspec.msgpack.encode(row)))

    def over(self, call: Call) -> None:
        entry = self._entries.pop(call)
        if entry is not None:
            self._gone.append(entry.number)

    # The disk

    @property
    def waiting(self) -> int:
        """Rows and removals that are not on the disk yet."""
        return len(self._fresh) + len(self._gone)

    def flush(self) -> None:
        """Write what has been told since the last time; what began and ended in between never gets there."""
        fresh, self._fresh = self._fresh, []
        gone, self._gone = self._gone, []
        if not fresh and not gone:
            return
        ended = set(gone)
        rows = [
            (number, self._epoch, self._key.seal(plain, _place(number)))
            for number, plain in fresh
            if number not in ended
        ]
        try:
            with transaction(self._database):
                self._database.executemany("INSERT INTO messages(call, epoch, sealed) VALUES(?, ?, ?)", rows)
                self._database.executemany("DELETE FROM messages WHERE call = ?", ((number,) for number in gone))
        except sqlite3.Error:
            # Nothing is on the disk: it is tried again with what comes next.
            self._fresh, self._gone = fresh + self._fresh, gone + self._gone
            raise

    def calls(self, now: Instant) -> Iterator[tuple[int, list[SipSeen]]]:
        """The journals of a former run, call by call: their number, and the messages on the clocks of ``now``."""
        keys = dict(self._keys())
        numbers = [number for (number,) in self._database.execute("SELECT DISTINCT call FROM messages ORDER BY call")]
        for number in numbers:
            found = self._database.execute(
                "SELECT epoch, sealed FROM messages WHERE call = ? ORDER BY id", (number,)
            ).fetchall()
            yield number, list(self._opened(number, found, keys, now))

    def adopt(self, number: int, call: Call | None, messages: Iterable[SipSeen] = ()) -> None:
        """What became of a journal of a former run: the call that goes on with it, or None: it is removed."""
        if call is None:
            self._gone.append(number)
            return
        entry = _Entry(number)
        for seen in messages:
            entry.messages += 1
            entry.octets += len(seen.octets)
        self._entries.put(call, entry)

    def rotate(self) -> int:
        """Seal all live rows anew and destroy the former keys; returns how many rows there were."""
        self.flush()
        keys = dict(self._keys())
        self._epoch, self._key = self._new_epoch()
        moved = 0
        while rows := self._database.execute(
            "SELECT id, call, epoch, sealed FROM messages WHERE epoch != ? LIMIT ?", (self._epoch, ROTATED_TOGETHER)
        ).fetchall():
            with transaction(self._database):
                for row, call, epoch, sealed in rows:
                    plain = self._open(call, keys.get(epoch), sealed)
                    if plain is None:
                        self._database.execute("DELETE FROM messages WHERE id = ?", (row,))
                        continue
                    anew = self._key.seal(plain, _place(call))
                    self._database.execute(
                        "UPDATE messages SET epoch = ?, sealed = ? WHERE id = ?", (self._epoch, anew, row)
                    )
                    moved += 1
        with transaction(self._database):
            self._database.execute("DELETE FROM epochs WHERE id != ?", (self._epoch,))
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for key in keys.values():
            if key is not None:
                key.wipe()
        return moved

    def close(self) -> None:
        """Write what is left."""
        self.flush()
        self._database.close()
        self._key.wipe()

    # Keys

    def _new_epoch(self) -> tuple[int, SealKey]:
        key = SealKey.fresh()
        with transaction(self._database):
            row = self._database.execute("INSERT INTO epochs(wrapped) VALUES(x'')").lastrowid
            assert row is not None
            wrapped = self._master.wrap(key, _epoch_place(row))
            self._database.execute("UPDATE epochs SET wrapped = ? WHERE id = ?", (wrapped, row))
        return row, key

    def _keys(self) -> Iterator[tuple[int, SealKey | None]]:
        for row, wrapped in self._database.execute("SELECT id, wrapped FROM epochs").fetchall():
            try:
                yield row, self._master.unwrap(wrapped, _epoch_place(row))
            except SealError:
                yield row, None

    def _opened(
        self, number: int, found: list[tuple[int, bytes]], keys: dict[int, SealKey | None], now: Instant
    ) -> Iterator[SipSeen]:
        for epoch, sealed in found:
            plain = self._open(number, keys.get(epoch), sealed)
            if plain is None:
                continue
            row = msgspec.msgpack.decode(plain, type=_Row)
            at = Instant(row.wall, now.mono - (now.wall - row.wall))
            yield SipSeen(row.octets, row.source, row.destination, at, row.frame, authenticated=row.authenticated)

    def _open(self, number: int, key: SealKey | None, sealed: bytes) -> bytes | None:
        try:
            if key is not None:
                return key.open(sealed, _place(number))
        except SealError:
            pass
        self.lost += 1
        return None


def _place(number: int) -> bytes:
    return b"poi.journal" + number.to_bytes(8, "big")


def _epoch_place(number: int) -> bytes:
    return b"poi.epoch" + number.to_bytes(8, "big")
