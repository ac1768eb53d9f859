"""Ends of links whose files are read anew: what the next connection goes by, and which of those that stand end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509

from midcall.base import https, tls_door
from midcall.base.https import HttpsClient, HttpsServer, Limits, Unreachable
from midcall.base.lab_pki import LabPki, uri
from midcall.base.tls import Identity, PeerName, TlsError
from midcall.base.tls_end import Revocations, TlsEnd

LIMIT = 20


@pytest.fixture
def pki(tmp_path: Path) -> LabPki:
    made = LabPki(tmp_path / "pki")
    made.make(("kms", "df", "df-two"))
    return made


def identity(pki: LabPki, role: str) -> Identity:
    folder = pki.folder
    return Identity(folder / f"{role}.pem", folder / f"{role}.key", folder / "ca.pem", folder / "crl.pem")


def server_end(pki: LabPki, *names: str) -> TlsEnd:
    return TlsEnd.server(identity(pki, "kms"), PeerName(*map(uri, names or ("df", "df-two"))))


def client_end(pki: LabPki, role: str = "df") -> TlsEnd:
    return TlsEnd.client(identity(pki, role), PeerName(uri("kms")))


def serial(pki: LabPki, role: str) -> int:
    return x509.load_pem_x509_certificate((pki.folder / f"{role}.pem").read_bytes()).serial_number


def renewed(pki: LabPki, role: str) -> int:
    """Another certificate, with another key, in the same files."""
    for kind in ("pem", "key"):
        (pki.folder / f"{role}.{kind}").unlink()
    pki.make((role,))
    return serial(pki, role)


class House:
    """A server that answers with the serial number of who asks, and how many connections it has had."""

    def __init__(self, end: TlsEnd) -> None:
        self.end = end
        self.connections: set[int] = set()
        self.url = ""

    async def handle(self, request: web.BaseRequest, caller: str | None) -> web.StreamResponse:
        if caller is None or request.transport is None:
            return https.closing(https.response(403))
        self.connections.add(id(request.transport))
        octets = request.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return https.response(200, str(x509.load_der_x509_certificate(octets).serial_number).encode())


@asynccontextmanager
async def house(pki: LabPki, *names: str) -> AsyncIterator[House]:
    found = House(server_end(pki, *names))
    server = HttpsServer(found.handle, found.end, Limits(), lambda _: https.response(400))
    found.url = "https://{}:{}".format(*await server.start("127.0.0.1", 0))
    try:
        async with asyncio.timeout(LIMIT):
            yield found
    finally:
        await server.stop(0.1)


async def asked(client: HttpsClient) -> int:
    answer = await client.post("/", b"", "text/plain", 5.0, 100)
    return int(answer.body) if answer.status == 200 else answer.status


async def shown(url: str) -> int:
    """The serial number of the certificate that a server shows to the next who connects."""
    host, _, port = url.removeprefix("https://").rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    octets = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(octets).serial_number


def test_the_next_connection_goes_by_the_new_files_and_the_one_that_stands_goes_on(pki: LabPki) -> None:
    async def test() -> None:
        async with house(pki) as there:
            client = HttpsClient(there.url, client_end(pki))
            first, before = await asked(client), serial(pki, "kms")
            after = renewed(pki, "kms")
            assert await shown(there.url) == before, "nothing changes by itself"
            assert there.end.renew(server_end(pki)) == 0
            assert await shown(there.url) == after != before
            assert await asked(client) == first and len(there.connections) == 1, "the connection has gone on"
            await client.close()

    asyncio.run(test())


def test_a_sender_asks_its_next_question_under_its_new_certificate(pki: LabPki) -> None:
    async def test() -> None:
        async with house(pki) as there:
            end = client_end(pki)
            client = HttpsClient(there.url, end)
            before = await asked(client)
            after = renewed(pki, "df")
            end.renew(client_end(pki))
            assert [before, await asked(client)] == [before, after]
            await client.close()

    asyncio.run(test())


@pytest.mark.parametrize("why", ["revoked", "not named any more"])
def test_who_is_admitted_no_more_is_gone_at_once_and_does_not_come_back(pki: LabPki, why: str) -> None:
    async def test() -> None:
        async with house(pki) as there:
            gone, other = (HttpsClient(there.url, client_end(pki, role)) for role in ("df", "df-two"))
            await asked(gone)
            stays = await asked(other)
            if why == "revoked":
                pki.revoke("df")
                assert there.end.renew(server_end(pki)) == 1
            else:
                assert there.end.renew(server_end(pki, "df-two")) == 1
            assert await asked(other) == stays and len(there.connections) == 2
            with pytest.raises(Unreachable):
                await asked(gone)
            await gone.close()
            await other.close()

    asyncio.run(test())


def test_a_sender_leaves_a_server_that_is_revoked(pki: LabPki) -> None:
    async def test() -> None:
        async with house(pki) as there:
            end = client_end(pki)
            client = HttpsClient(there.url, end)
            await asked(client)
            pki.revoke("kms")
            assert end.renew(client_end(pki)) == 1
            with pytest.raises(Unreachable, match="certificate"):
                await asked(client)
            await client.close()

    asyncio.run(test())


def test_a_handshake_that_began_before_the_revocation_ends_in_nothing(pki: LabPki) -> None:
    """The old context lets it through; the end does not."""

    async def test() -> None:
        async with house(pki) as there:
            former = there.end.context
            pki.revoke("df")
            there.end.renew(server_end(pki))
            there.end.context = former
            client = HttpsClient(there.url, client_end(pki))
            with pytest.raises(Unreachable, match="may not know this certificate"):
                await asked(client)
            await client.close()

    asyncio.run(test())


def test_files_that_are_wrong_change_nothing(pki: LabPki) -> None:
    async def test() -> None:
        async with house(pki) as there:
            before = serial(pki, "kms")
            (pki.folder / "crl.pem").write_text("no list")
            with pytest.raises(TlsError, match="crl.pem: no revocation list"):
                server_end(pki)
            assert await shown(there.url) == before

    asyncio.run(test())


def test_one_file_has_the_lists_of_several_authorities(pki: LabPki, tmp_path: Path) -> None:
    other = LabPki(tmp_path / "other")
    other.make(("df",))
    other.revoke("df")
    both = tmp_path / "both.crl"
    both.write_bytes((pki.folder / "crl.pem").read_bytes() + (other.folder / "crl.pem").read_bytes())

    class Shown:
        def __init__(self, folder: Path) -> None:
            self._folder = folder

        def getpeercert(self, binary_form: bool) -> bytes:
            return ssl.PEM_cert_to_DER_cert((self._folder / "df.pem").read_text())

    found = Revocations(both)
    found.check(Shown(pki.folder))  # type: ignore[arg-type]
    with pytest.raises(TlsError, match="is revoked"):
        found.check(Shown(other.folder))  # type: ignore[arg-type]
    Revocations().check(Shown(other.folder))  # type: ignore[arg-type]


def test_handshakes_that_do_not_end_make_room_for_one_that_does(pki: LabPki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_door, "HANDSHAKES", 2)

    async def test() -> None:
        async with house(pki) as there:
            host, _, port = there.url.removeprefix("https://").rpartition(":")
            silent = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
            client = HttpsClient(there.url, client_end(pki))
            assert await asked(client) == serial(pki, "df")
            assert await silent[0][0].read() == b"", "the oldest has ended"
            assert not silent[1][0].at_eof()
            for _, writer in silent:
                writer.close()
            await client.close()

    asyncio.run(test())


def test_an_idle_connection_is_not_waited_for(pki: LabPki) -> None:
    """A keep-alive one would hold the end of its server for as long as that lets what is begun end."""

    async def test() -> None:
        async with asyncio.timeout(LIMIT):
            end = server_end(pki)
            found = House(end)
            server = HttpsServer(found.handle, end, Limits(), lambda _: https.response(400))
            client = HttpsClient("https://{}:{}".format(*await server.start("127.0.0.1", 0)), client_end(pki))
            await asked(client)
            await server.stop(3_600)
            await client.close()

    asyncio.run(test())
