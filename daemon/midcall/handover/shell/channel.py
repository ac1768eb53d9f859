"""One connection to a LEMF, for one interface or both: it sends what the spool has, and settles what is proved."""

from __future__ import annotations

import asyncio
import fcntl
import random
import sqlite3
import sys
import termios
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from msgspec import Struct

from imswire import hi
from imswire.errors import WireError
from midcall.base.link_report import LinkReport
from midcall.base.tls_end import Check, TlsEnd
from midcall.handover.link import Link, LinkLost, TriNumbers
from midcall.handover.settings import LinkSettings
from midcall.handover.shell.cursor import Cursor
from midcall.handover.shell.reader import Counts, Item, Reader
from midcall.handover.values import Interface

_NS = 1_000_000_000
READ_OCTETS = 256 << 10
WRITE_BUFFER = 512 << 10
SHUTDOWN_SECONDS = 2.0
# How long the farewell of the LEMF is waited for; all is delivered by then, or goes out again.
CLOSE_SECONDS = 0.3
# The cursor is written after so long at the latest; a crash sends so much once more.
SETTLE_SECONDS = 0.5
# How long TCP's confirmation is waited for before it is looked at again, where it is all the proof there is.
LOOK_SECONDS = 0.05
_PRUNE = 16_384


class Peer(NamedTuple):
    """Where a LEMF listens; ``check`` looks at who is there after the handshake (it raises to refuse)."""

    host: str
    port: int
    end: TlsEnd
    server_hostname: str | None = None
    check: Check | None = None


class Counters(Struct):
    """What a link has done since the start of the process."""

    connections: int = 0
    broken: int = 0  # connections that ended for another reason than that all was delivered
    pdus: int = 0
    octets: int = 0
    resent: int = 0  # PDUs sent again after a connection was lost
    released: int = 0
    garbage: int = 0  # connections dropped for what the LEMF sent
    strays: int = 0
    unasked: int = 0


class Channel:
    """A connection that is opened again and again until it is stopped."""

    def __init__(
        self,
        peer: Peer,
        readers: dict[Interface, Reader],
        cursor: Cursor,
        settings: LinkSettings,
        cid: hi.CommunicationId,
        report: LinkReport,
    ) -> None:
        self.counters = Counters()
        self.report = report
        self.link: Link | None = None
        self._peer = self._at = peer
        self.readers = readers
        self._cursor = cursor
        self._settings = settings
        self._cid = cid
        self._numbers = TriNumbers()
        self._flag = "answered " + "+".join(readers)
        self._wake = asyncio.Event()
        self._stop_at: float | None = None
        self._under_way: deque[tuple[Interface, Item, int]] = deque()
        self._octets = 0  # under way
        self._settled = 0  # mark of the last item that is done with
        self._done: list[tuple[Interface, Item]] = []
        self._settle_at = 0.0
        self._settling: asyncio.Future[None] | None = None
        self._sent_rows: dict[Interface, int] = {}
        self._empty = False
        self._proved = False
        self._heard = False
        self._cursor_failed = False

    def wake(self) -> None:
        """There are new rows."""
        self._wake.set()

    def move(self, peer: Peer) -> None:
        """The destination is elsewhere from now on: a connection to where it was ends. Where it is already it stays."""
        if peer == self._peer:
            return
        self._peer = peer
        self._wake.set()

    def stop(self, deadline: float) -> None:
        """End when everything is delivered, or at ``deadline`` (of the loop's clock)."""
        self._stop_at = deadline
        self._wake.set()

    async def run(self) -> None:
        pause = 0.0
        loop = asyncio.get_running_loop()
        while not self._stopped():
            begun = loop.time()
            reason = await self._guarded()
            if self._stop_at is not None and (self._empty or reason is None):
                break
            now = time.time_ns()
            self.report.down(reason or "closed", now)
            if self._moved or self._proved or (self._heard and loop.time() - begun > self._settings.retry_first):
                pause = 0.0  # open again at once (6.3.2)
                continue
            self.report.failed(reason or "closed", now)
            pause = min(max(2 * pause, self._settings.retry_first), self._settings.retry_most)
            await self._rest(pause * random.uniform(0.5, 1.0))  # noqa: S311 (spreads load, guards nothing)
        await self._settle_all()
        self.report.down("stopped", time.time_ns())

    def _stopped(self) -> bool:
        return self._stop_at is not None and asyncio.get_running_loop().time() >= self._stop_at

    @property
    def _moved(self) -> bool:
        """Whether the destination is elsewhere than the connection, or the last attempt, went."""
        return self._at is not self._peer

    async def _rest(self, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        while (left := until - asyncio.get_running_loop().time()) > 0 and not (self._stopped() or self._moved):
            self._wake.clear()
            if self._stop_at is not None:
                left = min(left, self._stop_at - asyncio.get_running_loop().time())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(left, 0))

    # One connection

    async def _guarded(self) -> str | None:
        """A connection; whatever goes wrong in it ends it alone, and the next one is opened."""
        try:
            return await self._connection()
        except Exception as error:  # noqa: BLE001 - the sender has other connections, and this one has others after it
            return f"the connection failed: {type(error).__name__}: {error}"

    async def _connection(self) -> str | None:
        """Connect, deliver, until the connection is lost (why) or all is done (None)."""
        self._proved = self._heard = False
        await self._settle_all()
        self._rewind()
        self._at = self._peer
        try:
            async with asyncio.timeout(self._settings.connect_seconds):
                receive, send = await asyncio.open_connection(
                    self._peer.host,
                    self._peer.port,
                    ssl=self._peer.end.context,
                    server_hostname=self._peer.server_hostname,
                    ssl_handshake_timeout=self._settings.connect_seconds,
                    ssl_shutdown_timeout=SHUTDOWN_SECONDS,
                )
        except (OSError, TimeoutError, ValueError) as error:
            return f"cannot connect: {_text(error)}"
        reason: str | None = "cancelled"
        try:
            reason = await self._conversation(receive, send)
        finally:
            try:
                self._ended(reason)
            finally:
                await _close(send, reason is None and self._empty)
        return reason

    async def _conversation(self, receive: asyncio.StreamReader, send: asyncio.StreamWriter) -> str | None:
        """Why an open connection has ended; None: all is done."""
        try:
            self._peer.end.admit(send.transport, self._peer.check)
        except Exception as error:  # noqa: BLE001 - whatever the check raises, it refuses
            return f"refused: {_text(error)}"
        try:
            await self._session(receive, send)
        except LinkLost as lost:
            return str(lost)
        except WireError as error:
            self.counters.garbage += 1
            return f"the LEMF sends no PS-PDUs: {error}"
        except (OSError, EOFError, TimeoutError) as error:
            return f"connection lost: {_text(error)}"
        return None

    def _ended(self, reason: str | None) -> None:
        self._release()
        if reason is not None:
            self.counters.broken += 1
        if self.link is not None:
            self.counters.strays += self.link.strays
            self.counters.unasked += self.link.unasked
            self.link = None

    def _rewind(self) -> None:
        self._under_way.clear()
        self._octets = 0
        self._empty = False
        for reader in self.readers.values():
            reader.rewind()

    async def _session(self, receive: asyncio.StreamReader, send: asyncio.StreamWriter) -> None:
        self.counters.connections += 1
        self.report.up(time.time_ns())
        send.transport.set_write_buffer_limits(WRITE_BUFFER)
        self.link = Link(self._settings, self._cid, self._numbers, self._cursor.flag(self._flag) > 0)
        self._settled = 0
        send.write(self.link.start(time.monotonic_ns(), time.time_ns()))
        listening = asyncio.create_task(self._listen(receive, send, self.link))
        listening.add_done_callback(lambda _: self._wake.set())
        try:
            await self._send(send, self.link, listening)
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await listening

    async def _listen(self, receive: asyncio.StreamReader, send: asyncio.StreamWriter, link: Link) -> None:
        splitter = hi.Splitter(self._settings.answer_octets)
        while data := await receive.read(1 << 16):
            pdus = splitter.feed(data)
            while pdus:
                for octets in pdus:
                    answer = link.received(hi.parse(octets), time.monotonic_ns(), time.time_ns())
                    if answer:
                        send.write(answer)
                pdus = splitter.feed(b"")
            self._wake.set()
        raise EOFError("closed by the LEMF")

    async def _send(self, send: asyncio.StreamWriter, link: Link, listening: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if listening.done():
                await listening
            if self._moved:
                raise LinkLost("the destination is elsewhere now")
            self._wake.clear()
            now, wall = time.monotonic_ns(), time.time_ns()
            link.tick(now, _acked(send))
            if link.late:
                self.report.failed("the LEMF does not answer", wall)
            self._release()
            sent = self._write(send, link)
            # Nothing more goes before an answer when the window is full, and at the end.
            waits = self._octets >= link.window or (not sent and self._stop_at is not None)
            send.write(link.urge(now, wall) if waits else link.ask(now, wall))
            self._empty = not sent and not self._under_way and self._octets == 0
            if self._stop_at is not None and (self._empty or loop.time() >= self._stop_at):
                return
            if sent:
                await self._drain(send, link)
            else:
                await self._wait(link)

    def _write(self, send: asyncio.StreamWriter, link: Link) -> bool:
        """Write the next rows, events first; False when there are none or enough is under way."""
        if self._octets >= link.window:
            return False
        sent = False
        for interface, reader in self.readers.items():
            items = reader.read(min(READ_OCTETS, max(link.window - self._octets, 1)))
            if not items:
                continue
            sent = True
            octets = b"".join([item.octets for item in items])
            send.write(octets)
            known = self._sent_rows.get(interface, 0)
            if items[0].row <= known:
                self.counters.resent += sum(item.pdus for item in items if item.row <= known)
            # What is under way keeps no octets: they stand in the spool. It is proved, and settled, as one.
            written = _together(items)
            self._under_way.append((interface, written, len(octets)))
            self._octets += len(octets)
            self.counters.octets += len(octets)
            self._sent_rows[interface] = max(written.row, known)
            self.counters.pdus += written.pdus
            link.sent(self._settled + len(self._under_way), written.pdus, time.monotonic_ns())
        return sent

    async def _drain(self, send: asyncio.StreamWriter, link: Link) -> None:
        while True:
            try:
                async with asyncio.timeout(self._seconds(link)):
                    await send.drain()
                break
            except TimeoutError:
                link.tick(time.monotonic_ns(), False)
                if self._stopped():
                    return
        # Without this a connection that takes everything would leave nobody else a turn.
        await asyncio.sleep(0)

    async def _wait(self, link: Link) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds(link)):
                await self._wake.wait()

    def _seconds(self, link: Link) -> float:
        """Until something is due."""
        left = min((link.next_deadline() - time.monotonic_ns()) / _NS, self._settings.poll_seconds)
        if self._done:
            left = min(left, SETTLE_SECONDS)
        if link.unproved and self._under_way:
            left = min(left, LOOK_SECONDS)
        if self._stop_at is not None:
            left = min(left, self._stop_at - asyncio.get_running_loop().time())
        return max(left, 0.0)

    # Proof

    def _release(self) -> None:
        """Settle what the link has proved."""
        link = self.link
        if link is None:
            return
        while self._settled < link.released and self._under_way:
            interface, item, octets = self._under_way.popleft()
            self._settled += 1
            self._octets -= octets
            self.counters.released += item.pdus
            self._done.append((interface, item))
            self._proved = True
        if link.heard and not self._heard:
            self._heard = True
            with suppress(sqlite3.Error):  # no room; the next answer tells it again
                self._cursor.set_flag(self._flag, 1)
        if (link.heard or link.unproved) and not link.late and not self._cursor_failed:
            self.report.cleared(time.time_ns())
        if self._done and time.monotonic() >= self._settle_at:
            self._settle()

    async def _settle_all(self) -> None:
        """What is proved stands in the cursor, if that can be written."""
        if self._settling is not None:
            await asyncio.wait((self._settling,))
        if self._done:
            await asyncio.wait((self._settle(),))

    def _settle(self) -> asyncio.Future[None]:
        """Write the cursor, in a thread: the loop, in which media are read, does not wait for the disk."""
        if self._settling is not None:
            return self._settling
        self._settle_at = time.monotonic() + SETTLE_SECONDS
        done, self._done = self._done, []
        rows: dict[Interface, int] = {}
        counts: Counts = {}
        seen: dict[tuple[Interface, bytes], int] = {}
        for interface, item in done:
            rows[interface] = item.row
            for which, count in item.counts.items():
                counts[which] = counts.get(which, 0) + count
            for tag, following in item.seen:
                seen[interface, tag] = following
        numbers = [(tag, where, number) for (where, tag), number in seen.items()]
        self._settling = self._cursor.settle_beside(rows, numbers, counts)
        self._settling.add_done_callback(partial(self._settled_on_disk, done))
        return self._settling

    def _settled_on_disk(self, done: list[tuple[Interface, Item]], written: asyncio.Future[None]) -> None:
        self._settling = None
        if written.cancelled() or (error := written.exception()) is not None:
            # Delivery goes on; what cannot be noted now is noted later, or goes out once more.
            self._done = done + self._done
            why = "stopped" if written.cancelled() else str(error)
            self.report.failed(f"the cursor cannot be written: {why}", time.time_ns())
            self._cursor_failed = True
            return
        self._cursor_failed = False
        if not self._under_way and not self._done:
            for reader in self.readers.values():
                reader.settled(_PRUNE)


def _together(items: list[Item]) -> Item:
    """What became of rows that were written at once, as if they were one."""
    counts: Counts = {}
    seen: dict[bytes, int] = {}
    for item in items:
        for which, count in item.counts.items():
            counts[which] = counts.get(which, 0) + count
        seen.update(item.seen)
    return Item(items[-1].row, b"", sum(item.pdus for item in items), items[-1].at, counts, [*seen.items()])


def _acked(send: asyncio.StreamWriter) -> bool:
    """Whether TCP has confirmed all that was written (TS 102 232-1 6.4.3)."""
    if send.transport.get_write_buffer_size():
        return False
    connection = send.get_extra_info("socket")
    if connection is None:  # the other side closed, and the transport has let go of it
        return False
    waiting = bytearray(4)
    try:
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, waiting)
    except OSError:
        return False
    return int.from_bytes(waiting, sys.byteorder) == 0


async def _close(send: asyncio.StreamWriter, kindly: bool) -> None:
    if not kindly:
        send.transport.abort()
    send.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await send.wait_closed()
            return
    send.transport.abort()


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
