"""Writes down what POI and DF are given, around them: they and their cores know nothing of it. Laboratories only.

Each input is written before the service has it; what the service then asks the clock, and what it gives, stand behind.
``DfInputs`` and ``PoiInputs`` pass everything on and write nothing, their children do.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path

from imswire import x2x3
from midcall import __version__
from midcall.base.frame import Frame, RoleError
from midcall.base.x2_link import Batch
from midcall.config import DfConfig, PoiConfig
from midcall.df2 import Agency
from midcall.events import Instant, Intercept, KeyAnswer, KeyQuery, SipSeen, TapPacket, Task
from midcall.handover.assembler import Sign
from midcall.handover.shell.writer import Written
from midcall.live import trace
from midcall.live.clock import Alarm, Clock, LoopClock
from midcall.live.df_world import KeySource
from midcall.live.poi import Journal, X2Out
from midcall.live.trace import TraceWriter
from midcall.poi.dialog import Call

# What a spool may have in it when a recording begins: the number that no earlier run has given.
_EMPTY = {"cins"}


class RecordedClock:
    """A clock that writes down what it says, and when it wakes."""

    def __init__(self, into: TraceWriter, clock: Clock) -> None:
        self._trace = into
        self._clock = clock

    def now(self) -> Instant:
        at = self._clock.now()
        self._trace.write(trace.Told(at))
        return at

    def at_wall(self, due: int, call: Callable[[], None]) -> Alarm:
        return self._clock.at_wall(due, self._woken(call))

    def at_mono(self, due: int, call: Callable[[], None]) -> Alarm:
        return self._clock.at_mono(due, self._woken(call))

    def _woken(self, call: Callable[[], None]) -> Callable[[], None]:
        def woken() -> None:
            self._trace.write(trace.Woken())
            call()

        return woken


# DF


class DfInputs:
    """What a DF is given, not written down. Its spools are watched (:class:`midcall.live.outlets.Watch`)."""

    clock: Clock

    def __init__(self) -> None:
        self.clock = LoopClock()

    def keys(self, source: KeySource) -> KeySource:
        return source

    def ordered(self, outlet: str, intercept: Intercept, agency: Agency, targets: tuple[str, ...]) -> None:
        """Before the service has it."""

    def ended(self, xid: str, at: Instant, *, changed: bool = False) -> None:
        """Before the service has it."""

    def x2(self, take: Callable[[Batch], Awaitable[None]]) -> Callable[[Batch], Awaitable[None]]:
        return take

    def media(self, take: Callable[[list[TapPacket]], None]) -> Callable[[list[TapPacket]], None]:
        return take

    def sign(self, sign: Sign | None) -> Sign | None:
        return sign

    def written(self, outlet: str, commit: Written) -> None:
        pass

    def closed(self, liid: str) -> None:
        pass

    def close(self) -> None:
        pass


class RecordedDf(DfInputs):
    """The same, into a trace."""

    def __init__(self, into: TraceWriter, clock: Clock | None = None) -> None:
        self._trace = into
        self._signed: deque[tuple[bytes, bytes]] = deque()
        self.clock = RecordedClock(into, clock or LoopClock())

    def keys(self, source: KeySource) -> KeySource:
        return _RecordedKeys(self._trace, source)

    def ordered(self, outlet: str, intercept: Intercept, agency: Agency, targets: tuple[str, ...]) -> None:
        self._trace.write(trace.Ordered(outlet, intercept, agency, targets))

    def ended(self, xid: str, at: Instant, *, changed: bool = False) -> None:
        self._trace.write(trace.Ended(xid, at, changed))

    def x2(self, take: Callable[[Batch], Awaitable[None]]) -> Callable[[Batch], Awaitable[None]]:
        async def taken(batch: Batch) -> None:
            self._trace.write(_taken(batch))
            await take(batch)

        return taken

    def media(self, take: Callable[[list[TapPacket]], None]) -> Callable[[list[TapPacket]], None]:
        def taken(packets: list[TapPacket]) -> None:
            if packets:
                self._trace.write(trace.Media([_tapped(each) for each in packets]))
            take(packets)

        return taken

    def sign(self, sign: Sign | None) -> Sign | None:
        if sign is None:
            return None
        self._trace.write(trace.Signs())

        def signed(octets: bytes) -> bytes:
            # In the thread of a writer, before its commit is told of in the loop's.
            signature = sign(octets)
            self._signed.append((hashlib.sha256(octets).digest(), signature))
            return signature

        return signed

    def written(self, outlet: str, commit: Written) -> None:
        signed = [self._signed.popleft() for _ in range(len(self._signed))]
        self._trace.write(trace.Committed(outlet, commit.at, commit.iri, commit.cc, commit.ended, commit.whole, signed))

    def closed(self, liid: str) -> None:
        self._trace.write(trace.Closed(liid))

    def close(self) -> None:
        self._trace.close()


class _RecordedKeys:
    """What a KMS answers."""

    def __init__(self, into: TraceWriter, source: KeySource) -> None:
        self._trace = into
        self._source = source

    async def keys(self, query: KeyQuery, warrant: bytes | None) -> KeyAnswer:
        answer = await self._source.keys(query, warrant)
        self._trace.write(trace.Answered(answer))
        return answer


def _taken(batch: Batch) -> trace.Taken:
    """X3 without what is the same in every packet of a stream."""
    streams: dict[int, int] = {}
    heads: list[bytes] = []
    packets = []
    for packet in batch.packets:
        place = streams.get(id(packet.stream))
        if place is None:
            place = streams[id(packet.stream)] = len(heads)
            heads.append(x2x3.build(packet.stream))
        packets.append((place, packet.sequence, packet.time, packet.payload))
    return trace.Taken(batch.peer, batch.octets, heads, packets)


def _tapped(packet: TapPacket) -> trace.Tapped:
    time, place, source, payload = packet
    sport, dport = int.from_bytes(source[-2:], "big"), int.from_bytes(place[-2:], "big")
    return trace.Tapped(time, place, source[:-2], sport, place[:-2], dport, payload)


def df_inputs(frame: Frame, config: DfConfig, first_cin: int) -> DfInputs:
    """With a recording, where one is wanted. RoleError: it cannot begin."""
    if frame.record is None:
        return DfInputs()
    spool = Path(config.spool)
    if {each.name for each in spool.iterdir()} - _EMPTY:
        raise RoleError(f"--record: {spool} holds something of a former run; a recording begins with an empty spool")
    begun = trace.DfBegun(__version__, first_cin, config.integrity, config.x2.foreign)
    return RecordedDf(_begin(frame, frame.record, begun))


# POI


class PoiInputs:
    """What a POI is given, not written down."""

    clock: Clock

    def __init__(self) -> None:
        self.clock = LoopClock()

    def sip(self, take: Callable[[SipSeen], None]) -> Callable[[SipSeen], None]:
        return take

    def armed(self, task: Task) -> None:
        """Before the service has it."""

    def goes_on(self, xid: str) -> None:
        """Before the service does."""

    def disarmed(self, xid: str, at: Instant | None = None) -> None:
        """Before the service has it."""

    def journal(self, journal: Journal) -> Journal:
        return journal

    def client(self, client: X2Out) -> X2Out:
        return client

    def close(self) -> None:
        pass


class RecordedPoi(PoiInputs):
    """The same, into a trace, with what comes of it."""

    def __init__(self, into: TraceWriter, clock: Clock | None = None) -> None:
        self._trace = into
        self.clock = RecordedClock(into, clock or LoopClock())

    def sip(self, take: Callable[[SipSeen], None]) -> Callable[[SipSeen], None]:
        def taken(seen: SipSeen) -> None:
            self._trace.write(trace.Seen(seen))
            take(seen)

        return taken

    def armed(self, task: Task) -> None:
        self._trace.write(trace.Armed(task))

    def goes_on(self, xid: str) -> None:
        self._trace.write(trace.WentOn(xid))

    def disarmed(self, xid: str, at: Instant | None = None) -> None:
        self._trace.write(trace.Disarmed(xid, at))

    def journal(self, journal: Journal) -> Journal:
        return _RecordedJournal(self._trace, journal)

    def client(self, client: X2Out) -> X2Out:
        return _RecordedClient(self._trace, client)

    def close(self) -> None:
        self._trace.close()


class _RecordedJournal:
    """What a former run has kept, as it is taken in."""

    def __init__(self, into: TraceWriter, journal: Journal) -> None:
        self._trace = into
        self._journal = journal

    def calls(self, now: Instant) -> Iterator[tuple[int, list[SipSeen]]]:
        for number, messages in self._journal.calls(now):
            self._trace.write(trace.Recalled(messages))
            yield number, messages

    def adopt(self, number: int, call: Call | None, messages: Iterable[SipSeen] = ()) -> None:
        self._journal.adopt(number, call, messages)

    def flush(self) -> None:
        self._journal.flush()

    async def save(self) -> None:
        await self._journal.save()

    def rotate(self, groups: int = 1) -> tuple[int, ...]:
        return self._journal.rotate(groups)

    @property
    def rotating(self) -> bool:
        return self._journal.rotating


class _RecordedClient:
    """What goes out by X2."""

    def __init__(self, into: TraceWriter, client: X2Out) -> None:
        self._trace = into
        self._client = client

    def put(self, pdus: Iterable[bytes]) -> object:
        octets = list(pdus)
        self._trace.write(trace.Sent(octets))
        return self._client.put(octets)


def poi_inputs(frame: Frame, config: PoiConfig, correlation_key: bytes, max_age: int | None) -> PoiInputs:
    """With a recording, where one is wanted. RoleError: it cannot begin."""
    if frame.record is None:
        return PoiInputs()
    begun = trace.PoiBegun(
        __version__,
        config.nfid,
        config.ipid,
        correlation_key,
        max_age,
        config.keep_sdes,
        config.home.domains,
        config.home.numbers,
    )
    return RecordedPoi(_begin(frame, frame.record, begun))


def _begin(frame: Frame, path: Path, begun: trace.Begun) -> TraceWriter:
    try:
        into = TraceWriter(path, begun, lambda why: frame.log.error("--record: %s", why))
    except OSError as error:
        raise RoleError(f"--record: {path}: {error.strerror or error}") from None
    frame.log.warning("--record: SIP, session keys and media are written down: for laboratories")
    return into
