"""Where a log is to go on: its last file is checked from the head that its first line brings with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from msgspec import Struct

from midcall.audit import lines
from midcall.audit.checking import Checked, Checker, LogFile, first_bad
from midcall.audit.heads import HeadError, Key
from midcall.audit.ledger import Place
from midcall.audit.lines import Begin, LineError
from midcall.audit.merkle import Frontier

TAIL = ("unsigned", "torn")
"""What a write leaves that was not finished: nobody was told of it."""


class BadLog(Exception):
    """A log is not what was written; says where."""


class Opened(Struct, frozen=True):
    """``tail``: octets behind the last good head, which are to go."""

    checked: Checked
    place: Place
    tail: int


def opened(key: Key, *files: LogFile) -> Opened:
    """How far the last files of a log go. BadLog."""
    found = piece(key, *files)
    if found.checked.found is not None and found.checked.found.kind not in TAIL:
        raise BadLog(first_bad(found.checked.found))
    return found


def piece(key: Key, file: LogFile, *more: LogFile) -> Opened:
    """Files of a log that follow each other, from the head that their first line brings with it. BadLog: that does not
    hold.
    """
    stream = iter(file.lines)
    first = next(stream, b"")
    place = _place(key, first, file.name)
    checker = Checker(key)
    if place.size:
        checker.resume(place)
    checked = checker.check([LogFile(file.name, file.first, chain([first], stream)), *more])
    return Opened(checked, checked.place or place, checked.tail)


def _place(key: Key, first: bytes, name: str) -> Place:
    """Where a file begins, as its first line says and a head proves."""
    try:
        begin = lines.decode(first.removesuffix(b"\n"))
    except LineError:
        begin = None
    if not isinstance(begin, Begin):
        raise BadLog(f"{name}, line 1: it is not what was written")
    if not begin.first and not begin.before:
        return Place(begin.log)
    try:
        head = key.head(begin.before)
        edge = Frontier(begin.first, map(bytes.fromhex, begin.edge))
    except (HeadError, ValueError) as error:
        raise BadLog(f"{name}, line 1: {error}") from None
    last = "" if head.last is None else head.last.hex()
    if (head.log, head.size, head.root, last) != (begin.log, begin.first, edge.root(), begin.previous):
        raise BadLog(f"{name}, line 1: it is not what was written")
    return Place(begin.log, begin.first, tuple(edge.nodes), begin.previous, head.number, begin.before)


def heads_of(key: Key, octets: Iterable[bytes]) -> Iterator[str]:
    """The heads of an anchor: lines of JSON. BadLog: one is none."""
    for number, line in enumerate(octets, 1):
        try:
            found = lines.decode(line.removesuffix(b"\n"))
        except LineError:
            found = None
        if not isinstance(found, lines.HeadLine):
            raise BadLog(f"line {number}: no head")
        try:
            key.head(found.head)
        except HeadError as error:
            raise BadLog(f"line {number}: {error}") from None
        yield found.head
