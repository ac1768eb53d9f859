"""The durable ticket cache: the messages that shaped each live call, sealed, in one SQLite file.

What comes of a call within one group is one row; rows are written in groups and removed with their call. Keys are those
of an epoch: now and then a new one begins, all live rows are sealed anew under its key, a share with each group, and
the old key is destroyed, so that what was removed opens for nobody, neither in free pages nor in a backup. The wrapping
key comes from outside.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from midcall.base.seal import SealError, SealKey
from midcall.base.sqlite import connect, insert, read_only, transaction
from midcall.events import Instant, SipSeen
from midcall.poi.dialog import Call
from midcall.poi.heard import Heard

# What one call may write: a re-INVITE each half hour makes four rows.
MESSAGES_OF_A_CALL = 256
OCTETS_OF_A_CALL = 1 << 20
# Rows that are sealed anew with one group, at least; and rows of former runs that are read in one go.
ROTATED_TOGETHER = 64
READ_TOGETHER = 128
# A row's number is that of its call, and the place of its first message there: what belongs together stands together.
_PLACES = 8
_LAST_PLACE = (1 << _PLACES) - 1
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS epochs(id INTEGER PRIMARY KEY AUTOINCREMENT, wrapped BLOB)",
    "CREATE TABLE IF NOT EXISTS messages(id INTEGER PRIMARY KEY, epoch INTEGER, sealed BLOB)",
)


# What a row begins with that holds several messages; former versions wrote one alone, which never begins so.
_SEVERAL = b"\0"


class _Row(Struct, array_like=True, gc=False):
    """A message as it is sealed: octets, addresses, both clocks, frame, whether its copy was authenticated, and who the
    proxy asserted that it is from.
    """

    octets: bytes
    source: str
    destination: str
    wall: int
    mono: int
    frame: int
    authenticated: bool = True
    asserted: str | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Row).decode
_decode_several = msgspec.msgpack.Decoder(list[_Row]).decode


class _Entry(Struct, eq=False, gc=False):
    """What is kept of one call: its number in the file, those of former runs, and how much of it there is.

    ``written``: some of it may be on the disk; ``over``: what is not there any more is wanted.
    """

    number: int
    messages: int = 0
    octets: int = 0
    former: tuple[int, ...] = ()
    written: bool = False
    over: bool = False


class _Told(NamedTuple):
    """Messages that are to be written, with their places, and numbers of calls that are to be removed."""

    fresh: list[tuple[_Entry, int, SipSeen | Heard]]
    gone: list[int]


class _Rotation:
    """Rows of former epochs, all below number ``before``, are sealed anew, ``share`` with each group; those up to
    ``last`` are done.
    """

    def __init__(self, keys: dict[int, SealKey | None], before: int, share: int) -> None:
        self.keys = keys
        self.before = before
        self.share = share
        self.last = self.reached = -1
        self.done = False


class SipJournal:
    """Collects what the cache tells (:class:`midcall.poi.core.Journal`) and writes it when asked.

    ``path`` is the file, ``master`` wraps the keys of the epochs. ``lost`` counts messages beyond a call's bounds, and
    rows that no longer open. What it needs to know of a call stands in the call's ``mark``.
    """

    def __init__(self, path: Path, master: SealKey) -> None:
        self._path = path
        self._database = connect(path, "rwc")
        self._database.execute("PRAGMA secure_delete=ON")
        with transaction(self._database):
            for statement in _SCHEMA:
                self._database.execute(statement)
        self._master = master
        self._fresh: list[tuple[_Entry, int, SipSeen | Heard]] = []
        self._gone: list[int] = []
        last = self._database.execute("SELECT max(id) FROM messages").fetchone()[0]
        self._next = 1 + (0 if last is None else last >> _PLACES)
        # Places that are taken in calls of former runs which nobody has adopted yet.
        self._taken: dict[int, int] = {}
        self.lost = 0
        self._rows = 0  # on the disk, about
        self._rotation: _Rotation | None = None
        self._epoch, self._key = self._new_epoch()

    # What the cache tells

    def message(self, call: Call, heard: Heard) -> None:
        entry = call.mark
        if not isinstance(entry, _Entry):
            entry = call.mark = _Entry(self._next)
            self._next += 1
        octets = len(heard.seen.octets)
        if entry.messages >= MESSAGES_OF_A_CALL or entry.octets + octets > OCTETS_OF_A_CALL:
            self.lost += 1
            return
        # One without a body has no description to hold keys: it is looked through if it is still wanted then.
        self._fresh.append((entry, entry.messages, heard.kept if heard.message.body else heard))
        entry.messages += 1
        entry.octets += octets

    def over(self, call: Call) -> None:
        entry, call.mark = call.mark, None
        if isinstance(entry, _Entry):
            entry.over = True
            self._gone += (entry.number, *entry.former) if entry.written else entry.former

    # The disk

    @property
    def waiting(self) -> int:
        """Messages and removals that are not on the disk yet."""
        return len(self._fresh) + len(self._gone)

    def flush(self) -> None:
        """Write what has been told since the last time; what began and ended in between never gets there."""
        told = self._take()
        if told is None:
            return
        try:
            self._write(told)
            self._database.execute("COMMIT")
        except sqlite3.Error:
            self._undo(told)
            raise
        self._written()

    async def save(self) -> None:
        """The same, without keeping the loop waiting for the disk."""
        told = self._take()
        if told is None:
            return
        commit = None
        try:
            self._write(told)
            # In a thread, since this alone waits: rows written there would each wait for the interpreter.
            commit = asyncio.get_running_loop().run_in_executor(None, self._commit)
            await asyncio.shield(commit)
        except sqlite3.Error:
            self._undo(told)
            raise
        except asyncio.CancelledError:
            if commit is not None:
                await asyncio.wait({commit})
                if commit.exception() is not None:
                    self._undo(told)
            raise

    def _commit(self) -> None:
        self._database.execute("COMMIT")
        self._written()

    def _take(self) -> _Told | None:
        told = _Told(self._fresh, self._gone)
        self._fresh, self._gone = [], []
        return told if told.fresh or told.gone or self._rotation is not None else None

    def _write(self, told: _Told) -> None:
        groups: dict[_Entry, list[tuple[int, SipSeen]]] = {}
        for entry, place, each in told.fresh:
            if not entry.over:
                groups.setdefault(entry, []).append((place, each if isinstance(each, SipSeen) else each.kept))
        rows: list[object] = []
        for entry, messages in groups.items():
            plain = _SEVERAL + _encode([_row(seen) for _, seen in messages])
            number = entry.number
            rows += (number << _PLACES | messages[0][0], self._epoch, self._key.seal(plain, _place(number)))
            entry.written = True
        self._database.execute("BEGIN IMMEDIATE")
        insert(self._database, "messages(id, epoch, sealed)", rows, 3)
        deleted = self._database.executemany("DELETE FROM messages WHERE id BETWEEN ? AND ?", _ranges(told.gone))
        self._rows = max(self._rows + len(groups) - deleted.rowcount, 0)
        if self._rotation is not None:
            self._reseal(self._rotation)

    def _undo(self, told: _Told) -> None:
        """Nothing of it is on the disk: it is tried again with what comes next."""
        self._fresh, self._gone = told.fresh + self._fresh, told.gone + self._gone
        with suppress(sqlite3.Error):
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")

    def calls(self, now: Instant) -> Iterator[tuple[int, list[SipSeen]]]:
        """The journals of a former run, call by call: their number, and the messages on the clocks of ``now``."""
        keys, before = dict(self._keys()), self._next
        number = 0
        messages: list[SipSeen] = []
        for together in self._former(before << _PLACES):
            if any(epoch not in keys for _, epoch, _ in together):
                keys.update(self._keys())  # sealed anew meanwhile; before all are opened it may be once more
            for row, epoch, sealed in together:
                if row >> _PLACES != number:
                    if number:
                        yield number, messages
                    number, messages = row >> _PLACES, []
                plain = self._open(number, keys.get(epoch), sealed)
                rows = [] if plain is None else _rows_of(plain)
                messages += [_seen(each, now) for each in rows]
                self._taken[number] = (row & _LAST_PLACE) + max(len(rows), 1)
                self._rows += 1
        if number:
            yield number, messages

    def _former(self, before: int) -> Iterator[list[tuple[int, int, bytes]]]:
        """Rows below a number in their order, some at a time: no cursor stays open while others are written and
        removed, and a connection of its own does not wait for those.
        """
        last = -1
        with closing(read_only(self._path)) as reader:
            while rows := reader.execute(
                "SELECT id, epoch, sealed FROM messages WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
                (last, before, READ_TOGETHER),
            ).fetchall():
                yield rows
                last = rows[-1][0]

    def adopt(self, number: int, call: Call | None, messages: Iterable[SipSeen] = ()) -> None:
        """What became of a journal of a former run: the call that goes on with it, or None: it is removed."""
        taken = self._taken.pop(number, MESSAGES_OF_A_CALL)
        if call is None:
            self._gone.append(number)
        elif isinstance(call.mark, _Entry):
            # Copies of this run were there first; together they bring it back once more.
            call.mark.former += (number,)
        else:
            call.mark = _Entry(number, taken, sum(len(seen.octets) for seen in messages), written=True)

    # New keys

    def rotate(self, groups: int = 1) -> tuple[int, ...]:
        """Begin a new epoch: the next ``groups`` groups take live rows over to it, the last destroys the former keys.

        The epochs whose keys these are. One that is going on goes on. sqlite3.Error: nothing has begun.
        """
        if self._rotation is not None:
            return ()
        keys = dict(self._keys())
        self._epoch, self._key = self._new_epoch()
        self._rotation = _Rotation(keys, self._next << _PLACES, max(-(-self._rows // groups), ROTATED_TOGETHER))
        return tuple(keys)

    @property
    def rotating(self) -> bool:
        """Whether rows are still to be sealed anew, and former keys are there."""
        return self._rotation is not None

    def _reseal(self, rotation: _Rotation) -> None:
        """Some of the rows, within a transaction."""
        rows = self._database.execute(
            "SELECT id, epoch, sealed FROM messages WHERE id > ? AND id < ? AND epoch != ? ORDER BY id LIMIT ?",
            (rotation.last, rotation.before, self._epoch, rotation.share),
        ).fetchall()
        anew: list[tuple[int, bytes, int]] = []
        for row, epoch, sealed in rows:
            plain = self._open(row >> _PLACES, rotation.keys.get(epoch), sealed)
            if plain is None:
                self._database.execute("DELETE FROM messages WHERE id = ?", (row,))
            else:
                anew.append((self._epoch, self._key.seal(plain, _place(row >> _PLACES)), row))
        self._database.executemany("UPDATE messages SET epoch = ?, sealed = ? WHERE id = ?", anew)
        rotation.reached = rows[-1][0] if rows else rotation.last
        rotation.done = len(rows) < rotation.share

    def _written(self) -> None:
        """A group is on the disk. What a crash leaves of a rotation is done by the next one."""
        rotation = self._rotation
        if rotation is None:
            return
        rotation.last = rotation.reached
        if not rotation.done:
            return
        try:
            with transaction(self._database):
                self._database.execute("DELETE FROM epochs WHERE id != ?", (self._epoch,))
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            return  # the next group tries it again
        self._rotation = None
        for key in rotation.keys.values():
            if key is not None:
                key.wipe()

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

    def _open(self, number: int, key: SealKey | None, sealed: bytes) -> bytes | None:
        try:
            if key is not None:
                return key.open(sealed, _place(number))
        except SealError:
            pass
        self.lost += 1
        return None


def _row(seen: SipSeen) -> _Row:
    ends, at = (seen.source, seen.destination), seen.at
    return _Row(seen.octets, *ends, at.wall, at.mono, seen.frame, seen.authenticated, seen.asserted)


def _rows_of(plain: bytes) -> list[_Row]:
    return _decode_several(memoryview(plain)[1:]) if plain[:1] == _SEVERAL else [_decode(plain)]


def _seen(row: _Row, now: Instant) -> SipSeen:
    at = Instant(row.wall, now.mono - (now.wall - row.wall))
    return SipSeen(
        row.octets, row.source, row.destination, at, row.frame,
        authenticated=row.authenticated, asserted=row.asserted,
    )  # fmt: skip


def _ranges(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """The first and the last row that calls may have; those of calls that follow each other go together."""
    for _, run in groupby(enumerate(sorted(numbers)), lambda each: each[1] - each[0]):
        together = [number for _, number in run]
        yield together[0] << _PLACES, together[-1] << _PLACES | _LAST_PLACE


def _place(number: int) -> bytes:
    return b"poi.journal" + number.to_bytes(8, "big")


def _epoch_place(number: int) -> bytes:
    return b"poi.epoch" + number.to_bytes(8, "big")
