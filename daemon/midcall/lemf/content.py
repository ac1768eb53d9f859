"""Where in a content record the packet stands, and the same for the next records of its stream at speed.

Records of one stream differ in sequence number, time and packet only. A ``Layout`` holds all the rest as octets to
compare with: what fits it was validated when the first record of its kind was parsed in full. Everything else
goes the long way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple

from imswire import ber, hi
from imswire.ber import BerError, Tlv
from midcall.lemf import quick

SECOND = 1_000_000_000
_IPMM, _VOIP, _TS33128 = hi.CcContents.IPMM, hi.CcContents.VOIP_CC_PDU, hi.CcContents.TS33128
_VOIP_DIRECTIONS = {1: hi.Direction.FROM_TARGET, 2: hi.Direction.TO_TARGET}
_IMS_CC_PDU = 6
_TIME, _HEADER_TAG = 7, 0xA1
_WIDTHS = {1: "B", 2: "H", 3: "I", 4: "I"}
# A number of three octets is read with the length octet before it.
_LENGTH_3 = 3 << 24
_MICROSECONDS = 1_000_000


class StreamKey(NamedTuple):
    """What tells the streams of a communication apart, and how their packets are to be read."""

    direction: int | None
    form: int  # a CcContents
    frame: int  # a FrameType
    protocol: int  # a MmccProtocol
    description: bytes | None  # streamIdentifier, copyOfSDPdescription or sDPInfo


class Place(NamedTuple):
    start: int
    end: int


class Content(NamedTuple):
    """One CC: its stream, the packet, and the places of what changes from record to record."""

    stream: StreamKey
    packet: Place
    number: Place | None  # sequence-number of a Voip-CC-PDU


class Layout:
    """The form of the records of one length and one width of numbers of a context.

    ``streams`` are those known in this form by the octets that are theirs. ``read`` gives: head, number, octets,
    seconds, octets, microseconds, octets, (number of a Voip-CC-PDU, octets,) packet, octets; ``fields`` are these for
    ``struct``. ``form`` is all that layouts of the same columns have in common. A value is what was read less its
    base, and at most its most: behind that its sign bit is set, it is negative, or out of its range.
    """

    __slots__ = (
        "before_micro", "before_second", "fields", "form", "head", "micro_base", "micro_most", "number_base",
        "number_most", "read", "second_most", "streams", "voip_base", "voip_most",
    )  # fmt: skip

    def __init__(self, octets: bytes, places: list[Place], voip: bool) -> None:
        fields: list[str] = []
        bases, position = [], 0
        for place in places[:-1]:
            width = place.end - place.start
            start = place.start - (width == 3)
            fields += f"{start - position}s", _WIDTHS[width]
            bases.append(_LENGTH_3 if width == 3 else 0)
            position = place.end
        packet = places[-1]
        sizes = packet.start - position, packet.end - packet.start, len(octets) - packet.end
        self.fields = (*fields, *(f"{size}s" for size in sizes))
        self.read = _reader(">" + "".join(self.fields))
        self.number_base, second_base, self.micro_base = bases[:3]
        self.voip_base = bases[3] if voip else -1
        most = [_most(octets, place) for place in places[:-1]]
        self.number_most, self.second_most, self.micro_most = most[0], most[1], min(most[2], _MICROSECONDS - 1)
        self.voip_most = most[3] if voip else -1
        pieces = self.read(octets, 0)
        self.head, self.before_second, self.before_micro = pieces[0], pieces[2], pieces[4]
        self.form = (self.read, self.before_second, self.before_micro, *bases, *most)
        if second_base:
            raise ValueError("seconds of three octets: before 1971")
        self.streams: dict[bytes, Any] = {}

    def like(self, other: Layout) -> bool:
        """Whether records of the other one fit this one too, but for their stream."""
        mine = (self.read, self.head, self.before_second, self.before_micro, self.voip_base)
        return mine == (other.read, other.head, other.before_second, other.before_micro, other.voip_base)

    def tail(self, pieces: tuple[Any, ...]) -> bytes:
        """The octets that a stream is known by."""
        tail: bytes = pieces[6] + pieces[8] if self.voip_base < 0 else pieces[6] + pieces[8] + pieces[10]
        return tail


class Form(NamedTuple):
    """What stands behind the time stamp in records of one length: where the packet is, whose the rest is.

    It is the same whatever the widths of number and time; ``header`` is how much of it belongs to the header.
    """

    header: int
    packet: Place
    streams: dict[bytes, Any]


def form(octets: bytes, found: Content) -> tuple[int, Form] | None:
    """The length of what is behind the time stamp, and its form."""
    try:
        header = ber.elements(octets, ber.only(octets))[0]
        time = next(each for each in ber.elements(octets, header) if each.number == _TIME)
    except (BerError, StopIteration):
        return None
    at = time.after
    place = Place(found.packet.start - at, found.packet.end - at)
    return len(octets) - at, Form(header.end - at, place, {})


def familiar(octets: bytes, start: int, at: int, forms: dict[int, Form]) -> tuple[Layout, Any] | None:
    """The layout of a record of a known form whose numbers have other widths, and its stream.

    ``start`` is where its header begins, ``at`` is behind the communicationIdentifier.
    """
    numbers = quick.header_numbers(octets, at)
    if numbers is None:
        return None
    number, second, micro, tail = numbers
    known = forms.get(len(octets) - tail)
    if known is None or octets[start] != _HEADER_TAG or start + 2 + octets[start + 1] != tail + known.header:
        return None
    packet = Place(tail + known.packet.start, tail + known.packet.end)
    stream = known.streams.get(octets[tail : packet.start] + octets[packet.end :])
    if stream is None or len(octets) - start < (0, 0, 0, 0x80, 0x100)[start]:
        return None
    try:
        return Layout(octets, [_bare(Place(*number)), Place(*second), Place(*micro), packet], False), stream
    except (KeyError, ValueError):
        return None


def _most(octets: bytes, place: Place) -> int:
    """The greatest number that is not negative in so many octets; without its leading zero it has a bit more."""
    width = place.end - place.start
    return (1 << 32) - 1 if width == 4 and octets[place.start - 1] == 0 else (1 << 8 * width - 1) - 1


def _bare(place: Place) -> Place:
    """Without the leading zero of a number from 2^31 on."""
    return Place(place.start + 1, place.end) if place.end - place.start == 5 else place


@lru_cache(4_096)
def _reader(form: str) -> Any:
    return Struct(form).unpack_from


def content(octets: bytes) -> Content | None:
    """The only CC of a CC PS-PDU; None when it has several, or is of a kind that carries no packet."""
    try:
        payload = _path(octets, ber.only(octets), 2, hi.PayloadTag.CC)
        if payload is None:
            return None
        (record,) = ber.elements(octets, payload)
        members = {member.number: member for member in ber.elements(octets, record)}
        direction = ber.integer(octets, members[0]) if 0 in members else None
        (choice,) = ber.elements(octets, members[2])
        return _READERS[choice.number](octets, choice, direction) if choice.number in _READERS else None
    except (BerError, KeyError, ValueError):
        return None


def layout(octets: bytes, found: Content) -> Layout | None:
    """The layout that a record has given; None for forms that no deliverer repeats at speed."""
    try:
        header, payload = ber.elements(octets, ber.only(octets))
        members = {member.number: member for member in ber.elements(octets, header)}
        second, micro = ber.elements(octets, members[7])
        numbers = [Place(each.start, each.end) for each in (members[4], second, micro)]
        record = ber.elements(octets, ber.elements(octets, payload)[0])[0]
        if {member.number for member in ber.elements(octets, record)} - {0, 2}:
            return None  # times of its own
        if found.number is not None:
            numbers.append(found.number)
        places = [_bare(place) for place in numbers]
        return Layout(octets, [*places, found.packet], found.number is not None)
    except (BerError, KeyError, ValueError):
        return None


def prefix_length(octets: bytes) -> int | None:
    """Octets from behind the header's own length to behind its communicationIdentifier; None: not in usual form."""
    try:
        header = ber.elements(octets, ber.only(octets))[0]
        if header.start - header.at != 2:
            return None
        identifier = next(each for each in ber.elements(octets, header) if each.number == 3)
        return identifier.after - header.start
    except (BerError, StopIteration, IndexError):
        return None


def _ipmm(octets: bytes, choice: Tlv, direction: int | None) -> Content:
    members = {member.number: member for member in ber.elements(octets, choice)}
    frame = ber.integer(octets, members[2]) if 2 in members else hi.FrameType.RTP
    protocol = ber.integer(octets, members[4]) if 4 in members else hi.MmccProtocol.RTP
    described = ber.string(octets, members[3]) if 3 in members else None
    stream = StreamKey(direction, _IPMM, frame, protocol, described)
    return Content(stream, Place(members[1].start, members[1].end), None)


def _voip(octets: bytes, choice: Tlv, direction: int | None) -> Content:
    header, payload = ber.elements(octets, choice)
    members = {member.number: member for member in ber.elements(octets, header)}
    if direction is None:
        direction = _VOIP_DIRECTIONS.get(ber.integer(octets, members[6]))
    described = None
    if 9 in members:
        inside = {member.number: member for member in ber.elements(octets, members[9])}
        described = ber.string(octets, inside[1]) if 1 in inside else None
    stream = StreamKey(direction, _VOIP, hi.FrameType.RTP, hi.MmccProtocol.RTP, described)
    number = Place(members[5].start, members[5].end)
    return Content(stream, Place(payload.start, payload.end), number)


def _ts33128(octets: bytes, choice: Tlv, direction: int | None) -> Content | None:
    inner = ber.read(octets, choice.start, choice.end)
    packet = _path(octets, inner, 2, _IMS_CC_PDU)
    if packet is None:
        return None
    members = {member.number: member for member in ber.elements(octets, packet)}
    described = ber.string(octets, members[2]) if 2 in members else None
    stream = StreamKey(direction, _TS33128, hi.FrameType.RTP, hi.MmccProtocol.RTP, described)
    return Content(stream, Place(members[1].start, members[1].end), None)


_READERS: dict[int, Callable[[bytes, Tlv, int | None], Content | None]] = {
    _IPMM: _ipmm,
    _VOIP: _voip,
    _TS33128: _ts33128,
}


def _path(octets: bytes, tlv: Tlv, *numbers: int) -> Tlv | None:
    for number in numbers:
        found = [each for each in ber.elements(octets, tlv) if each.number == number and each.klass == ber.CONTEXT]
        if not found:
            return None
        tlv = found[0]
    return tlv
