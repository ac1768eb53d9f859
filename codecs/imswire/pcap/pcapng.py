"""pcapng (draft-ietf-opsawg-pcapng): sections of either byte order, several interfaces, each with its own clock."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from msgspec import Struct as Value

from imswire.pcap.values import CHUNK, MAX_FRAME, Batch, Numbered, PcapError, Read, Record, Sieve, Sifted, up_to

MAGIC = b"\x0a\x0d\x0d\x0a"
MAX_INTERFACES = 1_024
MAX_BLOCK = MAX_FRAME + 256 * 1024
"""A block that is kept whole: a frame and its options. Blocks that nobody reads are passed over, however long."""

_SECTION, _INTERFACE, _OBSOLETE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
_READ = frozenset((_SECTION, _INTERFACE, _OBSOLETE, _SIMPLE, _ENHANCED))
_BYTE_ORDER = 0x1A2B3C4D
_SHORTEST = 12
_SHORTEST_SECTION = 28
_OPTION_END, _OPTION_RESOLUTION, _OPTION_OFFSET = 0, 9, 14
_SECOND = 1_000_000_000
_TIMES = (1 << 32) * _SECOND
"""Classic pcap counts seconds in 32 bits: a later time, or one before 1970, is that of a broken clock."""
_DEFAULT_LINK = 1
_ENHANCED_HEADER = 28
_TRAILER = 4
_SHORTEST_ENHANCED = _ENHANCED_HEADER + _TRAILER
MAX_LAYOUTS = 4_096
"""Heads of packet blocks that are remembered: some lengths, in the hour or the four seconds of one upper clock word."""


class _Interface(Value, frozen=True):
    """An interface of the section: link type, snapshot length, and ns = ticks * multiplier // divisor + offset."""

    link_type: int
    snap: int
    multiplier: int
    divisor: int
    offset: int


class _Clock(Value, frozen=True):
    """Times of packets whose ticks have one upper word: ns = (base + lower word) * multiplier // divisor + offset."""

    base: int
    multiplier: int
    divisor: int
    offset: int

    @classmethod
    def of(cls, interface: _Interface, high: int) -> _Clock:
        return cls(high << 32, interface.multiplier, interface.divisor, interface.offset)

    def time(self, low: int) -> int:
        """ns since 1970."""
        return (self.base + low) * self.multiplier // self.divisor + self.offset

    def lows(self, wake: int) -> tuple[int, int]:
        """From which lower word on a time is one that clocks show, and from which on it is not before ``wake`` (s)."""
        return self._first(0), self._first(min(wake * _SECOND, _TIMES))

    def _first(self, time: int) -> int:
        return -((self.offset - time) * self.divisor // self.multiplier) - self.base


class _Layout(NamedTuple):
    """What enhanced packet blocks with the same head have in common, the head being all before the lower clock word.

    ``trailer`` is how they end, ``most`` the longest frame that fits in.
    """

    link_type: int
    trailer: bytes
    length: int
    most: int
    clock: _Clock


class _Order:
    """Readers of one byte order."""

    def __init__(self, order: str) -> None:
        self.head = Struct(f"{order}II").unpack_from
        self.word = Struct(f"{order}I").unpack_from
        self.half = Struct(f"{order}H").unpack_from
        self.interface = Struct(f"{order}HHI").unpack_from
        self.option = Struct(f"{order}HH").unpack_from
        self.seconds = Struct(f"{order}q").unpack_from
        self.enhanced = Struct(f"{order}IIIIIII").unpack_from
        self.layout = Struct(f"{order}IIII").unpack
        self.joint = Struct(f"{order}4s16sIII").unpack_from
        self.obsolete = Struct(f"{order}HHIIII").unpack_from


_LITTLE, _BIG = _Order("<"), _Order(">")


class NgReader:
    """Reads a capture whose first octets, ``head``, were read already; ``read`` gives the rest.

    The first section and interface are read at once. PcapError: they are not of their form.
    """

    def __init__(self, head: bytes, read: Read) -> None:
        self._read = read
        self._buffer = head
        self._at = 0  # where the next block begins in the buffer
        self._offset = 0  # where the buffer begins in the file
        self._skip = 0
        self._order = _LITTLE
        self._interfaces: list[_Interface] = []
        self._layouts: dict[bytes, _Layout] = {}
        self._clocks: dict[_Clock, _Clock] = {}
        self._frame = 1
        self._last = 0
        self._link_type = _DEFAULT_LINK
        try:
            while not self._interfaces and (self._block([]) or self._fill()):
                pass
        except PcapError as error:
            raise PcapError(error.reason, 0, error.offset) from None
        if self._interfaces:
            self._link_type = self._interfaces[0].link_type

    @property
    def link_type(self) -> int:
        """The LINKTYPE_ number of the first interface; Ethernet's where there is none."""
        return self._link_type

    @property
    def frames(self) -> int:
        """Those read so far."""
        return self._frame - 1

    def batches(self) -> Iterator[Batch]:
        """The records in the order of the file, to be called once; frames of a batch have one link type.

        PcapError: the file breaks off within a block or is corrupt; everything before was given.
        """
        while True:
            batches: list[Batch] = []
            fault: PcapError | None = None
            try:
                while self._block(batches):
                    self._plain_packets(batches)
            except PcapError as error:
                fault = error
            yield from batches
            if fault is not None:
                raise fault
            if not self._fill():
                break
        self._whole()

    def sifted(self, sieve: Sieve) -> Iterator[Sifted]:
        """As :meth:`batches`, but for the frames that ``sieve`` passes over; the last frame of a piece is given."""
        while True:
            at, link = self._at, self._plain_link()
            if link is not None:
                yield link, self._sift(link, sieve)
                if self._at != at:
                    continue
            batches: list[Batch] = []
            number = self._frame
            if self._block(batches):
                for batch in batches:
                    yield batch.link_type, iter([(number, *record) for record in batch])
            elif not self._fill():
                break
        self._whole()

    def _whole(self) -> None:
        left = len(self._buffer) - self._at
        if left or self._skip:
            raise PcapError(f"cut short, {left} octets left", self._frame, self._offset + self._at)

    def _fill(self) -> bool:
        """More octets behind those that are left; False: the file has no more."""
        octets = up_to(self._read, CHUNK)
        self._offset += self._at
        self._buffer = self._buffer[self._at :] + octets
        self._at = min(self._skip, len(octets))
        self._skip -= self._at
        return bool(octets)

    def _block(self, batches: list[Batch]) -> bool:
        """Read the next block, whatever it is; False: more octets are needed for that."""
        buffer, size, position = self._buffer, len(self._buffer), self._at
        if position + _SHORTEST > size:
            return False
        if buffer[position : position + 4] == MAGIC:
            self._choose_order(buffer, position)
        kind, length = self._order.head(buffer, position)
        if length < _SHORTEST or length % 4 and kind in _READ:
            raise self._bad(f"a block of {length} octets", position)
        end = position + length
        if kind not in _READ:
            self._at = min(end, size)
            self._skip = end - self._at
            return True
        if length > MAX_BLOCK:
            raise self._bad(f"a block of {length} octets, more than {MAX_BLOCK}", position)
        if end > size:
            return False
        if self._order.word(buffer, end - 4)[0] != length:
            raise self._bad("the lengths of a block differ", position)
        self._contents(kind, buffer, position, length, batches)
        self._at = end
        return True

    def _plain_packets(self, batches: list[Batch]) -> None:
        """The short way through enhanced packet blocks of one interface, as nearly all are.

        What is out of the ordinary, or wrong, is left to the long way.
        """
        buffer, position = self._buffer, self._at
        if not batches or position + _ENHANCED_HEADER > len(buffer):
            return
        fields, word = self._order.enhanced, self._order.word
        append, link = batches[-1].append, batches[-1].link_type
        last = len(buffer) - _ENHANCED_HEADER - 4
        frame, time, known = self._frame, self._last, -1
        multiplier = divisor = offset = 0
        while position <= last:
            kind, length, number, high, low, captured, original = fields(buffer, position)
            end = position + length
            start = position + _ENHANCED_HEADER
            if kind != _ENHANCED or length % 4 or length > MAX_BLOCK or captured > length - _ENHANCED_HEADER - 4:
                break
            if end > len(buffer) or word(buffer, end - 4)[0] != length:
                break
            if number != known:
                if number >= len(self._interfaces) or self._interfaces[number].link_type != link:
                    break
                interface, known = self._interfaces[number], number
                multiplier, divisor, offset = interface.multiplier, interface.divisor, interface.offset
            when = (high << 32 | low) * multiplier // divisor + offset
            if not 0 <= when < _TIMES:
                break
            time = when
            append((time, buffer[start : start + captured], original))
            frame += 1
            position = end
        self._frame, self._last, self._at = frame, time, position

    def _plain_link(self) -> int | None:
        """Link type of the next block when it is an enhanced packet block with another block before it."""
        position = self._at
        if position < _TRAILER or position + _ENHANCED_HEADER > len(self._buffer):
            return None
        kind, _, number, *_ = self._order.enhanced(self._buffer, position)
        known = kind == _ENHANCED and number < len(self._interfaces)
        return self._interfaces[number].link_type if known else None

    def _sift(self, link: int, sieve: Sieve) -> Iterator[Numbered]:
        """The short way through enhanced packet blocks of one link type, without the frames that are passed over.

        The length at the end of a block is read with the head of the next one. What is out of the ordinary, or
        wrong, is left to the long way.
        """
        buffer, size, at = self._buffer, len(self._buffer), self._at - _TRAILER
        fields, word, layouts = self._order.joint, self._order.word, self._layouts
        passes, wake = sieve.passes, sieve.wake
        last = size - _TRAILER - _ENHANCED_HEADER - _TRAILER
        number = given = self._frame - 1
        head, trailer, clock = b"", buffer[at : at + _TRAILER], _Clock(0, 1, 0, 0)
        length = limit = most = begin = end = passed = 0
        while at <= last:
            ended, found, low, captured, original = fields(buffer, at)
            if ended != trailer:
                break
            if found != head:
                layout = layouts.get(found) or self._layout(found)
                if layout is None:
                    break
                link_type, trailer, length, most, other = layout
                if link_type != link:
                    break
                head, limit = found, size - _TRAILER - length
                if other is not clock:
                    clock = other
                    begin, end = clock.lows(wake)
            if at > limit or captured > most:
                break
            start = at + _TRAILER + _ENHANCED_HEADER
            if captured == original and begin <= low < end and passes(buffer, start, start + captured):
                number += 1
                passed = at
                at += length
                continue
            time = clock.time(low)
            if not 0 <= time < _TIMES or buffer[at + length : at + length + _TRAILER] != trailer:
                break
            number += 1
            given = number
            at += length
            self._last = time
            yield number, time, buffer[start : start + captured], original
            if sieve.wake != wake:
                wake = sieve.wake
                begin, end = clock.lows(wake)
        if number > given:
            length = word(buffer, passed + _TRAILER + 4)[0]
            if word(buffer, passed + length)[0] != length:
                # No whole block was passed over last: it is left to the long way, and the one before it is the last.
                number, at = number - 1, passed
                passed -= word(buffer, passed)[0]
        self._frame, self._at = number + 1, at + _TRAILER
        if number > given:
            yield number, *self._record(buffer, passed + _TRAILER)

    def _record(self, buffer: bytes, position: int) -> Record:
        """That of an enhanced packet block in which nothing is wrong."""
        _, _, number, high, low, captured, original = self._order.enhanced(buffer, position)
        self._last = _Clock.of(self._interfaces[number], high).time(low)
        start = position + _ENHANCED_HEADER
        return self._last, buffer[start : start + captured], original

    def _layout(self, head: bytes) -> _Layout | None:
        """That of an enhanced packet block with this head; None: the head is out of the ordinary."""
        kind, length, number, high = self._order.layout(head)
        if kind != _ENHANCED or length % 4 or not _SHORTEST_ENHANCED <= length <= MAX_BLOCK:
            return None
        if number >= len(self._interfaces):
            return None
        interface = self._interfaces[number]
        if len(self._layouts) == MAX_LAYOUTS:
            self._layouts.clear()
            self._clocks.clear()
        clock = _Clock.of(interface, high)
        layout = _Layout(
            interface.link_type, head[4:8], length, length - _SHORTEST_ENHANCED, self._clocks.setdefault(clock, clock)
        )
        self._layouts[head] = layout
        return layout

    def _choose_order(self, buffer: bytes, position: int) -> None:
        if _LITTLE.word(buffer, position + 8)[0] == _BYTE_ORDER:
            self._order = _LITTLE
        elif _BIG.word(buffer, position + 8)[0] == _BYTE_ORDER:
            self._order = _BIG
        else:
            raise self._bad("no byte-order magic in the section header", position)

    def _contents(self, kind: int, buffer: bytes, position: int, length: int, batches: list[Batch]) -> None:
        if kind == _ENHANCED:
            if length < _SHORTEST_ENHANCED:
                raise self._bad("an enhanced packet block without its fields", position)
            _, _, number, high, low, captured, original = self._order.enhanced(buffer, position)
            self._packet(buffer, position, length, number, high << 32 | low, (28, captured, original), batches)
        elif kind == _INTERFACE:
            self._interface(buffer, position, length)
        elif kind == _SECTION:
            if length < _SHORTEST_SECTION:
                raise self._bad("a section header without its fields", position)
            version = self._order.half(buffer, position + 12)[0]
            if version != 1:
                raise self._bad(f"version {version}, 1 expected", position)
            self._interfaces = []
            self._layouts = {}
        elif kind == _SIMPLE:
            self._simple(buffer, position, length, batches)
        else:
            if length < _SHORTEST_ENHANCED:
                raise self._bad("a packet block without its fields", position)
            number, _, high, low, captured, original = self._order.obsolete(buffer, position + 8)
            self._packet(buffer, position, length, number, high << 32 | low, (28, captured, original), batches)

    def _packet(
        self,
        buffer: bytes,
        position: int,
        length: int,
        number: int,
        ticks: int,
        place: tuple[int, int, int],
        batches: list[Batch],
    ) -> None:
        start, captured, original = place
        if number >= len(self._interfaces):
            raise self._bad(f"interface {number} is not described", position)
        if captured > length - start - 4:
            raise self._bad(f"{captured} octets of a frame in a block of {length}", position)
        interface = self._interfaces[number]
        time = ticks * interface.multiplier // interface.divisor + interface.offset
        if not 0 <= time < _TIMES:
            time = self._last
        self._take(interface, time, buffer[position + start : position + start + captured], original, batches)

    def _simple(self, buffer: bytes, position: int, length: int, batches: list[Batch]) -> None:
        """A frame of the first interface without a time: that of the frame before it."""
        if not self._interfaces:
            raise self._bad("interface 0 is not described", position)
        if length < 16:
            raise self._bad("a simple packet block without its fields", position)
        interface = self._interfaces[0]
        original = self._order.word(buffer, position + 8)[0]
        captured = min(original, interface.snap or original)
        if captured > length - 16:
            raise self._bad(f"{captured} octets of a frame in a block of {length}", position)
        frame = buffer[position + 12 : position + 12 + captured]
        self._take(interface, self._last, frame, original, batches)

    def _take(self, interface: _Interface, time: int, frame: bytes, original: int, batches: list[Batch]) -> None:
        if not batches or batches[-1].link_type != interface.link_type:
            batches.append(Batch(interface.link_type))
        batches[-1].append((time, frame, original))
        self._last = time
        self._frame += 1

    def _interface(self, buffer: bytes, position: int, length: int) -> None:
        if length < 20:
            raise self._bad("an interface description without its fields", position)
        if len(self._interfaces) == MAX_INTERFACES:
            raise self._bad(f"more than {MAX_INTERFACES} interfaces", position)
        link, _, snap = self._order.interface(buffer, position + 8)
        options = self._options(buffer, position + 16, position + length - 4)
        resolution = options.get(_OPTION_RESOLUTION, b"\x06")[:1] or b"\x06"
        offset = options.get(_OPTION_OFFSET, b"")
        seconds = self._order.seconds(offset)[0] if len(offset) == 8 else 0
        multiplier, divisor = _clock(resolution[0])
        self._interfaces.append(_Interface(link, snap, multiplier, divisor, seconds * _SECOND))

    def _options(self, buffer: bytes, at: int, end: int) -> dict[int, bytes]:
        """Options by code; those behind one that does not fit are left."""
        found: dict[int, bytes] = {}
        while at + 4 <= end:
            code, length = self._order.option(buffer, at)
            if code == _OPTION_END or at + 4 + length > end:
                break
            found[code] = buffer[at + 4 : at + 4 + length]
            at += 4 + length + -length % 4
        return found

    def _bad(self, reason: str, position: int) -> PcapError:
        return PcapError(reason, self._frame, self._offset + position)


def _clock(resolution: int) -> tuple[int, int]:
    """Nanoseconds of a tick as a fraction: ticks of 10^-n s, or of 2^-n s with the top bit set."""
    exponent = resolution & 0x7F
    if resolution & 0x80:
        return _SECOND, 1 << exponent
    return (10 ** (9 - exponent), 1) if exponent <= 9 else (1, 10 ** (exponent - 9))


def section(*link_types: int) -> bytes:
    """A section header and an interface for each link type, in nanoseconds, little endian."""
    head = _block(_SECTION, _HEADER.pack(_BYTE_ORDER, 1, 0, -1))
    resolution = _OPTION.pack(_OPTION_RESOLUTION, 1) + b"\x09\0\0\0" + _OPTION.pack(_OPTION_END, 0)
    return head + b"".join(_block(_INTERFACE, _LINK.pack(link, 0, 0) + resolution) for link in link_types)


def packet(time_ns: int, frame: bytes, interface: int = 0) -> bytes:
    """One frame of an interface of the section."""
    length = len(frame)
    head = _PACKET.pack(interface, time_ns >> 32, time_ns & 0xFFFFFFFF, length, length)
    return _block(_ENHANCED, head + frame + bytes(-length % 4))


_HEADER, _LINK, _OPTION, _PACKET = Struct("<IHHq"), Struct("<HHI"), Struct("<HH"), Struct("<IIIII")
_HEAD = Struct("<II")


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + _SHORTEST
    return _HEAD.pack(kind, length) + body + length.to_bytes(4, "little")
