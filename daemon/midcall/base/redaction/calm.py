"""Heads and session descriptions of the usual kind, told by their lines: no line has what any rule names.

Each is a proof like those of :mod:`midcall.base.redaction.proofs`, and the quickest: all lines are looked at together,
and what stood in a message before need not be looked at again. Both ask for CRLF at the end of every line, and for no
folded one: then nothing begins in one line and ends in another, but for what is said here.
"""

from __future__ import annotations

import re
from itertools import filterfalse

from midcall.base.bounded import BoundedTable
from midcall.base.redaction import codings, escapes, keys, places, proofs, written
from midcall.base.redaction.rules import Rules
from midcall.base.redaction.text import named

# Some hundred calls, whose messages have most lines in common. A longer one is no usual line.
LINES = 8_192
MAX_LINE = 256
# Headers of one message that tell places: more of them are taken out where time grows as their number does.
MAX_PLACES = 8
_BLANK_LINE = b"\r\n\r\n"
_TICKET = b"a=key-mgmt:"
# All octets but those with which an end of a line begins; below the first visible one are blanks.
_NO_END = bytes(each for each in range(256) if each not in b"\r\n\x0b\x0c\x1c\x1d\x1e\xc2\xe2")
_FIRST_VISIBLE = b"!"
# Names of headers, as names are read, that a rule may name; of codings, which are left to who looks through them.
_CODINGS = (b"e", b"content-encoding", b"content-transfer-encoding")
_ANY_NAME = (*_CODINGS, *written.HEADERS, *places.LOCATION_HEADERS)
_NAMED = re.compile(rb"\n(%b)(?=[:\n])[^\n]*" % b"|".join(map(re.escape, sorted(_ANY_NAME))))
# A line of a body that is none of a session description; with content kept back, its name and information as well.
_NO_LINE = re.compile(rb"\n(?![a-z]=|\Z)")
_NO_LINE_OR_WRITTEN = re.compile(rb"\n(?![a-hj-rt-z]=|s=-\n|\Z)")


class Lines:
    """Lines in which rules name nothing, for who handles messages of the same calls and may keep what stands in them.

    None are kept where the rules leave keys of descriptions in their place.
    """

    __slots__ = ("described", "headers", "known_described", "known_headers", "rules")

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.headers: BoundedTable[bytes, bool] = BoundedTable("base.redaction.headers", LINES)
        self.described: BoundedTable[bytes, bool] = BoundedTable("base.redaction.described", LINES)
        self.known_headers = self.headers.reader()
        self.known_described = self.described.reader()

    def forget(self) -> None:
        """Nobody's lines are kept any more; they are looked at anew."""
        self.headers.clear()
        self.described.clear()

    def learn(self, table: BoundedTable[bytes, bool], lines: list[bytes]) -> None:
        if self.rules.sdes:
            table.put_all([each for each in lines if len(each) <= MAX_LINE], True)


def head(octets: bytes, rules: Rules, known: Lines | None = None) -> bytes | None:
    """Start line and headers as they may go out, themselves or without headers that tell a place.

    None: they have to be looked through. Otherwise none of them names a coding of the body either. ``known``: lines
    of other messages under the same rules.
    """
    if octets[-4:] != _BLANK_LINE:
        return None
    lines = octets.split(b"\r\n")
    del lines[-2:]
    fresh = list(lines if known is None else filterfalse(known.known_headers, lines))
    if not fresh:
        return octets
    text = _text(fresh)
    if _strange(text, fresh):
        return None
    plain = named(text)
    gone = _gone(fresh, plain, rules)
    if gone is None or lines[0] in gone:
        return None
    for line in gone:
        lines.remove(line)
        fresh.remove(line)
    if fresh:
        if gone:
            text = _text(fresh)
            plain = named(text)
        if not _harmless(text, plain, rules):
            return None
        if known is not None:
            known.learn(known.headers, fresh)
    return b"\r\n".join(lines) + _BLANK_LINE if gone else octets


def description(octets: bytes, rules: Rules, known: Lines | None = None) -> bool:
    """Whether all of a session description may go out, whatever headers say of it; False says nothing."""
    if octets[:5] != b"v=0\r\n":
        return False
    lines = octets.split(b"\r\n")
    if not lines[-1]:
        lines.pop()
    fresh = list(lines if known is None else filterfalse(known.known_described, lines))
    if _TICKET in octets:
        tickets = [each for each in fresh if each[: len(_TICKET)] == _TICKET]
        fresh = [each for each in fresh if each[: len(_TICKET)] != _TICKET]
        if not all(_opaque(each, rules) for each in tickets):
            return False
    if fresh:
        text = _text(fresh)
        if _strange(text, fresh) or not _harmless_described(text, rules):
            return False
        if known is not None:
            known.learn(known.described, fresh)
    return True


def _text(lines: list[bytes]) -> bytes:
    return b"\n%b\n" % b"\n".join(lines)


def _strange(text: bytes, lines: list[bytes]) -> bool:
    """Whether lines are folded or empty, or have within them what somebody takes for an end."""
    return min(lines) < _FIRST_VISIBLE or text.translate(None, _NO_END) != b"\n" * (len(lines) + 1)


def _gone(fresh: list[bytes], plain: bytes, rules: Rules) -> list[bytes] | None:
    """The lines of headers that tell a place, if these go; None: there are others to be looked through."""
    gone: list[bytes] = []
    found = _NAMED.search(plain)
    while found is not None:
        name, begin, end = found[1], found.start(), found.end()
        if name in places.LOCATION_HEADERS:
            if rules.location:
                gone.append(fresh[plain.count(b"\n", 0, begin)])
        elif rules.content or name in _CODINGS:
            return None
        if len(gone) > MAX_PLACES:
            return None
        found = _NAMED.search(plain, end)
    return gone


def _harmless(text: bytes, plain: bytes, rules: Rules) -> bool:
    """Whether the rules name nothing in headers but, perhaps, their names."""
    if rules.location and places.hinted(plain):
        return False
    if rules.sdes and keys.hinted(plain):
        return False
    if rules.key_management and keys.manages(plain):
        return False
    if b"charset" in plain and codings.odd_charset(plain):
        return False
    if rules.content and (b"data:" in plain or written.of_values(text) != text):
        return False
    return proofs.nothing_hidden(text, rules)


def _harmless_described(text: bytes, rules: Rules) -> bool:
    """Whether lines are those of a description, show all there is to see, and the rules name nothing in them.

    What is named in any line makes who looks through them stricter with others: with ``k=`` and the forms of places.
    A line may give its first letter to what the line before it spells.
    """
    if (_NO_LINE_OR_WRITTEN if rules.content else _NO_LINE).search(text) is not None or escapes.shows_more(text):
        return False
    plain = named(text)
    if b"-encodin" in plain:
        return False
    if rules.sdes and (b"\nk=" in plain or keys.hinted(plain)):
        return False
    if rules.location and (places.hinted(plain) or places.in_body_unhinted(plain)):
        return False
    return not (rules.key_management and keys.manages(plain))


def _opaque(line: bytes, rules: Rules) -> bool:
    """A ticket that may stay is all of its line. Base64 may spell anything, which counts for nothing."""
    data = keys.in_base64(line)
    if data is None or not rules.key_management:
        return data is not None
    return not rules.ticket and keys.in_clear(data) is False
