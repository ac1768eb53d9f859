"""Registrations that outlive the process: one SQLite file for all workers of a host."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from midcall.base.sqlite import connect, transaction
from midcall.cscf.location import Binding

_SCHEMA = "CREATE TABLE IF NOT EXISTS bindings(aor TEXT PRIMARY KEY, until INTEGER, bindings BLOB)"


class Changed(Struct, array_like=True, frozen=True):
    """What one address of record has from now on; times as wall clock, ns since 1970."""

    aor: str
    bindings: tuple[Binding, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Changed).decode


def encoded(aor: str, bindings: Sequence[Binding], offset: int) -> bytes:
    """For the file and for mates. ``offset``: wall clock less monotonic clock, in ns."""
    moved = tuple(msgspec.structs.replace(each, until=each.until + offset) for each in bindings)
    return _encode(Changed(aor, moved))


def decoded(octets: bytes, offset: int) -> Changed:
    """The inverse. msgspec.MsgspecError: it is none."""
    found = _decode(octets)
    moved = tuple(msgspec.structs.replace(each, until=each.until - offset) for each in found.bindings)
    return Changed(found.aor, moved)


class LocationStore:
    """Collects changes and writes them in groups."""

    def __init__(self, path: Path) -> None:
        """OSError, sqlite3.Error: the file cannot be opened."""
        self._database = connect(path, "rwc")
        self._database.execute(_SCHEMA)
        self._changed: dict[str, tuple[int, bytes | None]] = {}

    def put(self, aor: str, bindings: Sequence[Binding], octets: bytes, offset: int) -> None:
        """``octets`` are the bindings as :func:`encoded`."""
        until = max((each.until for each in bindings), default=0) + offset
        self._changed[aor] = until, octets if bindings else None

    def flush(self) -> int:
        """Write what has changed; how many addresses. sqlite3.Error: nothing was written, all is kept for next time."""
        if not self._changed:
            return 0
        changed = self._changed
        with transaction(self._database):
            self._database.executemany(
                "INSERT OR REPLACE INTO bindings VALUES(?, ?, ?)",
                [(aor, until, octets) for aor, (until, octets) in changed.items() if octets is not None],
            )
            gone = [(aor,) for aor, (_, octets) in changed.items() if octets is None]
            self._database.executemany("DELETE FROM bindings WHERE aor = ?", gone)
        self._changed = {}
        return len(changed)

    def recall(self, wall: int, offset: int) -> Iterator[Changed]:
        """What still holds; the rest is removed."""
        with transaction(self._database):
            self._database.execute("DELETE FROM bindings WHERE until <= ?", (wall,))
        with closing(self._database.execute("SELECT bindings FROM bindings")) as rows:
            for (octets,) in rows:
                try:
                    yield decoded(octets, offset)
                except msgspec.MsgspecError:
                    continue  # of another version: whoever it is registers again

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.flush()
        self._database.close()
