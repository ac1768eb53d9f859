"""The files of a spool as a whole: one process writes them, and those of content go when they are done with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import IO

from midcall.base import owner_only
from midcall.base.sqlite import read_only, unlink
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.keys import KeysFail, KeyStore
from midcall.handover.shell.store import Summary, summary

# With so much free all files of a spool can be opened.
START_OCTETS = 1 << 20


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


def given_up(events: sqlite3.Connection) -> int:
    """The last row of content that was given up and declared, as long as the sender has not passed it; 0: none.

    The oldest goes first: nothing up to it is still to be delivered.
    """
    (last,) = events.execute("SELECT max(id) FROM gone").fetchone()
    return int(last or 0)


def drop_oldest(folder: Folder, keys: KeyStore, last: int) -> list[Summary] | None:
    """Where nothing opens, for the disk is full: the oldest file of content goes, unless it is the only one.

    Returns what of it was not delivered, to be declared as soon as that can be written; None: there is room, or nothing
    that may go. KeysFail.
    """
    segments = [*folder.segments("hi3").values()]
    if folder.free() >= START_OCTETS or len(segments) < 2:
        return None
    found = undelivered(segments[0], keys, last)
    unlink(segments[0])
    return [] if found is None else [found]


def undelivered(path: Path, keys: KeyStore, last: int) -> Summary | None:
    """What of a closed file of content is not delivered, when all up to row ``last`` is; None: it cannot be read.

    KeysFail.
    """
    try:
        segment = read_only(path, closed=True)
    except sqlite3.Error:
        return None
    with closing(segment):
        return undelivered_in(segment, keys, last)


def undelivered_in(segment: sqlite3.Connection, keys: KeyStore, last: int) -> Summary | None:
    """The same of a file that is open."""
    try:
        return summary(segment, keys, last)
    except KeysFail:
        raise
    except sqlite3.Error:
        return None


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
