"""Copies of SIP by HEP version 3: datagrams and streams from listed agents, or TLS from agents with a certificate.

A datagram or plain stream counts only when it comes from a listed address with that agent's key; it is marked as not
authenticated all the same, since both can be forged on the path. Whatever else comes is counted and dropped.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

from msgspec import Struct

from imswire import hep, inet, sip
from midcall.base.tls import TlsError
from midcall.base.tls_door import TlsDoor
from midcall.base.tls_end import TlsEnd
from midcall.events import Instant, SipSeen

# An agent whose clock is further off than this is not believed: the time of arrival counts.
CLOCK_NS = 5_000_000_000
RECEIVE_OCTETS = 8 << 20
# Datagrams taken in one go, before others have their turn.
TOGETHER = 64
# Rounds of them that are still taken at the end: what a receive buffer holds.
LAST = 256
READ_OCTETS = 1 << 16

Take = Callable[[SipSeen], None]


class HepAgent(Struct, frozen=True):
    """An agent by its address, and the key that it sends (authentication chunk); shows no key."""

    address: str
    key: bytes

    def __repr__(self) -> str:
        return f"HepAgent({self.address!r}, <redacted>)"


class HepReceiver:
    """Takes HEP from any number of listeners and gives SIP to ``take``. ``counts`` says what became of it all.

    Counts: ``taken``, of which ``unauthenticated`` came without TLS, ``foreign`` (an address that is not listed),
    ``refused`` (a wrong key), ``broken`` (no HEP), ``other`` (not SIP), ``clock`` (an agent's time not believed).
    """

    def __init__(self, agents: tuple[HepAgent, ...], take: Take) -> None:
        self._keys = {inet.pack(agent.address): agent.key for agent in agents}
        self._take = take
        self.counts: Counter[str] = Counter()
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._doors: list[TlsDoor] = []

    # Listeners

    def listen_udp(self, host: str, port: int) -> tuple[str, int]:
        """Receive datagrams in the running loop; returns the address bound."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_DGRAM)
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_OCTETS)
        try:
            bound.bind((host, port))
        except OSError:
            bound.close()
            raise
        asyncio.get_running_loop().add_reader(bound.fileno(), self._datagrams, bound)
        self._sockets.append(bound)
        address = bound.getsockname()
        return str(address[0]), int(address[1])

    async def listen_tcp(self, host: str, port: int) -> tuple[str, int]:
        """Receive streams without TLS, from listed agents with their key only."""
        server = await asyncio.start_server(self._plain, host, port)
        self._servers.append(server)
        address = server.sockets[0].getsockname()
        return str(address[0]), int(address[1])

    async def listen_tls(self, host: str, port: int, end: TlsEnd) -> tuple[str, int]:
        """Receive streams from agents whose certificate names one of the end's peers."""
        loop = asyncio.get_running_loop()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._stream(reader, writer, end)

        def protocol() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), serve, loop=loop)

        door = TlsDoor(end, protocol)
        self._doors.append(door)
        return door.listen(host, port)

    async def _plain(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._stream(reader, writer, None)

    async def close(self) -> None:
        """Stop listening; datagrams that are there are still taken."""
        for bound in self._sockets:
            asyncio.get_running_loop().remove_reader(bound.fileno())
            for _ in range(LAST):
                if not self._datagrams(bound):
                    break
            bound.close()
        for server in self._servers:
            server.close()
        for door in self._doors:
            await door.close()
        self._sockets.clear()
        self._servers.clear()
        self._doors.clear()

    # What comes

    def _datagrams(self, bound: socket.socket) -> bool:
        """Whether there may be more."""
        for _ in range(TOGETHER):
            try:
                octets, address = bound.recvfrom(READ_OCTETS)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                self.counts["broken"] += 1
                return False
            self.datagram(octets, address[0])
        return True

    def datagram(self, octets: bytes, address: str) -> None:
        """One datagram from an address."""
        key = self._keys.get(_packed(address))
        if key is None:
            self.counts["foreign"] += 1
            return
        try:
            message = hep.parse(octets)
        except hep.HepError:
            self.counts["broken"] += 1
            return
        self._message(message, key)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: TlsEnd | None) -> None:
        try:
            key = self._stream_key(writer, end)
            if key is None and end is None:
                self.counts["foreign"] += 1
                return
            splitter = hep.Splitter()
            while octets := await reader.read(READ_OCTETS):
                for each in splitter.feed(octets):
                    self._message(hep.parse(each), key)
                if splitter.fault is not None:
                    raise splitter.fault
        except (hep.HepError, TlsError):
            self.counts["broken"] += 1
        except (OSError, ssl.SSLError):
            self.counts["lost"] += 1
        finally:
            writer.close()
            with suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    def _stream_key(self, writer: asyncio.StreamWriter, end: TlsEnd | None) -> bytes | None:
        """The key that the stream's messages have to bear; None: the certificate is enough."""
        if end is not None:
            end.admit(writer.transport)
            return None
        peer = writer.get_extra_info("peername")
        return None if peer is None else self._keys.get(_packed(peer[0]))

    def _message(self, message: hep.Hep, key: bytes | None) -> None:
        if key is not None and not hep.authentic(message, key):
            self.counts["refused"] += 1
            return
        if message.kind != hep.ProtocolType.SIP or not sip.looks_like_sip(message.payload.lstrip(b"\r\n")):
            self.counts["other"] += 1
            return
        self.counts["taken"] += 1
        source = _endpoint(message.source, message.source_port)
        destination = _endpoint(message.destination, message.destination_port)
        authenticated = key is None
        if not authenticated:
            self.counts["unauthenticated"] += 1
        at = self._instant(message)
        self._take(SipSeen(message.payload, source, destination, at, authenticated=authenticated))

    def _instant(self, message: hep.Hep) -> Instant:
        """When the agent saw the message, on both clocks; when it came, if the agent's clock is far off."""
        wall, mono = time.time_ns(), time.monotonic_ns()
        if message.time is None or abs(message.time - wall) > CLOCK_NS:
            self.counts["clock"] += 1
            return Instant(wall, mono)
        return Instant(message.time, mono - (wall - message.time))


@lru_cache(maxsize=4_096)
def _packed(address: str) -> bytes:
    """An address of a socket; an IPv4 one that IPv6 carries is that of IPv4."""
    try:
        packed = inet.pack(address.partition("%")[0])
    except inet.InetError:
        return b""
    return packed[12:] if packed[:12] == bytes(10) + b"\xff\xff" else packed


# Most signalling is between few proxies.
_endpoint = lru_cache(maxsize=4_096)(inet.endpoint)
