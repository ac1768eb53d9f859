"""Where the product of a mediation function goes: for each destination of X1 a spool, its writer and its sender."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from imswire.x1 import DestinationDetails
from midcall.base.log import fault
from midcall.base.tls import PeerName, TlsError
from midcall.base.tls_end import TlsEnd
from midcall.base.x1_element import Refusal, place
from midcall.config import DfConfig
from midcall.events import Cc, EventRecord, Intercept
from midcall.handover import Lost
from midcall.handover.assembler import Sign
from midcall.handover.settings import LinkSettings
from midcall.handover.shell.channel import Peer
from midcall.handover.shell.owed import Alarm, Unavailable
from midcall.handover.shell.retention import Destroyed
from midcall.handover.shell.sender import Sender
from midcall.handover.shell.writer import Writer, Written
from midcall.live.commits import NotWritten
from midcall.live.link_book import LinkBook
from midcall.live.opening import Disks, Opened, Opening

CLOSING_SECONDS = 0.5
"""What waits may still be delivered when a role stops; the rest is in the spool, and goes out after its next start."""

log = logging.getLogger("midcall.li.handover")


_STREAM = itemgetter(1)
# Destination, and the digest of the one certificate that product may go to (empty: none is named).
_Key = tuple[str, str]


class OutletError(Exception):
    """A destination that product cannot be sent to, in words without its address."""


class Watch(Protocol):
    """Told, in the loop's thread, of what decides which octets a destination gets: of its commits, and from when on
    nothing more goes out under an LIID.
    """

    def written(self, outlet: str, commit: Written) -> None: ...

    def closed(self, liid: str) -> None: ...


class Outlet:
    """One destination under one pin: its spool, and the tasks that fill and empty it."""

    def __init__(
        self,
        did: str,
        name: str,
        config: DfConfig,
        opened: Opened,
        peer: Peer,
        book: LinkBook,
        watch: Watch | None,
        failed: Callable[[str], None],
    ) -> None:
        self.did = did
        self.name = name
        self._opened = opened
        self.keys, self.sender_keys, self.status_keys, self.spool = opened
        self.was_active = self.spool.active()
        """LIIDs of which HI1 told the agency that they are active, when this was opened."""
        self.writer = Writer(self.spool) if watch is None else Writer(self.spool, partial(watch.written, name))
        settings = LinkSettings(proof=config.delivery.proof, connections=config.delivery.connections)
        network = config.network
        self.sender = Sender(
            Path(config.spool) / name,
            did,
            self.sender_keys,
            peer,
            network.operator,
            network.element,
            settings=settings,
            report=book.told,
            lost=_lost,
            tails=self.spool.files.tails,
        )
        self._closing = False
        self._tasks = {asyncio.create_task(each.run()): each for each in (self.writer, self.sender)}
        for task in self._tasks:
            task.add_done_callback(partial(self._done, failed))

    def _done(self, failed: Callable[[str], None], task: asyncio.Task[None]) -> None:
        """Both go on until they are stopped: what ends one before is a fault that they could not deal with."""
        error = None if task.cancelled() else task.exception()
        if error is None and self._closing:
            return
        what = "it ended by itself" if error is None else fault(error)
        failed(f"{self.did}: {type(self._tasks[task]).__name__.lower()}: {what}")

    async def close(self) -> None:
        self._closing = True
        writing, sending = self._tasks
        self.writer.stop()
        await asyncio.wait([writing])
        self.sender.stop(CLOSING_SECONDS)
        await asyncio.wait([sending])
        self._opened.close()


class Outlets:
    """All destinations of one mediation function. Records go to the destination of their LIID.

    ``failed`` is told when one of them works no more: what waits for it goes out after a restart; ``destroyed`` of
    product whose time is over, in the thread of its writer.
    """

    def __init__(
        self,
        config: DfConfig,
        master: bytes,
        end: TlsEnd,
        gap: Callable[[str], Unavailable],
        sign: Sign | None = None,
        book: LinkBook | None = None,
        watch: Watch | None = None,
        alarm: Alarm | None = None,
        failed: Callable[[str], None] | None = None,
        destroyed: Destroyed | None = None,
    ) -> None:
        self._config = config
        self._agency = end
        self._gap = gap
        self._book = book or LinkBook()
        self._watch = watch
        self._failed = failed or log.error
        self._disks = Disks(config, master, sign, self._book.told, alarm, _lost, destroyed)
        self._opening: Opening[_Key] = Opening()
        self._outlets: dict[_Key, Outlet] = {}
        self._named: dict[str, Outlet] = {}
        self._of: dict[str, Outlet] = {}
        self._ordered: dict[str, Intercept] = {}

    def destination(self, details: DestinationDetails) -> None:
        """A destination as X1 gives it, or gives it anew; what waits for it from before goes out. OutletError."""
        did = details.did
        for path in sorted(Path(self._config.spool).glob(f"{did}*/")):
            name, _, pin = path.name.partition(".")
            if name == did and (did, pin) not in self._outlets:
                self._open((did, pin), details)
        for key, outlet in self._outlets.items():
            if key[0] == did:
                outlet.sender.move(self._peer(details, key[1]))

    async def prepare(self, details: DestinationDetails, pin: str | None) -> None:
        """What a destination needs on the disks is there, before something is ordered to go there."""
        key = details.did, pin or ""
        if key not in self._outlets:
            await self._opening.begin(key, partial(self._disks.open, details.did, _name(key), self._gap(details.did)))

    def order(self, intercept: Intercept, details: DestinationDetails, pin: str | None, about: bytes = b"") -> str:
        """An LIID that goes to a destination; returns the name of its outlet. ``about`` comes back with its gaps.
        OutletError.
        """
        key = details.did, pin or ""
        outlet = self._outlets.get(key) or self._open(key, details)
        outlet.spool.add(intercept, about)
        outlet.writer.ordered()
        self._of[intercept.liid] = outlet
        self._ordered[intercept.liid] = intercept
        return outlet.name

    def end(self, liid: str, given: Awaitable[object]) -> asyncio.Task[None]:
        """Nothing more comes under an LIID once what was ``given`` before is on its way: its closing integrity checks.

        What waits still goes out. An LIID that is ordered anew meanwhile goes on.
        """
        return asyncio.create_task(self._end(liid, self._of.get(liid), self._ordered.get(liid), given))

    async def _end(
        self, liid: str, outlet: Outlet | None, intercept: Intercept | None, given: Awaitable[object]
    ) -> None:
        with suppress(NotWritten):
            await given
        if outlet is None:
            return
        if self._ordered.get(liid) is intercept:
            del self._of[liid], self._ordered[liid]
            if self._watch is not None:
                self._watch.closed(liid)
        await outlet.writer.end(liid)
        if not self.goes_to(liid, outlet):
            outlet.spool.release(liid)

    async def close(self) -> None:
        """Write and send what there is, for a moment; the rest waits on the disk."""
        await asyncio.gather(*(outlet.close() for outlet in self._outlets.values()))
        self._opening.close()

    def all(self) -> list[tuple[str, Outlet]]:
        """By destination, also those to which nothing more comes."""
        return sorted(((did, outlet) for (did, _), outlet in self._outlets.items()), key=lambda each: each[0])

    def goes_to(self, liid: str, outlet: Outlet) -> bool:
        """Whether product of an LIID is ordered to go there."""
        return self._of.get(liid) is outlet

    def intercepts(self) -> Iterator[tuple[str, str, Outlet]]:
        """LIIDs that are ordered, each with its destination."""
        for liid, outlet in sorted(self._of.items()):
            yield liid, outlet.did, outlet

    # Records

    def iri(self, records: list[EventRecord], before: Callable[[], None] | None = None) -> asyncio.Future[list[None]]:
        """Done when all are on the disk. ``before`` is called in a thread, before any of them is written."""
        found: dict[Outlet, list[EventRecord]] = {}
        for record in records:
            outlet = self._named.get(record.outlet) if record.outlet else self._of.get(record.liid)
            if outlet is not None:
                found.setdefault(outlet, []).append(record)
        written: list[asyncio.Future[None]] = [outlet.writer.iri(some, before) for outlet, some in found.items()]
        if before is not None and not written:
            written.append(asyncio.get_running_loop().run_in_executor(None, before))
        return asyncio.gather(*written)

    def cc(self, records: Sequence[Cc]) -> asyncio.Future[list[bool]]:
        """Which of them are on the disk, by destination."""
        goes = {stream: self._of.get(stream.liid) for stream in set(map(_STREAM, records))}
        outlets = set(goes.values())
        found: dict[Outlet, Sequence[Cc]] = {}
        if len(outlets) == 1:  # as it is where there is one agency
            found = {outlet: records for outlet in outlets if outlet is not None}
        else:
            for outlet in outlets:
                if outlet is not None:
                    found[outlet] = [record for record in records if goes[record[1]] is outlet]
        return asyncio.gather(*(outlet.writer.cc(some) for outlet, some in found.items()))

    # Destinations

    def _open(self, key: _Key, details: DestinationDetails) -> Outlet:
        """What is under one pin stands apart, under a name that has it: it goes to no other certificate, ever."""
        did, pin = key
        name, peer = _name(key), self._peer(details, pin)
        opened = self._opening.take(key, partial(self._disks.open, did, name, self._gap(did)))
        outlet = Outlet(did, name, self._config, opened, peer, self._book, self._watch, self._failed)
        self._outlets[key] = self._named[name] = outlet
        return outlet

    def _peer(self, details: DestinationDetails, pin: str) -> Peer:
        try:
            host, port = place(details)
        except Refusal as refusal:
            raise OutletError(f"product does not go there: {refusal}") from None
        return Peer(host, port, self._agency, None, _Check(pin, host))


class _Check(Struct, frozen=True):
    """Who may be at the other end: the one certificate that the warrant names, or one of the destination's host.

    The same of the same is equal, so that a destination that is told anew is known to be where it was.
    """

    pin: str
    host: str

    def __call__(self, connection: ssl.SSLObject) -> object:
        names = PeerName() if self.pin else PeerName(self.host)
        shown = names.check(connection)
        octets = connection.getpeercert(binary_form=True) or b""
        if self.pin and hashlib.sha256(octets).hexdigest() != self.pin:
            raise TlsError("the certificate is not the one that the warrant names")
        return shown


def _name(key: _Key) -> str:
    did, pin = key
    return f"{did}.{pin}" if pin else did


def _lost(lost: Lost) -> None:
    log.error("%s: numbers %s to %s are lost: %s", lost.interface, lost.first, lost.last, lost.reason)
