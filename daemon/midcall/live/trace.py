"""A trace: what one role was given in a live run, in its order, with the time on both clocks; laboratories only.

It holds what the role held: SIP, session keys, media. A file begins with :data:`MAGIC`; then come records, each a head
(octets of its body, CRC-32 of the rest of the head and of the body, wall and monotonic ns) and a body in msgpack.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
from msgspec import Struct

from imswire.srtp import MasterKey
from midcall.base import owner_only
from midcall.config import Integrity
from midcall.df2 import Agency
from midcall.events import Instant, Intercept, KeyAnswer, SipSeen, Task
from midcall.live.clock import now

MAGIC: Final = b"midcall trace 1\n"
MAX_OCTETS: Final = 8 << 30
"""Of a file: some days of one call, or an hour of a hundred. A recording ends there; the service goes on."""
MAX_RECORD: Final = 64 << 20
"""Of a body: far more than a tap or a connection gives at once."""
_SIZES = struct.Struct(">II")
_TIMES = struct.Struct(">qq")
HEAD: Final = _SIZES.size + _TIMES.size


class TraceError(Exception):
    """What is wrong with a trace, and where (octet of the file)."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(f"octet {at}: {reason}")
        self.at = at
        self.reason = reason


class DfBegun(Struct, frozen=True, tag="df", array_like=True):
    """A mediation function begins, with nothing of a former run. ``foreign``: peers whose POIs are not ours."""

    version: str
    first_cin: int
    integrity: Integrity
    foreign: tuple[str, ...] = ()


class PoiBegun(Struct, frozen=True, tag="poi", array_like=True):
    """A point of interception begins. ``max_age``: of ticket exchanges, ns; ``sdes``: whether their keys are kept."""

    version: str
    nfid: str
    ipid: str
    correlation_key: bytes
    max_age: int | None
    sdes: bool
    domains: tuple[str, ...]
    numbers: tuple[str, ...]


class Told(Struct, frozen=True, tag="clock", array_like=True):
    """What the clock said when the service asked for the time, because of the input before."""

    at: Instant


class Woken(Struct, frozen=True, tag="due", array_like=True):
    """The alarm that the service had set."""


class Ordered(Struct, frozen=True, tag="order", array_like=True):
    """DF: a task from X1; ``outlet`` is the name of where its product goes, ``targets`` whom it is for."""

    outlet: str
    intercept: Intercept
    agency: Agency
    targets: tuple[str, ...] | None = None


class Ended(Struct, frozen=True, tag="end", array_like=True):
    """DF: a task is over; ``changed``: it is about to be ordered otherwise."""

    xid: str
    at: Instant
    changed: bool = False


class Taken(Struct, frozen=True, tag="x2", array_like=True):
    """DF: what one connection of a POI brought. X2 PDUs as octets; of X3 the PDUs that streams have in common, and of
    each packet the place among these, number, time, payload.
    """

    peer: str
    octets: list[bytes]
    streams: list[bytes] = []
    packets: list[tuple[int, int | None, int | None, bytes]] = []


class Answered(Struct, frozen=True, tag="keys", array_like=True):
    """DF: what the KMS answered, session keys included."""

    answer: KeyAnswer

    def __repr__(self) -> str:
        return f"Answered({self.answer.query}, <redacted>)"


class Tapped(NamedTuple):
    """A datagram of a tap: wall ns, place, addresses and ports, payload."""

    time: int
    place: bytes
    src: bytes
    sport: int
    dst: bytes
    dport: int
    payload: bytes


class Media(Struct, frozen=True, tag="media", array_like=True):
    """DF: what a tap brought."""

    packets: list[Tapped]


class Signs(Struct, frozen=True, tag="signs", array_like=True):
    """DF: hashes of what is handed over are signed. The key is in no trace, signatures stand with the commits."""


class Committed(Struct, frozen=True, tag="written", array_like=True):
    """DF: one commit of an outlet: when (wall ns), how many of the records that it was given next, whose closing
    checks behind them; ``whole`` False: its disk did not take everything. ``signed``: SHA-256 of what was signed since
    the last commit of any, and the signatures.
    """

    outlet: str
    at: int
    iri: int
    cc: int
    ended: tuple[str, ...]
    whole: bool
    signed: list[tuple[bytes, bytes]] = []


class Closed(Struct, frozen=True, tag="closed", array_like=True):
    """DF: from here on nothing goes out under an LIID."""

    liid: str


class Seen(Struct, frozen=True, tag="sip", array_like=True):
    """POI: a copy of a SIP message."""

    seen: SipSeen


class Armed(Struct, frozen=True, tag="arm", array_like=True):
    """POI: a task from X1."""

    task: Task


class WentOn(Struct, frozen=True, tag="on", array_like=True):
    """POI: more of the calls that ran before a task are reported."""

    xid: str


class Disarmed(Struct, frozen=True, tag="disarm", array_like=True):
    """POI: a task is over; ``at`` None: when the service asked the clock."""

    xid: str
    at: Instant | None


class Recalled(Struct, frozen=True, tag="recall", array_like=True):
    """POI: what a former run has kept of one call."""

    messages: list[SipSeen]


class Sent(Struct, frozen=True, tag="sent", array_like=True):
    """POI: the X2 PDUs that came of the input before, to be compared."""

    octets: list[bytes]


class Full(Struct, frozen=True, tag="full", array_like=True):
    """The trace has reached its bound: what came after is not in it."""


Begun = DfBegun | PoiBegun
Record = (
    DfBegun
    | PoiBegun
    | Told
    | Woken
    | Ordered
    | Ended
    | Taken
    | Answered
    | Media
    | Signs
    | Committed
    | Closed
    | Seen
    | Armed
    | WentOn
    | Disarmed
    | Recalled
    | Sent
    | Full
)


class TraceWriter:
    """A new file at ``path``, of its owner alone; what stood there is gone. OSError.

    Neither a full disk nor the bound disturbs the service: the trace ends there, and ``stopped`` is told why, once.
    """

    def __init__(
        self,
        path: Path,
        begun: Begun,
        stopped: Callable[[str], None] = lambda _: None,
        most: int = MAX_OCTETS,
        clock: Callable[[], Instant] = now,
    ) -> None:
        owner_only.make_folder(path.absolute().parent)
        self._file: BinaryIO | None = owner_only.create(path)
        self._stopped = stopped
        self._clock = clock
        self._left = most - self._file.write(MAGIC)
        self._end = _framed(Full(), self._clock())
        self.write(begun)

    def write(self, record: Record) -> None:
        """A record, which is with the system when this returns: a crash of the service takes nothing of it."""
        if self._file is None:
            return
        octets = _framed(record, self._clock())
        reason = ""
        if len(octets) > min(self._left - len(self._end), MAX_RECORD):
            octets, reason = self._end, "it has reached its bound"
        try:
            self._file.write(octets)
            self._file.flush()
        except OSError as error:
            reason = error.strerror or type(error).__name__
        self._left -= len(octets)
        if reason:
            self.close()
            self._stopped(f"the recording ends here: {reason}")

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                return  # a disk that is full: what there was room for stands


def is_trace(path: Path) -> bool:
    """Whether a file is a trace, of this version or another; what is no file is none."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)).startswith(MAGIC[:-2])
    except OSError:
        return False


class TraceReader:
    """Reads a trace; its first record, ``begun``, says whose. OSError. TraceError: it is none, or has not even that."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = self._record_at = 0
        self.time = Instant(0, 0)
        """Of the record that was read last: when it was written, on both clocks."""
        if file.read(len(MAGIC)) != MAGIC:
            raise TraceError(0, f"not {MAGIC.decode().strip()!r}: no trace, or one of another version")
        self._at = len(MAGIC)
        first = next(self._records(), None)
        if first is None or not isinstance(first, DfBegun | PoiBegun):
            raise TraceError(len(MAGIC), "the record that says whose trace this is is missing")
        self.begun: Begun = first
        self.count = 1
        """Of records that were read."""

    @property
    def at(self) -> int:
        """Where the record that was read last begins."""
        return self._record_at

    def __iter__(self) -> Iterator[Record]:
        """The records behind the first. TraceError: the file is cut or damaged where the next one should be."""
        for record in self._records():
            if isinstance(record, DfBegun | PoiBegun):
                raise TraceError(self.at, "another trace begins here")
            self.count += 1
            yield record

    def _records(self) -> Iterator[Record]:
        while True:
            self._record_at = self._at
            head = self._read(HEAD)
            if not head:
                return
            if len(head) < HEAD:
                raise TraceError(self.at, "the trace is cut in the head of a record")
            size, check = _SIZES.unpack_from(head)
            if size > MAX_RECORD:
                raise TraceError(self.at, f"the trace is damaged: a record of {size} octets")
            body = self._read(size)
            if len(body) < size:
                raise TraceError(self.at, f"the trace is cut: {len(body)} of the {size} octets of a record")
            if zlib.crc32(body, zlib.crc32(head[_SIZES.size :])) != check:
                raise TraceError(self.at, "the trace is damaged: a record has not the CRC that it says")
            self.time = Instant(*_TIMES.unpack_from(head, _SIZES.size))
            try:
                yield _decoder.decode(body)
            except (msgspec.MsgspecError, ValueError):
                raise TraceError(self.at, "a record that this version does not read") from None

    def _read(self, size: int) -> bytes:
        octets = self._file.read(size)
        self._at += len(octets)
        return octets


def _framed(record: Record, at: Instant) -> bytes:
    body = _encoder.encode(record)
    rest = _TIMES.pack(at.wall, at.mono) + body
    return _SIZES.pack(len(body), zlib.crc32(rest)) + rest


def _encode(value: Any) -> Any:
    if isinstance(value, MasterKey):
        return value.key, value.salt, value.mki
    raise NotImplementedError(type(value).__name__)


def _decode(kind: type, value: Any) -> Any:
    if kind is not MasterKey:
        raise NotImplementedError(kind.__name__)
    return MasterKey(*msgspec.convert(value, tuple[bytes, bytes, bytes]))


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode)
_decoder = msgspec.msgpack.Decoder(Record, dec_hook=_decode)
