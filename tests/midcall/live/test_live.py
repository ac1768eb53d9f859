"""A warrant in the middle of a call, live: copies of SIP, X2 over TLS, a KMS, media, a spool, an LEMF."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from imswire import hi, inet, sip
from imswire.hi import eps, ipmm
from midcall.base import tls
from midcall.base.lab_pki import LabPki, uri
from midcall.base.seal import SealKey
from midcall.base.tls_end import TlsEnd
from midcall.base.x2 import Encoder, Node
from midcall.base.x2_link import TlsPeer, X2Client, X2Server
from midcall.cli.lab_lemf import LabLemf
from midcall.config import Network, Profile
from midcall.df2 import Agency
from midcall.events import Instant, Intercept, SipSeen, Task, Terms
from midcall.handover.shell.channel import Peer
from midcall.handover.shell.keys import KeyStore
from midcall.handover.shell.sender import Sender
from midcall.handover.shell.spool import Spool
from midcall.handover.shell.writer import Writer
from midcall.live.clock import now as clock
from midcall.live.df import DfService
from midcall.live.poi import PoiService
from midcall.poi import PointOfInterception
from midcall.poi.shell.journal import SipJournal
from tests.midcall.live.recorded import Keys, datagrams
from tests.scenarios.world import World

XID = "00000000-0000-4000-8000-000000000009"
ALICE = "sip:alice@example.com"


class Tap:
    """Remembers what it would let through."""

    def __init__(self) -> None:
        self.places: set[bytes] = set()
        self.changed = asyncio.Event()

    def arm(self, place: bytes) -> bool:
        self.places.add(place)
        self.changed.set()
        return True

    def disarm(self, place: bytes) -> int:
        self.places.discard(place)
        self.changed.set()
        return 0

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.places) != count:
                self.changed.clear()
                await self.changed.wait()


def identity(folder: Path, role: str) -> tls.Identity:
    return tls.Identity(folder / f"{role}.pem", folder / f"{role}.key", folder / "ca.pem")


def end(pki: Path, role: str, *peers: str) -> TlsEnd:
    """A listener's."""
    return TlsEnd.server(identity(pki, role), tls.PeerName(*map(uri, peers)))


class Lab:
    """POI and DF of one run, joined by X2 over TLS on loopback."""

    def __init__(self, folder: Path, world: World) -> None:
        self.folder = folder
        self.world = world
        LabPki(folder / "pki").make(("poi", "df", "lemf"))
        self.keys = Keys(world)
        self.tap = Tap()
        self.master = SealKey(bytes(range(32)))

    async def start(self) -> None:
        pki, network = self.folder / "pki", Network()
        self.store = KeyStore(self.folder / "keys.db", self.master)
        order = Intercept("LI-1", XID, network.operator, network.element, "XX", None, "lemf")
        self.spool = Spool(self.folder / "spool", "lemf", self.store, (order,), lambda _: b"", time.time_ns())
        self.writer = Writer(self.spool)
        self.df = DfService(self.keys, self.writer, self.tap)
        self.server = X2Server(self.df.commit)
        host, port = await self.server.listen_tls("127.0.0.1", 0, end(pki, "df", "poi"))
        own = TlsEnd.client(identity(pki, "poi"), tls.PeerName(uri("df")))
        self.client = X2Client(TlsPeer(host, port, own))
        self.journal = SipJournal(self.folder / "cache.db", self.master)
        core = PointOfInterception(bytes(32), bytes(32), journal=self.journal)
        self.poi = PoiService(core, Encoder(Node("poi-1", "sip-1")), self.client, self.journal)
        self.tasks = [asyncio.create_task(each) for each in (self.writer.run(), self.client.run(), self.poi.keep())]

    def say(self, datagram: inet.Datagram) -> None:
        """One datagram as POI or tap would see it now."""
        if sip.looks_like_sip(datagram.payload):
            source = inet.endpoint(datagram.src, datagram.sport)
            destination = inet.endpoint(datagram.dst, datagram.dport)
            self.poi.take(SipSeen(datagram.payload, source, destination, clock()))
            return
        place = inet.endpoint_key(datagram.dst, datagram.dport)
        if place in self.tap.places:
            source = inet.endpoint_key(datagram.src, datagram.sport)
            self.df.media([(time.time_ns(), place, source, datagram.payload)])

    def activate(self, **terms) -> None:
        """As X1 does: the mediation functions first, the POI last."""
        agency = Agency(Terms("LI-1", time.time_ns(), **terms), Profile(), Network())
        self.df.order(XID, agency, b"signed")
        self.poi.arm(Task(XID, (ALICE,), agency.terms.start))

    async def stop(self) -> None:
        self.client.stop(10)
        await self.tasks[1]
        await self.server.stop(1)
        await self.df.close()
        self.writer.stop()
        await self.tasks[0]
        self.tasks[2].cancel()
        await asyncio.gather(self.tasks[2], return_exceptions=True)
        self.journal.close()
        self.spool.end("LI-1", time.time_ns())
        self.spool.close()

    async def deliver(self, lemf: LabLemf) -> None:
        certificate, key, ca = lemf.credentials()
        end = TlsEnd.client(tls.Identity(certificate, key, ca), tls.PeerName("127.0.0.1"))
        host, _, port = lemf.address.rpartition(":")
        peer = Peer(host, int(port), end, host)
        sender = Sender(self.folder / "spool", "lemf", self.store, peer, "midcall-lab", "poi-1")
        running = asyncio.create_task(sender.run())
        sender.stop(20)
        await running
        self.store.close()


def received(folder: Path, name: str) -> list[hi.PsPdu]:
    pdus = hi.Splitter().feed((folder / "liid-LI-1" / f"{name}.ber").read_bytes())
    return [each for each in map(hi.parse, pdus) if isinstance(each.payload, tuple)]


def test_a_warrant_in_the_middle_of_a_call(tmp_path):
    world = World()
    call = world.call()
    call.establish(world.held())
    call.talk(2)
    call.hang_up()
    wire = datagrams(world)
    media = [each for each in wire if not sip.looks_like_sip(each.payload)]
    half = media[len(media) // 2 :]

    async def run(lemf: LabLemf) -> None:
        lab = Lab(tmp_path, world)
        await lab.start()
        for each in wire[: wire.index(half[0])]:
            lab.say(each)
        assert lab.keys.asked == 0 and not lab.tap.places, "before the warrant nothing is asked and nothing tapped"
        lab.activate()
        await lab.tap.until(4)
        for each in wire[wire.index(half[0]) :]:
            lab.say(each)
        await lab.stop()
        assert lab.keys.asked == 1
        await lab.deliver(lemf)

    told: list[str] = []
    with LabLemf(tmp_path / "lemf", tmp_path / "lemf-pki", told.append) as lemf:
        asyncio.run(run(lemf))
    events = [eps.parse(pdu.payload[0].contents) for pdu in received(tmp_path / "lemf", "hi2")]
    assert [each.event for each in events] == [4, 1, 1]
    assert events[0].header_offer.startswith(b"INVITE") and b"a=key-mgmt" in events[0].sdp_answer
    content = [ipmm.parse_cc(pdu.payload[0].contents).contents for pdu in received(tmp_path / "lemf", "hi3")]
    clear = [payload for _, _, payload in call.sent]
    # What waited for the keys comes out place by place, each in its order.
    for ssrc in {each[8:12] for each in clear}:
        assert [c for c in content if c[8:12] == ssrc] == [c for c in clear[-len(half) :] if c[8:12] == ssrc]
    assert len(content) == len(half)
    assert (tmp_path / "lemf" / "findings.jsonl").read_text() == ""


def test_product_of_a_task_that_is_not_known_is_held_and_never_delivered(tmp_path):
    world = World()
    call = world.call()
    call.establish(world.held())

    async def run() -> None:
        lab = Lab(tmp_path, world)
        await lab.start()
        for each in datagrams(world):
            lab.say(each)
        lab.poi.arm(Task(XID, (ALICE,), time.time_ns()))
        async with asyncio.timeout(30):
            while lab.df.counts["unknown"] < 2:
                await asyncio.sleep(0)
        assert lab.keys.asked == 0 and lab.df.counts["events"] == 0 and not lab.tap.places
        agency = Agency(Terms("LI-1", time.time_ns() - 1_000_000_000), Profile(), Network())
        lab.df.order(XID, agency, b"signed")
        await lab.tap.until(4)
        async with asyncio.timeout(30):
            while lab.keys.asked < 1:  # the order came in time: what was held is taken in
                await asyncio.sleep(0)
        lab.df.end(XID, Instant(time.time_ns(), 0))
        assert not lab.tap.places, "nothing is tapped when the task is over"
        await lab.stop()
        lab.store.close()

    asyncio.run(run())
