"""DF2's end of X2 and X3: a listener for several POIs that answers keepalives only after what stands before them is
committed.

Each connection is read, committed and answered in turn, so that a POI which sends faster than is committed waits in
TCP. What a peer does wrong costs its own connection, is told once, and disturbs nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import stat
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from pathlib import Path

from imswire import x2x3
from midcall.base.bounded import BoundedTable
from midcall.base.link_report import LinkEvent, LinkReport
from midcall.base.tls import TlsError
from midcall.base.tls_end import TlsEnd
from midcall.base.x2_link.peers import SHUTDOWN_SECONDS, NotAllowed, user
from midcall.base.x2_link.rows import Rows
from midcall.base.x2_link.session import Commit, CommitFailed, Lane, Session
from midcall.base.x2_link.settings import X2LinkSettings
from midcall.base.x2_link.values import SequenceGap, ServerCounters

BACKLOG = 64
PEERS = 4_096
STRANGERS = 1_024
# Without a free descriptor a listener would spin.
ACCEPT_PAUSE = 0.1
_log = logging.getLogger("midcall.x2")

Admit = Callable[[socket.socket], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter, str]]]


class X2Server:
    """``commit`` is awaited with what one connection brought, in its order; when it returns, all of it is safe.

    Its connection is dropped when it raises, and the POI sends the same again. Batches of one connection are handed on
    in their order, up to ``session.UNDER_WAY`` before the first of them is safe; a connection's first waits for those
    of others of its peer. ``report`` and ``gap`` are called in the loop's thread.
    """

    def __init__(
        self,
        commit: Commit,
        *,
        settings: X2LinkSettings | None = None,
        report: Callable[[LinkEvent], None] | None = None,
        gap: Callable[[SequenceGap], None] | None = None,
    ) -> None:
        self.counters = ServerCounters()
        self.settings = settings or X2LinkSettings()
        self._commit = commit
        self._tell = report or (lambda _: None)
        self._rows = Rows(self.counters, gap or (lambda _: None))
        self._lanes: BoundedTable[str, Lane] = BoundedTable("base.x2_link.peers", PEERS)
        self._strangers: BoundedTable[str, bool] = BoundedTable("base.x2_link.strangers", STRANGERS)
        self._listening: list[tuple[asyncio.Task[None], socket.socket, Path | None]] = []
        self._open: set[asyncio.Task[None]] = set()
        self._sessions: dict[Session, asyncio.Task[None]] = {}

    # Listening

    async def listen_tls(self, host: str, port: int, end: TlsEnd) -> tuple[str, int]:
        """Returns the address, whose port is chosen when ``port`` is 0. OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)

        async def admit(connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
            receive, send = await self._streams(connection, end.context)
            try:
                return receive, send, end.admit(send.transport)
            except BaseException:
                send.transport.abort()
                raise

        self._begin(listener, admit, None)
        address: tuple[str, int] = listener.getsockname()[:2]
        return address

    async def listen_unix(self, path: Path, uids: Collection[int], mode: int = 0o600) -> None:
        """For POIs on this host that run as one of ``uids``. OSError, also when somebody else listens there."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _remove_dead(path)
            listener.bind(os.fspath(path))
            path.chmod(mode)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
        allowed = frozenset(uids)

        async def admit(connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
            name = user(connection, allowed)
            return *await self._streams(connection, None), name

        self._begin(listener, admit, path)

    def _begin(self, listener: socket.socket, admit: Admit, path: Path | None) -> None:
        listener.setblocking(False)
        self._listening.append((asyncio.create_task(self._accept(listener, admit)), listener, path))

    async def _streams(
        self, connection: socket.socket, context: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        receive = asyncio.StreamReader(limit=self.settings.read_octets, loop=loop)
        protocol = asyncio.StreamReaderProtocol(receive, loop=loop)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=context,
            ssl_handshake_timeout=None if context is None else self.settings.connect_seconds,
            ssl_shutdown_timeout=None if context is None else SHUTDOWN_SECONDS,
        )
        return receive, asyncio.StreamWriter(transport, protocol, receive, loop)

    async def stop(self, seconds: float) -> None:
        """Take nothing more; what is being committed may end within ``seconds``; close."""
        for task, listener, path in self._listening:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            listener.close()
            if path is not None:
                path.unlink(missing_ok=True)
        self._listening.clear()
        busy = set()
        for session, task in self._sessions.items():
            if session.busy:
                busy.add(task)
            session.close()
        for task in self._open - busy:
            task.cancel()
        # Also of connections that were lost meanwhile.
        committing = {task for lane in self._lanes.values() for task in lane.under_way}
        if busy or committing:
            await asyncio.wait(busy | committing, timeout=seconds)
        for task in (*self._open, *committing):
            task.cancel()
        await asyncio.gather(*self._open, *committing, return_exceptions=True)

    async def _accept(self, listener: socket.socket, admit: Admit) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            connection.setblocking(False)
            where = str(address[0]) if isinstance(address, tuple) else "unix"
            if len(self._open) >= self.settings.connections:
                connection.close()
                self._refuse(where, "too many connections")
                continue
            task = asyncio.create_task(self._serve(connection, admit, where))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    def _refuse(self, where: str, reason: str) -> None:
        """Somebody is sent away: counted, and told once for each address."""
        self.counters.refused += 1
        if where not in self._strangers:
            self._strangers.put(where, True)
            _log.warning("connection from %s refused: %s (told once)", where, reason)

    # One connection

    async def _serve(self, connection: socket.socket, admit: Admit, where: str) -> None:
        try:
            receive, send, name = await admit(connection)
        except (TlsError, NotAllowed, OSError, TimeoutError) as error:
            connection.close()
            self._refuse(where, str(error) or type(error).__name__)
            return
        except BaseException:
            connection.close()
            raise
        lane = self._lane(name)
        if lane.connections >= self.settings.connections_of_a_peer:
            send.transport.abort()
            self._refuse(name, "too many connections of this peer")
            return
        session = Session(lane, receive, send, self._commit, self._rows, self.settings, self.counters)
        task = asyncio.current_task()
        assert task is not None
        self._sessions[session] = task
        self.counters.connections += 1
        lane.connections += 1
        lane.report.up()
        reason = "stopped"
        try:
            reason = await self._outcome(session, lane)
        finally:
            send.transport.abort()
            del self._sessions[session]
            lane.connections -= 1
            if not lane.connections:
                lane.report.down(reason)

    async def _outcome(self, session: Session, lane: Lane) -> str:
        """Until the connection ends; why it does."""
        try:
            await session.run()
            return "closed"
        except TimeoutError:
            self.counters.silent += 1
            fault = f"no whole PDU within {self.settings.time_p2:g} s"
        except OSError as error:
            return f"connection lost: {str(error) or type(error).__name__}"
        except x2x3.X2X3Error as error:
            self.counters.garbage += 1
            fault = f"sends no X2/X3 PDUs: {error}"
        except CommitFailed as error:
            self.counters.failed += 1
            fault = str(error)
        except Exception as error:  # of our own; its text may quote what came
            self.counters.failed += 1
            fault = f"a fault of this end: {type(error).__name__}"
        if lane.report.fault is None:
            _log.warning("X2/X3 of %s dropped: %s (told once, until it works again)", lane.name, fault)
        lane.report.failed(fault)
        return fault

    def _lane(self, name: str) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = Lane(name, LinkReport(name, "connection", self._tell))
            self._lanes.put(name, lane)
        self._lanes.touch(name)
        return lane


def _remove_dead(path: Path) -> None:
    """Remove a socket that nobody listens on. OSError: somebody does, or it is something else."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(f"{path}: is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise FileExistsError(f"{path}: somebody listens there")
