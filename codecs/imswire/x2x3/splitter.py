"""PDUs out of a stream (TS 103 221-2 5): a header says how long it is and how long its payload."""

from __future__ import annotations

from collections.abc import Container
from struct import Struct as Layout
from typing import Final

from imswire.x2x3.errors import X2X3Error
from imswire.x2x3.numbers import HEADER_LENGTH
from imswire.x2x3.pdu import MAJORS, wrong_version

DEFAULT_LIMIT: Final = 1 << 21  # octets of one PDU: all the messages that a call may keep (1 MiB), with room
_SIZES = Layout("!4xII").unpack_from
_KNOWN = 12  # octets in front that give the version and both lengths


class Splitter:
    """Whole PDUs of one connection.

    ``limit`` is the most octets that a PDU may have, ``majors`` the major versions that are read.
    """

    __slots__ = ("_buffer", "_fault", "_limit", "_majors", "_taken")

    def __init__(self, limit: int = DEFAULT_LIMIT, majors: Container[int] = MAJORS) -> None:
        self._limit = limit
        self._majors = majors
        self._buffer = bytearray()  # a PDU that is not complete yet
        self._taken = 0  # octets of the stream before it
        self._fault: X2X3Error | None = None

    @property
    def pending(self) -> int:
        """Octets kept of a PDU that is not complete yet."""
        return len(self._buffer)

    @property
    def fault(self) -> X2X3Error | None:
        """Why the stream cannot be read any further; its offset counts from the start of the stream."""
        return self._fault

    def feed(self, data: bytes) -> list[bytes]:
        """The PDUs that ``data`` completes, as they came.

        What follows a header that is none, or a PDU longer than the limit, cannot be found: PDUs before it are
        returned first; then, when there are none or at the next call, X2X3Error, and so ever after.
        """
        if self._fault is not None:
            raise self._fault
        found: list[bytes] = []
        try:
            self._split(data, found)
        except X2X3Error as fault:
            self._fault = fault
            self._buffer.clear()
            if not found:
                raise
        return found

    def _split(self, data: bytes, found: list[bytes]) -> None:
        if self._buffer:
            self._buffer += data
            if self._end(self._buffer, 0) is None:
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        at = 0
        while (end := self._end(data, at)) is not None:
            found.append(data[at:end])
            at = end
        self._buffer += data[at:]
        self._taken += at

    def _end(self, octets: bytes | bytearray, at: int) -> int | None:
        """Where the PDU at ``at`` ends; None: further on than the octets are."""
        there = len(octets) - at
        if there >= 2 and octets[at] not in self._majors:
            raise X2X3Error("header.version", wrong_version(octets[at], octets[at + 1]), self._taken + at)
        if there < _KNOWN:
            return None
        header, payload = _SIZES(octets, at)
        if header < HEADER_LENGTH:
            raise X2X3Error(
                "header.length", f"{header} octets, at least {HEADER_LENGTH} are expected", self._taken + at
            )
        if header + payload > self._limit:
            reason = f"PDU of {header + payload} octets, at most {self._limit} are taken"
            raise X2X3Error("header.length", reason, self._taken + at)
        end: int = at + header + payload
        return end if end <= len(octets) else None
