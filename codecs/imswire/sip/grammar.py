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
    b"n": b"identity-info",
    b"o": b"event",
    b"r": b"refer-to",
    b"s": b"subject",
    b"t": b"to",
    b"u": b"allow-events",
    b"v": b"via",
    b"x": b"session-expires",
    b"y": b"identity",
}

# Headers whose values may be joined by commas in one line (RFC 3261 7.3.1, 20; RFC 3325, 3841, 4244, 5806, 7315, ...).
LISTS = frozenset(
    {
        b"accept",
        b"accept-contact",
        b"accept-encoding",
        b"accept-language",
        b"accept-resource-priority",
        b"alert-info",
        b"allow",
        b"allow-events",
        b"call-info",
        b"contact",
        b"content-encoding",
        b"content-language",
        b"diversion",
        b"error-info",
        b"feature-caps",
        b"geolocation",
        b"history-info",
        b"in-reply-to",
        b"p-access-network-info",
        b"p-asserted-identity",
        b"p-associated-uri",
        b"p-early-media",
        b"p-media-authorization",
        b"p-preferred-identity",
        b"p-visited-network-id",
        b"path",
        b"permission-missing",
        b"proxy-require",
        b"reason",
        b"record-route",
        b"recv-info",
        b"reject-contact",
        b"request-disposition",
        b"require",
        b"resource-priority",
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

# Headers that may stand once only (RFC 3261 20, table 2 and 3, grammar of 25.1).
SINGLE = frozenset(
    {
        b"call-id",
        b"content-disposition",
        b"content-length",
        b"content-type",
        b"cseq",
        b"date",
        b"expires",
        b"from",
        b"max-forwards",
        b"mime-version",
        b"min-expires",
        b"organization",
        b"priority",
        b"reply-to",
        b"retry-after",
        b"server",
        b"subject",
        b"timestamp",
        b"to",
        b"user-agent",
    }
)

# Those besides From and To whose values are addresses.
ADDRESSES = (b"contact", b"route", b"record-route", b"reply-to")

TOKEN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~")


def is_token(octets: bytes) -> bool:
    """token (RFC 3261 25.1): one octet or more of its set."""
    return bool(octets) and not octets.translate(None, _TOKEN_OCTETS)


_TOKEN_OCTETS = bytes(TOKEN)


def unfold(head: bytes) -> bytes:
    """Join folded lines by one blank (RFC 3261 7.3.1)."""
    lines: list[list[bytes]] = []
    for line in head.split(b"\n"):
        if not line.strip():
            continue
        if line[:1] in (b" ", b"\t") and lines:
            lines[-1].append(line)
        else:
            lines.append([line])
    return b"\n".join(_joined(pieces) for pieces in lines)


def _joined(pieces: list[bytes]) -> bytes:
    first, *others = pieces
    return b" ".join([first.rstrip(b"\r \t"), *(each.strip() for each in others)]) if others else first


def number(text: str, most: int) -> int | None:
    """1*DIGIT with any number of leading zeros (RFC 3261 25.1); None: it is none, or above ``most``."""
    if not text.isascii() or not text.isdigit():
        return None
    significant = text.lstrip("0")
    if len(significant) > _DIGITS:
        return None
    value = int(significant or "0")
    return value if value <= most else None


_DIGITS = 10
"""Those of 2**32 - 1, the largest number that any header may hold."""


def split(text: str, separator: str) -> Iterator[str]:
    """Pieces of ``text`` between separators that stand outside quoted strings and angle brackets."""
    if separator not in text:
        yield text
        return
    if '"' not in text:
        yield from _between_brackets(text, separator)
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


def _between_brackets(text: str, separator: str) -> Iterator[str]:
    """Pieces of a text without quotes: what was cut inside angle brackets is put together again."""
    pieces = text.split(separator)
    if "<" not in text:
        yield from pieces
        return
    held: list[str] = []
    bracketed = False
    for piece in pieces:
        opening, closing = piece.rfind("<"), piece.rfind(">")
        if opening != closing:  # it has one of them
            bracketed = opening > closing
        if bracketed:
            held.append(piece)
        elif held:
            yield separator.join([*held, piece])
            held.clear()
        else:
            yield piece
    if held:
        yield separator.join(held)
