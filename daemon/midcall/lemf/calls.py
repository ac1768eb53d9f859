"""Communications as the receiving end sees them, for the view and for the files of their media."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imswire import hi
from midcall.lemf.content import SECOND, StreamKey

MAX_STREAMS = 64
MAX_DESCRIBED = 1 << 16
"""Octets of the descriptions of all streams of a call."""
_STATES = {
    hi.IriType.BEGIN: "begun",
    hi.IriType.CONTINUE: "running",
    hi.IriType.END: "ended",
    hi.IriType.REPORT: "reported",
}

_ENDS = ("SIP 200 (BYE)", "SIP 481 (BYE)", "SIP 408 (BYE)")
"""What ends a call where all records are REPORTs."""


class MediaStream:
    """One stream of packets; the shell hangs what it writes them with on ``sink``."""

    __slots__ = ("call", "key", "number", "sink")

    def __init__(self, call: Call, key: StreamKey, number: int) -> None:
        self.call = call
        self.key = key
        self.number = number
        self.sink: object | None = None


Packet = tuple[int, int, MediaStream, bytes]
"""Wall seconds, microseconds, stream, octets."""


class Packets:
    """Packets of a call in their order; all ``fields`` in one list, since a tuple each would cost more than they do."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: list[Any] = []

    @property
    def streams(self) -> list[MediaStream]:
        return self.fields[2::4]

    @property
    def octets(self) -> list[bytes]:
        return self.fields[3::4]

    def time(self, place: int) -> int:
        """In wall ns; ``place`` may be -1."""
        return int(self.fields[4 * place] * SECOND + self.fields[4 * place + 1] * 1_000)

    def halves(self) -> tuple[Packets, Packets]:
        """The first ones and the last ones."""
        middle = len(self) // 2 * 4
        first, last = Packets(), Packets()
        first.fields, last.fields = self.fields[:middle], self.fields[middle:]
        return first, last

    def __len__(self) -> int:
        return len(self.fields) // 4

    def __iter__(self) -> Iterator[tuple[int, MediaStream, bytes]]:
        """Time (wall ns), stream, octets."""
        fields = iter(self.fields)
        for second, micro, stream, packet in zip(fields, fields, fields, fields, strict=True):
            yield second * SECOND + micro * 1_000, stream, packet


class Call:
    """One (LIID, operator, element, CIN). Times are those of the records (wall ns, 0: none yet)."""

    __slots__ = (
        "cin", "codecs", "element", "event", "first", "keys", "last", "liid", "number", "operator", "packets",
        "records", "state", "streams", "unnamed",
    )  # fmt: skip

    def __init__(self, liid: bytes, operator: bytes, element: bytes | None, cin: int, number: int) -> None:
        self.liid = liid
        self.operator = operator
        self.element = element
        self.cin = cin
        self.number = number
        self.state = ""
        self.event = ""
        self.codecs: set[str] = set()
        self.keys = False
        self.packets = self.records = 0
        self.first = self.last = 0
        self.unnamed = 0
        self.streams: dict[StreamKey, MediaStream] = {}

    @property
    def seconds(self) -> float:
        return (self.last - self.first) / 1e9

    def stream(self, key: StreamKey) -> MediaStream | None:
        """The stream of that key; None when there are too many."""
        found = self.streams.get(key)
        if found is None:
            described = sum(len(each.description or b"") for each in (*self.streams, key))
            if len(self.streams) >= MAX_STREAMS or described > MAX_DESCRIBED:
                self.unnamed += 1
                return None
            found = self.streams[key] = MediaStream(self, key, len(self.streams))
        return found

    def content(self, packets: int, first: int, last: int) -> None:
        self.packets += packets
        self._seen(first)
        self._seen(last)
        if self.state in ("", "begun", "reported"):
            self.state = "running"

    def iri(self, kind: int | None, time: int, event: str, keys: bool) -> None:
        self.records += 1
        self._seen(time)
        self.event = event
        self.keys = self.keys or keys
        state = _STATES.get(hi.IriType(kind)) if kind in _STATES else None
        if state == "reported" and event in _ENDS:
            state = "ended"
        elif state == "reported" and self.state:
            return  # other reports say nothing of the state of a call
        self.state = state or self.state

    def _seen(self, time: int) -> None:
        if time:
            self.first = min(self.first or time, time)
            self.last = max(self.last, time)
