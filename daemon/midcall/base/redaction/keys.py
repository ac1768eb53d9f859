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
from imswire.mikey.numbers import PayloadType
from imswire.mikey.payloads import read_chain
from imswire.mikey.ticket import read_data
from imswire.mikey.values import Kemac, KeyData, Payload, Sk, TicketPolicy
from midcall.base.redaction.text import edited, edited_whole, squeezed

# Key and salt of the shortest suite take 40 characters of base64; half of them is too much already.
_MATERIAL = rb"[a-z0-9+/=]{20}"
_KEY_LINE = re.compile(rb"k=(?!prompt$)[a-z0-9-]+(?::|$)|a=.*crypto:")
_INLINE = re.compile(rb"inline(?::|%3a)" + _MATERIAL)
# What follows without a blank is more of it, however it is escaped.
_INLINE_AS_WRITTEN = re.compile(
    rb"(inline\s*(?::|%3a))(?:[ \t\0]|\r?\n[ \t]|[A-Za-z0-9+/=|^:]|%[0-9a-f]{2}){20,}"
    rb"(?:&#?[a-z0-9]{1,8};|[^\s\"<>,;&])*",
    re.IGNORECASE,
)
_K = re.compile(rb"k=(?:[a-z0-9-]+:|(?:clear|base64|uri)" + _MATERIAL + rb")")
# Where no line begins, as in JSON or in a URI: the methods of RFC 4566 5.12 that give a key.
_K_WITHIN = re.compile(rb"k=(?:clear|base64|uri)(?::|" + _MATERIAL + rb")")
# The one method without a key.
_K_OF_DESCRIPTION = re.compile(rb"k=(?!prompt$)")
_CRYPTO_WITHIN = re.compile(rb"a=(?:acap:[0-9]+)?crypto:[0-9]")
MANAGING = b"key-mgmt:"
# The header of RTSP for the same (RFC 4567 4.1).
_MANAGING_HEADER = b"keymgmt:"
# RFC 4567 3, in the one form that all read alike: blanks in the message itself would make more than one of it.
_MIKEY = re.compile(
    rb"[ \t]*a=(?:acap:[0-9]+[ \t]+)?key-mgmt:[ \t]*mikey[ \t]+([A-Za-z0-9+/]+={0,2})[ \t]*", re.IGNORECASE
)
_BEGIN, _MOST_PADDING = b"a=key-mgmt:mikey ", 2
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


def hinted_in_description(squeezed_octets: bytes) -> bool:
    """The same of a session description, in which k= has no other meaning."""
    return b"k=" in squeezed_octets or hinted(squeezed_octets)


def without(octets: bytes, *, described: bool = False) -> bytes:
    """A body without keys, whichever octets end its lines."""
    octets = edited(octets, _of_described if described else of_line)
    return edited_whole(octets, of_line) if hinted(squeezed(octets)) else octets


def _of_described(line: bytes) -> bytes | None:
    return None if _K_OF_DESCRIPTION.match(squeezed(line)) else of_line(line)


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
    return MANAGING in squeezed_octets or _MANAGING_HEADER in squeezed_octets


def is_key_management(line: bytes) -> bool:
    plain = squeezed(line)
    return plain.startswith(b"a=") and manages(plain)


def anybody_reads(line: bytes) -> bool | None:
    """Whether a MIKEY message has its keys in clear; None: nobody can tell, as it is none to us."""
    data = in_base64(line)
    return None if data is None else in_clear(data)


def in_clear(data: bytes) -> bool | None:
    """The same of its base64 without padding."""
    try:
        return message_in_clear(binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True))
    except binascii.Error:
        return None


def message_in_clear(octets: bytes) -> bool | None:
    """The same of its octets."""
    try:
        return not mikey.opaque(octets) and any(map(_in_clear, _payloads(mikey.parse(octets))))
    except WireError:
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


def _payloads(message: mikey.MikeyMessage) -> Iterator[Payload]:
    """Those of a message, and all within its tickets and their policies that may hold keys (RFC 6043 6.10, A.1)."""
    for placed in message.payloads:
        value = placed.value
        yield value
        if isinstance(value, mikey.Ticket):
            yield read_data(value.ticket_data).kemac
            yield from _within(value.initiator_data, "Initiator Data")
        policy = value.policy if isinstance(value, mikey.Ticket) else value
        if isinstance(policy, TicketPolicy):
            yield from map(_asked_for, _within(policy.tp_data, "TP Data"))


def _within(octets: bytes, name: str) -> Iterator[Payload]:
    return (each.value for each in read_nested(octets, name))


def _asked_for(value: Payload) -> Payload:
    """A KEMAC of TP Data tells how many keys of which kind a ticket shall have, all of them zeros."""
    if not isinstance(value, Kemac) or value.encr_alg != mikey.EncrAlg.NULL:
        return value
    inner = read_chain(value.encr_data, PayloadType.KEY_DATA) if value.encr_data else ()
    blank = not any(any(each.value.key) or any(each.value.salt) for each in inner if isinstance(each.value, KeyData))
    return Kemac(value.encr_alg, b"") if blank and all(isinstance(each.value, KeyData) for each in inner) else value


def _in_clear(value: Payload) -> bool:
    """Keys stand in a KEMAC, and outside of one for anybody to see (RFC 3830 6.13, RFC 6267 6.3)."""
    if isinstance(value, Kemac):
        return value.encr_alg == mikey.EncrAlg.NULL and bool(value.encr_data)
    return isinstance(value, KeyData | Sk)
