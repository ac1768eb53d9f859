"""Runs a trace again: the same services and cores, fed what a live run was given, by the clock of that run.

A shell. Records reach the hand-over in the commits of the live run, so that each PS-PDU, integrity checks included,
comes out as it was handed over then. Where the trace asks for something else than the services do, the two runs have
parted: that is said, with the place, and nothing behind it is replayed.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from imswire import x2x3
from midcall.base import owner_only
from midcall.base.bounded import BoundedTable
from midcall.base.x2 import Encoder, Node
from midcall.base.x2_link import Batch
from midcall.df2 import Communications
from midcall.events import Cc, EventRecord, Hi1Record, Instant, Intercept, KeyAnswer, KeyQuery, TapPacket
from midcall.handover import Assembler
from midcall.handover.shell.files import MARKS
from midcall.live import trace
from midcall.live.clock import Alarm
from midcall.live.df import DfService
from midcall.live.poi import PoiService
from midcall.live.trace import Record, TraceError, TraceReader
from midcall.poi import PointOfInterception
from midcall.poi.home import Home
from midcall.poi.limits import PoiLimits
from midcall.records import HandoverFiles

X2_FILE: Final = "x2.bin"
OUTLETS: Final = 64
"""Each has two files open."""
TURNS: Final = 1_000
"""Of the loop, within which a service has done all that comes of one input."""
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,127}")
# Of a lab: what it keys shows in no octet.
_KEY = bytes(32)


class Outcome(Struct):
    """What came of a trace: PDUs by outlet and interface, records that the live run had not written yet, X2 PDUs
    (of a DF: as they came; of a POI: as they were made), and what was not as it should be.
    """

    role: str
    records: int = 0
    pdus: dict[str, dict[str, int]] = field(default_factory=dict)
    waiting: int = 0
    x2: Counter[bytes] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


class Parted(Exception):
    """The services do not do what they did in the live run."""


def replay(reader: TraceReader, out: Path) -> Outcome:
    """Run a trace into the folder ``out``; one that breaks off is replayed as far as it goes. OSError."""
    begun = reader.begun
    if isinstance(begun, trace.DfBegun):
        return asyncio.run(_replay(reader, DfReplay(begun, _Records(reader), out), out))
    return asyncio.run(_replay(reader, PoiReplay(begun, _Records(reader)), out))


async def _replay(reader: TraceReader, run: DfReplay | PoiReplay, out: Path) -> Outcome:
    outcome = run.outcome
    with owner_only.create(out / X2_FILE) as file:
        run.x2_file = file.write
        try:
            while (record := run.records.next()) is not None:
                await run.take(record)
        except TraceError as error:
            outcome.errors.append(str(error))
        except Parted as parted:
            fault = run.records.fault
            told = f"octet {reader.at}: {parted}; what is behind it is not replayed"
            outcome.errors.append(told if fault is None else str(fault))
        finally:
            await run.close()
    outcome.records = reader.count
    return outcome


class _Records:
    """The records of a trace, one after the other, with a look at the next one."""

    def __init__(self, reader: TraceReader) -> None:
        self._rest = iter(reader)
        self._ahead: Record | None = None
        self.fault: TraceError | None = None

    def next(self) -> Record | None:
        record = self._peek()
        self._ahead = None
        if record is None and self.fault is not None:
            raise self.fault
        return record

    def told(self) -> Instant | None:
        """What the clock said in the live run; None: it was not asked here, or the trace ends."""
        record = self._peek()
        if not isinstance(record, trace.Told):
            return None
        self._ahead = None
        return record.at

    def _peek(self) -> Record | None:
        if self._ahead is None and self.fault is None:
            try:
                self._ahead = next(self._rest, None)
            except TraceError as error:
                self.fault = error
        return self._ahead


class _Alarm:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class _Clock:
    """Says what the live run's clock said, and wakes when that did."""

    def __init__(self, records: _Records) -> None:
        self._records = records
        self._alarm: _Alarm | None = None
        self._last = Instant(0, 0)
        self.is_lost = False

    def now(self) -> Instant:
        """A service is not interrupted in the middle: whoever feeds it asks afterwards whether the clock was lost."""
        at = self._records.told()
        if at is None:
            self.is_lost = True
            return self._last
        self._last = at
        return at

    def at_wall(self, due: int, call: Callable[[], None]) -> Alarm:  # noqa: ARG002 - the trace says when
        self._alarm = _Alarm(call)
        return self._alarm

    at_mono = at_wall

    def wake(self) -> None:
        alarm, self._alarm = self._alarm, None
        if alarm is None or alarm.call is None:
            raise Parted("an alarm that nobody has set")
        alarm.call()


async def _turns(done: Callable[[], bool], otherwise: str) -> None:
    for _ in range(TURNS):
        if done():
            return
        await asyncio.sleep(0)
    raise Parted(otherwise)


# DF


class DfReplay:
    """A DF run again: its product goes to ``out``, a folder for each outlet."""

    def __init__(self, begun: trace.DfBegun, records: _Records, out: Path) -> None:
        self.outcome = Outcome("df")
        self.records = records
        self.x2_file: Callable[[bytes], object] = len
        self._clock = _Clock(records)
        self._keys = _Keys()
        self._outlets = _Outlets(begun, out, self.outcome)
        self._service = DfService(
            self._keys,
            self._outlets,
            communications=Communications(begun.first_cin),
            clock=self._clock,
            foreign=begun.foreign,
        )

    async def take(self, record: Record) -> None:
        """One input, and all that comes of it."""
        service = self._service
        match record:
            case trace.Ordered():
                self._outlets.order(record.outlet, record.intercept)
                service.order(record.intercept.xid, record.agency, None, record.outlet, record.targets)
            case trace.Ended():
                service.end(record.xid, record.at, changed=record.changed)
            case trace.Taken():
                await service.commit(self._batch(record))
            case trace.Answered():
                await self._answer(record.answer)
            case trace.Media():
                service.media([_packet(each) for each in record.packets])
            case trace.Woken():
                self._clock.wake()
            case trace.Signs():
                self._outlets.signs = True
            case trace.Committed():
                self._outlets.commit(record)
            case trace.Closed():
                self._outlets.close_liid(record.liid)
            case trace.Full():
                self.outcome.errors.append("the trace was full: what came after it is missing")
            case _:
                raise Parted(f"{type(record).__name__} is no input of a DF, or none that it has here")
        await service.commits.done()
        if self._clock.is_lost:
            raise Parted("the service asks for the time where it did not in the live run, or the trace ends there")

    def _batch(self, taken: trace.Taken) -> Batch:
        try:
            events = [x2x3.parse(each) for each in taken.octets]
            streams = [x2x3.parse(each) for each in taken.streams]
            packets = [x2x3.Packet(streams[place], number, at, held) for place, number, at, held in taken.packets]
        except (x2x3.X2X3Error, IndexError) as error:
            raise Parted(f"no X2 or X3 PDUs: {error}") from None
        for each in taken.octets:
            self.outcome.x2[each] += 1
            self.x2_file(each)
        return Batch(taken.peer, events, taken.octets, packets)

    async def _answer(self, answer: KeyAnswer) -> None:
        number = answer.query
        await _turns(lambda: number in self._keys.open, "an answer of the KMS to what nobody has asked")
        before = self._service.open_questions
        self._keys.open.pop(number).set_result(answer)
        await _turns(lambda: self._service.open_questions < before, "an answer of the KMS that is not taken")

    async def close(self) -> None:
        await self._service.close()
        self._outlets.close()


class _Keys:
    """Asks nobody: the trace has the answers. ``open``: questions, by number."""

    def __init__(self) -> None:
        self.open: dict[int, asyncio.Future[KeyAnswer]] = {}

    async def keys(self, query: KeyQuery, warrant: bytes | None) -> KeyAnswer:  # noqa: ARG002 - a door of DfService
        future: asyncio.Future[KeyAnswer] = asyncio.get_running_loop().create_future()
        self.open[query.query] = future
        return await future


def _packet(tapped: trace.Tapped) -> TapPacket:
    """As a tap gave it."""
    return tapped.time, tapped.place, tapped.src + tapped.sport.to_bytes(2, "big"), tapped.payload


class _Outlet:
    """Records of one destination under one pin, until the live run wrote them; then PS-PDUs."""

    def __init__(self, folder: Path, assembler: Assembler) -> None:
        self.iri: deque[EventRecord] = deque()
        self.cc: deque[Cc] = deque()
        self.assembler = assembler
        self.files = HandoverFiles(folder, assembler)
        self._marks: BoundedTable[bytes, None] = BoundedTable("live.replaying.marks", MARKS)

    def commit(self, record: trace.Committed) -> None:
        if record.iri > len(self.iri) or record.cc > len(self.cc):
            missing = f"{record.iri} events and {record.cc} packets, of which {len(self.iri)} and {len(self.cc)} came"
            raise Parted(f"the live run wrote {missing}")
        if not record.whole:
            raise Parted("the disk of the live run did not take everything, or there was too much at once")
        self.files.iri(self._fresh(record.iri), record.at)
        self.files.cc([self.cc.popleft() for _ in range(record.cc)], record.at)
        for liid in record.ended:
            self.files.end(liid, record.at)

    def _fresh(self, count: int) -> list[EventRecord]:
        """As the spool does: what was written already is a repetition."""
        fresh: list[EventRecord] = []
        for _ in range(count):
            record = self.iri.popleft()
            if isinstance(record, Hi1Record):
                fresh.append(record)
            elif record.mark not in self._marks:
                self._marks.put(record.mark, None)
                fresh.append(record)
        return fresh


class _Outlets:
    """Where the service's records go: a folder for each outlet."""

    def __init__(self, begun: trace.DfBegun, out: Path, outcome: Outcome) -> None:
        self.signs = False
        self._signatures: dict[bytes, bytes] = {}
        self._integrity = begun.integrity
        self._out = out
        self._outcome = outcome
        self._all: dict[str, _Outlet] = {}
        self._of: dict[str, _Outlet] = {}

    def order(self, name: str, intercept: Intercept) -> None:
        outlet = self._outlet(name)
        outlet.assembler.intercepts[intercept.liid] = intercept
        self._of[intercept.liid] = outlet

    def close_liid(self, liid: str) -> None:
        self._of.pop(liid, None)

    def commit(self, record: trace.Committed) -> None:
        self._signatures.update(record.signed)
        self._outlet(record.outlet).commit(record)

    def iri(self, records: list[EventRecord], _before: Callable[[], None] | None = None) -> asyncio.Future[list[None]]:
        for record in records:
            outlet = self._all.get(record.outlet) if record.outlet else self._of.get(record.liid)
            if outlet is not None:
                outlet.iri.append(record)
        return _done([])

    def cc(self, records: Sequence[Cc]) -> asyncio.Future[list[bool]]:
        for record in records:
            if record[1].liid in self._of:
                self._of[record[1].liid].cc.append(record)
        return _done([True])

    def close(self) -> None:
        for name, outlet in self._all.items():
            outlet.files.close()
            self._outcome.pdus[name] = outlet.files.pdus
            self._outcome.waiting += len(outlet.iri) + len(outlet.cc)

    def _outlet(self, name: str) -> _Outlet:
        found = self._all.get(name)
        if found is None:
            if not _NAME.fullmatch(name) or len(self._all) >= OUTLETS:
                raise Parted(f"an outlet with a name that is no folder's, or more than {OUTLETS} of them")
            owner_only.make_folder(self._out / name)
            sign = self._sign if self.signs else None
            found = self._all[name] = _Outlet(self._out / name, Assembler((), self._integrity, sign))
        return found

    def _sign(self, octets: bytes) -> bytes:
        """As the live run signed; its key is not needed."""
        signature = self._signatures.pop(hashlib.sha256(octets).digest(), None)
        if signature is None:
            raise Parted("the live run has signed other hashes")
        return signature


def _done(value: list[object]) -> asyncio.Future:  # type: ignore[type-arg]
    future = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


# POI


class PoiReplay:
    """A POI run again: its X2 is compared with what it sent then."""

    def __init__(self, begun: trace.PoiBegun, records: _Records) -> None:
        self.outcome = Outcome("poi")
        self.records = records
        self.x2_file: Callable[[bytes], object] = len
        self._clock = _Clock(records)
        self._made: deque[bytes] = deque()
        core = PointOfInterception(
            _KEY,
            begun.correlation_key,
            limits=PoiLimits(max_age=begun.max_age),
            sdes=begun.sdes,
            home=Home(begun.domains, begun.numbers),
        )
        self._service = PoiService(core, Encoder(Node(begun.nfid, begun.ipid)), self, clock=self._clock)

    def put(self, pdus: Iterable[bytes]) -> object:
        """What the service sends."""
        for each in pdus:
            self._made.append(each)
            self.outcome.x2[each] += 1
            self.x2_file(each)
        return None

    async def take(self, record: Record) -> None:
        """One input, and all that comes of it."""
        service = self._service
        match record:
            case trace.Seen():
                service.take(record.seen)
            case trace.Armed():
                try:
                    service.arm(record.task)
                except ValueError:
                    return  # the live run refused it too
            case trace.WentOn():
                service.go_on(record.xid)
            case trace.Disarmed():
                service.disarm(record.xid, record.at)
            case trace.Recalled():
                service.take_back(record.messages)
            case trace.Woken():
                self._clock.wake()
            case trace.Sent():
                self._compare(record.octets)
            case trace.Full():
                self.outcome.errors.append("the trace was full: what came after it is missing")
            case _:
                raise Parted(f"{type(record).__name__} is no input of a POI, or none that it has here")
        if self._clock.is_lost:
            raise Parted("the service asks for the time where it did not in the live run, or the trace ends there")

    def _compare(self, octets: list[bytes]) -> None:
        for each in octets:
            if not self._made or self._made.popleft() != each:
                raise Parted("the POI makes other X2 than it made in the live run")

    async def close(self) -> None:
        self.outcome.waiting = len(self._made)
