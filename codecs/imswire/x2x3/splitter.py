"""PDUs out of a stream (TS 103 221-2 5): a header says how long it is and how long its payload."""

from __future__ import annotations

from collections.abc import Container
from struct import Struct as Layout
from typing import Final

from imswire.units import UnitSplitter
from imswire.x2x3.errors import X2X3Error
from imswire.x2x3.numbers import HEADER_LENGTH
from imswire.x2x3.pdu import MAJORS, wrong_version

DEFAULT_LIMIT: Final = 1 << 21  # octets of one PDU: all the messages that a call may keep (1 MiB), with room
_SIZES = Layout("!4xII").unpack_from
_KNOWN = 12  # octets in front that give the version and both lengths


class Splitter(UnitSplitter[X2X3Error]):
    """Whole PDUs of one connection.

    ``limit`` is the most octets that a PDU may have, ``majors`` the major versions that are read.
    """

    __slots__ = ("_limit", "_majors")

    def __init__(self, limit: int = DEFAULT_LIMIT, majors: Container[int] = MAJORS) -> None:
        super().__init__(X2X3Error)
        self._limit = limit
        self._majors = majors

    def _end(self, octets: bytes | bytearray, at: int) -> int | None:
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
