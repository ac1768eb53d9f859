"""The doorbell: a datagram that tells the sender of new rows. It may get lost; the sender looks by itself too."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from midcall.base.owner_only import FILE_MODE


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for ``path`` that fits into a socket address, however deep the folder lies."""
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def ring(path: Path) -> None:
    """Tell whoever listens; nobody need."""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell, _short(path) as name:
        bell.setblocking(False)
        bell.sendto(b"\0", name)


def listen(path: Path) -> socket.socket:
    """A socket that becomes readable when the bell rings."""
    path.unlink(missing_ok=True)
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        bell.setblocking(False)
        os.fchmod(bell.fileno(), FILE_MODE)  # that of the file which bind makes
        with _short(path) as name:
            bell.bind(name)
    except OSError:
        bell.close()
        raise
    return bell


def answer(bell: socket.socket) -> None:
    """Take what has rung."""
    with suppress(BlockingIOError):
        while bell.recv(16):
            pass
