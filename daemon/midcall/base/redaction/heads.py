"""Heads of messages: lines that must not go out are left out, values in lines that stay are blanked."""

from __future__ import annotations

import re

from midcall.base.redaction import hidden, keys, places, proofs, written
from midcall.base.redaction.lines import headers, valued, without
from midcall.base.redaction.rules import CONTENT, LOCATION, SDES, Rules
from midcall.base.redaction.text import drop, join, split, squeezed

_LENGTH = frozenset({b"content-length", b"l"})
_CODINGS = frozenset({b"content-encoding", b"e", b"content-transfer-encoding"})
_TYPE = frozenset({b"content-type", b"c"})
# A header in a URI (RFC 3261 19.1.1): up to a blank in a start line, elsewhere blanks and folded lines are part of it.
_FIELD = re.compile(rb"[?&]([^=&>\s\"?]*)=(?:[^&>\r\n\"]|\r?\n[ \t])*")
_FIELD_OF_START = re.compile(rb"[?&]([^=&>\s\"?]*)=[^&>\s\"]*")
# RFC 3261 20.20, 20.39: without its tag a message belongs to no dialog.
_PARTY = re.compile(rb"(from|f|to|t)[ \t]*:.*?(;[ \t]*tag[ \t]*=[ \t]*[\w.!*+`'~-]+)", re.IGNORECASE | re.DOTALL)


def clean(head: bytes, rules: Rules, removed: list[str]) -> bytes:
    """Start line and headers, with their blank line, as they may go out."""
    plain = squeezed(head)
    placed, keyed = rules.location and places.hinted(plain), rules.sdes and keys.hinted(plain)
    if placed:
        head = _said(hidden.without_places(head, start=1), head, LOCATION, removed)
    if rules.content and not proofs.nothing_written(head):
        head = _said(written.of_values(without(_to_blank_line(head), written.HEADERS)), head, CONTENT, removed)
    if keyed:
        head = _said(_keyless(head), head, SDES, removed)
    left = squeezed(head) if placed or keyed else b""
    managed = rules.key_management and keys.manages(plain)
    if not managed and not hidden.hints(left, rules) and proofs.nothing_hidden(head, rules):
        return head
    return _looked_through(head, rules, removed)


def for_body(head: bytes, length: int, *, decoded: bool, as_sdp: bool) -> bytes:
    """Header lines that describe the body which is left, in their places."""
    head = valued(head, _LENGTH, b"%d" % length)
    if decoded or as_sdp:
        head = without(head, _CODINGS)
    return valued(head, _TYPE, b"application/sdp") if as_sdp else head


def without_codings(head: bytes) -> bytes:
    return without(head, _CODINGS, start=0)


def _said(new: bytes, old: bytes, what: str, removed: list[str]) -> bytes:
    if new != old:
        removed.append(what)
    return new


def _keyless(head: bytes) -> bytes:
    """Blanks are no part of a key in a start line, as they part its words."""
    start, end, rest = head.partition(b"\n")
    return b" ".join(map(keys.of_header, start.split(b" "))) + end + keys.of_header(rest)


# What is escaped, or stands where nobody would look for it


def _looked_through(head: bytes, rules: Rules, removed: list[str]) -> bytes:
    """A header that still holds what the rules name loses it where it stands in a URI; else the header goes."""
    kept: list[tuple[bytes, bytes]] = []
    for at, lines in enumerate(headers(head)):
        header, end = join(lines), lines[-1][1]
        found = hidden.in_header(header, rules)
        removed += found
        if not found:
            kept += lines
            continue
        left = _less(header[: len(header) - len(end)], rules, start=at == 0)
        if left is not None:
            kept.append((left, end))
        else:
            drop(kept, end)
    return join(kept)


def _less(header: bytes, rules: Rules, *, start: bool) -> bytes | None:
    """As much of a header or start line as may stay, without its end."""

    def blanked(found: re.Match[bytes]) -> bytes:
        return found[0][:1] + found[1] + b"=-" if hidden.in_header(found[0], rules) else found[0]

    left = (_FIELD_OF_START if start else _FIELD).sub(blanked, header)
    if not hidden.in_header(left, rules):
        return left
    if start:
        return _bare(header)
    party = _PARTY.match(header)
    left = b"" if party is None else party[1] + b": <sip:->" + party[2]
    return left if left and not hidden.in_header(left, rules) else None


def _bare(start: bytes) -> bytes:
    """A start line without what it says: method and version, or version and status."""
    words = split(start)[0][0].split()
    if words[0].upper().startswith(b"SIP/"):
        return b" ".join([*words[:2], b"-"])
    return b" ".join([words[0], b"sip:-", words[-1] if words[-1].upper().startswith(b"SIP/") else b"SIP/2.0"])


def _to_blank_line(head: bytes) -> bytes:
    """What stands behind a blank line of another form is content to whoever sees that line first."""
    lines = split(head)
    plain = [end.strip(b"\r\n") == b"" for _, end in lines]
    blanks = (at for at, (text, _) in enumerate(lines) if at and not text and plain[at] and plain[at - 1])
    blank = next(blanks, len(lines))
    if not any(text for text, _ in lines[blank:]):
        return head
    return join(lines[:blank]).rstrip(b"\r\n") + (b"\r\n\r\n" if lines[0][1] == b"\r\n" else b"\n\n")
