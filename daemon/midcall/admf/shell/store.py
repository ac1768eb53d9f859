"""The ADMF's book on the disk: SQLite, each row sealed, under names that tell nothing without the key."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec import Struct

from midcall.admf.core import Changes, Memory
from midcall.admf.reconcile import Keep
from midcall.admf.values import Alarm, Record
from midcall.base import owner_only, sqlite
from midcall.base.seal import SealError, SealKey

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS meta(tag BLOB PRIMARY KEY, sealed BLOB) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS rows(tag BLOB PRIMARY KEY, sealed BLOB) WITHOUT ROWID",
)
_SALT = b"salt"
WRITE_SECONDS = 5.0
"""How long an act waits for the disk; longer, it is refused."""
log = logging.getLogger("midcall.admf.store")


class StoreError(Exception):
    """The store cannot be read or written; names the file, and nothing in it."""


class _Record(Struct, frozen=True, tag="record"):
    record: Record


class _Keep(Struct, frozen=True, tag="keep"):
    keep: Keep


class _Alarm(Struct, frozen=True, tag="alarm"):
    alarm: Alarm


class _Activations(Struct, frozen=True, tag="activations"):
    times: tuple[int, ...]


_Row = _Record | _Keep | _Alarm | _Activations
_DECODER: msgspec.msgpack.Decoder[_Row] = msgspec.msgpack.Decoder(_Row)


class AdmfStore:
    """One ADMF's database, and nobody else's. ``seal`` stays its caller's to wipe, after ``close``."""

    def __init__(self, path: Path, seal: SealKey) -> None:
        """Open, or begin. StoreError: no database, one sealed with another key, or one that another process has."""
        self.path = path
        self._seal = seal
        with ExitStack() as opened, self._faults():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                opened.enter_context(owner_only.hold(path.with_name(f"{path.name}.lock")))
            except BlockingIOError:
                raise StoreError(f"{path}: another process has it") from None
            self._database = opened.enter_context(closing(sqlite.connect(path, "rwc")))
            self._salt = self._begin()
            self._opened = opened.pop_all()
        self._thread = ThreadPoolExecutor(1, "admf-store")

    def _begin(self) -> bytes:
        self._database.execute("PRAGMA secure_delete=ON")
        with sqlite.transaction(self._database):
            for statement in _SCHEMA:
                self._database.execute(statement)
            found = self._database.execute("SELECT sealed FROM meta WHERE tag = ?", (_SALT,)).fetchone()
            if found is None:
                salt = secrets.token_bytes(32)
                self._database.execute("INSERT INTO meta VALUES(?, ?)", (_SALT, self._seal.seal(salt, b"admf/salt")))
                return salt
        try:
            return self._seal.open(bytes(found[0]), b"admf/salt")
        except SealError:
            raise StoreError(f"{self.path}: sealed with another key, or damaged") from None

    def read(self) -> Memory:
        """All that is in it. StoreError."""
        rows = list(self._rows())
        times = next((each.times for each in rows if isinstance(each, _Activations)), ())
        return Memory(
            tuple(each.record for each in rows if isinstance(each, _Record)),
            times,
            tuple(each.keep for each in rows if isinstance(each, _Keep)),
            tuple(each.alarm for each in rows if isinstance(each, _Alarm)),
        )

    def _rows(self) -> Iterator[_Row]:
        with self._faults():
            try:
                for tag, sealed in self._database.execute("SELECT tag, sealed FROM rows"):
                    yield _DECODER.decode(self._seal.open(bytes(sealed), b"admf/" + bytes(tag)))
            except (SealError, msgspec.MsgspecError):
                raise StoreError(f"{self.path}: a row does not open") from None

    async def write(self, changes: Changes, activations: tuple[int, ...] | None = None) -> None:
        """All of it or nothing; it is on the disk when this returns. StoreError."""
        written = asyncio.get_running_loop().run_in_executor(self._thread, self._write, changes, activations)
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await asyncio.shield(written)
        except TimeoutError:
            written.add_done_callback(_told)
            raise StoreError(f"{self.path}: takes longer than {WRITE_SECONDS:g} s") from None

    def _write(self, changes: Changes, activations: tuple[int, ...] | None) -> None:
        with self._faults(), sqlite.transaction(self._database):
            for record in changes.records:
                self._put(f"record {record.id}", None if record.is_nothing else _Record(record))
            for keep in changes.keeps:
                gone = keep.digest is None and not keep.lost
                self._put(f"keep {keep.ne} {keep.xid}", None if gone else _Keep(keep))
            for key, alarm in changes.alarms:
                self._put(f"alarm {' '.join(key)}", None if alarm is None else _Alarm(alarm))
            if activations is not None:
                self._put("activations", _Activations(activations))
        if any(not each.papers for each in changes.records):
            # What was forgotten is in no file any more.
            with self._faults():
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _put(self, name: str, row: _Row | None) -> None:
        tag = blake2b(name.encode(), digest_size=16, key=self._salt).digest()
        if row is None:
            self._database.execute("DELETE FROM rows WHERE tag = ?", (tag,))
            return
        sealed = self._seal.seal(msgspec.msgpack.encode(row), b"admf/" + tag)
        self._database.execute("INSERT OR REPLACE INTO rows VALUES(?, ?)", (tag, sealed))

    async def close(self) -> None:
        """Behind all that was given to be written."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._opened.close)
        self._thread.shutdown()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.path}: {type(error).__name__}: {error}") from None


def _told(written: asyncio.Future[None]) -> None:
    error = None if written.cancelled() else written.exception()
    if error is not None:
        log.error("%s", error if isinstance(error, StoreError) else type(error).__name__)
