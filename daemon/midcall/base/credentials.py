"""Secrets that a service is given as files: hexadecimal, for their owner alone (a service manager's credentials)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

# A group may read it: credentials of a service manager are such files.
_FOREIGN = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
MAX_OCTETS = 64


class CredentialError(Exception):
    """What is wrong with a file, in one line; shows nothing of what it holds."""


def read(path: Path, octets: range) -> bytearray:
    """A secret of so many octets, in a buffer that its user wipes. CredentialError."""
    buffer = bytearray(2 * MAX_OCTETS + 3)
    try:
        count = _into(buffer, path)
        try:
            secret = bytearray.fromhex(buffer[:count].decode("ascii"))
        except ValueError:
            raise CredentialError(f"{path}: not hexadecimal") from None
        if len(secret) not in octets:
            raise CredentialError(f"{path}: {len(secret)} octets, not {octets[0]} to {octets[-1]}")
        return secret
    finally:
        buffer[:] = bytes(len(buffer))


def text(path: Path, most: int) -> bytearray:
    """A secret that is a text, as a key in PEM, of ``most`` octets at most. CredentialError."""
    buffer = bytearray(most + 1)
    count = _into(buffer, path)
    if count > most:
        raise CredentialError(f"{path}: more than {most} octets")
    return buffer[:count]


def is_open_to_others(status: os.stat_result) -> bool:
    """Whether a file is none, or others than its owner, and a group that may read it, have access to it."""
    return not stat.S_ISREG(status.st_mode) or bool(status.st_mode & _FOREIGN)


def _into(buffer: bytearray, path: Path) -> int:
    try:
        with path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            count = file.readinto(buffer) or 0
    except OSError as error:
        raise CredentialError(f"{path}: {error.strerror or type(error).__name__}") from None
    if is_open_to_others(status):
        raise CredentialError(f"{path}: others than its owner have access to this secret; chmod 600 it")
    return count
