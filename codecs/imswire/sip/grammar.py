"""Names and character sets of RFC 3261 25.1, and cutting text at separators outside quotes."""

from __future__ import annotations

from collections.abc import Iterator

# RFC 3261 7.3.3 and the registrations after it.
COMPACT = {
    b"a": b"accept-contact",
    b"b": b"referred-by",
    b"c": b"content-type",
    b"d": b"request-disposition",
    b"e": b"content-encoding",
    b"f": b"from",
    b"i": b"call-id",
    b"j": b"reject-contact",
    b"k": b"supported",
    b"l": b"content-length",
    b"m": b"contact",
    b"o": b"event",
    b"r": b"refer-to",
    b"s": b"subject",
    b"t": b"to",
    b"u": b"allow-events",
    b"v": b"via",
    b"x": b"session-expires",
}

# Headers whose values may be joined by commas in one line (RFC 3261 7.3.1, 20; RFC 3325, 4244, 5806, ...).
LISTS = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"alert-info",
        b"allow",
        b"allow-events",
        b"call-info",
        b"contact",
        b"content-encoding",
        b"content-language",
        b"diversion",
        b"error-info",
        b"history-info",
        b"in-reply-to",
        b"p-asserted-identity",
        b"p-associated-uri",
        b"p-preferred-identity",
        b"path",
        b"proxy-require",
        b"reason",
        b"record-route",
        b"require",
        b"route",
        b"security-client",
        b"security-server",
        b"security-verify",
        b"service-route",
        b"supported",
        b"unsupported",
        b"via",
        b"warning",
    }
)

TOKEN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~")


def is_token(octets: bytes) -> bool:
    """token (RFC 3261 25.1): one octet or more of its set."""
    return bool(octets) and not octets.translate(None, _TOKEN_OCTETS)


_TOKEN_OCTETS = bytes(TOKEN)


def split(text: str, separator: str) -> Iterator[str]:
    """Pieces of ``text`` between separators that stand outside quoted strings and angle brackets."""
    if separator not in text:
        yield text
        return
    if '"' not in text and "<" not in text:
        yield from text.split(separator)
        return
    start = 0
    quoted = bracketed = False
    skip = False
    for place, character in enumerate(text):
        if skip:
            skip = False
        elif quoted:
            if character == "\\":
                skip = True
            elif character == '"':
                quoted = False
        elif character == '"' and not bracketed:
            quoted = True
        elif character == "<":
            bracketed = True
        elif character == ">":
            bracketed = False
        elif character == separator and not bracketed:
            yield text[start:place]
            start = place + 1
    yield text[start:]
