"""A door on the network: connections are taken by the files that a TLS end has when they come."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from midcall.base.rates import network
from midcall.base.tls_end import TlsEnd

BACKLOG = 128
HANDSHAKE_SECONDS = 10.0
HANDSHAKES = 256
"""Under way at once: one more ends the oldest of the network that has most of them."""
ACCEPT_PAUSE = 0.1
"""Without a free descriptor a listener would spin."""


class TlsDoor:
    """Listens on one address; ``protocol`` makes what a connection is handed to after its handshake."""

    def __init__(self, end: TlsEnd, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        self._end = end
        self._protocol = protocol
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._shaking: dict[asyncio.Task[None], bytes] = {}

    def listen(self, host: str, port: int, *, shared: bool = False) -> tuple[str, int]:
        """Returns the address, whose port is chosen when ``port`` is 0. OSError.

        ``shared``: other processes listen there too (SO_REUSEPORT).
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
        self._listener = listener = made
        listener.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(listener))
        address: tuple[str, int] = listener.getsockname()[:2]
        return address

    async def close(self) -> None:
        """Take nothing more; connections that stand are their protocols'."""
        tasks = [*self._shaking, *(() if self._accepting is None else (self._accepting,))]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            connection.setblocking(False)
            if len(self._shaking) >= HANDSHAKES:
                (most, _), *_ = Counter(self._shaking.values()).most_common(1)
                oldest = next(task for task, whose in self._shaking.items() if whose == most)
                del self._shaking[oldest]
                oldest.cancel()
            task = asyncio.create_task(self._shake(connection))
            self._shaking[task] = network(address[0])
            task.add_done_callback(lambda done: self._shaking.pop(done, None))

    async def _shake(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError, ssl.SSLError, TimeoutError):
                await asyncio.get_running_loop().connect_accepted_socket(
                    self._protocol,
                    connection,
                    ssl=self._end.context,
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                )
                return
        except BaseException:
            connection.close()
            raise
        connection.close()
