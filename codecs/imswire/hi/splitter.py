"""PS-PDUs out of a stream: there is no framing but their own lengths (TS 102 232-1 6)."""

from __future__ import annotations

from imswire.ber import MAX_DEPTH, MAX_LENGTH_OCTETS
from imswire.hi.errors import HiError
from imswire.units import UnitSplitter

DEFAULT_LIMIT = 1 << 20  # octets of one PS-PDU: SIP messages of 64 KiB in several members, with room
_SEQUENCE = 0x30
_INDEFINITE = 0x80


class Splitter(UnitSplitter[HiError]):
    """Whole PS-PDUs of one connection, TLV by TLV; indefinite lengths are followed to their end.

    ``limit`` is the most octets that a PS-PDU may have.
    """

    __slots__ = ("_depth", "_limit", "_place")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        super().__init__(HiError)
        self._limit = limit
        self._place = 0  # how far an indefinite length has been followed in what is not complete
        self._depth = 0  # how many of them are open there

    def _end(self, octets: bytes | bytearray, at: int) -> int | None:
        there = len(octets) - at
        if there < 2:
            if there and octets[at] != _SEQUENCE:
                raise self._broken(f"{octets[at]:#04x} where a PS-PDU should begin", at)
            return None
        if octets[at] != _SEQUENCE:
            raise self._broken(f"{octets[at]:#04x} where a PS-PDU should begin", at)
        length = octets[at + 1]
        if length == _INDEFINITE:
            return self._end_of_contents(octets, at)
        size: int | None = 2 + length
        if length > _INDEFINITE:
            size = self._long(octets, at + 1, at)
        if size is None:
            return None
        if size > self._limit:
            raise self._broken(f"PS-PDU of {size} octets, at most {self._limit} are taken", at)
        return at + size if size <= there else None

    def _long(self, octets: bytes | bytearray, place: int, at: int) -> int | None:
        """Octets from ``at`` to the end of a TLV whose long length stands at ``place``."""
        count = octets[place] & 0x7F
        if count > MAX_LENGTH_OCTETS:
            raise self._broken(f"length of {count} octets, at most {MAX_LENGTH_OCTETS} are read", at)
        start = place + 1 + count
        if start > len(octets):
            return None
        return start - at + int.from_bytes(octets[place + 1 : start], "big")

    # Indefinite lengths: each TLV is looked at once, however the stream is cut.

    def _end_of_contents(self, octets: bytes | bytearray, at: int) -> int | None:
        if not self._depth:
            self._place, self._depth = 2, 1
        while self._depth:
            step = self._step(octets, at, at + self._place)
            if step is None:
                if len(octets) - at > self._limit:
                    raise self._too_long(at)
                return None
            self._place = step - at
            if self._place > self._limit:
                raise self._too_long(at)
        return at + self._place

    def _step(self, octets: bytes | bytearray, at: int, place: int) -> int | None:
        """Behind the TLV, or into the indefinite one, at ``place``; None: more octets are needed to tell."""
        if place + 2 > len(octets):
            return None
        first = octets[place]
        if first == 0:
            if octets[place + 1]:
                raise self._broken("end-of-contents with a length", place)
            self._depth -= 1
            return place + 2
        start = place + 1
        if first & 0x1F == 0x1F:
            while start < len(octets) and octets[start] & 0x80:
                start += 1
                if start - place > 4:
                    raise self._broken("tag of more than four octets", place)
            start += 1
        if start >= len(octets):
            return None
        length = octets[start]
        if length < _INDEFINITE:
            return start + 1 + length
        if length > _INDEFINITE:
            size = self._long(octets, start, at)
            return None if size is None else at + size
        if not first & 0x20 or self._depth >= MAX_DEPTH:
            raise self._broken("indefinite length of a primitive, or too deep", place)
        self._depth += 1
        return start + 1

    def _too_long(self, at: int) -> HiError:
        return self._broken(f"PS-PDU of more than {self._limit} octets", at)

    def _broken(self, rule: str, at: int) -> HiError:
        return HiError("stream", rule, self._taken + at)
