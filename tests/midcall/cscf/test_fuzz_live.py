"""Changed SIP through the running proxy: what goes on is whole and can be judged, and good requests pass between."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from msgspec import structs

from imswire import sip
from imswire.sip import SipMessage
from imswire.sip.verdict import judge
from midcall.config.cscf_tables import CscfCopies, CscfLocation
from midcall.events import Instant, SipSeen, Task
from midcall.poi import PointOfInterception
from midcall.poi.shell.copies import CopyDoor
from scripts.fuzz.run import mutations
from tests.imswire.sip.torture import TORTURE, VERDICTS, named
from tests.midcall.cscf import live
from tests.midcall.cscf.stage import SDP, request, response
from tests.midcall.cscf.test_service import SECONDS, Site, running
from tests.midcall.cscf.test_torture_live import without_names

SHORT = 1_000
LONG = 200_000
SEED = 20_261_127
TOGETHER = 20
LARGEST = 60_000
"""Octets: what a datagram takes."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def corpus(caller: live.Caller, proxy: live.Live) -> list[bytes]:
    """Torture messages, and requests and responses of a call through this proxy."""
    here = f"SIP/2.0/UDP {caller.place[0]}:{caller.place[1]}"
    invite = request("INVITE", "sip:x@far.example", via=here, body=SDP)
    on = sip.parse(invite.encode())
    ours = f"Route: <sip:127.0.0.1:{proxy.port};lr>"
    good = [
        invite,
        request("ACK", "sip:x@far.example", ours, via=here, to_tag="b"),
        request("CANCEL", "sip:x@far.example", via=here),
        request("BYE", "sip:x@far.example", ours, via=here, to_tag="b"),
        request("REGISTER", "sip:home.example", "Contact: <sip:x@127.0.0.1:9>;expires=60", via=here),
        request("MESSAGE", "sip:x@loop.example", "Max-Breadth: 60", via=here),
        response(on, 200, body=SDP),
        response(on, 486),
    ]
    torture = [(TORTURE / name).read_bytes() for name in sorted(VERDICTS)]
    return [*torture, *(text.encode() for text in good)]


async def datagrams(site: Site, runs: int) -> None:
    async with live.proxy(site) as proxy, live.caller() as good, live.caller() as caller:
        without_names(proxy)
        for number, octets in enumerate(mutations(corpus(caller, proxy), runs, SEED), 1):
            caller.send(octets[:LARGEST], proxy.port)
            if number % TOGETHER == 0:
                await good.good_request(proxy.port)
                assert all(named(judge(each.octets)) == "forward" for each in proxy.sink.got if each.is_request)
                proxy.sink.got.clear()
                caller.got.clear()
        assert proxy.counts["forwarded"] > runs // TOGETHER  # and not good ones alone
        assert sum(proxy.counts[name] for name in proxy.counts if name.startswith("answered")) > runs // 10


async def connections(site: Site, runs: int) -> None:
    """Several messages on each, cut anywhere; a connection that cannot go on is closed, all others live."""
    chance = Random(SEED)
    async with live.proxy(site) as proxy, live.caller() as good, live.stream(proxy.port) as kept:
        without_names(proxy)
        changed = mutations(corpus(good, proxy), runs, SEED + 1)
        for _ in range(runs // TOGETHER):
            octets = b"".join(next(changed)[:LARGEST] for _ in range(TOGETHER))
            async with live.stream(proxy.port) as stream:
                place = 0
                while place < len(octets):
                    size = chance.randint(1, 20_000)
                    stream.writer.write(octets[place : place + size])
                    place += size
                await good.good_request(proxy.port)
            assert all(named(judge(each.octets)) == "forward" for each in proxy.sink.got if each.is_request)
            proxy.sink.got.clear()
        await kept.lives()
        assert proxy.service.worker.streams is not None
        assert proxy.service.worker.streams.counts["broken streams"] > 0


async def answers(site: Site, runs: int) -> None:
    """A next hop that answers to what it got with something like an answer, several times."""
    chance = Random(SEED)

    def retort(asked: SipMessage) -> Iterator[bytes]:
        for _ in range(chance.randint(0, 3)):
            status = chance.choice((100, 180, 183, 200, 200, 302, 401, 407, 408, 486, 487, 503, 600, 699))
            contact = f"Contact: <sip:y@127.0.0.1:{chance.choice((9, 5060))}>"
            text = response(asked, status, contact, tag=f"b{chance.randint(1, 3)}", body=SDP)
            octets = text.encode("utf-8", "surrogateescape")
            yield from mutations([octets], 1, chance.randrange(1 << 30)) if chance.random() < 0.7 else (octets,)

    async with live.proxy(site) as proxy, live.caller() as good, live.caller() as caller:
        without_names(proxy)
        proxy.sink.retort = retort
        here = f"SIP/2.0/UDP {caller.place[0]}:{caller.place[1]}"
        for number in range(1, runs + 1):
            method = chance.choice(("INVITE", "INVITE", "MESSAGE", "CANCEL", "BYE"))
            named = {"branch": f"z9hG4bK{number if method != 'CANCEL' else number - 1}", "call_id": f"c{number}"}
            caller.send(request(method, "sip:x@far.example", via=here, body=SDP, **named).encode(), proxy.port)
            if number % TOGETHER == 0:
                await good.good_request(proxy.port)
                proxy.sink.got.clear()
                caller.got.clear()
        assert proxy.counts["forwarded"] > runs // 2 and proxy.counts["bad responses"] > 0


async def workers(site: Site, runs: int) -> None:
    """Two workers that hand over to each other, and a point of interception that has a copy of all."""
    poi, broken = PointOfInterception(bytes(32), bytes(32)), 0
    poi.arm(Task("00000000-0000-4000-8000-000000000001", ("sip:alice@home.example",), 0), Instant(1, 1))

    def take(seen: SipSeen) -> None:
        nonlocal broken
        try:
            poi.sip_seen(seen)
        except sip.SipError:
            broken += 1

    loop = asyncio.get_running_loop()
    transport, sink = await loop.create_datagram_endpoint(live.Sink, ("127.0.0.1", 0))
    door = CopyDoor(site.folder / "poi", (), take, durable=False)
    config = site.config(to=sink.port, workers=2)
    config = structs.replace(config, copies=CscfCopies(to=(str(site.folder / "poi"),)), location=CscfLocation(file=""))
    async with running(config, 1) as one, running(config, 2) as two, live.caller() as good, live.caller() as caller:
        both = [live.Live(each, sink, site.port) for each in (one, two)]
        for each in both:
            without_names(each)
        for number, octets in enumerate(mutations(corpus(caller, both[0]), runs, SEED + 2), 1):
            caller.send(octets[:LARGEST], site.port)
            if number % TOGETHER == 0:
                for _ in range(2):
                    await good.good_request(site.port)
                sink.got.clear()
                caller.got.clear()
        counts = [each.service.worker.mates.counts["passed on"] for each in both if each.service.worker.mates]
        assert sum(counts) > runs // 10 and all(each.counts["forwarded"] for each in both)
    async with asyncio.timeout(SECONDS):
        while door.counts["taken"] + door.counts["other"] < runs:
            await asyncio.sleep(0.01)
    assert broken > 0
    door.close()
    transport.close()


def test_changed_datagrams_at_two_workers(site: Site) -> None:
    live.run(workers(site, SHORT // 2))


@pytest.mark.proof
def test_many_changed_datagrams_at_two_workers(site: Site) -> None:
    live.run(workers(site, int(os.environ.get("MIDCALL_FUZZ_RUNS", LONG))))


def test_changed_answers(site: Site) -> None:
    live.run(answers(site, SHORT))


@pytest.mark.proof
def test_many_changed_answers(site: Site) -> None:
    live.run(answers(site, int(os.environ.get("MIDCALL_FUZZ_RUNS", LONG))))


def test_changed_datagrams(site: Site) -> None:
    live.run(datagrams(site, SHORT))


def test_changed_streams(site: Site) -> None:
    live.run(connections(site, SHORT))


@pytest.mark.proof
def test_many_changed_datagrams(site: Site) -> None:
    live.run(datagrams(site, int(os.environ.get("MIDCALL_FUZZ_RUNS", LONG))))


@pytest.mark.proof
def test_many_changed_streams(site: Site) -> None:
    live.run(connections(site, int(os.environ.get("MIDCALL_FUZZ_RUNS", LONG))))
