"""Structures of one form, one behind the other, read and written in columns: a call for many of them.

A tuple for each structure costs more than what is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, Final

_BLOCK: Final = 128
"""Structures of one call at most; 32 octets are kept for each of their fields."""
_FORMS: Final = 64


class Columns:
    """A form of ``struct`` that begins with its byte order."""

    def __init__(self, form: str) -> None:
        one = Struct(form)
        self._form = form
        self._size = one.size
        self._fields = len(one.unpack(bytes(one.size)))
        self._structs: dict[int, Struct] = {}

    def read(self, octets: bytes, at: int, count: int) -> list[list[Any]]:
        """The fields of ``count`` structures from ``at`` on, a column each."""
        flat: list[Any] = []
        for size in _blocks(count):
            flat += self._struct(size).unpack_from(octets, at)
            at += size * self._size
        return [flat[field :: self._fields] for field in range(self._fields)]

    def write(self, fields: Sequence[Any]) -> bytes:
        """Structures of the fields of all of them, one behind the other."""
        blocks, at = [], 0
        for size in _blocks(len(fields) // self._fields):
            end = at + size * self._fields
            blocks.append(self._struct(size).pack(*fields[at:end]))
            at = end
        return b"".join(blocks)

    def _struct(self, size: int) -> Struct:
        found = self._structs.get(size)
        if found is None:
            found = self._structs[size] = Struct(self._form[0] + self._form[1:] * size)
        return found


@lru_cache(4_096)
def _blocks(count: int) -> tuple[int, ...]:
    """Of so many structures, in sizes of which there are few, since what is made for each is kept: powers of two."""
    whole = (_BLOCK,) * (count // _BLOCK)
    return (*whole, *(1 << bit for bit in reversed(range(_BLOCK.bit_length() - 1)) if count >> bit & 1))


@lru_cache(_FORMS)
def columns(form: str) -> Columns:
    """Those of a form; what is kept of them is bounded."""
    return Columns(form)
