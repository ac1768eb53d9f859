"""What of the records that a spool is given is news: what is on its disk already is known again."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

from imswire.hi.hi1 import NotificationKind
from midcall.events import EventRecord, Hi1Record
from midcall.handover.shell.files import Files, Notes
from midcall.handover.shell.keys import KeyStore

_ACTIVE: dict[int, bool] = {
    NotificationKind.ACTIVATED: True,
    NotificationKind.MODIFIED: True,
    NotificationKind.DEACTIVATED: False,
}


class News(NamedTuple):
    """Records that are not on the disk yet, and what is noted with them."""

    records: list[EventRecord]
    notes: Notes


NOTHING = News([], Notes())
"""Nobody changes it."""


def news(records: Sequence[EventRecord], files: Files, keys: KeyStore, known: Container[str]) -> News:
    """``known`` are LIIDs: what is of another one is news, for it is to be counted."""
    notes = Notes()
    found = News([], notes)
    last: dict[str, int] = {}
    for record in records:
        liid = record.liid
        if isinstance(record, Hi1Record):
            if liid in known and not _is_told(record, notes.active, files, keys.handle(liid)):
                continue
        elif mark := record.mark:
            if mark in notes.marks or files.marked(mark):
                continue
            notes.marks[mark] = None
        elif liid in known:
            if liid not in last:
                last[liid] = files.producer(keys.handle(liid))
            if record.key <= last[liid]:
                continue
            last[liid] = notes.producers[keys.handle(liid)] = record.key
        found.records.append(record)
    return found


def _is_told(record: Hi1Record, active: dict[int, bool], files: Files, handle: int) -> bool:
    """Whether the LEMF is to be told: not that an interception is active which goes on after a restart."""
    if record.kind == NotificationKind.ACTIVATED and active.get(handle, files.active(handle)):
        return False
    if record.kind in _ACTIVE:
        active[handle] = _ACTIVE[record.kind]
    return True
