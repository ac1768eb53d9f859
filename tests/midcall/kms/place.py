"""A KMS service on loopback for tests: real TLS, a lab's certificates, a clock that the test moves."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from msgspec import structs

from imswire import xk
from midcall import config
from midcall.base import tls
from midcall.base.https import HttpsClient
from midcall.base.lab_pki import LabPki, uri
from midcall.base.tls import PeerName
from midcall.base.tls_end import TlsEnd
from midcall.events import Instant, Kept, Side, TicketExchange
from midcall.kms import keyfile
from midcall.kms.service import KmsService
from midcall.kms.shell.desk import Disclosure
from midcall.ue import lab
from midcall.ue.shell.kms import UserRefused
from midcall.ue.ticket import AES_CM_128_80, Bundle, TicketUser, session
from tests.midcall import warrants

T = TypeVar("T")
XID, ELEMENT = warrants.XID, "kms-1"
ROLES = ("kms", "df", "poi", "kms-other")
ALICE = "sip:alice@example.com"
USERS, XK_DOOR, PEERS = "users", "xk", "peers"


class Clock:
    """Both clocks of a service; they move when the test says so, together unless it says otherwise."""

    def __init__(self, begin: Instant | None = None) -> None:
        self.instant = begin or warrants.at()

    def __call__(self) -> Instant:
        return self.instant

    def go(self, seconds: float) -> None:
        step = round(seconds * 1e9)
        self.instant = Instant(self.instant.wall + step, self.instant.mono + step)


def make_pki(folder: Path) -> Path:
    LabPki(folder).make(ROLES)
    return folder


def secret(path: Path, octets: bytes) -> Path:
    path.write_text(octets.hex())
    path.chmod(0o600)
    return path


class Lab:
    """Users with their keys, and the files of one KMS."""

    def __init__(self, folder: Path, pki: Path, names: tuple[str, ...] = ("alice", "bob"), seed: str = "kms") -> None:
        self.folder = folder
        self.pki = pki
        self.clock = Clock()
        self.draw = lab.seeded(seed)
        self.users = {name: lab.user(name, self.draw) for name in names}
        self.told: list[Disclosure] = []
        secret(folder / "seal", self.draw(32))
        (folder / "trust.toml").write_text(warrants.trust_text())
        self.write_keys(self.users.values())

    def write_keys(self, users: Any, tpk: str = "tpk-1", identity: str = lab.KMS_IDENTITY) -> None:
        entries = [{"identity": u.uri, "psk_id": u.psk_id.decode(), "psk": u.psk} for u in users]
        text = keyfile.example(identity, {tpk: self.draw(16)}, entries)
        (self.folder / "KEYS.toml").write_text(text)

    def text(self, *more: str, **changes: str) -> str:
        """A configuration; ``changes`` are lines of [kms.xk], [kms.users], [kms] by the key's name before "__"."""
        files = {"kms": self.folder, "pki": self.pki}

        def lines(table: str) -> str:
            return "".join(f"{k.partition('__')[2]} = {v}\n" for k, v in changes.items() if k.startswith(table + "__"))

        lab_keys = "" if "kms__lab_keys" in changes else f'lab_keys = "{self.folder}/KEYS.toml"\n'
        own = 'certificate = "{pki}/kms.pem"\nkey = "{pki}/kms.key"\n'.format(**files)
        return (
            f'[kms]\nidentity = "{lab.KMS_IDENTITY}"\nelement = "{ELEMENT}"\n'
            'store = "{kms}/kms.db"\nseal = "{kms}/seal"\n'.format(**files)
            + lab_keys
            + lines("kms")
            + f'[kms.users]\nlisten = "127.0.0.1:0"\n{own}'
            + lines("users")
            + f'[kms.xk]\nlisten = "127.0.0.1:0"\n{own}ca = "{self.pki}/ca.pem"\n'
            + f'clients = ["{uri("df")}"]\ntrust = "{self.folder}/trust.toml"\n'
            + lines("xk")
            + "".join(more)
        )

    @contextmanager
    def running(self, *more: str, **changes: str) -> Iterator[Running]:
        """The service in a thread of its own."""
        running = Running(self, config.kms(self.text(*more, **changes)))
        try:
            yield running
        finally:
            running.stop()

    def warrant(self, *signers: str, **changed: Any) -> str:
        fields = {"elements": [ELEMENT, "df2-1"]} | changed
        return warrants.signed(warrants.make(**fields), *signers).decode()


class Running:
    """A service that runs, and ways to speak to it."""

    def __init__(self, made: Lab, settings: config.KmsConfig) -> None:
        self.lab = made
        self._begun = threading.Event()
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(settings,))
        self._thread.start()
        self._begun.wait()
        if self._failed is not None:
            self._thread.join()
            raise self._failed

    def _run(self, settings: config.KmsConfig) -> None:
        async def serve() -> None:
            try:
                self.service = KmsService(settings, now=self.lab.clock, tell=self.lab.told.append)
                await self.service.start()
            except Exception as error:
                self._failed = error
                self._begun.set()
                return
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._begun.set()
            await self.service.run(self._stop)

        asyncio.run(serve())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def do(self, what: Callable[[KmsService], T]) -> T:
        """In the service's own thread."""

        async def call() -> T:
            return what(self.service)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    def port(self, door: str) -> int:
        return self.service.addresses[door][1]

    def connection(self, door: str, role: str | None = None) -> http.client.HTTPSConnection:
        """A client that is not ours, with the certificate of a role or none."""
        context = ssl.create_default_context(cafile=str(self.lab.pki / "ca.pem"))
        if role is not None:
            context.load_cert_chain(self.lab.pki / f"{role}.pem", self.lab.pki / f"{role}.key")
        return http.client.HTTPSConnection("127.0.0.1", self.port(door), context=context, timeout=20)

    def post(
        self, door: str, path: str, body: bytes, kind: str = "application/mikey", role: str | None = None
    ) -> tuple[int, bytes]:
        connection = self.connection(door, role)
        try:
            connection.request("POST", path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    # As a user

    def ask(self, octets: bytes, *, text: bool = False) -> bytes:
        """The KMS as the simulator's users reach it: over HTTPS."""
        kind = "ticketresolve" if octets[1] in (16, 17) else "ticketrequest"
        body = base64.encodebytes(octets) if text else octets
        status, answer = self.post(USERS, f"/keymanagement?requesttype={kind}", body)
        if status != 200:
            raise UserRefused(status, answer)
        return base64.b64decode(answer, validate=True) if text else answer

    def call(
        self, flags: str = "DEFGHNO", owner: str = "alice", peer: str = "bob", text: bool = False
    ) -> tuple[TicketExchange, Bundle]:
        """Both messages of a call between two users, and the keys as its answering end has them."""

        def ask(octets: bytes) -> bytes:
            return self.ask(octets, text=text)

        users, now = self.lab.users, self.lab.clock().wall
        return exchange(users[owner], users[peer], ask, ask, now, flags)

    # As a mediation function

    def get_keys(self, seen: TicketExchange, role: str | None = "df", **changed: Any) -> tuple[int, Any]:
        status, body = self.post_xk(self.question(seen, **changed), role)
        return status, json.loads(body)

    def question(self, seen: TicketExchange, **changed: Any) -> xk.Request:
        request = xk.Request(
            transaction="t1",
            xid=XID,
            identity=ALICE,
            init=xk.Seen(octets=seen.init.octets, at=seen.init.at.wall),
            response=None if seen.response is None else xk.Seen(octets=seen.response.octets, at=seen.response.at.wall),
            warrant=self.lab.warrant(),
        )
        return structs.replace(request, **changed)

    def post_xk(self, request: xk.Request | bytes, role: str | None = "df", path: str = xk.PATH) -> tuple[int, bytes]:
        body = request if isinstance(request, bytes) else xk.write(request)
        return self.post(XK_DOOR, path, body, "application/json", role)

    def client(self, door: str = XK_DOOR, role: str = "df", server: str = "kms") -> HttpsClient:
        pki = self.lab.pki
        identity = tls.Identity(pki / f"{role}.pem", pki / f"{role}.key", pki / "ca.pem")
        return HttpsClient(f"https://127.0.0.1:{self.port(door)}", TlsEnd.client(identity, PeerName(uri(server))))


def code(answer: tuple[int, dict[str, Any]]) -> tuple[int, str, str]:
    """Status, code and rule of an answer on Xk that has no keys in it."""
    status, body = answer
    assert "keys" not in body and body["transaction"] == "t1"
    return status, body["code"], body.get("rule", "")


def exchange(
    alice: TicketUser,
    bob: TicketUser,
    ask_own: Callable[[bytes], bytes],
    ask_peer: Callable[[bytes], bytes],
    now: int,
    flags: str = "DEFGHNO",
) -> tuple[TicketExchange, Bundle]:
    blocks = (session(1, 0xA, b"\x01"), session(2, None, b""))
    held = alice.request_ticket(ask_own, now, (bob.uri,), flags)
    offered = alice.offer(held, bob.uri, now, blocks, AES_CM_128_80)
    answered = bob.accept(ask_peer, offered.init, now, (blocks[0], session(2, 0xB, b"\x01")))
    response = None if answered.response is None else kept(answered.response, now)
    return TicketExchange(None, Side.CALLER, kept(offered.init, now), response), answered


def kept(octets: bytes, at: int) -> Kept:
    return Kept(octets, Instant.of_capture(at), 0)
