"""What the kernel lets through for a DF: media of intercepted calls, and of no other call, by the kernel's count."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing

from imswire import inet, sip, x2x3
from midcall.base.tap import NotPermitted, Source, Tap, TapPort
from midcall.base.x2 import Encoder, Node
from midcall.base.x2_link import Batch
from midcall.config import Network, Profile
from midcall.df2 import Agency
from midcall.events import SipSeen, Task, Terms
from midcall.live.clock import now
from midcall.live.df import DfService
from midcall.live.poi import PoiService
from midcall.poi import PointOfInterception
from scripts.netns import INTERFACE
from tests.midcall.base.tap.conftest import networks, unable
from tests.midcall.base.tap.traffic import raw_socket, until_mark
from tests.midcall.live.recorded import Keys
from tests.scenarios.world import World

XID = "00000000-0000-4000-8000-000000000005"
CALLS = 5
TARGET = 3


class Kept:
    """Stands for a spool."""

    def __init__(self) -> None:
        self.content: list[bytes] = []

    def iri(self, records, before=None):
        return asyncio.gather()

    def cc(self, records):
        self.content += [payload for _, _, payload in records]
        return asyncio.gather()


def calls() -> tuple[World, list[list[bytes]]]:
    """Five calls at one time, and the RTP in clear of each."""
    world = World(names=tuple(f"{side}{number}" for number in range(CALLS) for side in ("alice", "bob")))
    said = []
    for number in range(CALLS):
        names = f"alice{number}", f"bob{number}"
        call = world.call(*map(world.party, names), call_id=f"call-{number}@lab")
        call.establish(world.held(owner=names[0], peer=names[1]))
        call.talk(1)
        said.append([clear for _, _, clear in call.sent])
    return world, said


def test_media_of_others_never_leave_the_kernel():
    world, said = calls()
    frames = [(frame, inet.decode(inet.ETHERNET, frame)) for _, frame in world.wire.in_order()]
    media = [frame for frame, each in frames if not sip.looks_like_sip(each.payload)]
    with networks() as (left, right):
        with right.inside():
            try:
                port = Tap(Source((INTERFACE,))).open()
            except NotPermitted as why:
                unable(why)
        with closing(port), raw_socket(left) as sock:
            asyncio.run(intercepted(world, [each for _, each in frames], media, port, sock.send, left, said))


async def intercepted(world, seen, media, port: TapPort, send, left, said) -> None:
    kept = Kept()
    df = DfService(Keys(world), kept, port)
    batches: list[bytes] = []
    poi = PoiService(PointOfInterception(bytes(32), bytes(32)), Encoder(Node("poi-1", "sip-1")), Sent(batches))
    for each in seen:
        if sip.looks_like_sip(each.payload):
            ends = inet.endpoint(each.src, each.sport), inet.endpoint(each.dst, each.dport)
            poi.take(SipSeen(each.payload, *ends, now()))
    for frame in media:
        send(frame)
    assert until_mark(port, left) == [] and through(port) == 1, "without a task nothing is let through"

    start = time.time_ns()
    df.order(XID, Agency(Terms("LI-1", start), Profile(), Network()), b"signed")
    poi.arm(Task(XID, (f"sip:alice{TARGET}@example.com",), start))
    await df.commit(Batch("poi", [x2x3.parse(each) for each in batches], batches, []))
    while df.open_questions:
        await asyncio.sleep(0)
    armed = port.armed
    assert len(armed) == 4, "RTP and RTCP of both parties"
    for frame in media:
        send(frame)
    tapped = until_mark(port, left)
    df.media([(each.time, each.place, each.origin, each.payload) for each in tapped])
    assert kept.content and sorted(kept.content) == sorted(said[TARGET])
    # The kernel's own counts: of the filter's map, and of what the ring was given.
    assert sum(port.packets(each) for each in armed) == len(said[TARGET]) == len(tapped)
    assert through(port) == len(said[TARGET]) + 2 < len(media)

    poi.disarm(XID)
    df.end(XID, now())
    for frame in media:
        send(frame)
    assert until_mark(port, left) == [] and through(port) == len(said[TARGET]) + 3
    assert port.armed == frozenset()
    await df.close()


class Sent:
    """Stands for the link to the DF."""

    def __init__(self, pdus: list[bytes]) -> None:
        self._pdus = pdus

    def put(self, pdus) -> None:
        self._pdus += pdus


def through(port: TapPort) -> int:
    """What left the kernel so far, marks included."""
    return sum(ring.packets for ring in port.counters().rings)
