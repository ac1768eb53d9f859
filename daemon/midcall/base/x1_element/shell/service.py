"""An element's end of X1 as a service: the door for its ADMF, the store, the clock, and reports.

What is acknowledged is on the disk, and has been handed to the element's own function. One thing happens at a time:
what asks meanwhile, and what time brings, waits for its turn, for as long as the one before waits for the disk. Nothing
else in the process does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from imswire import x1
from imswire.x1 import ErrorCode
from midcall.base import https, tls
from midcall.base.audit_link import Act, AuditClient, Intent, NotAudited
from midcall.base.bounded import BoundedTable
from midcall.base.frame import RoleError
from midcall.base.https import HttpsClient, HttpsServer, Limits
from midcall.base.rates import Rates
from midcall.base.seal import SealKey
from midcall.base.sweep import Sweep
from midcall.base.tls import PeerName
from midcall.base.tls_end import TlsEnd
from midcall.base.warrant import Outcome, Refused, TrustList
from midcall.base.x1_element.element import Element
from midcall.base.x1_element.peer import Peer
from midcall.base.x1_element.settings import SECOND, Settings
from midcall.base.x1_element.shell import binding, placed
from midcall.base.x1_element.shell.audited import NOT_AUDITED, Audited
from midcall.base.x1_element.shell.keeper import Keeper, TooSlow
from midcall.base.x1_element.shell.reporter import Reporter, Waiting
from midcall.base.x1_element.shell.store import StoreError, X1Store
from midcall.base.x1_element.values import Armed, Changed, Disarmed, Follow, Intercepted, Issue, NeIssue, Step
from midcall.events import Instant

PATH = "/X1/NE"
KIND = "application/xml"
WATCH_SECONDS = 0.5
"""How often the wall clock is looked at while a task is held: a window is to end within a second by either clock."""
LOOK_SECONDS = 60.0
STOP_SECONDS = 0.3
"""How long a request that has begun may take when the door closes; its ADMF asks again."""
HEARD_NS = 60 * SECOND
"""How far behind the stored time of the last request may be."""
MAX_CERTIFICATES = 256
MAX_PEERS = 256
STORE, DOOR, AUDIT = "store", "x1", "audit"
log = logging.getLogger("midcall.x1")
li_log = logging.getLogger("midcall.li.x1")

Positive = Annotated[int, Meta(ge=1)]
OnFollow = Callable[[Follow], None]


class Endpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an element is asked, and where it reports.

    ``listen``: host and port. ``admf``: ``https://host:port`` of the ADMF, empty: nothing is reported. ``store``: file
    of the sealed database. ``placed``: folder of warrants that come apart from tasks, read at start and each minute.
    ``per_minute`` requests of one certificate are answered, after a burst of ``burst``. ``body_seconds``: in which a
    request has to be there.
    """

    listen: tuple[str, int]
    identity: tls.Identity
    admf: str = ""
    store: Path
    placed: Path | None = None
    connections: Positive = 64
    per_minute: Positive = 6_000
    burst: Positive = 1_000
    body_seconds: float = 5.0


def clock() -> Instant:
    return Instant(time.time_ns(), time.monotonic_ns())


class X1Service:
    """One element. ``follow`` is told what to do, before the ADMF is; what it raises makes a task fail.

    ``intercepted`` tells what a task has given, for ADMFs. ``prepare`` hears of orders before they count, and may wait.
    """

    prepare: Callable[[tuple[Follow, ...]], Awaitable[None]] | None = None

    def __init__(
        self,
        settings: Settings,
        endpoint: Endpoint,
        trust: TrustList,
        seal: SealKey,
        follow: OnFollow,
        now: Callable[[], Instant] = clock,
        intercepted: Callable[[str], Intercepted] = lambda _: Intercepted(),
        audit: AuditClient | None = None,
    ) -> None:
        """Read all files. TlsError, RoleError."""
        self.settings = settings
        self.endpoint = endpoint
        self.refused = 0
        self._audited = Audited(audit)
        self._sweep = Sweep()
        self._follow = follow
        self._now = now
        self._more = asyncio.Event()
        self._turn = asyncio.Lock()
        self._closed = False
        self._scanned: dict[Path, tuple[int, int]] = {}
        self._reporter: Reporter | None = None
        self._client: HttpsClient | None = None
        self._server: HttpsServer | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._peers: BoundedTable[bytes, Peer] = BoundedTable("base.x1_element.certificates", MAX_CERTIFICATES)
        paid: BoundedTable[bytes, int] = BoundedTable("base.x1_element.rates", MAX_PEERS)
        self._rates = Rates(paid, endpoint.per_minute, endpoint.burst)
        self._end, self._outwards = _ends(settings, endpoint.identity)
        try:
            self.store = X1Store(endpoint.store, seal, settings.admf, settings.ne)
        except StoreError as error:
            raise RoleError(str(error)) from None
        try:
            memory, self._unreported = self.store.read(), self.store.reports()
        except StoreError as error:
            self.store.close()
            raise RoleError(str(error)) from None
        self._keeper = Keeper(self.store)
        self._stored_heard = memory.heard
        self.element = Element(settings, trust, now(), memory, intercepted)
        self._audited.trusted(trust, Act.CONFIGURATION_READ)
        if settings.unsigned == "accept":
            li_log.warning("warrants.unsigned = accept: tasks are armed WITHOUT A SIGNED WARRANT, on the ADMF's word")

    # Running

    async def start(self) -> tuple[str, int]:
        """Arm what is to be armed, then open the door; returns its address. RoleError."""
        if self.endpoint.admf:
            self._client = HttpsClient(self.endpoint.admf, self._outwards, 1)
            self._reporter = Reporter(self.settings, self._client, self._now, self._told)
            self._reporter.put(*(Waiting(number, issue) for number, issue in self._unreported))
        async with self._turn:
            await self._follow_and_keep(self.element.restore(self._now()), again=True)
        await self.scan()
        limits = Limits(connections=self.endpoint.connections)
        self._server = HttpsServer(self._handle, self._end, limits, _no_http)
        try:
            address = await self._server.start(*self.endpoint.listen)
        except OSError as error:
            await self.stop()
            raise RoleError(f"X1: cannot listen: {error.strerror or error}") from None
        if self._reporter is not None:
            self._reporting = asyncio.create_task(self._reporter.run())
        return address

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``: what time brings."""
        scanned = self._now().mono
        try:
            while not stop.is_set():
                now = await self.look()
                if self._audited.overdue:
                    await self._end_all()
                if now.mono - scanned >= LOOK_SECONDS * SECOND:
                    scanned = now.mono
                    await self.scan()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake(stop), self._pause(now))
        finally:
            await self.stop()

    async def _wake(self, stop: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._more.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            self._more.clear()
        finally:
            for each in waits:
                each.cancel()

    def _pause(self, now: Instant) -> float:
        deadline = self.element.next_deadline()
        if deadline is None:
            return LOOK_SECONDS
        return max(min((deadline - now.mono) / SECOND, WATCH_SECONDS), 0.001)

    async def stop(self) -> None:
        """Close the door and the store; what is armed stays so for the next start."""
        self._sweep.cancel()
        if self._server is not None:
            await self._server.stop(STOP_SECONDS)
            self._server = None
        if self._reporting is not None:
            self._reporting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reporting
            self._reporting = None
        if self._client is not None:
            await self._client.close()
            self._client = None
        async with self._turn:
            if not self._closed:
                self._closed = True
                self._note_heard(0)
                await self._keeper.close()

    async def reported(self) -> None:
        """Until the ADMF has acknowledged all reports."""
        if self._reporter is not None:
            await self._reporter.idle()

    # What happens

    async def look(self) -> Instant:
        """What time has brought until now."""
        async with self._turn:
            return await self._look()

    async def _end_all(self) -> None:
        """What runs has run long enough without an audit."""
        async with self._turn:
            for xid in self.element.orders:
                fault = self.element.task_fault(xid, AUDIT, NOT_AUDITED, self._now(), terminating=True)
                await self._follow_and_keep(fault)

    async def _look(self) -> Instant:
        """Until nothing is due, which the disk may have taken time for."""
        now = self._now()
        while self.element.due(now):
            await self._follow_and_keep(self.element.deadline(now))
            now = self._now()
        return now

    def stage(self, identity: tls.Identity, trust: TrustList) -> Callable[[], Awaitable[int]]:
        """Read other files of its own. What is returned goes over to them, and to another trust list; it gives how many
        connections ended since their peer is admitted no more. TlsError: it stays as it is.
        """
        end, outwards = _ends(self.settings, identity)

        async def commit() -> int:
            await self.trust(trust)
            return self._end.renew(end) + self._outwards.renew(outwards)

        return commit

    async def trust(self, trust: TrustList) -> None:
        """Another trust list."""
        await self.happened(lambda now: self.element.trust(trust, now))
        self._audited.trusted(trust)

    async def happened(self, what: Callable[[Instant], Step]) -> None:
        """Something to tell the element, as a fault or its clearing. Links that end when it has stopped are none."""
        async with self._turn:
            if not self._closed:
                await self._follow_and_keep(what(await self._look()))

    async def place(self, octets: bytes) -> Outcome:
        """A warrant or a revocation that comes apart from a task. StoreError."""
        async with self._turn:
            now = await self._look()
            try:
                intent = await self._audited.placing(octets)
            except NotAudited as error:
                raise StoreError(str(error)) from None
            outcome, step = self.element.place(octets, now)
            try:
                reports = await self._kept(step)
            except StoreError:
                # What it ends must not wait for a disk; what it allows must.
                await self._follow_and_keep(self.element.unplaced(step, now))
                if intent is not None:
                    intent.failed()
                raise
            self.element.apply(step)
            await self._carried_out(step, reports)
            self._audited.placed(intent, outcome)
            return outcome

    async def scan(self) -> int:
        """Read the folder of placed warrants; how many of them do not hold."""
        refused = 0
        files = placed.listed(self.endpoint.placed)
        for path in files:
            try:
                seen = placed.mark(path)
                if self._scanned.get(path) == seen:
                    continue
                outcome = await self.place(placed.read(path))
            except (OSError, StoreError) as error:
                li_log.error("%s: %s", path, error)
                continue
            if isinstance(outcome, Refused) and outcome.begins is None:
                refused += 1
                li_log.warning("%s: %s", path, outcome.rule)
            else:
                self._scanned[path] = seen
        self._scanned = {path: self._scanned[path] for path in files if path in self._scanned}
        return refused

    async def ask(self, request: x1.Request, peer: Peer) -> x1.Response:
        """Judge, keep, do, answer. Who does not wait for the answer any more changes nothing of that."""
        return await asyncio.shield(asyncio.ensure_future(self._ask(request, peer)))

    async def _ask(self, request: x1.Request, peer: Peer) -> x1.Response:
        async with self._turn:
            now = await self._look()
            step = self.element.ask(request, peer, now)
            intent: Intent | None = None
            try:
                intent = await self._audited.before(request, peer, step)
                reports = await self._kept(step)
            except NotAudited:
                step = self.element.failed(request, step, now, NOT_AUDITED)
                reports = self._unkept(step)
            except StoreError as error:
                log.error("%s", error)
                changes, step = step.changes, self.element.failed(request, step, now)
                if isinstance(error, TooSlow):
                    stands = self.element.stored(changes)
                    self._keeper.later(lambda: self.store.write(stands))
                reports = self._unkept(step)
                await self._follow_and_keep(self.element.ne_fault(STORE, "the store cannot be written", now))
            else:
                self.element.apply(step)
                if step.changes:
                    await self._follow_and_keep(self.element.ne_clear(STORE, now))
            step = await self._done(request, step, reports, now)
            self._audited.after(intent, step.response)
            self.element.answered(step)
            self._note_heard(HEARD_NS)
            self._more.set()
            assert step.response is not None
            if isinstance(step.response, x1.ErrorResponse):
                self._sweep.soon()
                li_log.warning("%s is refused: %s", type(request).__name__, step.response.error.description)
            return step.response

    async def _done(self, request: x1.Request, step: Step, reports: list[Waiting], now: Instant) -> Step:
        """What follows, or the answer that it could not be done."""
        undone = await self._carried_out(step, reports)
        if isinstance(request, x1.ActivateTaskRequest) and request.task.xid in undone:
            await self._follow_and_keep(self.element.withdraw(request.task.xid, now))
            code = ErrorCode.ACTIVATE_FAILED
        elif isinstance(request, x1.ModifyTaskRequest) and request.task.xid in undone:
            code = ErrorCode.MODIFY_FAILED
        else:
            return step
        return Step(x1.refusal(request, code, now.wall, "the element's function cannot do it"))

    # On the disk, and done

    async def _kept(self, step: Step) -> list[Waiting]:
        """A step that counts once it is on the disk; its reports. StoreError: it is not."""
        issues = self._new(step)
        if self.prepare is not None:
            await self.prepare(step.follows)
        numbers = await self._keeper.write(step.changes, issues)
        return [Waiting(number, issue) for number, issue in zip(numbers, issues, strict=True)]

    def _unkept(self, step: Step) -> list[Waiting]:
        """Reports of a step that the store does not take."""
        return [Waiting(None, issue) for issue in self._new(step)]

    async def _follow_and_keep(self, step: Step, *, again: bool = False) -> None:
        """A step that counts already: what follows waits for no disk. ``again``: it was done before a restart."""
        faults = list(self._follow_all(step, again=again).values())
        try:
            reports = await self._kept(step)
        except StoreError as error:
            log.error("%s", error)
            reports = self._unkept(step)
            faults.append(self.element.ne_fault(STORE, "the store cannot be written", self._now()))
        self._report(reports)
        for each in faults:
            await self._follow_and_keep(each)

    async def _carried_out(self, step: Step, reports: list[Waiting]) -> set[str]:
        """Do what follows from a step that is kept, and report; XIDs of tasks for which that failed."""
        faults = self._follow_all(step)
        self._report(reports)
        for each in faults.values():
            await self._follow_and_keep(each)
        return set(faults)

    def _follow_all(self, step: Step, *, again: bool = False) -> dict[str, Step]:
        """Do what follows; by XID what becomes of tasks for which that failed."""
        faults: dict[str, Step] = {}
        self._audited.followed(step.follows)
        self._sweep.soon(wanted=any(isinstance(each, Disarmed) for each in step.follows))
        for each in step.follows:
            if isinstance(each, Issue):
                continue
            if isinstance(each, Armed) and self._audited.missing and not again:
                xid = each.order.task.xid
                faults[xid] = self.element.task_fault(xid, AUDIT, NOT_AUDITED, self._now(), terminating=True)
                continue
            try:
                self._follow(each)
            except Exception as error:  # its text may name a target
                log.error("a %s failed: %s", type(each).__name__, type(error).__name__)
                if isinstance(each, Armed | Changed):
                    xid, text = each.order.task.xid, "the element's function cannot do it"
                    faults[xid] = self.element.task_fault(xid, DOOR, text, self._now(), terminating=True)
        return faults

    def _new(self, step: Step) -> tuple[Issue, ...]:
        """What the ADMF is to be told, as far as it does not wait to be told so already."""
        for issue in step.issues:
            if isinstance(issue, NeIssue):
                li_log.warning("%s: %s", issue.issue, issue.description)
            else:
                li_log.info("%s %s", type(issue).__name__, issue.report)
        reporter = self._reporter
        return () if reporter is None else tuple(filter(reporter.is_new, step.issues))

    def _report(self, reports: list[Waiting]) -> None:
        if self._reporter is not None:
            self._reporter.put(*reports)

    def _told(self, number: int) -> None:
        self._keeper.later(lambda: self.store.told(number))

    def _note_heard(self, behind: int) -> None:
        heard = self.element.heard.wall
        if heard - self._stored_heard > behind or heard < self._stored_heard:
            self._stored_heard = heard
            self._keeper.later(lambda: self.store.heard(heard))

    # The door

    async def _handle(self, request: web.BaseRequest, caller: str | None) -> web.StreamResponse:
        peer, mark = self._peer(request)
        if caller is None or peer is None:
            return https.closing(https.response(403))
        if not self._rates.take(mark, self._now().mono):
            self.refused += 1
            return https.closing(https.response(429))
        if request.path != PATH:
            return https.response(404)
        if request.method != "POST":
            return https.response(405)
        try:
            octets = await https.body(request, x1.REQUEST_LIMITS.octets, self.endpoint.body_seconds)
        except https.TooLong:
            return https.closing(https.response(413))
        except https.TooSlow:
            return https.closing(https.response(408))
        return https.response(200, await self.answer(bytes(octets), peer), KIND)

    def _peer(self, request: web.BaseRequest) -> tuple[Peer | None, bytes]:
        der = https.certificate(request)
        if der is None:
            return None, b""
        peer = self._peers.get(der)
        if peer is None:
            try:
                peer = Peer.of(der)
            except ValueError:
                return None, b""
            self._peers.put(der, peer)
        return peer, der

    async def answer(self, octets: bytes, peer: Peer) -> bytes:
        """The document that answers a document (6.1)."""
        settings = self.settings
        try:
            messages = x1.parse_requests(octets)
        except x1.X1Error:
            at = self._now().wall
            return x1.build_response(x1.TopLevelErrorResponse(settings.admf, settings.ne, at, x1.VERSION))
        responses: list[x1.Response] = []
        for each in messages:
            if isinstance(each, x1.Malformed):
                responses.append(x1.correction(each, self._now().wall, settings.admf, settings.ne))
            else:
                responses.append(await self.ask(each, peer))
        return x1.build_response(responses)


def _ends(settings: Settings, identity: tls.Identity) -> tuple[TlsEnd, TlsEnd]:
    """For who asks, and for reports. TlsError."""
    binding.require_own(identity.certificate, "ne", settings.ne)
    admf = binding.BoundName("admf", settings.admf)
    return TlsEnd.server(identity, PeerName()), TlsEnd.client(identity, admf)


def _no_http(caller: str | None) -> web.Response:
    return https.response(400 if caller is not None else 403)
