"""Files of product and keys, and the folders around them: nobody but their owner may read them, from the first octet.

A file that stands under the name is replaced, not written into: it may belong to others, or be a link that leads
elsewhere.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import BinaryIO

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_KEPT = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


def create(path: Path) -> BinaryIO:
    """A new, empty file at ``path``, to be written and read; what was there is gone. OSError."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, _NEW, FILE_MODE), "w+b")


def append(path: Path) -> BinaryIO:
    """The file at ``path``, as it is, to be written behind its end; a new one when there is none. OSError."""
    return os.fdopen(os.open(path, _KEPT, FILE_MODE), "ab")


def hold(path: Path) -> BinaryIO:
    """The file at ``path``, which nobody else holds until it is closed. OSError; BlockingIOError: somebody does."""
    file = append(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def extend(path: Path, octets: bytes) -> None:
    """Put octets behind those of the file at ``path``; a new one when there is none. OSError."""
    descriptor = os.open(path, _KEPT, FILE_MODE)
    try:
        view = memoryview(octets)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def write(path: Path, octets: bytes) -> None:
    """A new file with these octets at ``path``; what was there is gone. OSError."""
    with create(path) as file:
        file.write(octets)


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing; one that is there stays as it is. OSError."""
    for each in (*reversed(path.parents), path):
        each.mkdir(mode=FOLDER_MODE, exist_ok=True)
