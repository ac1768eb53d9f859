"""Bodies: session descriptions lose lines, parts that must not go out leave whole, every other octet stays."""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

from midcall.base.redaction import codings, heads, keys, places
from midcall.base.redaction.rules import CONTENT, LOCATION, SDES, TICKET, UNREADABLE, Rules
from midcall.base.redaction.text import edited, split, squeezed

# Parts and nesting up to which a body is looked into: more than the parser of messages reads.
MAX_PARTS = 64
MAX_DEPTH = 6
_BOUNDARY = re.compile(rb"boundary\s*=\s*(?:\"([^\"]+)\"|([^\s;,\"]+))", re.IGNORECASE)
_BLANK = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")
_FOLD = re.compile(rb"(?:\r\n|\n|\r)[ \t]+")
_NESTED = re.compile(rb"content-(?:transfer-)?encoding", re.IGNORECASE)
_LINE = re.compile(rb"[a-z]=")


class Entity(Struct, frozen=True, gc=False):
    """What headers say of a body: its Content-Type, and the codings in the order in which they were applied."""

    kind: bytes
    coded: tuple[bytes, ...] = ()


class Body(Struct, frozen=True, gc=False):
    """A body that may go out; ``decoded``: its codings are gone, as it could only be changed in clear."""

    octets: bytes
    decoded: bool = False


def entity(kind: bytes, coding: bytes, transfer: bytes) -> Entity:
    return Entity(kind, (*codings.names(coding), *codings.names(transfer)))


def clean(what: Entity, octets: bytes, rules: Rules, removed: list[str], depth: int = 0) -> Body | None:
    """The body, or part of one, as it may go out; None: not at all."""
    if what.coded:
        return _clean_coded(what, octets, rules, removed, depth)
    if b"multipart/" in squeezed(what.kind):
        boundary = _BOUNDARY.search(what.kind)
        if boundary is not None:
            return _multipart(boundary[1] or boundary[2], octets, rules, removed, depth)
    return _leaf(what, octets, rules, removed, depth)


def session(octets: bytes, rules: Rules, removed: list[str]) -> bytes | None:
    """A session description as it may go out; None: with content kept back, it is none."""
    octets = _lines(octets, rules, removed, described=True)
    if not rules.content:
        return octets
    if not is_session(octets):
        removed.append(CONTENT)
        return None
    plain = edited(octets, _unwritten)
    if plain != octets:
        removed.append(CONTENT)
    return plain


def is_session(octets: bytes) -> bool:
    """Whether all of it has the form of a session description (RFC 4566 5)."""
    lines = [text for text, _ in split(octets.rstrip(b"\r\n\0"))]
    return lines[0].rstrip() == b"v=0" and all(_LINE.match(each) for each in lines)


def _looks_described(octets: bytes) -> bool:
    """The same to a reader who passes over blanks, control characters and a mark of byte order."""
    lines = [each for each in (squeezed(text) for text, _ in split(octets)) if each]
    return bool(lines) and lines[0] == b"v=0" and all(_LINE.match(each) for each in lines)


def _unwritten(line: bytes) -> bytes | None:
    """Session name and information are what somebody wrote; a name there must be (RFC 4566 5.3)."""
    if line.startswith(b"i="):
        return None
    return b"s=-" if line.startswith(b"s=") and line[2:].strip() else line


def _unreadable(rules: Rules, removed: list[str]) -> None:
    removed.extend([LOCATION, UNREADABLE] if rules.location else [UNREADABLE])


def _clean_coded(what: Entity, octets: bytes, rules: Rules, removed: list[str], depth: int) -> Body | None:
    plain = codings.decoded(list(what.coded), octets)
    if plain is None or depth > MAX_DEPTH:
        _unreadable(rules, removed)
        return None
    left = clean(Entity(what.kind), plain, rules, removed, depth + 1)
    if left is None:
        return None
    return Body(octets) if left.octets == plain else Body(left.octets, decoded=True)


# Leaves


def _leaf(what: Entity, octets: bytes, rules: Rules, removed: list[str], depth: int) -> Body | None:
    described = _looks_described(octets)
    if rules.location and not described and places.in_body(what.kind, octets):
        removed.append(LOCATION)
        return None
    hidden = codings.unlabelled(octets)
    if hidden:
        found: list[str] = []
        plain = codings.decoded(hidden, octets)
        # Base64 by chance is no coding; gzip is one always.
        if plain is None and hidden != [b"base64"]:
            _unreadable(rules, removed)
            return None
        if plain is not None and depth <= MAX_DEPTH:
            clean(Entity(what.kind), plain, rules, found, depth + 1)
        if found:
            removed.extend(found)
            return None
    if _NESTED.search(octets):
        _unreadable(rules, removed)
        return None
    return Body(_lines(octets, rules, removed, described=described))


def _lines(octets: bytes, rules: Rules, removed: list[str], *, described: bool) -> bytes:
    """Lines without what the rules name; in a session description a place is a line, not the whole."""
    plain = squeezed(octets)
    if rules.sdes and keys.hinted(plain):
        octets = _edit(octets, keys.of_line, SDES, removed)
    if (rules.ticket or rules.content) and b"key-mgmt:" in plain:
        unwanted = keys.is_key_management if rules.ticket else keys.anybody_reads
        octets = _edit(octets, lambda line: None if unwanted(line) else line, TICKET, removed)
    if rules.location and places.hinted(plain):
        octets = _placeless(octets, removed, described=described)
    return octets


def _placeless(octets: bytes, removed: list[str], *, described: bool) -> bytes:
    if described:
        return _edit(octets, lambda line: None if places.in_body(b"", line) else line, LOCATION, removed)
    new = heads.without_places(octets)
    if new != octets:
        removed.append(LOCATION)
    return new


def _edit(octets: bytes, edit: Callable[[bytes], bytes | None], what: str, removed: list[str]) -> bytes:
    new = edited(octets, edit)
    if new != octets:
        removed.append(what)
    return new


# Parts


def _multipart(boundary: bytes, octets: bytes, rules: Rules, removed: list[str], depth: int) -> Body | None:
    delimiters = list(re.finditer(rb"(?:\A|\r\n|\n|\r)--" + re.escape(boundary) + rb"[^\r\n]*", octets))
    if len(delimiters) > MAX_PARTS or depth > MAX_DEPTH:
        _unreadable(rules, removed)
        return None
    if not delimiters:
        return _leaf(Entity(b""), octets, rules, removed, depth)
    kept = [_lines(octets[: delimiters[0].start()], rules, removed, described=False)]
    ends = [each.start() for each in delimiters[1:]] + [len(octets)]
    left = 0
    for delimiter, end in zip(delimiters, ends, strict=True):
        closing = delimiter[0].rstrip().endswith(boundary + b"--")
        part = _part(octets[delimiter.end() : end], rules, removed, depth)
        if part is not None or closing:
            kept += [delimiter[0], part or b""]
            left += not closing
    return Body(b"".join(kept)) if left else None


def _part(octets: bytes, rules: Rules, removed: list[str], depth: int) -> bytes | None:
    """Headers, blank line and content between two delimiter lines."""
    blank = _BLANK.search(octets)
    at = 0 if blank is None else blank.end()
    head, content = octets[:at], octets[at:]
    left = clean(_part_entity(head), content, rules, removed, depth + 1)
    if left is None:
        return None
    head = _lines(head, rules, removed, described=False)
    return (heads.without_codings(head) if left.decoded else head) + left.octets


def _part_entity(head: bytes) -> Entity:
    values: dict[bytes, list[bytes]] = {}
    for line, _ in split(_FOLD.sub(b" ", head)):
        name, _, value = line.partition(b":")
        values.setdefault(squeezed(name), []).append(value.strip())
    found = (b",".join(each for name in names for each in values.get(name, ())) for names in _NAMES)
    return entity(*found)


_NAMES = ((b"content-type", b"c"), (b"content-encoding", b"e"), (b"content-transfer-encoding",))
