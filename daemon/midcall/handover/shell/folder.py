"""Where the spool of one destination keeps what: one folder, each file with one writer."""

from __future__ import annotations

import os
import re
from pathlib import Path

from midcall.handover.values import Interface

_SEGMENT = re.compile(r"(cc|iri)-(\d{6,})\.db")
_STEM: dict[Interface, str] = {"hi2": "iri", "hi3": "cc"}


class Folder:
    """``iri.db``, ``cc-NNNNNN.db`` (and ``iri-NNNNNN.db``, damaged ones set aside), ``cursor.db``, ``reserve``s."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events = path / "iri.db"
        self.cursor = path / "cursor.db"
        self.reserve = path / "reserve"
        self.last = path / "last-reserve"
        self.lock = path / "lock"
        self.bell = path / "bell"

    def segment(self, interface: Interface, number: int) -> Path:
        return self.path / f"{_STEM[interface]}-{number:06}.db"

    def segments(self, interface: Interface) -> dict[int, Path]:
        """The numbered files of an interface, the oldest first."""
        found = {}
        for entry in self.path.iterdir():
            match = _SEGMENT.fullmatch(entry.name)
            if match is not None and match[1] == _STEM[interface]:
                found[int(match[2])] = entry
        return dict(sorted(found.items()))

    def files(self, interface: Interface) -> list[Path]:
        """All files with rows of an interface, the oldest first."""
        files = list(self.segments(interface).values())
        return [*files, self.events] if interface == "hi2" else files

    def sync(self) -> None:
        """Make sure that new names are on the disk."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free(self) -> int:
        """Octets that are left to us on the disk."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize
