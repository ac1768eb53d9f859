"""Heads of messages: lines that must not go out are left out, values in lines that stay are blanked."""

from __future__ import annotations

from midcall.base.redaction import keys, places, proofs
from midcall.base.redaction.rules import CONTENT, LOCATION, SDES, Rules
from midcall.base.redaction.text import drop, join, named, plain_ends, split, squeezed

_SUBJECT = frozenset({b"subject", b"s"})
_LENGTH = frozenset({b"content-length", b"l"})
_CODINGS = frozenset({b"content-encoding", b"e", b"content-transfer-encoding"})
_TYPE = frozenset({b"content-type", b"c"})


def clean(head: bytes, rules: Rules, removed: list[str]) -> bytes:
    """Start line and headers, with their blank line, as they may go out."""
    plain = squeezed(head)
    if rules.location and places.hinted(plain):
        head = _said(without_places(head, start=1), head, LOCATION, removed)
    if rules.content and not proofs.nothing_written(head):
        head = _said(proofs.WRITTEN.sub(rb"\1", _without(_to_blank_line(head), _SUBJECT)), head, CONTENT, removed)
    if rules.sdes and keys.hinted(plain):
        head = _said(keys.of_header(head), head, SDES, removed)
    return head


def for_body(head: bytes, length: int, *, decoded: bool, as_sdp: bool) -> bytes:
    """Header lines that describe the body which is left, in their places."""
    head = _valued(head, _LENGTH, b"%d" % length)
    if decoded or as_sdp:
        head = _without(head, _CODINGS)
    return _valued(head, _TYPE, b"application/sdp") if as_sdp else head


def without_places(octets: bytes, start: int = 0) -> bytes:
    """Without those headers and values of others that tell a place.

    Lines of a body may be another message or a fragment of one (RFC 3420): all of them may be headers.
    """
    left = _without(octets, places.LOCATION_HEADERS, start)
    # Values are sought by expressions that cost more than all else.
    return left if proofs.no_place(left) else places.of_header(left)


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
    if plain_ends(head):
        return _without_plain(head, names, start)
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


def _without_plain(head: bytes, names: frozenset[bytes], start: int) -> bytes:
    """The same where CRLF alone ends lines: then no line is torn, and all names are read at once."""
    named_so = [line.partition(b":")[0] in names for line in named(head).split(b"\n")]
    named_so[:start] = [False] * start
    if True not in named_so:
        return head
    kept, dropping = [], False
    for text, begins in zip(head.split(b"\r\n"), named_so, strict=True):
        dropping = begins or (dropping and _folded(text))
        if not dropping:
            kept.append(text)
    if dropping and kept:
        kept.append(b"")  # what went ended with the octets: the line before it keeps its own end
    return b"\r\n".join(kept)


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
