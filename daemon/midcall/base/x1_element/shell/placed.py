"""Files in the folder of placed warrants, which other people write in: none of them keeps the element waiting."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from midcall.base.warrant import MAX_OCTETS

MAX_FILES = 10_000


def listed(folder: Path | None) -> Sequence[Path]:
    """By their names, in order."""
    return sorted(folder.glob("*.json"))[:MAX_FILES] if folder is not None and folder.is_dir() else ()


def mark(path: Path) -> tuple[int, int]:
    """What is another one when a file was written anew. OSError; also for a pipe, which would be waited for."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "no regular file")
    return status.st_mtime_ns, status.st_size


def read(path: Path) -> bytes:
    """At most an octet more than a warrant may have. OSError."""
    # A pipe that has taken the place of a file is not waited for.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.read(MAX_OCTETS + 1) or b""
