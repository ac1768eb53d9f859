"""What the writer has just put on the disk, for the sender of the same process: it need not be read and opened again.

Only for a sender that has come to the end of the files: rows go here from the next one on, without a gap, behind
their commit. Whatever else there is (a sender that is behind, another file, too much at once, content that is given
up, a key that is destroyed) ends that, and the sender goes by the files until it is at their end again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

MOST_OCTETS = 8 << 20
"""In clear, in memory: some tenths of a second of the most that one process mediates."""


class Fresh(NamedTuple):
    """A row of content that is on the disk, with its octets in clear; ``spans`` are packed."""

    id: int
    handle: int
    at: int
    spans: bytes
    octets: bytes


class Tail:
    """Rows of one spool, from its writer's thread to its sender's. Nobody's, until a sender joins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: deque[Fresh] = deque()
        self._octets = 0
        self._path: Path | None = None
        self._next = 0

    def join(self, path: Path, after: int) -> None:
        """The sender has all that is in the files, of which ``path`` is the last, up to row ``after``."""
        with self._lock:
            self._leave()
            self._path, self._next = path, after + 1

    def leave(self) -> None:
        """The sender goes by the files."""
        with self._lock:
            self._leave()

    def _leave(self) -> None:
        self._rows.clear()
        self._octets = 0
        self._path = None

    def put(self, path: Path, rows: Sequence[Fresh]) -> None:
        """Rows that are on the disk now, in the file at ``path``."""
        if self._path is None or not rows:
            return
        octets = sum(len(row.octets) for row in rows)
        with self._lock:
            if path != self._path or rows[0].id != self._next or self._octets + octets > MOST_OCTETS:
                self._leave()
                return
            self._rows += rows
            self._octets += octets
            self._next = rows[-1].id + 1

    def take(self, after: int, octets: int) -> list[Fresh] | None:
        """The rows behind ``after``, about so many octets of them; none: there are none yet. None: the files tell."""
        if self._path is None:
            return None
        with self._lock:
            rows = self._rows
            if (rows[0].id if rows else self._next) != after + 1:
                self._leave()
            if self._path is None:
                return None
            taken = []
            while rows and octets > 0:
                taken.append(row := rows.popleft())
                octets -= len(row.octets)
                self._octets -= len(row.octets)
            return taken
