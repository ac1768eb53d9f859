"""A folder that is to go with its process: removed at its end, or by the next one when it was killed.

Its owner holds a lock on it (flock), which the system gives back when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class PassingFolder:
    """A new folder in ``parent`` that only we may enter; OSError when it cannot be made."""

    def __init__(self, parent: Path, prefix: str) -> None:
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            lock = _locked(self.path)
            if lock is not None and _is_still(self.path, lock):
                self._lock = lock
                return
            # Somebody who clears up came between making and locking it, and takes it away.
            if lock is not None:
                os.close(lock)

    def remove(self) -> None:
        """Remove it with all that is in it; what cannot be removed stays."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def clear(parent: Path, prefix: str) -> int:
    """Remove folders of ours in ``parent`` whose owner is gone; returns how many."""
    removed = 0
    for path in parent.glob(f"{prefix}*"):
        lock = _locked(path)
        if lock is None:
            continue
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                shutil.rmtree(path, ignore_errors=True)
                removed += not path.exists()
        finally:
            os.close(lock)
    return removed


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock of a folder; None: another has it, or it is no folder of ours."""
    with suppress(OSError):
        descriptor = os.open(path, _FOLDER)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor
    return None


def _is_still(path: Path, descriptor: int) -> bool:
    with suppress(OSError):
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    return False
