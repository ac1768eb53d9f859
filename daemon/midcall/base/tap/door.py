"""Where a process that may open taps gives them to those that may not: a Unix seqpacket socket, one tap a connection.

Who connects says which kind it wants; by the user it runs as it gets that kind or a refusal in words.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from struct import Struct as Layout
from typing import Final, Protocol

from midcall.base.bounded import BoundedTable
from midcall.base.tap.errors import TapError
from midcall.base.tap.passing import Offer, refuse

BACKLOG: Final = 16
ASK_SECONDS: Final = 2.0
"""In which the kind has to be said."""
KIND_OCTETS: Final = 16
REFUSED: Final = 1_024
"""Users whose refusal is told once."""
ACCEPT_PAUSE: Final = 0.1
_CREDENTIALS = Layout("3i")
_log = logging.getLogger("midcall.li.tap")


class Source(Protocol):
    """What opens taps of one kind."""

    def hand_over(self, connection: socket.socket) -> None: ...


class TapDoor:
    """``sources`` by kind, with the users (by number) that may have each."""

    def __init__(self, path: Path, sources: Mapping[str, tuple[Source, Collection[int]]]) -> None:
        self.given = 0
        self._path = path
        self._sources = sources
        self._told: BoundedTable[int, bool] = BoundedTable("base.tap.refused", REFUSED)

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``. OSError: the socket cannot be made."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.setblocking(False)
            self._path.unlink(missing_ok=True)
            listener.bind(os.fspath(self._path))
            # The user of the other end is asked for, not its rights to a file.
            self._path.chmod(0o666)
            listener.listen(BACKLOG)
            accepting = asyncio.create_task(self._accept(listener))
            try:
                await stop.wait()
            finally:
                accepting.cancel()
                with suppress(asyncio.CancelledError):
                    await accepting
                self._path.unlink(missing_ok=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            with connection:
                connection.setblocking(False)
                try:
                    async with asyncio.timeout(ASK_SECONDS):
                        kind = (await loop.sock_recv(connection, KIND_OCTETS)).decode("ascii", "replace")
                except (OSError, TimeoutError):
                    continue
                self._serve(connection, kind)

    def _serve(self, connection: socket.socket, kind: str) -> None:
        uid = _user(connection)
        source, users = self._sources.get(kind, (None, ()))
        try:
            if source is None or uid not in users:
                if uid not in self._told:
                    self._told.put(uid, True)
                    _log.warning("user %s wants a tap of a kind that it may not have (told once)", uid)
                refuse(connection, Offer(kind, error=f"user {uid} may not have one of kind {kind!r}"))
                return
            source.hand_over(connection)
            self.given += 1
            _log.info("a tap of kind %s was given to user %s", kind, uid)
        except TapError as why:
            _log.error("%s", why)


def ask(path: Path, kind: str, seconds: float = ASK_SECONDS) -> socket.socket:
    """A connection on which a tap of ``kind`` comes. TapError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.settimeout(seconds)
        connection.connect(os.fspath(path))
        connection.send(kind.encode("ascii"))
    except OSError as why:
        connection.close()
        raise TapError(f"{path}: nobody gives taps there: {why.strerror or why}") from None
    return connection


def _user(connection: socket.socket) -> int:
    octets = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(octets)[1])
