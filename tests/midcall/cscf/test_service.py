"""The role as it runs: real sockets of all transports, two workers, registrations that outlive it."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import structs

from imswire import sip
from imswire.sip import SipMessage, StreamFramer
from midcall.base.frame import RoleError
from midcall.base.lab_pki import LabPki
from midcall.base.lab_pki import uri as uri_of
from midcall.config.cscf_tables import CscfConfig, CscfDigest, CscfHop, CscfListen, CscfLocation, CscfPeer, CscfRoute
from midcall.cscf.service import Service
from tests.midcall.cscf.stage import request, response

SECONDS = 10


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Agent(asyncio.DatagramProtocol):
    """A user agent over UDP: what it received, one message at a time."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[SipMessage] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.got.put_nowait(sip.parse(data))

    @property
    def port(self) -> int:
        assert self.transport is not None
        return int(self.transport.get_extra_info("sockname")[1])

    def say(self, text: str, port: int) -> None:
        assert self.transport is not None
        self.transport.sendto(text.encode(), ("127.0.0.1", port))

    async def hears(self, what: str | int) -> SipMessage:
        """The next message of this method or status."""
        async with asyncio.timeout(SECONDS):
            while True:
                message = await self.got.get()
                if what in (message.status, message.is_request and message.method):
                    return message


class StreamAgent:
    """The same over a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._framer = StreamFramer()
        self._waiting: list[bytes] = []

    def say(self, text: str) -> None:
        self.writer.write(text.encode())

    async def hears(self, what: str | int) -> SipMessage:
        async with asyncio.timeout(SECONDS):
            while True:
                while not self._waiting:
                    octets = await self._reader.read(65_536)
                    if not octets:
                        raise EOFError
                    self._waiting += self._framer.feed(octets)
                message = sip.parse(self._waiting.pop(0))
                if what in (message.status, message.is_request and message.method):
                    return message


@asynccontextmanager
async def agent() -> AsyncIterator[Agent]:
    transport, made = await asyncio.get_running_loop().create_datagram_endpoint(Agent, ("127.0.0.1", 0))
    try:
        yield made
    finally:
        transport.close()


@asynccontextmanager
async def running(config: CscfConfig, instance: int = 1) -> AsyncIterator[Service]:
    service = Service(config, instance)
    await service.start()
    tasks = [asyncio.create_task(service.worker.keep_time()), asyncio.create_task(service.keep())]
    try:
        yield service
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await service.close()


class Site:
    """Files and ports of a proxy on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seal = folder / "seal"
        self.seal.write_text("5a" * 32)
        self.seal.chmod(0o600)
        self.port = free_port()
        self.tls = free_port()

    def config(
        self, *, to: int = 0, uri: str = "", digest: bool = False, workers: int = 1, tls: bool = False
    ) -> CscfConfig:
        listen = [CscfListen(transport=each, address=f"127.0.0.1:{self.port}") for each in ("udp", "tcp")]
        if tls:
            pki = self.folder / "pki"
            LabPki(pki).make(["cscf"])
            files = {"certificate": str(pki / "cscf.pem"), "key": str(pki / "cscf.key"), "ca": str(pki / "ca.pem")}
            listen.append(CscfListen(transport="tls", address=f"127.0.0.1:{self.tls}", **files))
        routes = (
            (CscfRoute(domain="far.example", hops=(CscfHop(uri=uri or f"sip:127.0.0.1:{to}"),), probe_seconds=0),)
            if to or uri
            else ()
        )
        return CscfConfig(
            domains=("home.example",),
            seal=str(self.seal),
            listen=tuple(listen),
            route=routes,
            peer=() if digest else (CscfPeer(network="127.0.0.0/8", trusted=True, relay=True),),
            digest=CscfDigest(realm="home.example", users=str(self.users())) if digest else None,
            location=CscfLocation(file=str(self.folder / "state" / "location.db")),
            workers=workers,
            mates=str(self.folder / "mates"),
        )

    def users(self) -> Path:
        path = self.folder / "users"
        ha1 = {name: hashlib.new(name, b"alice:home.example:secret").hexdigest() for name in ("sha256", "md5")}
        path.write_text(f"# users\nalice:home.example:{ha1['sha256']}:{ha1['md5']}\nbob:elsewhere::\n")
        path.chmod(0o600)
        return path


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path)


def via(agent: Agent, transport: str = "UDP") -> str:
    return f"SIP/2.0/{transport} 127.0.0.1:{agent.port}"


def register(agent: Agent, cseq: int = 1, *headers: str, user: str = "alice") -> str:
    text = request("REGISTER", "sip:home.example", f"Contact: <sip:{user}@127.0.0.1:{agent.port}>", *headers, cseq=cseq)
    text = text.replace("SIP/2.0/UDP 192.0.2.10", via(agent)).replace("z9hG4bKa1", f"z9hG4bKr{cseq}")
    return text.replace("sip:bob@home.example", f"sip:{user}@home.example").replace("sip:alice@", f"sip:{user}@")


def test_a_call_over_udp(site):
    async def go() -> None:
        async with agent() as alice, agent() as bob, running(site.config(to=bob.port)):
            alice.say(request(uri="sip:bob@far.example", via=via(alice)), site.port)
            invite = await bob.hears("INVITE")
            bob.say(response(invite, 180), site.port)
            bob.say(response(invite, 200, f"Contact: <sip:bob@127.0.0.1:{bob.port}>"), site.port)
            ok = await alice.hears(200)
            route = f"Route: {', '.join(reversed(ok.values('Record-Route')))}"
            uri = f"sip:bob@127.0.0.1:{bob.port}"
            alice.say(request("ACK", uri, route, branch="z9hG4bK2", via=via(alice), to_tag="b"), site.port)
            await bob.hears("ACK")
            alice.say(request("BYE", uri, route, branch="z9hG4bK3", via=via(alice), to_tag="b", cseq=2), site.port)
            bob.say(response(await bob.hears("BYE"), 200), site.port)
            await alice.hears(200)

    asyncio.run(go())


def test_registered_with_digest_and_found_again_after_a_restart(site):
    async def go() -> None:
        config = site.config(digest=True)
        async with agent() as alice, agent() as stranger:
            async with running(config):
                alice.say(register(alice), site.port)
                asked = await alice.hears(401)
                found = re.search('nonce="([^"]+)"', asked.values("WWW-Authenticate")[0])
                assert found is not None
                h = lambda text: hashlib.sha256(text.encode()).hexdigest()  # noqa: E731
                ha1, ha2 = h("alice:home.example:secret"), h("REGISTER:sip:home.example")
                answer = h(f"{ha1}:{found[1]}:00000001:c:auth:{ha2}")
                alice.say(
                    register(
                        alice,
                        2,
                        f'Authorization: Digest username="alice", realm="home.example", nonce="{found[1]}", '
                        f'uri="sip:home.example", response="{answer}", algorithm=SHA-256, cnonce="c", qop=auth, '
                        "nc=00000001",
                    ),
                    site.port,
                )
                assert (await alice.hears(200)).values("Contact") != ()
            async with running(config):
                stranger.say(
                    request("MESSAGE", "sip:alice@home.example", via=via(stranger)).replace(
                        "alice@home.example>;tag", "x@y>;tag"
                    ),
                    site.port,
                )
                message = await alice.hears("MESSAGE")
                assert message.request_uri == f"sip:alice@127.0.0.1:{alice.port}"

    asyncio.run(go())


def test_from_tcp_to_udp_and_back(site):
    async def go() -> None:
        async with agent() as bob, running(site.config(to=bob.port)):
            alice = StreamAgent(*await asyncio.open_connection("127.0.0.1", site.port))
            alice.writer.write(b"\r\n\r\n")
            alice.say(request(uri="sip:bob@far.example", via="SIP/2.0/TCP 127.0.0.1:9"))
            invite = await bob.hears("INVITE")
            assert len(invite.values("Record-Route")) == 2
            bob.say(response(invite, 200), site.port)
            assert (await alice.hears(200)).to_tag == "b"
            alice.writer.close()

    asyncio.run(go())


def test_to_a_server_over_tcp_by_one_connection(site):
    async def go() -> None:
        came: asyncio.Queue[StreamAgent] = asyncio.Queue()
        server = await asyncio.start_server(lambda r, w: came.put_nowait(StreamAgent(r, w)), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with agent() as alice, running(site.config(uri=f"sip:127.0.0.1:{port};transport=tcp")):
            for number in range(3):
                alice.say(
                    request(
                        "OPTIONS", "sip:x@far.example", via=via(alice), branch=f"z9hG4bKo{number}", call_id=f"{number}"
                    ),
                    site.port,
                )
            peer = await asyncio.wait_for(came.get(), SECONDS)
            for _ in range(3):
                peer.say(response(await peer.hears("OPTIONS"), 200))
            for _ in range(3):
                await alice.hears(200)
            assert came.empty()
            peer.writer.close()
        server.close()

    asyncio.run(go())


def test_a_server_that_is_not_there(site):
    async def go() -> None:
        nobody = free_port()
        async with agent() as alice, running(site.config(uri=f"sip:127.0.0.1:{nobody};transport=tcp")):
            alice.say(request("OPTIONS", "sip:x@far.example", via=via(alice)), site.port)
            await alice.hears(500)

    asyncio.run(go())


def test_tls_shows_its_certificate_and_serves_who_has_none(site):
    async def go() -> None:
        async with agent() as bob, running(site.config(to=bob.port, tls=True)):
            context = ssl.create_default_context(cafile=str(site.folder / "pki" / "ca.pem"))
            context.check_hostname = False
            alice = StreamAgent(*await asyncio.open_connection("127.0.0.1", site.tls, ssl=context))
            alice.say(request(uri="sip:bob@far.example", via="SIP/2.0/TLS 127.0.0.1:9"))
            bob.say(response(await bob.hears("INVITE"), 200), site.port)
            await alice.hears(200)
            alice.writer.close()

    asyncio.run(go())


def test_nothing_goes_in_clear_to_a_hop_that_has_tls(site):
    """A door without a CA opens no connections of its own."""

    async def go() -> None:
        came: asyncio.Queue[bytes] = asyncio.Queue()

        async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.put_nowait(await reader.read(10))
            writer.close()

        server = await asyncio.start_server(taken, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        config = site.config(uri=f"sip:127.0.0.1:{port};transport=tls", tls=True)
        door = structs.replace(config.listen[2], ca="", clients="none")
        async with agent() as alice, running(structs.replace(config, listen=(*config.listen[:2], door))):
            alice.say(request("OPTIONS", "sip:x@far.example", via=via(alice)), site.port)
            await alice.hears(500)
            assert came.empty()
        server.close()

    asyncio.run(go())


def test_two_workers_share_their_doors(site):
    """Whoever reads a message, the one to which it belongs serves it, and it goes back by the connection it came by."""

    async def go() -> None:
        async with agent() as bob:
            config = site.config(to=bob.port, workers=2)
            async with running(config, 1) as one, running(config, 2) as two:
                agents = [StreamAgent(*await asyncio.open_connection("127.0.0.1", site.port)) for _ in range(8)]
                for number, each in enumerate(agents):
                    each.say(
                        request(
                            "OPTIONS",
                            "sip:x@far.example",
                            via="SIP/2.0/TCP h",
                            branch=f"z9hG4bKw{number}",
                            call_id=f"{number}",
                        )
                    )
                for _ in agents:
                    bob.say(response(await bob.hears("OPTIONS"), 200), site.port)
                for number, each in enumerate(agents):
                    assert (await each.hears(200)).call_id == f"{number}"
                    each.writer.close()
                counts = [each.worker.proxy.counts["forwarded"] for each in (one, two)]
                assert sum(counts) == 8 and all(counts)
                assert sum(each.worker.mates.counts["passed on"] for each in (one, two) if each.worker.mates) > 0

    asyncio.run(go())


def test_who_shows_a_certificate_is_known_to_all_workers(site):
    """Also to one that was started anew; and its name does not outlive its connection."""

    async def go() -> None:
        async with agent() as bob:
            config = site.config(workers=2, tls=True)
            pki = site.folder / "pki"
            LabPki(pki).make(["friend"])
            config = structs.replace(config, peer=(CscfPeer(name=uri_of("friend"), relay=True),))
            context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
            context.check_hostname = False
            context.load_cert_chain(pki / "friend.pem", pki / "friend.key")
            numbers = iter(range(1_000))

            async def asks(friend: StreamAgent) -> None:
                """Calls of both workers pass, to somebody who is no user here."""
                for number in itertools.islice(numbers, 8):
                    options = request(
                        "OPTIONS", f"sip:x@127.0.0.1:{bob.port}", via="SIP/2.0/TLS h", call_id=f"{number}"
                    )
                    friend.say(options.replace("z9hG4bKa1", f"z9hG4bK{number}"))
                    bob.say(response(await bob.hears("OPTIONS"), 200), site.port)
                    assert (await friend.hears(200)).call_id == f"{number}"

            async with running(config, 1) as one:
                friend = StreamAgent(*await asyncio.open_connection("127.0.0.1", site.tls, ssl=context))
                await asks(friend)
                assert one.worker.streams is not None
                (number,) = one.worker.streams._connections
                for _ in range(2):
                    async with running(config, 2) as two:
                        assert one.worker.mates is not None and two.worker.mates is not None
                        async with asyncio.timeout(SECONDS):
                            while not two.worker.mates.names_of(number):
                                await asyncio.sleep(0.001)
                        await asks(friend)
                        assert (
                            sum(each.worker.mates.counts["passed on"] for each in (one, two) if each.worker.mates) > 0
                        )
                async with running(config, 2) as two:
                    assert two.worker.mates is not None
                    friend.writer.close()
                    async with asyncio.timeout(SECONDS):
                        while two.worker.mates.names_of(number) or len(one.worker.streams or ()):
                            await asyncio.sleep(0.001)

    asyncio.run(go())


@pytest.mark.parametrize("said", ["127.0.0.1:5099", "elsewhere.example:5099", ""])
def test_5923_a_connection_serves_requests_the_other_way_too(site, said):
    """To the one whose certificate has the name that it says; to nobody else."""

    async def go() -> None:
        async with agent() as bob:
            config = site.config(tls=True)
            pki = site.folder / "pki"
            LabPki(pki).make(["friend"])
            context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
            context.check_hostname = False
            context.load_cert_chain(pki / "friend.pem", pki / "friend.key")
            async with running(config) as service:
                friend = StreamAgent(*await asyncio.open_connection("127.0.0.1", site.tls, ssl=context))
                via = f"SIP/2.0/TLS {said or '127.0.0.1:5099'}"
                options = request("OPTIONS", f"sip:x@127.0.0.1:{bob.port}", via=via)
                friend.say(options.replace(";branch", ";alias;branch" if said else ";branch"))
                bob.say(response(await bob.hears("OPTIONS"), 200), site.port)
                await friend.hears(200)
                message = request("MESSAGE", "sip:friend@127.0.0.1:5099;transport=tls", via="SIP/2.0/UDP 127.0.0.1")
                bob.say(message.replace(";branch=z9hG4bKa1", ";branch=z9hG4bKb1;rport"), site.port)
                if said.startswith("127"):
                    heard = await friend.hears("MESSAGE")
                    assert heard.vias[0].params[-1] == ("alias", None)
                    assert len(service.worker.streams or ()) == 1
                else:
                    assert (await bob.hears(500)).cseq.method == "MESSAGE"
                friend.writer.close()

    asyncio.run(go())


def test_a_registration_is_known_to_all_workers(site):
    async def go() -> None:
        async with agent() as alice:
            config = site.config(workers=2)
            async with running(config, 1) as one, running(config, 2) as two:
                alice.say(register(alice), site.port)
                await alice.hears(200)
                async with asyncio.timeout(SECONDS):
                    while not all(each._built.location.is_known("sip:alice@home.example") for each in (one, two)):
                        await asyncio.sleep(0.01)

    asyncio.run(go())


def test_what_cannot_be_opened_is_named(site):
    async def go() -> None:
        config = site.config()
        async with running(config):
            with pytest.raises(RoleError, match=r"cscf\.listen\[0\]"):
                async with running(config):
                    pass
        with pytest.raises(RoleError, match=r"cscf\.workers"):
            Service(config, 2)
        site.seal.write_text("5a")
        with pytest.raises(RoleError, match="seal"):
            Service(config, 1)

    asyncio.run(go())
