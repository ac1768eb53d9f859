"""Workers of one proxy (DESIGN 10): a message belongs to the one that the hash of its Call-ID names.

Whoever reads a message of another's hands it over; what leaves by a connection goes back to the one that has it. A mate
that is not there costs nothing: the next one serves its messages, as it would itself after a restart.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from midcall.base import owner_only
from midcall.base.bounded import BoundedTable
from midcall.cscf.calls import Calls
from midcall.cscf.values import Hop, Transport

CONNECTIONS = 1 << 40
"""Numbers of connections that one worker has for itself: a number tells whose it is."""
BUFFER_OCTETS = 4 << 20
WAITING_OCTETS = 32 << 20
"""What may wait for one mate."""
RETRY_SECONDS = 0.2
TOGETHER = 64
CALLS = 1 << 16
"""Calls of others that one worker keeps, and calls of its own that it leaves to others."""
CALLS_TOGETHER = 8_192
KEPT_SECONDS = 200.0
"""Longer than any transaction without a message: Timer C is three minutes."""
TOLD_SECONDS = 0.5
"""How long a worker that comes back waits for what the others say, before it opens its doors."""
_CALL = struct.Struct(">Q")
_HEAD = struct.Struct(">BBBHQB")
_TRANSPORTS: tuple[Transport, ...] = ("udp", "tcp", "tls")
_IN, _OUT, _BOUND, _KEPT, _BACK, _LENT, _NAMED = range(7)

Message = Callable[[bytes, int, Hop], None]
Bound = Callable[[bytes], None]
Named = Callable[[], Iterable[tuple[int, frozenset[str]]]]
"""Connections of ours whose other end has shown names in a certificate."""


class _Link:
    """The way to one mate: a seqpacket connection, and what waits while it takes no more."""

    def __init__(self, path: str, counts: Counter[str]) -> None:
        self._path = path
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._again = 0.0
        self._waiting: deque[bytes] = deque()
        self._octets = 0

    def tell(self, told: bytes, *, again: bool = True) -> bool:
        """False: the mate is not there."""
        made = self._socket or self._connect()
        if made is None:
            return False
        if not self._waiting:
            try:
                made.send(told)
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(made.fileno(), self._writable)
            except OSError:
                self.close()
                return again and self.tell(told, again=False)  # it may have come back
            else:
                return True
        if self._octets + len(told) > WAITING_OCTETS:
            self._counts["mate full"] += 1
            return True  # it is there and cannot keep up: the sender will send again
        self._waiting.append(told)
        self._octets += len(told)
        return True

    def is_back(self) -> None:
        """It has been heard of: the next word goes to it at once."""
        self._again = 0.0

    def _connect(self) -> socket.socket | None:
        now = self._loop.time()
        if now < self._again:
            return None
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        made.setblocking(False)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_OCTETS)
            made.connect(self._path)
        except OSError:
            made.close()
            self._again = now + RETRY_SECONDS
            return None
        self._socket = made
        return made

    def _writable(self) -> None:
        made = self._socket
        while made is not None and self._waiting:
            try:
                made.send(self._waiting[0])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._counts["mate gone"] += len(self._waiting)
                self.close()
                return
            self._octets -= len(self._waiting.popleft())
        if made is not None:
            self._loop.remove_writer(made.fileno())

    def close(self) -> None:
        made, self._socket = self._socket, None
        self._waiting.clear()
        self._octets = 0
        self._again = 0.0
        if made is not None:
            self._loop.remove_writer(made.fileno())
            made.close()


class Mates:
    """``me`` counts from 0. ``take`` is given messages that are ours, ``send`` what leaves by a connection of ours,
    ``bound`` the registrations that others have changed.

    When the one to whom a call belongs is not there, the next one who is has it, and keeps it while there may be
    transactions of it: one that comes back asks the others which of its calls they have.
    """

    def __init__(
        self, folder: Path, me: int, workers: int, calls: Calls, take: Message, send: Message, bound: Bound
    ) -> None:
        """OSError: the socket cannot be opened."""
        self._me, self._workers = me, workers
        self._calls = calls
        self._take, self._send, self._bound = take, send, bound
        self._kept: BoundedTable[int, float] = BoundedTable("cscf.kept_calls", CALLS)  # until when: calls of others
        self._lent: BoundedTable[int, int] = BoundedTable("cscf.lent_calls", CALLS)  # who has them: calls of ours
        self._names: BoundedTable[int, frozenset[str]] = BoundedTable("cscf.mates_names", CALLS)
        self.named: Named = tuple
        self.counts: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._path = folder / f"worker-{me}"
        self._links = [_Link(str(folder / f"worker-{number}"), self.counts) for number in range(workers)]
        self._mates: set[socket.socket] = set()
        owner_only.make_folder(folder)
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        self._socket.bind(str(self._path))
        self._socket.listen(2 * workers)
        self._loop.add_reader(self._socket.fileno(), self._accept)
        self._asked = {mate for mate in range(workers) if mate != me and self._say(mate, _BACK)}
        self._told = asyncio.Event()

    async def told(self) -> None:
        """Wait until all who are there have told which of our calls they have, for a short time."""
        if self._asked:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), TOLD_SECONDS)

    def pass_on(self, octets: bytes, listener: int, hop: Hop) -> bool:
        """Hand a message to whom it belongs; False: it is ours."""
        call = self._calls.of(octets)
        if not call:
            return False  # everybody's
        owner = call % self._workers
        if owner == self._me:
            return len(self._lent) > 0 and self._leave(call, octets, listener, hop)
        if len(self._kept) and self._is_kept(call):
            return False
        if self._tell(owner, _IN, octets, listener, hop):
            return True
        for step in range(1, self._workers):
            mate = (owner + step) % self._workers
            if mate == self._me:
                break
            if self._tell(mate, _KEPT, octets, listener, hop):
                return True
        self._keep(call)
        return False

    def _leave(self, call: int, octets: bytes, listener: int, hop: Hop) -> bool:
        """Hand a message to whom its call of ours was left."""
        mate = self._lent.get(call)
        if mate is None:
            return False
        if self._tell(mate, _KEPT, octets, listener, hop):
            return True
        self._lent.pop(call)
        return False

    def _is_kept(self, call: int) -> bool:
        until = self._kept.get(call)
        if until is None or until < self._loop.time():
            return False
        self._keep(call)
        return True

    def _keep(self, call: int) -> None:
        self._kept.put(call, self._loop.time() + KEPT_SECONDS)
        self._kept.touch(call)

    def send(self, octets: bytes, listener: int, hop: Hop) -> bool:
        """Send by the connection of another worker; False: it is ours, or gone."""
        owner = hop.connection // CONNECTIONS
        return owner != self._me and owner < self._workers and self._tell(owner, _OUT, octets, listener, hop)

    def tell_bound(self, octets: bytes) -> None:
        """All others learn of a registration."""
        for mate in range(self._workers):
            if mate != self._me:
                self._say(mate, _BOUND, octets)

    def tell_names(self, connection: int, names: frozenset[str]) -> None:
        """All others learn who is at the other end of a connection of ours; no names: it is over."""
        for mate in range(self._workers):
            if mate != self._me:
                self._name(mate, connection, names)

    def names_of(self, connection: int) -> frozenset[str]:
        """The names at the other end of a connection of another worker."""
        return self._names.get(connection) or frozenset()

    def _name(self, mate: int, connection: int, names: frozenset[str]) -> None:
        head = _HEAD.pack(_NAMED, 0, 0, 0, connection, 0)
        self._links[mate].tell(head + "\n".join(sorted(names)).encode())

    def _tell(self, mate: int, kind: int, octets: bytes, listener: int, hop: Hop) -> bool:
        host = hop.host.encode()
        head = _HEAD.pack(kind, listener, _TRANSPORTS.index(hop.transport), hop.port, hop.connection, len(host))
        told = self._links[mate].tell(head + host + octets)
        self.counts["passed on" if told else "mate gone"] += 1
        return told

    def _say(self, mate: int, kind: int, octets: bytes = b"", more: int = 0) -> bool:
        """Something that is no SIP message; who says it stands where a message has its connection."""
        return self._links[mate].tell(_HEAD.pack(kind, more, 0, 0, self._me, 0) + octets)

    def _back(self, mate: int) -> None:
        """A mate is back: which of its calls are here."""
        if mate == self._me or mate >= self._workers:
            return
        self._links[mate].is_back()
        for connection in [each for each in self._names if each // CONNECTIONS == mate]:
            self._names.pop(connection)  # its connections are others now, under the same numbers
        for connection, names in self.named():
            self._name(mate, connection, names)
        now = self._loop.time()
        calls = [call for call, until in self._kept.items() if until >= now and call % self._workers == mate]
        parts = [calls[place : place + CALLS_TOGETHER] for place in range(0, len(calls), CALLS_TOGETHER)] or [[]]
        for number, part in enumerate(parts, 1):
            self._say(mate, _LENT, struct.pack(f">{len(part)}Q", *part), number < len(parts))

    def _lend(self, mate: int, octets: bytes, more: int) -> None:
        for (call,) in _CALL.iter_unpack(octets[: len(octets) // _CALL.size * _CALL.size]):
            self._lent.put(call, mate)
        if not more:
            self._asked.discard(mate)
            if not self._asked:
                self._told.set()

    def _accept(self) -> None:
        try:
            made, _ = self._socket.accept()
        except OSError:
            return
        made.setblocking(False)
        self._mates.add(made)
        self._loop.add_reader(made.fileno(), self._readable, made)

    def _readable(self, made: socket.socket) -> None:
        for _ in range(TOGETHER):
            try:
                told = made.recv(1 << 17)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                told = b""
            if len(told) < _HEAD.size:
                self._forget(made)
                return
            self._hear(told)

    def _hear(self, told: bytes) -> None:
        kind, listener, transport, port, connection, length = _HEAD.unpack_from(told)
        end = _HEAD.size + length
        octets = told[end:]
        if kind == _BOUND:
            self._bound(octets)
        elif kind == _BACK:
            self._back(connection)
        elif kind == _NAMED:
            if octets:
                self._names.put(connection, frozenset(octets.decode().split("\n")))
            else:
                self._names.pop(connection)
        elif kind == _LENT:
            self._lend(connection, octets, listener)
        else:
            hop = Hop(_TRANSPORTS[transport], told[_HEAD.size : end].decode(), port, connection)
            if kind == _KEPT:
                self._keep(self._calls.of(octets))
            elif kind == _IN and len(self._lent) and self._leave(self._calls.of(octets), octets, listener, hop):
                return
            (self._send if kind == _OUT else self._take)(octets, listener, hop)

    def _forget(self, made: socket.socket) -> None:
        self._loop.remove_reader(made.fileno())
        self._mates.discard(made)
        made.close()

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._path.unlink(missing_ok=True)
        for made in tuple(self._mates):
            self._forget(made)
        for link in self._links:
            link.close()
