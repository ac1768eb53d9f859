"""An ADMF on loopback with a POI and a DF, people who ask it, and a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from midcall.admf import wire
from midcall.admf.roles import Command
from midcall.admf.service import AdmfService
from midcall.admf.shell.acts import Acts
from midcall.base.https import HttpsClient
from midcall.base.lab_pki import uri
from midcall.base.tls import PeerName
from midcall.base.tls_end import TlsEnd
from midcall.base.warrant import Revocation, Warrant, envelope, value
from midcall.base.warrant.envelope import Signature
from midcall.base.x1_element.shell.service import X1Service
from midcall.config import AdmfConfig, AdmfElement, AdmfLimits, AdmfPeople, AdmfPerson, AdmfX1
from tests.midcall import warrants
from tests.midcall.base.x1_element.lab import Clock, Place, identity

LIMIT = 20
HOST = "127.0.0.1"
PEOPLE = {
    "ann": ("Ann", "approver"),
    "ben": ("Ben", "approver"),
    "lea": ("Lea", "administrator"),
    "leo": ("Leo", "administrator"),
    "aud": ("Aud", "auditor"),
    "olaf": ("Olaf", "operator"),
}
"""By certificate: who it is, and what he may do."""


def draft(signed: Warrant | Revocation) -> bytes:
    return envelope.write(envelope.draft(value.encode(signed)))


def signature(octets: bytes, name: str) -> Signature:
    return envelope.sign(envelope.read(octets), warrants.key(name)).signatures[-1]


class Site:
    """All three; ``told`` is what POI and DF were told to do, in its order."""

    def __init__(self, folder: Path, files: Path, **limits: int) -> None:
        self.folder, self.files = folder, files
        self.clock = Clock()
        self.limits = AdmfLimits(**limits)
        self.told: list[tuple[str, Any]] = []
        self.places = {
            "df": Place(folder / "df", files, role="df", ne="df", element="df2-1"),
            "poi": Place(folder / "poi", files),
        }
        for name, place in self.places.items():
            place.clock = self.clock
            place.follow = lambda told, name=name: self.told.append((name, told))  # type: ignore[method-assign,misc]
        self.services: dict[str, X1Service] = {}
        self.ports: dict[str, int] = {}
        self.clients: dict[tuple[str, str], HttpsClient] = {}
        (folder / "seal").write_text("01" * 32)
        (folder / "seal").chmod(0o600)
        self.trust = folder / "trust.toml"
        self.trust.write_text(warrants.trust_text())

    def config(self) -> AdmfConfig:
        own = {
            "certificate": str(self.files / "admf.pem"),
            "key": str(self.files / "admf.key"),
            "ca": str(self.files / "ca.pem"),
            "listen": f"{HOST}:0",
        }
        names = {"df": "df2-1", "poi": "poi-1"}
        return AdmfConfig(
            admf="admf",
            seal=str(self.folder / "seal"),
            store=str(self.folder / "admf.db"),
            trust=str(self.trust),
            x1=AdmfX1(**own),
            people=AdmfPeople(
                **own,
                person=tuple(
                    AdmfPerson(name=name, peer=uri(certificate), role=role)  # type: ignore[arg-type]
                    for certificate, (name, role) in PEOPLE.items()
                ),
                per_minute=60_000,
                burst=1_000,
            ),
            element=tuple(
                AdmfElement(
                    role=ne,  # type: ignore[arg-type]
                    ne=ne,
                    element=names[ne],
                    url=f"https://{HOST}:{self.ports.get(ne, 1)}",
                    x2=f"{HOST}:9992" if ne == "poi" else "",
                )
                for ne in ("poi", "df")
            ),
            limits=self.limits,
        )

    async def begin(self, name: str) -> None:
        """POI or DF, on the port that it had."""
        place = self.places[name]
        place.more = {}
        service = place.service()
        service.endpoint = msgspec.structs.replace(service.endpoint, listen=(HOST, self.ports.get(name, 0)))
        self.ports[name] = (await service.start())[1]
        self.services[name] = service

    def run(self, test: Callable[[Site], Awaitable[None]]) -> None:
        asyncio.run(self.serve(test))

    async def serve(
        self, test: Callable[[Site], Awaitable[None]], acts: Acts | None = None, *, stops: bool = True
    ) -> None:
        """All three run while ``test`` does; ``stops`` False: it has stopped the ADMF itself."""
        for name in self.places:
            await self.begin(name)
        self.admf = AdmfService(self.config(), acts, self.clock)
        await self.admf.start()
        try:
            async with asyncio.timeout(LIMIT):
                await test(self)
        finally:
            for client in self.clients.values():
                await client.close()
            if stops:
                await self.admf.stop()
            for each in self.services.values():
                await each.stop()

    async def restart(self) -> None:
        """The ADMF begins anew."""
        await self.admf.stop()
        self.admf = AdmfService(self.config(), None, self.clock)
        await self.admf.start()

    async def until(self, done: Callable[[], bool]) -> None:
        while not done():
            await asyncio.sleep(0.005)

    # People

    async def ask(self, who: str, command: Command | str, what: object = None) -> tuple[int, Any]:
        """Status and answer; the latter as JSON has it."""
        url = f"https://{HOST}:{self.admf.addresses['people'][1]}"
        if (who, url) not in self.clients:
            end = TlsEnd.client(identity(self.files, who), PeerName(uri("admf")))
            self.clients[who, url] = HttpsClient(url, end, 1)
        octets = what if isinstance(what, bytes) else msgspec.json.encode(what or wire.Nothing())
        client = self.clients[who, url]
        answer = await client.post(f"/admf/v1/{command}", octets, wire.KIND, 5.0, wire.MAX_ANSWER)
        return answer.status, msgspec.json.decode(answer.body) if answer.body else None

    async def done(self, who: str, command: Command, what: object = None) -> Any:
        status, answer = await self.ask(who, command, what)
        assert status == 200, answer
        return answer

    async def refused(self, who: str, command: Command, what: object = None) -> str:
        """The word for why."""
        status, answer = await self.ask(who, command, what)
        assert status in (403, 409, 503), answer
        return str(answer["code"])

    def approval(self, signed: Warrant | Revocation, name: str) -> wire.Approval:
        octets = draft(signed)
        payload = envelope.read(octets).signed
        digest = warrants.sha256(payload).hexdigest()
        return wire.Approval(signed.id, signed.version, digest, signature(octets, name))

    async def approved(self, signed: Warrant | Revocation) -> None:
        """Drafted, and signed by two."""
        await self.done("lea", Command.DRAFT, draft(signed))
        for certificate, name in (("ann", "Ann"), ("ben", "Ben")):
            await self.done(certificate, Command.APPROVE, self.approval(signed, name))

    async def active(self, signed: Warrant) -> None:
        await self.approved(signed)
        await self.done("lea", Command.ACTIVATE, wire.Named(signed.id))
        await self.until(lambda: self.status(signed.id) == "Active")

    def status(self, identifier: str = "W-1") -> str:
        return self.admf.core.status(identifier)

    def kinds(self) -> list[tuple[str, str]]:
        return [(name, type(each).__name__) for name, each in self.told]

    def held(self, name: str) -> set[str]:
        return set(self.services[name].element.tasks)
