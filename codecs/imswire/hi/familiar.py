"""Content records at the pace of their arrival: one that differs from a checked one only in its numbers, its time
and its payload is as right as that.

The first record of a kind is checked and read in full; its octets around what changes are kept. A record with the
same octets there has the same header, form and findings.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from imswire.ber import BerError, only
from imswire.hi.check import check
from imswire.hi.errors import HiError
from imswire.hi.examination import Finding
from imswire.hi.numbers import CcContents, PayloadTag
from imswire.hi.pdu import parse
from imswire.hi.peek import Peek, peek
from imswire.hi.places import MICROSECONDS, PAYLOADS, SECONDS, SEQUENCE, VOIP_NUMBER, find
from imswire.hi.values import Cc

MAX_KINDS: Final = 4_096
MAX_PLACES: Final = 8
MAX_AROUND: Final = 4_096  # octets around the payload of a record that is kept
_SECOND: Final = 1_000_000_000
_MICROSECONDS: Final = 1_000_000
_NUMBER_OCTETS: Final = 3  # of 0 to 65 535


class Content(NamedTuple):
    """One record: what it belongs to, its numbers and time (ns), a CcContents, a Direction (None: not said), where
    its payload stands in the octets, and what is wrong with it.
    """

    liid: bytes
    cid: bytes
    sequence: int
    time: int
    form: int
    direction: int | None
    start: int
    end: int
    findings: tuple[Finding, ...]


class _Kind(NamedTuple):
    """What stays in all records of a kind, the offsets of what changes (``sequence`` to its end, ``a`` to ``b`` the
    seconds, ``c`` to ``d`` the microseconds, ``e`` to ``f`` the number of Voip-CC-PDU, empty elsewhere, ``start`` to
    ``end`` the payload), and the octets between.
    """

    liid: bytes
    cid: bytes
    sequence: int
    a: int
    b: int
    c: int
    d: int
    e: int
    f: int
    start: int
    end: int
    first: bytes
    second: bytes
    third: bytes
    fourth: bytes
    last: bytes
    form: int
    direction: int | None
    findings: tuple[Finding, ...]


class Familiar:
    """Reads content records of any number of streams; keeps ``limit`` kinds of them, then starts anew."""

    __slots__ = ("_kinds", "_limit", "_places")

    def __init__(self, limit: int = MAX_KINDS) -> None:
        self._kinds: dict[tuple[int, bytes], _Kind] = {}
        self._places: list[int] = []  # where sequence numbers stand: with LIIDs of one length there are few
        self._limit = limit

    def read(self, octets: bytes) -> Content | None:
        """Of one PS-PDU with one content record in a form that has a payload, timed in microseconds.

        None: it is another, or has a number that is out of its bounds; ``parse`` and ``check`` are for those.
        HiError: it is no PS-PDU.
        """
        size = len(octets)
        for at in self._places:
            kind = self._kinds.get((size, octets[:at]))
            if kind is not None and (found := _content(octets, at, kind)) is not None:
                return found
        seen = peek(octets)
        if seen.tag != PayloadTag.CC:
            return None
        try:
            kind = _kind(octets, seen)
        except (HiError, BerError):
            return None
        found = None if kind is None else _content(octets, seen.at, kind)
        if kind is not None and found is not None:  # a number out of bounds is no matter of the kind
            self._keep((size, octets[: seen.at]), kind)
        return found

    def _keep(self, key: tuple[int, bytes], kind: _Kind) -> None:
        size, before = key
        if size - (kind.end - kind.start) > MAX_AROUND:
            return
        if len(self._kinds) >= self._limit or len(self._places) >= MAX_PLACES:
            self._kinds.clear()
            self._places.clear()
        self._kinds[key] = kind
        if len(before) not in self._places:
            self._places.append(len(before))


def _content(octets: bytes, at: int, kind: _Kind) -> Content | None:
    """None: it is not of this kind, or a number is out of bounds or longer than needed."""
    liid, cid, behind, a, b, c, d, e, f, start, end, first, second, third, fourth, last, form, direction, wrong = kind
    if (
        octets[behind:a] != first
        or octets[b:c] != second
        or octets[d:e] != third
        or octets[f:start] != fourth
        or octets[end:] != last
    ):
        return None
    number = int.from_bytes(octets[at:behind], "big")
    seconds = int.from_bytes(octets[a:b], "big")
    micro = int.from_bytes(octets[c:d], "big")
    # As short as can be, and no sign bit: as many octets as the value needs.
    if number >> 32 or micro >= _MICROSECONDS or number.bit_length() >> 3 != behind - at - 1:
        return None
    if seconds.bit_length() >> 3 != b - a - 1 or micro.bit_length() >> 3 != d - c - 1:
        return None
    if e != f and int.from_bytes(octets[e:f], "big").bit_length() >> 3 != f - e - 1:
        return None
    return Content(liid, cid, number, seconds * _SECOND + micro * 1_000, form, direction, start, end, wrong)


def _kind(octets: bytes, seen: Peek) -> _Kind | None:
    """None, HiError, BerError: it has no single record in a known form."""
    pdu = parse(octets)
    seconds, micro, sequence = find(octets, SECONDS), find(octets, MICROSECONDS), find(octets, SEQUENCE)
    if not isinstance(pdu.payload, tuple) or len(pdu.payload) != 1:
        return None
    record = pdu.payload[0]
    form = only(record.contents).number
    if not isinstance(record, Cc) or form not in PAYLOADS or record.time is not None:
        return None
    payload = find(octets, PAYLOADS[form])
    number = find(octets, VOIP_NUMBER) if form == CcContents.VOIP_CC_PDU else payload._replace(end=payload.start)
    if payload.constructed or not 0 <= number.end - number.start <= _NUMBER_OCTETS:
        return None
    return _Kind(
        seen.liid,
        seen.cid,
        sequence.end,
        seconds.start,
        seconds.end,
        micro.start,
        micro.end,
        number.start,
        number.end,
        payload.start,
        payload.end,
        octets[sequence.end : seconds.start],
        octets[seconds.end : micro.start],
        octets[micro.end : number.start],
        octets[number.end : payload.start],
        octets[payload.end :],
        form,
        record.direction,
        tuple(check(octets)),
    )
