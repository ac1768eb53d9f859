"""Bodies: session descriptions lose lines, parts that must not go out leave whole, every other octet stays."""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

from midcall.base.redaction import calm, codings, heads, hidden, keys, places, proofs
from midcall.base.redaction.rules import CONTENT, LOCATION, SDES, TICKET, TRAILING, UNREADABLE, Rules
from midcall.base.redaction.text import edited, split, squeezed

# Parts and nesting up to which a body is looked into: more than the parser of messages reads.
MAX_PARTS = 64
MAX_DEPTH = 6
_BOUNDARY = re.compile(rb"boundary\s*=\s*(?:\"([^\"]+)\"|([^\s;,\"]+))", re.IGNORECASE)
# Boundaries that readers put together in ways of their own: RFC 2231 3, quoted pairs.
_ODD_BOUNDARY = re.compile(rb"boundary\s*\*|boundary\s*=[^;]*\\", re.IGNORECASE)
_BLANK = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")
_FOLD = re.compile(rb"(?:\r\n|\n|\r)[ \t]+")
_NESTED = (b"content-encoding", b"content-transfer-encoding")
_NESTED_COMPACT = re.compile(rb"e:(?:x-)?(?:gzip|deflate|compress|br|zstd)")
# RFC 2045 6.4: codings that a body of parts must not have.
_NOT_OF_PARTS = frozenset({b"base64", b"quoted-printable"})
# A line that goes on in the next one to who reads it as quoted-printable.
_SOFT_END = re.compile(rb"=[ \t]*\r?\n")
_NAMES = ((b"content-type", b"c"), (b"content-encoding", b"e"), (b"content-transfer-encoding",))
_LINE = re.compile(rb"[a-z]=")


class Entity(Struct, frozen=True, gc=False):
    """What headers say of a body: its Content-Type, and the codings in the order in which they were applied."""

    kind: bytes
    coded: tuple[bytes, ...] = ()


class Body(Struct, frozen=True, gc=False):
    """A body that may go out; ``decoded``: its codings are gone, as it could only be changed in clear."""

    octets: bytes
    decoded: bool = False


class Walk:
    """One message being looked through: the rules, what they took so far, octets that may still come of codings.

    ``known``: lines of other messages under the same rules. ``placed``: a part tells a place, as the head says.
    """

    def __init__(self, rules: Rules, removed: list[str], known: calm.Lines | None = None) -> None:
        self.rules = rules
        self.known = known
        self.removed = removed
        self.placed = False
        self._left = codings.MAX_DECODED

    def decoded(self, coded: list[bytes], octets: bytes) -> bytes | None:
        plain = codings.decoded(coded, octets, self._left)
        self._left -= 0 if plain is None else len(plain)
        return plain


def entity(head: bytes) -> Entity:
    """What a head says of its body, in lines as anybody may split them; of several values all hold."""
    values: dict[bytes, list[bytes]] = {}
    for line, _ in split(_FOLD.sub(b" ", head)):
        name, _, value = line.partition(b":")
        values.setdefault(squeezed(name), []).append(value.strip())
    kind, coding, transfer = (b",".join(each for name in names for each in values.get(name, ())) for names in _NAMES)
    return Entity(kind, (*codings.names(coding), *codings.names(transfer)))


def clean(what: Entity, octets: bytes, walk: Walk, depth: int = 0) -> Body | None:
    """The body, or part of one, as it may go out; None: not at all."""
    if what.coded:
        return _clean_coded(what, octets, walk, depth)
    if b"multipart/" in squeezed(what.kind):
        boundaries = {quoted or plain for quoted, plain in _BOUNDARY.findall(what.kind)}
        if len(boundaries) > 1 or _ODD_BOUNDARY.search(what.kind):
            return _of_any_boundary(what, octets, walk, depth)
        if boundaries:
            return _multipart(boundaries.pop(), octets, walk, depth)
    return _leaf(what, octets, walk, depth)


def session_stays(octets: bytes, walk: Walk) -> bool:
    """Whether it is proved that all of a session description may go out, whatever Content-Type is given."""
    return calm.description(octets, walk.rules, walk.known) or proofs.session_stays(octets, walk.rules)


def session(octets: bytes, walk: Walk) -> bytes | None:
    """A session description as it may go out; None: with content kept back, it is none."""
    if session_stays(octets, walk):
        return octets
    octets = _lines(octets, walk, described=True)
    found = hidden.in_description(octets, walk.rules)
    walk.removed.extend(found)
    if found:
        return None
    if not walk.rules.content:
        return octets
    if not is_session(octets):
        walk.removed.append(CONTENT)
        return None
    plain = edited(octets, _unwritten)
    if plain != octets:
        walk.removed.append(CONTENT)
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


def _unreadable(walk: Walk) -> None:
    walk.removed.extend([LOCATION, UNREADABLE] if walk.rules.location else [UNREADABLE])


def _clean_coded(what: Entity, octets: bytes, walk: Walk, depth: int) -> Body | None:
    of_parts = b"multipart/" in squeezed(what.kind) and not _NOT_OF_PARTS.isdisjoint(what.coded)
    plain = None if of_parts else walk.decoded(list(what.coded), octets)
    if plain is None or depth > MAX_DEPTH:
        _unreadable(walk)
        return None
    found = hidden.beside(octets, walk.rules)
    walk.removed.extend(found)
    if found:
        return None
    left = clean(Entity(what.kind), plain, walk, depth + 1)
    if left is None:
        return None
    return Body(octets) if left.octets == plain else Body(left.octets, decoded=True)


# Leaves


def _leaf(what: Entity, octets: bytes, walk: Walk, depth: int) -> Body | None:
    plain, described = squeezed(octets), _looks_described(octets)
    kind = squeezed(what.kind)
    placed = walk.rules.location and ((walk.placed and plain) or places.in_body(kind) or places.in_body(plain))
    if placed and not described:
        walk.removed.append(LOCATION)
        return None
    if codings.odd_charset(kind) or codings.odd_xml(octets, plain):
        _unreadable(walk)
        return None
    if b"mikey" in kind and walk.rules.key_management and not (described or _mikey_stays(octets, walk.rules)):
        walk.removed.append(TICKET)
        return None
    if not _shows_its_coding(what, octets, walk, depth):
        return None
    if _nested(octets, plain):
        _unreadable(walk)
        return None
    left = _lines(octets, walk, described=described)
    found = hidden.in_description(left, walk.rules) if described else hidden.in_text(left, walk.rules)
    if left != octets and not described and walk.rules.sdes and _SOFT_END.search(octets):
        found.append(SDES)  # a key may go on behind what went
    walk.removed.extend(found)
    return None if found else Body(left)


def _mikey_stays(octets: bytes, rules: Rules) -> bool:
    """Whether a MIKEY message by itself may stay, as that of a=key-mgmt: then it is looked through as any body."""
    return not rules.ticket and keys.message_in_clear(octets) is False


def _shows_its_coding(what: Entity, octets: bytes, walk: Walk, depth: int) -> bool:
    """Whether a body without the label of a coding has none, or nothing to lose behind it."""
    coding = codings.unlabelled(octets)
    if not coding:
        return True
    before = len(walk.removed)
    inner = walk.decoded(coding, octets)
    # Base64 by chance is no coding; gzip is one always.
    if inner is None and coding != [b"base64"]:
        _unreadable(walk)
    if inner is not None and depth <= MAX_DEPTH:
        clean(Entity(what.kind), inner, walk, depth + 1)
    return len(walk.removed) == before


def _nested(octets: bytes, plain: bytes) -> bool:
    """Whether somebody may find heads of parts with codings in it."""
    if any(each in plain for each in _NESTED):
        return True
    if _NESTED_COMPACT.search(plain) is None:
        return False
    return any(_NESTED_COMPACT.match(squeezed(text)) for text, _ in split(_FOLD.sub(b" ", octets)))


def _lines(octets: bytes, walk: Walk, *, described: bool) -> bytes:
    """Lines without what the rules name; in a session description a place is a line, not the whole."""
    plain = squeezed(octets)
    if walk.rules.sdes and (keys.hinted_in_description if described else keys.hinted)(plain):
        new = keys.without(octets, described=described)
        walk.removed.extend([SDES] if new != octets else [])
        octets = new
    if walk.rules.key_management and keys.manages(plain):
        octets = _ticketless(octets, walk)
    if walk.rules.location and (places.hinted(plain) or (described and places.in_body_unhinted(plain))):
        octets = _placeless(octets, walk, described=described)
    return octets


def _ticketless(octets: bytes, walk: Walk) -> bytes:
    if walk.rules.ticket:
        return _edit(octets, lambda line: None if keys.is_key_management(line) else line, TICKET, walk)
    unreadable: list[str] = []

    def kept(line: bytes) -> bytes | None:
        if not keys.manages(squeezed(line)):
            return line
        in_clear = keys.anybody_reads(line)
        unreadable.extend([UNREADABLE] if in_clear is None else [])
        return line if in_clear is False else None

    octets = _edit(octets, kept, TICKET, walk)
    walk.removed.extend(unreadable[:1])
    return octets


def _placeless(octets: bytes, walk: Walk, *, described: bool) -> bytes:
    if described:
        return _edit(octets, _placeless_line, LOCATION, walk)
    new = hidden.without_places(octets)
    if new != octets:
        walk.removed.append(LOCATION)
    return new


def _placeless_line(line: bytes) -> bytes | None:
    """Base64 of a ticket may spell anything."""
    if keys.is_key_management(line):
        return line
    return None if places.in_body(squeezed(line)) else places.of_header(line)


def _edit(octets: bytes, edit: Callable[[bytes], bytes | None], what: str, walk: Walk) -> bytes:
    new = edited(octets, edit)
    if new != octets:
        walk.removed.append(what)
    return new


# Parts


def _of_any_boundary(what: Entity, octets: bytes, walk: Walk, depth: int) -> Body | None:
    """Readers differ in where parts begin: only a description has none for anybody."""
    if _looks_described(octets):
        return _leaf(what, octets, walk, depth)
    _unreadable(walk)
    return None


def _multipart(boundary: bytes, octets: bytes, walk: Walk, depth: int) -> Body | None:
    delimiters = list(re.finditer(rb"(?:\A|\r\n|\n|\r)--" + re.escape(boundary) + rb"(--)?([^\r\n]*)", octets))
    if len(delimiters) > MAX_PARTS or depth > MAX_DEPTH:
        _unreadable(walk)
        return None
    if not delimiters:
        return _leaf(Entity(b""), octets, walk, depth)
    preamble = _leaf(Entity(b""), octets[: delimiters[0].start()], walk, depth)
    kept = [b"" if preamble is None else preamble.octets]
    ends = [each.start() for each in delimiters[1:]] + [len(octets)]
    left = 0
    for delimiter, end in zip(delimiters, ends, strict=True):
        part = _part(octets[delimiter.end() : end], walk, depth)
        closing = delimiter[1] is not None
        if part is not None or closing:
            kept += [_delimiter(delimiter, walk), part or b""]
            left += not closing
    return Body(b"".join(kept)) if left else None


def _delimiter(found: re.Match[bytes], walk: Walk) -> bytes:
    """Its line without text behind the boundary, of which some make nothing and others a line of its own."""
    text = found[2]
    if not text.strip(b" \t"):
        return found[0]
    walk.removed.extend([TRAILING, *hidden.beside(text, walk.rules)])
    return found[0][: len(found[0]) - len(text)]


def _part(octets: bytes, walk: Walk, depth: int) -> bytes | None:
    """Headers, blank line and content between two delimiter lines."""
    blank = _BLANK.search(octets)
    at = 0 if blank is None else blank.end()
    head, content = octets[:at], octets[at:]
    left = clean(entity(head), content, walk, depth + 1)
    if left is None:
        return None
    head = _lines(head, walk, described=False)
    found = hidden.beside(head, walk.rules)
    walk.removed.extend(found)
    if found:
        return None
    return (heads.without_codings(head) if left.decoded else head) + left.octets
