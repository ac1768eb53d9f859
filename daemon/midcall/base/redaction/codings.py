"""Content codings and transfer encodings of bodies and their parts (RFC 3261 20.12, RFC 2045 6), within bounds."""

from __future__ import annotations

import binascii
import re
import zlib

# A message has 65 535 octets at most; one that grows beyond this, all its parts together, is meant to.
MAX_DECODED = 262_144
MAX_CODINGS = 4
_PLAIN = frozenset({b"", b"identity", b"7bit", b"8bit", b"binary"})
_WINDOWS = {b"gzip": (31,), b"x-gzip": (31,), b"deflate": (15, -15)}
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n\t "
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
# RFC 2045 6.7: behind = stand two digits, or the line ends. What readers make of anything else differs.
_NOT_QUOTED = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n|\Z)")
# RFC 4648 4 and 5, for who passes over all else.
_ALPHABET = bytes.maketrans(b"-_", b"+/")
_NO_ALPHABET = bytes(set(range(256)) - set(_LETTERS[:64]) - set(b"-_"))
_GZIP = b"\x1f\x8b\x08"
# Octets of a stream that are tried, and those that must come of them: it is one then, and no chance.
_TRIED, _PROOF = 512, 16
# Those in which ASCII is what it is, as all else here takes for granted; an encoding of XML as well (4.3.3 of it).
_WITH_ASCII = (
    rb"(?:%22|[\"'])*+"
    rb"(?!utf-?(?:8|16|32)|(?:us-)?ascii|iso-?8859|latin|windows-125|cp125|gb|big5|euc-|shift_?jis|koi8|ucs)"
)
_ODD_CHARSET = re.compile(rb"charset(?:\*|=" + _WITH_ASCII + rb")")
_ODD_XML = re.compile(rb"<\?xml[^>]{0,256}encoding=" + _WITH_ASCII)
# How XML in EBCDIC begins (appendix F of its specification).
_EBCDIC_XML = b"\x4c\x6f\xa7\x94"
# Shorter ones hide no key.
_MIN_UNLABELLED = 40


def names(value: bytes) -> list[bytes]:
    """Codings in the order in which they were applied, those that change nothing left out."""
    codings = (each.partition(b";")[0].strip(b' \t\r\n\0"').lower() for each in value.split(b","))
    return [each for each in codings if each not in _PLAIN]


def odd_charset(squeezed_octets: bytes) -> bool:
    """Whether a Content-Type names letters that nobody looks through, as UTF-7 or EBCDIC."""
    return _ODD_CHARSET.search(squeezed_octets) is not None


def odd_xml(octets: bytes, squeezed_octets: bytes) -> bool:
    """The same of a document."""
    if octets[: len(_EBCDIC_XML)] == _EBCDIC_XML:
        return True
    return b"<?xml" in squeezed_octets and _ODD_XML.search(squeezed_octets) is not None


def decoded(codings: list[bytes], octets: bytes, most: int) -> bytes | None:
    """Octets without their codings; None: unknown, broken, more octets behind the end, or too many."""
    if len(codings) > MAX_CODINGS:
        return None
    for coding in reversed(codings):
        plain = _one(coding, octets, most)
        if plain is None or len(plain) > most:
            return None
        octets = plain
    return octets


def unlabelled(octets: bytes) -> list[bytes]:
    """The coding that octets show although nobody says so: none, or one."""
    if octets[:2] == b"\x1f\x8b":
        return [b"gzip"]
    if octets[:1] == b"\x78" and len(octets) > 2 and int.from_bytes(octets[:2], "big") % 31 == 0:
        return [b"deflate"] if _begins(octets, zlib.MAX_WBITS) else []
    if len(octets) < _MIN_UNLABELLED or octets[:_MIN_UNLABELLED].translate(None, _LETTERS):
        return []
    return [b"base64"] if _base64(octets) is not None else []


def within(octets: bytes) -> list[bytes]:
    """What base64 in a text gives to who passes over all that is none, wherever it begins."""
    letters = octets.translate(_ALPHABET, _NO_ALPHABET)
    if len(letters) < _MIN_UNLABELLED:
        return []
    shifted = (letters[shift:] for shift in range(4))
    return [binascii.a2b_base64(each[: len(each) // 4 * 4]) for each in shifted]


def packed_within(octets: bytes) -> bool:
    """Whether a gzip stream (RFC 1952) begins anywhere."""
    at = octets.find(_GZIP)
    while at >= 0:
        if _begins(octets[at : at + _TRIED], 16 + zlib.MAX_WBITS):
            return True
        at = octets.find(_GZIP, at + 1)
    return False


def _begins(octets: bytes, window: int) -> bool:
    try:
        return len(zlib.decompressobj(window).decompress(octets[:_TRIED], _PROOF)) == _PROOF
    except zlib.error:
        return False


def _one(coding: bytes, octets: bytes, most: int) -> bytes | None:
    if coding == b"base64":
        return _base64(octets)
    if coding == b"quoted-printable":
        return None if _NOT_QUOTED.search(octets) else binascii.a2b_qp(octets)
    return _inflated(_WINDOWS.get(coding, ()), octets, most)


def _base64(octets: bytes) -> bytes | None:
    """Readers differ in what they make of other characters and of what stands behind padding: neither is read."""
    letters = b"".join(octets.split())
    if not _BASE64.fullmatch(letters):
        return None
    letters = letters.rstrip(b"=")
    try:
        return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
    except binascii.Error:
        return None


def _inflated(windows: tuple[int, ...], octets: bytes, most: int) -> bytes | None:
    for window in windows:
        inflate = zlib.decompressobj(window)
        try:
            plain = inflate.decompress(octets, most + 1)
        except zlib.error:
            continue
        return plain if inflate.eof and not inflate.unused_data.strip(b"\r\n\0") else None
    return None
