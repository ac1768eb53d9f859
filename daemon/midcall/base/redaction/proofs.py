"""Cheap proofs that looking line by line would take nothing away; most messages have them.

Every proof asks for more than it must: what it does not know is left to the careful way, never the other way round.
None is given where lines end in any other way than by CRLF, so that all readers see the same lines.
"""

from __future__ import annotations

import re

from midcall.base.redaction import codings, escapes, hidden, keys, places, written
from midcall.base.redaction.rules import Rules
from midcall.base.redaction.text import named, plain_ends, squeezed

_FOLDS = frozenset((b" ", b"\t"))
# A line of a body that is none of a session description, or begins as a delimiter of parts does. With content kept
# back the name and the information of the session are looked at as well.
_NO_LINE = re.compile(rb"\n(?![a-z]=|\Z)")
_NO_LINE_OR_WRITTEN = re.compile(rb"\n(?![a-hj-rt-z]=|s=-\r\n|\Z)")


def no_coding(head: bytes) -> bool:
    """No line of a head names a coding of the body or of its letters, folded or not, the start line included."""
    if not plain_ends(head):
        return False
    lines = named(head)
    if b"\ne:" in lines or b"\ne\n" in lines or lines.startswith(b"e:"):
        return False
    plain = lines.replace(b"\n", b"")
    if b"charset" in plain and codings.odd_charset(plain):
        return False
    return b"content-encoding" not in plain and b"content-transfer-encoding" not in plain


def nothing_written(head: bytes) -> bool:
    """Nothing that somebody wrote in a header or a URI, as it stands, and no text behind a blank line."""
    if not plain_ends(head) or head.find(b"\r\n\r\n") not in (-1, len(head) - 4):
        return False
    return not written.hinted(named(head)) and written.of_values(head) == head


def nothing_hidden(head: bytes, rules: Rules) -> bool:
    """No escape in a head hides anything from the rules.

    Each header is looked at alone, so that those with escapes are enough where none is folded.
    """
    if b"base64" in head.lower():
        return False
    if not escapes.escaped(head):
        return True
    view = escapes.unescaped(_with_percent(head))
    plain = b"" if view is None else squeezed(view)
    if view is None or hidden.hints(plain, rules) or (rules.key_management and keys.manages(plain)):
        return False
    return not rules.content or written.of_values(view) == view


def session_stays(octets: bytes, rules: Rules) -> bool:
    """A session description (RFC 4566 5) of which the rules name no line.

    It says so whatever Content-Type is given: no delimiter of parts stands in it, and no coding gives its first line.
    """
    if octets[:5] != b"v=0\r\n" or not plain_ends(octets):
        return False
    if (_NO_LINE_OR_WRITTEN if rules.content else _NO_LINE).search(octets) is not None:
        return False
    plain = squeezed(octets)
    if b"content-encoding" in plain or b"content-transfer-encoding" in plain:
        return False
    if hidden.hints(plain, rules) or (rules.sdes and b"\nk=" in named(octets)):
        return False
    if (rules.location and places.in_body_unhinted(plain)) or not _shows(octets, plain, rules):
        return False
    if not rules.key_management or not keys.manages(plain):
        return True
    return not rules.ticket and all(keys.anybody_reads(line) is False for line in _managing(octets))


def _with_percent(head: bytes) -> bytes:
    """The lines of a head that have escapes of URIs, or all of it if there are others or one of them goes on."""
    if b"\\" in head or b"&" in head:
        return head
    found, at = [], head.find(b"%")
    while at >= 0:
        begin, end = head.rfind(b"\n", 0, at) + 1, head.find(b"\n", at) + 1 or len(head)
        if head[begin : begin + 1] in _FOLDS or head[end : end + 1] in _FOLDS:
            return head
        found.append(head[begin:end])
        at = head.find(b"%", end)
    return b"".join(found)


def _shows(octets: bytes, plain: bytes, rules: Rules) -> bool:
    """Whether a description shows all to those who undo escapes that it shows as it stands."""
    for view in escapes.readings(octets, described=True):
        if view is None:
            return False
        other = squeezed(view)
        if hidden.hints(other, rules) or hidden.more_tickets(other, plain):
            return False
        if rules.location and places.in_body_unhinted(other):
            return False
    return True


def _managing(octets: bytes) -> list[bytes]:
    """The lines that may carry a MIKEY message."""
    lines = zip(octets.split(b"\r\n"), named(octets).split(b"\n"), strict=True)
    return [line for line, plain in lines if keys.manages(plain)]
