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
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from midcall.base import owner_only
from midcall.cscf.values import Hop, Transport

CONNECTIONS = 1 << 40
"""Numbers of connections that one worker has for itself: a number tells whose it is."""
BUFFER_OCTETS = 4 << 20
TOGETHER = 64
_NOWHERE = Hop("udp", "", 0)
_CALL_ID = re.compile(rb"\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_HEAD = struct.Struct(">BBBHQB")
_TRANSPORTS: tuple[Transport, ...] = ("udp", "tcp", "tls")
_IN, _OUT, _BOUND = 0, 1, 2

Message = Callable[[bytes, int, Hop], None]
Bound = Callable[[bytes], None]


class Mates:
    """``me`` counts from 0. ``take`` is given messages that are ours, ``send`` what leaves by a connection of ours,
    ``bound`` the registrations that others have changed.
    """

    def __init__(
        self, folder: Path, me: int, workers: int, key: bytes, take: Message, send: Message, bound: Bound
    ) -> None:
        """OSError: the socket cannot be opened."""
        self._bound = bound
        self._me, self._workers = me, workers
        self._blake = hashlib.blake2b(key=key, digest_size=4, person=b"midcall.mates")
        self._take, self._send = take, send
        self._paths = [str(folder / f"worker-{number}") for number in range(workers)]
        self.counts: Counter[str] = Counter()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_OCTETS)
        owner_only.make_folder(folder)
        Path(self._paths[me]).unlink(missing_ok=True)
        self._socket.bind(self._paths[me])
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)

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
        try:
            self._socket.sendto(head + host + octets, self._paths[mate])
        except BlockingIOError:
            # It is there and cannot keep up: the sender will send again.
            self.counts["mate full"] += 1
            return True
        except OSError:
            self.counts["mate gone"] += 1
            return False
        self.counts["passed on"] += 1
        return True

    def _readable(self) -> None:
        for _ in range(TOGETHER):
            try:
                told = self._socket.recv(1 << 17)
            except (BlockingIOError, InterruptedError):
                return
            kind, listener, transport, port, connection, length = _HEAD.unpack_from(told)
            end = _HEAD.size + length
            if kind == _BOUND:
                self._bound(told[end:])
                continue
            hop = Hop(_TRANSPORTS[transport], told[_HEAD.size : end].decode(), port, connection)
            (self._take if kind == _IN else self._send)(told[end:], listener, hop)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        Path(self._paths[self._me]).unlink(missing_ok=True)
