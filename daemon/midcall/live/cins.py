"""The numbers of communications that no run gives twice: taken on the disk in blocks, before one of them is given."""

from __future__ import annotations

import os
import re
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from midcall.base import owner_only
from midcall.df2.communications import LAST
from midcall.handover.shell.folder import Folder

# What a restart may leave unused, and what one write is for.
CIN_BLOCK = 4_096
_NUMBER = re.compile(rb"\d{1,10}\s*")


class CinsError(Exception):
    """What is the first number that was never given is not known, or there is none left; says what to do."""


class Cins:
    """The file at ``path`` has the first number that no run has taken; a full disk takes the next one too, for it is
    written in place. ``first`` is the first number of this run. CinsError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.first = self._begin()

    def _begin(self) -> int:
        try:
            octets = self._path.read_bytes()
        except FileNotFoundError:
            return self._create()
        except OSError as error:
            raise CinsError(f"{self._path}: {error.strerror or error}") from None
        number = int(octets) if _NUMBER.fullmatch(octets) else 0
        if number > LAST:
            raise CinsError(
                f"{self._path}: every CIN up to {LAST} has been given; name the network element otherwise, "
                "by which all numbers begin anew, and remove the file"
            )
        if number < 1:
            raise CinsError(f"{self._path}: holds no number; {_WRITE}")
        return number

    def _create(self) -> int:
        """Of a first start: nothing was given before it."""
        if any(self._path.parent.glob("*/iri.db")):
            raise CinsError(f"{self._path}: missing beside the spools of former runs; {_WRITE}")
        fresh = self._path.with_suffix(".new")
        try:
            with owner_only.create(fresh) as file:
                file.write(_line(1))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
            Folder(self._path.parent).sync()
        except OSError as error:
            raise CinsError(f"{self._path}: cannot be made: {error.strerror or error}") from None
        return 1

    def reserve(self, first: int) -> int:
        """Take a block that begins with ``first``; its last number. It is on the disk when this returns. OSError."""
        following = min(first + CIN_BLOCK, LAST + 1)
        with self._path.open("r+b") as file:
            file.write(_line(following))
            file.flush()
            os.fsync(file.fileno())
        return following - 1


class CinsAhead:
    """Takes each block in a thread while the one before is being given: of a run only the first is waited for.

    Each is on the disk before a number of it is given, as without; what a restart leaves unused is a block more.
    """

    def __init__(self, cins: Cins) -> None:
        self.first = cins.first
        self._cins = cins
        self._thread = ThreadPoolExecutor(1, "cins")
        self._next: tuple[int, Future[int]] | None = None

    def reserve(self, first: int) -> int:
        """As :meth:`Cins.reserve`."""
        last = self._reserved(first)
        if last < LAST:
            self._next = last + 1, self._thread.submit(self._cins.reserve, last + 1)
        return last

    def _reserved(self, first: int) -> int:
        begun, self._next = self._next, None
        if begun is not None:
            number, taken = begun
            # Two never write at once. What could not be taken is tried again, and fails before a number is given.
            if taken.exception() is None and number == first:
                return taken.result()
        return self._cins.reserve(first)

    def close(self) -> None:
        self._thread.shutdown()


_WRITE = "write a number into it that is greater than every CIN that was given"


def _line(number: int) -> bytes:
    return b"%010d\n" % number
