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
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

from midcall import config
from midcall.base import credentials, tls, warrant
from midcall.base.credentials import CredentialError
from midcall.base.https import HttpsClient, HttpsServer, Limits
from midcall.base.seal import KEY_OCTETS, SealKey
from midcall.base.tls import PeerName, TlsError
from midcall.config import ConfigError, KmsConfig, KmsPeers, KmsUsers, KmsXk
from midcall.kms import keyfile
from midcall.kms.authority import Authority
from midcall.kms.core import Kms
from midcall.kms.foreign import ForeignKeys
from midcall.kms.shell import desk as desks
from midcall.kms.shell import peers, users, xk
from midcall.kms.shell.desk import Clock, Desk, Disclosure, li_log, log
from midcall.kms.shell.peers import Elsewhere, PeerDoor
from midcall.kms.shell.sealed import HOUR, SealedStore, StoreError
from midcall.kms.shell.users import UserDoor
from midcall.kms.shell.xk import XkDoor
from midcall.kms.store import AuthorisedNode, KmsStore, PeerKms
from midcall.kms.values import Draw

STOP_SECONDS = 5.0
LOOK_SECONDS = 60.0
"""How often the age of keys is looked at, at least; clocks jump."""
_PSK = range(16, 33)
SECOND = 1_000_000_000


class ServiceError(Exception):
    """Why the service does not start; one line that names the file or the key of the configuration."""


class KmsService:
    """One KMS. ``addresses`` has the ports of its doors after ``start``: "users", "xk", "peers"."""

    def __init__(
        self,
        settings: KmsConfig,
        *,
        now: Clock = desks.clock,
        draw: Draw = secrets.token_bytes,
        tell: Callable[[Disclosure], None] = desks.tell,
    ) -> None:
        """Open the store and read all files. ServiceError."""
        self.settings = settings
        self.addresses: dict[str, tuple[str, int]] = {}
        self._servers: dict[str, HttpsServer] = {}
        self._elsewhere: Elsewhere | None = None
        try:
            self._seal = _seal(Path(settings.seal))
            self.store = SealedStore(Path(settings.store), self._seal)
            try:
                self._foreign = self._cache()
                self.desk = Desk(self._kms(now().wall), now=now, draw=draw, tell=tell)
                self._authority = None if settings.xk is None else self._warrants(settings.xk)
                self._contexts = _contexts(settings)
            except BaseException:
                self.store.close()
                raise
        except (CredentialError, StoreError, TlsError, ConfigError, OSError) as error:
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
        nodes = () if self.settings.xk is None else tuple(map(_node, self.settings.xk.node))
        others = () if self.settings.peers is None else tuple(map(_peer, self.settings.peers.peer))
        store = KmsStore(self.settings.identity, self.store.tpks, self.store.subscribers(), nodes, others)
        return Kms(store, self._foreign, self.settings.tpk.ticket_hours * HOUR)

    def _warrants(self, settings: KmsXk) -> Authority:
        try:
            trust = warrant.read_trust(Path(settings.trust).read_text(encoding="utf-8"))
        except (ConfigError, UnicodeDecodeError) as error:
            raise ServiceError(f"{settings.trust}: {error}") from None
        if settings.unsigned == "accept":
            clients = len(settings.clients)
            li_log.warning("xk.unsigned = accept: session keys are given WITHOUT A WARRANT to %d clients", clients)
        guard = warrant.ClockGuard(self.desk.now())
        return Authority(
            self.settings.element,
            trust,
            self.store.known(),
            guard,
            self.store.note,
            unsigned=settings.unsigned == "accept",
        )

    async def start(self) -> None:
        """Open the doors. ServiceError."""
        settings, desk = self.settings, self.desk
        try:
            if settings.peers is not None:
                self._elsewhere = self._clients(settings.peers)
                if settings.peers.listen is not None:
                    door, names = PeerDoor(desk, settings.peers), PeerName(*(each.name for each in settings.peers.peer))
                    limits = Limits(connections=settings.peers.connections)
                    server = HttpsServer(door.handle, self._contexts["peers"], names, limits, peers.refuse)
                    await self._open("peers", server, settings.peers.listen)
            if settings.xk is not None and self._authority is not None:
                self._mediation = mediation = XkDoor(desk, settings.xk, self._authority)
                names, limits = PeerName(*settings.xk.clients), Limits(connections=settings.xk.connections)
                server = HttpsServer(mediation.handle, self._contexts["xk"], names, limits, xk.refuse)
                await self._open("xk", server, settings.xk.listen)
            if settings.users is not None:
                user_door = UserDoor(desk, settings.users, self._elsewhere)
                limits = Limits(connections=settings.users.connections)
                server = HttpsServer(user_door.handle, self._contexts["users"], None, limits, users.refuse)
                await self._open("users", server, settings.users.listen)
        except OSError as error:
            await self.stop()
            raise ServiceError(f"cannot listen: {error.strerror or error}") from None

    async def _open(self, name: str, server: HttpsServer, listen: str) -> None:
        self._servers[name] = server
        self.addresses[name] = await server.start(*config.address(listen))

    def _clients(self, settings: KmsPeers) -> Elsewhere:
        context = tls.client_context(_identity(settings), check_host=False)
        clients = {each.identity: HttpsClient(each.url, context, PeerName(each.name)) for each in settings.peer}
        return Elsewhere(clients, settings.deadline_seconds)

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``: turn keys over, forget what is too old."""
        try:
            while not stop.is_set():
                self.look()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._pause())
        finally:
            await self.stop()

    def look(self) -> None:
        """What time makes due: a new TPK, an old one destroyed, foreign keys forgotten."""
        now = self.desk.now()
        if self._foreign is not None:
            self._foreign.expire(now.mono)
        try:
            if self._turn(now.wall):
                self.desk.kms.turn(self.store.tpks)
                log.info("ticket protection keys have changed: %d are kept", len(self.store.tpks))
        except StoreError as error:
            log.error("ticket protection keys cannot be changed: %s", error)

    def _turn(self, now: int) -> bool:
        tpk = self.settings.tpk
        return self.store.turn(now, tpk.rotate_hours * HOUR, tpk.keep_hours * HOUR, secrets.token_bytes)

    def _pause(self) -> float:
        tpk = self.settings.tpk
        turn = self.store.next_turn(tpk.rotate_hours * HOUR, tpk.keep_hours * HOUR)
        waits = [LOOK_SECONDS, (turn - self.desk.now().wall) / SECOND]
        if self._foreign is not None:
            waits.append(self.settings.cache.max_age_seconds)
        return max(min(waits), 1.0)

    async def stop(self) -> None:
        """Close the doors, then the store; the sealing key is wiped."""
        for server in self._servers.values():
            await server.stop(STOP_SECONDS)
        if self._elsewhere is not None:
            await self._elsewhere.close()
        self.store.close()
        self._seal.wipe()


async def run(settings: KmsConfig, stop: asyncio.Event, ready: Callable[[KmsService], None] | None = None) -> None:
    """Serve until ``stop``; ``ready`` is told when all doors are open. ServiceError."""
    service = KmsService(settings)
    await service.start()
    if ready is not None:
        ready(service)
    await service.run(stop)


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


def _contexts(settings: KmsConfig) -> dict[str, ssl.SSLContext]:
    """Every mistake in a file shows before a door is open. TlsError."""
    found = {}
    if settings.users is not None:
        found["users"] = _user_context(settings.users)
    if settings.xk is not None:
        found["xk"] = tls.server_context(_identity(settings.xk))
    if settings.peers is not None:
        found["peers"] = tls.server_context(_identity(settings.peers))
    return found


def _user_context(settings: KmsUsers) -> ssl.SSLContext:
    return tls.user_context(Path(settings.certificate), Path(settings.key), tls_1_2=settings.tls_1_2)


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
