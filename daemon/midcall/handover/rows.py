"""What one row of the spool holds: PS-PDUs of one intercept one behind the other, and which numbers they bear.

The spans stand beside the sealed octets in clear (bound to them by the seal), so that what a damaged row held
can still be named: no more than counts and numbers can be read from them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from imswire import ber
from midcall.handover.values import NUMBERS, Run

_SPAN = struct.Struct(">III")
# A row is what the sender writes at once, and what one damaged octet costs.
ROW_OCTETS = 32 << 10


class Span(NamedTuple):
    """``pdus`` of a context (by its number in the file) from ``first`` on."""

    context: int
    first: int
    pdus: int

    @property
    def last(self) -> int:
        return (self.first + self.pdus - 1) % NUMBERS

    @property
    def end(self) -> int:
        return (self.first + self.pdus) % NUMBERS


def pack_spans(spans: Iterable[Span]) -> bytes:
    return b"".join(_SPAN.pack(*span) for span in spans)


def pack_numbers(numbers: Sequence[int]) -> bytes:
    """The same of the numbers of all spans in one row."""
    return struct.pack(f">{len(numbers)}I", *numbers)


def unpack_spans(octets: bytes) -> list[Span]:
    """The spans, as far as the octets give whole ones."""
    return [Span(*span) for span in numbers(octets)]


def numbers(octets: bytes) -> Iterator[tuple[int, int, int]]:
    """The same without names."""
    over = len(octets) % _SPAN.size
    return _SPAN.iter_unpack(octets[:-over] if over else octets)


def split(octets: bytes, count: int) -> Iterator[bytes]:
    """The first ``count`` PS-PDUs of a row; BerError when they are not there."""
    at = 0
    for _ in range(count):
        tlv = ber.read(octets, at)
        yield octets[at : tlv.after]
        at = tlv.after


def without(octets: bytes, spans: list[Span], given: set[Span]) -> tuple[bytes, list[Span]]:
    """What is left of a row without some of its spans."""
    pdus = split(octets, sum(span.pdus for span in spans))
    left = [(span, b"".join(islice(pdus, span.pdus))) for span in spans]
    kept = [(span, own) for span, own in left if span not in given]
    return b"".join(own for _, own in kept), [span for span, _ in kept]


def pieces(runs: Iterable[Run], limit: int = ROW_OCTETS) -> Iterator[list[Run]]:
    """Runs, cut so that each list fits into one row."""
    piece: list[Run] = []
    room = limit
    for run in runs:
        interface, key, first, octets, data, check, joined = run
        size = len(joined) or sum(map(len, octets))
        if size <= room:
            room -= size
            piece.append(run)
            continue
        begin = 0
        for place, each in enumerate(octets):
            room -= len(each)
            if room < 0 and (piece or place > begin):
                if place > begin:
                    piece.append(Run(interface, key, (first + begin) % NUMBERS, octets[begin:place], data, check))
                yield piece
                piece, begin, room = [], place, limit - len(each)
        piece.append(Run(interface, key, (first + begin) % NUMBERS, octets[begin:], data, check) if begin else run)
    if piece:
        yield piece
