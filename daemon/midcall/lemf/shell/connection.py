"""A deliverer's connection: its TLS handshake, then its octets in turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from midcall.base.tls import TlsError
from midcall.lemf.link import Link
from midcall.lemf.shell import misbehave
from midcall.lemf.shell.misbehave import Kind

if TYPE_CHECKING:
    from midcall.lemf.shell.server import Receiver

CONNECTIONS = 64
HANDSHAKE_SECONDS = 10.0
TURN = 64
"""PS-PDUs that go the long way before the other links have their turn, or what costs as much."""
TURN_NS = 20_000_000
"""A turn takes no longer, but for the PS-PDU that it ends with."""
GATHER = 1 << 19
"""Octets that are judged together while they come: each call among them costs what it costs only once."""
WRITE_LIMIT = 1 << 16
"""Octets of answers that a deliverer may leave unread; behind that it is no deliverer."""


class Door(asyncio.Protocol):
    """One connection until its handshake is over."""

    transport: asyncio.Transport

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.pause_reading()  # until TLS reads
        self._receiver.knocked(self)
        self._task = asyncio.get_running_loop().create_task(self._shake())

    def shut(self) -> None:
        """The handshake took too long for those who wait."""
        self._receiver.answered(self)
        self.transport.abort()

    async def _shake(self) -> None:
        link = Deliverer(self._receiver)
        made: asyncio.Transport | None = None
        try:
            if not self.transport.is_closing():
                made = await asyncio.get_running_loop().start_tls(
                    self.transport,
                    link,
                    self._receiver.end.context,
                    server_side=True,
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                )
        except OSError:
            # Nobody's deliverer, or nobody at all: ssl.SSLError and what ends connections are OSErrors.
            self.transport.abort()
        finally:
            self._receiver.answered(self)
        if made is not None:
            link.connection_made(made)


class Deliverer(asyncio.Protocol):
    """One connection. What comes in is judged in turns, so that no deliverer keeps the others waiting."""

    transport: asyncio.Transport

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.name = "?"
        self.since = time.time()
        self._fault: Kind | None = None
        self._made = self._open = self._lost = False
        self._error: Exception | None = None
        self._unread: list[bytes] = []
        self._more_came = False
        self._waits = False
        self._taken = 0
        self._resume: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._made = True
        receiver = self._receiver
        receiver.connections += 1
        host, port = (transport.get_extra_info("peername") or ("gone", 0))[:2]
        peer = f"{host}:{port}"
        try:
            shown = receiver.end.admit(transport)
        except TlsError as error:
            self._refuse(f"{peer}: {error}")
            return
        self.name = f"{shown} {peer} #{receiver.connections}"
        self.link = Link(receiver.lemf, self.name, shown, turn=TURN, time=TURN_NS, clock=time.perf_counter_ns)
        if len(receiver.links) >= CONNECTIONS:
            self._refuse(f"{peer}: more than {CONNECTIONS} connections")
            return
        if receiver.failed:
            self._refuse(f"{peer}: {receiver.failed}")
            return
        transport.set_write_buffer_limits(WRITE_LIMIT)
        self._open = True
        receiver.opened(self)
        receiver.told("link", f"{self.name}: connected")
        self._fault = receiver.fault.applies(receiver.connections) if receiver.fault else None
        if self._fault is Kind.ACCEPT_THEN_CLOSE:
            self.end("misbehaves: accept-then-close")
        elif self._fault is Kind.GARBAGE:
            transport.write(misbehave.GARBAGE)
        early, self._unread = self._unread, []
        for data in early:
            self.data_received(data)

    def _refuse(self, reason: str) -> None:
        self._receiver.refused += 1
        self._receiver.told("link", f"refused: {reason}")
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._made:
            self._unread.append(data)  # in the same record as the end of the handshake
            return
        if not self._open:
            return
        self._taken += len(data)
        if self._fault is Kind.RESET_INSIDE_PDU and self._taken >= misbehave.RESET_AFTER:
            self._receiver.received(self, data[: -1 - len(data) % 97])
            self._open = False
            misbehave.reset(self.transport)
            return
        if self._fault is Kind.SLOW_READ:
            self._pause()
        self._unread.append(data)
        self._more_came = True
        if not self._waits:
            self._waits = True
            self._receiver.turns.add(self)

    def turn(self) -> None:
        """Judge some of what came; the rest when the others have had their turn."""
        if not self._waits:
            return
        receiver = self._receiver
        if self._more_came and sum(map(len, self._unread)) < GATHER:
            self._more_came = False
            receiver.turns.add(self)  # once more is there, or nothing
            return
        if receiver.store.crowded:
            self.transport.pause_reading()
            receiver.hold(self)
            return
        data, self._unread = b"".join(self._unread), []
        more = receiver.received(self, data)
        if not self._open:
            return
        if more:
            self.transport.pause_reading()
            receiver.turns.add(self)
            return
        self._waits = False
        if self._lost:
            self._finish()
        elif self._resume is None:
            self._go_on()

    def _pause(self) -> None:
        if self._resume is None:
            self.transport.pause_reading()
            self._resume = asyncio.get_running_loop().call_later(misbehave.SLOW_PAUSE, self._go_on)

    def _go_on(self) -> None:
        self._resume = None
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def answers(self, replies: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Those that are to be sent."""
        kept_back = {Kind.NO_KEEPALIVE_ANSWER: "KeepAliveResponse", Kind.NO_ACKNOWLEDGEMENT: "AckResponse"}
        silent = kept_back.get(self._fault) if self._fault else None
        return [reply for reply in replies if reply[0] != silent]

    def send(self, replies: list[tuple[str, bytes]]) -> None:
        if self._open and not self.transport.is_closing():
            self.transport.write(b"".join(octets for _, octets in replies))

    def pause_writing(self) -> None:
        """Answers are not read."""
        self.end("does not read what it is answered")

    def end(self, reason: str) -> None:
        if self._open:
            self._receiver.told("link", f"{self.name}: closed: {reason}")
            self.drop()

    def drop(self) -> None:
        """Nothing more is taken, of what came before either; it was not acknowledged."""
        self._open = self._waits = False
        self.transport.close()
        if self._lost:
            self._finish()

    def connection_lost(self, error: Exception | None) -> None:
        self._lost, self._error = True, error
        if not self._waits:
            self._finish()

    def _finish(self) -> None:
        error = self._error
        if self._resume is not None:
            self._resume.cancel()
        if self.name != "?":
            pending = self.link.pending
            inside = f", {pending} octets of a PS-PDU were not complete" if pending else ""
            self._receiver.told("link", f"{self.name}: {error or 'disconnected'}{inside}")
        self._open = False
        self._receiver.closed(self)


class Refusal(asyncio.Protocol):
    """Takes the connection, and closes it before a handshake."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._receiver.connections += 1
        self._receiver.refused += 1
        misbehave.reset(transport)
