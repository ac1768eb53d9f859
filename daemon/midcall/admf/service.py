"""The role ``admf`` of ``midcall run``: the book of warrants, and what drives the elements by it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from imswire import x1
from midcall import config as config_file
from midcall.admf.book import Limits
from midcall.admf.core import Admf, Memory
from midcall.admf.plan import At
from midcall.admf.roles import Person, Role
from midcall.admf.shell.acts import Acts
from midcall.admf.shell.desk import Desk
from midcall.admf.shell.driver import Driver
from midcall.admf.shell.people import PeopleDoor
from midcall.admf.shell.placer import Placer
from midcall.admf.shell.reports import ReportDoor
from midcall.admf.shell.store import AdmfStore, StoreError
from midcall.admf.values import SECOND, AlarmKind
from midcall.base import credentials, owner_only
from midcall.base import warrant as warrants
from midcall.base.audit_link import Act, AuditClient, AuditLink, log_unaudited
from midcall.base.audit_link import Role as AuditRole
from midcall.base.frame import RENEWED, Frame, RoleError, key_of
from midcall.base.https import HttpsClient
from midcall.base.seal import SealKey
from midcall.base.tls import Identity, PeerName, TlsError, client_context
from midcall.base.tls_end import TlsEnd
from midcall.base.x1_element.shell import binding
from midcall.base.x1_element.shell.client import X1Client
from midcall.config import AdmfConfig, TlsTable
from midcall.events import Instant

KEY_OCTETS = range(32, 33)
MAX_TRUST = 1 << 20
DAY = 24 * 3_600 * SECOND
WATCH_SECONDS = 0.5
"""How often the wall clock is looked at."""
STOP_SECONDS = 0.3


def clock() -> Instant:
    return Instant(time.time_ns(), time.monotonic_ns())


class AdmfService:
    """One ADMF. To be made inside a running loop."""

    def __init__(self, config: AdmfConfig, acts: Acts | None = None, now: Callable[[], Instant] = clock) -> None:
        """Read all files. RoleError."""
        self.config = config
        self._now = now
        self._acts = acts or Acts(None)
        trust = _trust(config)
        self._x1_end, self._people_end = _x1_end(config), _people_end(config)
        clients, placers = _clients(config), _placers(config)
        self._acts.configured(Act.CONFIGURATION_READ, config)
        self._acts.trusted(Act.CONFIGURATION_READ, trust)
        self._store, memory = _opened(config)
        self.core = Admf(
            (At(each.role, each.ne, each.url, each.x2, each.element) for each in config.element),
            trust,
            Limits(config.limits.per_hour, config.limits.warrants, config.limits.keep_days * DAY),
            now(),
            memory,
            read_every=round(config.reconcile_seconds * SECOND),
            keepalive_every=round(config.keepalive_seconds * SECOND),
        )
        self.driver = Driver(self.core, clients, self._acts, now, self._keep)
        self.placer = Placer(self.core, placers, now, self._keep)
        self.desk = Desk(self.core, self._store, self._acts, now, self._wake)
        known = frozenset(each.ne for each in config.element)
        self._reports = ReportDoor(config.admf, known, self._x1_end, self._heard, now)
        people = config.people
        self._people = PeopleDoor(
            _people(config), self._people_end, self.desk, self._acts, now, people.per_minute, people.burst
        )
        self.addresses: dict[str, tuple[str, int]] = {}

    def _keep(self) -> None:
        self.desk.keep()

    def _wake(self) -> None:
        self.driver.wake()
        self.placer.wake()

    def _heard(self, request: x1.Request, ne: str) -> None:
        self.core.report(request, ne, self._now())
        self.desk.keep()
        self.driver.wake()

    async def start(self) -> None:
        """Open the doors, and ask the elements what they hold. RoleError."""
        for name, door, table in (
            ("x1", self._reports, self.config.x1.listen),
            ("people", self._people, self.config.people.listen),
        ):
            try:
                self.addresses[name] = await door.start(*config_file.address(table))
            except OSError as error:
                await self.stop()
                raise RoleError(f"cannot listen: {error.strerror or error}", f"admf.{name}.listen") from None
        self.driver.start()
        self.placer.start()

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``: what time brings."""
        try:
            while not stop.is_set():
                now = self._now()
                if self.core.due(now):
                    self.core.deadline(now)
                    self.driver.wake()
                self.core.fault(AlarmKind.AUDIT, now, over=self._acts.writable)
                self.core.fault(AlarmKind.DISAGREES, now, over=not self._acts.remarks)
                self.desk.keep()
                pause = min(max((self.core.next_deadline() - now.mono) / SECOND, 0.001), WATCH_SECONDS)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await stop.wait()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Close the doors, then the store; what is armed stays so."""
        await self._people.stop(STOP_SECONDS)
        await self._reports.stop(STOP_SECONDS)
        await self.driver.stop()
        await self.placer.stop()
        await self.desk.close()
        await self._store.close()

    async def renew(self, config: AdmfConfig) -> int:
        """Go over to other files and people; how many connections ended. RoleError: it stays as it is."""
        trust, x1, people, clients = _trust(config), _x1_end(config), _people_end(config), _clients(config)
        former: list[X1Client | HttpsClient] = [*self.driver.clients.values(), *self.placer.clients.values()]
        self.driver.clients, self.placer.clients = clients, _placers(config)
        self._people.know(_people(config))
        ended = self._x1_end.renew(x1) + self._people_end.renew(people)
        self._acts.configured(Act.CONFIGURATION_CHANGE, config)
        self._acts.trusted(Act.TRUST_CHANGE, trust)
        self.core.trust(trust, self._now())
        self.desk.keep()
        self.driver.wake()
        for each in former:
            await each.close()
        return ended

    @property
    def alarms(self) -> int:
        return len(self.core.alarms.standing)


def _trust(config: AdmfConfig) -> warrants.TrustList:
    try:
        with Path(config.trust).open("rb") as file:
            return warrants.read_trust(file.read(MAX_TRUST).decode())
    except (OSError, UnicodeDecodeError, config_file.ConfigError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RoleError(f"{config.trust}: {reason}", "admf.trust") from None


def _identity(table: TlsTable) -> Identity:
    return Identity(Path(table.certificate), Path(table.key), Path(table.ca), Path(table.crl) if table.crl else None)


def _x1_end(config: AdmfConfig) -> TlsEnd:
    """Elements are known by the identifiers in their messages."""
    try:
        identity = _identity(config.x1)
        binding.require_own(identity.certificate, "admf", config.admf)
        return TlsEnd.server(identity, PeerName())
    except TlsError as error:
        raise RoleError(str(error), key_of(str(error), config.x1, "admf.x1")) from None


def _people_end(config: AdmfConfig) -> TlsEnd:
    names = (each.peer for each in config.people.person)
    try:
        return TlsEnd.server(_identity(config.people), PeerName(*names))
    except TlsError as error:
        raise RoleError(str(error), key_of(str(error), config.people, "admf.people")) from None


def _clients(config: AdmfConfig) -> dict[str, X1Client]:
    try:
        context = client_context(_identity(config.x1), check_host=False)
    except TlsError as error:
        raise RoleError(str(error), key_of(str(error), config.x1, "admf.x1")) from None
    return {each.ne: X1Client(each.url, context, config.admf, each.ne, names=each.names) for each in config.element}


def _placers(config: AdmfConfig) -> dict[str, HttpsClient]:
    identity = _identity(config.x1)
    try:
        return {
            each.url: HttpsClient(each.url, TlsEnd.client(identity, PeerName(*each.peers)), 1) for each in config.kms
        }
    except TlsError as error:
        raise RoleError(str(error), key_of(str(error), config.x1, "admf.x1")) from None


def _people(config: AdmfConfig) -> dict[str, Person]:
    return {each.peer: Person(each.name, Role(each.role)) for each in config.people.person}


def _opened(config: AdmfConfig) -> tuple[AdmfStore, Memory]:
    try:
        seal = credentials.read(Path(config.seal), KEY_OCTETS)
        owner_only.make_folder(Path(config.store).parent)
        store = AdmfStore(Path(config.store), SealKey(seal))
        return store, store.read()
    except (credentials.CredentialError, StoreError) as error:
        raise RoleError(str(error)) from None
    except OSError as error:
        raise RoleError(f"{config.store}: {error.strerror or error}", "admf.store") from None


def _audit(config: AdmfConfig, instance: int) -> AuditClient | None:
    table = config.audit
    if table is None:
        log_unaudited(AuditRole.ADMF)
        return None
    try:
        salt = bytes(credentials.read(Path(table.salt), KEY_OCTETS))
    except credentials.CredentialError as error:
        raise RoleError(str(error), "admf.audit.salt") from None
    link = AuditLink(
        path=Path(table.socket), role=AuditRole.ADMF, salt=salt, instance=instance, grace=table.grace_seconds
    )
    return AuditClient(link)


async def run(config: AdmfConfig, frame: Frame, stop: asyncio.Event) -> None:
    """RoleError."""
    audit = _audit(config, frame.instance)
    service = AdmfService(config, Acts(audit))
    if audit is not None:
        await audit.start()
        frame.need(lambda: audit.answers)
    await service.start()

    async def reload(new: AdmfConfig) -> None:
        frame.log.info(RENEWED, extra={"connections_ended": await service.renew(new)})

    frame.on_reload(reload)
    frame.ready()
    await service.run(stop)
    if audit is not None:
        await audit.close()
