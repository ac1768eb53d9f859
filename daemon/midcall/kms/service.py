"""The KMS as a service: its doors for users, mediation functions and other KMSs, over one core and one sealed store.

``python -m midcall.kms.service --config FILE`` runs one by itself; ``run`` is what a daemon calls.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, structs

from midcall import config
from midcall.base import credentials, tls, warrant
from midcall.base.audit_link import Act, AuditClient, AuditLink, Role, log_unaudited
from midcall.base.audit_link.values import SALT_OCTETS
from midcall.base.credentials import CredentialError
from midcall.base.frame import key_of
from midcall.base.https import HttpsClient, HttpsServer, Limits
from midcall.base.seal import KEY_OCTETS, SealKey
from midcall.base.tls import PeerName, TlsError
from midcall.base.tls_end import TlsEnd
from midcall.config import ConfigError, KmsConfig, KmsPeers, KmsXk
from midcall.kms import keyfile
from midcall.kms.authority import Authority
from midcall.kms.core import Kms
from midcall.kms.foreign import ForeignKeys
from midcall.kms.shell import desk as desks
from midcall.kms.shell import peers, users, xk
from midcall.kms.shell.audited import KeyAudit
from midcall.kms.shell.desk import Clock, Desk, Disclosure, li_log, log
from midcall.kms.shell.peers import Elsewhere, PeerDoor
from midcall.kms.shell.sealed import HOUR, SealedStore, StoreError
from midcall.kms.shell.users import UserDoor
from midcall.kms.shell.xk import XkDoor
from midcall.kms.store import AuthorisedNode, KmsStore, PeerKms
from midcall.kms.values import Draw

STOP_SECONDS = 0.3
"""How long a question that has begun may take when the doors close."""
USERS, XK, PEERS = "users", "xk", "peers"
LOOK_SECONDS = 1.0
"""How often the age of keys is looked at, and what others have written into the store."""
TOGETHER = 100
"""Subscribers that are read in one go, before others have their turn: some milliseconds."""
_PSK = range(16, 33)
SECOND = 1_000_000_000

T = TypeVar("T", bound=Struct)


class ServiceError(Exception):
    """Why the service does not start, or takes no other files; one line that names a file.

    ``key``: the key, or table, of the configuration that leads there; empty: no one does.
    """

    def __init__(self, reason: str, key: str = "") -> None:
        super().__init__(reason)
        self.key = key


class KmsService:
    """One KMS. ``addresses`` has the ports of its doors after ``start``: "users", "xk", "peers"."""

    def __init__(
        self,
        settings: KmsConfig,
        *,
        now: Clock = desks.clock,
        draw: Draw = secrets.token_bytes,
        tell: Callable[[Disclosure], None] = desks.tell,
        instance: int = 1,
    ) -> None:
        """Open the store and read all files. ServiceError."""
        self.settings = settings
        self.addresses: dict[str, tuple[str, int]] = {}
        self._servers: dict[str, HttpsServer] = {}
        self._elsewhere: Elsewhere | None = None
        self._mediation: XkDoor | None = None
        self._reading: asyncio.Task[None] | None = None
        try:
            self._seal = _seal(Path(settings.seal))
            self.store = SealedStore(Path(settings.store), self._seal)
            try:
                self._foreign = self._cache()
                audit = KeyAudit(_audit(settings, instance))
                self.desk = Desk(
                    self._kms(now().wall), now=now, draw=draw, tell=tell, refresh=self.refresh, audit=audit
                )
                self._authority = None if settings.xk is None else self._warrants(settings.xk)
                self._ends = _ends(settings)
            except BaseException:
                self.store.close()
                raise
        except (CredentialError, StoreError, ConfigError, OSError) as error:
            raise ServiceError(str(error)) from None

    def _cache(self) -> ForeignKeys | None:
        cache = self.settings.cache
        return ForeignKeys(cache.entries, cache.max_age_seconds * SECOND) if cache.enabled else None

    def _kms(self, now: int) -> Kms:
        if self.settings.lab_keys:
            path = Path(self.settings.lab_keys)
            try:
                keys = keyfile.read(path.read_text(encoding="utf-8"))
            except (ConfigError, UnicodeDecodeError) as error:
                raise ServiceError(f"{path}: {error}") from None
            log.warning("keys of a laboratory are imported from %s", path)
            self.store.import_lab(keys, now)
        self._turn(now)
        self.store.subscribers_changed()
        nodes = () if self.settings.xk is None else tuple(map(_node, self.settings.xk.node))
        others = () if self.settings.peers is None else tuple(map(_peer, self.settings.peers.peer))
        store = KmsStore(self.settings.identity, self.store.tpks, self.store.subscribers(), nodes, others)
        return Kms(store, self._foreign, self.settings.tpk.ticket_hours * HOUR)

    def _warrants(self, settings: KmsXk) -> Authority:
        trust = _trust(settings)
        self.desk.audit.trusted(Act.CONFIGURATION_READ, trust)
        if settings.unsigned == "accept":
            clients = len(settings.clients)
            li_log.warning("xk.unsigned = accept: session keys are given WITHOUT A WARRANT to %d clients", clients)
        guard = warrant.ClockGuard(self.desk.now())
        return Authority(
            self.settings.element,
            trust,
            self.store.known,
            guard,
            self.store.note,
            unsigned=settings.unsigned == "accept",
        )

    async def start(self) -> None:
        """Open the doors. ServiceError."""
        settings, desk = self.settings, self.desk
        desk.audit.configured(Act.CONFIGURATION_READ, settings)
        await desk.audit.start()
        try:
            if settings.peers is not None:
                self._elsewhere = self._clients(settings.peers)
                if settings.peers.listen is not None:
                    door, limits = PeerDoor(desk, settings.peers), Limits(connections=settings.peers.connections)
                    server = HttpsServer(door.handle, self._ends[PEERS], limits, peers.refuse)
                    await self._open(PEERS, server, settings.peers.listen)
            if settings.xk is not None and self._authority is not None:
                self._mediation = mediation = XkDoor(desk, settings.xk, self._authority)
                limits = Limits(connections=settings.xk.connections)
                server = HttpsServer(mediation.handle, self._ends[XK], limits, xk.refuse, mediation.stranger)
                await self._open(XK, server, settings.xk.listen)
            if settings.users is not None:
                user_door = UserDoor(desk, settings.users, self._elsewhere)
                limits = Limits(connections=settings.users.connections)
                server = HttpsServer(user_door.handle, self._ends[USERS], limits, users.refuse)
                await self._open(USERS, server, settings.users.listen)
        except OSError as error:
            await self.stop()
            raise ServiceError(f"cannot listen: {error.strerror or error}") from None

    async def _open(self, name: str, server: HttpsServer, listen: str) -> None:
        self._servers[name] = server
        self.addresses[name] = await server.start(*config.address(listen))

    def _clients(self, settings: KmsPeers) -> Elsewhere:
        clients = {each.identity: HttpsClient(each.url, self._ends[each.identity]) for each in settings.peer}
        return Elsewhere(clients, settings.deadline_seconds)

    def renew(self, settings: KmsConfig) -> int:
        """Read files of certificates and of trust anew, as other settings name them, and go over to them; how many
        connections ended, since their peers are admitted no more. ServiceError: it stays as it is.

        Nothing else of the settings is taken.
        """
        running = self.settings
        files = structs.replace(
            running,
            users=_files(running.users, settings.users, ("certificate", "key")),
            xk=_files(running.xk, settings.xk, ("certificate", "key", "ca", "crl", "clients", "placers", "trust")),
            peers=_files(running.peers, settings.peers, ("certificate", "key", "ca", "crl")),
        )
        ends, trust = _ends(files), None if files.xk is None else _trust(files.xk)
        if self._authority is not None and trust is not None:
            self._authority.renew(trust)
            self.desk.audit.trusted(Act.TRUST_CHANGE, trust)
        if self._mediation is not None and files.xk is not None:
            self._mediation.know(files.xk)
        self.desk.audit.configured(Act.CONFIGURATION_CHANGE, settings)
        return sum(end.renew(ends[name]) for name, end in self._ends.items())

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``: turn keys over, forget what is too old."""
        try:
            while not stop.is_set():
                self.look()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
        finally:
            await self.stop()

    def look(self) -> None:
        """What time makes due: a new TPK, an old one destroyed, foreign keys forgotten."""
        now = self.desk.now()
        if self._foreign is not None:
            self._foreign.expire(now.mono)
        if self._authority is not None:
            self._authority.lapse(now)
        try:
            self.refresh()
            if self._turn(now.wall):
                self._turned()
            if self.store.subscribers_changed():
                self._read_subscribers()
        except StoreError as error:
            log.error("%s", error)

    def refresh(self) -> None:
        """Take over what another process has written. StoreError."""
        if self.store.changed():
            if self.store.tpks != self.desk.kms.store.tpks:
                self._turned()
            if self._authority is not None:
                self._authority.forget()

    def _turned(self) -> None:
        self.desk.kms.turn(self.store.tpks)
        self.desk.audit.managed()
        log.info("ticket protection keys have changed: %d are kept", len(self.store.tpks))

    def _read_subscribers(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._reading = asyncio.get_running_loop().create_task(self._subscribers())

    async def _subscribers(self) -> None:
        """Read them anew while the former ones are served."""
        store = self.desk.kms.store.without_subscribers()
        try:
            for number, each in enumerate(self.store.each_subscriber(), 1):
                store.add(each)
                if number % TOGETHER == 0:
                    await asyncio.sleep(0)
        except StoreError as error:
            log.error("%s", error)
            return
        self.desk.kms.renew(store)
        self.desk.audit.managed()
        log.info("subscribers have changed: %d are known", len(store.subscribers))

    def _turn(self, now: int) -> bool:
        tpk = self.settings.tpk
        return self.store.turn(now, tpk.rotate_hours * HOUR, tpk.keep_hours * HOUR, secrets.token_bytes)

    async def stop(self) -> None:
        """Close the doors, then the store; the sealing key is wiped."""
        await asyncio.gather(*(server.stop(STOP_SECONDS) for server in self._servers.values()))
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._elsewhere is not None:
            await self._elsewhere.close()
        await self.desk.audit.close()
        self.store.close()
        self._seal.wipe()


async def run(
    settings: KmsConfig,
    stop: asyncio.Event,
    ready: Callable[[KmsService], None] | None = None,
    instance: int = 1,
) -> None:
    """Serve until ``stop``; ``ready`` is told when all doors are open. ServiceError."""
    service = KmsService(settings, instance=instance)
    await service.start()
    if ready is not None:
        ready(service)
    await service.run(stop)


def _audit(settings: KmsConfig, instance: int) -> AuditClient | None:
    """Where it tells what it does. CredentialError."""
    table = settings.audit
    if table is None:
        log_unaudited(Role.KMS)
        return None
    salt = bytes(credentials.read(Path(table.salt), range(SALT_OCTETS, SALT_OCTETS + 1)))
    link = AuditLink(path=Path(table.socket), role=Role.KMS, salt=salt, instance=instance, grace=table.grace_seconds)
    return AuditClient(link)


def _seal(path: Path) -> SealKey:
    octets = credentials.read(path, range(KEY_OCTETS, KEY_OCTETS + 1))
    try:
        return SealKey(octets)
    finally:
        octets[:] = bytes(len(octets))


def _node(entry: config.KmsNode) -> AuthorisedNode:
    return AuthorisedNode(entry.identity, entry.psk_id.encode(), bytes(credentials.read(Path(entry.credential), _PSK)))


def _peer(entry: config.KmsPeer) -> PeerKms:
    return PeerKms(entry.identity, entry.psk_id.encode(), bytes(credentials.read(Path(entry.credential), _PSK)))


def _identity(settings: KmsXk | KmsPeers) -> tls.Identity:
    crl = Path(settings.crl) if settings.crl else None
    return tls.Identity(Path(settings.certificate), Path(settings.key), Path(settings.ca), crl)


def _trust(settings: KmsXk) -> warrant.TrustList:
    try:
        return warrant.read_trust(Path(settings.trust).read_text(encoding="utf-8"))
    except (OSError, ConfigError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ServiceError(f"{settings.trust}: {reason}", "kms.xk.trust") from None


def _files(running: T | None, other: T | None, names: tuple[str, ...]) -> T | None:
    """A table with some of its keys from another; one that is not in both stays as it is."""
    if running is None or other is None:
        return running
    return structs.replace(running, **{name: getattr(other, name) for name in names})


def _ends(settings: KmsConfig) -> dict[str, TlsEnd]:
    """Of the doors, by their tables, and towards other KMSs, by their identities. ServiceError.

    Every mistake in a file shows before a door is open.
    """
    found = {}
    users, mediation, others = settings.users, settings.xk, settings.peers
    if users is not None:
        with _faults(USERS, users):
            found[USERS] = TlsEnd.users(Path(users.certificate), Path(users.key), tls_1_2=users.tls_1_2)
    if mediation is not None:
        with _faults(XK, mediation):
            found[XK] = TlsEnd.server(_identity(mediation), PeerName(*mediation.clients, *mediation.placers))
    if others is not None:
        names = (each.name for each in others.peer)
        with _faults(PEERS, others):
            found[PEERS] = TlsEnd.server(_identity(others), PeerName(*names))
            for each in others.peer:
                found[each.identity] = TlsEnd.client(_identity(others), PeerName(each.name))
    return found


@contextlib.contextmanager
def _faults(name: str, table: Struct) -> Iterator[None]:
    try:
        yield
    except TlsError as error:
        raise ServiceError(str(error), key_of(str(error), table, f"kms.{name}")) from None


async def _serve(settings: KmsConfig) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop.set)

    def ready(service: KmsService) -> None:
        print(json.dumps(service.addresses), flush=True)

    await run(settings, stop, ready)


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal; the addresses of its doors are one line of JSON on standard output."""
    parser = argparse.ArgumentParser(prog="midcall.kms.service", description="Run a KMS by itself.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    path = parser.parse_args(arguments).config
    try:
        settings = config.kms(path.read_text(encoding="utf-8"))
        asyncio.run(_serve(settings))
    except (ConfigError, UnicodeDecodeError, OSError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 3
    except ServiceError as error:
        print(f"midcall.kms.service: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
