"""X3 PDUs of running streams, read at speed: what is the same in all PDUs of a stream is parsed once."""

from __future__ import annotations

from collections.abc import Container, Iterable
from struct import Struct as Layout
from typing import Final, NamedTuple

from imswire.x2x3.numbers import HEADER_LENGTH, AttributeType
from imswire.x2x3.pdu import MAJORS, Pdu, parse

MAX_LAYOUTS: Final = 256  # lengths of headers; then they are learned anew
MAX_STREAMS: Final = 4_096  # of one layout: 1 500 two-way calls have 3 000
_SECOND: Final = 1_000_000_000
_SIZE = Layout("!I").unpack_from
_NUMBER = Layout("!I").unpack_from
_TIME = Layout("!II").unpack_from
_ATTRIBUTE = Layout("!HH").unpack_from
_WIDTHS: Final = {AttributeType.SEQUENCE_NUMBER: 4, AttributeType.TIMESTAMP: 8}
_IN_ORDER: Final = tuple(_WIDTHS.items())


class Packet(NamedTuple):
    """What one PDU carries. ``stream`` is the first PDU of this form, without its payload, for all that they have
    in common; ``sequence`` and ``time`` (nanoseconds since 1970) are None where the PDU has none.
    """

    stream: Pdu
    sequence: int | None
    time: int | None
    payload: bytes


class _LayoutOfHeader:
    """Where number and time stand in headers of one length, and the streams that have them there."""

    __slots__ = ("number", "streams", "time")

    def __init__(self, number: int, time: int) -> None:
        self.number = number
        self.time = time
        self.streams: dict[bytes, Pdu] = {}


class PacketReader:
    """Reads PDUs of any kind; those of a form that was met before cost little.

    It gives what :func:`imswire.x2x3.parse` gives, for whole PDUs of a :class:`~imswire.x2x3.Splitter`.
    """

    __slots__ = ("_layouts", "_majors")

    def __init__(self, majors: Container[int] = MAJORS) -> None:
        self._majors = majors
        self._layouts: dict[int, _LayoutOfHeader] = {}

    def packet(self, octets: bytes) -> Packet:
        """The content of one PDU; X2X3Error as from ``parse``."""
        if len(octets) < HEADER_LENGTH:
            parse(octets, self._majors)  # says what is wrong
        (header,) = _SIZE(octets, 4)
        layout = self._layouts.get(header)
        if layout is not None and _SIZE(octets, 8)[0] == len(octets) - header:
            number, time = layout.number, layout.time
            stream = layout.streams.get(
                octets[:8] + octets[12:number] + octets[number + 4 : time] + octets[time + 8 : header]
            )
            if stream is not None:
                (sequence,) = _NUMBER(octets, number)
                seconds, ns = _TIME(octets, time)
                if ns < _SECOND:
                    return Packet(stream, sequence, seconds * _SECOND + ns, octets[header:])
        return self._learn(octets, header)

    def packets(self, pdus: Iterable[bytes]) -> list[Packet]:
        """The same for many; X2X3Error at the first that is none."""
        packet = self.packet
        return [packet(octets) for octets in pdus]

    def _learn(self, octets: bytes, header: int) -> Packet:
        pdu = parse(octets, self._majors)
        stream = Pdu(pdu.kind, pdu.format, pdu.direction, pdu.xid, pdu.correlation, pdu.attributes, version=pdu.version)
        places = _places(octets, header)
        if places is not None:
            layout = self._layouts.get(header)
            if layout is None or (layout.number, layout.time) != places:
                if len(self._layouts) >= MAX_LAYOUTS:
                    self._layouts.clear()
                layout = self._layouts[header] = _LayoutOfHeader(*places)
            if len(layout.streams) >= MAX_STREAMS:
                layout.streams.clear()
            number, time = places
            key = octets[:8] + octets[12:number] + octets[number + 4 : time] + octets[time + 8 : header]
            layout.streams[key] = stream
        return Packet(stream, pdu.sequence, pdu.time, pdu.payload)


def _places(octets: bytes, header: int) -> tuple[int, int] | None:
    """Offsets of sequence number and timestamp where they stand once, in this order, and as long as they should be."""
    found: list[tuple[int, int]] = []
    places: list[int] = []
    at = HEADER_LENGTH
    while at < header:
        type_, length = _ATTRIBUTE(octets, at)
        if type_ in _WIDTHS:
            found.append((type_, length))
            places.append(at + 4)
        at += 4 + length
    return (places[0], places[1]) if tuple(found) == _IN_ORDER else None
