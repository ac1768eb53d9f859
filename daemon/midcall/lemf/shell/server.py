"""The listener: deliverers in, files and answers out (TS 102 232-1 6.3; the deliverer connects)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

import msgspec

from midcall.base.tls import PeerName, TlsError
from midcall.lemf.core import Lemf
from midcall.lemf.findings import Finding, Rule
from midcall.lemf.link import Batch, Link
from midcall.lemf.shell import misbehave, store
from midcall.lemf.shell.media import MediaFiles
from midcall.lemf.shell.misbehave import Kind, Misbehaviour
from midcall.lemf.shell.store import Store, StoreError

CONNECTIONS = 64
HANDSHAKES = 64
"""Connections that have not finished theirs, about 400 kB each; one more ends the oldest."""
HANDSHAKE_SECONDS = 10.0
TURN = 64
"""PS-PDUs that go the long way before the other links have their turn: some 100 ms when each has a new LIID."""
WRITE_LIMIT = 1 << 16
"""Octets of answers that a deliverer may leave unread; behind that it is no deliverer."""
TICK = 1.0

Tell = Callable[[str, str], None]
"""Tells the view: what kind of line, and the line."""


class Receiver:
    """All that one ``midcall lemf`` has: core, store, media, findings, links."""

    def __init__(
        self, lemf: Lemf, files: Store, peers: PeerName, fault: Misbehaviour | None = None, tell: Tell | None = None
    ) -> None:
        self.lemf = lemf
        self.store = files
        self.media = MediaFiles(files.folder, files.spend)
        self.peers = peers
        self.fault = fault
        self.links: dict[str, Deliverer] = {}
        self.connections = self.refused = self.findings = self.stored = 0
        self.failed = ""
        self._tell: Tell = tell or (lambda *_: None)
        self._log: TextIO = (files.out / "findings.jsonl").open("a", encoding="ascii")
        (files.out / "findings.jsonl").chmod(0o600)
        self._waiting: list[tuple[Deliverer, list[tuple[str, bytes]]]] = []
        self._held: list[Deliverer] = []
        self._doors: dict[_Door, None] = {}
        self._wanted = asyncio.Event()
        self.done = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None

    # Life

    def restore(self) -> None:
        """Read again what is stored: numbers go on, repeats are known. StoreError, OSError."""
        findings = self.lemf.findings
        for liid, interface, path in self.store.existing():
            findings.quiet = True
            link = Link(self.lemf, path.name, quiet=True)
            problem = ""
            for octets in store.chunks(path):
                batch = link.receive(octets, time.time_ns())
                for intercept in batch.stored:
                    intercept.hi2.clear()
                    intercept.hi3.clear()
                if batch.close:
                    problem = batch.close
                    break
            findings.quiet = False
            if problem:
                text = f"{interface}.ber: {problem}; set aside as {store.set_aside(path).name}"
                findings.add(Finding(Rule.STORE, text, time.time_ns(), liid=liid.decode("latin-1")))
            elif link.pending:
                store.cut(path, link.pending)
                text = f"{interface}.ber: {link.pending} octets of a PS-PDU that was never complete are cut off"
                findings.add(Finding(Rule.STORE, text, time.time_ns(), liid=liid.decode("latin-1")))
        self.lemf.restored()
        self.tell_findings()

    async def start(self, host: str, port: int, context: ssl.SSLContext) -> tuple[str, int]:
        """Listen; returns the address, whose port is chosen when ``port`` is 0. OSError."""
        loop = asyncio.get_running_loop()
        if self.fault is not None and self.fault.kind is Kind.REFUSE_TLS:
            self._server = await loop.create_server(lambda: _Refusal(self), host, port)
        else:
            self._server = await loop.create_server(lambda: _Door(self, context), host, port)
        self._tasks = [asyncio.create_task(self._commit()), asyncio.create_task(self._tick())]
        address: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        return address

    async def stop(self) -> list[Path]:
        """Close the links, the files, and tell what is still open; returns the files of media."""
        if self._server is not None:
            self._server.close()
        for door in list(self._doors):
            door.shut()
        for link in list(self.links.values()):
            link.drop()
        await self.flush()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.lemf.finish(time.time_ns())
        self.tell_findings()
        paths: list[Path] = []
        with contextlib.suppress(StoreError, OSError):
            paths = self.media.close_all()
            self.store.close()
        self._log.close()
        return paths

    # Octets

    def received(self, link: Deliverer, data: bytes) -> bool:
        """Judge, store, and answer when it is stored; whether the link's turn ended before its octets did."""
        try:
            batch = link.link.receive(data, time.time_ns())
        except Exception as error:
            # A fault of ours ends this link and no other; its message could show content.
            text = f"internal error: {type(error).__name__}; please report it"
            self.lemf.findings.add(Finding(Rule.LINK, text, time.time_ns(), link=link.name))
            self.tell_findings()
            link.end(text)
            return False
        try:
            self._keep(batch)
        except (StoreError, OSError) as error:
            self._fail(str(error))
            return False
        for text in batch.events:
            self._tell("event", text)
        self.tell_findings()
        if replies := link.answers(batch.replies):
            self._waiting.append((link, replies))
            self._wanted.set()
        if batch.close:
            link.end(batch.close)
        return batch.more

    def hold(self, link: Deliverer) -> None:
        """Its next turn comes when what is stored so far is on its way to the disk."""
        self._held.append(link)
        self._wanted.set()

    def _keep(self, batch: Batch) -> None:
        for intercept in batch.stored:
            for interface, octets in (("hi2", intercept.hi2), ("hi3", intercept.hi3)):
                if octets:
                    self.store.append(intercept.liid, interface, b"".join(octets))
                    self.stored += len(octets)
                    octets.clear()
        for call, media in batch.media:
            self.media.write(call, media)
        for call in self.lemf.closed_calls:
            self.media.close(call)
        self.lemf.closed_calls.clear()

    def _fail(self, reason: str) -> None:
        """Nothing can be stored: nothing is acknowledged, and nobody may think it was."""
        self.failed = reason
        text = f"{reason}; links are closed, nothing more is taken"
        self.lemf.findings.add(Finding(Rule.STORE, text, time.time_ns()))
        self.tell_findings()
        self._waiting.clear()
        for link in list(self.links.values()):
            link.end("cannot store")
        # What was judged is not on disk: only a new start, which reads what is there, knows the truth again.
        self.done.set()

    async def _commit(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self.flush()

    async def flush(self) -> None:
        """One sync for all that wait; what comes meanwhile waits for the next."""
        waiting, self._waiting = self._waiting, []
        try:
            taken = self.store.take_dirty()
            held, self._held = self._held, []
            for link in held:
                asyncio.get_running_loop().call_soon(link.turn)
            await store.sync_together(taken)
        except (StoreError, OSError) as error:
            self._fail(str(error))
            return
        for link, replies in waiting:
            link.send(replies)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self.lemf.deadline(time.time_ns())
            self.tell_findings()
            try:
                self.media.tick()
            except (StoreError, OSError) as error:
                self._fail(str(error))

    # What is told

    def tell_findings(self) -> None:
        found = self.lemf.findings.take()
        for finding in found:
            self.findings += 1
            self._log.write(msgspec.json.encode(finding.as_dict()).decode() + "\n")
            self._tell("finding", str(finding))
        if found:
            self._log.flush()

    def told(self, kind: str, text: str) -> None:
        self._tell(kind, text)

    def knocked(self, door: _Door) -> None:
        """A connection whose handshake is to come."""
        if len(self._doors) >= HANDSHAKES:
            self.refused += 1
            next(iter(self._doors)).shut()
        self._doors[door] = None

    def answered(self, door: _Door) -> None:
        """Its handshake is over, whatever came of it."""
        self._doors.pop(door, None)

    def opened(self, link: Deliverer) -> None:
        self.links[link.name] = link

    def closed(self, link: Deliverer) -> None:
        self.links.pop(link.name, None)
        self._waiting = [(each, replies) for each, replies in self._waiting if each is not link]


class _Door(asyncio.Protocol):
    """One connection until its handshake is over."""

    transport: asyncio.Transport

    def __init__(self, receiver: Receiver, context: ssl.SSLContext) -> None:
        self._receiver = receiver
        self._context = context
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.pause_reading()  # until TLS reads
        self._receiver.knocked(self)
        self._task = asyncio.get_running_loop().create_task(self._shake())

    def shut(self) -> None:
        """The handshake took too long for those who wait."""
        self._receiver.answered(self)
        self.transport.abort()

    async def _shake(self) -> None:
        link = Deliverer(self._receiver)
        made: asyncio.Transport | None = None
        try:
            if not self.transport.is_closing():
                made = await asyncio.get_running_loop().start_tls(
                    self.transport,
                    link,
                    self._context,
                    server_side=True,
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                )
        except OSError:
            # Nobody's deliverer, or nobody at all: ssl.SSLError and what ends connections are OSErrors.
            self.transport.abort()
        finally:
            self._receiver.answered(self)
        if made is not None:
            link.connection_made(made)


class Deliverer(asyncio.Protocol):
    """One connection. What comes in is judged in turns, so that no deliverer keeps the others waiting."""

    transport: asyncio.Transport

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.name = "?"
        self.since = time.time()
        self._fault: Kind | None = None
        self._made = self._open = self._lost = False
        self._error: Exception | None = None
        self._unread: list[bytes] = []
        self._waits = False
        self._taken = 0
        self._resume: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._made = True
        receiver = self._receiver
        receiver.connections += 1
        host, port = transport.get_extra_info("peername")[:2]
        peer = f"{host}:{port}"
        try:
            shown = receiver.peers.check(transport.get_extra_info("ssl_object"))
        except TlsError as error:
            self._refuse(f"{peer}: {error}")
            return
        self.name = f"{shown} {peer} #{receiver.connections}"
        self.link = Link(receiver.lemf, self.name, turn=TURN)
        if len(receiver.links) >= CONNECTIONS:
            self._refuse(f"{peer}: more than {CONNECTIONS} connections")
            return
        if receiver.failed:
            self._refuse(f"{peer}: {receiver.failed}")
            return
        transport.set_write_buffer_limits(WRITE_LIMIT)
        self._open = True
        receiver.opened(self)
        receiver.told("link", f"{self.name}: connected")
        self._fault = receiver.fault.applies(receiver.connections) if receiver.fault else None
        if self._fault is Kind.ACCEPT_THEN_CLOSE:
            self.end("misbehaves: accept-then-close")
        elif self._fault is Kind.GARBAGE:
            transport.write(misbehave.GARBAGE)
        early, self._unread = self._unread, []
        for data in early:
            self.data_received(data)

    def _refuse(self, reason: str) -> None:
        self._receiver.refused += 1
        self._receiver.told("link", f"refused: {reason}")
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._made:
            self._unread.append(data)  # in the same record as the end of the handshake
            return
        if not self._open:
            return
        self._taken += len(data)
        if self._fault is Kind.RESET_INSIDE_PDU and self._taken >= misbehave.RESET_AFTER:
            self._receiver.received(self, data[: -1 - len(data) % 97])
            self._open = False
            misbehave.reset(self.transport)
            return
        if self._fault is Kind.SLOW_READ:
            self._pause()
        self._unread.append(data)
        if not self._waits:
            self._waits = True
            self.turn()

    def turn(self) -> None:
        """Judge some of what came; the rest when the others have had their turn."""
        if not self._waits:
            return
        receiver = self._receiver
        if receiver.store.crowded:
            self.transport.pause_reading()
            receiver.hold(self)
            return
        data, self._unread = b"".join(self._unread), []
        more = receiver.received(self, data)
        if not self._open:
            return
        if more:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_soon(self.turn)
            return
        self._waits = False
        if self._lost:
            self._finish()
        elif self._resume is None:
            self._go_on()

    def _pause(self) -> None:
        if self._resume is None:
            self.transport.pause_reading()
            self._resume = asyncio.get_running_loop().call_later(misbehave.SLOW_PAUSE, self._go_on)

    def _go_on(self) -> None:
        self._resume = None
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def answers(self, replies: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Those that are to be sent."""
        kept_back = {Kind.NO_KEEPALIVE_ANSWER: "KeepAliveResponse", Kind.NO_ACKNOWLEDGEMENT: "AckResponse"}
        silent = kept_back.get(self._fault) if self._fault else None
        return [reply for reply in replies if reply[0] != silent]

    def send(self, replies: list[tuple[str, bytes]]) -> None:
        if self._open and not self.transport.is_closing():
            self.transport.write(b"".join(octets for _, octets in replies))

    def pause_writing(self) -> None:
        """Answers are not read."""
        self.end("does not read what it is answered")

    def end(self, reason: str) -> None:
        if self._open:
            self._receiver.told("link", f"{self.name}: closed: {reason}")
            self.drop()

    def drop(self) -> None:
        """Nothing more is taken, of what came before either; it was not acknowledged."""
        self._open = self._waits = False
        self.transport.close()
        if self._lost:
            self._finish()

    def connection_lost(self, error: Exception | None) -> None:
        self._lost, self._error = True, error
        if not self._waits:
            self._finish()

    def _finish(self) -> None:
        error = self._error
        if self._resume is not None:
            self._resume.cancel()
        if self.name != "?":
            pending = self.link.pending
            inside = f", {pending} octets of a PS-PDU were not complete" if pending else ""
            self._receiver.told("link", f"{self.name}: {error or 'disconnected'}{inside}")
        self._open = False
        self._receiver.closed(self)


class _Refusal(asyncio.Protocol):
    """Takes the connection, and closes it before a handshake."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._receiver.connections += 1
        misbehave.reset(transport)
