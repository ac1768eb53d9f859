"""Files and links of the roles: what a table of the configuration names, opened. All raise RoleError."""

from __future__ import annotations

import contextlib
import pwd
import socket
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from imswire.x1 import HashAlgorithm, HashContext
from midcall import config as config_file
from midcall.base import credentials, owner_only, signing, warrant
from midcall.base.audit_link import Act, AuditClient, AuditLink, Kind, Role, log_unaudited
from midcall.base.frame import Frame, RoleError
from midcall.base.https import HttpsClient
from midcall.base.seal import SealKey
from midcall.base.tap import Mirror, MirrorTap, Source, Tap, TapError, TapPort, door, taps
from midcall.base.tap import mirror as mirrors
from midcall.base.tls import TlsError
from midcall.base.tls_end import TlsEnd
from midcall.base.x1_element import Follow, Intercepted, Settings, spelt
from midcall.base.x1_element.shell import store
from midcall.base.x1_element.shell.service import Endpoint, X1Service
from midcall.base.x2_link import Journal, JournalError, TlsPeer, X2Client
from midcall.config import AuditTable, DfConfig, HashContextTable, LiTable, PoiConfig, TapConfig, X1Table
from midcall.config.live_tables import MirrorTable, TapTable
from midcall.df2.shell.xk import XkClient, XkSettings
from midcall.df2.xk import GetKeys
from midcall.events import SipSeen
from midcall.live import ends
from midcall.live.ends import Ends
from midcall.live.intercepts import InterceptJournal
from midcall.live.link_book import LinkBook
from midcall.live.plane import Explain, LiPlane, Status
from midcall.live.x2_routes import Route, X2Routes
from midcall.poi.shell.copies import CopyDoor
from midcall.poi.shell.hep import HepReceiver

T = TypeVar("T")
Condition = Literal["callPartyRole", "nonLocalIdentifier"]
KEY_OCTETS = range(32, 33)
SALT_OCTETS = range(8, 256)
MAX_TRUST = 1 << 20
INTERCEPTS = "intercepts.db"
X2_NAME = "df2"
"""Of the link to the only mediation function of a POI."""
KEYS_IDLE_SECONDS = 0.5
"""After that the connection on which keys came ends: its buffers still have them."""


def secret(path: str, octets: range = KEY_OCTETS) -> bytearray:
    try:
        return credentials.read(Path(path), octets)
    except credentials.CredentialError as error:
        raise RoleError(str(error)) from None


def signer(path: str) -> Callable[[bytes], bytes] | None:
    """What signs hashes; None: nothing is to be signed."""
    if not path:
        return None
    try:
        pem = credentials.text(Path(path), signing.MAX_OCTETS)
        try:
            return signing.signer(bytes(pem))
        finally:
            pem[:] = bytes(len(pem))
    except credentials.CredentialError as error:
        raise RoleError(str(error)) from None
    except signing.SigningError as error:
        raise RoleError(f"{path}: {error}") from None


def require_alone(table: X1Table) -> None:
    """Another process of the same configuration is refused before it opens anything that the first one has."""
    path = Path(table.store)
    try:
        owner_only.make_folder(path.parent)
        store.lock(path).close()
    except (OSError, store.StoreError) as error:
        raise RoleError(str(error)) from None


@contextlib.asynccontextmanager
async def audited(
    role: Role, table: AuditTable | None, frame: Frame, config: Struct
) -> AsyncIterator[AuditClient | None]:
    """Where a role tells what it does; None: its configuration has no audit. It is told first that it has started."""
    if table is None:
        log_unaudited(role)
        yield None
        return
    salt = bytes(secret(table.salt))
    link = AuditLink(path=Path(table.socket), role=role, salt=salt, instance=frame.instance, grace=table.grace_seconds)
    client = AuditClient(link)
    client.event(Act.CONFIGURATION_READ, client.digest(Kind.FILE, msgspec.json.encode(config)))
    await client.start()
    frame.need(lambda: client.answers)
    try:
        yield client
    finally:
        await client.close()


def x1_service(
    role: Literal["poi", "df"],
    table: X1Table,
    seal: SealKey,
    follow: Callable[[Follow], None],
    conditions: tuple[Condition, ...],
    intercepted: Callable[[str], Intercepted],
    audit: AuditClient | None = None,
    places: tuple[tuple[str, int], ...] = (),
) -> X1Service:
    """``conditions``: those of a task that are looked at; ``intercepted``: what a task has given; ``places``: where
    alone product may go."""
    settings = Settings(
        role=role,
        ne=table.ne,
        admf=table.admf,
        element=table.element,
        unsigned=table.unsigned,
        silence=table.silence_seconds,
        grace=min(900, table.silence_seconds),
        conditions=conditions,
        hash_contexts=tuple(_hash_context(each) for each in table.hash_context),
        places=places,
    )
    endpoint = Endpoint(
        listen=config_file.address(table.listen),
        identity=ends.identity(table),
        admf=table.admf_url,
        store=Path(table.store),
        placed=Path(table.placed) if table.placed else None,
    )
    try:
        return X1Service(settings, endpoint, _trust(role, table), seal, follow, intercepted=intercepted, audit=audit)
    except TlsError as error:
        raise ends.refused(error, table, f"{role}.x1") from None


def stage_x1(x1: X1Service, role: str, table: X1Table) -> Callable[[], Awaitable[int]]:
    """What takes over the files of another table, which are read now."""
    trust = _trust(role, table)
    try:
        return x1.stage(ends.identity(table), trust)
    except TlsError as error:
        raise ends.refused(error, table, f"{role}.x1") from None


def _trust(role: str, table: X1Table) -> warrant.TrustList:
    try:
        with Path(table.trust).open("rb") as file:
            return warrant.read_trust(file.read(MAX_TRUST).decode())
    except (OSError, UnicodeDecodeError, config_file.ConfigError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RoleError(f"{table.trust}: {reason}", f"{role}.x1.trust") from None


def _hash_context(table: HashContextTable) -> HashContext:
    salt = bytes(secret(table.salt, SALT_OCTETS))
    return HashContext(table.object_id, HashAlgorithm(table.algorithm), salt)


def x2_routes(config: PoiConfig, found: Ends, seal: bytearray, book: LinkBook) -> X2Routes:
    """Ways to the mediation functions; where there are several, each link has the name of its address."""
    routes = []
    for number, table in enumerate((config.x2, *config.x2_also)):
        end = found.client(f"x2_also.{number - 1}" if number else "x2")
        name = table.to if config.x2_also else X2_NAME
        host, port = config_file.address(table.to)
        try:
            journal = Journal(Path(table.journal), SealKey(seal))
        except JournalError as error:
            raise RoleError(str(error)) from None
        client = X2Client(TlsPeer(host, port, end), name, journal=journal, report=book.told)
        routes.append(Route(name, spelt(host, port), client))
    return X2Routes(routes, book)


def xk_client(config: DfConfig, end: TlsEnd) -> XkClient:
    https = HttpsClient(config.kms.url, end, idle_seconds=KEYS_IDLE_SECONDS)
    return XkClient(https, GetKeys(), XkSettings(deadline_seconds=config.kms.deadline_seconds))


def intercepts(config: DfConfig, seal: SealKey) -> InterceptJournal:
    try:
        return InterceptJournal(Path(config.spool) / INTERCEPTS, Path(config.keys) / INTERCEPTS, seal)
    except sqlite3.Error as error:
        raise RoleError(f"{config.spool}/{INTERCEPTS}: {error}") from None


def media_tap(config: DfConfig) -> TapPort | None:
    """The tap of media; None: they come by X3 alone."""
    table = config.tap
    if table is None:
        return None
    return _opened(table, taps.KIND, TapPort.receive, lambda source: Tap(source).open())


def mirror(config: PoiConfig) -> Mirror | None:
    """The mirror of SIP; None: it comes by HEP alone."""
    table = config.mirror
    if table is None:
        return None
    return _opened(table, mirrors.KIND, Mirror.receive, lambda source: MirrorTap(source, table.ports).open())


def _opened(
    table: TapTable | MirrorTable, kind: str, receive: Callable[[socket.socket], T], begin: Callable[[Source], T]
) -> T:
    """What the role ``tap`` gives at its door, or what this role opens itself."""
    try:
        if table.door:
            with door.ask(Path(table.door), kind) as connection:
                return receive(connection)
        return begin(Source(table.interfaces, promiscuous=table.promiscuous))
    except TapError as error:
        raise RoleError(str(error)) from None


def tap_sources(config: TapConfig) -> dict[str, tuple[door.Source, frozenset[int]]]:
    """What the role ``tap`` opens, and for whom."""
    source = Source(config.interfaces, promiscuous=config.promiscuous)
    return {
        taps.KIND: (Tap(source), frozenset(map(_user, config.media))),
        mirrors.KIND: (MirrorTap(source, config.sip_ports), frozenset(map(_user, config.sip))),
    }


def _user(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise RoleError(f"tap: there is no user {name}") from None


def copies(config: PoiConfig, take: Callable[[SipSeen], None]) -> CopyDoor | None:
    """Where proxies of this host bring copies; None: none may."""
    table = config.copies
    if table is None:
        return None
    try:
        return CopyDoor(Path(table.socket), table.users, take, durable=config.tickets.keep)
    except KeyError as error:
        raise RoleError(f"poi.copies.users: {error.args[0]}") from None
    except OSError as error:
        raise RoleError(f"poi.copies.socket: {table.socket}: {error.strerror or error}") from None


async def listen_hep(config: PoiConfig, hep: HepReceiver, end: TlsEnd | None) -> None:
    """``end``: for the door with TLS; None: there is none."""
    table = config.hep
    try:
        if table.udp:
            hep.listen_udp(*config_file.address(table.udp))
        if table.tcp:
            await hep.listen_tcp(*config_file.address(table.tcp))
        if table.tls is not None and end is not None:
            await hep.listen_tls(*config_file.address(table.tls.listen), end)
    except OSError as error:
        raise RoleError(f"HEP: cannot listen: {error.strerror or error}") from None


def li_plane(
    role: str,
    element: str,
    table: LiTable | None,
    found: Ends,
    status: Status,
    explain: Explain,
    audit: AuditClient | None = None,
) -> LiPlane | None:
    """Where LI staff ask; None: nowhere."""
    return None if table is None else LiPlane(role, element, table, found.server("li"), status, explain, audit)
