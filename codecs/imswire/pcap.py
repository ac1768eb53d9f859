"""Capture files: classic pcap (draft-ietf-opsawg-pcap), read in all four forms and written in one.

Memory stays flat however long the capture is: octets are read in chunks, records come in batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct

from imswire.errors import WireError

Record = tuple[int, bytes, int]
"""Time in nanoseconds since 1970, the frame as far as it was captured, and its length on the wire."""

CHUNK = 256 * 1024
"""Octets a read: small enough to stay in the processor's cache, large enough to forget the call."""
MAX_FRAME = 262_144
"""libpcap's MAXIMUM_SNAPLEN: a longer record says that the file is corrupt."""
_FILE_HEADER_LENGTH = 24
_RECORD_HEADER_LENGTH = 16
_VERSION = (2, 4)
_LINK_TYPE = 0xFFFF
"""The upper bits of that field tell the length of frame check sequences."""

_SECOND = 1_000_000_000
_MICROSECOND = 1_000
_FORMATS = {
    b"\xd4\xc3\xb2\xa1": ("<", _MICROSECOND),
    b"\xa1\xb2\xc3\xd4": (">", _MICROSECOND),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
"""Magic number: byte order, and the nanoseconds of one unit of the fraction."""

_FILE_HEADER = Struct("<IHHiIII")
_RECORD_HEADER = Struct("<IIII")
_MAGIC = 0xA1B2C3D4


class PcapError(WireError):
    """A capture that cannot be read (further).

    ``frame`` counts from 1, 0 being the file header; ``offset`` is where in the file the bad part begins.
    """

    def __init__(self, reason: str, frame: int, offset: int) -> None:
        place = f"frame {frame}" if frame else "file header"
        super().__init__(f"{place} at offset {offset}: {reason}")
        self.reason = reason
        self.frame = frame
        self.offset = offset


class Reader:
    """Reads a capture through ``read(n)``, which gives at most ``n`` octets and none at the end.

    The file header is read at once. PcapError: it is none of classic pcap.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        header = self._up_to(_FILE_HEADER_LENGTH)
        if header[:4] not in _FORMATS:
            raise PcapError("no magic number of classic pcap", 0, 0)
        order, self._unit = _FORMATS[header[:4]]
        if len(header) < _FILE_HEADER_LENGTH:
            raise PcapError(f"{len(header)} of {_FILE_HEADER_LENGTH} octets", 0, 0)
        _, major, minor, _, _, _, link = Struct(f"{order}IHHiIII").unpack(header)
        if (major, minor) != _VERSION:
            raise PcapError(f"version {major}.{minor}, 2.4 expected", 0, 4)
        self._header = Struct(f"{order}IIII").unpack_from
        self._link_type = int(link & _LINK_TYPE)

    @property
    def link_type(self) -> int:
        """The LINKTYPE_ number of all frames."""
        return self._link_type

    def _up_to(self, octets: int) -> bytes:
        """As many octets, or all that are left: a pipe may give less than it was asked for."""
        got = self._read(octets)
        if not got or len(got) == octets:
            return got
        parts, missing = [got], octets - len(got)
        while missing and (got := self._read(missing)):
            parts.append(got)
            missing -= len(got)
        return b"".join(parts)

    def batches(self) -> Iterator[list[Record]]:
        """The records in the order of the file, to be called once.

        PcapError: the file breaks off within a record or is corrupt; everything before was given.
        """
        rest = b""
        frame, offset = 1, _FILE_HEADER_LENGTH
        while octets := self._up_to(CHUNK):
            buffer = rest + octets
            records, used, too_long = self._parse(buffer)
            if records:
                yield records
            frame += len(records)
            offset += used
            if too_long:
                raise PcapError(f"{too_long} octets, more than {MAX_FRAME}", frame, offset)
            rest = buffer[used:]
        if rest:
            raise PcapError(f"cut short, {len(rest)} octets left", frame, offset)

    def _parse(self, buffer: bytes) -> tuple[list[Record], int, int]:
        """The whole records at the start of ``buffer``, their octets, and the length of one too long."""
        records: list[Record] = []
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
