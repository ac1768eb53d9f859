"""The role on loopback as it runs, and those around it, for bad input: real sockets, the loop of production."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from imswire import sip
from imswire.sip import SipMessage, StreamFramer
from midcall.config.cscf_tables import (
    CscfConfig,
    CscfDigest,
    CscfHop,
    CscfLimits,
    CscfListen,
    CscfLocation,
    CscfPeer,
    CscfRoute,
)
from midcall.cscf.service import Service
from tests.midcall.cscf.stage import request, response
from tests.midcall.cscf.test_service import SECONDS, Site, free_port, running

LIMITS = CscfLimits()
TOGETHER = 25
NEIGHBOURS = (CscfPeer(network="127.0.0.0/8", trusted=True, relay=True),)
_hosts = itertools.count(2)


def own_host() -> str:
    """An address of loopback that no other test has, so that well-known ports are free there."""
    number = next(_hosts)
    return f"127.{100 + os.getpid() % 100}.{number // 250}.{number % 250 + 1}"


def run(main: Coroutine[Any, Any, None]) -> None:
    """To its end; what went wrong in a callback is a failure too."""
    faults: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        await main

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(watched())
    for fault in faults:
        raise fault.get("exception") or AssertionError(fault["message"])


class Sink(asyncio.DatagramProtocol):
    """The next hop of everything: keeps what came, answers good requests, and others with what ``retort`` makes."""

    def __init__(self, answers: bool = True) -> None:
        self.got: list[SipMessage] = []
        self.answers = answers
        self.retort: Callable[[SipMessage], Iterable[bytes]] = lambda _: ()
        self.port = 0
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = sip.parse(data)  # what goes on can be read
        self.got.append(message)
        assert self.transport is not None
        if self.answers and message.is_request and message.call_id.startswith("good-"):
            self.transport.sendto(response(message, 200).encode(), addr)
        elif message.is_request:
            for octets in self.retort(message):
                self.transport.sendto(octets, addr)


class Caller(asyncio.DatagramProtocol):
    """Sends datagrams as they are, and keeps what comes back."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.came = asyncio.Event()
        self.transport: asyncio.DatagramTransport | None = None
        self.place = ("", 0)
        self._pings = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.place = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.got.append(data)
        self.came.set()

    def send(self, octets: bytes, port: int) -> None:
        assert self.transport is not None
        self.transport.sendto(octets, ("127.0.0.1", port))

    def heard(self) -> list[int]:
        """Statuses of the answers so far."""
        return [message.status or 0 for message in map(sip.parse, self.got)]

    async def until(self, octets: bytes) -> None:
        """Wait for an answer that has these octets in it."""
        async with asyncio.timeout(SECONDS):
            while not any(octets in each for each in self.got):
                self.came.clear()
                await self.came.wait()

    async def good_request(self, port: int, uri: str = "sip:ping@far.example") -> None:
        """An OPTIONS to the sink and back: whatever was sent before has been dealt with."""
        self._pings += 1
        call_id = f"good-{self.place[0]}-{self.place[1]}-{self._pings}"
        host = f"{self.place[0]}:{self.place[1]}"
        branch = f"z9hG4bK{call_id};rport"
        text = request("OPTIONS", uri, via=f"SIP/2.0/UDP {host}", branch=branch, call_id=call_id)
        self.send(text.encode(), port)
        await self.until(call_id.encode())
        (answer,) = (each for each in map(sip.parse, self.got) if each.call_id == call_id)
        assert answer.status == 200
        self.got = [each for each in self.got if call_id.encode() not in each]


async def flood(proxy: Live, sender: Caller, good: Caller, messages: Iterable[bytes]) -> None:
    """Many, and a good request between them now and then: sockets drop what nobody reads."""
    for number, octets in enumerate(messages, 1):
        sender.send(octets, proxy.port)
        if number % TOGETHER == 0:
            await good.good_request(proxy.port)
    await good.good_request(proxy.port)


class Stream:
    """A connection to the proxy; ``messages`` came whole, ``closed`` when it has been ended at the other side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.messages: list[bytes] = []
        self.closed = False
        self._framer = StreamFramer()
        self._last = b""

    async def lives(self) -> None:
        """Ask whether it still serves (RFC 5626 4.4.1), and wait for the answer behind all messages."""
        self.writer.write(b"\r\n\r\n")
        async with asyncio.timeout(SECONDS):
            while not self._last.endswith(b"\r\n\r\n\r\n") and self._last != b"\r\n":
                assert await self._read(), "closed"

    async def until(self, octets: bytes) -> None:
        """Wait for a message that has these octets in it."""
        async with asyncio.timeout(SECONDS):
            while not any(octets in each for each in self.messages):
                assert await self._read(), "closed"

    async def until_closed(self) -> None:
        async with asyncio.timeout(SECONDS):
            while await self._read():
                pass

    async def _read(self) -> bool:
        try:
            octets = await self.reader.read(65_536)
        except ConnectionError:
            octets = b""
        self._last += octets
        self.messages += self._framer.feed(octets)
        self.closed = not octets
        return bool(octets)

    def statuses(self) -> list[int]:
        return [sip.parse(each).status or 0 for each in self.messages]


@asynccontextmanager
async def stream(port: int, *, own: str = "127.0.0.1") -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(own, 0))
    try:
        yield Stream(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def caller(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Caller]:
    transport, made = await asyncio.get_running_loop().create_datagram_endpoint(Caller, (host, port))
    try:
        yield made
    finally:
        transport.close()


class Live:
    """A running proxy before a sink that gets all that goes to foreign domains."""

    def __init__(self, service: Service, sink: Sink, port: int) -> None:
        self.service, self.sink, self.port = service, sink, port
        self.counts = service.worker.proxy.counts

    @property
    def running(self) -> int:
        """Transactions of requests that came."""
        return self.service.worker.proxy.running[0]

    @property
    def connections(self) -> int:
        assert self.service.worker.streams is not None
        return len(self.service.worker.streams)


@asynccontextmanager
async def proxy(
    site: Site,
    limits: CscfLimits = LIMITS,
    *,
    peers: tuple[CscfPeer, ...] = NEIGHBOURS,
    digest: bool = False,
    addresses: int = 1_000,
    answers: bool = True,
) -> AsyncIterator[Live]:
    """Over UDP and TCP on one port; who is no peer is a stranger. What goes to loop.example comes back."""
    loop = asyncio.get_running_loop()
    _, sink = await loop.create_datagram_endpoint(lambda: Sink(answers), ("127.0.0.1", 0))
    port = free_port()
    hops = {"*": sink.port, "loop.example": port}
    config = CscfConfig(
        domains=("home.example",),
        seal=str(site.seal),
        listen=tuple(CscfListen(transport=each, address=f"127.0.0.1:{port}") for each in ("udp", "tcp")),
        route=tuple(
            CscfRoute(domain=domain, hops=(CscfHop(uri=f"sip:127.0.0.1:{hop}"),), probe_seconds=0)
            for domain, hop in hops.items()
        ),
        peer=peers,
        digest=CscfDigest(realm="home.example", users=str(site.users())) if digest else None,
        location=CscfLocation(file="", addresses=addresses),
        limits=limits,
    )
    try:
        async with running(config) as service:
            yield Live(service, sink, port)
    finally:
        assert sink.transport is not None
        sink.transport.close()
