"""Copies of SIP from proxies on the same host: a Unix seqpacket socket that certain users may open.

What was taken is answered once it is safe: after the commit of the cache, or at once where nothing is kept.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from imswire import sip
from midcall.base import owner_only, sip_copies
from midcall.base.sip_copies import SipCopy
from midcall.events import Instant, SipSeen

CONNECTIONS = 64
COPIES_TOGETHER = 64
"""Taken in one turn of the loop, about: some milliseconds, in which nothing else happens."""
_BLANKS = (b"\r", b"\n")
_CREDENTIALS = struct.Struct("3i")

Take = Callable[[SipSeen], None]


class CopyDoor:
    """``take`` is given each copy. ``users`` may connect, by name; none: our own.

    Counts: ``taken``, ``repeats``, ``other`` (no SIP), ``broken``, ``foreign`` (a user that may not).
    """

    def __init__(self, path: Path, users: tuple[str, ...], take: Take, *, durable: bool) -> None:
        """OSError, KeyError: the socket cannot be opened, or a user does not exist."""
        self.counts: Counter[str] = Counter()
        self._path = path
        self._users = {pwd.getpwnam(name).pw_uid for name in users} or {os.geteuid()}
        self._take = take
        self._durable = durable
        self._last: dict[socket.socket, int] = {}
        self._safe: dict[socket.socket, int] = {}
        self._loop = asyncio.get_running_loop()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.setblocking(False)
        owner_only.make_folder(path.parent)
        path.unlink(missing_ok=True)
        self._listener.bind(str(path))
        path.chmod(0o666)  # who may is asked of the kernel
        self._listener.listen(CONNECTIONS)
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            made, _ = self._listener.accept()
        except OSError:
            return
        _, user, _ = _CREDENTIALS.unpack(made.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if user not in self._users or len(self._last) >= CONNECTIONS:
            self.counts["foreign"] += 1
            made.close()
            return
        made.setblocking(False)
        self._last[made] = self._safe[made] = 0
        self._loop.add_reader(made.fileno(), self._readable, made)

    def _readable(self, made: socket.socket) -> None:
        left = COPIES_TOGETHER
        while left > 0:
            try:
                octets = made.recv(sip_copies.MAX_PACKET * 2)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                octets = b""
            if not octets:
                self._close(made)
                return
            try:
                copies = sip_copies.copies(octets)
            except msgspec.MsgspecError:
                self.counts["broken"] += 1
                self._close(made)
                return
            for copy in copies:
                self._copy(copy)
                self._last[made] = copy.number
            left -= 1 + len(copies)
            if not self._durable:
                self._answer(made, self._last[made])

    def _copy(self, copy: SipCopy) -> None:
        octets = copy.octets
        if not sip.looks_like_sip(octets.lstrip(b"\r\n") if octets[:1] in _BLANKS else octets):
            self.counts["other"] += 1
            return
        self.counts["taken"] += 1
        at = Instant(copy.wall, copy.mono)
        self._take(
            SipSeen(copy.octets, copy.source, copy.destination, at, 0, copy.sent, True, copy.asserted, copy.heeded)
        )

    def committed(self) -> None:
        """All that was taken is safe."""
        self.committing()()

    def committing(self) -> Callable[[], None]:
        """To be called when what was taken until now is safe."""
        taken = dict(self._last)

        def committed() -> None:
            for made, last in taken.items():
                if made in self._last:
                    self._answer(made, last)

        return committed

    def _answer(self, made: socket.socket, last: int) -> None:
        if last <= self._safe[made]:
            return
        try:
            made.send(sip_copies.answer(last))
        except (BlockingIOError, InterruptedError):
            return  # with the next one
        except OSError:
            self._close(made)
            return
        self._safe[made] = last

    def _close(self, made: socket.socket) -> None:
        if made not in self._last:
            return
        self._loop.remove_reader(made.fileno())
        del self._last[made], self._safe[made]
        made.close()

    def close(self) -> None:
        """Stop listening."""
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for made in tuple(self._last):
            self._close(made)
        self._path.unlink(missing_ok=True)
