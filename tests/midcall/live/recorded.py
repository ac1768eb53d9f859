"""POI and DF in one loop, both recorded, and what is asked of their traces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from imswire import hi, inet, sip, x2x3
from midcall.base.x2 import Encoder, Node
from midcall.base.x2_link import Batch
from midcall.config import Integrity, Network, Profile
from midcall.df2 import Agency
from midcall.df2 import keys as key_client
from midcall.events import Hi1Record, Instant, Intercept, KeyAnswer, SipSeen, TapPacket, Task, Terms
from midcall.handover import Assembler
from midcall.handover.assembler import Sign
from midcall.handover.settings import SpoolSettings
from midcall.handover.shell.spool import Left
from midcall.handover.shell.writer import Writer
from midcall.kms import GetKeys, KmsRefusal
from midcall.live import replaying, trace
from midcall.live.clock import LoopClock, now
from midcall.live.df import DfService
from midcall.live.poi import PoiService
from midcall.live.recording import RecordedDf, RecordedPoi
from midcall.live.trace import TraceReader, TraceWriter
from midcall.poi import PointOfInterception
from midcall.records import HandoverFiles
from tests.scenarios.world import World

ALICE, CAROL = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
OWNERS = {ALICE: "alice", CAROL: "carol"}
NETWORK = Network()
DF_BEGUN = trace.DfBegun("0", 1, Integrity(hash_pdus=50, signature_hashes=2))
POI_BEGUN = trace.PoiBegun("0", "poi-1", "sip-1", bytes(32), None, True, (), ())
DID = "lemf"


class Files:
    """Stands for a spool: its PS-PDUs go into files at once."""

    def __init__(self, folder: Path, sign: Sign | None) -> None:
        folder.mkdir()
        self.settings = SpoolSettings()
        self.assembler = Assembler((), DF_BEGUN.integrity, sign)
        self.files = HandoverFiles(folder, self.assembler)
        self.room = True
        self._marks: set[bytes] = set()

    def next_deadline(self) -> int | None:
        return self.files.next_deadline()

    def take_iri(self, records, at):
        """As the spool does: what was written already is a repetition."""
        fresh = [each for each in records if isinstance(each, Hi1Record) or each.mark not in self._marks]
        self._marks.update(each.mark for each in fresh if not isinstance(each, Hi1Record))
        self.files.iri(fresh, at)
        return Left([], "")

    def write_cc(self, records, at):
        if self.room:
            self.files.cc(records, at)
        return self.room

    def end(self, liid, at):
        self.files.end(liid, at)
        return True


class OneOutlet:
    """Stands for the outlets: one destination."""

    def __init__(self, spool: Files, told: Callable) -> None:
        self.writer = Writer(spool, told)  # type: ignore[arg-type]

    def iri(self, records, before=None):
        return asyncio.gather(self.writer.iri(records, before))

    def cc(self, records):
        return asyncio.gather(self.writer.cc(records))


class Keys:
    """A KMS in the same process, whose core is the one that the service runs; it may take its time."""

    def __init__(self, world: World) -> None:
        self._kms = world.kms
        self.may = asyncio.Event()
        self.may.set()
        self.asked = 0

    async def keys(self, query, warrant) -> KeyAnswer:
        self.asked += 1
        assert warrant == b"signed"
        await self.may.wait()
        try:
            answer = self._kms.get_keys(GetKeys(query.identity, query.exchange, query.parties))
        except KmsRefusal as refusal:
            return key_client.refused(query.query, refusal.reason)
        return key_client.answered(query.query, answer.keys, answer.failures)


class Site:
    """POI and DF in one loop, both recorded, X2 in memory."""

    def __init__(
        self,
        folder: Path,
        world: World,
        most: int = trace.MAX_OCTETS,
        sign: Sign | None = None,
        profile: Profile = Profile(),  # noqa: B008 - frozen
    ) -> None:
        self.profile = profile
        self.told: list[str] = []
        self.inputs = RecordedDf(TraceWriter(folder / "df.trace", DF_BEGUN, self.told.append, most))
        self.spool = Files(folder / "live", self.inputs.sign(sign))
        self.poi_inputs = RecordedPoi(TraceWriter(folder / "poi.trace", POI_BEGUN, self.told.append))
        self.keys = Keys(world)
        self.outlet = OneOutlet(self.spool, lambda commit: self.inputs.written(DID, commit))
        self.df = DfService(self.inputs.keys(self.keys), self.outlet, mark_key=b"k", clock=self.inputs.clock)
        self.commit, self.media = self.inputs.x2(self.df.commit), self.inputs.media(self.df.media)
        self._x2: asyncio.Queue[bytes] = asyncio.Queue()
        core = PointOfInterception(bytes(32), POI_BEGUN.correlation_key)
        encoder = Encoder(Node(POI_BEGUN.nfid, POI_BEGUN.ipid))
        self.poi = PoiService(core, encoder, self.poi_inputs.client(self), clock=self.poi_inputs.clock)
        self.take = self.poi_inputs.sip(self.poi.take)
        self.tasks = [asyncio.create_task(each) for each in (self.outlet.writer.run(), self._carry())]

    def put(self, pdus: Iterable[bytes]) -> None:
        for each in pdus:
            self._x2.put_nowait(each)

    async def _carry(self) -> None:
        while True:
            await self.bring(await self._x2.get())
            self._x2.task_done()

    async def bring(self, octets: bytes) -> None:
        """One X2 PDU to the DF."""
        await self.commit(Batch("poi", [x2x3.parse(octets)], [octets], []))

    async def settle(self, keys: bool = True) -> None:
        """What was said so far is written."""
        async with asyncio.timeout(30):
            await self._x2.join()
            while keys and self.df.open_questions:
                await asyncio.sleep(0)
            await self.df.commits.done()

    def activate(self, xid: str = ALICE) -> None:
        start = time.time_ns()
        self.order(xid, start)
        self.arm(xid, start)

    def order(self, xid: str, start: int, **terms: Any) -> None:
        liid = f"LI-{OWNERS[xid]}"
        agency = Agency(Terms(liid, start, **terms), self.profile, NETWORK)
        intercept = Intercept(liid, xid, NETWORK.operator, NETWORK.element, NETWORK.country, None, DID)
        self.spool.assembler.intercepts[liid] = intercept
        targets = (f"sip:{OWNERS[xid]}@example.com",)
        self.inputs.ordered(DID, intercept, agency, targets)
        self.df.order(xid, agency, b"signed", DID, targets)

    def change(self, xid: str = ALICE, **terms: Any) -> None:
        """The task is another one from now on."""
        at = now()
        self.inputs.ended(xid, at, changed=True)
        self.df.end(xid, at, changed=True)
        self.order(xid, at.wall, **terms)

    def arm(self, xid: str, start: int) -> None:
        task = Task(xid, (f"sip:{OWNERS[xid]}@example.com",), start)
        self.poi_inputs.armed(task)
        self.poi.arm(task)

    async def deactivate(self, xid: str = ALICE) -> None:
        self.poi_inputs.disarmed(xid)
        self.poi.disarm(xid)
        await self.settle()
        at = now()
        self.inputs.ended(xid, at)
        self.df.end(xid, at)
        await self.df.commits.done()
        self.inputs.closed(f"LI-{OWNERS[xid]}")
        await self.outlet.writer.end(f"LI-{OWNERS[xid]}")

    def say(self, datagrams: Iterable[inet.Datagram]) -> None:
        """Datagrams as POI and tap see them now; media by fives."""
        media: list[TapPacket] = []
        for each in datagrams:
            if sip.looks_like_sip(each.payload):
                self.media(media)
                media = []
                ends = inet.endpoint(each.src, each.sport), inet.endpoint(each.dst, each.dport)
                self.take(SipSeen(each.payload, *ends, now()))
                continue
            place, source = inet.endpoint_key(each.dst, each.dport), inet.endpoint_key(each.src, each.sport)
            media.append((time.time_ns(), place, source, each.payload))
            if len(media) == 5:
                self.media(media)
                media = []
        self.media(media)

    async def stop(self) -> None:
        await self.settle()
        await self.df.close()
        self.outlet.writer.stop()
        await self.tasks[0]
        self.tasks[1].cancel()
        await asyncio.gather(self.tasks[1], return_exceptions=True)
        self.spool.files.close()
        self.inputs.close()
        self.poi_inputs.close()


def datagrams(world: World) -> list[inet.Datagram]:
    found = [inet.decode(inet.ETHERNET, frame) for _, frame in world.wire.in_order()]
    return [each for each in found if isinstance(each, inet.Datagram)]


def thirds(wire: list[inet.Datagram]) -> list[list[inet.Datagram]]:
    """Cut in the middle of the talk, twice."""
    media = [place for place, each in enumerate(wire) if not sip.looks_like_sip(each.payload)]
    first, second = media[len(media) // 3], media[2 * len(media) // 3]
    return [wire[:first], wire[first:second], wire[second:]]


def one_call(seconds: float = 2) -> World:
    world = World()
    call = world.call()
    call.establish(world.held())
    call.talk(seconds)
    call.hang_up()
    return world


def again(path: Path, out: Path) -> replaying.Outcome:
    out.mkdir(parents=True)
    with path.open("rb") as file:
        return replaying.replay(TraceReader(file), out)


def assert_the_same(folder: Path, *, complete: bool = True) -> replaying.Outcome:
    """Both traces give what the live run gave."""
    found = again(folder / "df.trace", folder / "again")
    assert found.errors == [] and (found.waiting == 0 or not complete)
    for name in [each.name for each in (folder / "live").iterdir()]:
        assert (folder / "again" / DID / name).read_bytes() == (folder / "live" / name).read_bytes()
    made = again(folder / "poi.trace", folder / "poi-again")
    assert made.errors == [] and made.waiting == 0
    assert (folder / "poi-again" / "x2.bin").read_bytes() == (folder / "again" / "x2.bin").read_bytes() != b""
    return found


def pdus(path: Path) -> list[hi.PsPdu]:
    return [hi.parse(each) for each in hi.Splitter().feed(path.read_bytes())]


def counts(folder: Path) -> tuple[int, int, int]:
    """Events, packets, integrity checks of the live run."""
    both = [pdus(folder / "live" / name) for name in ("hi2.ber", "hi3.ber")]
    data = [sum(isinstance(each.payload, tuple) for each in some) for some in both]
    return data[0], data[1], sum(map(len, both)) - sum(data)


class HandClock(LoopClock):
    """Alarms come when the test says so."""

    def __init__(self) -> None:
        self.alarms: list[Callable[[], None]] = []
        self.ahead = 0

    def now(self) -> Instant:
        at = now()
        return Instant(at.wall + self.ahead, at.mono + self.ahead)

    def at_wall(self, due: int, call: Callable[[], None]) -> asyncio.Handle:
        self.alarms.append(call)
        return asyncio.get_running_loop().call_later(3_600, call)

    at_mono = at_wall

    def ring(self) -> None:
        """The alarm that was set last, an hour later."""
        self.ahead = 3_600_000_000_000
        self.alarms.pop()()


def records(path: Path) -> Iterator[trace.Record]:
    with path.open("rb") as file:
        yield from TraceReader(file)


def written(path: Path, *those: trace.Record, begun: trace.Begun = DF_BEGUN) -> Path:
    into = TraceWriter(path, begun)
    for each in those:
        into.write(each)
    into.close()
    return path
