"""The role ``cscf`` of ``midcall run``: one worker of the proxy."""

from __future__ import annotations

import asyncio
import gc
import secrets
import sqlite3
import ssl
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import structs

from midcall.base import credentials, owner_only, tls
from midcall.base.credentials import CredentialError
from midcall.base.frame import RENEWED, Frame, RoleError, key_of
from midcall.base.tls import TlsError
from midcall.base.tls_end import Revocations
from midcall.config.cscf_tables import CscfConfig, CscfListen
from midcall.config.process import address
from midcall.cscf.building import Unusable, build, parts
from midcall.cscf.calls import Calls
from midcall.cscf.digest import Secrets
from midcall.cscf.health import Health
from midcall.cscf.location import Binding
from midcall.cscf.shell.copies import Copies
from midcall.cscf.shell.mates import CONNECTIONS, Mates
from midcall.cscf.shell.store import LocationStore, decoded, encoded
from midcall.cscf.shell.streams import StreamLimits, Streams
from midcall.cscf.shell.udp import UdpDoor
from midcall.cscf.shell.worker import Worker

SEAL_OCTETS = range(32, 33)
USERS_OCTETS = 16 << 20
FLUSH_SECONDS = 0.2
SECOND_NS = 1_000_000_000
COLLECTED = (200_000, 50, 1_000)
"""Thresholds of the garbage collector: transactions are many, live for half a minute, and make few cycles."""


async def run(config: CscfConfig, frame: Frame, stop: asyncio.Event) -> None:
    """Open the doors, and serve until ``stop``. RoleError."""
    service = Service(config, frame.instance)
    gc.set_threshold(*COLLECTED)
    service.measure(frame)
    await service.start()
    tasks = [asyncio.create_task(service.worker.keep_time()), asyncio.create_task(service.keep())]

    async def reload(new: CscfConfig) -> None:
        frame.log.info(RENEWED, extra={"connections_ended": service.renew(new)})

    frame.on_reload(reload)
    frame.ready()
    try:
        waiting = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {waiting}:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await service.close()


class Service:
    """One worker with its files. ``instance`` counts from 1."""

    def __init__(self, config: CscfConfig, instance: int) -> None:
        """RoleError: a file or table that cannot be used."""
        if not 1 <= instance <= config.workers:
            raise RoleError(f"cscf.workers: {config.workers}, so there is no instance {instance}")
        self._config = config
        self._me = instance - 1
        try:
            self._seal = bytes(credentials.read(Path(config.seal), SEAL_OCTETS))
            self._users = {} if config.digest is None else _users(Path(config.digest.users), config.digest.realm)
        except CredentialError as error:
            raise RoleError(str(error)) from None
        self._store = self._open_store()
        self._offset = time.time_ns() - time.monotonic_ns()
        self._recalling = False
        self._health = Health(_pauses(config))
        choose = secrets.SystemRandom().randrange
        try:
            self._built, self._parts = build(
                config, self._seal, secrets.token_hex(4), choose=choose, secrets=self._users.get, names=self._names,
                kept=self._kept, alive=self._health.alive,
            )  # fmt: skip
        except Unusable as error:
            raise RoleError(str(error)) from None
        self.worker = Worker(self._built.proxy, self._built.overload.observe, self._health)

    def _open_store(self) -> LocationStore | None:
        if not self._config.location.file:
            return None
        path = Path(self._config.location.file)
        try:
            owner_only.make_folder(path.parent)
            return LocationStore(path)
        except (OSError, sqlite3.Error) as error:
            raise RoleError(f"cscf.location.file: {path}: {error}") from None

    def _names(self, connection: int) -> frozenset[str]:
        streams, mates = self.worker.streams, self.worker.mates
        if mates is not None and connection // CONNECTIONS != self._me:
            return mates.names_of(connection)
        return frozenset() if streams is None else streams.names_of(connection)

    # Registrations

    def _kept(self, aor: str, bindings: Sequence[Binding]) -> None:
        if self._recalling:
            return
        octets = encoded(aor, bindings, self._offset)
        if self._store is not None:
            self._store.put(aor, bindings, octets, self._offset)
        if self.worker.mates is not None:
            self.worker.mates.tell_bound(octets)

    def _bound(self, octets: bytes) -> None:
        """Another worker has changed a registration."""
        found = decoded(octets, self._offset)
        self._recalling = True
        self._built.location.put(found.aor, found.bindings)
        self._recalling = False

    async def keep(self) -> None:
        """Write registrations, and let go of what is over."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self._built.location.expire(time.monotonic_ns())
            if self._store is not None:
                try:
                    self._store.flush()
                except sqlite3.Error:
                    self._built.proxy.counts["store faults"] += 1

    # Doors

    async def start(self) -> None:
        """RoleError: a door that cannot be opened."""
        worker, shared = self.worker, self._config.workers > 1
        limits = self._config.limits
        if self._store is not None:
            for changed in self._store.recall(time.time_ns(), self._offset):
                self._built.location.recall(changed.aor, changed.bindings)
        worker.streams = Streams(
            worker.message,
            worker.failed,
            StreamLimits(limits.connections, limits.each_host, limits.idle_seconds, limits.message_seconds),
            self._me * CONNECTIONS + _first_connection(),
        )
        try:
            calls = Calls(self._seal)
            if shared:
                folder = Path(self._config.mates)
                worker.mates = Mates(
                    folder, self._me, self._config.workers, calls, worker.serve, self._stream, self._bound
                )
                worker.mates.named, worker.streams.told = worker.streams.named, worker.mates.tell_names
                await worker.mates.told()
            if self._config.copies.to:
                copies = self._config.copies
                worker.copies = Copies(copies.to, copies.octets, self._built.listeners, calls)
        except (OSError, msgspec.MsgspecError) as error:
            raise RoleError(f"cscf.mates: {error}") from None
        for place, door in enumerate(self._config.listen):
            try:
                await self._open(place, door, shared=shared)
            except OSError as error:
                raise RoleError(f"cscf.listen[{place}]: {door.address}: {error.strerror or error}") from None
            except TlsError as error:
                raise RoleError(f"cscf.listen[{place}]: {error}") from None

    def renew(self, config: CscfConfig) -> int:
        """Go on with other domains, routes, peers, users and files of certificates; how many connections ended, since
        their certificates are revoked. RoleError: it goes on as before.

        Calls, registrations and connections stay; nothing else of the configuration is taken.
        """
        listen = tuple(map(_files, self._config.listen, config.listen))
        new = structs.replace(
            self._config, domains=config.domains, route=config.route, peer=config.peer, digest=config.digest,
            listen=listen if len(listen) == len(self._config.listen) else self._config.listen,
        )  # fmt: skip
        try:
            users = {} if new.digest is None else _users(Path(new.digest.users), new.digest.realm)
        except CredentialError as error:
            raise RoleError(str(error), "cscf.digest.users") from None
        try:
            made = parts(new, self._built.fixed, users.get, self._parts.digest)
        except Unusable as error:
            raise RoleError(str(error)) from None
        doors = {place: _door(place, door) for place, door in enumerate(new.listen) if door.transport == "tls"}
        self._config, self._parts, self._users = new, made, users
        self._health.renew(_pauses(new))
        self._built.proxy.renew(made.router, made.gate, made.registrar)
        streams = self.worker.streams
        return 0 if streams is None else sum(streams.renew(place, *door) for place, door in doors.items())

    def _stream(self, octets: bytes, listener: int, hop: object) -> None:
        self.worker.stream(octets, listener, hop)  # type: ignore[arg-type]

    async def _open(self, place: int, door: CscfListen, *, shared: bool) -> None:
        host, port = address(door.address)
        if door.transport == "udp":
            take = self.worker.message if shared else self.worker.serve
            self.worker.udp[place] = UdpDoor(host, port, place, take, shared=shared)
            return
        assert self.worker.streams is not None
        server, client = (None, None) if door.transport == "tcp" else contexts(door)
        await self.worker.streams.listen(place, door.transport, host, port, server, client, shared=shared)

    async def close(self) -> None:
        await self.worker.close()
        if self._store is not None:
            self._store.close()

    # What an operator sees

    def measure(self, frame: Frame) -> None:
        """The counts of the proxy; none of them knows an identity."""
        proxy, worker = self._built.proxy, self.worker
        metrics = frame.metrics
        metrics.counter("sip_messages", "What became of SIP messages.", lambda: dict(proxy.counts), "outcome")
        metrics.gauge(
            "sip_transactions",
            "Transactions that are kept.",
            lambda: dict(zip(("server", "client"), proxy.running, strict=True)),
            "side",
        )
        metrics.gauge("sip_registered", "Addresses of record with a contact.", lambda: len(self._built.location))
        metrics.gauge("sip_shed_percent", "Share of new requests refused.", lambda: self._built.overload.share)
        metrics.counter(
            "sip_held_back",
            "Requests that an overloaded next hop was spared.",
            lambda: self._built.overload.held_requests,
        )
        metrics.gauge("sip_hops_down", "Next hops that do not answer.", lambda: self._health.down)
        metrics.gauge("sip_connections", "Connections that are open.", lambda: len(worker.streams or ()))
        metrics.counter(
            "sip_streams",
            "What became of connections that were not left as they were.",
            lambda: {} if worker.streams is None else dict(worker.streams.counts),
            "outcome",
        )
        metrics.counter(
            "sip_copies_dropped",
            "Copies for which there was no room.",
            lambda: 0 if worker.copies is None else sum(link.counts["dropped"] for link in worker.copies.links),
        )


def _first_connection() -> int:
    """Registrations outlive a run, and name the connections over which they came: no later run has their numbers, as
    long as there are no more of them than milliseconds.
    """
    return time.time_ns() // 1_000_000 % (CONNECTIONS // 2)


def _pauses(config: CscfConfig) -> dict[str, int]:
    """How often next hops are asked, in ns."""
    return {hop.uri: round(route.probe_seconds * SECOND_NS) for route in config.route for hop in route.hops}


def _files(door: CscfListen, new: CscfListen) -> CscfListen:
    """A door with what may change while it is open."""
    return structs.replace(
        door, certificate=new.certificate, key=new.key, ca=new.ca, crl=new.crl, clients=new.clients,
        tls_1_2=new.tls_1_2,
    )  # fmt: skip


def _door(place: int, door: CscfListen) -> tuple[ssl.SSLContext, ssl.SSLContext | None, Revocations]:
    """What a TLS door has from now on. RoleError."""
    try:
        return *contexts(door), Revocations(Path(door.crl) if door.crl else None)
    except TlsError as error:
        key = f"cscf.listen[{place}]"
        raise RoleError(str(error), key_of(str(error), door, key)) from None


def contexts(door: CscfListen) -> tuple[ssl.SSLContext, ssl.SSLContext | None]:
    """For connections that come, and for those that are opened. TlsError."""
    certificate, key = Path(door.certificate), Path(door.key)
    if not door.ca:
        return tls.user_context(certificate, key, tls_1_2=door.tls_1_2), None
    identity = tls.Identity(certificate, key, Path(door.ca), Path(door.crl) if door.crl else None)
    server = tls.server_context(identity, tls_1_2=door.tls_1_2)
    if door.clients != "required":
        server.verify_mode = ssl.CERT_OPTIONAL if door.clients == "optional" else ssl.CERT_NONE
    return server, tls.client_context(identity, tls_1_2=door.tls_1_2)


def _users(path: Path, realm: str) -> dict[str, Secrets]:
    """Secrets by user name. CredentialError."""
    users: dict[str, Secrets] = {}
    text = bytes(credentials.text(path, USERS_OCTETS)).decode("utf-8", "surrogateescape")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.strip().split(":")
        if len(parts) != 4 or not (len(parts[2]) in (0, 64) and len(parts[3]) in (0, 32)):
            raise CredentialError(f"{path}: line {number}: not user:realm:SHA-256:MD5")
        if parts[1] == realm:
            hashes = {"SHA-256": parts[2].lower(), "MD5": parts[3].lower()}
            users[parts[0]] = Secrets({name: value for name, value in hashes.items() if value})
    return users
