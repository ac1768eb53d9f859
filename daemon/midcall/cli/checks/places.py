"""Where a role writes: whether it can, room, and what must not lie together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, structs

from midcall.cli.checks.finding import Finding, good, mend, note
from midcall.config import DfConfig

FREE_OCTETS, FREE_SHARE = 1 << 30, 0.1
STATE, LOGS = Path("/var/lib/midcall"), Path("/var/log/midcall")
"""The units let role R write under R here and there, and make these folders; the second one of DF is for its keys."""
_FILES = ("store", "cache", "journal")
_FOLDERS = ("spool", "keys")
"""Keys of tables that name what a role makes itself."""


def findings(name: str, table: Struct, role: str, secrets: Path | None, lab: bool) -> Iterator[Finding]:
    """``secrets``: the folder of the role's secrets; None: they are encrypted to this host."""
    for field in structs.fields(table):
        held, key = getattr(table, field.name), f"{name}.{field.name}"
        if field.name in _FILES and isinstance(held, str):
            folder = Path(held).parent
            yield from writable(key, folder, role, lab)
            yield apart(key, folder, secrets, lab)
        elif isinstance(table, DfConfig) and field.name in _FOLDERS:
            yield from writable(key, _there(Path(held)) if lab else Path(held), role, lab)
    if isinstance(table, DfConfig):
        yield spool(f"{name}.spool", Path(table.spool), Path(table.keys))
        yield apart(f"{name}.keys", Path(table.keys), secrets, lab)


def log(name: str, sink: str, role: str, lab: bool) -> Iterator[Finding]:
    """The file of a log; none for an open descriptor."""
    if sink and not sink.startswith("fd:"):
        yield from writable(name, Path(sink).parent, role, lab)


def writable(name: str, folder: Path, role: str, lab: bool) -> Iterator[Finding]:
    """Whether the role can write there, and has room."""
    of_unit = _is_of_unit(folder, role)
    if not folder.exists():
        if of_unit:
            yield note(name, f"{folder}: not there yet", "its unit makes it at the first start")
        else:
            yield mend(name, f"{folder}: No such file or directory", "make it for the role's user alone")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield mend(name, f"{folder}: cannot be written by who asks", f"chown it to the role's user, midcall-{role}")
        return
    if not lab and not of_unit:
        advice = f"ReadWritePaths={folder} in a drop-in, or its unit keeps the role out"
        yield note(name, f"{folder}: is not {STATE}/{role} or {LOGS}/{role}", advice)
    yield room(name, folder)


def _is_of_unit(folder: Path, role: str) -> bool:
    own = STATE / role, LOGS / role, STATE / f"{role}-keys"
    return any(folder.is_relative_to(each) for each in own)


def _there(path: Path) -> Path:
    """The folder, or the first one above it that is there."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def room(name: str, folder: Path) -> Finding:
    use = shutil.disk_usage(folder)
    if use.free < FREE_OCTETS or use.free < FREE_SHARE * use.total:
        advice = f"give {folder} more room: 1 GB and a tenth of the disk have to be free"
        return mend(name, f"{use.free >> 20} MB free", advice)
    return good(name, "can be written, enough room")


def apart(name: str, folder: Path, secrets: Path | None, lab: bool) -> Finding:
    """Who takes a disk away must not have both halves."""
    if secrets is None:
        return good(name, "its keys are encrypted to this host")
    if _on_one_disk(folder, secrets):
        tell = note if lab else mend
        return tell(name, "on one disk with its keys", "keep keys elsewhere, or seal them to this host's TPM")
    return good(name, "on another disk than its keys")


def spool(name: str, folder: Path, keys: Path) -> Finding:
    """Its keys are wrapped: who takes one disk with both opens nothing, but a key that was destroyed may still be found
    beside what it sealed."""
    if _on_one_disk(folder, keys):
        return note(name, "on one disk with the keys that seal it", f"mount another one at {keys}")
    return good(name, "on another disk than the keys that seal it")


def _on_one_disk(one: Path, other: Path) -> bool:
    """Of folders that are not there yet: those that they will be made in."""
    return _there(one).stat().st_dev == _there(other).stat().st_dev
