"""Looks into other processes, as their memory is now."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path


def pieces(pid: int) -> Iterator[bytes]:
    """All that a process can read of its own memory, mapping by mapping."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        where, rights, *_ = line.split()
        if "r" not in rights or "[v" in line:
            continue
        low, high = (int(each, 16) for each in where.split("-"))
        with contextlib.suppress(OSError), Path(f"/proc/{pid}/mem").open("rb", 0) as file:
            file.seek(low)
            yield file.read(high - low)


def found(pid: int, forms: Iterable[bytes]) -> int:
    """How often any of these octet strings stands there."""
    wanted = set(forms)
    return sum(piece.count(each) for piece in pieces(pid) for each in wanted)


def base64_forms(octets: bytes) -> set[bytes]:
    """What stands in base64 of anything that has these octets in it, wherever they begin."""
    forms = set()
    for before in range(3):
        coded = base64.b64encode(b"x" * before + octets).rstrip(b"=")
        forms.add(coded[(before * 8 + 5) // 6 : -2])
    return forms
