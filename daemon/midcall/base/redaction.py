"""What leaves a SIP message before it is kept or goes to the agency: location, content, keys (TS 33.107 7A.1.A).

Every octet that no rule names stays as it was intercepted; a body that changes gets its Content-Length.
"""

from __future__ import annotations

import re

from msgspec import Struct

from imswire import sip

LOCATION_HEADERS = frozenset(
    {
        "p-access-network-info",
        "cellular-network-info",
        "geolocation",
        "geolocation-routing",
        "geolocation-error",
    }
)
# What a body that tells a place has in it: PIDF-LO (RFC 4119), HELD, the location push of RCS, geo: URIs.
_PLACES = re.compile(rb"geopriv|pidf|application/held\+xml|rcspushlocation|<gml:|\bgeo:[-0-9]", re.IGNORECASE)
_CRYPTO = re.compile(rb"^a=crypto:[^\n]*\n?", re.IGNORECASE | re.MULTILINE)
_KEY_MGMT = re.compile(rb"^a=key-mgmt:[^\n]*\n?", re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE)
_SDP = "application/sdp"

LOCATION, CONTENT, SDES, TICKET = "location", "content", "sdes-keys", "ticket"


class Rules(Struct, frozen=True):
    """What is taken out: headers and bodies that tell where somebody is; bodies but session descriptions; keys of
    ``a=crypto`` (RFC 4568); tickets of ``a=key-mgmt``.
    """

    location: bool = False
    content: bool = False
    sdes: bool = False
    ticket: bool = False


class Redacted(Struct, frozen=True, gc=False):
    """A message as it may go out, and what was taken out of it, for the audit."""

    octets: bytes
    removed: tuple[str, ...]


def message(octets: bytes, rules: Rules) -> Redacted:
    """Apply the rules to one SIP message; SipError when it cannot be read."""
    parsed = sip.parse(octets)
    removed: list[str] = []
    body, as_sdp = _body(parsed, rules, removed)
    lines = [line for name, line in parsed.header_lines() if not (rules.location and _tells_place(name))]
    if len(lines) != sum(1 for _ in parsed.header_lines()):
        removed.insert(0, LOCATION)
    if not removed:
        return Redacted(octets, ())
    if body != parsed.body or as_sdp:
        lines = _for_body(lines, len(body), as_sdp)
    head = b"\r\n".join([parsed.start_line, *lines, b"", b""])
    return Redacted(head + body, tuple(dict.fromkeys(removed)))


def description(octets: bytes, rules: Rules) -> Redacted:
    """Apply the rules to a session description by itself."""
    removed: list[str] = []
    kept = _keys(octets, rules, removed)
    return Redacted(kept, tuple(removed))


def head(octets: bytes, rules: Rules) -> Redacted:
    """Start line and headers alone, up to and with the blank line. SipError: they cannot be read."""
    if not rules.location:
        return Redacted(octets, ())
    parsed = bodiless(octets)
    whole = list(parsed.header_lines())
    if not any(_tells_place(name) for name, _ in whole):
        return Redacted(octets, ())
    lines, length = [line for name, line in whole if not _tells_place(name)], _LENGTH.search(octets)
    if length is not None:
        lines.append(length[0].strip())
    return Redacted(b"\r\n".join([parsed.start_line, *lines, b"", b""]), (LOCATION,))


def bodiless(octets: bytes) -> sip.SipMessage:
    """A head by itself as a message: what it says of the length of its body is passed over. SipError."""
    return sip.parse(_LENGTH.sub(b"", octets))


def _tells_place(name: str) -> bool:
    return name.lower() in LOCATION_HEADERS


def _body(parsed: sip.SipMessage, rules: Rules, removed: list[str]) -> tuple[bytes, bool]:
    """The body that may go out, and whether it has become a session description standing alone."""
    body = parsed.body
    if not body:
        return body, False
    encoded = (parsed.first("Content-Encoding") or "identity").strip().lower() != "identity"
    plain = parsed.content_type == _SDP and not encoded
    session = parsed.sdp
    alone = False
    if rules.content and not plain:
        removed.append(CONTENT)
        body, alone = session or b"", session is not None
    elif rules.location and not plain and _has_place(parsed, body, session, encoded):
        removed.append(LOCATION)
        body, alone = session or b"", session is not None
    elif session is not None and session not in body and _keys(session, rules, []) != session:
        # Compressed, or in base64: it can only be changed in clear.
        body, alone = session, True
    return _keys(body, rules, removed), alone


def _has_place(parsed: sip.SipMessage, body: bytes, session: bytes | None, encoded: bool) -> bool:
    """A body that nobody here can read may tell a place as well."""
    if encoded and session is None:
        return True
    return bool(_PLACES.search(body) or _PLACES.search(parsed.content_type.encode("utf-8", "surrogateescape")))


def _keys(octets: bytes, rules: Rules, removed: list[str]) -> bytes:
    for wanted, pattern, what in ((rules.sdes, _CRYPTO, SDES), (rules.ticket, _KEY_MGMT, TICKET)):
        if wanted:
            octets, count = pattern.subn(b"", octets)
            if count:
                removed.append(what)
    return octets


def _for_body(lines: list[bytes], length: int, as_sdp: bool) -> list[bytes]:
    """Header lines that describe the body which is left."""
    changed = []
    for line in lines:
        name = line.partition(b":")[0].strip().lower()
        if name in (b"content-length", b"l"):
            line = b"%b: %d" % (line.partition(b":")[0].rstrip(), length)
        elif as_sdp and name in (b"content-encoding", b"e"):
            continue
        elif as_sdp and name in (b"content-type", b"c"):
            line = b"%b: application/sdp" % line.partition(b":")[0].rstrip()
        changed.append(line)
    return changed
