"""Typed views of the headers that routing and dialogs need (RFC 3261 20, 25.1)."""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from imswire.sip.errors import SipError
from imswire.sip.grammar import is_token, number, split

Parameters = tuple[tuple[str, str | None], ...]

MAX_PARAMETERS = 256
MAX_CSEQ = (1 << 32) - 1
"""RFC 3261 20.16; a dialog begins below 2^31 (8.1.1.5), and may count on from there."""
MAX_PORT = 65_535

_NOT_BARE = frozenset(' \t",?')
_NOT_DISPLAY = frozenset('">@:;,')
_NOT_URI = frozenset(' \t"<')


class NameAddr(Struct, frozen=True, gc=False):
    """A display name, a URI and header parameters: From, To, Contact, P-Asserted-Identity, Route, ..."""

    display: str
    uri: str
    params: Parameters = ()

    @property
    def tag(self) -> str | None:
        return _parameter(self.params, "tag")

    def __str__(self) -> str:
        quoted = self.display.replace("\\", "\\\\").replace('"', '\\"')
        display = f'"{quoted}" ' if self.display else ""
        return f"{display}<{self.uri}>{_text(self.params)}"


class Via(Struct, frozen=True, gc=False):
    """Via (RFC 3261 20.42): transport, sent-by and parameters."""

    transport: str
    host: str
    port: int | None
    params: Parameters = ()

    @property
    def branch(self) -> str | None:
        return _parameter(self.params, "branch")

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport} {self.host}{port}{_text(self.params)}"


class CSeq(Struct, frozen=True, gc=False):
    """CSeq (RFC 3261 20.16)."""

    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def _parameter(params: Parameters, name: str) -> str | None:
    for each, value in params:
        if each.lower() == name:
            return value
    return None


def _text(params: Parameters) -> str:
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params)


def parse_parameters(text: str, field: str) -> Parameters:
    """;name=value;name ... as it stands behind an address; values keep their quotes."""
    if not text.strip():
        return ()
    params: list[tuple[str, str | None]] = []
    for place, piece in enumerate(split(text, ";")):
        name, equals, value = piece.partition("=")
        name, value = name.strip(), value.strip()
        if place == 0 and not name and not equals:
            continue
        if not name or any(character in name for character in '<>" \t'):
            raise SipError(field, "bad parameter")
        if len(params) >= MAX_PARAMETERS:
            raise SipError(field, f"more than {MAX_PARAMETERS} parameters")
        params.append((name, value if equals else None))
    return tuple(params)


def parse_name_addr(text: str, field: str = "name-addr") -> NameAddr:
    """name-addr or addr-spec with parameters (RFC 3261 20.10, 20.20): without <> all behind ; is the header's."""
    text = text.strip()
    if text.startswith('"'):
        display, rest = _quoted(text, field)
        rest = rest.lstrip()
        if not rest.startswith("<"):
            raise SipError(field, "no <URI> behind the display name")
    else:
        display, bracket, tail = text.partition("<")
        # No display name without quotes holds a semicolon: then the bracket is one of a parameter's value.
        if not bracket or ";" in display:
            uri, semicolon, params = text.partition(";")
            uri = uri.rstrip()
            if not uri or not _NOT_BARE.isdisjoint(uri):
                raise SipError(field, "an address without <> may not hold blank, comma or question mark")
            return NameAddr("", uri, parse_parameters(semicolon + params, field))
        display, rest = display.strip(), bracket + tail
        if not _NOT_DISPLAY.isdisjoint(display):
            raise SipError(field, "bad display name")
    uri, closing, params = rest[1:].partition(">")
    uri = uri.strip()
    if not closing or not uri or not _NOT_URI.isdisjoint(uri):
        raise SipError(field, "no <URI>")
    if params.strip() and not params.lstrip().startswith(";"):
        raise SipError(field, "octets behind the address")
    return NameAddr(display, uri, parse_parameters(params, field))


def _quoted(text: str, field: str) -> tuple[str, str]:
    """The content of the quoted string at the beginning, and what follows it."""
    out: list[str] = []
    place = 1
    while True:
        end = place
        while end < len(text) and text[end] not in '\\"':
            end += 1
        out.append(text[place:end])
        if end >= len(text):
            raise SipError(field, "quoted string without end")
        if text[end] == '"':
            return "".join(out), text[end + 1 :]
        out.append(text[end + 1 : end + 2])
        place = end + 2


def parse_via(text: str) -> Via:
    """One Via value."""
    head, semicolon, params = text.partition(";")
    # White space may stand around the slashes (RFC 3261 25.1, SLASH).
    parts = [part.strip() for part in head.strip().split("/", 2)]
    if len(parts) != 3 or parts[0].upper() != "SIP" or parts[1] != "2.0":
        raise SipError("Via", "not SIP/2.0")
    transport, *rest = parts[2].split(None, 1) or [""]
    if not rest or not is_token(transport.encode("utf-8", "surrogateescape")):
        raise SipError("Via", "no transport or no sent-by")
    host, port = _sent_by(rest[0].strip())
    return Via(transport.upper(), host, port, parse_parameters(semicolon + params, "Via"))


def _sent_by(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, bracket, tail = text.partition("]")
        if not bracket:
            raise SipError("Via", "IPv6 address without closing bracket")
        host, tail = host + bracket, tail.strip()
    else:
        host, colon, tail = text.partition(":")
        host, tail = host.strip(), colon + tail
    if not host or any(character in host for character in ' \t<>"'):
        raise SipError("Via", "bad host")
    if not tail:
        return host, None
    port = number(tail[1:].strip(), MAX_PORT)
    if tail[0] != ":" or port is None:
        raise SipError("Via", "bad port")
    return host, port


def parse_cseq(text: str) -> CSeq:
    """CSeq: a number below 2^32 and a method."""
    return cseq_of(text.encode("utf-8", "surrogateescape"))


def cseq_of(octets: bytes) -> CSeq:
    """The same of octets."""
    return _usual_cseq(octets) if len(octets) <= _USUAL_CSEQ else _cseq(octets.decode("utf-8", "surrogateescape"))


_USUAL_CSEQ = 24
"""Octets of one that is remembered: most are among the first of their dialog, and the same in every call."""


@lru_cache(maxsize=1_024)
def _usual_cseq(octets: bytes) -> CSeq:
    return _cseq(octets.decode("utf-8", "surrogateescape"))


def _cseq(text: str) -> CSeq:
    parts = text.split()
    if len(parts) != 2 or not parts[0].isascii() or not parts[0].isdigit():
        raise SipError("CSeq", "not a number and a method")
    count = number(parts[0], MAX_CSEQ)
    if count is None:
        raise SipError("CSeq", "the number is 2^32 or more")
    if not is_token(parts[1].encode("utf-8", "surrogateescape")):
        raise SipError("CSeq", "bad method")
    return CSeq(count, parts[1])
