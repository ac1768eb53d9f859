"""Lines as any receiver may see them: whatever somebody takes for a line end is one, and blanks hide nothing."""

from __future__ import annotations

import re
from collections.abc import Callable

# CR, LF, VT, FF, the separators of ASCII, NEL, U+2028 and U+2029. A run of CR is looked along from its first alone, as
# one that no LF ends would be walked again from each of them.
_END = re.compile(rb"((?<!\r)\r+\n|[\r\n\x0b\x0c\x1c-\x1e]|\xc2\x85|\xe2\x80[\xa8\xa9])")
# All but octets with which an end other than CR and LF begins.
_NO_ODD_END = bytes(each for each in range(256) if each not in b"\x0b\x0c\x1c\x1d\x1e\xc2\xe2")
# Blanks, control characters and all that is not ASCII: NUL between the octets of UTF-16, a BOM, NBSP.
_HIDING = bytes([*range(0x21), *range(0x7F, 0x100)])
_HIDING_IN_LINES = _HIDING.replace(b"\n", b"")
_WHOLE = re.compile(rb"[^\n]*\n|[^\n]+")
_LOWER = bytes(range(256)).lower()


def squeezed(octets: bytes) -> bytes:
    """In lower case, without whatever may stand between letters unseen."""
    return octets.translate(_LOWER, _HIDING)


def visible(octets: bytes) -> bytes:
    """As :func:`squeezed`, with the case kept."""
    return octets.translate(None, _HIDING)


def named(octets: bytes) -> bytes:
    """As :func:`squeezed`, with the LF of each line kept: of octets with plain ends, all lines as names are read."""
    return octets.translate(_LOWER, _HIDING_IN_LINES)


def plain_ends(octets: bytes) -> bool:
    """Whether CRLF ends each line, and nothing else can be taken for an end."""
    pairs = octets.count(b"\r\n")
    return pairs == octets.count(b"\n") == octets.count(b"\r") and not octets.translate(None, _NO_ODD_END)


def split(octets: bytes) -> list[tuple[bytes, bytes]]:
    """Text and end of each line; the last end may be empty."""
    if plain_ends(octets):
        *lines, last = octets.split(b"\r\n")
        return [*((each, b"\r\n") for each in lines), (last, b"")]
    pieces = _END.split(octets)
    return list(zip(pieces[::2], [*pieces[1::2], b""], strict=True))


def join(lines: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(text + end for text, end in lines)


def drop(kept: list[tuple[bytes, bytes]], end: bytes) -> None:
    """A line behind ``kept`` is left out: an odd end before it, which others pass over, is replaced by its own."""
    if kept and end and kept[-1][1] and not kept[-1][1].endswith(b"\n"):
        kept[-1] = (kept[-1][0], end)


def edited(octets: bytes, edit: Callable[[bytes], bytes | None]) -> bytes:
    """Each line as ``edit`` gives it; None leaves it out, with what follows to the next end that nobody passes over."""
    kept: list[tuple[bytes, bytes]] = []
    plain_end = b"\n" if b"\n" in octets else b"\r"
    torn = False
    for text, end in split(octets):
        new = None if torn else text and edit(text)
        torn = new is None and not end.endswith(plain_end)
        if new is None:
            drop(kept, end)
        else:
            kept.append((new, end))
    return join(kept)


def edited_whole(octets: bytes, edit: Callable[[bytes], bytes | None]) -> bytes:
    """The same to a reader for whom a line ends at LF alone."""
    lines = (edit(line) for line in _WHOLE.findall(octets))
    return b"".join(each for each in lines if each is not None)
