"""A file that holds room for events: when the disk is full it goes, and the events go on."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from midcall.base import owner_only


class Reserve:
    """``octets`` kept allocated in ``path``."""

    def __init__(self, path: Path, octets: int) -> None:
        self._path = path
        self._octets = octets

    def keep(self, free: int) -> bool:
        """Allocate the reserve unless it is there; only where a quarter more is ``free``. True: it is whole."""
        if self.whole():
            return True
        if free < self._octets + self._octets // 4:
            return False
        try:
            with owner_only.create(self._path) as file:
                try:
                    os.posix_fallocate(file.fileno(), 0, self._octets)
                except OSError:
                    # Some file systems cannot; then it is written.
                    for _ in range(0, self._octets, 1 << 16):
                        file.write(bytes(1 << 16))
        except OSError:
            with suppress(OSError):
                self._path.unlink()
            return False
        return True

    def release(self) -> bool:
        """Give the room away; False when it was given before."""
        if not self._path.exists():
            return False
        self._path.unlink()
        return True

    def whole(self) -> bool:
        if not self._octets:
            return True
        with suppress(OSError):
            status = self._path.stat()
            return status.st_blocks * 512 >= self._octets
        return False
