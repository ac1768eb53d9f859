"""The roles ``poi``, ``df`` and ``tap`` of ``midcall run``: the services of this package between their links."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import structs

from midcall import config as config_file
from midcall.base import owner_only
from midcall.base.audit_link import Act, AuditClient, Kind, Role
from midcall.base.frame import RENEWED, Frame, Reload, RoleError
from midcall.base.seal import SealKey
from midcall.base.tap import Mirror, PacedReader
from midcall.base.tap.door import TapDoor
from midcall.base.x1_element import Armed, Changed, Disarmed, Follow
from midcall.base.x1_element.shell.service import X1Service
from midcall.base.x2 import Encoder, Node
from midcall.base.x2_link import X2Server
from midcall.config import DfConfig, PoiConfig, TapConfig
from midcall.config.live_tables import TicketsTable
from midcall.df2 import Communications
from midcall.events import Hi1Record, Instant, SipSeen, Task
from midcall.handover.values import Gap
from midcall.live import links, recording
from midcall.live.audited import DfAudit
from midcall.live.cins import Cins, CinsAhead, CinsError
from midcall.live.clock import now
from midcall.live.destination_faults import DestinationFaults
from midcall.live.df import DfService
from midcall.live.ends import Ends
from midcall.live.link_book import LinkBook
from midcall.live.orders import DfOrders
from midcall.live.outlets import OutletError, Outlets
from midcall.live.poi import PoiService
from midcall.live.status import DfDesk, PoiDesk
from midcall.poi import PointOfInterception
from midcall.poi.home import Home
from midcall.poi.limits import PoiLimits
from midcall.poi.shell.hep import HepAgent, HepReceiver
from midcall.poi.shell.journal import SipJournal

AGENT_KEY_OCTETS = range(1, 65)
HOUR_NS = 3_600_000_000_000
COLLECTED = (200_000, 50, 1_000)
"""Thresholds of the garbage collector where packets or copies come: they are many, live for a moment, and make no
cycles."""
STOP_SECONDS = 0.3
"""What is on its way may arrive when a role stops; what does not is on the disk, and goes out after its next start."""


async def poi(config: PoiConfig, frame: Frame, stop: asyncio.Event) -> None:
    """The point of interception. RoleError."""
    async with links.audited(Role.POI, config.audit, frame, config) as audit:
        await _poi(config, frame, stop, audit)


async def _poi(config: PoiConfig, frame: Frame, stop: asyncio.Event, audit: AuditClient | None) -> None:
    links.require_alone(config.x1)
    gc.set_threshold(*COLLECTED)
    for file in (config.cache, *(each.journal for each in (config.x2, *config.x2_also))):
        owner_only.make_folder(Path(file).parent)
    seal = links.secret(config.seal)
    journal = SipJournal(Path(config.cache), SealKey(seal)) if config.tickets.keep else None
    limits = poi_limits(config.tickets)
    correlation_key = bytes(links.secret(config.correlation_key))
    core = PointOfInterception(
        bytes(links.secret(config.identity_key)),
        correlation_key,
        limits=limits,
        journal=journal,
        sdes=config.keep_sdes,
        home=Home(config.home.domains, config.home.numbers),
    )
    inputs = recording.poi_inputs(frame, config, correlation_key, limits.max_age)
    book, ends = LinkBook(), Ends("poi", config)
    routes = links.x2_routes(config, ends, seal, book)
    service = PoiService(
        core,
        Encoder(Node(config.nfid, config.ipid)),
        inputs.client(routes),
        None if journal is None else inputs.journal(journal),
        inputs.clock,
    )

    if audit is not None:
        service.destroying = lambda epoch: audit.begin(
            Act.KEYS_DESTROY, audit.digest(Kind.KEY, f"{config.nfid}/tickets/{epoch}")
        )

    def arm(task: Task) -> None:
        inputs.armed(task)
        service.arm(task)

    def disarm(xid: str, at: Instant | None = None) -> None:
        inputs.disarmed(xid, at)
        service.disarm(xid, at)

    def follow(each: Follow) -> None:
        if isinstance(each, Armed):
            routes.lead(each.order)
            arm(each.order.task)
        elif isinstance(each, Changed):
            if not (_same_target(each.order.task, each.former.task) and routes.stays(each.order, each.former)):
                disarm(each.former.task.xid)
                routes.lead(each.order)
                arm(each.order.task)
        elif isinstance(each, Disarmed):
            disarm(each.xid, each.at)
            routes.end(each.xid)

    conditions: tuple[links.Condition, ...] = ("callPartyRole",)
    if config.home.is_known:
        conditions = (*conditions, "nonLocalIdentifier")
    x1 = links.x1_service(
        "poi", config.x1, SealKey(seal), follow, conditions, service.intercepted, audit, routes.places
    )
    faults = DestinationFaults(x1, lambda event: routes.named(event, x1.element.destinations))
    book.tell(faults.told)
    agents = [HepAgent(each.address, bytes(links.secret(each.key, AGENT_KEY_OCTETS))) for each in config.hep.agent]
    take = inputs.sip(service.take)
    hep = HepReceiver(tuple(agents), take)
    mirror = links.mirror(config)
    copies = links.copies(config, take)
    desk = PoiDesk(x1, service, routes, book, hep, mirror)
    plane = links.li_plane("poi", config.x1.element, config.li, ends, desk.stands, desk.explain, audit)
    hep_end = None if config.hep.tls is None else ends.server("hep.tls")
    frame.metrics.counter("sip_copies", "Copies of SIP messages taken in", lambda: service.counts["sip"])
    async with asyncio.TaskGroup() as group:
        for route in routes.routes:
            group.create_task(route.client.run())
        tasks: list[asyncio.Task[object]] = [group.create_task(each) for each in (service.keep(), faults.run())]
        await links.listen_hep(config, hep, hep_end)
        if copies is not None:
            service.committing = copies.committing
        tasks.append(group.create_task(service.arming(inputs.goes_on, routes.queued)))
        if mirror is not None:
            tasks.append(group.create_task(_read_mirror(mirror, take)))
        await x1.start()
        routes.tell_astray(x1.element.destinations)
        # Behind what comes: of a million calls it takes minutes.
        tasks.append(group.create_task(service.recall()))
        if plane is not None:
            await plane.start()
        frame.on_reload(_reload(frame, ends, x1, audit))
        frame.ready()
        await x1.run(stop)
        if plane is not None:
            await plane.stop()
        await hep.close()
        if copies is not None:
            copies.close()
        for route in routes.routes:
            route.client.stop(STOP_SECONDS)
        for task in tasks:
            task.cancel()
    if journal is not None:
        journal.close()
    inputs.close()


def poi_limits(tickets: TicketsTable) -> PoiLimits:
    return PoiLimits(
        calls=tickets.dialogs,
        octets=tickets.megabytes << 20,
        max_age=round(tickets.max_age_hours * HOUR_NS) if tickets.keep else 0,
    )


def _same_target(one: Task, other: Task) -> bool:
    """Whether the same is intercepted: a window alone is X1's to open and to close."""
    return structs.replace(one, start=other.start, end=other.end) == other


def _reload(
    frame: Frame, ends: Ends, x1: X1Service, audit: AuditClient | None, service: DfService | None = None
) -> Reload:
    """Takes over files of another configuration once all of them are read."""

    async def reload(config: PoiConfig | DfConfig) -> None:
        renew, renew_x1 = ends.stage(config), links.stage_x1(x1, frame.role, config.x1)
        if service is not None and isinstance(config, DfConfig):
            service.know_foreign(config.x2.foreign)
        ended = renew() + await renew_x1()
        if audit is not None:
            audit.event(Act.CONFIGURATION_CHANGE, audit.digest(Kind.FILE, msgspec.json.encode(config)))
        frame.log.info(RENEWED, extra={"connections_ended": ended})

    return reload


async def _read_mirror(mirror: Mirror, take: Callable[[SipSeen], None]) -> None:
    """Until it is cancelled; a lost segment is waited for as long as it may be."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    for descriptor in mirror.filenos():
        loop.add_reader(descriptor, ready.set)
    try:
        while True:
            due = mirror.next_deadline()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0.0, (due - time.time_ns()) / 1e9)):
                    await ready.wait()
            ready.clear()
            for seen in (*mirror.read(), *mirror.deadline(time.time_ns())):
                take(seen)
            await asyncio.sleep(0)
    finally:
        for descriptor in mirror.filenos():
            loop.remove_reader(descriptor)
        mirror.close()


class _End:
    """When a role is to stop: as it is told, or when a part of it works no more."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.came = asyncio.Event()
        self._why = ""
        self._told = asyncio.create_task(stop.wait())
        self._told.add_done_callback(lambda _: self.came.set())

    def failed(self, why: str) -> None:
        self._why = self._why or why
        self.came.set()

    def close(self) -> None:
        """The role has stopped. RoleError: it was not told to."""
        self._told.cancel()
        if self._why:
            raise RoleError(self._why)


async def df(config: DfConfig, frame: Frame, stop: asyncio.Event) -> None:
    """The mediation functions. RoleError."""
    async with links.audited(Role.DF, config.audit, frame, config) as audit:
        await _df(config, frame, stop, audit)


async def _df(config: DfConfig, frame: Frame, stop: asyncio.Event, audit: AuditClient | None) -> None:
    links.require_alone(config.x1)
    seal = bytes(links.secret(config.seal))
    spool = Path(config.spool)
    for folder in (spool, Path(config.keys)):
        owner_only.make_folder(folder)
    service_of: list[DfService] = []
    told = DfAudit(audit)

    def gap_of(_did: str) -> Callable[[Gap], bytes]:
        return lambda gap: service_of[0].unavailable(gap)

    def alarm(gap: Gap, at: int) -> list[Hi1Record]:
        told.gap(gap)
        return service_of[0].alarm(gap, at)

    def take_media() -> int:
        packets = [] if port is None else port.media()
        media(packets)
        return len(packets)

    def follow(each: Follow) -> None:
        if isinstance(each, Changed | Disarmed):
            take_media()  # what came before the end and nobody has read yet is of the task
        told.follow(each)
        orders.follow(each)

    try:
        cins = CinsAhead(Cins(spool / "cins"))
    except CinsError as error:
        raise RoleError(str(error)) from None
    inputs = recording.df_inputs(frame, config, cins.first)
    book, ends, end = LinkBook(), Ends("df", config), _End(stop)
    sign = inputs.sign(links.signer(config.signing_key))
    outlets = Outlets(
        config, seal, ends.client("agency"), gap_of, sign, book, inputs, alarm, end.failed, told.destroyed
    )
    port = links.media_tap(config)
    journal = links.intercepts(config, SealKey(seal))
    keys = links.xk_client(config, ends.client("kms"))
    mark_key = hashlib.blake2b(seal, person=b"midcall.df.marks").digest()
    service = DfService(
        inputs.keys(told.keys(keys)),
        outlets,
        port,
        communications=Communications(cins.first, cins.reserve),
        journal=journal,
        mark_key=mark_key,
        clock=inputs.clock,
        foreign=config.x2.foreign,
    )
    service_of.append(service)
    orders = DfOrders(config, service, outlets, inputs)
    # The POI looks at them: what comes from there is of the right calls.
    conditions: tuple[links.Condition, ...] = ("callPartyRole", "nonLocalIdentifier")
    x1 = links.x1_service("df", config.x1, SealKey(seal), follow, conditions, service.intercepted, audit)
    x1.prepare = orders.prepare
    faults = DestinationFaults(x1, lambda event: [event.link])
    book.tell(faults.told)
    server = X2Server(inputs.x2(service.commit), report=book.told)
    x2_end = ends.server("x2")
    desk = DfDesk(x1, service, keys, server, book, outlets, port)
    plane = links.li_plane("df", config.x1.element, config.li, ends, desk.stands, desk.explain, audit)
    media = inputs.media(service.media)
    reader = None
    if port is not None:
        gc.set_threshold(*COLLECTED)
        reader = PacedReader(port.filenos(), take_media)
    try:
        for details in x1.element.destinations:
            outlets.destination(details)
    except OutletError as error:
        raise RoleError(f"X1: a stored destination: {error}") from None
    await x1.start()
    orders.start()
    # What ran goes on before a POI tells more of it.
    service.recall(now())
    try:
        await server.listen_tls(*config_file.address(config.x2.listen), x2_end)
    except OSError as error:
        await x1.stop()
        raise RoleError(f"X2: cannot listen: {error.strerror or error}") from None
    if plane is not None:
        await plane.start()
    frame.on_reload(_reload(frame, ends, x1, audit, service))
    frame.ready()
    watch = told.watch(service, x1.element, x1.happened)
    telling = [asyncio.create_task(each) for each in (faults.run(), watch)]
    await x1.run(end.came)
    for task in telling:
        task.cancel()
    if plane is not None:
        await plane.stop()
    desk.close()
    await server.stop(STOP_SECONDS)
    await service.close()
    await orders.close()
    await journal.close()
    await outlets.close()
    cins.close()
    inputs.close()
    await keys.close()
    if reader is not None:
        reader.stop()
    if port is not None:
        port.close()
    end.close()


async def tap(config: TapConfig, frame: Frame, stop: asyncio.Event) -> None:
    """Opens taps for the other roles, which may not do so themselves. RoleError."""
    door = TapDoor(Path(config.door), links.tap_sources(config))
    frame.metrics.counter("taps_given", "Taps opened for other roles", lambda: door.given)
    running = asyncio.create_task(door.run(stop))
    frame.ready()
    try:
        await running
    except OSError as error:
        raise RoleError(f"{config.door}: {error.strerror or error}") from None
