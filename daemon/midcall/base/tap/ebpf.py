"""The bpf system call: hash maps, and loading of socket filters (bpf(2))."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Iterator
from struct import Struct

from midcall.base.tap.assembler import INSTRUCTION_OCTETS
from midcall.base.tap.errors import MapFull, NotPermitted, ProgramRefused, TapError

_SYSTEM_CALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
_MAP_CREATE, _LOOKUP, _UPDATE, _DELETE, _NEXT_KEY, _PROGRAM_LOAD = range(6)
_LOOKUP_AND_DELETE = 21
_HASH = 1
_SOCKET_FILTER = 1
_ANY, _NO_EXIST = 0, 1
_LOG_OCTETS = 1 << 18
_LICENSE = b"Apache-2.0"
"""No helper that the filters call asks for another one."""

_CREATE = Struct("=7I16s").pack
_ELEMENT = Struct("=I4xQQQ").pack
_LOAD = Struct("=IIQQIIQII16s").pack

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _bpf(command: int, attributes: bytes) -> int:
    """The result of the call. OSError as the kernel has it."""
    number = _SYSTEM_CALL.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"the number of the bpf call on {platform.machine()} is not known here")
    block = ctypes.create_string_buffer(attributes, len(attributes))
    result: int = _libc.syscall(number, command, block, len(attributes))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _refused(what: str, why: OSError) -> TapError:
    if why.errno == errno.EPERM:
        return NotPermitted(what, "CAP_BPF (before Linux 5.8 CAP_SYS_ADMIN; before 5.11 also RLIMIT_MEMLOCK)")
    if why.errno == errno.ENOSYS:
        return NotPermitted(what, "the bpf system call (CONFIG_BPF_SYSCALL of the kernel)")
    return TapError(f"{what}: {why.strerror}")


class HashMap:
    """A map in the kernel, keys and values of fixed size; owns its descriptor. For one thread at a time."""

    def __init__(self, descriptor: int, key_octets: int, value_octets: int) -> None:
        self._descriptor = descriptor
        self._key = ctypes.create_string_buffer(key_octets)
        self._value = ctypes.create_string_buffer(value_octets)
        self._sizes = key_octets, value_octets
        key, value = ctypes.addressof(self._key), ctypes.addressof(self._value)
        self._put = _ELEMENT(descriptor, key, value, _ANY)
        self._add = _ELEMENT(descriptor, key, value, _NO_EXIST)
        self._delete = _ELEMENT(descriptor, key, 0, 0)

    @classmethod
    def create(cls, key_octets: int, value_octets: int, entries: int, name: str = "") -> HashMap:
        """A new map with room for ``entries``. NotPermitted, TapError."""
        attributes = _CREATE(_HASH, key_octets, value_octets, entries, 0, 0, 0, name.encode("ascii"))
        try:
            return cls(_bpf(_MAP_CREATE, attributes), key_octets, value_octets)
        except OSError as why:
            raise _refused("making a map in the kernel", why) from None

    def fileno(self) -> int:
        return self._descriptor

    def add(self, key: bytes, value: bytes) -> bool:
        """A new entry; False: there is one, and it stays as it is. MapFull."""
        try:
            self._update(self._add, key, value)
        except FileExistsError:
            return False
        return True

    def put(self, key: bytes, value: bytes) -> None:
        """An entry, new or in the place of another. MapFull."""
        self._update(self._put, key, value)

    def get(self, key: bytes) -> bytes | None:
        return self._value.raw if self._found(_LOOKUP, self._put, key) else None

    def pop(self, key: bytes) -> bytes | None:
        """The value of an entry that is deleted in the same moment (Linux 5.14), so that nothing is added to it."""
        return self._value.raw if self._found(_LOOKUP_AND_DELETE, self._put, key) else None

    def delete(self, key: bytes) -> bool:
        return self._found(_DELETE, self._delete, key)

    def __iter__(self) -> Iterator[bytes]:
        """The keys. An entry that is deleted during it begins the iteration anew."""
        following = ctypes.create_string_buffer(self._sizes[0])
        key: ctypes.Array[ctypes.c_char] | None = None
        while True:
            at = 0 if key is None else ctypes.addressof(key)
            try:
                _bpf(_NEXT_KEY, _ELEMENT(self._descriptor, at, ctypes.addressof(following), 0))
            except FileNotFoundError:
                return
            yield following.raw
            key, following = following, ctypes.create_string_buffer(self._sizes[0])

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        for key in self:
            value = self.get(key)
            if value is not None:
                yield key, value

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _update(self, attributes: bytes, key: bytes, value: bytes) -> None:
        self._load_key(key)
        if len(value) != self._sizes[1]:
            raise ValueError(f"a value of this map has {self._sizes[1]} octets, not {len(value)}")
        self._value.raw = value
        try:
            _bpf(_UPDATE, attributes)
        except OSError as why:
            if why.errno in (errno.E2BIG, errno.ENOMEM):
                raise MapFull("the map in the kernel is full") from None
            raise

    def _found(self, command: int, attributes: bytes, key: bytes) -> bool:
        self._load_key(key)
        try:
            _bpf(command, attributes)
        except FileNotFoundError:
            return False
        return True

    def _load_key(self, key: bytes) -> None:
        if self._descriptor < 0:
            raise TapError("the map was closed")
        if len(key) != self._sizes[0]:
            raise ValueError(f"a key of this map has {self._sizes[0]} octets, not {len(key)}")
        self._key.raw = key


def load_socket_filter(program: bytes, name: str = "") -> int:
    """The descriptor of a verified filter for SO_ATTACH_BPF. NotPermitted, ProgramRefused."""
    instructions = ctypes.create_string_buffer(program, len(program))
    license_text = ctypes.create_string_buffer(_LICENSE)
    log = ctypes.create_string_buffer(_LOG_OCTETS)

    def load(level: int) -> int:
        size, buffer = (len(log), ctypes.addressof(log)) if level else (0, 0)
        count = len(program) // INSTRUCTION_OCTETS
        first, text = ctypes.addressof(instructions), ctypes.addressof(license_text)
        return _bpf(
            _PROGRAM_LOAD,
            _LOAD(_SOCKET_FILTER, count, first, text, level, size, buffer, 0, 0, name.encode("ascii")),
        )

    try:
        return load(0)
    except OSError as why:
        if why.errno in (errno.EPERM, errno.ENOSYS):
            raise _refused("loading a filter program", why) from None
    try:  # once more, for what the verifier has to say
        return load(1)
    except OSError as why:
        raise ProgramRefused(str(why.strerror), log.value.decode("ascii", "replace")) from None
