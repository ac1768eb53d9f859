"""When product of an intercept that is over is destroyed, by destroying the data key that sealed it.

Delivered product goes when the time that it is to be kept has passed since the end; what could never be delivered goes
when the time for a backlog has. Nothing that anybody copied from the disk can be opened then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

from midcall.base.sqlite import read_only
from midcall.handover.settings import SpoolSettings
from midcall.handover.shell.files import Files
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.intercepts import Intercepts
from midcall.handover.shell.keys import KeysFail, KeyStore
from midcall.handover.values import Interface

LOOK_NS = 10_000_000_000
"""Between two looks; an intercept is over for that long before its key may go."""
_SECOND = 1_000_000_000

Destroyed = Callable[[str, bool], None]
"""Hears of each LIID whose key is no more, and whether all of its product had been delivered."""


class Retention:
    """Looks after the data keys of one spool, in the writer's thread."""

    def __init__(self, folder: Folder, keys: KeyStore, intercepts: Intercepts, settings: SpoolSettings) -> None:
        self._folder = folder
        self._keys = keys
        self._intercepts = intercepts
        self._settings = settings
        self._at = 0

    def due(self, files: Files, passed: Callable[[Interface], int], now: int) -> list[tuple[str, bool]]:
        """LIIDs whose product's time is over, and whether all of it is delivered."""
        if 0 <= now - self._at < LOOK_NS:
            return []
        self._at = now
        try:
            over = list(self._over(now))
            waiting = self._waiting(files, passed) if over else set()
        except (KeysFail, sqlite3.Error):
            return []  # what cannot be told now is told later
        return [
            (liid, handle not in waiting)
            for handle, liid, since in over
            if now - since >= self._kept_for(handle in waiting or not self._is_done(files, handle, liid))
        ]

    def _over(self, now: int) -> Iterator[tuple[int, str, int]]:
        """Keys of what is over, and since when, which is noted."""
        for handle, liid, since in list(self._keys.all()):
            if not self._intercepts.is_over(liid):
                if since:
                    self._keys.note_over(handle, None)
                continue
            if not since:
                self._keys.note_over(handle, now)
            yield handle, liid, since or now

    def _is_done(self, files: Files, handle: int, liid: str) -> bool:
        """Nothing is to be said of it any more: no check, no gap, no notification."""
        return liid not in self._intercepts.by_liid and not files.active(handle)

    def _kept_for(self, waits: bool) -> float:
        seconds = self._settings.backlog_seconds if waits else self._settings.retain_seconds
        return max(seconds * _SECOND, LOOK_NS) if seconds or not waits else float("inf")

    def _waiting(self, files: Files, passed: Callable[[Interface], int]) -> set[int]:
        """Handles of keys with product that is still to be delivered."""
        found = _handles(files.events.database, passed("hi2"))
        behind = passed("hi3")
        found |= _handles(files.content.database, behind)
        for path in list(self._folder.segments("hi3").values())[:-1]:
            try:
                older = read_only(path, closed=True)
            except sqlite3.DatabaseError:
                continue  # the sender reports it
            try:
                found |= _handles(older, behind)
            finally:
                older.close()
        return found


def _handles(database: sqlite3.Connection, behind: int) -> set[int]:
    return {row[0] for row in database.execute("SELECT DISTINCT handle FROM rows WHERE id > ?", (behind,))}
