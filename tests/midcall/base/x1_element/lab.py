"""An element on loopback, its ADMF, and certificates for both: real TLS, a clock that the test moves."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from imswire import x1
from midcall.base import tls
from midcall.base.audit_link import AuditClient
from midcall.base.https import HttpsServer, Limits, body, response
from midcall.base.lab_pki import LabPki
from midcall.base.seal import SealKey
from midcall.base.tls import PeerName
from midcall.base.tls_end import TlsEnd
from midcall.base.x1_element import Follow, Held, Intercepted, Settings
from midcall.base.x1_element.shell.client import X1Client
from midcall.base.x1_element.shell.service import Endpoint, X1Service
from midcall.base.x1_element.shell.store import X1Store
from midcall.events import Instant
from tests.midcall import warrants

ADMF, NE, DF = "admf", "poi", "df"
LIMIT = 20
SEAL = bytes(range(32))


def settings(**changed: Any) -> Settings:
    """Identifiers on X1 are the UIDs of a lab's certificates."""
    return Settings(**{"role": "poi", "ne": NE, "admf": ADMF, "element": "poi-1"} | changed)


def pki(folder: Path) -> Path:
    LabPki(folder).make((ADMF, NE, DF))
    return folder


def identity(folder: Path, role: str) -> tls.Identity:
    return tls.Identity(folder / f"{role}.pem", folder / f"{role}.key", folder / "ca.pem")


def context(folder: Path, role: str) -> ssl.SSLContext:
    return tls.client_context(identity(folder, role), check_host=False)


class Clock:
    def __init__(self, begin: Instant | None = None) -> None:
        self.instant = begin or warrants.at()

    def __call__(self) -> Instant:
        return self.instant

    def go(self, ns: int) -> None:
        self.instant = Instant(self.instant.wall + ns, self.instant.mono + ns)


class Place:
    """Files of one element, and what its function was told to do."""

    def __init__(self, folder: Path, files: Path, **changed: Any) -> None:
        self.folder, self.files = folder, files
        self.settings = settings(**changed)
        self.clock = Clock()
        self.follows: list[Follow] = []
        self.breaks: Callable[[Follow], bool] = lambda _: False
        self.trust = warrants.trust()
        self.admf = ""
        self.more: dict[str, Any] = {}
        self.intercepted: Callable[[str], Intercepted] = lambda _: Intercepted()
        self.audit: AuditClient | None = None

    @property
    def store(self) -> Path:
        return self.folder / "x1.db"

    def follow(self, each: Follow) -> None:
        if self.breaks(each):
            raise ValueError("sip:alice@example.com")
        self.follows.append(each)

    def service(self) -> X1Service:
        ne = self.settings.ne
        endpoint = Endpoint(
            listen=("127.0.0.1", 0),
            identity=identity(self.files, ne),
            admf=self.admf,
            store=self.store,
            **self.more,
        )
        seal = SealKey(SEAL)
        return X1Service(
            self.settings, endpoint, self.trust, seal, self.follow, self.clock, self.intercepted, self.audit
        )

    def tasks(self) -> tuple[Held, ...]:
        """Those on the disk, while no service has them."""
        store = X1Store(self.store, SealKey(SEAL), ADMF, self.settings.ne)
        try:
            return store.read().tasks
        finally:
            store.close()

    def client(self, address: tuple[str, int], role: str = ADMF, **changed: Any) -> X1Client:
        given: dict[str, Any] = {"admf": ADMF, "ne": self.settings.ne, "now": lambda: self.clock().wall} | changed
        return X1Client(f"https://127.0.0.1:{address[1]}", context(self.files, role), **given)

    def run(self, test: Callable[[X1Service, X1Client], Awaitable[None]]) -> None:
        """A test with a service that runs and a client that asks it."""

        async def both() -> None:
            service = self.service()
            address = await service.start()
            client = self.client(address)
            try:
                async with asyncio.timeout(LIMIT):
                    await test(service, client)
            finally:
                await client.close()
                await service.stop()

        asyncio.run(both())


class Admf:
    """Takes reports, and answers them as a test says."""

    def __init__(self, files: Path, role: str = ADMF) -> None:
        self._server = HttpsServer(
            self._handle, TlsEnd.server(identity(files, role), PeerName()), Limits(), lambda _: response(400)
        )
        self.reports: list[x1.Request] = []
        self.answer: Callable[[x1.Request], web.Response | None] = lambda _: None

    async def start(self) -> str:
        _, port = await self._server.start("127.0.0.1", 0)
        return f"https://127.0.0.1:{port}"

    async def stop(self) -> None:
        await self._server.stop(1.0)

    async def _handle(self, request: web.BaseRequest, caller: str | None) -> web.StreamResponse:
        assert caller is not None and request.path == "/X1/ADMF"
        (report,) = x1.parse_requests(bytes(await body(request, 1 << 20, 5.0)))
        assert isinstance(report, x1.Request)
        other = self.answer(report)
        if other is not None:
            return other
        self.reports.append(report)
        return response(200, x1.build_response([x1.acknowledgement(report, warrants.at().wall)]), "application/xml")
