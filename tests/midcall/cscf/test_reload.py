"""SIGHUP while calls run: other routes, users, peers and certificates, and no call or connection is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from pathlib import Path

import pytest
from msgspec import structs

from midcall.base.frame import RoleError
from midcall.base.lab_pki import LabPki
from midcall.config.cscf_tables import CscfConfig, CscfDigest, CscfHop, CscfPeer, CscfRoute
from midcall.config.reloading import waiting
from midcall.cscf.health import Health
from tests.midcall.cscf.stage import request, response
from tests.midcall.cscf.test_service import Site, StreamAgent, agent, register, running, via
from tests.peers.test_proxy import running as program
from tests.peers.test_proxy import site_of, wait_for


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def routed(config: CscfConfig, port: int, domain: str = "far.example") -> CscfConfig:
    return structs.replace(
        config, route=(CscfRoute(domain=domain, hops=(CscfHop(uri=f"sip:127.0.0.1:{port}"),), probe_seconds=0),)
    )


def test_a_call_goes_on_and_the_next_one_goes_elsewhere(site):
    async def go() -> None:
        async with agent() as alice, agent() as bob, agent() as carol:
            config = site.config(to=bob.port)
            async with running(config) as service:
                alice.say(request(uri="sip:bob@far.example", via=via(alice)), site.port)
                invite = await bob.hears("INVITE")
                assert service.renew(routed(config, carol.port)) == 0
                bob.say(response(invite, 200, f"Contact: <sip:bob@127.0.0.1:{bob.port}>"), site.port)
                ok = await alice.hears(200)
                route, uri = f"Route: {ok.first('Record-Route')}", f"sip:bob@127.0.0.1:{bob.port}"
                alice.say(request("ACK", uri, route, branch="z9hG4bK2", via=via(alice), to_tag="b"), site.port)
                await bob.hears("ACK")
                alice.say(request("BYE", uri, route, branch="z9hG4bK3", via=via(alice), to_tag="b", cseq=2), site.port)
                await bob.hears("BYE")
                again = request(uri="sip:bob@far.example", via=via(alice), branch="z9hG4bK4", call_id="2")
                alice.say(again, site.port)
                await carol.hears("INVITE")

    asyncio.run(go())


def test_registrations_stay_and_users_and_peers_change(site):
    async def go() -> None:
        async with agent() as alice, agent() as stranger:
            config = site.config()
            async with running(config) as service:
                alice.say(register(alice), site.port)
                await alice.hears(200)
                users = CscfDigest(realm="home.example", users=str(site.users()))
                assert service._parts.digest is None
                service.renew(structs.replace(config, peer=(), digest=users))
                alice.say(register(alice, 2), site.port)
                assert len((await alice.hears(401)).values("WWW-Authenticate")) > 0
                text = request("MESSAGE", "sip:alice@home.example", via=via(stranger), branch="z9hG4bKm")
                stranger.say(text.replace("From: <sip:alice@home.example>", "From: <sip:x@y.example>"), site.port)
                await alice.hears("MESSAGE")  # she is found where she was
                former = service._parts.digest
                service.renew(structs.replace(config, peer=(), digest=users))
                assert former is not None and service._parts.digest is not None
                assert service._parts.digest is not former and service._parts.digest._counts is former._counts

    asyncio.run(go())


def test_certificates_change_under_connections_that_stand(site):
    """Old ones go on, new ones are shown the new certificate; who shows a revoked one goes."""

    async def go() -> None:
        pki = LabPki(site.folder / "pki")
        async with agent() as bob:
            config = site.config(to=bob.port, tls=True)
            pki.make(["other", "friend"])
            door = structs.replace(
                config.listen[2],
                certificate=str(site.folder / "pki" / "other.pem"),
                key=str(site.folder / "pki" / "other.key"),
                crl=str(site.folder / "pki" / "crl.pem"),
            )
            new = structs.replace(config, listen=(*config.listen[:2], door))
            context = ssl.create_default_context(cafile=str(site.folder / "pki" / "ca.pem"))
            context.check_hostname = False
            shown = ssl.create_default_context(cafile=str(site.folder / "pki" / "ca.pem"))
            shown.check_hostname = False
            shown.load_cert_chain(site.folder / "pki" / "friend.pem", site.folder / "pki" / "friend.key")

            async def connect(context: ssl.SSLContext) -> tuple[StreamAgent, bytes]:
                made = await asyncio.open_connection("127.0.0.1", site.tls, ssl=context)
                return StreamAgent(*made), made[1].get_extra_info("ssl_object").getpeercert(binary_form=True)

            async with running(config) as service:
                alice, first = await connect(context)
                friend, _ = await connect(shown)
                alice.say(request(uri="sip:bob@far.example", via="SIP/2.0/TLS 127.0.0.1:9"))
                invite = await bob.hears("INVITE")
                friend.say(request("MESSAGE", "sip:b@far.example", via="SIP/2.0/TLS 127.0.0.1:9", branch="z9hG4bKf"))
                bob.say(response(await bob.hears("MESSAGE"), 200), site.port)
                await friend.hears(200)
                pki.revoke("friend")
                assert service.renew(new) == 1
                with pytest.raises((EOFError, ConnectionError)):
                    await friend.hears(200)
                bob.say(response(invite, 200), site.port)
                assert (await alice.hears(200)).to_tag == "b"
                newcomer, second = await connect(context)
                assert first != second
                ask = request("OPTIONS", f"sip:127.0.0.1:{site.port}", via="SIP/2.0/TLS 127.0.0.1:9", branch="z9hG4bKn")
                newcomer.say(ask)
                await newcomer.hears(200)
                assert len(service.worker.streams or ()) == 2
                alice.writer.close()
                newcomer.writer.close()

    asyncio.run(go())


def test_what_does_not_fit_changes_nothing(site):
    async def go() -> None:
        async with agent() as alice, agent() as bob:
            config = site.config(to=bob.port, tls=True)
            async with running(config) as service:
                broken = structs.replace(config.listen[2], certificate="/nowhere.pem")
                for wrong, key in (
                    (structs.replace(config, listen=(*config.listen[:2], broken)), "cscf.listen[2].certificate"),
                    (structs.replace(config, digest=CscfDigest(realm="x", users="/nowhere")), "cscf.digest.users"),
                    (structs.replace(config, peer=(CscfPeer(network="nonsense"),)), ""),
                ):
                    with pytest.raises(RoleError) as refused:
                        service.renew(routed(wrong, 9))
                    assert refused.value.key == key
                alice.say(request(uri="sip:bob@far.example", via=via(alice)), site.port)
                await bob.hears("INVITE")

    asyncio.run(go())


def test_hops_that_stay_keep_what_is_known_of_them():
    health = Health({"sip:a": 30, "sip:b": 30})
    health.due(0)
    for uri in ("sip:a", "sip:b"):
        health.told(uri, 408)
        health.told(uri, 408)
    health.renew({"sip:a": 30, "sip:c": 30})
    assert not health.alive("sip:a") and health.alive("sip:b") and health.alive("sip:c")
    assert health.due(1) == ["sip:c"] and health.down == 1


def test_what_waits_for_the_next_start_is_named(site):
    config = site.config(to=9, tls=True)
    door = structs.replace(config.listen[2], address="127.0.0.1:1", key="another")
    new = structs.replace(routed(config, 10), listen=(*config.listen[:2], door), workers=2, domains=("x.example",))
    assert list(waiting(config, new, "cscf")) == ["cscf.listen[2].address", "cscf.workers"]
    assert list(waiting(config, structs.replace(config, listen=config.listen[:2]), "cscf")) == ["cscf.listen"]


@pytest.mark.proof
def test_sighup(tmp_path):
    """The process, while a hundred requests are on their way."""

    async def go() -> None:
        async with agent() as alice, agent() as bob, agent() as carol:
            command, port = site_of(tmp_path, f"sip:127.0.0.1:{bob.port}", "127.0.0.1")
            log = tmp_path / "cscf.log"
            loop = asyncio.get_running_loop()
            with program(command, log) as process:
                await loop.run_in_executor(None, wait_for, lambda: '"ready"' in log.read_text(), "it is ready")
                sent = [
                    request("MESSAGE", "sip:x@ims.example", via=via(alice), branch=f"z9hG4bK{n}") for n in range(100)
                ]
                for text in sent:
                    alice.say(text, port)
                heard = [await bob.hears("MESSAGE") for _ in sent]
                path = tmp_path / "cscf.toml"
                path.write_text(path.read_text().replace(f"127.0.0.1:{bob.port}", f"127.0.0.1:{carol.port}"))
                os.kill(process.pid, signal.SIGHUP)
                await loop.run_in_executor(None, wait_for, lambda: "read anew" in log.read_text(), "it is read anew")
                for each in heard:
                    bob.say(response(each, 200), port)
                for _ in sent:
                    await alice.hears(200)
                alice.say(request("MESSAGE", "sip:x@ims.example", via=via(alice), branch="z9hG4bKlast"), port)
                await carol.hears("MESSAGE")

    asyncio.run(go())
