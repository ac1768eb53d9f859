"""pcapng (draft-ietf-opsawg-pcapng): sections of either byte order, several interfaces, each with its own clock."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from msgspec import Struct as Value

from imswire.pcap.values import CHUNK, MAX_FRAME, Batch, PcapError, Read, Sieve, Sifted, up_to

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


class _Interface(Value, frozen=True):
    """An interface of the section: link type, snapshot length, and ns = ticks * multiplier // divisor + offset."""

    link_type: int
    snap: int
    multiplier: int
    divisor: int
    offset: int


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
        self.obsolete = Struct(f"{order}HHIIII").unpack_from


_LITTLE, _BIG = _Order("<"), _Order(">")


class NgReader:
    """Reads a capture whose first octets, ``head``, were read already; ``read`` gives the rest.

    The first section and interface are read at once. PcapError: they are not of their form.
    """

    def __init__(self, head: bytes, read: Read) -> None:
        self._read = read
        self._buffer = head
        self._order = _LITTLE
        self._interfaces: list[_Interface] = []
        self._frame = 1
        self._offset = 0
        self._last = 0
        self._skip = 0
        self._ended = False
        self._ready: list[Batch] = []
        self._link_type = _DEFAULT_LINK
        self._fault: PcapError | None = None
        while not self._interfaces and self._fault is None and self._fill():
            self._ready += self._parse()
        if self._fault is not None and not self._interfaces:
            raise PcapError(self._fault.reason, 0, self._fault.offset)
        if self._interfaces:
            self._link_type = self._interfaces[0].link_type

    @property
    def link_type(self) -> int:
        """The LINKTYPE_ number of the first interface; Ethernet's where there is none."""
        return self._link_type

    def batches(self) -> Iterator[Batch]:
        """The records in the order of the file, to be called once; frames of a batch have one link type.

        PcapError: the file breaks off within a block or is corrupt; everything before was given.
        """
        while True:
            ready, self._ready = self._ready, []
            yield from ready
            if self._fault is not None:
                raise self._fault
            if not self._fill():
                break
            self._ready = self._parse()
        if self._buffer or self._skip:
            raise PcapError(f"cut short, {len(self._buffer)} octets left", self._frame, self._offset)

    @property
    def frames(self) -> int:
        """Those read so far."""
        return self._frame - 1

    def sifted(self, _: Sieve) -> Iterator[Sifted]:
        """All frames, none passed over: a block has to be looked at whole in any case."""
        number = 1
        for batch in self.batches():
            yield batch.link_type, ((place, *record) for place, record in enumerate(batch, number))
            number += len(batch)

    def _fill(self) -> bool:
        octets = up_to(self._read, CHUNK)
        if self._skip:
            passed = min(self._skip, len(octets))
            self._skip -= passed
            self._offset += passed
            self._buffer += octets[passed:]
        else:
            self._buffer += octets
        return bool(octets)

    def _parse(self) -> list[Batch]:
        """The frames of the whole blocks at the start of the buffer; a fault is kept until they are given."""
        batches: list[Batch] = []
        try:
            used = self._blocks(batches)
        except PcapError as error:
            self._fault = error
            self._buffer = b""
            return batches
        self._offset += used
        self._buffer = self._buffer[used:]
        return batches

    def _blocks(self, batches: list[Batch]) -> int:
        buffer, size, position = self._buffer, len(self._buffer), 0
        while position + _SHORTEST <= size:
            position = self._plain_packets(buffer, position, batches)
            if position + _SHORTEST > size:
                break
            if buffer[position : position + 4] == MAGIC:
                self._choose_order(buffer, position)
            kind, length = self._order.head(buffer, position)
            if length < _SHORTEST or length % 4 and kind in _READ:
                raise self._bad(f"a block of {length} octets", position)
            end = position + length
            if kind not in _READ:
                if end > size:
                    self._skip = end - size
                    return size
                position = end
                continue
            if length > MAX_BLOCK:
                raise self._bad(f"a block of {length} octets, more than {MAX_BLOCK}", position)
            if end > size:
                break
            if self._order.word(buffer, end - 4)[0] != length:
                raise self._bad("the lengths of a block differ", position)
            self._block(kind, buffer, position, length, batches)
            position = end
        return position

    def _plain_packets(self, buffer: bytes, position: int, batches: list[Batch]) -> int:
        """The short way through enhanced packet blocks of one interface, as nearly all are; where they end.

        What is out of the ordinary, or wrong, is left to the long way.
        """
        if not batches or position + _ENHANCED_HEADER > len(buffer):
            return position
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
        self._frame, self._last = frame, time
        return position

    def _choose_order(self, buffer: bytes, position: int) -> None:
        if _LITTLE.word(buffer, position + 8)[0] == _BYTE_ORDER:
            self._order = _LITTLE
        elif _BIG.word(buffer, position + 8)[0] == _BYTE_ORDER:
            self._order = _BIG
        else:
            raise self._bad("no byte-order magic in the section header", position)

    def _block(self, kind: int, buffer: bytes, position: int, length: int, batches: list[Batch]) -> None:
        if kind == _ENHANCED:
            if length < _ENHANCED_HEADER + 4:
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
        elif kind == _SIMPLE:
            self._simple(buffer, position, length, batches)
        else:
            if length < _ENHANCED_HEADER + 4:
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
