"""Classic pcap (draft-ietf-opsawg-pcap), read in all four forms and written in one.

Memory stays flat however long the capture is: octets are read in chunks, records come in batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from imswire.pcap.values import CHUNK, MAX_FRAME, Batch, Numbered, PcapError, Read, Sieve, Sifted, up_to

_FILE_HEADER_LENGTH = 24
_RECORD_HEADER_LENGTH = 16
_VERSION = (2, 4)
_LINK_TYPE = 0xFFFF
"""The upper bits of that field tell the length of frame check sequences."""

_SECOND = 1_000_000_000
_MICROSECOND = 1_000
FORMATS = {
    b"\xd4\xc3\xb2\xa1": ("<", _MICROSECOND),
    b"\xa1\xb2\xc3\xd4": (">", _MICROSECOND),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
"""Magic number: byte order, and the nanoseconds of one unit of the fraction."""

_FILE_HEADER = Struct("<IHHiIII")
_RECORD_HEADER = Struct("<IIII")
_MAGIC = 0xA1B2C3D4


class ClassicReader:
    """Reads a capture whose first octets, ``head``, were read already; ``read`` gives the rest.

    PcapError: the file header is none of classic pcap.
    """

    def __init__(self, head: bytes, read: Read) -> None:
        self._read = read
        header = head + up_to(read, _FILE_HEADER_LENGTH - len(head))
        if header[:4] not in FORMATS:
            raise PcapError("no magic number of a capture file", 0, 0)
        order, self._unit = FORMATS[header[:4]]
        if len(header) < _FILE_HEADER_LENGTH:
            raise PcapError(f"{len(header)} of {_FILE_HEADER_LENGTH} octets", 0, 0)
        _, major, minor, _, _, _, link = Struct(f"{order}IHHiIII").unpack(header)
        if (major, minor) != _VERSION:
            raise PcapError(f"version {major}.{minor}, 2.4 expected", 0, 4)
        self._header = Struct(f"{order}IIII").unpack_from
        self._link_type = int(link & _LINK_TYPE)
        self.frames = 0  # read so far
        self._used = self._too_long = 0

    @property
    def link_type(self) -> int:
        """The LINKTYPE_ number of all frames."""
        return self._link_type

    def batches(self) -> Iterator[Batch]:
        """The records in the order of the file, to be called once.

        PcapError: the file breaks off within a record or is corrupt; everything before was given.
        """
        rest = b""
        offset = _FILE_HEADER_LENGTH
        while octets := up_to(self._read, CHUNK):
            buffer = rest + octets
            records, used, too_long = self._parse(buffer)
            if records:
                yield records
            self.frames += len(records)
            offset += used
            if too_long:
                raise PcapError(f"{too_long} octets, more than {MAX_FRAME}", self.frames + 1, offset)
            rest = buffer[used:]
        if rest:
            raise PcapError(f"cut short, {len(rest)} octets left", self.frames + 1, offset)

    def sifted(self, sieve: Sieve) -> Iterator[Sifted]:
        """As :meth:`batches`, but for the frames that ``sieve`` passes over; the last frame of a piece is given."""
        rest = b""
        offset = _FILE_HEADER_LENGTH
        while octets := up_to(self._read, CHUNK):
            buffer = rest + octets
            yield self._link_type, self._sift(buffer, sieve)
            offset += self._used
            if self._too_long:
                raise PcapError(f"{self._too_long} octets, more than {MAX_FRAME}", self.frames + 1, offset)
            rest = buffer[self._used :]
        if rest:
            raise PcapError(f"cut short, {len(rest)} octets left", self.frames + 1, offset)

    def _sift(self, buffer: bytes, sieve: Sieve) -> Iterator[Numbered]:
        header, unit, passes = self._header, self._unit, sieve.passes
        second = _SECOND // unit
        number, position, size = self.frames, 0, len(buffer)
        start, passed, too_long = _RECORD_HEADER_LENGTH, -1, 0
        while start <= size:
            seconds, fraction, captured, original = header(buffer, position)
            end = start + captured
            if end > size:
                too_long = captured if captured > MAX_FRAME else 0
                break
            number += 1
            # A fraction of more than a second, which no clock gives, may reach beyond the waking.
            if captured == original and seconds < sieve.wake and fraction < second and passes(buffer, start, end):
                passed = position
            else:
                passed = -1
                yield number, seconds * _SECOND + fraction * unit, buffer[start:end], original
            position = end
            start = end + _RECORD_HEADER_LENGTH
        self.frames, self._used, self._too_long = number, position, too_long
        if passed >= 0:
            seconds, fraction, _, original = header(buffer, passed)
            yield (
                number,
                seconds * _SECOND + fraction * unit,
                buffer[passed + _RECORD_HEADER_LENGTH : position],
                original,
            )

    def _parse(self, buffer: bytes) -> tuple[Batch, int, int]:
        """The whole records at the start of ``buffer``, their octets, and the length of one too long."""
        records = Batch(self._link_type)
        append, header, unit = records.append, self._header, self._unit
        position, size = 0, len(buffer)
        start = _RECORD_HEADER_LENGTH
        while start <= size:
            seconds, fraction, captured, original = header(buffer, position)
            end = start + captured
            if end > size:
                return records, position, captured if captured > MAX_FRAME else 0
            append((seconds * _SECOND + fraction * unit, buffer[start:end], original))
            position = end
            start = end + _RECORD_HEADER_LENGTH
        return records, position, 0


def file_header(link_type: int) -> bytes:
    """The header of a capture file as this module writes it: microseconds, little endian."""
    return _FILE_HEADER.pack(_MAGIC, *_VERSION, 0, 0, MAX_FRAME, link_type)


def record(time_ns: int, frame: bytes) -> bytes:
    """One frame with its header; the time loses what is less than a microsecond."""
    seconds, rest = divmod(time_ns, _SECOND)
    return _RECORD_HEADER.pack(seconds, rest // _MICROSECOND, len(frame), len(frame)) + frame
