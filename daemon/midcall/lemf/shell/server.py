"""The listener: deliverers in, files and answers out (TS 102 232-1 6.3; the deliverer connects)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import msgspec

from midcall.base.tls_end import TlsEnd
from midcall.lemf.batch import Batch
from midcall.lemf.core import Lemf
from midcall.lemf.findings import Finding, Rule
from midcall.lemf.link import Link
from midcall.lemf.shell import store
from midcall.lemf.shell.connection import Deliverer, Door, Refusal
from midcall.lemf.shell.media import MediaFiles
from midcall.lemf.shell.misbehave import Kind, Misbehaviour
from midcall.lemf.shell.store import Store, StoreError
from midcall.lemf.shell.turns import Turns

HANDSHAKES = 64
"""Connections that have not finished theirs, about 400 kB each; one more ends the oldest."""
TICK = 1.0
SEARCH_SECONDS = 20.0
"""How long an end waits for what is still looked closer at."""
REST = 4
"""Times of a search that pass before the next."""
MOST_REST = 0.25
"""Seconds from one sync to the next at most; a deliverer has more than that under way before it waits for answers."""
REST_STEP = 0.02
WRITE_WITHIN = 0.002
"""Seconds from one time that what has gathered goes into its files, where those look who wait for it, to the next."""

Tell = Callable[[str, str], None]
"""Tells the view: what kind of line, and the line."""


class Receiver:
    """All that one ``midcall lemf`` has: core, store, media, findings, links. ``plays``: files of media are made."""

    def __init__(
        self,
        lemf: Lemf,
        files: Store,
        end: TlsEnd,
        fault: Misbehaviour | None = None,
        tell: Tell | None = None,
        *,
        plays: bool = True,
    ) -> None:
        self.lemf = lemf
        self.store = files
        self.media = MediaFiles(files.folder, files.spend)
        self._plays = plays
        self.end = end
        self.fault = fault
        self.links: dict[str, Deliverer] = {}
        self.turns = Turns()
        self.connections = self.refused = self.findings = self.stored = 0
        self.failed = ""
        self._tell: Tell = tell or (lambda *_: None)
        store.end_line(files.out / store.FINDINGS)
        self._log: TextIO = (files.out / store.FINDINGS).open("a", encoding="ascii")
        (files.out / store.FINDINGS).chmod(0o600)
        self._waiting: list[tuple[Deliverer, list[tuple[str, bytes]]]] = []
        self._held: list[Deliverer] = []
        self._doors: dict[Door, None] = {}
        self._wanted = asyncio.Event()
        self.done = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._writing: asyncio.TimerHandle | None = None
        self._written_at = 0.0
        self._searching: asyncio.Task[None] | None = None
        self._stopping, self._given_up = asyncio.Event(), threading.Event()
        self._server: asyncio.Server | None = None

    # Life

    def restore(self) -> None:
        """Read again what is stored: numbers go on, repeats are known. StoreError, OSError."""
        findings = self.lemf.findings
        for claim in self.store.claims():
            self.lemf.owners.remember(claim)
        before = b""
        for liid, interface, path in self.store.existing():
            findings.quiet = True
            if liid != before:
                self.lemf.recall(time.time_ns())
                before = liid
            link = Link(self.lemf, path.name, quiet=True)
            problem = ""
            for octets in store.chunks(path):
                batch = link.receive(octets, time.time_ns())
                for intercept in batch.stored:
                    for _, stored in intercept.gathered():
                        stored.clear()
                if self.lemf.recalled.full:
                    self.lemf.recall(time.time_ns(), half=True)
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
        findings.quiet = True
        self.lemf.recall(time.time_ns())
        findings.quiet = False
        self.lemf.restored(self.store.told_gaps(), time.time_ns())
        self.tell_findings()

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; returns the address, whose port is chosen when ``port`` is 0. OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._door, host, port)
        self._tasks = [asyncio.create_task(self._commit()), asyncio.create_task(self._tick())]
        address: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        return address

    def _door(self) -> Door | Refusal:
        fault = None if self.fault is None else self.fault.applies(self.connections + 1)
        return Refusal(self) if fault is Kind.REFUSE_TLS else Door(self)

    async def stop(self) -> list[Path]:
        """Close the links, the files, and tell what is still open; returns the files of media."""
        if self._server is not None:
            self._server.close()
        for door in list(self._doors):
            door.shut()
        for link in list(self.links.values()):
            link.drop()
        await self.flush()
        self._stopping.set()
        if self._searching is not None and (await asyncio.wait([self._searching], timeout=SEARCH_SECONDS))[1]:
            self._given_up.set()
            await self._searching
        if self._writing is not None:
            self._writing.cancel()
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
        with contextlib.suppress(OSError):  # what it had no room for was told all the same
            self._log.close()
        return paths

    # Octets

    def received(self, link: Deliverer, data: bytes) -> bool:
        """Judge, store, and answer when it is stored; whether the link's turn ended before its octets did."""
        try:
            batch = link.link.receive(data, time.time_ns())
        except Exception as error:
            # A fault of ours ends this link and no other.
            self.lemf.speaking = ""
            link.end(self._own_fault(error, link.name))
            return False
        try:
            self._keep(batch)
        except (StoreError, OSError) as error:
            self._fail(str(error))
            return False
        if self.lemf.searches and self._searching is None:
            self._searching = asyncio.create_task(self._look_closer())
        for text in batch.events:
            self._tell("event", text)
        self.tell_findings()
        if replies := link.answers(batch.replies):
            self._waiting.append((link, replies))
            self._wanted.set()
        if batch.close:
            link.end(batch.close)
        return batch.more

    def _own_fault(self, error: Exception, link: str = "") -> str:
        """Tell of it, in words without its message, which could show content."""
        text = f"internal error: {type(error).__name__}; please report it"
        self.lemf.findings.add(Finding(Rule.LINK, text, time.time_ns(), link=link))
        self.tell_findings()
        return text

    def hold(self, link: Deliverer) -> None:
        """Its next turn comes when what is stored so far is on its way to the disk."""
        self._held.append(link)
        self._wanted.set()

    def _keep(self, batch: Batch) -> None:
        for claim in self.lemf.owners.take():
            self.store.claim(claim)
        for intercept in batch.stored:
            for interface, octets in intercept.gathered():
                if octets:
                    self.store.append(intercept.liid, interface, b"".join(octets))
                    self.stored += len(octets)
                    octets.clear()
        if batch.stored and self._writing is None:
            loop = asyncio.get_running_loop()
            self._writing = loop.call_at(max(loop.time(), self._written_at + WRITE_WITHIN), self._write)
        for call, media in batch.media if self._plays else ():
            self.media.write(call, media)
        for call in self.lemf.closed_calls:
            self.media.close(call)
        self.lemf.closed_calls.clear()

    async def _look_closer(self) -> None:
        """Failed hashes, one after the other, in a thread; most of the time there is rest for the others."""
        while self.lemf.searches:
            search, begun = self.lemf.searches.popleft(), time.monotonic()
            number = await asyncio.to_thread(search.run, self._given_up.is_set)
            if number is not None:
                self.lemf.located(search, number, time.time_ns())
                self.tell_findings()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), REST * (time.monotonic() - begun))
        self._searching = None

    def _write(self) -> None:
        self._writing = None
        self._written_at = asyncio.get_running_loop().time()
        try:
            self.store.write()
        except (StoreError, OSError) as error:
            self._fail(str(error))

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
            begun = time.monotonic()
            self._wanted.clear()
            await self.flush()
            rest = min(time.monotonic() - begun, MOST_REST)
            while rest > 0 and not self._held and not self._stopping.is_set():
                # What comes meanwhile is synced together: many files cost much less so.
                await asyncio.sleep(min(rest, REST_STEP))
                rest -= REST_STEP

    async def flush(self) -> None:
        """One sync for all that wait; what comes meanwhile waits for the next."""
        waiting, self._waiting = self._waiting, []
        try:
            taken = self.store.take_dirty()
            held, self._held = self._held, []
            for link in held:
                self.turns.add(link)
            await store.sync_together(taken)
        except (StoreError, OSError) as error:
            self._fail(str(error))
            return
        for link, replies in waiting:
            link.send(replies)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            try:
                self.lemf.deadline(time.time_ns())
                self.tell_findings()
                for _ in self.media.tick():
                    await asyncio.sleep(0)  # who delivers does not wait for the media of all calls
            except (StoreError, OSError) as error:
                self._fail(str(error))
            except Exception as error:  # noqa: BLE001 - a fault of ours: gaps of others are still to be told
                self._own_fault(error)

    # What is told

    def tell_findings(self) -> None:
        """What was found, into its file; where that has no room nothing more is taken, as with the records."""
        found = self.lemf.findings.take()
        for finding in found:
            self.findings += 1
            self._tell("finding", str(finding))
        lines = "".join(msgspec.json.encode(finding.as_dict()).decode() + "\n" for finding in found)
        try:
            self._log.write(lines)
            self._log.flush()
            if not self.failed:
                self.store.spend(len(lines))
        except (StoreError, OSError) as error:
            if not self.failed:
                self._fail(f"{store.FINDINGS}: {error}")

    def told(self, kind: str, text: str) -> None:
        self._tell(kind, text)

    def knocked(self, door: Door) -> None:
        """A connection whose handshake is to come."""
        if len(self._doors) >= HANDSHAKES:
            self.refused += 1
            next(iter(self._doors)).shut()
        self._doors[door] = None

    def answered(self, door: Door) -> None:
        """Its handshake is over, whatever came of it."""
        self._doors.pop(door, None)

    def opened(self, link: Deliverer) -> None:
        self.links[link.name] = link

    def closed(self, link: Deliverer) -> None:
        self.links.pop(link.name, None)
        self._waiting = [(each, replies) for each, replies in self._waiting if each is not link]
