"""The same call by copies of the proxy, by HEP, from a mirror port and from a capture: the same for the agency."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from imswire import hep, hi, inet, sip
from imswire.hi import eps, ipmm
from midcall.base import sip_copies
from midcall.base.capture import FrameSorter
from midcall.base.sip_copies import SipCopy
from midcall.cscf.routing import Contact
from midcall.cscf.shell.copies import PoiLink
from midcall.cscf.values import Hop
from midcall.events import Instant, SipSeen, Task
from midcall.poi.shell.copies import CopyDoor
from midcall.poi.shell.hep import HepAgent, HepReceiver
from midcall.ue.call import SECOND
from midcall.ue.proxied import ProxiedCall
from midcall.ue.wire import Wire
from tests.midcall.cscf.stage import Stage, response, sent
from tests.midcall.live.recorded import ALICE, Site
from tests.scenarios.world import BEGIN, World

Place = tuple[bytes, int]
PROXY = inet.pack("192.0.2.1"), 5_060
KEY = b"key"
TALK = 1.0
AGO = 3
"""Seconds: all of it has been, and an agent's clock is still believed."""


class Step(SipSeen, frozen=True, gc=False):
    """A message as the proxy got it, with what it sent on."""


class Run:
    """One call through a proxy core; its SIP as the proxy has it, and its media, at times of their own."""

    def __init__(self) -> None:
        self.world = World()
        self.shift = (time.time_ns() - AGO * SECOND - BEGIN) // 1_000 * 1_000
        self.steps: list[Step] = []
        self._stage = Stage(domain="example.com")
        alice, bob = self.world.party("alice"), self.world.party("bob")
        self.call = call = ProxiedCall(Wire(), self, self.world.ask, alice, bob, "call-1@lab", BEGIN)
        for party in (alice, bob):
            call.register(party)
        call.establish(self.world.held())
        call.talk(TALK)
        self.armed = call.now + self.shift
        call.talk(TALK)
        call.hang_up()
        decoded = [(at + self.shift, inet.decode(inet.ETHERNET, frame)) for at, frame in call.wire.in_order()]
        self.media = [(at, each) for at, each in decoded if isinstance(each, inet.Datagram)]

    def through(self, at: int, source: Place, destination: Place, payload: bytes) -> bytes:
        """The proxy serves the domain of the users as its own; who they are it is told here."""
        came = sip.parse(payload)
        if came.method == "REGISTER" and came.is_request:
            contact = sip.parse_name_addr(came.values("Contact")[0], "Contact").uri
            self._stage.users.bound[came.to.uri] = [Contact(contact, (), 1_000, None)]
            return response(came, 200).encode()
        outs = self._stage.outs(payload, Hop("udp", inet.text(source[0]), source[1]))
        onward = tuple((f"{out.hop.host}:{out.hop.port}", out.octets) for out in outs if getattr(out, "onward", False))
        wall = at + self.shift
        self.steps.append(Step(payload, _end(source), _end(PROXY), Instant(wall, wall), 0, onward))
        (arrived,) = (
            message.octets
            for hop, message in sent(outs)
            if (hop.host, hop.port) == (inet.text(destination[0]), destination[1]) and message.status != 100
        )
        return arrived

    def datagrams(self) -> list[tuple[int, Place, Place, bytes]]:
        """Received and sent on, as a capture agent or a mirror port sees them."""
        return [
            (step.at.wall, _place(source), _place(destination), octets)
            for step in self.steps
            for source, destination, octets in (
                (step.source, step.destination, step.octets),
                *((step.destination, to, octets) for to, octets in step.sent),
            )
        ]


def _end(place: Place) -> str:
    return inet.endpoint(*place)


def _place(end: str) -> Place:
    host, _, port = end.rpartition(":")
    return inet.pack(host), int(port)


# The ways


async def by_copies(run: Run, folder: Path) -> list[SipSeen]:
    seen: list[SipSeen] = []
    door = CopyDoor(folder / "copies", (), seen.append, durable=False)
    link = PoiLink(str(folder / "copies"), 1 << 24)
    for number, step in enumerate(run.steps, 1):
        copy = SipCopy(number, step.octets, step.source, step.destination, step.at.wall, step.at.mono, step.sent)
        link.put(number, sip_copies.written(copy), minor=False)
    async with asyncio.timeout(20):
        while len(seen) < len(run.steps):
            await asyncio.sleep(0.001)
    link.close()
    door.close()
    return seen


async def by_hep(run: Run, folder: Path) -> list[SipSeen]:
    seen: list[SipSeen] = []
    receiver = HepReceiver((HepAgent("127.0.0.1", KEY),), seen.append)
    for at, source, destination, octets in run.datagrams():
        message = hep.Hep(source[0], destination[0], source[1], destination[1], octets, at, key=KEY)
        receiver.datagram(hep.build(message), "127.0.0.1")
    return seen


async def by_frames(run: Run, folder: Path) -> list[SipSeen]:
    """As a mirror port sorts them."""
    sorter = FrameSorter(inet.ETHERNET, lambda at: Instant(at, at), tunnels=False)
    found = [
        each
        for at, source, destination, octets in run.datagrams()
        for each in sorter.sort(at, inet.udp_frame(*source, *destination, octets), 0)
    ]
    return [each for each in found if isinstance(each, SipSeen)]


Way = Callable[[Run, Path], Awaitable[list[SipSeen]]]


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


def heard(messages: list[SipSeen]) -> list[tuple[bytes, str, str, int]]:
    """Every form of every message, with its ends and time."""
    return [
        (octets, source, destination, each.at.wall)
        for each in messages
        for source, destination, octets in (
            (each.source, each.destination, each.octets),
            *((each.destination, to, octets) for to, octets in each.sent),
        )
    ]


def test_every_way_tells_the_same(run, tmp_path):
    """Octets, addresses and times."""

    async def go() -> None:
        copies, others = await by_copies(run, tmp_path), [await by_hep(run, tmp_path), await by_frames(run, tmp_path)]
        assert len(copies) == len(run.steps) == 6
        for each in others:
            assert heard(each) == heard(copies)

    asyncio.run(go())


async def live(run: Run, folder: Path, way: Way) -> tuple[list[bytes], list[bytes]]:
    """What POI and DF deliver: HI2 and HI3, PS-PDU by PS-PDU, without those that guard their integrity."""
    folder.mkdir()
    messages = await way(run, folder)
    site = Site(folder, run.world)
    task = Task(ALICE, (run.call.caller.uri,), run.armed)
    parts: list[list[tuple[int, object]]] = [[], []]
    for at, what in [*((each.at.wall, each) for each in messages), *run.media]:
        parts[at >= run.armed].append((at, what))
    for number, part in enumerate(parts):
        if number:
            site.order(ALICE, run.armed)
            site.poi_inputs.armed(task)
            site.poi.arm(task, Instant(run.armed, run.armed))
            await site.settle()
        for at, what in sorted(part, key=lambda each: each[0]):
            if isinstance(what, SipSeen):
                site.take(what)
            elif isinstance(what, inet.Datagram):
                place, source = inet.endpoint_key(what.dst, what.dport), inet.endpoint_key(what.src, what.sport)
                site.media([(at, place, source, what.payload)])
            await site.settle()
    await site.stop()
    return tuple(  # type: ignore[return-value]
        [each for each in hi.Splitter().feed((folder / "live" / f"{name}.ber").read_bytes()) if _is_product(each)]
        for name in ("hi2", "hi3")
    )


def _is_product(octets: bytes) -> bool:
    return isinstance(hi.parse(octets).payload, tuple)


def events(hi2: list[bytes]) -> list[tuple[object, ...]]:
    """What each record says, without whose it is."""
    found = [eps.parse(hi.parse(each).payload[0].contents) for each in hi2]
    return [told(each) for each in found]


def told(event: eps.IriParameters) -> tuple[object, ...]:
    return event.event, event.time, event.sip_message, event.sdp_offer, event.sdp_answer, event.header_offer


def content(hi3: list[bytes]) -> list[tuple[int, bytes]]:
    return [
        (each.direction, ipmm.parse_cc(each.contents).contents)
        for octets in hi3
        for each in hi.parse(octets).payload
        if isinstance(each, hi.Cc)
    ]


def test_the_agency_gets_the_same_by_every_way(run, tmp_path):
    """HI2 and HI3 octet for octet; by ``replay`` what they hold, for whose it is stands otherwise in its files."""
    got = {way.__name__: asyncio.run(live(run, tmp_path / way.__name__, way)) for way in (by_copies, by_hep, by_frames)}
    hi2, hi3 = got["by_copies"]
    assert len(hi2) == 4 and len(content(hi3)) == 2 * 50 * TALK
    assert got["by_hep"] == got["by_frames"] == (hi2, hi3)
    wire = Wire()
    for at, source, destination, octets in run.datagrams():
        wire.udp(at, source, destination, octets)
    for at, each in run.media:
        wire.udp(at, (each.src, each.sport), (each.dst, each.dport), each.payload)
    run.world.wire = wire
    begun = wire.in_order()[0][0]
    outcome = run.world.replay(tmp_path, run.call.caller.uri, start=(run.armed - begun) / SECOND)
    assert list(map(told, outcome.events)) == events(hi2)
    assert outcome.content == content(hi3)
