"""Where names lead (RFC 3263): NAPTR and SRV from the resolvers of this host, addresses from its own look-up.

As many at once as are useful, each within a deadline. What the DNS does not say in time counts as not being there: the
addresses of the name itself are what is left, as the RFC has it.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from imswire import dns, inet
from imswire.dns import Answer, DnsError, Pointer, Service, Type
from imswire.inet import InetError
from midcall.cscf.values import PORTS, Found, Hop, Resolve, Spot, Transport

AT_ONCE = 32
MOST_ASKED = 4_096
"""Names that are asked for, most of them waiting for their turn."""
DEADLINE_SECONDS = 5.0
ASK_SECONDS = 1.0
"""How long one resolver may take to answer a question, before the next one is asked."""
SERVERS = 3
MOST_SPOTS = 32
"""Places of one name that are kept."""
ADDRESSES_SECONDS = 60
"""How long addresses are believed: the system's look-up does not tell what the DNS says of it."""
LEAST_SECONDS, MOST_SECONDS = 5, 3_600

SERVICES: dict[Transport, str] = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
POINTERS: dict[str, Transport] = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}

Resolved = Callable[[Resolve, Found], None]


class Server(NamedTuple):
    """A resolver."""

    host: str
    port: int = 53


def servers(path: Path = Path("/etc/resolv.conf")) -> tuple[Server, ...]:
    """The resolvers of this host; none: only its own look-up is asked."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    found = [parts[1] for line in lines if (parts := line.split())[:1] == ["nameserver"] and len(parts) > 1]
    return tuple(Server(host) for host in found if _is_address(host))[:SERVERS]


class Resolver:
    """``resolved`` is told where each name leads that was asked for; nowhere, when nobody knows in time."""

    def __init__(self, resolved: Resolved, resolvers: Sequence[Server] | None = None) -> None:
        self._resolved = resolved
        self._servers = servers() if resolvers is None else tuple(resolvers)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: set[Resolve] = set()

    def ask(self, asked: Resolve) -> None:
        """Once, however many want to know it meanwhile; too many at once are nowhere."""
        if asked in self._asked:
            return
        if len(self._asked) >= MOST_ASKED:
            asyncio.get_running_loop().call_soon(self._resolved, asked, Found((), LEAST_SECONDS))
            return
        self._asked.add(asked)
        task = asyncio.get_running_loop().create_task(self._look_up(asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, asked: Resolve) -> None:
        found = Found((), LEAST_SECONDS)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._room:
                found = await self._find(asked)
        except (OSError, TimeoutError, ValueError):
            pass  # ValueError: no name that could be looked up
        finally:
            self._asked.discard(asked)
        self._resolved(asked, found)

    async def _find(self, asked: Resolve) -> Found:
        """RFC 3263 4.1, 4.2: NAPTR, then SRV, then the addresses of the name itself."""
        services: list[tuple[Transport, Service]] = []
        ttl = MOST_SECONDS
        if asked.services and self._servers and "." in asked.host:
            services, ttl = await self._services(asked)
        if not services:
            addresses = await _addresses(asked.host)
            transport = asked.transports[0]
            hops = tuple(Hop(transport, each, asked.port or PORTS[transport]) for each in addresses)
            return Found((Spot(0, 0, hops),) if hops else (), ADDRESSES_SECONDS)
        spots: list[Spot] = []
        targets = [each for each in services if each[1].target][:MOST_SPOTS]
        known = await asyncio.gather(*(_addresses(service.target) for _, service in targets), return_exceptions=True)
        # What stands before in the order of transports goes before any priority.
        ranks = {transport: rank for rank, transport in enumerate(dict.fromkeys(each for each, _ in targets))}
        for (transport, service), there in zip(targets, known, strict=True):
            if isinstance(there, BaseException):
                continue
            hops = tuple(Hop(transport, each, service.port) for each in there)
            spots.append(Spot(ranks[transport] << 16 | service.priority, service.weight, hops))
        return Found(tuple(each for each in spots if each.hops), min(ttl, ADDRESSES_SECONDS))

    async def _services(self, asked: Resolve) -> tuple[list[tuple[Transport, Service]], int]:
        """The services of a name that can be used, and for how many seconds."""
        ways = {each: f"{SERVICES[each]}.{asked.host}" for each in asked.transports}
        ttl = MOST_SECONDS
        if len(asked.transports) > 1:
            pointers = await self._query(asked.host, Type.NAPTR)
            named = list(_pointed(pointers, asked.transports))
            if named:
                ways, ttl = dict(named), pointers.ttl
        answers = await asyncio.gather(*(self._query(name, Type.SRV) for name in ways.values()))
        found: list[tuple[Transport, Service]] = []
        for transport, answer in zip(ways, answers, strict=True):
            services = [each for each in answer.records if isinstance(each, Service)]
            found += [(transport, each) for each in services]
            if services:
                ttl = min(ttl, answer.ttl)
        return found, max(ttl, LEAST_SECONDS)

    async def _query(self, name: str, kind: Type) -> Answer:
        """Of the first resolver that answers; an empty one, when none does."""
        for server in self._servers:
            try:
                answer = await _ask(server, name, kind)
                return await _ask(server, name, kind, stream=True) if answer.cut else answer
            except DnsError:
                break
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                continue
        return Answer((), LEAST_SECONDS, exists=False, cut=False)

    def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()


def _pointed(answer: Answer, wanted: Sequence[Transport]) -> Iterable[tuple[Transport, str]]:
    """By which services a domain wants to be reached, the best first (RFC 3263 4.1)."""
    pointers = [each for each in answer.records if isinstance(each, Pointer) and each.flags == "s"]
    for each in sorted(pointers, key=lambda each: (each.order, each.preference)):
        transport = POINTERS.get(each.service)
        if transport is not None and transport in wanted and each.replacement:
            yield transport, each.replacement


class _Exchange(asyncio.DatagramProtocol):
    """One question and its answer; what is none is not heard."""

    def __init__(self, read: Callable[[bytes], Answer], answered: asyncio.Future[Answer]) -> None:
        self._read = read
        self._answered = answered

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio names it
        try:
            answer = self._read(data)
        except DnsError:
            return
        if not self._answered.done():
            self._answered.set_result(answer)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)


async def _ask(server: Server, name: str, kind: Type, *, stream: bool = False) -> Answer:
    """One question to one resolver; ``stream``: over TCP, for what fits no datagram (RFC 7766 5). DnsError: no name, or
    no answer on the stream; OSError, TimeoutError, IncompleteReadError.
    """
    number = secrets.randbelow(1 << 16)
    question = dns.question(number, name, kind)
    async with asyncio.timeout(ASK_SECONDS):
        if stream:
            return dns.answer(await _on_stream(server, question), number, name, kind)
        return await _exchange(server, question, lambda octets: dns.answer(octets, number, name, kind))


async def _on_stream(server: Server, question: bytes) -> bytes:
    """The answer on a connection of its own, behind its length (RFC 1035 4.2.2)."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(len(question).to_bytes(2, "big") + question)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    finally:
        writer.close()


async def _exchange(server: Server, question: bytes, read: Callable[[bytes], Answer]) -> Answer:
    """Over a port of its own, which nobody can guess. OSError."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Answer] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Exchange(read, answered), remote_addr=(server.host, server.port)
    )
    try:
        transport.sendto(question)
        return await answered
    finally:
        transport.close()


async def _addresses(host: str) -> list[str]:
    """OSError, UnicodeError: it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _is_address(host: str) -> bool:
    try:
        return bool(inet.pack(host))
    except InetError:
        return False
