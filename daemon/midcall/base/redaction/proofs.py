"""Cheap proofs that looking line by line would take nothing away; most messages have them.

Every proof asks for more than it must: what it does not know is left to the careful way, never the other way round.
None is given where lines end in any other way than by CRLF, so that all readers see the same lines.
"""

from __future__ import annotations

import re

from midcall.base.redaction import keys, places
from midcall.base.redaction.rules import Rules
from midcall.base.redaction.text import named, plain_ends, squeezed

# Headers in a URI (RFC 3261 19.1.1) that carry what somebody wrote; letters may be escaped.
WRITTEN = re.compile(
    rb"([?&](?:(?:b|%62)(?:o|%6f)(?:d|%64)(?:y|%79)|subject)=)[^&>\s\"]+",
    re.IGNORECASE,
)
# A line of a body that is none of a session description, or begins as a delimiter of parts does. With content kept
# back the name and the information of the session are looked at as well.
_NO_LINE = re.compile(rb"\n(?![a-z]=|\Z)")
_NO_LINE_OR_WRITTEN = re.compile(rb"\n(?![a-hj-rt-z]=|s=-\r\n|\Z)")


def no_coding(head: bytes) -> bool:
    """No line of a head names a coding of the body, folded or not, the start line included."""
    if not plain_ends(head):
        return False
    lines = named(head)
    if b"\ne:" in lines or b"\ne\n" in lines or lines.startswith(b"e:"):
        return False
    plain = lines.replace(b"\n", b"")
    return b"content-encoding" not in plain and b"content-transfer-encoding" not in plain


def nothing_written(head: bytes) -> bool:
    """No subject, no body of a request that a URI asks for, and no text behind a blank line."""
    if not plain_ends(head) or head.find(b"\r\n\r\n") not in (-1, len(head) - 4):
        return False
    lines = named(head)
    if b"\ns:" in lines or b"\ns\n" in lines or b"subject" in lines:
        return False
    return (b"?" not in head and b"&" not in head) or WRITTEN.search(head) is None


def no_place(octets: bytes) -> bool:
    """No value of a header tells a place."""
    return not places.hinted(squeezed(octets))


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
    if rules.sdes and keys.hinted(plain):
        return False
    if rules.location and places.hinted(plain):
        return False
    if not (rules.ticket or rules.content) or b"key-mgmt:" not in plain:
        return True
    return not rules.ticket and not any(map(keys.anybody_reads, _managing(octets)))


def _managing(octets: bytes) -> list[bytes]:
    """The lines that may carry a MIKEY message."""
    lines = zip(octets.split(b"\r\n"), named(octets).split(b"\n"), strict=True)
    return [line for line, plain in lines if b"key-mgmt:" in plain]
