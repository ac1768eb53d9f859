"""The files of a spool as a whole: one process writes them, and those of content go when they are done with."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import IO

from midcall.base import owner_only
from midcall.base.sqlite import read_only, unlink
from midcall.handover.shell.folder import Folder


class SpoolInUse(Exception):
    """Another process writes this spool."""


def own(folder: Folder) -> IO[bytes]:
    """The lock of the one who writes, until it is closed. SpoolInUse."""
    try:
        return owner_only.hold(folder.lock)
    except BlockingIOError:
        raise SpoolInUse(f"{folder.path}: another process writes this spool") from None


def trim(folder: Folder, last: int) -> bool:
    """Remove files of content whose rows are all up to ``last``; True: there were such."""
    removed = False
    segments = list(folder.segments("hi3").items())
    for (_, path), (_, newer) in zip(segments, segments[1:], strict=False):
        first = _first_row(newer, newer != segments[-1][1])
        if first is None or first - 1 > last:
            break
        unlink(path)
        removed = True
    return removed


def _first_row(path: Path, closed: bool) -> int | None:
    try:
        database = read_only(path, closed)
    except sqlite3.Error:
        return None
    try:
        found = database.execute("SELECT value FROM meta WHERE name = 'first'").fetchone()
        return None if found is None else int(found[0])
    except sqlite3.Error:
        return None
    finally:
        database.close()
