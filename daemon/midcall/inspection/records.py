"""The PS-PDUs of a hand-over file: what each says, member by member, and which rules it breaks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from imswire import hi
from imswire.hi import describe, hi1
from imswire.hi.check import check

CHUNK = 1 << 16
MAX_LINES = 1_000
# Keys stand in the session descriptions of an agency that decrypts.
_INLINE = re.compile(r"(inline:)[^\s|\\]+")


class Record(Struct, frozen=True):
    """One PS-PDU: its place in the file, what it is in a few words, its members, and the rules that it breaks."""

    number: int
    offset: int
    octets: int
    liid: str
    cin: int | None
    sequence: int | None
    what: str
    content: bool
    members: list[tuple[int, str, str]]
    findings: list[str]


class Broken(Exception):
    """The file cannot be read any further; ``offset`` says where that begins."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"offset {offset}: {reason}")
        self.offset = offset


def records(read: Callable[[int], bytes]) -> Iterator[Record]:
    """Every PS-PDU of a file in its order; Broken where the file is no longer made of them."""
    splitter = hi.Splitter()
    number = offset = 0
    try:
        while piece := read(CHUNK):
            for octets in splitter.feed(piece):
                number += 1
                yield record(octets, number, offset)
                offset += len(octets)
        splitter.feed(b"")
    except hi.HiError as error:
        raise Broken(offset, str(error)) from None
    if splitter.pending:
        raise Broken(offset, f"cut short: {splitter.pending} octets of a PS-PDU")


def record(octets: bytes, number: int, offset: int) -> Record:
    """One PS-PDU; what cannot be read is among its findings."""
    findings = [f"{finding.path}: {finding.rule}" for finding in check(octets)]
    try:
        pdu = hi.parse(octets)
    except hi.HiError:
        return Record(number, offset, len(octets), "", None, None, "unreadable", False, _members(octets), findings)
    header = pdu.header
    content = isinstance(pdu.payload, tuple) and isinstance(pdu.payload[0], hi.Cc)
    liid = header.liid.decode("ascii", "backslashreplace")
    return Record(
        number,
        offset,
        len(octets),
        liid,
        header.cid.cin,
        header.sequence,
        _what(pdu),
        content,
        _members(octets),
        findings,
    )


def as_json(found: Record) -> dict[str, Any]:
    """A record as JSON has it."""
    return {
        "number": found.number,
        "offset": found.offset,
        "octets": found.octets,
        "liid": found.liid,
        "cin": found.cin,
        "sequence": found.sequence,
        "what": found.what,
        "members": [{"offset": place, "path": path, "value": value} for place, path, value in found.members],
        "findings": found.findings,
    }


def _what(pdu: hi.PsPdu) -> str:
    payload = pdu.payload
    if isinstance(payload, hi.Hi1):
        return f"HI1 {_notification(payload)}"
    if not isinstance(payload, tuple):
        return type(payload).__name__
    first = payload[0]
    if isinstance(first, hi.Iri):
        kind = "?" if first.kind is None else _name(hi.IriType, first.kind)
        return f"IRI {kind}"
    return "CC" if first.direction is None else f"CC {_name(hi.Direction, first.direction)}"


def _notification(payload: hi.Hi1) -> str:
    try:
        return hi1.name(hi1.parse(payload.contents))
    except hi.HiError:
        return "?"


def _name(kind: type[hi.IriType] | type[hi.Direction], value: int) -> str:
    try:
        return kind(value).name.replace("_", " ").lower()
    except ValueError:
        return str(value)


def _members(octets: bytes) -> list[tuple[int, str, str]]:
    try:
        lines = describe.lines(octets)
    except hi.HiError:
        return []
    return [(line.offset, line.path, _INLINE.sub(r"\1<withheld>", str(line.value))) for line in lines[:MAX_LINES]]
