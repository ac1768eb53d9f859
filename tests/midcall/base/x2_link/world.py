"""Both ends of a link for tests, what they said, and a proxy that does damage between them."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from imswire import x2x3
from imswire.x2x3 import Attribute, AttributeType, Direction, PayloadFormat, Pdu, PduType
from midcall.base.lab_pki import LabPki, uri
from midcall.base.link_report import LinkEvent
from midcall.base.seal import SealKey
from midcall.base.tls import Identity, PeerName, client_context, server_context
from midcall.base.tls_end import TlsEnd
from midcall.base.x2_link import (
    Batch,
    Journal,
    SequenceGap,
    TlsPeer,
    UnixPeer,
    X2Client,
    X2LinkSettings,
    X2Server,
)

KEY = bytes(range(32))
TIME = 1_700_000_000_000_000_000
# Short pauses and quick proofs, and patience with a busy machine.
QUICK = X2LinkSettings(retry_first=0.01, retry_most=0.05, proof_seconds=0.01)
# The same, and silence is noticed at once.
NERVOUS = X2LinkSettings(retry_first=0.01, retry_most=0.05, proof_seconds=0.01, time_p1=0.1, time_p2=0.2)
US = frozenset((os.getuid(),))


def xid(number: int) -> bytes:
    return number.to_bytes(16, "big")


def event(sequence: int, of: int = 1, size: int = 200, kind: int = PduType.X2) -> bytes:
    """An X2 PDU that says which it is."""
    held = (
        Attribute(AttributeType.NFID, b"cscf-1"),
        Attribute(AttributeType.IPID, b"sip"),
        Attribute(AttributeType.SEQUENCE_NUMBER, sequence % (1 << 32)),
        Attribute(AttributeType.TIMESTAMP, TIME + sequence),
    )
    payload = sequence.to_bytes(8, "big") + bytes(size - 8)
    return x2x3.build(Pdu(kind, PayloadFormat.PROPRIETARY, Direction.FROM_TARGET, xid(of), b"\1" * 8, held, payload))


def events(count: int, first: int = 0, of: int = 1, size: int = 200) -> list[bytes]:
    return [event(first + n, of, size) for n in range(count)]


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "something is left behind"

    asyncio.run(bounded())


class Pki:
    """Contexts of a DF2, of two POIs, and of somebody with a certificate who is neither."""

    def __init__(self, folder: Path) -> None:
        LabPki(folder).make(("df", "poi", "tap", "lemf"))
        self._folder = folder

    def _identity(self, role: str) -> Identity:
        return Identity(self._folder / f"{role}.pem", self._folder / f"{role}.key", self._folder / "ca.pem")

    def server(self, role: str = "df") -> ssl.SSLContext:
        return server_context(self._identity(role))

    def client(self, role: str = "poi") -> ssl.SSLContext:
        return client_context(self._identity(role))

    def peer(self, port: int, role: str = "poi", wanted: str = "df") -> TlsPeer:
        return TlsPeer("127.0.0.1", port, TlsEnd(self.client(role), PeerName(uri(wanted))), "127.0.0.1")


POIS = PeerName(uri("poi"), uri("tap"))


class Df2:
    """A server that remembers what it committed. ``first``: runs before each commit, and may raise or wait."""

    def __init__(self, settings: X2LinkSettings = QUICK) -> None:
        self.octets: list[bytes] = []
        self.batches: list[Batch] = []
        self.events: list[LinkEvent] = []
        self.gaps: list[SequenceGap] = []
        self.first: Callable[[Batch], Awaitable[None]] | None = None
        self.port = 0
        self._changed = asyncio.Event()
        self.server = X2Server(self._commit, settings=settings, report=self._told, gap=self.gaps.append)

    async def tls(self, pki: Pki, port: int = 0) -> Df2:
        self.end = TlsEnd(pki.server(), POIS)
        _, self.port = await self.server.listen_tls("127.0.0.1", port, self.end)
        return self

    async def unix(self, path: Path) -> Df2:
        await self.server.listen_unix(path, US)
        return self

    async def _commit(self, batch: Batch) -> None:
        if self.first is not None:
            await self.first(batch)
        self.batches.append(batch)
        self.octets += batch.octets
        self._changed.set()

    def _told(self, event: LinkEvent) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for something that commits or events bring."""
        while not true():
            self._changed.clear()
            await self._changed.wait()

    async def stop(self) -> None:
        await self.server.stop(5)

    def states(self, peer: str = uri("poi")) -> list[str]:
        return [each.state for each in self.events if each.link == peer]


class Poi:
    """A client that remembers what it told."""

    def __init__(
        self, peer: TlsPeer | UnixPeer, journal: Journal | None = None, settings: X2LinkSettings = QUICK
    ) -> None:
        self.events: list[LinkEvent] = []
        self._changed = asyncio.Event()
        self.client = X2Client(peer, journal=journal, settings=settings, report=self._told)
        self.running = asyncio.create_task(self.client.run())

    def _told(self, event: LinkEvent) -> None:
        self.events.append(event)
        self._changed.set()

    def put(self, pdus: Iterable[bytes]) -> asyncio.Future[bool]:
        return self.client.put(pdus)

    async def until(self, state: str, times: int = 1) -> None:
        """Wait until the connection has been told so often to be in a state."""
        while self.states().count(state) < times:
            self._changed.clear()
            await self._changed.wait()

    def states(self, part: str = "connection") -> list[str]:
        return [each.state for each in self.events if each.part == part]

    async def done(self) -> None:
        """Everything is proved."""
        self.client.stop(30)
        await self.running
        assert self.client.queued == 0

    async def cut(self) -> None:
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running


def journal(folder: Path, key: bytes = KEY) -> Journal:
    return Journal(folder / "x2.db", SealKey(key))


def alternate(states: list[str], one: str, other: str) -> bool:
    """Whether two states follow each other strictly, and the first one comes first."""
    found = [state for state in states if state in (one, other)]
    return found == [(one, other)[n % 2] for n in range(len(found))]


class Proxy:
    """Passes TCP on. ``cut``: asked at each connection how many octets of the client go through before a reset (None:
    all); ``hole``: nothing comes back and nothing gets through any more, but the connections stand."""

    def __init__(self, port: int) -> None:
        self.cut: Callable[[], int | None] = lambda: None
        self.hole = False
        self.connections = 0
        self.cuts = 0
        self.port = 0
        self._to = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, receive: asyncio.StreamReader, send: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        sides = [send]
        try:
            there, here = await asyncio.open_connection("127.0.0.1", self._to)
            sides.append(here)
            pumps = [self._pump(receive, here, self.cut()), self._pump(there, send, None)]
            tasks = [asyncio.create_task(pump) for pump in pumps]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in tasks:
                    each.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        except OSError:
            pass
        finally:
            for side in sides:
                side.transport.abort()
            self._tasks.discard(task)

    async def _pump(self, receive: asyncio.StreamReader, send: asyncio.StreamWriter, left: int | None) -> None:
        with suppress(OSError):
            while data := await receive.read(1 << 16):
                if self.hole:
                    continue
                if left is not None and len(data) >= left:
                    send.write(data[:left])
                    await send.drain()
                    self.cuts += 1
                    return
                left = None if left is None else left - len(data)
                send.write(data)
                await send.drain()
