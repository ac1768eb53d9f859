"""Heads of messages: lines that must not go out are left out, values in lines that stay are blanked."""

from __future__ import annotations

import re

from midcall.base.redaction import keys, places
from midcall.base.redaction.rules import CONTENT, LOCATION, SDES, Rules
from midcall.base.redaction.text import drop, join, split, squeezed

_SUBJECT = frozenset({b"subject", b"s"})
_LENGTH = frozenset({b"content-length", b"l"})
_CODINGS = frozenset({b"content-encoding", b"e", b"content-transfer-encoding"})
_TYPE = frozenset({b"content-type", b"c"})
# Headers in a URI (RFC 3261 19.1.1) that carry what somebody wrote; letters may be escaped.
_WRITTEN = re.compile(
    rb"([?&](?:(?:b|%62)(?:o|%6f)(?:d|%64)(?:y|%79)|subject)=)[^&>\s\"]+",
    re.IGNORECASE,
)


def clean(head: bytes, rules: Rules, removed: list[str]) -> bytes:
    """Start line and headers, with their blank line, as they may go out."""
    plain = squeezed(head)
    if rules.location and places.hinted(plain):
        head = _said(places.of_header(_without(head, places.LOCATION_HEADERS)), head, LOCATION, removed)
    if rules.content:
        head = _said(_WRITTEN.sub(rb"\1", _without(_to_blank_line(head), _SUBJECT)), head, CONTENT, removed)
    if rules.sdes and keys.hinted(plain):
        head = _said(keys.of_header(head), head, SDES, removed)
    return head


def for_body(head: bytes, length: int, *, decoded: bool, as_sdp: bool) -> bytes:
    """Header lines that describe the body which is left, in their places."""
    head = _valued(head, _LENGTH, b"%d" % length)
    if decoded or as_sdp:
        head = _without(head, _CODINGS)
    return _valued(head, _TYPE, b"application/sdp") if as_sdp else head


def without_places(octets: bytes) -> bytes:
    """Lines of a body, which may be another message or a fragment of one (RFC 3420), without those headers."""
    return places.of_header(_without(octets, places.LOCATION_HEADERS, start=0))


def without_codings(head: bytes) -> bytes:
    return _without(head, _CODINGS, start=0)


def _said(new: bytes, old: bytes, what: str, removed: list[str]) -> bytes:
    if new != old:
        removed.append(what)
    return new


def _name(line: bytes) -> bytes:
    return squeezed(line.partition(b":")[0])


def _folded(line: bytes) -> bool:
    return line[:1] in (b" ", b"\t")


def _without(head: bytes, names: frozenset[bytes], start: int = 1) -> bytes:
    """Lines of these names go, with the folded lines behind them; the first ``start`` lines are no headers.

    A folded line that begins like one goes as well: who does not unfold reads it so.
    """
    lines = split(head)
    kept, dropping, torn = lines[:start], False, False
    for text, end in lines[start:]:
        dropping = (dropping and (torn or _folded(text))) or _name(text) in names
        torn = not end.endswith(b"\n")
        if dropping:
            drop(kept, end)
        else:
            kept.append((text, end))
    return join(kept)


def _valued(head: bytes, names: frozenset[bytes], value: bytes) -> bytes:
    """Lines of these names get a value; folded lines behind them go."""
    lines = split(head)
    kept, dropping, torn = lines[:1], False, False
    for text, end in lines[1:]:
        if dropping and (torn or _folded(text)):
            drop(kept, end)
            torn = not end.endswith(b"\n")
            continue
        dropping = not _folded(text) and _name(text) in names
        torn = not end.endswith(b"\n")
        kept.append((text.partition(b":")[0].rstrip() + b": " + value if dropping else text, end))
    return join(kept)


def _to_blank_line(head: bytes) -> bytes:
    """What stands behind a blank line of another form is content to whoever sees that line first."""
    lines = split(head)
    plain = [end.strip(b"\r\n") == b"" for _, end in lines]
    blanks = (at for at, (text, _) in enumerate(lines) if at and not text and plain[at] and plain[at - 1])
    blank = next(blanks, len(lines))
    if not any(text for text, _ in lines[blank:]):
        return head
    return join(lines[:blank]).rstrip(b"\r\n") + (b"\r\n\r\n" if lines[0][1] == b"\r\n" else b"\n\n")
