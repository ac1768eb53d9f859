"""Opens the spool of a destination, and the keys that seal it, in a thread: media do not wait for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from midcall.base import owner_only
from midcall.base.link_report import LinkEvent
from midcall.base.seal import SealKey
from midcall.config import DfConfig
from midcall.handover import Lost
from midcall.handover.assembler import Sign
from midcall.handover.settings import SpoolSettings
from midcall.handover.shell.keys import KeyStore
from midcall.handover.shell.owed import Alarm, Unavailable
from midcall.handover.shell.retention import Destroyed
from midcall.handover.shell.spool import Spool

HOUR = 3_600.0
K = TypeVar("K", bound=Hashable)


class Opened(NamedTuple):
    """What of one destination under one pin is on the disks. A store of keys for each side: none waits for another."""

    keys: KeyStore
    sender_keys: KeyStore
    status_keys: KeyStore
    spool: Spool

    def close(self) -> None:
        self.spool.close()
        self.keys.close()
        self.sender_keys.close()
        self.status_keys.close()


class Disks(NamedTuple):
    """How each of them is opened."""

    config: DfConfig
    master: bytes
    sign: Sign | None
    told: Callable[[LinkEvent], None]
    alarm: Alarm | None
    lost: Callable[[Lost], None]
    destroyed: Destroyed | None

    def open(self, did: str, name: str, gap: Unavailable) -> Opened:
        """In any thread. OSError, sqlite3.Error."""
        config = self.config
        folder, keys = Path(config.spool) / name, Path(config.keys) / f"{name}.db"
        owner_only.make_folder(folder)
        owner_only.make_folder(keys.parent)
        settings = SpoolSettings(
            retain_seconds=config.retain_hours * HOUR, backlog_seconds=config.backlog_days * 24 * HOUR
        )
        with contextlib.ExitStack() as opened:
            stores: list[KeyStore] = []
            for _ in range(3):
                stores.append(KeyStore(keys, SealKey(self.master)))
                opened.callback(stores[-1].close)
            own, senders, status = stores
            spool = Spool(
                folder,
                did,
                own,
                (),
                gap,
                time.time_ns(),
                report=self.told,
                integrity=config.integrity,
                sign=self.sign,
                alarm=self.alarm,
                lost=self.lost,
                settings=settings,
                destroyed=self.destroyed,
            )
            opened.pop_all()
        return Opened(own, senders, status, spool)


class Opening(Generic[K]):
    """What is being opened, by key, until it is taken. From the loop's thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "opening")
        self._begun: dict[K, Future[Opened]] = {}

    async def begin(self, key: K, work: Callable[[], Opened]) -> None:
        """Open it, and wait for that. Why it could not be opened is raised by ``take``."""
        if key not in self._begun:
            self._begun[key] = self._thread.submit(work)
        await asyncio.wait([asyncio.wrap_future(self._begun[key])])

    def take(self, key: K, work: Callable[[], Opened]) -> Opened:
        """What was opened; else it is opened now."""
        begun = self._begun.pop(key, None)
        return work() if begun is None else begun.result()

    def close(self) -> None:
        """Close what nobody has taken."""
        self._thread.shutdown()
        for each in self._begun.values():
            if each.exception() is None:
                each.result().close()
        self._begun.clear()
