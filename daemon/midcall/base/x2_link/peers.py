"""Who is at the other end: by its certificate over TLS, by its user on the same host (SO_PEERCRED)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Collection
from pathlib import Path
from struct import Struct as Layout

from msgspec import Struct

from midcall.base.tls_end import TlsEnd

SHUTDOWN_SECONDS = 1.0
_CREDENTIALS = Layout("3i")


class NotAllowed(Exception):
    """Somebody else is at the other end; says who."""


class TlsPeer(Struct, frozen=True):
    """A mediation function elsewhere; nothing is sent before ``end`` has found its certificate right."""

    host: str
    port: int
    end: TlsEnd
    server_hostname: str | None = None

    async def open(self, limit: int, seconds: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect. OSError, ValueError, TimeoutError, TlsError."""
        receive, send = await asyncio.open_connection(
            self.host,
            self.port,
            limit=limit,
            ssl=self.end.context,
            server_hostname=self.server_hostname,
            ssl_handshake_timeout=seconds,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS,
        )
        try:
            self.end.admit(send.transport)
        except BaseException:
            send.transport.abort()
            raise
        return receive, send


class UnixPeer(Struct, frozen=True):
    """A mediation function on this host; ``uids``: the users it may run as."""

    path: Path
    uids: frozenset[int]

    async def open(self, limit: int, seconds: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect. OSError, TimeoutError, NotAllowed."""
        async with asyncio.timeout(seconds):
            receive, send = await asyncio.open_unix_connection(self.path, limit=limit)
        try:
            user(send.get_extra_info("socket"), self.uids)
        except BaseException:
            send.transport.abort()
            raise
        return receive, send


def user(connection: socket.socket, uids: Collection[int]) -> str:
    """``unix:UID`` of the other end. NotAllowed: it is none of ``uids``."""
    # What a transport shows as its socket need not be one.
    with socket.socket(fileno=os.dup(connection.fileno())) as own:
        octets = own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(octets)
    if uid not in uids:
        raise NotAllowed(f"the peer runs as user {uid}, which is not allowed")
    return f"unix:{uid}"
