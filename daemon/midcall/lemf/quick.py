"""Integrity checks read at speed: the DER that every deliverer sends; anything else is None and goes the long way.

A hash over 1 000 records lists 1 000 numbers, and each call has one a second: reading them by the tables of the
module would cost more than all the records.
"""

from __future__ import annotations

from typing import NamedTuple

from imswire import hi
from midcall.base.columns import columns

_MAX_NUMBER = 1 << 32
MAX_TLVS = 1 << 13
"""Of one PS-PDU: a hash over all records that may wait for one names half as many."""
_LEAST_TLV = 2
_CONSTRUCTED = 0x20
_IDENTIFIER, _BEFORE_IDENTIFIER = 0xA3, 3
"""communicationIdentifier, and how many members of a header stand before it: the module, LIID, country."""
_QUALIFIER = 0x88
_FORMS = {1: (">2xB", 0), 2: (">2xH", 0), 3: (">xI", 3 << 24), 4: (">2xI", 0)}
"""INTEGERs of so many octets; those of three are read with their length."""


class QuickCheck(NamedTuple):
    """The number of the PS-PDU, its time (wall ns), and the check in it."""

    number: int
    time: int
    check: hi.IntegrityCheck


def integrity_check(octets: bytes, start: int, at: int) -> QuickCheck | None:
    """``start`` is where the header begins, ``at`` is behind its communicationIdentifier, known to be valid."""
    try:
        header, _ = _inside(octets, start, 0xA1)
        number, at = _small(octets, at, 0x84)
        end, at = _inside(octets, at, 0xA7)  # microSecondTimeStamp
        second, at = _small(octets, at, 0x80)
        micro, at = _small(octets, at, 0x81)
        if at != end or micro >= 1_000_000 or number >= _MAX_NUMBER:
            return None
        if octets[at] == _QUALIFIER:
            _, at = _small(octets, at, _QUALIFIER)
        if at != header:
            return None
        end, at = _inside(octets, at, 0xA2)  # payload
        if end != len(octets):
            return None
        for tag in (0xA2, 0xA0):  # tRIPayload, integrityCheck
            inner, at = _inside(octets, at, tag)
            if inner != end:
                return None
        return QuickCheck(number, second * 1_000_000_000 + micro * 1_000, _check(octets, at, end))
    except (IndexError, ValueError):
        return None


def crowded(octets: bytes) -> bool:
    """Whether the PS-PDU has more TLVs than are read: looked at before any of them is."""
    size = len(octets)
    if size <= _LEAST_TLV * MAX_TLVS:
        return False
    at = count = 0
    # Of what is constructed the inside comes next; what cannot be read is left to who reads it.
    while at + 1 < size:
        count += 1
        if count > MAX_TLVS:
            return True
        first, length = octets[at], octets[at + 1]
        if first & 0x1F == 0x1F:
            while at + 1 < size and octets[at + 1] & 0x80:
                at += 1
            at += 1
            length = octets[at + 1] if at + 1 < size else 0
        at += 2
        if length > 0x80:
            count_of = length & 0x7F
            length = int.from_bytes(octets[at : at + count_of], "big")
            at += count_of
        elif length == 0x80:
            length = 0
        if not first & _CONSTRUCTED:
            at += length
    return False


def prefix_length(data: bytes, at: int) -> int:
    """Octets from ``at``, behind the length of a header, to behind its communicationIdentifier; 0: not in usual form.

    A guess by lengths alone: what is found by these octets has been read in full before.
    """
    begin = at
    try:
        for _ in range(_BEFORE_IDENTIFIER):
            if data[at] == _IDENTIFIER:
                break
            at += 2 + data[at + 1]
        length = at + 2 + data[at + 1] - begin
        return length if data[at] == _IDENTIFIER and length < 0x80 else 0
    except IndexError:
        return 0


Span = tuple[int, int]


def header_numbers(octets: bytes, at: int) -> tuple[Span, Span, Span, int] | None:
    """Places of sequenceNumber, seconds and microSeconds, and what is behind them; None: not in usual form."""
    try:
        _, number = _small(octets, at, 0x84)
        end, inside = _inside(octets, number, 0xA7)
        _, second = _small(octets, inside, 0x80)
        _, micro = _small(octets, second, 0x81)
    except (IndexError, ValueError):
        return None
    if micro != end:
        return None
    return (at + 2, number), (inside + 2, second), (second + 2, micro), end


def _check(octets: bytes, at: int, end: int) -> hi.IntegrityCheck:
    stop, at = _inside(octets, at, 0xA0)
    numbers = _numbers(octets[at:stop])
    kind, at = _small(octets, stop, 0x81)
    data, at = _small(octets, at, 0x82)
    stop, at = _inside(octets, at, 0x83)
    value, at = octets[at:stop], stop
    hash_algorithm = signature_algorithm = None
    if at < end and octets[at] == 0x84:
        hash_algorithm, at = _small(octets, at, 0x84)
    if at < end:
        signature_algorithm, at = _small(octets, at, 0x85)
    if at != end or kind not in (1, 2) or data not in (1, 2) or not numbers:
        raise ValueError
    if (hash_algorithm if kind == hi.CheckType.HASH else signature_algorithm) is None:
        raise ValueError
    return hi.IntegrityCheck(numbers, kind, data, value, hash_algorithm, signature_algorithm)


def _numbers(body: bytes) -> tuple[int, ...]:
    """INTEGERs one behind the other; those of one width, as nearly all are, at once."""
    size = len(body)
    if size > (_LEAST_TLV + 1) * MAX_TLVS:
        raise ValueError
    width = body[1]
    step = width + 2
    count, rest = divmod(size, step)
    if not rest and width in _FORMS and body[::step].count(2) == body[1::step].count(width) == count:
        first = body[2::step]
        # No sign bit, and nothing that would fit in less octets.
        if first.isascii() and (width == 1 or 0 not in first):
            form, base = _FORMS[width]
            (found,) = columns(form).read(body, 0, count)
            return tuple([number - base for number in found] if base else found)
    numbers, at = [], 0
    while at < size:
        number, at = _small(body, at, 0x02)
        if number >= _MAX_NUMBER:
            raise ValueError
        numbers.append(number)
    return tuple(numbers)


def _small(octets: bytes, at: int, tag: int) -> tuple[int, int]:
    """An INTEGER or ENUMERATED that is not negative, in its shortest form; what is behind it."""
    width = octets[at + 1]
    start = at + 2
    if octets[at] != tag or not 0 < width < 6 or octets[start] > 0x7F:
        raise ValueError
    if width == 1:
        return octets[start], start + 1
    if octets[start] == 0 and octets[start + 1] < 0x80:
        raise ValueError
    after = start + width
    if after > len(octets):
        raise ValueError
    return int.from_bytes(octets[start:after], "big"), after


def _inside(octets: bytes, at: int, tag: int) -> tuple[int, int]:
    """Where the contents of a TLV end, and where they begin."""
    if octets[at] != tag:
        raise ValueError
    length = octets[at + 1]
    start = at + 2
    if length > 0x82 or length == 0x80:
        raise ValueError
    if length > 0x80:
        start += length - 0x80
        length = int.from_bytes(octets[at + 2 : start], "big")
    if start + length > len(octets):
        raise ValueError
    return start + length, start
