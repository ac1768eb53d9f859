"""Where roles of this host write: a Unix seqpacket socket, whose other end the kernel names the user of.

All that is waiting when the disk is free becomes one group: one write, one sync, one head; then each is answered.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import msgspec

from midcall.audit.ledger import Writer
from midcall.audit.quotas import Quota, Quotas
from midcall.audit.shell.keeper import Group, Keeper, NotWritten
from midcall.base import owner_only
from midcall.base.audit_link.values import (
    MAX_PACKET,
    VERSION,
    Act,
    Answer,
    Ask,
    Hello,
    Kept,
    Note,
    NotKept,
    Outcome,
    Phase,
    Question,
    Role,
    packet,
    question,
)

CONNECTIONS: Final = 64
OF_ONE_USER: Final = 16
"""So that no role keeps the others from their audit."""
TOGETHER: Final = 4_096
"""Notes of one group at most, about: more wait for the next."""
AHEAD: Final = 16
"""Packets of one connection that wait; more are not read before."""
TOLD: Final = 64
STARTED: Final = 4_096
"""Runs that are remembered to have begun."""
OVER = "this role writes more than it may"
RESERVE = 64 << 20
"""Octets of the disk that are not for those who write much."""
_CREDENTIALS = struct.Struct("3i")
li_log = logging.getLogger("midcall.li.audit")


class _Peer:
    """A connection; ``writer`` is known once it has said who it is."""

    __slots__ = ("connection", "paused", "user", "waiting", "writer")

    def __init__(self, connection: socket.socket, user: int) -> None:
        self.connection = connection
        self.user = user
        self.writer: Writer | None = None
        self.waiting = 0
        self.paused = False


class AuditDoor:
    """``users``: which may write as which role, by number.

    ``counts``: notes ``kept`` and ``refused``, of the latter those ``over`` the quota of their writer; connections of
    ``foreign`` users, packets that are ``broken``. ``reserve``: octets of the disk that are for who writes little.
    """

    def __init__(
        self,
        path: Path,
        keeper: Keeper,
        users: Mapping[Role, Collection[int]],
        quota: Quota | None = None,
        reserve: int = RESERVE,
    ) -> None:
        """OSError: the socket cannot be made."""
        self.counts = {"kept": 0, "refused": 0, "over": 0, "foreign": 0, "broken": 0}
        self._quotas = Quotas(quota or Quota())
        self._reserve = reserve
        self._over: dict[Role, int] = {}
        self._path = path
        self._keeper = keeper
        self._users = users
        self._all = {user for each in users.values() for user in each}
        self._peers: dict[int, _Peer] = {}
        self._waiting: deque[tuple[_Peer, Ask]] = deque()
        self._started: dict[bytes, None] = {}
        self._more = asyncio.Event()
        self._turn = asyncio.Lock()
        self._told: set[int] = set()
        self._loop = asyncio.get_running_loop()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._listener.setblocking(False)
            owner_only.make_folder(path.parent)
            path.unlink(missing_ok=True)
            self._listener.bind(os.fspath(path))
            # Who may is asked of the kernel, at each connection.
            path.chmod(0o666)
            self._listener.listen(CONNECTIONS)
        except OSError:
            self._listener.close()
            raise
        self._loop.add_reader(self._listener.fileno(), self._accept)

    # In

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        octets = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        user = int(_CREDENTIALS.unpack(octets)[1])
        own = sum(peer.user == user for peer in self._peers.values())
        if user not in self._all or own >= OF_ONE_USER or len(self._peers) >= CONNECTIONS:
            self._is_foreign(user)
            connection.close()
            return
        connection.setblocking(False)
        self._peers[connection.fileno()] = peer = _Peer(connection, user)
        self._loop.add_reader(connection.fileno(), self._readable, peer)

    def _is_foreign(self, user: int) -> None:
        self.counts["foreign"] += 1
        if user not in self._told and len(self._told) < TOLD:
            self._told.add(user)
            li_log.warning("user %d may not write to the audit, or has no more connections (told once)", user)

    def _readable(self, peer: _Peer) -> None:
        while not peer.paused:
            try:
                octets = peer.connection.recv(MAX_PACKET + 1)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                octets = b""
            if not octets:
                self._close(peer)
                return
            try:
                if len(octets) > MAX_PACKET:
                    raise msgspec.DecodeError
                self._packet(peer, question(octets))
            except (msgspec.MsgspecError, PermissionError):
                self.counts["broken"] += 1
                li_log.warning("user %d said something that is no note; its connection is closed", peer.user)
                self._close(peer)
                return

    def _packet(self, peer: _Peer, said: Question) -> None:
        """PermissionError: not from this one."""
        if isinstance(said, Hello):
            if peer.writer is not None or said.version != VERSION or peer.user not in self._users.get(said.role, ()):
                raise PermissionError
            peer.writer = Writer(said.role, said.instance, said.run)
            return
        if peer.writer is None:
            raise PermissionError
        self._waiting.append((peer, said))
        peer.waiting += 1
        if peer.waiting >= AHEAD:
            peer.paused = True
            self._loop.remove_reader(peer.connection.fileno())
        self._more.set()

    # Out

    async def run(self) -> None:
        """Keep what comes, until it is cancelled."""
        while True:
            await self._more.wait()
            async with self._turn:
                group = self._next()
                if not self._waiting:
                    self._more.clear()
                await self._keep(group)

    def _next(self) -> list[tuple[_Peer, Ask]]:
        taken: list[tuple[_Peer, Ask]] = []
        notes = 0
        while self._waiting and notes < TOGETHER:
            taken.append(self._waiting.popleft())
            notes += len(taken[-1][1].notes)
        return taken

    def _within(self, taken: list[tuple[_Peer, Ask]]) -> list[tuple[_Peer, Ask]]:
        """Without what is over the quota of its writer, which is answered at once."""
        mono, scarce = time.monotonic_ns(), self._keeper.is_scarce(self._reserve)
        within: list[tuple[_Peer, Ask]] = []
        refused: set[tuple[int, Role]] = set()
        for peer, ask in taken:
            assert peer.writer is not None
            role = peer.writer.role
            writer = peer.user, role
            if writer not in refused and self._quotas.take(*writer, len(ask.notes), mono, scarce=scarce):
                within.append((peer, ask))
                continue
            refused.add(writer)  # what he says later is not kept before it
            if role not in self._over:
                li_log.error("the %s writes more to the audit than it may: it is refused, and opens nothing", role)
            self._over[role] = self._over.get(role, 0) + len(ask.notes)
            self.counts["over"] += len(ask.notes)
            self.counts["refused"] += len(ask.notes)
            self._answer(peer, NotKept(ask.number, OVER))
        return within

    async def tell_refused(self) -> None:
        """Write down who was refused for writing too much, and how many notes; again when the disk takes nothing."""
        over, self._over = self._over, {}
        wall = time.time_ns()
        roles = list(Role)
        notes = [
            Note(Act.AUDIT_REFUSE, Phase.EVENT, wall, outcome=Outcome.REFUSED, code=roles.index(role) + 1, count=count)
            for role, count in over.items()
        ]
        try:
            if notes:
                await self._keeper.note(*notes)
        except NotWritten:
            for role, count in over.items():
                self._over[role] = self._over.get(role, 0) + count

    async def _keep(self, asked: list[tuple[_Peer, Ask]]) -> None:
        taken = self._within(asked)
        groups: list[Group] = []
        new: dict[bytes, None] = {}
        alive = frozenset(peer.writer.run for peer in self._peers.values() if peer.writer is not None)
        for peer, ask in taken:
            assert peer.writer is not None
            run = peer.writer.run
            starts = run not in self._started and run not in new
            new[run] = None
            groups.append(Group(peer.writer, ask.notes, alive if starts else None))
        try:
            numbers = await self._keeper.write(groups)
        except NotWritten as error:
            for peer, ask in taken:
                self.counts["refused"] += len(ask.notes)
                self._answer(peer, NotKept(ask.number, str(error)))
            return
        self._started |= new
        while len(self._started) > STARTED:
            del self._started[next(iter(self._started))]
        head = self._keeper.place.head
        for (peer, ask), number in zip(taken, numbers, strict=True):
            self.counts["kept"] += len(ask.notes)
            self._answer(peer, Kept(ask.number, number, head, self._keeper.remarks))

    def _answer(self, peer: _Peer, answer: Answer) -> None:
        peer.waiting -= 1
        if peer.connection.fileno() < 0:
            return
        try:
            peer.connection.send(packet(answer))
        except OSError:
            # Also one that does not take its answers: it asks again after it has connected anew.
            self._close(peer)
            return
        if peer.paused and peer.waiting < AHEAD:
            peer.paused = False
            self._loop.add_reader(peer.connection.fileno(), self._readable, peer)

    def _close(self, peer: _Peer) -> None:
        number = peer.connection.fileno()
        if number < 0:
            return
        self._loop.remove_reader(number)
        self._peers.pop(number, None)
        peer.connection.close()

    async def close(self) -> None:
        """Stop listening; what has come is kept."""
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        self._path.unlink(missing_ok=True)
        async with self._turn:
            while self._waiting:
                await self._keep(self._next())
        for peer in tuple(self._peers.values()):
            self._close(peer)
