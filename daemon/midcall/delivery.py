"""Delivery of a replay: its records go through a spool to an LEMF while the capture is read.

A shell. The spool is sealed under a key that lives in this process only: what is left of it at the end opens for
nobody.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from msgspec import Struct

from midcall.base.link_report import LinkEvent
from midcall.base.passing_folder import PassingFolder, clear
from midcall.base.seal import SealKey
from midcall.base.sqlite import is_writing
from midcall.config import ReplayConfig
from midcall.events import CcRecord, EventRecord, Intercept
from midcall.handover import Completeness, Lost
from midcall.handover.assembler import Sign
from midcall.handover.settings import LinkSettings, SpoolSettings
from midcall.handover.shell.channel import Peer
from midcall.handover.shell.cursor import Cursor
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.keys import KeysFail, KeyStore
from midcall.handover.shell.owed import Alarm, Unavailable
from midcall.handover.shell.sender import Sender
from midcall.handover.shell.spool import Spool
from midcall.handover.shell.status import backlog, completeness

POLL_SECONDS = 0.1
# What a sender may take to close its connection properly.
CLOSING_SECONDS = 5.0
FAULTS = 20
PREFIX = ".spool-"
# Below this the disk of the results is left to them, where the one for temporary files has more.
ROOM_OCTETS = 32 << 20
# What of the free room is kept for events at most.
RESERVE_SHARE = 8
# And how much a file of content takes at most: delivered ones go whole, and make room for what waits.
SEGMENT_SHARE = 16
# Content that waits for room comes in pieces that a small disk has room for.
PIECE_RECORDS = 256
_DISK = (sqlite3.Error, OSError)


class Outcome(Struct, frozen=True):
    """What became of a delivery: the equation of each interface, and what went wrong.

    ``lost``: records that not even the spool has; the equation does not have them either.
    """

    completeness: list[Completeness]
    faults: list[str]
    lost: int = 0

    @property
    def missing(self) -> int:
        """Records that did not arrive."""
        return self.lost + sum(each.observed - each.delivered for each in self.completeness)


class Delivery:
    """The spool and sender of one intercept; use as a context manager.

    ``unavailable`` makes the contents of a gap record, ``alarm`` what HI1 tells of gaps, ``peer`` is the LEMF. Records
    are on the disk when a method returns; the sender runs in a thread of its own. What waits stands in ``folder``, or
    among the system's temporary files when there is next to no room. OSError: there is none at all.
    """

    def __init__(
        self,
        folder: Path,
        intercept: Intercept,
        config: ReplayConfig,
        unavailable: Unavailable,
        peer: Peer,
        sign: Sign | None = None,
        alarm: Alarm | None = None,
    ) -> None:
        self._intercept = intercept
        self._config = config
        self._unavailable = unavailable
        self._alarm = alarm
        self._sign = sign
        self._settings = LinkSettings(proof=config.delivery.proof, connections=config.delivery.connections)
        self._patience = config.delivery.give_up_seconds
        self._peer = peer
        self._master = SealKey.fresh()
        self._faults: dict[str, None] = {}
        self._lost_records = 0
        self._waited = False
        self._moved = 0, 0
        self._now = time.time_ns()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sender: Sender | None = None
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._send, name="sender", daemon=True)
        self._close = ExitStack()
        self._open(folder)

    # The folder of what waits

    def _open(self, folder: Path) -> None:
        """Everything that needs room before the first record, in the first place that has it."""
        places = _places(folder)
        for place in places:
            with suppress(OSError):
                clear(place, PREFIX)
        for place in places:
            try:
                with ExitStack() as opening:
                    self._open_in(place, opening)
                    self._close = opening.pop_all()
                return
            except _DISK as error:
                if not _is_room(error):
                    raise
        raise OSError(errno.ENOSPC, "no room for what waits to be delivered; free some, or set TMPDIR", str(folder))

    def _open_in(self, place: Path, opening: ExitStack) -> None:
        own = PassingFolder(place, PREFIX)
        opening.callback(own.remove)
        self.folder = own.path
        self._keys = self._key_store()
        opening.callback(self._keys.close)
        self._keys.handle(self._intercept.liid)
        free = Folder(self.folder).free()
        self._spool = Spool(
            self.folder / "queue",
            self._intercept.destination,
            self._keys,
            (self._intercept,),
            self._unavailable,
            self._now,
            settings=SpoolSettings(
                reserve_octets=min(SpoolSettings().reserve_octets, free // RESERVE_SHARE),
                segment_octets=min(SpoolSettings().segment_octets, free // SEGMENT_SHARE),
                last_octets=0,  # it does not outlive this process
            ),
            integrity=self._config.integrity,
            sign=self._sign,
            alarm=self._alarm,
            lost=self._lost,
        )
        opening.callback(self._spool.close)
        # It takes all its room now, while there is some.
        Cursor(self._spool.folder.cursor).close()

    def __enter__(self) -> Delivery:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        with self._close:
            self._stop(0.0)
            self._master.wipe()

    # Records

    def iri(self, records: Sequence[EventRecord], now: int) -> None:
        self._now = now
        left = records

        def write() -> bool:
            nonlocal left
            left, why = self._spool.take_iri(left, now)
            return not why

        if not self._written(write):
            self._lost_records += len(left)
            self._fault(f"{len(left)} events were lost: no room on the disk")

    def cc(self, records: list[CcRecord], now: int) -> None:
        self._now = now
        if self._tried(records, now):
            return
        for at in range(0, len(records), PIECE_RECORDS):
            piece = records[at : at + PIECE_RECORDS]
            if not self._written(partial(self._tried, piece, now)):
                self._shed(piece, now)

    def _tried(self, records: list[CcRecord], now: int) -> bool:
        try:
            return self._spool.try_cc(records, now)
        except _DISK:
            return False  # a spool that is damaged is mended by who sheds

    def _shed(self, records: list[CcRecord], now: int) -> None:
        """The LEMF does not take anything either: then content goes, the oldest first."""
        try:
            if not self._spool.write_cc(records, now):
                self._fault("content was refused: no room on the disk")
        except _DISK as error:
            self._lost_records += len(records)
            self._fault(f"content was lost: {error}")

    def next_deadline(self) -> int | None:
        return self._spool.next_deadline()

    def deadline(self, now: int) -> None:
        due = self._spool.next_deadline()
        if due is not None and due <= now:
            self.iri([], now)
            self.cc([], now)

    def end(self, liid: str, now: int) -> None:
        self._now = now
        if not self._written(lambda: self._spool.end(liid, now)):
            self._fault("the last integrity checks were not made: no room on the disk")

    def _written(self, write: Callable[[], bool]) -> bool:
        """Records wait for room, which comes as the sender delivers; once that was in vain they wait no more, unless it
        has delivered since.
        """
        until = time.monotonic() + (0 if self._waited else self._patience)
        while True:
            if (settled := self._settled()) != self._moved:
                self._moved, self._waited = settled, False
                until = time.monotonic() + self._patience
            try:
                if write():
                    return True
            except _DISK as error:
                self._fault(f"the spool cannot be written: {error}")
            if time.monotonic() >= until or self._failed is not None:
                self._waited = True
                return False
            time.sleep(POLL_SECONDS)

    def _settled(self) -> tuple[int, int]:
        """What the sender is done with."""
        return self._spool.passed("hi2"), self._spool.passed("hi3")

    # The end

    def finish(self) -> Outcome:
        """Wait until all is delivered, or until nothing has moved for the configured time."""
        waiting, moved, seconds = -1, time.monotonic(), 0.0
        while self._failed is None and self._thread.is_alive():
            left = self._left()
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
            self._fault(f"the sender failed: {type(self._failed).__name__}: {self._failed}")
        queue = Folder(self.folder / "queue")
        with suppress(OSError):
            # Nothing is written any more, but what reads the databases may need room beside them.
            queue.reserve.unlink()
        try:
            found = completeness(queue, self._keys, self._intercept.liid)
        except sqlite3.Error as error:
            found = []
            self._fault(f"what became of the records is not known: {error}")
        return Outcome(found, list(self._faults), self._lost_records)

    def _left(self) -> int:
        """PDUs that wait, and gaps that are not declared yet; these are tried again here."""
        owed = 0
        with suppress(*_DISK):
            if self._spool.owes:
                self._spool.write_iri([], self._now)
                owed = int(self._spool.owes)
        with suppress(sqlite3.Error):
            return owed + sum(each.pdus for each in backlog(Folder(self.folder / "queue")).values())
        return 1  # not known: as if something waited

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


def _places(folder: Path) -> list[Path]:
    """Where what waits may stand, the better place first."""
    other = Path(tempfile.gettempdir())
    few = _free(folder) < ROOM_OCTETS and _free(other) > _free(folder)
    return [other, folder] if few else [folder, other]


def _free(folder: Path) -> int:
    try:
        return Folder(folder).free()
    except OSError:
        return 0


def _is_room(error: Exception) -> bool:
    """Another disk may help."""
    cause = error.__cause__ if isinstance(error, KeysFail) else error
    if isinstance(cause, sqlite3.Error):
        return is_writing(cause)
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
