"""What somebody sends who means harm: each is bounded, counted and answered, and good requests beside it pass."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from contextlib import AsyncExitStack

import pytest
from msgspec import structs

from imswire import sip
from midcall.base.frame import Frame
from midcall.base.metrics import Metrics
from midcall.base.tls_door import HANDSHAKES
from midcall.config.cscf_tables import CscfLimits, CscfPeer
from tests.midcall.cscf import live
from tests.midcall.cscf.stage import ALICE, Stage, request
from tests.midcall.cscf.test_service import SECONDS, Site, running

FLOOD = 5_000 if os.environ.get("MIDCALL_PROOF") else 200
SMALL = 200
"""Where what is good takes room too."""
GOOD = FLOOD // live.TOGETHER + 1
"""Good requests beside it."""


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path)


def from_(caller: live.Caller, text: str) -> bytes:
    """The same message with where this caller is as its Via."""
    return text.replace("SIP/2.0/UDP 192.0.2.10", f"SIP/2.0/UDP {caller.place[0]}:{caller.place[1]}").encode()


# Connections


def test_half_messages_are_waited_for_and_given_up(site):
    """Slow-loris: octet by octet does not help."""

    async def go() -> None:
        limits = CscfLimits(message_seconds=0.05)
        half = request("MESSAGE", "sip:bob@far.example", body="x" * 100).encode()[:-1]
        async with AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(live.proxy(site, limits))
            good = await stack.enter_async_context(live.caller())
            kept = await stack.enter_async_context(live.stream(proxy.port))
            streams = [await stack.enter_async_context(live.stream(proxy.port)) for _ in range(20)]
            for number, each in enumerate(streams):
                each.writer.write(half[: 1 + number * 20] if number % 2 else half)
            for place in range(-20, 0):
                streams[1].writer.write(half[41 + place : 42 + place])
                await asyncio.sleep(0.005)
            await good.good_request(proxy.port)
            assert proxy.service.worker.streams is not None
            proxy.service.worker.streams.sweep()
            for each in streams:
                await each.until_closed()
            assert proxy.service.worker.streams.counts["idle connections"] == 20
            assert [each for each in proxy.sink.got if not each.call_id.startswith("good-")] == []
            await kept.lives()

    live.run(go())


def test_no_more_octets_are_held_than_there_is_room_for(site):
    """Half messages of many connections: those with the most go."""

    async def go() -> None:
        begun = request("MESSAGE", "sip:bob@far.example", body="x" * 60_000).encode()
        async with AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(live.proxy(site))
            streams = proxy.service.worker.streams
            assert streams is not None
            streams.limits = structs.replace(streams.limits, held=100_000)
            sizes = (10_000, 50_000, 20_000, 40_000, 30_000)
            opened = [await stack.enter_async_context(live.stream(proxy.port)) for _ in sizes]
            for size, each in zip(sizes, opened, strict=True):
                each.writer.write(begun[:size])
            async with asyncio.timeout(SECONDS):
                while sum(each.held for each in streams._connections.values()) < sum(sizes):
                    await asyncio.sleep(0.001)
            streams.sweep()
            await opened[1].until_closed()
            assert proxy.connections == 4 and streams.counts["holding connections"] == 1
            opened[3].writer.write(begun[40_000:])
            async with asyncio.timeout(SECONDS):
                while not proxy.sink.got:
                    await asyncio.sleep(0.001)

    live.run(go())


def test_no_more_connections_than_there_is_room_for(site):
    """Of one host, and in all; those that are there go on."""

    async def go() -> None:
        limits = CscfLimits(connections=12, each_host=5)
        async with AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(live.proxy(site, limits))
            good = await stack.enter_async_context(live.caller())
            assert proxy.service.worker.streams is not None
            counts = proxy.service.worker.streams.counts
            first = [await stack.enter_async_context(live.stream(proxy.port)) for _ in range(5)]
            for each in first:
                await each.lives()
            await (await stack.enter_async_context(live.stream(proxy.port))).until_closed()
            assert proxy.connections == 5 and counts["refused connections"] == 1
            for _ in range(20):
                await stack.enter_async_context(live.stream(proxy.port, own=live.own_host()))
            async with asyncio.timeout(SECONDS):
                while counts["refused connections"] < 14:
                    await asyncio.sleep(0.001)
            assert proxy.connections == 12
            metrics = Metrics()
            proxy.service.measure(Frame("cscf", 1, metrics, lambda: None))
            shown = {sample.name: sample for metric in metrics.collect() for sample in metric.samples}
            refused = shown["midcall_sip_streams_total"]
            assert (refused.labels, refused.value) == ({"outcome": "refused connections"}, 14)
            await good.good_request(proxy.port)
            for each in first:
                await each.lives()

    live.run(go())


def test_handshakes_that_never_end(site):
    """Before TLS stands a connection costs little, and the oldest makes room."""

    async def go() -> None:
        config = site.config(to=9, tls=True)
        context = ssl.create_default_context(cafile=str(site.folder / "pki" / "ca.pem"))
        context.check_hostname = False
        async with AsyncExitStack() as stack:
            service = await stack.enter_async_context(running(config))
            silent = [await stack.enter_async_context(live.stream(site.tls)) for _ in range(HANDSHAKES + 20)]
            reader, writer = await asyncio.open_connection("127.0.0.1", site.tls, ssl=context)
            writer.write(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"\r\n"
            await silent[0].until_closed()
            assert len(service.worker.streams or ()) == 1
            writer.close()

    live.run(go())


# Messages


def lines(count: int, text: str) -> str:
    return "\r\n".join([text] * count)


BOMBS = {
    "many headers": request("MESSAGE", "sip:x@far.example", lines(8_000, "X: y")),
    "one long header": request("MESSAGE", "sip:x@far.example", "X: " + "y" * 60_000),
    "many Vias": request("MESSAGE", "sip:x@far.example", lines(1_000, "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx")),
    "Vias in a line": request("MESSAGE", "sip:x@far.example", "Via: " + ",".join(["SIP/2.0/UDP h;branch=z9"] * 1_500)),
    "many routes": request("MESSAGE", "sip:x@far.example", lines(1_500, "Route: <sip:192.0.2.9;lr>")),
    "folds": request("MESSAGE", "sip:x@far.example", "Subject: a" + "\r\n b" * 15_000),
    "commas": request("MESSAGE", "sip:x@far.example", "Contact: " + "," * 50_000),
    "quotes": request("MESSAGE", "sip:x@far.example", 'Contact: "' + '\\"' * 25_000),
    "brackets": request("MESSAGE", "sip:x@far.example", "Contact: " + "<" * 50_000),
    "parameters": request("MESSAGE", "sip:x@far.example" + ";p=1" * 10_000),
    "a long user": request("MESSAGE", "sip:" + "%41" * 15_000 + "@far.example"),
    "a long Call-ID": request("MESSAGE", "sip:x@far.example", call_id="c" * 60_000),
    "a long branch": request("MESSAGE", "sip:x@far.example", branch="z9hG4bK" + "b" * 30_000),
    "a large number": request("MESSAGE", "sip:x@far.example").replace("Forwards: 70", "Forwards: " + "9" * 50_000),
    "options": request("MESSAGE", "sip:x@far.example", "Proxy-Require: " + ",".join("abc" for _ in range(12_000))),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_header_bombs(site, name):
    """Each is one message with one fate: it goes on, or is answered once, or is dropped."""

    async def go() -> None:
        async with live.proxy(site) as proxy, live.caller() as good, live.caller() as caller:
            octets = from_(caller, BOMBS[name])
            assert len(octets) < 65_508
            caller.send(octets, proxy.port)
            await good.good_request(proxy.port)
            fates = proxy.counts["forwarded"] - 1 + sum(status >= 300 for status in caller.heard())
            assert fates + proxy.counts["unsent"] in (0, 1, 2) and len(caller.got) <= 1
            assert len(proxy.sink.got) <= 2
            # The same on a connection, where more than is ever read ends it.
            async with live.stream(proxy.port) as stream:
                stream.writer.write(octets[:-4] + b"\r\nY: " + b"z" * 66_000)
                await stream.until_closed()
            await good.good_request(proxy.port)

    live.run(go())


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b"\0\0\0\0",
        b"jaK",
        bytes.fromhex("00010000 2112a442") + b"t" * 12,
        b"GET / X\r\n\r\n",
    ],
)
def test_what_is_no_message_is_not_answered(octets):
    """Keep-alives of telephones, STUN, and what asks for nothing: without Via there is no answer (RFC 3261 8.2.6.2)."""
    stage = Stage()
    assert stage.say(octets, ALICE) == [] and not stage.proxy.heeded
    assert dict(stage.proxy.counts) == {"unreadable" if octets.strip(b"\r\n\0") else "keep-alives": 1}


def test_a_loop_of_vias(site):
    """What comes back to us ends with 482, over the network (RFC 3261 16.3 4)."""

    async def go() -> None:
        async with live.proxy(site) as proxy, live.caller() as caller:
            caller.send(from_(caller, request("INVITE", "sip:x@loop.example")), proxy.port)
            await caller.until(b"SIP/2.0 482")
            assert proxy.counts["forwarded"] == 1 and caller.heard() == [100, 482]

    live.run(go())


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_contacts_that_lead_back_to_us(site, method):
    """RFC 5393 3: ten contacts, each the same user again, would make ten to the seventieth requests."""

    async def go() -> None:
        async with live.proxy(site) as proxy, live.caller() as caller, live.caller() as good:
            uris = ", ".join(f"<sip:a@home.example;ttl={number}>" for number in range(10))
            path = f"Path: <sip:127.0.0.1:{proxy.port};lr>"
            register = request("REGISTER", "sip:home.example", f"Contact: {uris}", path, call_id="r")
            caller.send(from_(caller, register.replace("To: <sip:bob@", "To: <sip:a@")), proxy.port)
            await caller.until(b"SIP/2.0 200")
            caller.send(from_(caller, request(method, "sip:a@home.example", branch="z9hG4bKf")), proxy.port)
            await caller.until(b"SIP/2.0 440")
            assert proxy.counts["forwarded"] == 10
            await good.good_request(proxy.port)
            # Who asks for less gets less; who asks for more does not get it.
            more = request(method, "sip:a@home.example", "Max-Breadth: 9999", branch="z9hG4bKg", call_id="g")
            caller.got.clear()
            caller.send(from_(caller, more), proxy.port)
            await caller.until(b"SIP/2.0 440")
            assert proxy.counts["forwarded"] == 21

    live.run(go())


# Registrations


def registration(caller: live.Caller, user: str, *headers: str, cseq: int = 1) -> bytes:
    contact = f"Contact: <sip:{user}@{caller.place[0]}:{caller.place[1]}>"
    names = {"branch": f"z9hG4bK{user}{cseq}", "call_id": user}
    text = request("REGISTER", "sip:home.example", contact, *headers, cseq=cseq, **names)
    return from_(caller, text.replace("sip:bob@", f"sip:{user}@").replace("sip:alice@", f"sip:{user}@"))


def test_registrations_of_strangers_leave_nothing(site):
    async def go() -> None:
        async with live.proxy(site, peers=()) as proxy, live.caller() as caller, live.caller() as good:
            await live.flood(proxy, caller, good, (registration(caller, f"u{number}") for number in range(FLOOD)))
            assert caller.heard() == [403] * FLOOD and proxy.counts["answered 403"] == FLOOD
            assert len(proxy.service._built.location) == 0 and proxy.running == GOOD

    live.run(go())


def test_registrations_fill_what_there_is_and_no_more(site):
    """Those who are registered are found, may refresh and leave; a new one has to wait."""

    async def go() -> None:
        async with live.proxy(site, addresses=20) as proxy, live.caller() as caller, live.caller() as good:
            for number in range(30):
                caller.send(registration(caller, f"u{number}"), proxy.port)
            await good.good_request(proxy.port)
            assert sorted(caller.heard()) == [200] * 20 + [503] * 10
            assert len(proxy.service._built.location) == 20
            caller.got.clear()
            caller.send(registration(caller, "u3", cseq=2), proxy.port)
            caller.send(registration(caller, "u4", "Expires: 0", cseq=2), proxy.port)
            await good.good_request(proxy.port)
            caller.send(registration(caller, "u29", cseq=2), proxy.port)
            await good.good_request(proxy.port)
            assert caller.heard() == [200, 200, 200]

    live.run(go())


def test_wrong_digests(site):
    """Each is challenged anew, and counted; none keeps state, and the right one passes."""

    async def go() -> None:
        known = live.own_host()
        peers = (CscfPeer(network=known, trusted=True, relay=True),)
        async with (
            live.proxy(site, peers=peers, digest=True) as proxy,
            live.caller() as caller,
            live.caller(known) as good,
        ):
            caller.send(registration(caller, "alice"), proxy.port)
            await caller.until(b"SIP/2.0 401")
            found = re.search(rb'nonce="([^"]+)"', caller.got[0])
            assert found is not None
            nonce = found[1].decode()
            said = (
                f'Authorization: Digest username="alice", realm="home.example", nonce="{nonce}", qop=auth, '
                'uri="sip:home.example", algorithm=SHA-256, cnonce="c", nc=%08x, response="%064x"'
            )
            wrong = (registration(caller, "alice", said % (count, count), cseq=count + 1) for count in range(FLOOD))
            await live.flood(proxy, caller, good, wrong)
            assert caller.heard() == [401] * (FLOOD + 1) and proxy.counts["answered 401"] == FLOOD + 1
            assert len(proxy.service._built.location) == 0 and proxy.running == GOOD

    live.run(go())


# Names that collide, tables that fill


def test_one_call_id_for_all(site):
    """The same Call-ID and tags, another branch each: they are as many requests, and each gets its own answer."""

    async def go() -> None:
        async with live.proxy(site) as proxy, live.caller() as caller, live.caller() as good:
            texts = (request("MESSAGE", "sip:x@far.example", branch=f"z9hG4bK{number}") for number in range(FLOOD))
            await live.flood(proxy, caller, good, (from_(caller, text) for text in texts))
            others = [each for each in proxy.sink.got if each.call_id == "call-1"]
            assert len({each.top_branch for each in others}) == FLOOD

    live.run(go())


def test_somebody_elses_branch(site):
    """A stranger who knows the branch of a call reaches neither the call nor its answers."""

    async def go() -> None:
        async with live.proxy(site) as proxy, live.caller() as caller, live.caller(live.own_host()) as stranger:
            text = from_(caller, request("MESSAGE", "sip:x@far.example", branch="z9hG4bKsame"))
            caller.send(text, proxy.port)
            stranger.send(text.replace(b"call-1", b"call-2"), proxy.port)
            await caller.good_request(proxy.port)
            await stranger.good_request(proxy.port)
            assert [each.call_id for each in proxy.sink.got if "good" not in each.call_id] == ["call-1"]
            assert stranger.got == [] and proxy.counts["retransmissions"] == 1

    live.run(go())


def test_strangers_do_not_fill_the_table_of_those_who_are_known(site):
    """Half of the transactions is for peers, users and dialogs."""

    async def go() -> None:
        known = live.own_host()
        peers = (CscfPeer(network=known, trusted=True, relay=True),)
        limits = CscfLimits(transactions=40)
        async with (
            live.proxy(site, limits, peers=peers, answers=True) as proxy,
            live.caller() as stranger,
            live.caller(known) as good,
        ):
            texts = (
                request("INVITE", "sip:x@far.example", branch=f"z9hG4bK{number}", call_id=f"{number}")
                for number in range(SMALL)
            )
            await live.flood(proxy, stranger, good, (from_(stranger, text) for text in texts))
            refused = stranger.heard().count(503)
            assert refused == proxy.counts["full for strangers"] == SMALL - 20
            for _ in range(5):
                await good.good_request(proxy.port)
            assert proxy.service.worker.proxy.running[0] <= 40
            # An ACK for what was refused needs no room, and ends here.
            stranger.send(
                from_(stranger, request("ACK", "sip:x@far.example", branch="z9hG4bK199", call_id="199")), proxy.port
            )
            await good.good_request(proxy.port)

    live.run(go())


def test_the_table_is_full(site):
    """503 for what is new, whoever sends it; what is running goes on to its end."""

    async def go() -> None:
        limits = CscfLimits(transactions=5)
        async with live.proxy(site, limits) as proxy, live.caller() as caller:
            for number in range(8):
                text = request("MESSAGE", "sip:x@far.example", branch=f"z9hG4bK{number}", call_id=f"good-{number}")
                caller.send(from_(caller, text), proxy.port)
            async with asyncio.timeout(SECONDS):
                while len(caller.got) < 8:
                    caller.came.clear()
                    await caller.came.wait()
            assert sorted(caller.heard()) == [200] * 5 + [503] * 3 and proxy.counts["full"] == 3

    live.run(go())


def test_what_nobody_asked_for(site):
    """Responses without a request: none goes anywhere, all are counted."""

    async def go() -> None:
        async with live.proxy(site) as proxy, live.caller() as caller:
            ours = f"SIP/2.0/UDP 127.0.0.1:{proxy.port};branch=z9hG4bK"
            theirs = f"SIP/2.0/UDP {caller.place[0]}:{caller.place[1]};branch=z9hG4bKx"
            answers = (
                f"SIP/2.0 200 OK\r\nVia: {ours}{number}\r\nVia: {theirs}\r\nFrom: <sip:a@b>;tag=1\r\n"
                f"To: <sip:c@d>;tag=2\r\nCall-ID: {number}\r\nCSeq: 1 INVITE\r\n\r\n"
                for number in range(FLOOD)
            )
            await live.flood(proxy, caller, caller, (text.encode() for text in answers))
            assert caller.got == [] and proxy.counts["stray responses"] == FLOOD
            assert all(sip.parse(each.octets).is_request for each in proxy.sink.got)

    live.run(go())
