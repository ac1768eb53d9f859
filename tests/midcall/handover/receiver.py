"""A small LEMF on loopback that answers, or misbehaves, as it is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from imswire import hi
from imswire.hi.peek import peek
from midcall.base.lab_pki import LabPki
from midcall.base.tls import Identity, client_context, server_context
from midcall.base.tls_end import TlsEnd
from midcall.handover.shell.channel import Peer
from tests.midcall.handover.ledger import Ledger


class Manner(Struct):
    """How the receiver behaves. ``cut``: octets after which a connection is reset (None: never)."""

    acknowledges: bool = False  # accepts the option
    declines: bool = True  # answers the option at all
    keeps_alive: bool = True
    cut: Callable[[], int | None] = lambda: None
    reads: bool = True
    greeting: bytes = b""  # sent to whoever connects
    echo: bytes = b""  # sent for each keep-alive instead of an answer
    wrong: bool = False  # answers with another number
    closes: bool = False  # accepts, then closes
    leaves: bool = False  # closes behind its first answers


class Pki:
    """Contexts of both sides."""

    def __init__(self, folder: Path) -> None:
        LabPki(folder).make(("df", "lemf"))
        self.folder = folder

    def _identity(self, role: str) -> Identity:
        return Identity(self.folder / f"{role}.pem", self.folder / f"{role}.key", self.folder / "ca.pem")

    def server(self) -> ssl.SSLContext:
        return server_context(self._identity("lemf"))

    def client(self) -> ssl.SSLContext:
        return client_context(self._identity("df"))

    def peer(self, port: int) -> Peer:
        return Peer("127.0.0.1", port, TlsEnd(self.client(), None))


class Receiver:
    """Listens on 127.0.0.1; ``ledger`` has what came."""

    def __init__(self, pki: Pki, manner: Manner | None = None, ledger: Ledger | None = None) -> None:
        self.manner = manner or Manner()
        self.ledger = ledger or Ledger()
        self.connections = 0
        self.cuts = 0
        self.port = 0
        self.changed = asyncio.Event()
        self.pdus = 0
        self.last: bytes = b""
        self._pki = pki
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> Receiver:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self._pki.server(), ssl_shutdown_timeout=0.1
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Nobody listens any more; connections end."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def peer(self) -> Peer:
        return self._pki.peer(self.port)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for something that the receiver can see."""
        async with asyncio.timeout(60):
            while not true():
                self.changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):  # what is asked about may change without a PDU
                        await self.changed.wait()

    async def _serve(self, receive: asyncio.StreamReader, send: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.changed.set()
        try:
            await self._converse(receive, send)
        except (OSError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            self._tasks.discard(task)
            send.transport.abort()
            self.changed.set()

    async def _converse(self, receive: asyncio.StreamReader, send: asyncio.StreamWriter) -> None:
        manner = self.manner
        if manner.closes:
            return
        if manner.greeting:
            send.write(manner.greeting)
        if not manner.reads:
            await asyncio.Event().wait()
        left = manner.cut()
        splitter = hi.Splitter()
        while data := await receive.read(1 << 16):
            if left is not None and len(data) >= left:
                self._take(splitter.feed(data[:left]), send)
                self.cuts += 1
                return
            left = None if left is None else left - len(data)
            self._take(splitter.feed(data), send)
            if manner.leaves:
                return

    def _take(self, pdus: list[bytes], send: asyncio.StreamWriter) -> None:
        self.pdus += len(pdus)
        self.ledger.take(pdus)
        for octets in pdus:
            self.last = octets
            if peek(octets).tri in _QUESTIONS:
                self._answer(hi.parse(octets), send)
        self.changed.set()

    def _answer(self, pdu: hi.PsPdu, send: asyncio.StreamWriter) -> None:
        manner = self.manner
        tri = pdu.payload
        number = pdu.header.sequence + (7 if manner.wrong else 0)
        reply: hi.Tri | None = None
        if isinstance(tri, hi.KeepAlive) and manner.keeps_alive:
            reply = hi.KeepAliveResponse()
        elif isinstance(tri, hi.AckRequest) and manner.acknowledges:
            reply = hi.AckResponse()
        elif isinstance(tri, hi.OptionRequest) and (manner.acknowledges or manner.declines):
            options = (hi.Option.PDU_ACKNOWLEDGEMENT,)
            reply = hi.OptionResponse(options, ()) if manner.acknowledges else hi.OptionResponse((), options)
        if isinstance(tri, hi.KeepAlive) and manner.echo:
            send.write(manner.echo)
        elif reply is not None:
            send.write(hi.build(hi.PsPdu(replace(pdu.header, sequence=number), reply)))


_QUESTIONS = (hi.TriTag.KEEP_ALIVE, hi.TriTag.PDU_ACKNOWLEDGEMENT_REQUEST, hi.TriTag.OPTION_REQUEST)
