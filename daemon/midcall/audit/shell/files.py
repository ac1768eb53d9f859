"""A log as files of a folder, read for checking, and written by one process alone.

``NNNNNNNNNNNNNNNNNNNN.log``: number of the first entry in it. A file is made whole under another name; lines are only
ever put behind its end, and nobody is told of them before they are synced.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from midcall.audit.checking import LogFile
from midcall.audit.ledger import Place
from midcall.audit.lines import MAX_LINE
from midcall.base import owner_only

NAME = re.compile(r"[0-9]{20}\.log")
MAX_FILES = 1_000_000
PIECE = 1 << 20
LOCK = ".lock"


class FolderError(Exception):
    """A folder or file cannot be read, or written; names it."""


def names(folder: Path) -> list[str]:
    """The files of a log, in their order. FolderError."""
    try:
        found = sorted(each.name for each in folder.iterdir() if NAME.fullmatch(each.name))
    except OSError as error:
        raise FolderError(f"{folder}: {error.strerror or error}") from None
    if len(found) > MAX_FILES:
        raise FolderError(f"{folder}: more than {MAX_FILES} files")
    return found


def read(folder: Path, chosen: list[str] | None = None) -> Iterator[LogFile]:
    """What is to be checked; the lines are read as they are wanted. FolderError, also while they are."""
    for name in names(folder) if chosen is None else chosen:
        yield LogFile(name, int(name[:20]), _lines(folder / name))


def _lines(path: Path) -> Iterator[bytes]:
    """With their ends; of one that is longer than any may be the beginning, as one that is none."""
    try:
        with path.open("rb", buffering=0) as file:
            left, too_long = b"", False
            while piece := file.read(PIECE):
                whole = (left + piece).split(b"\n")
                left = whole.pop()
                for each in whole:
                    if too_long:
                        too_long = False
                        continue
                    yield each[: MAX_LINE + 1] + b"\n"
                if len(left) > 2 * MAX_LINE:
                    if not too_long:
                        yield left[: MAX_LINE + 1] + b"\n"
                    left, too_long = b"", True
            if left and not too_long:
                yield left
    except OSError as error:
        raise FolderError(f"{path}: {error.strerror or error}") from None


class Stands(Struct, frozen=True):
    """How a file is: it changes with everything that anybody writes."""

    inode: int
    size: int
    modified: int
    changed: int


class LogWriter:
    """The end of a log, which nobody else writes while it is open. After an error of ``write`` nothing of it counts."""

    def __init__(self, folder: Path, most: int) -> None:
        """``most``: octets after which the next file begins. FolderError."""
        self.folder = folder
        self._most = most
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._size = 0
        try:
            owner_only.make_folder(folder)
            self._lock = owner_only.hold(folder / LOCK)
        except BlockingIOError:
            raise FolderError(f"{folder}: another process writes this log") from None
        except OSError as error:
            raise FolderError(f"{folder}: {error.strerror or error}") from None

    def resume(self, name: str, tail: int) -> int:
        """Write on in a file, after its last ``tail`` octets, which nobody was told of, are gone; its size. OSError."""
        self._path = self.folder / name
        self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC), "wb", buffering=0)
        self._size = self._path.stat().st_size - tail
        if tail:
            self._file.truncate(self._size)
            os.fdatasync(self._file.fileno())
        return self._size

    def write(self, octets: bytes, place: Place) -> None:
        """Put lines that follow ``place`` on the disk. OSError: they are not there."""
        if self._file is None or self._size >= self._most:
            self._next(place)
        assert self._file is not None
        try:
            view = memoryview(octets)
            while view:
                view = view[self._file.write(view) or 0 :]
            os.fdatasync(self._file.fileno())
        except OSError:
            self._drop(place)
            raise
        self._size += len(octets)

    def _next(self, place: Place) -> None:
        """A file that begins after ``place``: whole, or not at all."""
        path = self.folder / f"{place.size:020d}.log"
        if path.exists():
            raise FileExistsError(17, "a file of that name is there", str(path))
        half = path.with_suffix(".new")
        with owner_only.create(half) as file:
            file.write(place.begin())
            file.flush()
            os.fsync(file.fileno())
        half.rename(path)
        self._sync_folder()
        self._close_file()
        self.resume(path.name, 0)

    def _drop(self, place: Place) -> None:
        """What was written in part goes: after a sync that failed the file is not trusted to hold what it shows.

        The next write begins a file of its own behind the last good head.
        """
        file, self._file = self._file, None
        if file is None:
            return
        with suppress(OSError):
            file.truncate(self._size)
            os.fsync(file.fileno())
        file.close()
        self._reopen(place)

    def _reopen(self, place: Place) -> None:
        """A file in which nothing but its first line stood is made again."""
        assert self._path is not None
        with suppress(OSError):
            if self._path.name == f"{place.size:020d}.log":
                self._path.unlink()
                self._sync_folder()

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def stands(self) -> tuple[str, Stands] | None:
        """The file that is written, and how it is by its open descriptor. OSError."""
        if self._file is None or self._path is None:
            return None
        return self._path.name, _stands(os.fstat(self._file.fileno()))

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        self._close_file()
        with suppress(OSError):
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        self._lock.close()


def stands(path: Path) -> Stands:
    """How a file is by its name. OSError."""
    return _stands(path.stat())


def _stands(status: os.stat_result) -> Stands:
    return Stands(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
