"""What was received, on disk: OUT/LIID/hi1.ber, hi2.ber and hi3.ber, appended as it came; its owner alone reads it."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import msgspec

from midcall.base.bounded import BoundedTable
from midcall.lemf.owners import Claim
from midcall.lemf.recalled import ToldGap

FILES = 4_096
"""Kept open, if the process may have four times as many; the descriptors of a sync are as many again."""
SYNCS = 4
"""Threads that sync at once: the journal of the disk writes what they wait for together."""
UNSYNCED = 64
"""Folders and files that were made, or had to be closed, since the last sync; behind that a deliverer waits for it."""
GATHERED = 1 << 22
"""Octets of all files that are written together: many of a call at once cost less than as many times a few."""
PIECES = 512
"""A system call takes 1 024 (IOV_MAX)."""
READ_OCTETS = 1 << 20
INTERFACES = ("hi3", "hi2", "hi1")
DELIVERERS = "deliverers.jsonl"
"""In the folder of a LIID: who has brought it first, of each operator."""
FINDINGS = "findings.jsonl"
_GAP = b'"rule":"gap"'
DEFAULT_LIMIT = 16 << 30
KEEP_FREE = 64 << 20
"""Octets left on the disk for everybody else."""
_CHECK_EVERY = 8 << 20
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
PREFIX = "liid-"


class _Said(msgspec.Struct, frozen=True):
    operator: str
    deliverer: str


class StoreError(Exception):
    """Nothing more can be stored; what is in the files is whole."""


def folder_name(liid: bytes) -> str:
    """Of any octets a name that is one folder's, and no other's: what is not plain is hexadecimal."""
    return PREFIX + "".join(chr(octet) if octet in _PLAIN else f"%{octet:02x}" for octet in liid)


def liid_of(name: str) -> bytes | None:
    """The LIID that a folder stands for; None: it is none of ours."""
    if not name.startswith(PREFIX) or not name.isascii():
        return None
    head, *escaped = name.removeprefix(PREFIX).encode().split(b"%")
    try:
        liid = head + b"".join(bytes.fromhex(each[:2].decode()) + each[2:] for each in escaped)
    except ValueError:
        return None
    return liid if folder_name(liid) == name else None


def _files() -> int:
    """How many may be open."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return FILES if most == resource.RLIM_INFINITY else max(min(FILES, most // 4), 1)


class _File:
    """One file that grows, when what gathers in ``pending`` is written; a write that is cut short is taken back."""

    __slots__ = ("descriptor", "new", "path", "pending", "place", "size")

    def __init__(self, path: Path, place: tuple[bytes, str]) -> None:
        self.path = path
        self.place = place
        self.new = not path.exists()
        self.descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.size = os.fstat(self.descriptor).st_size
        self.pending: list[bytes] = []

    def write(self) -> None:
        pieces, self.pending = self.pending, []
        if len(pieces) > PIECES:
            pieces = [b"".join(pieces)]
        octets = sum(map(len, pieces))
        try:
            written = os.writev(self.descriptor, pieces)
            rest = memoryview(b"".join(pieces) if written < octets else b"")[written:]
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError as error:
            os.ftruncate(self.descriptor, self.size)
            raise StoreError(f"{self.path.name}: {error.strerror}") from None
        self.size += octets


class Store:
    """Appends by LIID. Nothing here waits for the disk: what is to be written gathers until ``write``, what is to be
    synced before anything is acknowledged until ``take_dirty``."""

    def __init__(self, out: Path, limit: int = DEFAULT_LIMIT) -> None:
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.out = out
        self._limit = limit
        self._files: BoundedTable[tuple[bytes, str], _File] = BoundedTable("lemf.files", _files())
        self._dirty: dict[tuple[bytes, str], _File] = {}
        self._closing: list[int] = []
        self._entries: dict[Path, None] = {}
        self._folders: set[bytes] = set()  # bounded by the core, which has no more LIIDs than its table
        self.octets = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        self._unchecked = _CHECK_EVERY
        self._unwritten = 0

    def folder(self, liid: bytes) -> Path:
        path = self.out / folder_name(liid)
        if liid not in self._folders:
            path.mkdir(mode=0o700, exist_ok=True)
            self._entries[self.out] = None
            self._folders.add(liid)
        return path

    def append(self, liid: bytes, interface: str, octets: bytes) -> None:
        """StoreError: the disk, or the share of it that this receiver may use, is full."""
        self.spend(len(octets))
        place = (liid, interface)
        file = self._files.get(place)
        try:
            if file is None:
                file = self._open(place)
            else:
                self._files.touch(place)
        except OSError as error:
            raise StoreError(f"{error.filename or folder_name(liid)}: {error.strerror}") from None
        file.pending.append(octets)
        self._dirty[place] = file
        self._unwritten += len(octets)
        if self._unwritten >= GATHERED:
            self.write()

    def write(self) -> None:
        """Write what has gathered. StoreError."""
        self._unwritten = 0
        for file in self._dirty.values():
            if file.pending:
                file.write()

    def claim(self, claim: Claim) -> None:
        """Remember whose an interception is. StoreError."""
        line = msgspec.json.encode({"operator": claim.operator.hex(), "deliverer": claim.deliverer}) + b"\n"
        self.spend(len(line))
        path = self.folder(claim.liid) / DELIVERERS
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._closing.append(descriptor)
            os.write(descriptor, line)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from None
        self._entries[path.parent] = None

    def claims(self) -> Iterator[Claim]:
        """Those of an earlier run; a line that a crash has cut short is none."""
        for folder in sorted(self.out.iterdir()):
            liid = liid_of(folder.name) if folder.is_dir() else None
            if liid is None or not (folder / DELIVERERS).is_file():
                continue
            for line in (folder / DELIVERERS).read_bytes().splitlines():
                try:
                    said = msgspec.json.decode(line, type=_Said)
                    yield Claim(liid, bytes.fromhex(said.operator), said.deliverer)
                except (msgspec.MsgspecError, ValueError):
                    continue

    def told_gaps(self) -> Iterator[ToldGap]:
        """Those that an earlier run has told; a line that a crash has cut short is none."""
        path = self.out / FINDINGS
        if not path.exists():
            return
        with path.open("rb") as lines:
            for line in lines:
                if _GAP in line:
                    try:
                        yield msgspec.json.decode(line, type=ToldGap)
                    except msgspec.MsgspecError:
                        continue

    def _open(self, place: tuple[bytes, str]) -> _File:
        liid, interface = place
        file = _File(self.folder(liid) / f"{interface}.ber", place)
        if file.new:
            self._entries[file.path.parent] = None
        gone = self._files.put(place, file)
        if gone is not None and self._dirty.pop(gone.place, None) is not None:
            self._closing.append(gone.descriptor)
            gone.write()
        elif gone is not None:
            os.close(gone.descriptor)
        return file

    @property
    def crowded(self) -> bool:
        """Enough waits for the next sync."""
        return len(self._entries) + len(self._closing) >= UNSYNCED

    def spend(self, octets: int) -> None:
        """Count octets that are about to be written, of media too."""
        self.octets += octets
        self._unchecked += octets
        if self.octets > self._limit:
            raise StoreError(f"{self._limit >> 20} MB are used up (--limit-mb)")
        if self._unchecked >= _CHECK_EVERY:
            self._unchecked = 0
            disk = os.statvfs(self.out)
            if disk.f_bavail * disk.f_frsize < KEEP_FREE:
                raise StoreError(f"less than {KEEP_FREE >> 20} MB are free on the disk")

    def take_dirty(self) -> list[int]:
        """Descriptors for ``sync``, which closes them: they are copies, so that files may be closed meanwhile.

        StoreError: not everything could be written.
        """
        self.write()
        taken, self._closing = self._closing, []
        taken += [os.dup(file.descriptor) for file in self._dirty.values()]
        self._dirty.clear()
        taken += [os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for path in self._entries]
        self._entries.clear()
        return taken

    def existing(self) -> Iterator[tuple[bytes, str, Path]]:
        """What an earlier run has left."""
        for folder in sorted(self.out.iterdir()):
            liid = liid_of(folder.name) if folder.is_dir() else None
            for interface in INTERFACES if liid is not None else ():
                path = folder / f"{interface}.ber"
                if liid is not None and path.is_file():
                    yield liid, interface, path

    def close(self) -> None:
        try:
            sync(self.take_dirty())
        finally:
            for file in self._files.values():
                os.close(file.descriptor)


async def sync_together(descriptors: list[int]) -> None:
    """``sync`` in some threads at once, which a journal writes as one. StoreError: not all of it is durable."""
    parts = [descriptors[start::SYNCS] for start in range(min(SYNCS, len(descriptors)))]
    done = await asyncio.gather(*(asyncio.to_thread(sync, part) for part in parts), return_exceptions=True)
    for each in done:
        if isinstance(each, BaseException):
            raise each


def sync(descriptors: list[int]) -> None:
    """Make what was written durable; may run in another thread. StoreError: it is not."""
    failed = ""
    for descriptor in descriptors:
        try:
            os.fsync(descriptor)
        except OSError as error:
            failed = error.strerror or "fsync failed"
        finally:
            os.close(descriptor)
    if failed:
        raise StoreError(failed)


def chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while octets := file.read(READ_OCTETS):
            yield octets


def cut(path: Path, octets: int) -> None:
    """Take the last octets off: the beginning of a PS-PDU whose end was never written."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - octets)
        os.fsync(file.fileno())


def end_line(path: Path) -> None:
    """A line that a crash has cut short ends: what is appended begins another one."""
    if path.exists() and path.stat().st_size:
        with path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                file.write(b"\n")


def set_aside(path: Path) -> Path:
    """Rename a file that cannot be read on; a new one will begin."""
    for number in range(1, 1_000):
        other = path.with_name(f"{path.name}.damaged-{number}")
        if not other.exists():
            path.rename(other)
            return other
    raise StoreError(f"{path.name}: too many damaged files")
