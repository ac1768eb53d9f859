"""Private keys of people: files that nobody but their owner may read, never an argument."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from midcall.cli.fail import USAGE, Failed, reason

MAX_KEY_FILE = 1 << 14
OWNER_ONLY = 0o600


def read_ed25519(path: Path) -> Ed25519PrivateKey:
    """The key in a PEM file; Failed(USAGE) when others can read it, or it is another thing."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            octets = file.read(MAX_KEY_FILE + 1)
    except OSError as error:
        raise Failed(USAGE, f"{path}: {reason(error)}") from None
    if not stat.S_ISREG(mode) or mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Failed(USAGE, f"{path}: others than its owner have access to this key; chmod 600 it")
    try:
        key = load_pem_private_key(octets, None)
    except TypeError:
        raise Failed(
            USAGE, f"{path}: the key is encrypted; give it in the clear, readable by its owner alone"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise Failed(USAGE, f"{path}: no private key in PEM form") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Failed(USAGE, f"{path}: not an Ed25519 key")
    return key


def write_ed25519(path: Path, key: Ed25519PrivateKey) -> None:
    """A new file for its owner alone; Failed(USAGE) when there is one already."""
    write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def write_new(path: Path, octets: bytes) -> None:
    """A file that was not there before, for its owner alone; Failed(USAGE)."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as file:
            file.write(octets)
    except OSError as error:
        raise Failed(USAGE, f"{path}: {reason(error)}") from None


def replace(path: Path, octets: bytes) -> None:
    """Put octets in the place of a file, whole or not at all; Failed(USAGE)."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    write_new(beside, octets)
    try:
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise Failed(USAGE, f"{path}: {reason(error)}") from None
