"""Who somebody says that he is: what a proxy does not believe reaches no next hop, and no warrant either."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from imswire import sip
from imswire.sip import SipMessage
from midcall.config.cscf_tables import CscfPeer
from midcall.cscf.calls import Calls
from midcall.cscf.location import Binding
from midcall.cscf.shell.copies import Copies
from midcall.cscf.values import Hop
from midcall.events import DialogReleased, Instant, SessionReport, SipReport, Task, X2Event
from midcall.poi import PointOfInterception
from midcall.poi.shell.copies import CopyDoor
from tests.midcall.cscf import live
from tests.midcall.cscf.stage import SDP, request, response
from tests.midcall.cscf.test_service import SECONDS, Site

TARGET = "sip:alice@home.example"
CLAIMS = (
    f"P-Asserted-Identity: <{TARGET}>",
    f"p-asserted-identity : <sip:x@x>, <{TARGET}>",
    f"P-Preferred-Identity: <{TARGET}>",
    f"P-Called-Party-ID: <{TARGET}>",
    f"Diversion: <{TARGET}>;reason=unconditional",
    f"History-Info: <{TARGET}>;index=1, <sip:y@y>;index=2",
)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


class Eye:
    """A point of interception with one target, and what it makes of all that the proxy has copied."""

    def __init__(self) -> None:
        self.poi = PointOfInterception(bytes(32), bytes(32))
        self.events: list[X2Event] = []
        self.seen = 0
        self.poi.arm(Task("00000000-0000-4000-8000-000000000001", (TARGET,), 0), Instant(1, 1))

    def take(self, seen: object) -> None:
        self.events += self.poi.sip_seen(seen)  # type: ignore[arg-type]
        self.seen += 1

    async def has_seen(self, count: int) -> None:
        async with asyncio.timeout(SECONDS):
            while self.seen < count:
                await asyncio.sleep(0.001)

    def taken(self, *kinds: type) -> list[X2Event]:
        return [event for event in self.events if isinstance(event, kinds)]


@asynccontextmanager
async def watched(site: Site, *, peers: tuple[CscfPeer, ...] = ()) -> AsyncIterator[tuple[live.Live, Eye]]:
    """A proxy for strangers and users with passwords, and an eye on it."""
    eye = Eye()
    path = site.folder / "poi"
    door = CopyDoor(path, (), eye.take, durable=False)
    async with live.proxy(site, peers=peers, digest=True, answers=False) as proxy:
        proxy.service.worker.copies = Copies([str(path)], 1 << 20, proxy.service._built.listeners, Calls(b"k" * 32))
        yield proxy, eye
    door.close()


def from_(caller: live.Caller, text: str, who: str = "sip:mallory@far.example") -> bytes:
    here = f"SIP/2.0/UDP {caller.place[0]}:{caller.place[1]}"
    return text.replace("SIP/2.0/UDP 192.0.2.10", here).replace(f"From: <{TARGET}>", f"From: <{who}>").encode()


def answering(proxy: live.Live, *headers: str) -> None:
    """Who is called accepts, with these headers."""

    def retort(message: SipMessage) -> tuple[bytes, ...]:
        return (response(message, 200, *headers, body=SDP).encode(),) if message.method == "INVITE" else ()

    proxy.sink.retort = retort


def test_an_answer_to_what_was_refused_makes_no_call(site):
    """A stranger in the name of a target is asked for a password; then he answers himself, with the address of the
    media of somebody else.
    """

    async def go() -> None:
        async with watched(site) as (proxy, eye), live.caller() as caller:
            invite = request("INVITE", "sip:x@far.example", "Content-Type: application/sdp", body=SDP)
            caller.send(from_(caller, invite, TARGET), proxy.port)
            await caller.until(b"SIP/2.0 407")
            forged = response(sip.parse(from_(caller, invite, TARGET)), 200, "Content-Type: application/sdp", body=SDP)
            ours = f"Via: SIP/2.0/UDP 127.0.0.1:{proxy.port};branch=z9hG4bK1\r\nVia: "
            caller.send(forged.encode(), proxy.port)
            caller.send(forged.replace("Via: ", ours, 1).encode(), proxy.port)
            await eye.has_seen(3)
            assert proxy.counts["foreign responses"] == proxy.counts["stray responses"] == 1
            # The attempt is an event; it is no call, and has no media.
            (told,) = eye.events
            assert isinstance(told, SipReport) and told.dialog is None and told.correlation is None
            assert len(eye.poi) == 0

    live.run(go())


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_a_stranger_asserts_makes_nobody_a_target(site, claim):
    """Neither who calls nor who is called."""

    async def go() -> None:
        async with watched(site) as (proxy, eye), live.caller() as caller:
            answering(proxy, claim, "Content-Type: application/sdp")
            headers = (claim, "Content-Type: application/sdp")
            invite = request("INVITE", "sip:x@far.example", *headers, body=SDP).replace("sip:bob@", "sip:carol@")
            caller.send(from_(caller, invite), proxy.port)
            await caller.until(b"SIP/2.0 200")
            await eye.has_seen(2)
            assert eye.events == []
            passed = [sip.parse(each) for each in caller.got] + proxy.sink.got
            assert not any(each.has(b"p-asserted-identity") or each.has(b"p-preferred-identity") for each in passed)
            ack = request("ACK", "sip:x@far.example", claim, to_tag="b", branch="z9hG4bK2")
            caller.send(from_(caller, ack.replace("sip:bob@", "sip:carol@")), proxy.port)
            await eye.has_seen(3)
            assert eye.events == [] and not proxy.sink.got[-1].has(b"p-asserted-identity")

    live.run(go())


@pytest.mark.parametrize("claim", [each for each in CLAIMS if "Preferred" not in each])
def test_what_a_trusted_neighbour_asserts_counts(site, claim):
    async def go() -> None:
        peers = (CscfPeer(network="127.0.0.0/8", trusted=True, relay=True),)
        async with watched(site, peers=peers) as (proxy, eye), live.caller() as caller:
            answering(proxy, "Content-Type: application/sdp")
            headers = (claim, "Content-Type: application/sdp")
            invite = request("INVITE", "sip:x@far.example", *headers, body=SDP).replace("sip:bob@", "sip:carol@")
            caller.send(from_(caller, invite), proxy.port)
            await caller.until(b"SIP/2.0 200")
            await eye.has_seen(2)
            assert eye.taken(SessionReport) and not eye.taken(DialogReleased)

    live.run(go())


def credentials(challenge: bytes, method: str, uri: str, *, user: str = "alice", password: str = "secret") -> str:
    found = re.search(rb'nonce="([^"]+)"', challenge)
    assert found is not None
    nonce = found[1].decode()

    def sha(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    ha1, ha2 = sha(f"{user}:home.example:{password}"), sha(f"{method}:{uri}")
    proof = sha(f"{ha1}:{nonce}:00000001:c:auth:{ha2}")
    return (
        f'Proxy-Authorization: Digest username="{user}", realm="home.example", nonce="{nonce}", uri="{uri}", qop=auth, '
        f'algorithm=SHA-256, cnonce="c", nc=00000001, response="{proof}"'
    )


def test_a_user_with_a_password_is_asserted_and_nobody_else(site):
    """By a URI; and in the name of another user nobody calls."""

    async def go() -> None:
        async with watched(site) as (proxy, eye), live.caller() as caller:
            answering(proxy, "Content-Type: application/sdp")
            for number, who in enumerate((TARGET, "sip:bob@home.example")):
                names = {"branch": f"z9hG4bKa{number}", "call_id": f"c{number}"}
                invite = request("INVITE", "sip:x@far.example", **names)
                caller.send(from_(caller, invite, who), proxy.port)
                await caller.until(b"SIP/2.0 407")
                line = credentials(caller.got.pop(), "INVITE", "sip:x@far.example")
                names = {"branch": f"z9hG4bKb{number}", "call_id": f"c{number}"}
                invite = request("INVITE", "sip:x@far.example", line, cseq=2, **names)
                caller.send(from_(caller, invite, who), proxy.port)
                await caller.until(b"SIP/2.0 200" if who == TARGET else b"SIP/2.0 403")
            (passed,) = proxy.sink.got
            assert passed.lines("P-Asserted-Identity") == (f"<{TARGET}>",)
            assert not passed.has(b"proxy-authorization")  # nobody else may look for the password
            assert all(event.dialog is None or event.dialog.call_id == "c0" for event in eye.taken(SipReport))

    live.run(go())


def test_the_number_of_a_user_is_that_users_in_every_domain(site):
    """A stranger with it in From is asked for the password; who has it is asserted by it."""

    async def go() -> None:
        async with watched(site) as (proxy, _), live.caller() as caller:
            table = proxy.service._built.location
            binding = Binding("k", "sip:c@x", 1 << 62, "c", 1, source=Hop("udp", "192.0.2.30", 5060))
            table.put("sip:+431234@home.example", [binding])
            asked = ("sip:+43-1234@evil.example;user=phone", "tel:+43%31234", "TEL:+431(234)")
            for number, who in enumerate((*asked, "sip:+431234@evil.example", "tel:+4312345")):
                names = {"branch": f"z9hG4bK{number}", "call_id": f"c{number}"}
                caller.send(from_(caller, request("INVITE", "sip:x@far.example", **names), who), proxy.port)
                await caller.until(f"Call-ID: c{number}\r\n".encode())
            assert caller.heard() == [407, 407, 407, 100, 100]

    live.run(go())


def test_who_hides_his_name_is_known_by_where_he_registered(site):
    """To the point of interception, and to nobody else; where several have registered it is nobody in particular."""

    async def go() -> None:
        async with watched(site) as (proxy, eye), live.caller() as caller:
            answering(proxy, "Content-Type: application/sdp")
            table = proxy.service._built.location
            place = Hop("udp", *caller.place)

            def registered(user: str) -> None:
                table.put(f"sip:{user}@home.example", [Binding("k", "sip:c@x", 1 << 62, "c", 1, source=place)])

            registered("alice")
            for number in range(2):
                names = {"branch": f"z9hG4bK{number}", "call_id": f"c{number}"}
                invite = request("INVITE", "sip:x@far.example", "Privacy: id", **names)
                caller.send(from_(caller, invite, "sip:anonymous@anonymous.invalid"), proxy.port)
                await caller.until(f"Call-ID: c{number}\r\n".encode())
                await eye.has_seen(2 * number + 2)
                registered("ben")
            assert TARGET.encode() not in b"".join(each.octets for each in proxy.sink.got)
            assert {event.dialog.call_id for event in eye.taken(SipReport) if event.dialog} == {"c0"}

    live.run(go())
