"""Questions to the DNS and its answers (RFC 1035, RFC 2782, RFC 3403), as far as finding SIP servers needs them.

A question asks a resolver that does the work; of an answer the records of the type that was asked for are read.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct as Layout
from typing import Final

from msgspec import Struct

from imswire.errors import WireError

MAX_ANSWER: Final = 4_096
"""Octets that a resolver may send in one datagram (RFC 6891 6.2.5)."""
MAX_RECORDS: Final = 128
MAX_NAME: Final = 255
_MAX_LABEL: Final = 63
_MAX_JUMPS: Final = 16

_HEAD = Layout("!6H")
_QUESTION = Layout("!2H")
_RECORD = Layout("!2HIH")
_SRV = Layout("!3H")
_NAPTR = Layout("!2H")
_INTERNET: Final = 1
_RECURSION: Final = 0x0100
_IS_ANSWER: Final = 0x8000
_IS_CUT: Final = 0x0200
_CODE: Final = 0x000F
_OPT = b"\0" + _RECORD.pack(41, MAX_ANSWER, 0, 0)
_POINTER: Final = 0xC0


class DnsError(WireError):
    """Octets that are no answer to the question; ``place`` names the part, ``reason`` the rule."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


class Type(IntEnum):
    """What is asked for."""

    SRV = 33
    NAPTR = 35


class Service(Struct, frozen=True, gc=False):
    """SRV: where a service is. Lower ``priority`` first; among equals by ``weight`` (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


class Pointer(Struct, frozen=True, gc=False):
    """NAPTR: by which service a domain is reached. Lower ``order`` first, then lower ``preference`` (RFC 3403 4.1)."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


class Answer(Struct, frozen=True, gc=False):
    """``ttl``: seconds for which the records hold; ``exists``: the name is there; ``cut``: not all of it fitted."""

    records: tuple[Service | Pointer, ...]
    ttl: int
    exists: bool
    cut: bool


def question(number: int, name: str, kind: Type) -> bytes:
    """``number`` (16 bits) comes back with the answer. DnsError: no name."""
    return _HEAD.pack(number, _RECURSION, 1, 0, 0, 1) + _name(name) + _QUESTION.pack(kind, _INTERNET) + _OPT


def _name(name: str) -> bytes:
    """A name in labels (RFC 1035 3.1)."""
    out = bytearray()
    for label in name.rstrip(".").split("."):
        if not label or not label.isascii() or len(label) > _MAX_LABEL:
            raise DnsError("name", "a label that is empty, too long or not ASCII")
        out += bytes((len(label),)) + label.encode()
    if len(out) >= MAX_NAME:
        raise DnsError("name", f"longer than {MAX_NAME} octets")
    return bytes(out) + b"\0"


def answer(octets: bytes, number: int, name: str, kind: Type) -> Answer:
    """The answer to a question. DnsError: it is another one's, or none at all."""
    if len(octets) < _HEAD.size:
        raise DnsError("head", "too short")
    found, flags, questions, answers, _, _ = _HEAD.unpack_from(octets)
    if found != number or not flags & _IS_ANSWER or questions != 1:
        raise DnsError("head", "no answer to this question")
    asked, place = _read_name(octets, _HEAD.size)
    if asked.lower() != name.rstrip(".").lower() or _unpacked(_QUESTION, octets, place) != (kind, _INTERNET):
        raise DnsError("question", "another one")
    if answers > MAX_RECORDS:
        raise DnsError("head", f"more than {MAX_RECORDS} records")
    place += _QUESTION.size
    records: list[Service | Pointer] = []
    ttl = None
    for _ in range(answers):
        _, place = _read_name(octets, place)
        each, group, life, length = _unpacked(_RECORD, octets, place)
        place += _RECORD.size
        if place + length > len(octets):
            raise DnsError("record", "longer than the answer")
        if (each, group) == (kind, _INTERNET):
            records.append(_service(octets, place) if kind is Type.SRV else _pointer(octets, place, place + length))
            ttl = life if ttl is None else min(ttl, life)
        place += length
    code = flags & _CODE
    if code not in (0, 3):
        raise DnsError("head", f"the resolver failed with code {code}")
    return Answer(tuple(records), ttl or 0, code == 0, bool(flags & _IS_CUT))


def _service(octets: bytes, place: int) -> Service:
    priority, weight, port = _unpacked(_SRV, octets, place)
    return Service(priority, weight, port, _read_name(octets, place + _SRV.size)[0])


def _pointer(octets: bytes, place: int, end: int) -> Pointer:
    order, preference = _unpacked(_NAPTR, octets, place)
    place += _NAPTR.size
    texts = []
    for _ in range(3):
        if place >= end or place + 1 + octets[place] > end:
            raise DnsError("NAPTR", "a string that does not end in it")
        texts.append(octets[place + 1 : place + 1 + octets[place]].decode("latin-1"))
        place += 1 + octets[place]
    return Pointer(order, preference, texts[0].lower(), texts[1].upper(), _read_name(octets, place)[0])


def _unpacked(layout: Layout, octets: bytes, place: int) -> tuple[int, ...]:
    if place + layout.size > len(octets):
        raise DnsError("record", "it ends too early")
    return layout.unpack_from(octets, place)


def _read_name(octets: bytes, place: int) -> tuple[str, int]:
    """A name, and what is behind it. Pointers lead backwards, so that none leads in circles (RFC 1035 4.1.4)."""
    labels: list[str] = []
    behind, length, jumps = None, 0, 0
    while True:
        if place >= len(octets):
            raise DnsError("name", "it ends too early")
        size = octets[place]
        if size & _POINTER == _POINTER:
            to = int.from_bytes(octets[place : place + 2], "big") & ~(_POINTER << 8)
            jumps += 1
            if place + 2 > len(octets) or to >= place or jumps > _MAX_JUMPS:
                raise DnsError("name", "a pointer that leads nowhere")
            behind = place + 2 if behind is None else behind
            place = to
            continue
        if size & _POINTER:
            raise DnsError("name", "a label of an unknown kind")
        place += 1
        if not size:
            return ".".join(labels), place if behind is None else behind
        length += size + 1
        if place + size > len(octets) or length > MAX_NAME:
            raise DnsError("name", "too long")
        labels.append(octets[place : place + size].decode("latin-1"))
        place += size
