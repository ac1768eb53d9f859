"""The roles ``poi`` and ``df`` of ``midcall run``: files and links around the services of this package."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import ssl
from collections.abc import Callable
from pathlib import Path

from midcall import config as config_file
from midcall.base import credentials, owner_only, tls, warrant
from midcall.base.frame import Frame, RoleError
from midcall.base.https import HttpsClient
from midcall.base.seal import SealKey
from midcall.base.tap import Source, Tap, TapError, TapPort
from midcall.base.tls import PeerName, TlsError
from midcall.base.x1_element import Armed, Changed, DestinationSet, Disarmed, Follow, Order, Settings
from midcall.base.x1_element.shell.service import Endpoint, X1Service
from midcall.base.x2 import Encoder, Node
from midcall.base.x2_link import Journal, JournalError, TlsPeer, X2Client, X2Server
from midcall.config import DfConfig, PoiConfig, TlsTable, X1Table
from midcall.df2 import Agency
from midcall.df2.shell.xk import XkClient, XkSettings
from midcall.df2.xk import GetKeys
from midcall.events import Intercept
from midcall.handover.values import Gap
from midcall.live.df import DfService
from midcall.live.intercepts import InterceptJournal
from midcall.live.outlets import OutletError, Outlets, reserve_cins
from midcall.live.poi import PoiService, clock
from midcall.poi import PointOfInterception
from midcall.poi.limits import PoiLimits
from midcall.poi.shell.hep import HepAgent, HepReceiver
from midcall.poi.shell.journal import SipJournal

KEY_OCTETS = range(32, 33)
AGENT_KEY_OCTETS = range(1, 65)
HOUR_NS = 3_600_000_000_000
STOP_SECONDS = 5.0
MAX_TRUST = 1 << 20
INTERCEPTS = "intercepts.db"


async def poi(config: PoiConfig, frame: Frame, stop: asyncio.Event) -> None:
    """The point of interception. RoleError."""
    seal = _secret(config.seal)
    journal = SipJournal(Path(config.cache), SealKey(seal)) if config.tickets.keep else None
    limits = PoiLimits(max_age=round(config.tickets.max_age_hours * HOUR_NS))
    core = PointOfInterception(
        bytes(_secret(config.identity_key)),
        bytes(_secret(config.correlation_key)),
        limits=limits,
        journal=journal,
        sdes=config.keep_sdes,
    )
    client = _x2_client(config, SealKey(seal))
    service = PoiService(core, Encoder(Node(config.nfid, config.ipid)), client, journal)

    def follow(each: Follow) -> None:
        if isinstance(each, Armed):
            service.arm(each.order.task)
        elif isinstance(each, Changed):
            service.disarm(each.former.task.xid)
            service.arm(each.order.task)
        elif isinstance(each, Disarmed):
            service.disarm(each.xid, each.at)

    x1 = _x1("poi", config.x1, SealKey(seal), follow)
    agents = [HepAgent(each.address, bytes(_secret(each.key, AGENT_KEY_OCTETS))) for each in config.hep.agent]
    hep = HepReceiver(tuple(agents), service.take)
    frame.metrics.counter("sip_copies", "Copies of SIP messages taken in", lambda: service.counts["sip"])
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.run()), group.create_task(service.keep())]
        await _listen(config, hep)
        await x1.start()
        await service.recall()
        frame.ready()
        await x1.run(stop)
        await hep.close()
        client.stop(STOP_SECONDS)
        tasks[1].cancel()
    if journal is not None:
        journal.close()


async def df(config: DfConfig, frame: Frame, stop: asyncio.Event) -> None:
    """The mediation functions. RoleError."""
    seal = bytes(_secret(config.seal))
    spool = Path(config.spool)
    for folder in (spool, Path(config.keys)):
        owner_only.make_folder(folder)
    orders: dict[str, Order] = {}
    service_of: list[DfService] = []

    def gap_of(_did: str) -> Callable[[Gap], bytes]:
        return lambda gap: service_of[0].unavailable(gap)

    outlets = Outlets(config, seal, _client_context(config.agency), gap_of)
    keys = _xk(config)
    port = _tap(config)
    journal = _intercepts(config, SealKey(seal))
    mark_key = hashlib.blake2b(seal, person=b"midcall.df.marks").digest()
    first = reserve_cins(spool / "cins")
    service = DfService(keys, outlets, port, first_cin=first, journal=journal, mark_key=mark_key)
    service_of.append(service)
    ended: set[asyncio.Task[None]] = set()

    def end(xid: str) -> None:
        former = orders.pop(xid, None)
        service.end(xid, clock())
        for each in () if former is None else former.mediated:
            task = asyncio.ensure_future(outlets.end(each.terms.liid))
            ended.add(task)
            task.add_done_callback(ended.discard)

    def arm(order: Order) -> None:
        for each in order.mediated:
            network = config.network
            intercept = Intercept(
                each.terms.liid,
                order.task.xid,
                network.operator,
                network.element,
                network.country,
                network.delivery_country,
                each.destinations[0].did,
            )
            outlets.order(intercept, each.destinations[0], each.pins[0] if each.pins else None)
            service.order(order.task.xid, Agency(each.terms, config.profile, network), order.warrant)
        orders[order.task.xid] = order

    def follow(each: Follow) -> None:
        if isinstance(each, Armed):
            arm(each.order)
        elif isinstance(each, Changed):
            end(each.former.task.xid)
            arm(each.order)
        elif isinstance(each, Disarmed):
            end(each.xid)
        elif isinstance(each, DestinationSet):
            outlets.destination(each.details)

    x1 = _x1("df", config.x1, SealKey(seal), follow)
    server = X2Server(service.commit)
    names = PeerName(*config.x2.peers)
    if port is not None:
        loop = asyncio.get_running_loop()
        for descriptor in port.filenos():
            loop.add_reader(descriptor, lambda: service.media(port.read()))
    try:
        for details in x1.element.destinations:
            outlets.destination(details)
    except OutletError as error:
        raise RoleError(f"X1: a stored destination: {error}") from None
    await x1.start()
    # What ran goes on before a POI tells more of it.
    service.recall(clock())
    try:
        await server.listen_tls(*config_file.address(config.x2.listen), _server_context(config.x2), names)
    except OSError as error:
        await x1.stop()
        raise RoleError(f"X2: cannot listen: {error.strerror or error}") from None
    frame.ready()
    await x1.run(stop)
    await server.stop(STOP_SECONDS)
    await service.close()
    await asyncio.gather(*ended)
    await journal.close()
    await outlets.close()
    await keys.close()
    if port is not None:
        for descriptor in port.filenos():
            asyncio.get_running_loop().remove_reader(descriptor)
        port.close()


# Files and links


def _secret(path: str, octets: range = KEY_OCTETS) -> bytearray:
    try:
        return credentials.read(Path(path), octets)
    except credentials.CredentialError as error:
        raise RoleError(str(error)) from None


def _identity(table: TlsTable) -> tls.Identity:
    return tls.Identity(
        Path(table.certificate), Path(table.key), Path(table.ca), Path(table.crl) if table.crl else None
    )


def _client_context(table: TlsTable) -> ssl.SSLContext:
    try:
        return tls.client_context(_identity(table), check_host=False)
    except TlsError as error:
        raise RoleError(str(error)) from None


def _server_context(table: TlsTable) -> ssl.SSLContext:
    try:
        return tls.server_context(_identity(table))
    except TlsError as error:
        raise RoleError(str(error)) from None


def _x1(role: str, table: X1Table, seal: SealKey, follow: Callable[[Follow], None]) -> X1Service:
    settings = Settings(
        role="poi" if role == "poi" else "df",
        ne=table.ne,
        admf=table.admf,
        element=table.element,
        unsigned=table.unsigned,
        silence=table.silence_seconds,
        grace=min(900, table.silence_seconds),
    )
    endpoint = Endpoint(
        listen=config_file.address(table.listen),
        certificate=Path(table.certificate),
        key=Path(table.key),
        ca=Path(table.ca),
        crl=Path(table.crl) if table.crl else None,
        admf=table.admf_url,
        store=Path(table.store),
        placed=Path(table.placed) if table.placed else None,
    )
    try:
        with Path(table.trust).open("rb") as file:
            trust = warrant.read_trust(file.read(MAX_TRUST).decode())
    except (OSError, UnicodeDecodeError, config_file.ConfigError) as error:
        raise RoleError(f"{table.trust}: {getattr(error, 'strerror', None) or error}") from None
    return X1Service(settings, endpoint, trust, seal, follow)


def _x2_client(config: PoiConfig, seal: SealKey) -> X2Client:
    host, port = config_file.address(config.x2.to)
    peer = TlsPeer(host, port, _client_context(config.x2), PeerName(*config.x2.peers))
    try:
        return X2Client(peer, journal=Journal(Path(config.x2.journal), seal))
    except JournalError as error:
        raise RoleError(str(error)) from None


def _xk(config: DfConfig) -> XkClient:
    client = HttpsClient(config.kms.url, _client_context(config.kms), PeerName(*config.kms.peers), 8)
    return XkClient(client, GetKeys(), XkSettings(deadline_seconds=config.kms.deadline_seconds))


def _intercepts(config: DfConfig, seal: SealKey) -> InterceptJournal:
    try:
        return InterceptJournal(Path(config.spool) / INTERCEPTS, Path(config.keys) / INTERCEPTS, seal)
    except sqlite3.Error as error:
        raise RoleError(f"{config.spool}/{INTERCEPTS}: {error}") from None


def _tap(config: DfConfig) -> TapPort | None:
    if config.tap is None:
        return None
    try:
        return Tap(Source(config.tap.interfaces, promiscuous=config.tap.promiscuous)).open()
    except TapError as error:
        raise RoleError(str(error)) from None


async def _listen(config: PoiConfig, hep: HepReceiver) -> None:
    table = config.hep
    try:
        if table.udp:
            hep.listen_udp(*config_file.address(table.udp))
        if table.tcp:
            await hep.listen_tcp(*config_file.address(table.tcp))
        if table.tls is not None:
            names = PeerName(*table.tls.peers)
            await hep.listen_tls(*config_file.address(table.tls.listen), _server_context(table.tls), names)
    except OSError as error:
        raise RoleError(f"HEP: cannot listen: {error.strerror or error}") from None
