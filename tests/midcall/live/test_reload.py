"""SIGHUP at the roles: other files for what is opened next, nothing lost, and what has to wait is named."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509

from midcall import config, service
from midcall.base.frame import Frame, RoleError
from midcall.base.lab_pki import LabPki
from midcall.base.metrics import Metrics
from midcall.live import roles
from tests.midcall.installation import CERTIFICATES, Installation

LIMIT = 30
DOORS = {"poi": ("x1", "li", "hep.tls"), "df": ("x1", "x2", "li"), "kms": ("users", "xk")}
TAKEN, KEPT = "trust read anew", "kept as it was"


class House:
    """One role of an installation, in this process."""

    def __init__(self, place: Installation, role: str) -> None:
        self.place, self.role = place, role
        self.pki = LabPki(place.folder / "pki")
        self.pki.make(("admf-1",))
        self.ports: dict[str, int] = {}
        text = place.file(role).read_text()
        if role == "df":
            text = re.sub(r"^\[df\.tap\]\ndoor.*$", "", text, flags=re.MULTILINE)
        with ExitStack() as stack:
            for door in (*DOORS[role], "operator"):
                probe = stack.enter_context(socket.socket())
                probe.bind(("127.0.0.1", 0))
                self.ports[door] = port = probe.getsockname()[1]
                head = "[operator]" if door == "operator" else f"[{role}.{door}]"
                before, found, behind = text.partition(f"{head}")
                assert found, head
                text = before + head + behind.replace("127.0.0.1:0", f"127.0.0.1:{port}", 1)
        self.operator = place.folder / "operator.log"
        place.file(role).write_text(text.replace("[log]\n", f'[log]\noperator = "{self.operator}"\n'))

    @property
    def certificate(self) -> Path:
        return self.place.etc / f"tls/{self.role}.pem"

    @property
    def key(self) -> Path:
        return self.place.folder / "handed over" / self.role / f"{self.role}_tls.key"

    def handed_over(self, name: str) -> str:
        return str(self.key.parent / name)

    def serial(self) -> int:
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()).serial_number

    def renew(self) -> int:
        """Another certificate with another key, in the files of the role."""
        name = CERTIFICATES[self.role]
        for kind in ("pem", "key"):
            (self.pki.folder / f"{name}.{kind}").unlink()
        self.pki.make((name,))
        self.certificate.write_bytes((self.pki.folder / f"{name}.pem").read_bytes())
        self.key.write_bytes((self.pki.folder / f"{name}.key").read_bytes())
        return self.serial()

    def told(self, words: str) -> int:
        """How often, in both logs."""
        return sum(each.read_text().count(words) for each in (Path(self.place.config(self.role).log.li), self.operator))

    async def hang_up(self, words: str) -> None:
        """SIGHUP, until the log has the words once more."""
        before = self.told(words)
        os.kill(os.getpid(), signal.SIGHUP)
        while self.told(words) == before:
            await asyncio.sleep(0.005)

    async def connect(self, door: str, role: str = "admf-1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self.pki.folder / f"{role}.pem", self.pki.folder / f"{role}.key")
        return await asyncio.open_connection("127.0.0.1", self.ports[door], ssl=context)

    async def shown(self, door: str) -> int:
        """The certificate that the next who connects is shown."""
        _, writer = await self.connect(door)
        octets = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return x509.load_der_x509_certificate(octets).serial_number

    def run(self, during: Callable[[], Awaitable[None]]) -> None:
        async def both() -> int:
            stop = asyncio.Event()
            async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
                served = group.create_task(service.serve((self.role,), self.place.file(self.role), "1", stop))
                while not self._ready():
                    await asyncio.sleep(0.005)
                await during()
                stop.set()
                return await served

        assert asyncio.run(both()) == 0

    def _ready(self) -> bool:
        return self.operator.is_file() and '"ready"' in self.operator.read_text()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str) -> House:
    place = Installation(tmp_path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place.handed_over(role)))
    return House(place, role)


@pytest.mark.parametrize("role", list(DOORS))
def test_a_role_takes_other_files_at_all_its_doors(house: House) -> None:
    async def test() -> None:
        standing = await house.connect(DOORS[house.role][0])
        before, after = house.serial(), house.renew()
        assert {await house.shown(door) for door in DOORS[house.role]} == {before}
        await house.hang_up(TAKEN)
        assert {await house.shown(door) for door in DOORS[house.role]} == {after}
        standing[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await standing[0].readline()).startswith(b"HTTP/1.1 ")
        standing[1].transport.abort()

    house.run(test)


@pytest.mark.parametrize("role", ["poi"])
def test_who_is_revoked_is_sent_away(house: House) -> None:
    async def test() -> None:
        reader, writer = await house.connect("x1")
        house.pki.revoke("admf-1")
        (house.place.etc / "tls/li-ca.crl").write_bytes((house.pki.folder / "crl.pem").read_bytes())
        await house.hang_up(TAKEN)
        assert await reader.read() == b""
        writer.transport.abort()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            again = await house.connect("x1")
            again[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            if await again[0].read() == b"":
                raise ConnectionError

    house.run(test)


@pytest.mark.parametrize("role", ["df"])
def test_files_that_do_not_fit_change_nothing_and_are_named_with_their_place(house: House) -> None:
    async def test() -> None:
        before, key = house.serial(), house.key.read_bytes()
        house.renew()
        house.key.write_bytes(key)
        await house.hang_up(KEPT)
        assert {await house.shown(door) for door in DOORS["df"]} == {before}
        text = house.place.file("df").read_text()
        line = text[: text.index("\nkey = ", text.index("[df.agency]"))].count("\n") + 2
        said = f"{house.place.file('df')}: line {line}: df.agency.key: {house.key}: is not the key of"
        assert house.told(said) == 1

    house.run(test)


@pytest.mark.parametrize("role", ["poi", "df"])
def test_a_second_process_on_the_same_folders_is_refused_and_the_first_goes_on(house: House) -> None:
    async def test() -> None:
        frame = Frame(house.role, 2, Metrics(), lambda: None)
        table = config.placed(getattr(house.place.config(house.role), house.role), house.handed_over)
        with pytest.raises(RoleError, match=r"x1\.db: another process has it"):
            await getattr(roles, house.role)(table, frame, asyncio.Event())
        await house.connect("x1")

    house.run(test)


@pytest.mark.parametrize("role", ["poi"])
def test_what_waits_for_the_next_start_is_named(house: House) -> None:
    async def test() -> None:
        house.place.edit("poi", ('nfid = "poi-1"', 'nfid = "poi-9"'), ('admf = "admf-1"', 'admf = "admf-9"'))
        house.place.edit("poi", ('peers = ["urn:example:df-1"]', 'peers = ["urn:example:df-2"]'))
        await house.hang_up(TAKEN)
        waiting = "has changed: that takes effect at the next start"
        assert house.told(waiting) == 2
        assert house.told(f"poi.nfid {waiting}") == house.told(f"poi.x1.admf {waiting}") == 1

    house.run(test)
