"""How long certificates, authorities and revocation lists of a configuration are still good (TS 33.310 9.4).

A door whose papers have run out refuses everybody: it is to be known long before. Told once a day from 30 days on,
each hour from the last day on, to the plane that the role's log belongs to.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from midcall.base.tls import TlsError, certificates, revocation_lists

LOOK_SECONDS = 3_600.0
SOON = datetime.timedelta(days=30)
_DAY = datetime.timedelta(days=1)
_NOW = datetime.timedelta(0)
_KINDS = ("certificate", "ca", "crl")


def files(table: Struct, key: str) -> Iterator[tuple[str, Path]]:
    """Keys of a configuration's table, and of the tables in it, that name such files."""
    for name in table.__struct_fields__:
        held = getattr(table, name)
        if isinstance(held, Struct):
            yield from files(held, f"{key}.{name}")
        elif isinstance(held, tuple | list):
            for each in held:
                if isinstance(each, Struct):
                    yield from files(each, f"{key}.{name}")
        elif name in _KINDS and isinstance(held, str) and held:
            yield f"{key}.{name}", Path(held)


def ends(path: Path) -> datetime.datetime | None:
    """When the first thing in a file runs out; None: nothing in it says so, or it cannot be read."""
    with suppress(TlsError):
        return min(filter(None, [each.next_update_utc for each in revocation_lists(path)]), default=None)
    with suppress(TlsError):
        return min(each.not_valid_after_utc for each in certificates(path))
    return None


class Expiry:
    """``seconds_left``: until the first of all files runs out, below zero behind it; infinite where none does."""

    def __init__(self, now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)) -> None:
        self._now = now
        self._files: dict[str, tuple[Path, logging.Logger]] = {}
        self._told: dict[str, datetime.datetime] = {}
        self._ends: dict[str, datetime.datetime] = {}

    def take(self, role: str, table: Struct, log: logging.Logger) -> None:
        """The files of a role's table, or of the table that it has now."""
        for key in [each for each in self._files if each.partition(".")[0] == role]:
            del self._files[key]
        self._files |= {key: (path, log) for key, path in files(table, role)}
        self.look()

    def look(self) -> None:
        """Read all of them, and tell what runs out."""
        now = self._now()
        found = {key: ends(path) for key, (path, _) in self._files.items()}
        self._ends = {key: end for key, end in found.items() if end is not None}
        for key, end in self._ends.items():
            path, log = self._files[key]
            left = end - now
            pause = _DAY if left > _DAY else datetime.timedelta(seconds=LOOK_SECONDS)
            told = self._told.get(key)
            if left > SOON:
                self._told.pop(key, None)
            elif told is None or now - told >= pause:
                self._told[key] = now
                level = logging.WARNING if left > _DAY else logging.ERROR
                what = "runs out" if left > _NOW else "has run out"
                log.log(level, "%s: %s %s: %s UTC", key, path, what, f"{end:%Y-%m-%d %H:%M}")

    def seconds_left(self) -> float:
        now = self._now()
        return min(((end - now).total_seconds() for end in self._ends.values()), default=float("inf"))

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()
