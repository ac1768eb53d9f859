"""The POI's end of X2 and X3: one connection to a DF2 or MDF, opened again and again, behind a buffer.

PDUs go out in the order in which they were given. What is not proved when a connection is lost goes out again, the
same octets, before anything new: no loss by a link, at most repetitions, which the other end knows by their numbers.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

from imswire import x2x3
from midcall.base.link_report import LinkEvent, LinkReport
from midcall.base.tls import TlsError
from midcall.base.x2_link.buffer import Buffer
from midcall.base.x2_link.journal import Journal
from midcall.base.x2_link.peers import NotAllowed, TlsPeer, UnixPeer
from midcall.base.x2_link.proof import NS, LinkLost, Numbers, Proof
from midcall.base.x2_link.settings import X2LinkSettings
from midcall.base.x2_link.values import ClientCounters

WRITE_OCTETS = 256 << 10
WRITE_BUFFER = 512 << 10
# What answers may wait to be read; the longest answer that is one has 48 octets.
READ_LIMIT = 64 << 10
ANSWER_OCTETS = 4 << 10
PAUSE_SHARE = 0.25
"""Of the time that a link has been down, a pause before the next attempt: who is back after a second is found soon."""
CLOSE_SECONDS = 0.3
"""How long the other end's farewell is waited for; all is proved by then."""


class X2Client:
    """``run`` delivers what ``put`` was given, until ``stop`` or a cancellation.

    ``name`` stands in events. Without ``journal`` the buffer is in memory alone (labs). ``report`` is called in the
    loop's thread. ``wall`` is the clock of events, in ns since 1970.
    """

    def __init__(
        self,
        peer: TlsPeer | UnixPeer,
        name: str = "df2",
        *,
        journal: Journal | None = None,
        settings: X2LinkSettings | None = None,
        report: Callable[[LinkEvent], None] | None = None,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self.counters = ClientCounters()
        self.settings = settings or X2LinkSettings()
        self._peer = peer
        tell = report or (lambda _: None)
        self._link = LinkReport(name, "connection", tell, wall)
        self._wake = asyncio.Event()
        self._buffer = Buffer(
            journal, self.settings, self.counters, LinkReport(name, "buffer", tell, wall), _steady(wall), self._wake.set
        )
        self._numbers = Numbers()
        self._stop_at: float | None = None
        self._progress = self._heard = False
        self._session_of: tuple[asyncio.StreamWriter, Proof] | None = None

    @property
    def is_up(self) -> bool:
        """A connection stands, and its other end has answered on it."""
        return self._link.is_up

    @property
    def queued(self) -> int:
        """Octets that are not proved."""
        return self._buffer.queued

    @property
    def oldest(self) -> int | None:
        """When the first PDU that is not proved was given, in ns since 1970; None: there is none."""
        return self._buffer.oldest

    def put(self, pdus: Iterable[bytes]) -> asyncio.Future[bool]:
        """Send whole X2 or X3 PDUs behind those given before; never waits.

        The future, which may be left alone, is done when they are kept for good: True as the buffer is meant to be,
        False in memory alone, for its disk took nothing. ValueError: one of them is no such PDU, and none is sent.
        """
        done = self._buffer.put(pdus)
        if self._session_of is not None:
            send, proof = self._session_of
            # Not at the next turn of the loop, before which others may have much to do.
            if send.transport.get_write_buffer_size() < WRITE_BUFFER:
                self._write(send, proof, time.monotonic_ns())
        return done

    def stop(self, seconds: float) -> None:
        """End when all is proved, or after ``seconds``; then :meth:`run` returns."""
        self._stop_at = asyncio.get_running_loop().time() + seconds
        self._wake.set()

    async def run(self) -> None:
        """Once. What is not proved at its end stays in the journal."""
        lost: float | None = None
        loop = asyncio.get_running_loop()
        reason: str | None = "stopped"
        try:
            while not self._stopped():
                begun = loop.time()
                reason = await self._connection()
                if reason is None or (self._stop_at is not None and not self.queued):
                    break
                self._link.down(reason)
                if self._progress or (self._heard and loop.time() - begun > self.settings.steady_seconds):
                    lost = None  # reopen at once
                    continue
                self._link.failed(reason)
                lost = begun if lost is None else lost
                pause = (loop.time() - lost) * PAUSE_SHARE
                pause = min(max(pause, self.settings.retry_first), self.settings.retry_most)
                await self._rest(pause * random.uniform(0.5, 1.0))  # noqa: S311 (spreads load, guards nothing)
        finally:
            self._link.down("stopped")
            await asyncio.shield(asyncio.ensure_future(self._buffer.close()))

    def _stopped(self) -> bool:
        return self._stop_at is not None and asyncio.get_running_loop().time() >= self._stop_at

    async def _rest(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0 and not self._stopped():
            if self._stop_at is not None:
                left = min(left, self._stop_at - loop.time())
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(left, 0.0)):
                    await self._wake.wait()
            self._buffer.expire()

    # One connection

    async def _connection(self) -> str | None:
        """Connect, deliver, until the connection is lost (why) or all is done (None)."""
        self._progress = self._heard = False
        self._buffer.rewind()
        self._buffer.expire()
        try:
            async with asyncio.timeout(self.settings.connect_seconds):
                receive, send = await self._peer.open(READ_LIMIT, self.settings.connect_seconds)
        except (TlsError, NotAllowed) as error:
            self.counters.refused += 1
            return f"refused: {error}"
        except (OSError, TimeoutError, ValueError) as error:
            return f"cannot connect: {_text(error)}"
        reason: str | None = None
        self.counters.connections += 1
        proof = Proof(self.settings, self._numbers, time.monotonic_ns())
        try:
            await self._session(receive, send, proof)
        except (LinkLost, x2x3.X2X3Error) as error:
            reason = str(error) if isinstance(error, LinkLost) else f"the peer sends no X2/X3 PDUs: {error}"
            self._link.failed(reason)  # even where opening it again helps
        except (OSError, EOFError) as error:
            reason = f"connection lost: {_text(error)}"
        finally:
            self.counters.strays += proof.strays
            await _close(send, reason is None and not self.queued)
        return reason

    async def _session(self, receive: asyncio.StreamReader, send: asyncio.StreamWriter, proof: Proof) -> None:
        send.transport.set_write_buffer_limits(WRITE_BUFFER)
        send.write(proof.hello(time.monotonic_ns()))
        listening = asyncio.create_task(self._listen(receive, proof))
        listening.add_done_callback(lambda _: self._wake.set())
        self._session_of = send, proof
        try:
            await self._send(send, proof, listening)
        finally:
            self._session_of = None
            listening.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await listening

    async def _listen(self, receive: asyncio.StreamReader, proof: Proof) -> None:
        splitter = x2x3.Splitter(ANSWER_OCTETS)
        while data := await receive.read(READ_LIMIT):
            pdus = splitter.feed(data)
            while pdus:
                for octets in pdus:
                    proof.received(x2x3.parse(octets), time.monotonic_ns())
                pdus = splitter.feed(b"")
            self._settle(proof)
            self._wake.set()
        raise EOFError("closed by the peer")

    async def _send(self, send: asyncio.StreamWriter, proof: Proof, listening: asyncio.Task[None]) -> None:
        while True:
            if listening.done():
                await listening
            self._wake.clear()
            now = time.monotonic_ns()
            proof.tick(now)
            self._buffer.expire()
            rows = self._write(send, proof, now)
            room = self.settings.window_octets - self._buffer.under_way
            urgent = not rows and (room <= 0 or self._stop_at is not None)
            send.write(proof.due(now, urgent=urgent))
            if self._stop_at is not None and (not self.queued or self._stopped()):
                return
            if rows:
                await self._drain(send, proof, listening)
            else:
                await self._within(self._wake.wait(), proof)

    def _write(self, send: asyncio.StreamWriter, proof: Proof, now: int) -> bool:
        """Write the next rows; whether there were any."""
        rows = self._buffer.take(min(WRITE_OCTETS, self.settings.window_octets - self._buffer.under_way))
        if rows:
            send.write(b"".join([row.octets for row in rows]))
            proof.sent(rows[-1].id, sum([row.pdus for row in rows]), now)
        return bool(rows)

    async def _drain(self, send: asyncio.StreamWriter, proof: Proof, listening: asyncio.Task[None]) -> None:
        """A peer that reads slowly is waited for, as long as it answers."""
        while not await self._within(send.drain(), proof):
            now = time.monotonic_ns()
            proof.tick(now)
            send.write(proof.due(now))
            if listening.done() or self._stopped():
                return
        # Without this a connection that takes everything would leave nobody else a turn.
        await asyncio.sleep(0)

    async def _within(self, what: Coroutine[Any, Any, object], proof: Proof) -> bool:
        """Wait until something is due; whether ``what`` happened before."""
        left = (proof.next_deadline() - time.monotonic_ns()) / NS
        if self._stop_at is not None:
            left = min(left, self._stop_at - asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(max(left, 0.0)):
                await what
        except TimeoutError:
            return False
        return True

    def _settle(self, proof: Proof) -> None:
        """What the answers so far have proved."""
        self._progress |= self._buffer.release(proof.released)
        if proof.heard:
            self._heard = True
            self._link.up()
            self._link.cleared()


def _steady(wall: Callable[[], int]) -> Callable[[], int]:
    """The wall clock as it would have gone on: one that is set forward makes nothing old."""
    begun = wall() - time.monotonic_ns()
    return lambda: begun + time.monotonic_ns()


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
