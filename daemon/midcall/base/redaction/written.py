"""What somebody wrote in a head (TS 33.107 7A.1.A, content): its headers, and parts of URIs."""

from __future__ import annotations

import re

# RFC 3261 20.36, RFC 7433, RFC 2045 8.
HEADERS = frozenset({b"subject", b"s", b"user-to-user", b"content-description"})
# Headers in a URI (RFC 3261 19.1.1), and the body of the request that it asks for.
_IN_URI = re.compile(rb"([?&](?:body|subject|s|user-to-user|content-description)=)[^&>\s\"]+", re.IGNORECASE)
# RFC 2397; folded lines count, as a text has blanks.
_DATA = re.compile(rb"(?<![a-z0-9.+-])(data:)(?:[^>\r\n\"]|\r?\n[ \t])+", re.IGNORECASE)


def of_values(head: bytes) -> bytes:
    """Without what somebody wrote in URIs."""
    head = _IN_URI.sub(rb"\1", head) if b"?" in head or b"&" in head else head
    return _DATA.sub(rb"\1", head) if b"data:" in head.lower() else head


def hinted(lines: bytes) -> bool:
    """Whether a header of these names or a URI of data may be there, in lines as names are read."""
    return (
        b"\ns:" in lines
        or b"\ns\n" in lines
        or b"subject" in lines
        or b"data:" in lines
        or b"user-to-user" in lines
        or b"content-description" in lines
    )
