"""SIP over UDP: datagrams in and out through one socket a listener, as many at once as have come."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from midcall.cscf.values import Hop

RECEIVE_OCTETS = 8 << 20
SEND_OCTETS = 4 << 20
DATAGRAM = 65_535
TOGETHER = 64
"""Datagrams that are taken in one go, before others have their turn."""
SOURCES = 4_096
"""Hops that are remembered by their address."""

SAMPLED = 64
"""Of so many datagrams one is asked when it came."""
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")

Take = Callable[[bytes, int, Hop], None]


@lru_cache(maxsize=SOURCES)
def _hop(address: tuple[Any, ...]) -> Hop:
    return Hop("udp", address[0], address[1])


class UdpDoor:
    """The socket of a listener; ``take`` is given each datagram with that, and the hop that it came from."""

    def __init__(self, host: str, port: int, listener: int, take: Take, *, shared: bool = False) -> None:
        """OSError: it cannot be opened. ``shared``: other processes listen there too (SO_REUSEPORT)."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._take = take
        self._listener = listener
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            if family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if shared:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_OCTETS)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_OCTETS)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._send = self._socket.sendto
        self._count = 0
        self._together = 1
        self._waited: int | None = None
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)

    def _readable(self) -> None:
        """As many as there were the last time, and twice as many when all of these are there: to ask in vain costs as
        much as a datagram.
        """
        receive, take, listener = self._socket.recvfrom, self._take, self._listener
        for _ in range(self._together):
            self._count += 1
            try:
                octets, address = receive(DATAGRAM) if self._count % SAMPLED else self._sample()
            except (BlockingIOError, InterruptedError):
                self._together = 1
                return
            except OSError:
                continue  # an ICMP error of something that was sent: the transaction's timers see to it
            take(octets, listener, _hop(address))
        self._together = min(2 * self._together, TOGETHER)

    def _sample(self) -> tuple[bytes, tuple[Any, ...]]:
        """A datagram, and how long it has waited for its turn."""
        octets, more, _, address = self._socket.recvmsg(DATAGRAM, 64)
        for level, kind, value in more:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(value)
                waited = max(0, time.time_ns() - seconds * 1_000_000_000 - nanoseconds)
                self._waited = waited if self._waited is None else min(waited, self._waited)
        return octets, address

    def waited(self) -> int:
        """The shortest that a datagram has waited since this was asked last, among those that were looked at; ns. In a
        queue that stands all have waited (RFC 8289 3.1); in one that is emptied at each turn the last ones have not.
        """
        waited, self._waited = self._waited, None
        return waited or 0

    def send(self, octets: bytes, address: tuple[str, int]) -> bool:
        """False: it could not be sent. A full buffer drops it, as the network would."""
        try:
            self._send(octets, address)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        return True

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
