"""Octets as those see them who undo escapes: of URIs (RFC 3986 2.1), JSON (RFC 8259 7), XML (4.1 of its specification)
and quoted-printable (RFC 2045 6.7), asked for or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

# A URI in a URI in a URI; nothing that is meant well goes deeper.
MAX_ESCAPES = 4
_ESCAPE = re.compile(
    rb"%([0-9a-f]{2})|\\u([0-9a-f]{4})|\\x([0-9a-f]{2})|\\([bfnrt\"/\\])|&#x([0-9a-f]{1,6});?|&#([0-9]{1,7});?"
    rb"|&(amp|lt|gt|quot|apos);",
    re.IGNORECASE,
)
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_NAMES = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}
_QUOTED = re.compile(rb"=(?:([0-9a-f]{2})|[ \t]*(?:\r?\n|\r|\Z))", re.IGNORECASE)
# What stands for a letter or mark of ASCII: the others change no name.
_QUOTING = re.compile(rb"=[2-7][0-9A-Fa-f]")
_SOFT_END = re.compile(rb"=[ \t]*[\r\n]")
# RFC 6350 3.2, RFC 5545 3.1: whoever unfolds takes the blank with the end.
_FOLD = re.compile(rb"\r?\n[ \t]")
_LAST = 0x10FFFF


def escaped(octets: bytes) -> bool:
    """Whether anything may be an escape; those of quoted-printable are not asked for."""
    return b"%" in octets or b"\\" in octets or b"&" in octets


def unescaped(octets: bytes) -> bytes | None:
    """Without escapes but those of quoted-printable, and without those that come of them; None: too deep."""
    for _ in range(MAX_ESCAPES):
        if not escaped(octets):
            return octets
        plain = _once(octets)
        if plain == octets:
            return octets
        octets = plain
    return octets if _once(octets) == octets else None


def unquoted(octets: bytes) -> bytes:
    """As quoted-printable to a reader who makes something of whatever stands there."""
    return _QUOTED.sub(lambda found: b"" if found[1] is None else bytes.fromhex(found[1].decode()), octets)


def readings(octets: bytes, *, described: bool = False) -> Iterator[bytes | None]:
    """What a body may be to others, besides what it is; None: something that nobody looks through.

    Lines of a session description end with = as base64 does, and the next one begins as none that would go on.
    """
    if escaped(octets):
        plain = unescaped(octets)
        if plain != octets:
            yield plain
    if not described and _FOLD.search(octets) is not None:
        yield _FOLD.sub(b"", octets)
    if _QUOTING.search(octets) or not (described or _SOFT_END.search(octets) is None):
        whole = unquoted(octets)
        yield whole
        plain = unescaped(whole)
        if plain != whole:
            yield plain


def shows_more(described: bytes) -> bool:
    """Whether lines of a session description may be anything else to others."""
    return escaped(described) or _QUOTING.search(described) is not None


def _once(octets: bytes) -> bytes:
    if b"\\" in octets or b"&" in octets:
        return _ESCAPE.sub(_octets, octets)
    return unquote_to_bytes(octets)


def _octets(found: re.Match[bytes]) -> bytes:
    octet, *points, letter, hexadecimal, decimal, name = found.groups()
    if octet:
        return bytes.fromhex(octet.decode())
    if letter:
        return _LETTERS.get(letter.lower(), letter)
    if name:
        return _NAMES[name.lower()]
    digits = points[0] or points[1] or hexadecimal
    return _character(int(decimal) if decimal else int(digits, 16)) or found[0]


def _character(point: int) -> bytes:
    return chr(point).encode("utf-8", "surrogatepass") if point <= _LAST else b""
