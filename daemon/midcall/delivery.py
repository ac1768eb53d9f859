"""Delivery of a replay: its records go through a spool to an LEMF while the capture is read.

A shell. The spool is sealed under a key that lives in this process only: what is left of it at the end opens for
nobody.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
from pathlib import Path

from msgspec import Struct

from midcall.base.seal import SealKey
from midcall.config import ReplayConfig
from midcall.events import CcRecord, Intercept, IriRecord
from midcall.handover import Completeness, LinkEvent, Lost
from midcall.handover.assembler import Sign
from midcall.handover.settings import LinkSettings
from midcall.handover.shell.channel import Peer
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.keys import KeyStore
from midcall.handover.shell.sender import Sender
from midcall.handover.shell.spool import Spool, Unavailable
from midcall.handover.shell.status import backlog, completeness

POLL_SECONDS = 0.1
# What a sender may take to close its connection properly.
CLOSING_SECONDS = 5.0
FAULTS = 20


class Outcome(Struct, frozen=True):
    """What became of a delivery: the equation of each interface, and what went wrong."""

    completeness: list[Completeness]
    faults: list[str]

    @property
    def missing(self) -> int:
        """Records that did not arrive."""
        return sum(each.observed - each.delivered for each in self.completeness)


class Delivery:
    """The spool and sender of one intercept; use as a context manager.

    ``unavailable`` makes the contents of a gap record, ``peer`` is the LEMF. Records are on the disk when a
    method returns; the sender runs in a thread of its own.
    """

    def __init__(
        self,
        folder: Path,
        intercept: Intercept,
        config: ReplayConfig,
        unavailable: Unavailable,
        peer: Peer,
        sign: Sign | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=".spool-", dir=folder))
        self._intercept = intercept
        self._settings = LinkSettings(proof=config.delivery.proof, connections=config.delivery.connections)
        self._patience = config.delivery.give_up_seconds
        self._peer = peer
        self._master = SealKey.fresh()
        self._keys = self._key_store()
        now = time.time_ns()
        self._spool = Spool(
            self.folder / "queue",
            intercept.destination,
            self._keys,
            (intercept,),
            unavailable,
            now,
            integrity=config.integrity,
            sign=sign,
        )
        self._faults: dict[str, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sender: Sender | None = None
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._send, name="sender", daemon=True)

    def __enter__(self) -> Delivery:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop(0.0)
        self._spool.close()
        self._keys.close()
        self._master.wipe()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Records

    def iri(self, records: list[IriRecord], now: int) -> None:
        if not self._spool.write_iri(records, now):
            self._fault(f"{len(records)} events were lost: no room on the disk")

    def cc(self, records: list[CcRecord], now: int) -> None:
        if not self._spool.write_cc(records, now):
            self._fault("content was refused: no room on the disk")

    def next_deadline(self) -> int | None:
        return self._spool.next_deadline()

    def deadline(self, now: int) -> None:
        due = self._spool.next_deadline()
        if due is not None and due <= now:
            self._spool.write_iri([], now)
            self._spool.write_cc([], now)

    def end(self, liid: str, now: int) -> None:
        self._spool.end(liid, now)

    # The end

    def finish(self) -> Outcome:
        """Wait until all is delivered, or until nothing has moved for the configured time."""
        waiting, moved, seconds = None, time.monotonic(), 0.0
        while self._failed is None and self._thread.is_alive():
            left = sum(each.pdus for each in backlog(Folder(self.folder / "queue")).values())
            if left == 0:
                seconds = CLOSING_SECONDS
                break
            if left != waiting:
                waiting, moved = left, time.monotonic()
            elif time.monotonic() - moved >= self._patience:
                self._fault(f"nothing was delivered for {self._patience} s")
                break
            time.sleep(POLL_SECONDS)
        self._stop(seconds)
        if self._failed is not None:
            self._fault(f"the sender failed: {type(self._failed).__name__}")
        found = completeness(Folder(self.folder / "queue"), self._keys, self._intercept.liid)
        return Outcome(found, list(self._faults))

    # The sender's thread

    def _send(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - told by finish()
            self._failed = error
        finally:
            self._ready.set()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        keys = self._key_store()
        self._sender = Sender(
            self.folder / "queue",
            self._intercept.destination,
            keys,
            self._peer,
            self._intercept.operator,
            self._intercept.element,
            settings=self._settings,
            report=self._told,
            lost=self._lost,
        )
        self._ready.set()
        try:
            await self._sender.run()
        finally:
            keys.close()

    def _stop(self, seconds: float) -> None:
        self._stopping = True
        loop, sender = self._loop, self._sender
        if loop is not None and sender is not None and self._thread.is_alive():
            loop.call_soon_threadsafe(sender.stop, seconds)
        if self._thread.ident is not None:
            self._thread.join()

    def _key_store(self) -> KeyStore:
        return KeyStore(self.folder / "keys.db", self._master, (self._intercept.liid,))

    def _told(self, event: LinkEvent) -> None:
        if event.state in ("fault", "down") and not self._stopping:
            self._fault(f"link {event.state}: {event.reason}")

    def _lost(self, lost: Lost) -> None:
        self._fault(f"{lost.interface}: numbers {lost.first} to {lost.last} are lost: {lost.reason}")

    def _fault(self, text: str) -> None:
        if len(self._faults) < FAULTS:
            self._faults.setdefault(text)
