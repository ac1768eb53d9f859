"""Bodies of SIP messages (RFC 3261 7.4): the session description in them, also coded or as one part of several."""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Iterator

from imswire.sip.errors import SipError
from imswire.sip.grammar import COMPACT, unfold
from imswire.sip.headers import parse_parameters

MAX_OCTETS = 65_535
"""Of a body without its coding: more than this no message may have."""
# Parts and nesting that a body is searched for its session description.
MAX_PARTS = 32
MAX_DEPTH = 4

# Content codings by the window of zlib that reads them; deflate comes with zlib's header and without (RFC 9110 8.4.1).
_WINDOWS = {b"gzip": (31,), b"x-gzip": (31,), b"deflate": (15, -15)}


def find_sdp(kind: bytes, disposition: bytes | None, encoding: bytes | None, body: bytes) -> bytes | None:
    """The body itself, or the first part of it that is a session description.

    ``kind``, ``disposition`` and ``encoding`` are its Content-Type, -Disposition and -Encoding (None: not there).
    """
    if disposition is not None and _is_early_session(disposition):
        return None
    plain = body if encoding is None else _decompressed(encoding.lower(), body)
    return None if plain is None else _in_parts(kind, plain)


def media_type(value: bytes) -> str:
    """type/subtype of a Content-Type in lower case."""
    return value.partition(b";")[0].strip().lower().decode("utf-8", "surrogateescape")


def _decompressed(encoding: bytes, body: bytes) -> bytes | None:
    """A body without its Content-Encoding (RFC 3261 20.12); None: unknown, broken, or larger than a message may be."""
    if encoding == b"identity":
        return body
    for window in _WINDOWS.get(encoding, ()):
        inflate = zlib.decompressobj(window)
        try:
            octets = inflate.decompress(body, MAX_OCTETS)
        except zlib.error:
            continue
        return octets if inflate.eof else None
    return None


def _in_parts(content_type: bytes, body: bytes) -> bytes | None:
    """Depth and number of parts are bounded; parts are looked at in order. One that says that it is for something else
    than the session is taken when there is no other.
    """
    waiting = [(content_type, body, True, 0)]
    looked_at = 0
    other: bytes | None = None
    while waiting and looked_at < MAX_PARTS:
        kind, octets, of_session, depth = waiting.pop(0)
        looked_at += 1
        type_ = media_type(kind)
        if type_ == "application/sdp":
            if of_session:
                return octets
            other = octets if other is None else other
        if type_.startswith("multipart/") and depth < MAX_DEPTH:
            boundary = _boundary(kind)
            if boundary:
                parts = [(*part, depth + 1) for part in _parts(octets, boundary)]
                waiting = parts + waiting
    return other


def _boundary(content_type: bytes) -> bytes:
    text = content_type.partition(b";")[2].decode("utf-8", "surrogateescape")
    try:
        params = parse_parameters(";" + text, "Content-Type")
    except SipError:
        return b""
    for name, value in params:
        if name.lower() == "boundary" and value:
            return value.strip('"').encode("utf-8", "surrogateescape")
    return b""


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Content type and content of the parts between delimiter lines (RFC 2046 5.1.1), decoded, and whether a part is
    for the session, as descriptions are that do not say otherwise (RFC 3261 20.11).
    """
    end = b"\r\n" if b"\r\n" in body else b"\n"
    pieces = (end + body).split(end + b"--" + boundary, MAX_PARTS + 1)
    for piece in pieces[1:]:
        if piece[:2] == b"--":
            return
        head, blank, content = piece.partition(2 * end)
        if not blank:
            continue
        headers = _part_headers(head)
        disposition = headers.get(b"content-disposition")
        if _is_early_session(disposition):
            continue
        coding = headers.get(b"content-transfer-encoding", b"").lower()
        if coding == b"base64":
            try:
                content = binascii.a2b_base64(content)
            except binascii.Error:
                continue
        elif coding == b"quoted-printable":
            content = binascii.a2b_qp(content)
        of_session = disposition is None or media_type(disposition) == "session"
        yield headers.get(b"content-type", b"text/plain"), content, of_session


def _part_headers(head: bytes) -> dict[bytes, bytes]:
    """First value by lower-case long name."""
    headers: dict[bytes, bytes] = {}
    for line in unfold(head).split(b"\n"):
        name, _, value = line.partition(b":")
        key = name.strip().lower()
        headers.setdefault(COMPACT.get(key, key), value.strip())
    return headers


def _is_early_session(disposition: bytes | None) -> bool:
    """A description of an early session is no part of the offers and answers of the session (RFC 3959 5)."""
    return disposition is not None and media_type(disposition) == "early-session"
