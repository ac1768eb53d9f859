"""What running intercepts need to go on after a restart: sealed, in one SQLite file, gone with their task.

Kept of a communication: its CIN and whom it concerns; of an intercepted dialog: the last report of its session with
the ticket exchange, and the rollover counters of its streams. No session key is among it: the KMS is asked again.
Each task has a data key of its own, so that nothing of an ended one opens any more.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct, structs

from midcall.base import redaction
from midcall.base.bounded import BoundedTable
from midcall.base.seal import SealError, SealKey
from midcall.base.sqlite import connect, transaction
from midcall.df2 import Communication
from midcall.events import DialogId, Kept, SessionReport
from midcall.handover.shell.keys import KeyForeign, KeyGone, KeyStore

ROWS: Final = 131_072
"""Rows whose content is remembered, so that only changes are written: two of each communication."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS rows(tag BLOB PRIMARY KEY, handle INTEGER, kind INTEGER, sealed BLOB) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS of_a_task ON rows(handle);
CREATE TABLE IF NOT EXISTS alive(id INTEGER PRIMARY KEY, at INTEGER);
"""
_COMMUNICATION, _DIALOG, _COUNTERS = range(3)
_RULES = redaction.Rules(sdes=True)


class _Row(Struct, array_like=True):
    """What is sealed: of which task, and its value in msgpack."""

    xid: str
    value: msgspec.Raw


class _Counters(Struct, array_like=True):
    dialog: DialogId
    counters: dict[bytes, int]


class Recalled(Struct):
    """What a task had running. ``dialogs``: the last report of each, and counters by stream."""

    communications: list[Communication]
    dialogs: list[tuple[SessionReport, dict[bytes, int]]]

    def over(self) -> list[Communication]:
        """Those that have ended, of which no dialog runs."""
        return [each for each in self.communications if not self._goes_on(each)]

    def going_on(self) -> list[Communication]:
        """The others."""
        return [each for each in self.communications if self._goes_on(each)]

    def _goes_on(self, state: Communication) -> bool:
        return not state.ended or any(report.correlation == state.correlation for report, _ in self.dialogs)


class _Told(NamedTuple):
    """What is written together: rows by their tags, tasks that are over, tasks that have begun, when all was well."""

    fresh: dict[bytes, tuple[str, int, bytes | None]]
    over: list[str]
    begun: list[str]
    alive: tuple[int, int] | None

    def with_later(self, later: _Told) -> _Told:
        gone = set(later.over)
        fresh = {tag: row for tag, row in self.fresh.items() if row[0] not in gone} | later.fresh
        begun = [xid for xid in self.begun if xid not in gone] + later.begun
        return _Told(fresh, list(dict.fromkeys(self.over + later.over)), begun, later.alive or self.alive)


class InterceptJournal:
    """Told of what changes; :meth:`flush` writes it. Rows that no longer open are counted in ``lost``.

    ``kept``: until when all content of the former run is on the disk, wall ns; None before :meth:`recall`.

    ``path`` and ``keys`` are files, better on two disks; ``master`` wraps the keys. A crash of the process loses
    nothing that was flushed; one of the machine may lose the last moments.
    """

    def __init__(self, path: Path, keys: Path, master: SealKey) -> None:
        self._keys = KeyStore(keys, master)
        self._database = connect(path, "rwc")
        # Behind every record stands the spool, which waits for the disk; this need not do so once more.
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute("PRAGMA secure_delete=ON")
        with transaction(self._database):
            for statement in _SCHEMA.strip().splitlines():
                self._database.execute(statement)
        self._known: BoundedTable[bytes, tuple[str, bytes]] = BoundedTable("live.intercepts.rows", ROWS)
        # What most often is as it was before: then not even its octets are made.
        self._counters: BoundedTable[tuple[str, DialogId], dict[bytes, int]] = BoundedTable(
            "live.intercepts.counters", ROWS
        )
        self._fresh: dict[bytes, tuple[str, int, bytes | None]] = {}
        self._over: list[str] = []
        self._begun: list[str] = []
        self._alive: tuple[int, int] | None = None
        self.kept: int | None = None
        # What is to be written next, in its order, by whichever thread comes first.
        self._taken: deque[_Told] = deque()
        self._writing = threading.Lock()
        self.lost = 0

    # What is told

    def began(self, xid: str) -> None:
        """A task was ordered: it gets its key, for which its first event need not wait."""
        self._begun.append(xid)

    def communication(self, xid: str, state: Communication) -> None:
        """A communication has begun, or gone on."""
        self._put(xid, _COMMUNICATION, state.correlation, msgspec.msgpack.encode(state))

    def report(self, report: SessionReport) -> None:
        """The session of a dialog; keys that stand in its descriptions are not kept."""
        kept = structs.replace(report, offer=_keyless(report.offer), answer=_keyless(report.answer))
        self._put(report.xid, _DIALOG, _name(report.dialog), msgspec.msgpack.encode(kept))

    def counters(self, xid: str, dialog: DialogId, counters: dict[bytes, int]) -> None:
        """The rollover counters of a dialog's streams."""
        if self._counters.get((xid, dialog)) == counters:
            return
        self._counters.put((xid, dialog), counters)
        self._put(xid, _COUNTERS, _name(dialog), msgspec.msgpack.encode(_Counters(dialog, counters)))

    def alive(self, now: int, kept: int | None = None) -> None:
        """The service was at work at this time (wall ns), and had all content until ``kept`` on the disk."""
        self._alive = now, now if kept is None else kept

    def over(self, xid: str, correlation: bytes) -> None:
        """Nothing more is expected of a communication."""
        self._put(xid, _COMMUNICATION, correlation, None)

    def released(self, xid: str, dialog: DialogId) -> None:
        """The dialog is over."""
        self._counters.pop((xid, dialog))
        for kind in (_DIALOG, _COUNTERS):
            self._put(xid, kind, _name(dialog), None)

    def ended(self, xid: str) -> None:
        """The task is over: nothing of it is to be read again by anybody."""
        self._over.append(xid)
        self._begun = [each for each in self._begun if each != xid]
        for tag in [tag for tag, (task, _) in self._known.items() if task == xid]:
            self._known.pop(tag)
        for each in [each for each in self._counters if each[0] == xid]:
            self._counters.pop(each)
        self._fresh = {tag: row for tag, row in self._fresh.items() if row[0] != xid}

    def _put(self, xid: str, kind: int, name: bytes, value: bytes | None) -> None:
        tag = self._keys.tag(b"\0".join((xid.encode(), bytes((kind,)), name)))
        if value is None:
            if self._known.pop(tag) is None and tag not in self._fresh:
                return
        else:
            known = xid, self._keys.tag(value)
            if self._known.get(tag) == known:
                return
            self._known.put(tag, known)
        self._fresh[tag] = (xid, kind, value)

    # The disk

    @property
    def waiting(self) -> bool:
        """Whether there is something to be written."""
        return bool(self._fresh or self._over or self._begun or self._alive or self._taken)

    async def flush(self) -> None:
        """Write what was told. sqlite3.Error: nothing was written, the next time tries it again."""
        self.take()
        await asyncio.to_thread(self.write)

    def take(self) -> None:
        """What was told until now is what :meth:`write` writes."""
        self._taken.append(_Told(self._fresh, self._over, self._begun, self._alive))
        self._fresh, self._over, self._begun, self._alive = {}, [], [], None

    def write(self) -> None:
        """In any thread: what was taken is on the disk when this returns. sqlite3.Error: not all of it is."""
        with self._writing:
            try:
                while self._taken:
                    self._write(*self._taken[0])
                    self._taken.popleft()
            except sqlite3.Error:
                self._gather()
                raise

    def _gather(self) -> None:
        """What waits for a disk takes no more room for being told again and again."""
        waiting = self._taken.popleft()
        while self._taken:
            waiting = waiting.with_later(self._taken.popleft())
        self._taken.appendleft(waiting)

    def _write(
        self,
        fresh: dict[bytes, tuple[str, int, bytes | None]],
        over: list[str],
        begun: list[str],
        alive: tuple[int, int] | None,
    ) -> None:
        # First, for a task that is ordered anew has a key of its own.
        for xid in over:
            self._end(xid)
        for xid in begun:
            self._keys.handle(xid)
        if not fresh and not alive:
            return
        database = self._database
        with transaction(database):
            for tag, (xid, kind, value) in fresh.items():
                if value is None:
                    database.execute("DELETE FROM rows WHERE tag = ?", (tag,))
                    continue
                handle = self._keys.handle(xid)
                plain = msgspec.msgpack.encode(_Row(xid, msgspec.Raw(value)))
                sealed = self._keys.key(handle).seal(plain, _place(tag, kind))
                database.execute("INSERT OR REPLACE INTO rows VALUES(?,?,?,?)", (tag, handle, kind, sealed))
            if alive:
                database.execute("INSERT OR REPLACE INTO alive VALUES(1, ?), (2, ?)", alive)

    def _end(self, xid: str) -> None:
        handles = [(handle,) for handle in self._keys.handles(xid)]
        with transaction(self._database):
            self._database.executemany("DELETE FROM rows WHERE handle = ?", handles)
        self._keys.destroy(xid)

    def recall(self) -> tuple[int | None, dict[str, Recalled]]:
        """When the former run was at work last, and what its tasks had running."""
        found: dict[str, Recalled] = {}
        counters: dict[tuple[str, DialogId], dict[bytes, int]] = {}
        reports: list[SessionReport] = []
        for xid, kind, value in self._opened():
            task = found.setdefault(xid, Recalled([], []))
            if kind == _COMMUNICATION:
                task.communications.append(msgspec.msgpack.decode(value, type=Communication))
            elif kind == _DIALOG:
                reports.append(msgspec.msgpack.decode(value, type=SessionReport))
            else:
                held = msgspec.msgpack.decode(value, type=_Counters)
                counters[xid, held.dialog] = held.counters
        for report in reports:
            found[report.xid].dialogs.append((report, counters.get((report.xid, report.dialog), {})))
        alive = dict(self._database.execute("SELECT id, at FROM alive"))
        last = alive.get(1)
        self.kept = alive.get(2, last)
        return last, found

    def _opened(self) -> Iterator[tuple[str, int, msgspec.Raw]]:
        for tag, handle, kind, sealed in self._database.execute("SELECT tag, handle, kind, sealed FROM rows"):
            try:
                plain = self._keys.key(handle).open(sealed, _place(tag, kind))
                row = msgspec.msgpack.decode(plain, type=_Row)
            except (KeyGone, KeyForeign, SealError, msgspec.MsgspecError):
                self.lost += 1
                continue
            self._known.put(tag, (row.xid, self._keys.tag(bytes(row.value))))
            yield row.xid, kind, row.value

    async def close(self) -> None:
        """Write what is left."""
        try:
            await self.flush()
        finally:
            self._database.close()
            self._keys.close()


def _place(tag: bytes, kind: int) -> bytes:
    return b"live.intercept %d " % kind + tag


def _name(dialog: DialogId) -> bytes:
    return msgspec.msgpack.encode(dialog)


def _keyless(kept: Kept | None) -> Kept | None:
    if kept is None:
        return None
    redacted = redaction.message(kept.octets, _RULES)
    return structs.replace(kept, octets=redacted.octets) if redacted.removed else kept
