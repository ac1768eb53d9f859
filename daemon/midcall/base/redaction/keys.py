"""Keys that a session description hands over: ``a=crypto`` (RFC 4568), also as a capability (RFC 5939 3.3.1.2), and
``k=`` (RFC 4566 5.12); and MIKEY messages that any reader can open (NULL encryption, RFC 3830 4.2.3).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from imswire import mikey
from imswire.errors import WireError
from imswire.mikey.message import read_nested
from imswire.mikey.ticket import read_data
from imswire.mikey.values import Kemac
from midcall.base.redaction.text import edited, edited_whole, squeezed, visible

# Key and salt of the shortest suite take 40 characters of base64; half of them is too much already.
_MATERIAL = rb"[a-z0-9+/=]{20}"
_KEY_LINE = re.compile(rb"k=[a-z0-9-]+(?::|$)|a=.*crypto:")
_INLINE = re.compile(rb"inline(?::|%3a)" + _MATERIAL)
# What follows without a blank is more of it, however it is escaped.
_INLINE_AS_WRITTEN = re.compile(
    rb"(inline\s*(?::|%3a))(?:[ \t\0]|\r?\n[ \t]|[A-Za-z0-9+/=|^:]|%[0-9a-f]{2}){20,}"
    rb"(?:&#?[a-z0-9]{1,8};|[^\s\"<>,;&])*",
    re.IGNORECASE,
)
_K = re.compile(rb"k=[a-z0-9-]+:")
# Where no line begins, as in JSON or in a URI: the methods of RFC 4566 5.12 that give a key.
_K_WITHIN = re.compile(rb"k=(?:clear|base64|uri):")
_CRYPTO_WITHIN = re.compile(rb"a=(?:acap:[0-9]+)?crypto:[0-9]")
MANAGING = b"key-mgmt:"
# RFC 4567 3, in the one form that all read alike.
_MIKEY = re.compile(rb"a=(?:acap:[0-9]+)?key-mgmt:mikey([A-Za-z0-9+/]+={0,2})", re.IGNORECASE)
_BEGIN, _MOST_PADDING = b"a=key-mgmt:mikey", 2
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def hinted(squeezed_octets: bytes) -> bool:
    """Whether a closer look may find keys."""
    if b"crypto:" in squeezed_octets or b"inline" in squeezed_octets:
        return True
    return b"k=" in squeezed_octets and _K.search(squeezed_octets) is not None


def spelled(squeezed_octets: bytes) -> bool:
    """Whether keys stand in something that cannot be looked through by lines."""
    if b"inline" in squeezed_octets and _INLINE.search(squeezed_octets):
        return True
    if b"crypto:" in squeezed_octets and _CRYPTO_WITHIN.search(squeezed_octets):
        return True
    return b"k=" in squeezed_octets and _K_WITHIN.search(squeezed_octets) is not None


def without(octets: bytes) -> bytes:
    """A body without keys, whichever octets end its lines."""
    octets = edited(octets, of_line)
    return edited_whole(octets, of_line) if hinted(squeezed(octets)) else octets


def of_line(line: bytes) -> bytes | None:
    """The line without keys; None: it is there for them alone."""
    plain = squeezed(line)
    if _KEY_LINE.match(plain) or _K_WITHIN.search(plain):
        return None
    if not _INLINE.search(plain):
        return line
    left = of_header(line)
    return None if plain[:2] in (b"a=", b"k=", b"i=") or _INLINE.search(squeezed(left)) else left


def of_header(octets: bytes) -> bytes:
    """Header lines, or one of another kind, without key material."""
    return _INLINE_AS_WRITTEN.sub(rb"\1-", octets)


def manages(squeezed_octets: bytes) -> bool:
    """Whether a MIKEY message may stand there (RFC 4567 3.1)."""
    return MANAGING in squeezed_octets


def is_key_management(line: bytes) -> bool:
    plain = squeezed(line)
    return plain.startswith(b"a=") and manages(plain)


def anybody_reads(line: bytes) -> bool | None:
    """Whether a MIKEY message has its keys in clear; None: nobody can tell, as it is none to us."""
    data = in_base64(visible(line))
    return None if data is None else in_clear(data)


def in_clear(data: bytes) -> bool | None:
    """The same of its base64 without padding."""
    try:
        octets = binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
        return not mikey.opaque(octets) and any(map(_in_clear, _kemacs(mikey.parse(octets))))
    except (WireError, binascii.Error):
        return None


def in_base64(line: bytes) -> bytes | None:
    """What such a line has of a MIKEY message, without padding; None: it has another form than all read alike."""
    if line[: len(_BEGIN)].lower() == _BEGIN:  # as nearly all begin, and quicker than by the expression
        letters = line[len(_BEGIN) :]
        data = letters.rstrip(b"=")
        return (
            data if data and len(letters) - len(data) <= _MOST_PADDING and not data.translate(None, _BASE64) else None
        )
    found = _MIKEY.fullmatch(line)
    return None if found is None else found[1].rstrip(b"=")


def _kemacs(message: mikey.MikeyMessage) -> Iterator[Kemac]:
    """Those of a message and of what its tickets hold (RFC 6043 6.10, A.1)."""
    for placed in message.payloads:
        value = placed.value
        if isinstance(value, Kemac):
            yield value
        if isinstance(value, mikey.Ticket):
            yield read_data(value.ticket_data).kemac
            inner = read_nested(value.initiator_data, "Initiator Data")
            yield from (each.value for each in inner if isinstance(each.value, Kemac))


def _in_clear(kemac: Kemac) -> bool:
    return kemac.encr_alg == mikey.EncrAlg.NULL and bool(kemac.encr_data)
