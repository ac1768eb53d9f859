"""Data keys of intercepts, wrapped, in a file that stands on another disk than what they seal."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from midcall.base.seal import SealError, SealKey
from midcall.base.sqlite import connect, transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keys(id INTEGER PRIMARY KEY AUTOINCREMENT, tag BLOB UNIQUE, liid BLOB, wrapped BLOB);
CREATE TABLE IF NOT EXISTS destroyed(id INTEGER PRIMARY KEY, tag BLOB);
"""


class KeyGone(Exception):
    """A data key that was destroyed, and with it what it sealed."""


class KeyForeign(Exception):
    """A data key that was wrapped by another key than ours."""


class KeysFail(sqlite3.Error):
    """The file of the keys cannot be read or written, its disk may be full; ``__cause__`` says why.

    It stands on another disk than what the keys seal, so nothing that can be done there helps.
    """


class KeyStore:
    """One data key for each LIID; the handle of a key stands with the rows that it seals, the LIID nowhere.

    Whatever asks the file raises KeysFail when it does not answer. One process makes and destroys keys, others may
    read. ``names`` are LIIDs that are known by other means: they give a name to what can no longer be opened.
    """

    def __init__(self, path: Path, master: SealKey, names: tuple[str, ...] = ()) -> None:
        self._database = connect(path, "rwc")
        self._database.execute("PRAGMA secure_delete=ON")
        self._master = master
        self._keys: dict[int, SealKey] = {}
        self._handles: dict[str, int] = {}
        with transaction(self._database):
            for statement in _SCHEMA.strip().splitlines():
                self._database.execute(statement)
            self._database.execute("INSERT OR IGNORE INTO meta VALUES('salt', ?)", (secrets.token_bytes(32),))
        (self._salt,) = self._database.execute("SELECT value FROM meta WHERE name = 'salt'").fetchone()
        self._version = self._data_version()
        self._names = {self.tag(name.encode()): name for name in names}

    def tag(self, octets: bytes) -> bytes:
        """A name for ``octets`` that tells nobody without this file what they are."""
        return hashlib.blake2b(octets, digest_size=16, key=self._salt).digest()

    def handle(self, liid: str) -> int:
        """The handle of an intercept's key; a new key when it has none."""
        handle = self._handles.get(liid)
        if handle is not None:
            return handle
        tag = self.tag(liid.encode())
        self._names[tag] = liid
        with _asked():
            handle = self._handles[liid] = self._found(liid, tag)
        return handle

    def _found(self, liid: str, tag: bytes) -> int:
        found = self._database.execute("SELECT id FROM keys WHERE tag = ?", (tag,)).fetchone()
        handle = self._make(liid, tag) if found is None else int(found[0])
        if found is not None and not self._opens(handle):
            # Another master key may open it one day: it stays, only nothing new is sealed with it.
            with transaction(self._database):
                self._database.execute("INSERT INTO destroyed VALUES(?, ?)", (handle, tag))
                self._database.execute("UPDATE keys SET tag = NULL WHERE id = ?", (handle,))
            handle = self._make(liid, tag)
        return handle

    def _make(self, liid: str, tag: bytes) -> int:
        key = SealKey.fresh()
        with transaction(self._database):
            cursor = self._database.execute("INSERT INTO keys(tag) VALUES(?)", (tag,))
            handle = cursor.lastrowid
            assert handle is not None
            wrapped, name = self._master.wrap(key, _place(handle)), self._master.seal(liid.encode(), _name(handle))
            self._database.execute("UPDATE keys SET liid = ?, wrapped = ? WHERE id = ?", (name, wrapped, handle))
        self._keys[handle] = key
        return handle

    def _opens(self, handle: int) -> bool:
        try:
            self.key(handle)
        except KeyForeign:
            return False
        return True

    def key(self, handle: int) -> SealKey:
        """KeyGone, KeyForeign."""
        key = self._keys.get(handle)
        if key is not None:
            return key
        with _asked():
            found = self._database.execute("SELECT wrapped FROM keys WHERE id = ?", (handle,)).fetchone()
        if found is None:
            raise KeyGone
        try:
            key = self._master.unwrap(bytes(found[0]), _place(handle))
        except SealError:
            raise KeyForeign from None
        self._keys[handle] = key
        return key

    def liid(self, handle: int) -> str:
        """The LIID of a handle, "?" and the handle when nothing tells it any more."""
        for known, number in self._handles.items():
            if number == handle:
                return known
        query = "SELECT tag, liid FROM keys WHERE id = ?1 UNION SELECT tag, NULL FROM destroyed WHERE id = ?1"
        with _asked():
            rows = self._database.execute(query, (handle,)).fetchall()
        for tag, sealed in rows:
            if tag in self._names:
                return self._names[tag]
            if sealed is not None:
                try:
                    return self._master.open(bytes(sealed), _name(handle)).decode()
                except SealError:
                    continue
        return f"?{handle}"

    def handles(self, liid: str) -> list[int]:
        """All handles that an LIID has had, destroyed ones too."""
        query = "SELECT id FROM keys WHERE tag = ?1 UNION SELECT id FROM destroyed WHERE tag = ?1"
        with _asked():
            return [row[0] for row in self._database.execute(query, (self.tag(liid.encode()),))]

    def all(self) -> Iterator[tuple[int, str, int]]:
        """Every key of ours: its handle, its LIID, and since when it is noted to be over (wall ns; 0: it is not)."""
        query = "SELECT id, liid, value FROM keys LEFT JOIN meta ON name = 'over ' || id"
        with _asked():
            rows = self._database.execute(query).fetchall()
        for handle, sealed, since in rows:
            with suppress(SealError, UnicodeDecodeError):  # of another master key
                yield handle, self._master.open(bytes(sealed), _name(handle)).decode(), since or 0

    def note_over(self, handle: int, since: int | None) -> None:
        """Note since when the intercept of a key is over (wall ns); None: it is not."""
        name = f"over {handle}"
        with _asked():
            if since is None:
                self._database.execute("DELETE FROM meta WHERE name = ?", (name,))
            else:
                self._database.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (name, since))

    def destroy(self, liid: str) -> None:
        """Nobody opens what this intercept has in any spool; its next record gets a new key."""
        tag = self.tag(liid.encode())
        with _asked():
            with transaction(self._database):
                self._database.execute("INSERT INTO destroyed SELECT id, tag FROM keys WHERE tag = ?", (tag,))
                self._database.execute(
                    "DELETE FROM meta WHERE name IN (SELECT 'over ' || id FROM keys WHERE tag = ?)", (tag,)
                )
                self._database.execute("DELETE FROM keys WHERE tag = ?", (tag,))
            # What was deleted stands in the log until the log is emptied.
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        handle = self._handles.pop(liid, None)
        key = None if handle is None else self._keys.pop(handle, None)
        if key is not None:
            key.wipe()

    def refresh(self) -> None:
        """Let go of keys that another process has destroyed."""
        version = self._data_version()
        if version != self._version:
            self._version = version
            with _asked():
                known = {row[0] for row in self._database.execute("SELECT id FROM keys")}
            for handle in [each for each in self._keys if each not in known]:
                self._keys.pop(handle).wipe()
            self._handles = {liid: handle for liid, handle in self._handles.items() if handle in known}

    def _data_version(self) -> int:
        with _asked():
            (version,) = self._database.execute("PRAGMA data_version").fetchone()
        return int(version)

    def close(self) -> None:
        for key in self._keys.values():
            key.wipe()
        self._keys.clear()
        self._database.close()


class Keyless:
    """Which LIIDs got no data key; one that got none is asked for again after ``retry_seconds``."""

    def __init__(self, keys: KeyStore, known: Container[str], retry_seconds: float) -> None:
        self._keys = keys
        self._known = known
        self._retry_seconds = retry_seconds
        self._until: dict[str, float] = {}

    def among(self, liids: Iterable[str]) -> set[str]:
        """Of those that are known; the others need none."""
        return {liid for liid in liids if liid in self._known and not self._has(liid)}

    def _has(self, liid: str) -> bool:
        now = time.monotonic()
        if now < self._until.get(liid, 0.0):
            return False
        try:
            self._keys.handle(liid)
        except KeysFail:
            self._until[liid] = now + self._retry_seconds
            return False
        self._until.pop(liid, None)
        return True


@contextmanager
def _asked() -> Iterator[None]:
    try:
        yield
    except KeysFail:
        raise
    except sqlite3.Error as error:
        raise KeysFail(f"keys: {error}") from error


def _place(handle: int) -> bytes:
    return b"key %d" % handle


def _name(handle: int) -> bytes:
    return b"liid %d" % handle
