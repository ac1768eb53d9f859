"""SIP over TCP and TLS (RFC 3261 18.3, 5923, 5626 4.4.1): connections that serve both ways, each within bounds."""

from __future__ import annotations

import asyncio
import fcntl
import ssl
import sys
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import cast

from msgspec import Struct

from imswire.sip import StreamFramer
from midcall.base.rates import network
from midcall.base.tls import TlsError
from midcall.base.tls_door import TlsDoor
from midcall.base.tls_end import Revocations, TlsEnd
from midcall.cscf.values import Alias, Hop, Transport

PING = b"\r\n\r\n"
PONG = b"\r\n"
CONNECT_SECONDS = 5.0
CROWDED = 10
"""With less than one part in so many left of the room for connections, there is not much."""
BULK = 16_384
"""Octets that come at once when more may be waiting: messages one by one are smaller."""
WAITING = 64
"""Messages that wait for a connection to be made."""

Take = Callable[[bytes, int, Hop], None]
Failed = Callable[[str], None]


class StreamLimits(Struct, frozen=True):
    """``connections`` in all and ``each_host``; seconds that a connection may be ``idle``, and that a message that has
    begun may take to come whole; octets that may wait to be sent, and those that are ``held`` for all of them: half
    messages, and what is not read at the other end.
    """

    connections: int = 10_000
    each_host: int = 1_000
    idle: float = 900.0
    message: float = 30.0
    unsent: int = 1 << 20
    held: int = 256 << 20


class Connection(asyncio.Protocol):
    """One connection, whoever opened it."""

    def __init__(self, streams: Streams, listener: int, hop: Hop | None) -> None:
        self._streams = streams
        self._listener = listener
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self.opened_to = hop
        self.hop = hop or Hop("tcp", "", 0)
        self.heard = 0.0
        self.begun: float | None = None  # when the message began whose end has not come
        self.names: frozenset[str] = frozenset()
        self.alias: Hop | None = None  # where it takes requests, as it says
        self.made = 0.0
        self.used = hop is not None  # whether a whole message has come by it
        self._late = False  # whether more was waiting when it was looked at last,
        self._looked = 0  # at that time, in ns

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        if peer is None:
            self._transport.abort()  # it is gone already
            return
        host, port = peer[:2]
        number = self._streams.number()
        self.hop = Hop(self._streams.transport_of(self._listener), host, port, number)
        self.heard = self.made = self._streams.time()
        certificate = transport.get_extra_info("peercert") or {}
        self.names = frozenset(value.lower() for _, value in certificate.get("subjectAltName", ()))
        if not self._streams.opened(self):
            transport.abort()  # type: ignore[attr-defined]  # of every transport that is one

    def data_received(self, octets: bytes) -> None:
        began = time.monotonic_ns() if len(octets) >= BULK else 0
        self.heard = self._streams.time()
        if octets == PING and not self._framer.pending:
            self.send(PONG)
            return
        messages = self._framer.feed(octets)
        self.used = self.used or bool(messages)
        if not self._framer.pending:
            self.begun = None
        elif messages or self.begun is None:
            self.begun = self.heard
        for message in messages:
            self._streams.take(message, self._listener, self.hop)
        if began or self._late:
            self._look(len(octets), began)
        if self._framer.fault is not None:
            self._streams.counts["broken streams"] += 1
            self.close()

    def _look(self, octets: int, began: int) -> None:
        """How long what waits in the kernel will have waited, since these octets took so long, with all that had its
        turn between them and those before.
        """
        waiting = self._waiting() if began else 0
        now = time.monotonic_ns()
        took = now - (self._looked if self._late else began)
        self._late, self._looked = waiting > 0, now
        self._streams.late(self.hop.connection, waiting * took // octets)

    def _waiting(self) -> int:
        """Octets that have come and were not read."""
        end = None if self._transport is None else self._transport.get_extra_info("socket")
        if end is None or end.fileno() < 0:
            return 0
        return int.from_bytes(fcntl.ioctl(end.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        self._streams.closed(self)

    def send(self, octets: bytes) -> bool:
        """False: it cannot be sent any more. Who does not read is cut off."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > self._streams.limits.unsent:
            self._streams.counts["slow readers"] += 1
            transport.abort()
            return False
        transport.write(octets)
        return True

    def close(self) -> None:
        """What was written is sent first."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @property
    def held(self) -> int:
        """Octets that are kept for it."""
        unsent = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._framer.pending + unsent

    def is_of(self, listener: int) -> bool:
        """Whether it came, or was opened, through a listener."""
        return self._listener == listener

    def is_revoked(self, revocations: Revocations) -> bool:
        """Whether the certificate at the other end, if it has shown one, is good no more."""
        tls = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        try:
            if tls is not None:
                revocations.check(tls)
        except TlsError:
            return True
        return False


class Streams:
    """All connections of a worker. ``first`` is the number before that of its first connection.

    ``take`` is given each message, with listener and hop; ``failed`` each branch that could not be sent; ``told`` the
    names in the certificates of connections, and none when they are over.
    """

    def __init__(self, take: Take, failed: Failed, limits: StreamLimits, first: int = 0) -> None:
        self.take = take
        self.limits = limits
        self.counts: Counter[str] = Counter()
        self._failed = failed
        self._number = first
        self._transports: dict[int, Transport] = {}
        self._clients: dict[int, ssl.SSLContext | None] = {}
        self._servers: list[asyncio.Server] = []
        self._doors: dict[int, TlsDoor] = {}
        self._ends: dict[int, TlsEnd] = {}
        self._connections: dict[int, Connection] = {}
        self._to: dict[Hop, Connection] = {}
        self._hosts: Counter[bytes] = Counter()
        self._lates: dict[int, int] = {}  # of those connections among them by which more comes than is read
        self._waiting: dict[Hop, list[tuple[bytes, str]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.told: Callable[[int, frozenset[str]], None] = lambda _connection, _names: None
        self.time = asyncio.get_running_loop().time

    # Doors

    async def listen(
        self,
        listener: int,
        transport: Transport,
        host: str,
        port: int,
        server: ssl.SSLContext | None,
        client: ssl.SSLContext | None,
        *,
        shared: bool = False,
    ) -> tuple[str, int]:
        """Open the door of a listener; ``client`` is for connections that it opens itself. OSError."""
        self._transports[listener] = transport
        self._clients[listener] = client
        if server is not None:
            end = self._ends[listener] = TlsEnd(server, None)
            door = self._doors[listener] = TlsDoor(end, lambda: Connection(self, listener, None))
            return door.listen(host, port, shared=shared)
        loop = asyncio.get_running_loop()
        made = await loop.create_server(
            lambda: Connection(self, listener, None), host, port, reuse_port=shared or None, backlog=1_024
        )
        self._servers.append(made)
        address = made.sockets[0].getsockname()
        return str(address[0]), int(address[1])

    def renew(
        self, listener: int, server: ssl.SSLContext, client: ssl.SSLContext | None, revocations: Revocations
    ) -> int:
        """Other files of a TLS door, for connections that come; those whose certificate is revoked end: how many."""
        self._ends[listener].context = server
        self._clients[listener] = client
        ended = [each for each in self._connections.values() if each.is_of(listener) and each.is_revoked(revocations)]
        for each in ended:
            each.abort()
        return len(ended)

    async def close(self) -> None:
        """Close doors and connections."""
        for door in self._doors.values():
            await door.close()
        for server in self._servers:
            server.close()
        for task in tuple(self._tasks):
            task.cancel()
        for connection in tuple(self._connections.values()):
            connection.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # What connections say

    def transport_of(self, listener: int) -> Transport:
        return self._transports[listener]

    def number(self) -> int:
        self._number += 1
        return self._number

    def opened(self, connection: Connection) -> bool:
        """False: there is no room for it."""
        host = network(connection.hop.host)
        full = len(self._connections) >= self.limits.connections or self._hosts[host] >= self.limits.each_host
        if full and connection.opened_to is None:
            self.counts["refused connections"] += 1
            return False
        self._connections[connection.hop.connection] = connection
        self._hosts[host] += 1
        for hop in self._ways(connection):
            self._to.setdefault(hop, connection)
        if connection.names:
            self.told(connection.hop.connection, connection.names)
        return True

    def closed(self, connection: Connection) -> None:
        if self._connections.pop(connection.hop.connection, None) is None:
            return
        self._lates.pop(connection.hop.connection, None)
        if connection.names:
            self.told(connection.hop.connection, frozenset())
        host = network(connection.hop.host)
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
        for hop in self._ways(connection):
            if self._to.get(hop) is connection:
                del self._to[hop]

    def _ways(self, connection: Connection) -> Iterator[Hop]:
        """The addresses that a connection leads to."""
        yield connection.hop._replace(connection=0)
        if connection.opened_to is not None:
            yield connection.opened_to
        if connection.alias is not None:
            yield connection.alias

    def alias(self, alias: Alias) -> None:
        """RFC 5923 8.1: believed when the certificate at the other end has that name, and of our own connections."""
        connection = self._connections.get(alias.hop.connection)
        if connection is None or connection.alias is not None or alias.host.lower() not in connection.names:
            return
        connection.alias = alias.hop._replace(port=alias.port, connection=0)
        self._to.setdefault(connection.alias, connection)

    def named(self) -> list[tuple[int, frozenset[str]]]:
        """Connections whose other end has shown names."""
        return [(number, each.names) for number, each in self._connections.items() if each.names]

    def names_of(self, connection: int) -> frozenset[str]:
        """The names in the certificate at the other end."""
        found = self._connections.get(connection)
        return frozenset() if found is None else found.names

    def __len__(self) -> int:
        return len(self._connections)

    def late(self, connection: int, waited: int) -> None:
        """How long what comes by a connection waits for its turn, in ns."""
        if waited:
            self._lates[connection] = waited
        else:
            self._lates.pop(connection, None)

    def waited(self) -> int:
        """The longest of these; 0: what comes is read."""
        return max(self._lates.values(), default=0)

    # Out

    def send(self, listener: int, hop: Hop, octets: bytes, branch: str, name: str = "") -> None:
        """Over the connection of the hop, another one that leads there, or a new one. ``name``: whose certificate."""
        to = hop._replace(connection=0)
        found = self._connections.get(hop.connection)
        if found is None:
            found = self._to.get(to)
            if found is not None and found.alias == to and name and name not in found.names:
                found = None  # it is another one's who is at the same place
        if found is not None:
            if not found.send(octets) and branch:
                self._failed(branch)
            return
        waiting = self._waiting.get(to)
        if waiting is None:
            if len(self._connections) + len(self._waiting) >= self.limits.connections:
                self._give_up([(octets, branch)])
                return
            waiting = self._waiting[to] = []
            task = asyncio.get_running_loop().create_task(self._connect(listener, to, name))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if len(waiting) >= WAITING:
            self._give_up([(octets, branch)])
        else:
            waiting.append((octets, branch))

    async def _connect(self, listener: int, hop: Hop, name: str) -> None:
        loop = asyncio.get_running_loop()
        context = self._clients.get(listener)
        made: Connection | None = None
        try:
            if hop.transport == "tls" and context is None:
                raise OSError("nobody is trusted there, and nothing goes in clear")
            async with asyncio.timeout(CONNECT_SECONDS):
                _, made = await loop.create_connection(
                    lambda: Connection(self, listener, hop),
                    hop.host,
                    hop.port,
                    ssl=context,
                    server_hostname=(name or hop.host) if context is not None else None,
                )
        except (OSError, ssl.SSLError, TimeoutError):
            self.counts["failed connections"] += 1
        waiting = self._waiting.pop(hop, [])
        if made is None:
            self._give_up(waiting)
            return
        self._give_up([each for each in waiting if not made.send(each[0])])

    def _give_up(self, waiting: list[tuple[bytes, str]]) -> None:
        for _, branch in waiting:
            if branch:
                self._failed(branch)

    def sweep(self) -> None:
        """Close what has been silent for too long, what has begun a message and does not end it, what has brought none
        where there is not much room left, and of those for which octets are held the largest, while they are too many.
        """
        now, held = self.time(), 0
        crowded = CROWDED * len(self._connections) >= (CROWDED - 1) * self.limits.connections
        holding: list[tuple[int, Connection]] = []
        for connection in tuple(self._connections.values()):
            slow = connection.begun is not None and now - connection.begun > self.limits.message
            unused = crowded and not connection.used and now - connection.made > self.limits.message
            if slow or unused or now - connection.heard > self.limits.idle:
                self.counts["idle connections"] += 1
                connection.abort()
            elif octets := connection.held:
                held += octets
                holding.append((octets, connection))
        if held <= self.limits.held:
            return
        for octets, connection in sorted(holding, key=lambda each: -each[0]):
            self.counts["holding connections"] += 1
            connection.abort()
            held -= octets
            if held <= self.limits.held:
                return
