"""What the LI plane asks of a spool, from any process: completeness, backlog, age of the oldest record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from midcall.base.sqlite import read_only
from midcall.handover.rows import unpack_spans
from midcall.handover.shell.cursor import DELIVERED, counts, passed
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.keys import KeyStore
from midcall.handover.values import INTERFACES, KINDS, QUEUES, Completeness, Interface, Port

PORTS: tuple[Port, ...] = (*INTERFACES, "hi1")
# How often completeness is looked at anew when the sender has settled something meanwhile.
LOOKS = 5


class Backlog(Struct, frozen=True):
    """What waits for delivery: PDUs, octets on the disk, and when the oldest was written (wall ns)."""

    pdus: int
    octets: int
    oldest: int | None


def completeness(folder: Folder, keys: KeyStore, liid: str) -> list[Completeness]:
    """The equation of an intercept: HI2, HI3, and HI1 when anything of it was to go over there. Exact when the
    writer is not between two commits.
    """
    handles = keys.handles(liid)
    found: list[Completeness] = []
    for _ in range(LOOKS):
        before = _all_passed(folder)
        found = [_completeness(folder, handles, liid, port) for port in PORTS]
        if _all_passed(folder) == before:
            break
    return found if found[-1].observed else found[:-1]


def _all_passed(folder: Folder) -> list[int]:
    return [passed(folder.cursor, each) for each in INTERFACES]


def backlog(folder: Folder) -> dict[Interface, Backlog]:
    """By interface; HI1 notifications wait among the events of HI2."""
    return {interface: _backlog(folder, interface) for interface in INTERFACES}


def _backlog(folder: Folder, interface: Interface) -> Backlog:
    pdus = octets = 0
    oldest: int | None = None
    for at, packed, size in _queued(folder, interface, "at, spans, length(body)"):
        pdus += sum(span.pdus for span in unpack_spans(packed))
        octets += size
        oldest = at if oldest is None else min(oldest, at)
    return Backlog(pdus, octets, oldest)


def _completeness(folder: Folder, handles: list[int], liid: str, interface: Port) -> Completeness:
    refused: dict[str, int] = {}
    delivered = 0
    for what, count in _settled(folder, handles, interface).items():
        if what == DELIVERED:
            delivered += count
        else:
            refused[what] = refused.get(what, 0) + count
    observed = sum(_totals(folder, handles, interface).values())
    for reason, count in _refused(folder, handles, interface):
        refused[reason] = refused.get(reason, 0) + count
        observed += count
    return Completeness(liid, interface, observed, delivered, _count_queued(folder, handles, interface), refused)


def _totals(folder: Folder, handles: list[int], interface: Port) -> dict[bytes, int]:
    """Records that were ever numbered, by context; the newest file knows, else the archive."""
    totals: dict[bytes, int] = {}
    marks = ",".join("?" * len(handles))
    for database in _open([folder.events] if interface == "hi3" else []):
        query = f"SELECT tag, total FROM archive WHERE kind = 2 AND handle IN ({marks})"  # noqa: S608 (question marks)
        totals.update(database.execute(query, handles))
    query = (
        "SELECT tag, total FROM contexts JOIN counters ON context = id "  # noqa: S608 (question marks)
        f"WHERE kind = {int(KINDS[interface])} AND handle IN ({marks})"
    )
    newest: list[tuple[bytes, int]] = []
    for database in _open(folder.files(QUEUES[interface])[-2:]):
        newest = database.execute(query, handles).fetchall()
    totals.update(newest)
    return totals


def _refused(folder: Folder, handles: list[int], interface: Port) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for database in _open([folder.events]):
        for handle in handles:
            query = "SELECT reason, count FROM refused WHERE handle = ? AND interface = ?"
            found += database.execute(query, (handle, interface))
    return found


def _settled(folder: Folder, handles: list[int], interface: Port) -> dict[str, int]:
    for database in _open([folder.cursor]):
        return counts(database, handles, interface)
    return {}


def _count_queued(folder: Folder, handles: list[int], port: Port) -> int:
    """Records of an intercept behind the cursor."""
    interface = QUEUES[port]
    count = 0
    wanted = set(handles)
    kinds: dict[int, int] = {}
    for database in _open(folder.files(interface)):
        query = "SELECT id, kind FROM contexts"
        kinds.update((number, kind) for number, kind in database.execute(query))
    for handle, packed in _queued(folder, interface, "handle, spans"):
        if handle in wanted:
            count += sum(s.pdus for s in unpack_spans(packed) if kinds.get(s.context) == KINDS[port])
    if interface == "hi3":
        for database in _open([folder.events]):
            count += _given_up(database, wanted, passed(folder.cursor, interface))
    return count


def _given_up(database: sqlite3.Connection, handles: set[int], last: int) -> int:
    """Content that was given up and that the sender has not come to yet."""
    count = 0
    for handle, packed, tags in database.execute("SELECT handle, spans, tags FROM gone WHERE id > ?", (last,)):
        if handle in handles:
            spans = unpack_spans(packed)
            width = len(tags) // max(len(spans), 1)
            count += sum(s.pdus for place, s in enumerate(spans) if tags[place * width] == KINDS["hi3"])
    return count


def _queued(folder: Folder, interface: Interface, columns: str) -> Iterator[tuple[Any, ...]]:
    last = passed(folder.cursor, interface)
    for database in _open(folder.files(interface)):
        query = f"SELECT {columns} FROM rows WHERE id > ? ORDER BY id"  # noqa: S608 (our own columns)
        yield from database.execute(query, (last,))


def _open(paths: list[Path]) -> Iterator[sqlite3.Connection]:
    """Connections to files, one after the other; those that cannot be read, or hold no table yet, are left out."""
    for path in paths:
        try:
            database = read_only(path, path.name[-9:-3].isdigit() and path != paths[-1])
        except sqlite3.Error:
            continue
        try:
            if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                yield database
        except sqlite3.DatabaseError:
            continue
        finally:
            database.close()
