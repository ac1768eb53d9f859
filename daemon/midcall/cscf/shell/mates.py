"""Workers of one proxy (DESIGN 10): a message belongs to the one that the hash of its Call-ID names.

Whoever reads a message of another's hands it over; what leaves by a connection goes back to the one that has it. A mate
that is not there costs nothing: its messages are served here, as they would be by it after a restart.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

from midcall.base import owner_only
from midcall.cscf.values import Hop, Transport

CONNECTIONS = 1 << 40
"""Numbers of connections that one worker has for itself: a number tells whose it is."""
BUFFER_OCTETS = 4 << 20
WAITING_OCTETS = 32 << 20
"""What may wait for one mate."""
RETRY_SECONDS = 0.2
TOGETHER = 64
_NOWHERE = Hop("udp", "", 0)
_CALL_ID = re.compile(rb"\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_HEAD = struct.Struct(">BBBHQB")
_TRANSPORTS: tuple[Transport, ...] = ("udp", "tcp", "tls")
_IN, _OUT, _BOUND = 0, 1, 2

Message = Callable[[bytes, int, Hop], None]
Bound = Callable[[bytes], None]


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

    def tell(self, told: bytes) -> bool:
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
                return False
            else:
                return True
        if self._octets + len(told) > WAITING_OCTETS:
            self._counts["mate full"] += 1
            return True  # it is there and cannot keep up: the sender will send again
        self._waiting.append(told)
        self._octets += len(told)
        return True

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
        if made is not None:
            self._loop.remove_writer(made.fileno())
            made.close()


class Mates:
    """``me`` counts from 0. ``take`` is given messages that are ours, ``send`` what leaves by a connection of ours,
    ``bound`` the registrations that others have changed.
    """

    def __init__(
        self, folder: Path, me: int, workers: int, key: bytes, take: Message, send: Message, bound: Bound
    ) -> None:
        """OSError: the socket cannot be opened."""
        self._me, self._workers = me, workers
        self._blake = hashlib.blake2b(key=key, digest_size=4, person=b"midcall.mates")
        self._take, self._send, self._bound = take, send, bound
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

    def owner(self, octets: bytes) -> int:
        """The worker to which a message belongs; one without a Call-ID is everybody's."""
        found = _CALL_ID.search(octets)
        if found is None:
            return self._me
        blake = self._blake.copy()
        blake.update(found[1].strip())
        return int.from_bytes(blake.digest(), "big") % self._workers

    def pass_on(self, octets: bytes, listener: int, hop: Hop) -> bool:
        """Hand a message to whom it belongs; False: it is ours, or nobody else is there to serve it."""
        owner = self.owner(octets)
        return owner != self._me and self._tell(owner, _IN, octets, listener, hop)

    def send(self, octets: bytes, listener: int, hop: Hop) -> bool:
        """Send by the connection of another worker; False: it is ours, or gone."""
        owner = hop.connection // CONNECTIONS
        return owner != self._me and owner < self._workers and self._tell(owner, _OUT, octets, listener, hop)

    def tell_bound(self, octets: bytes) -> None:
        """All others learn of a registration."""
        for mate in range(self._workers):
            if mate != self._me:
                self._tell(mate, _BOUND, octets, 0, _NOWHERE)

    def _tell(self, mate: int, kind: int, octets: bytes, listener: int, hop: Hop) -> bool:
        host = hop.host.encode()
        head = _HEAD.pack(kind, listener, _TRANSPORTS.index(hop.transport), hop.port, hop.connection, len(host))
        told = self._links[mate].tell(head + host + octets)
        self.counts["passed on" if told else "mate gone"] += 1
        return told

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
            kind, listener, transport, port, connection, length = _HEAD.unpack_from(told)
            end = _HEAD.size + length
            if kind == _BOUND:
                self._bound(told[end:])
                continue
            hop = Hop(_TRANSPORTS[transport], told[_HEAD.size : end].decode(), port, connection)
            (self._take if kind == _IN else self._send)(told[end:], listener, hop)

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
