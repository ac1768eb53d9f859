"""SIP messages (RFC 3261 7), read lazily: the octets stay as they came, views are made when asked for."""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Iterator
from functools import lru_cache

from imswire.sip.errors import SipError
from imswire.sip.grammar import COMPACT, LISTS, is_token, number, split, unfold
from imswire.sip.headers import (
    CSeq,
    NameAddr,
    Via,
    parse_cseq,
    parse_name_addr,
    parse_parameters,
    parse_via,
)

MAX_MESSAGE = 65_535
MAX_HEADERS = 1024
# Parts and nesting that a body is searched for its session description.
MAX_PARTS = 32
MAX_DEPTH = 4

_VERSION = b"SIP/2.0"
_SPELLED = {
    name: name.lower()
    for name in (
        b"Via",
        b"From",
        b"To",
        b"Call-ID",
        b"CSeq",
        b"Contact",
        b"Max-Forwards",
        b"Route",
        b"Record-Route",
        b"Content-Type",
        b"Content-Length",
        b"P-Asserted-Identity",
        b"P-Charging-Vector",
        b"Allow",
        b"Supported",
        b"Require",
        b"User-Agent",
        b"Server",
        b"Session-Expires",
        b"P-Access-Network-Info",
    )
}


_METHODS = {
    name.encode(): name
    for name in ("INVITE", "ACK", "BYE", "CANCEL", "PRACK", "UPDATE", "REGISTER", "OPTIONS", "INFO", "MESSAGE")
}

# Content codings by the window of zlib that reads them; deflate comes with zlib's header and without (RFC 9110 8.4.1).
_WINDOWS = {b"gzip": (31,), b"x-gzip": (31,), b"deflate": (15, -15)}


def looks_like_sip(octets: bytes) -> bool:
    """Whether the first line is a request or status line, right or not: cheap, for sorting packets."""
    if not is_token(octets[:1]):
        return False
    return b"SIP/" in octets[:4096].partition(b"\n")[0].upper()


def _fields(head: bytes) -> dict[bytes, list[bytes]]:
    """Raw values by lower-case long name, in order."""
    if b"\n " in head or b"\n\t" in head:
        head = unfold(head)
    fields: dict[bytes, list[bytes]] = {}
    lines = head.split(b"\n")
    if len(lines) > MAX_HEADERS:
        raise SipError("head", f"more than {MAX_HEADERS} lines", 513)
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon:
            if line.strip():
                raise SipError("head", "a line without colon")
            continue
        # Most names are written as in the RFC: those are found without a change of case.
        known = _SPELLED.get(name)
        if known is None:
            known = name.rstrip(b" \t").lower()
            if len(known) == 1:
                known = COMPACT.get(known, known)
        if known in fields:
            fields[known].append(value.strip())
        else:
            fields[known] = [value.strip()]
    return fields


class SipMessage:
    """One message. Made by :func:`parse`, which has checked start line and framing; headers raise when asked.

    ``octets`` are those received; ``head`` goes to the blank line, ``body`` has the length that Content-Length
    says.
    """

    __slots__ = (
        "_call_id",
        "_cseq",
        "_fields",
        "_request_uri",
        "_top_branch",
        "body",
        "head",
        "is_request",
        "octets",
        "reason",
        "start_line",
        "start_method",
        "status",
    )

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        blank = blank_line(octets)
        end, width = octets.find(blank), len(blank)
        if end < 0:
            # The other form of it, where one message has both.
            blank = _BLANK_LINES[blank]
            end, width = octets.find(blank), len(blank)
        if end < 0:
            raise SipError("head", "no blank line behind the headers")
        self.head = octets[: end + width]
        self._call_id: str | None = None
        self._cseq: CSeq | None = None
        self._request_uri: str | None = None
        self._top_branch: str | None = None
        self.status: int | None = None
        self.reason: str | None = None
        self.start_method = b""
        self.start_line = self.head[: self.head.find(b"\n")].rstrip(b"\r")
        self.is_request = self.start_line[:4].upper() != b"SIP/"
        if self.is_request:
            self._read_request_line()
        else:
            self._read_status_line()
        self._fields = _fields(self.head[len(self.start_line) :])
        self.body = self._cut_body(octets, end + width)

    # Start line

    def _read_request_line(self) -> None:
        parts = self.start_line.split(b" ")
        if len(parts) != 3 or not (parts[0] in _METHODS or is_token(parts[0])):
            raise SipError("Request-Line", "not method, URI and version, one blank apart")
        if parts[2].upper() != _VERSION:
            raise SipError("Request-Line", "not SIP/2.0", 505)
        if not parts[1] or parts[1][:1] == b"<":
            raise SipError("Request-Line", "no URI")
        self.start_method = parts[0]
        self._request_uri = parts[1].decode("utf-8", "surrogateescape")

    def _read_status_line(self) -> None:
        version, _, rest = self.start_line.partition(b" ")
        if version.upper() != _VERSION:
            raise SipError("Status-Line", "not SIP/2.0", 505)
        code, _, reason = rest.partition(b" ")
        if len(code) != 3 or not code.isdigit() or not 100 <= int(code) <= 699:
            raise SipError("Status-Line", "no status code from 100 to 699")
        self.status = int(code)
        self.reason = reason.decode("utf-8", "surrogateescape")

    @property
    def request_uri(self) -> str | None:
        return self._request_uri

    @property
    def method(self) -> str:
        """Method of the request; of a response, that of its CSeq."""
        if self.is_request:
            return _METHODS.get(self.start_method) or self.start_method.decode("ascii")
        return (self._cseq or self.cseq).method

    # Headers

    def fields(self) -> dict[bytes, list[bytes]]:
        """By the lower-case long name of each header the value of each of its lines, as octets; not to be changed."""
        return self._fields

    def raw(self, name: bytes) -> bytes | None:
        """First value of a header by its lower-case long name, as octets."""
        values = self._fields.get(name)
        return values[0] if values else None

    def raws(self, name: bytes) -> list[bytes]:
        """The value of each line of a header by its lower-case long name, as octets; not to be changed."""
        return self._fields.get(name) or []

    def first(self, name: str) -> str | None:
        """First value of a header line, unfolded; None when there is none."""
        value = self.raw(_name(name))
        return None if value is None else value.decode("utf-8", "surrogateescape")

    def lines(self, name: str) -> tuple[str, ...]:
        """The value of each line of a header, lists left whole."""
        return tuple(line.decode("utf-8", "surrogateescape") for line in self._fields.get(_name(name), ()))

    def values(self, name: str) -> tuple[str, ...]:
        """All values of a header: one a line, and one a comma where the header is a list."""
        key = _name(name)
        lines = self._fields.get(key)
        if lines is None:
            return ()
        texts = [line.decode("utf-8", "surrogateescape") for line in lines]
        if key not in LISTS or (len(texts) == 1 and "," not in texts[0]):
            return tuple(text for text in texts if text or key not in LISTS)
        return tuple(piece.strip() for text in texts for piece in split(text, ",") if piece.strip())

    def header_lines(self) -> Iterator[tuple[str, bytes]]:
        """Name as written and raw octets of each header line, folded lines whole."""
        pieces: list[bytes] = []
        for each in self.head[len(self.start_line) :].split(b"\n")[1:]:
            if not each.strip():
                continue
            if each[:1] not in (b" ", b"\t") and pieces:
                yield _named(b"\n".join(pieces))
                pieces = []
            pieces.append(each)
        if pieces:
            yield _named(b"\n".join(pieces))

    def _one(self, name: bytes, text: str) -> str:
        """Value of a header that must be there just once (RFC 3261 8.1.1, 20)."""
        values = self._fields.get(name)
        if not values:
            raise SipError(text, "missing")
        if len(values) > 1:
            raise SipError(text, "more than one")
        return values[0].decode("utf-8", "surrogateescape")

    @property
    def call_id(self) -> str:
        value = self._call_id
        if value is None:
            value = self._one(b"call-id", "Call-ID")
            if not value or " " in value or "\t" in value:
                raise SipError("Call-ID", "not a word")
            self._call_id = value
        return value

    @property
    def cseq(self) -> CSeq:
        if self._cseq is not None:
            return self._cseq
        cseq = parse_cseq(self._one(b"cseq", "CSeq"))
        if self.is_request and cseq.method.encode("utf-8", "surrogateescape") != self.start_method:
            raise SipError("CSeq", "the method is not that of the request")
        self._cseq = cseq
        return cseq

    @property
    def from_(self) -> NameAddr:
        return parse_name_addr(self._one(b"from", "From"), "From")

    @property
    def to(self) -> NameAddr:
        return parse_name_addr(self._one(b"to", "To"), "To")

    @property
    def from_tag(self) -> str | None:
        return _tag(self._one(b"from", "From"), "From")

    @property
    def to_tag(self) -> str | None:
        return _tag(self._one(b"to", "To"), "To")

    @property
    def vias(self) -> tuple[Via, ...]:
        return tuple(parse_via(value) for value in self.values("Via"))

    @property
    def top_branch(self) -> str | None:
        """Branch of the topmost Via; None when it has none."""
        branch = self._top_branch
        if branch is None:
            branch = self._top_branch = self._branch()
        return branch

    def _branch(self) -> str | None:
        value = self.raw(b"via")
        if value is None:
            return None
        if b'"' not in value:
            value = value.partition(b",")[0]
            place = value.find(b";branch=")
            if place >= 0:
                return value[place + 8 :].partition(b";")[0].strip().decode("utf-8", "surrogateescape")
        vias = self.values("Via")
        return parse_via(vias[0]).branch if vias else None

    # Body

    def _cut_body(self, octets: bytes, start: int) -> bytes:
        values = self._fields.get(b"content-length")
        if not values:
            return octets[start:]
        length = content_length(values)
        if length > len(octets) - start:
            raise SipError("Content-Length", f"{length}, but the body has {len(octets) - start} octets")
        return octets[start : start + length]

    @property
    def content_type(self) -> str:
        """type/subtype in lower case; "" when there is none."""
        value = self.raw(b"content-type")
        return "" if value is None else _media_type(value)

    @property
    def sdp(self) -> bytes | None:
        """The session description: the body itself, or the first such part of a multipart body."""
        value = self.raw(b"content-type")
        if value is None or not self.body or _is_early_session(self.raw(b"content-disposition")):
            return None
        encoding = self.raw(b"content-encoding")
        body = self.body if encoding is None else _decompressed(encoding.lower(), self.body)
        return None if body is None else _find_sdp(value, body)


def parse(octets: bytes) -> SipMessage:
    """Read one whole message, as a datagram or a stream framer gives it.

    SipError: no message, or one of the headers without which nobody can tell what it belongs to is missing or
    wrong (Call-ID, CSeq, From, To).
    """
    if len(octets) > MAX_MESSAGE:
        raise SipError("message", f"longer than {MAX_MESSAGE} octets", 513)
    return SipMessage(octets.lstrip(b"\r\n") if octets[:1] in (b"\r", b"\n") else octets)


def content_length(values: list[bytes]) -> int:
    """Content-Length; several must say the same."""
    if len(values) == 1 and values[0].isdigit() and len(values[0]) <= _LENGTH_DIGITS:
        return int(values[0])
    if len({*values}) > 1:
        raise SipError("Content-Length", "more than one, and they differ")
    value = number(values[0].decode("utf-8", "surrogateescape"), _MAX_LENGTH)
    if value is None:
        raise SipError("Content-Length", "not a number")
    return value


def blank_line(octets: bytes | bytearray) -> bytes:
    """What ends the head of the message that begins here: its start line tells which ends its lines have.

    Line feeds alone are read where they are used throughout: test tools write them.
    """
    first = octets.find(b"\n")
    return b"\n\n" if first > 0 and octets[first - 1] != _CR else b"\r\n\r\n"


_CR = 0x0D
_BLANK_LINES = {b"\r\n\r\n": b"\n\n", b"\n\n": b"\r\n\r\n"}
_MAX_LENGTH = 9_999_999_999
_LENGTH_DIGITS = 10


@lru_cache(maxsize=256)
def _name(name: str) -> bytes:
    key = name.lower().encode("utf-8", "surrogateescape")
    return COMPACT.get(key, key) if len(key) == 1 else key


def _named(line: bytes) -> tuple[str, bytes]:
    line = line.rstrip(b"\r")
    return line.partition(b":")[0].strip().decode("utf-8", "surrogateescape"), line


def _tag(value: str, field: str) -> str | None:
    """The tag of From or To, by the short way where nothing can be mistaken for it."""
    if '"' not in value:
        if ";" not in value:
            return None
        closing = value.rfind(">")
        place = value.find(";tag=", closing if closing >= 0 else 0)
        if place >= 0:
            return value[place + 5 :].partition(";")[0].strip()
    return parse_name_addr(value, field).tag


def _media_type(value: bytes) -> str:
    return value.partition(b";")[0].strip().lower().decode("utf-8", "surrogateescape")


def _decompressed(encoding: bytes, body: bytes) -> bytes | None:
    """A body without its Content-Encoding (RFC 3261 20.12); None: unknown, broken, or larger than a message may be."""
    if encoding == b"identity":
        return body
    for window in _WINDOWS.get(encoding, ()):
        inflate = zlib.decompressobj(window)
        try:
            octets = inflate.decompress(body, MAX_MESSAGE)
        except zlib.error:
            continue
        return octets if inflate.eof else None
    return None


def _find_sdp(content_type: bytes, body: bytes) -> bytes | None:
    """Depth and number of parts are bounded; parts are looked at in order."""
    waiting = [(content_type, body, 0)]
    looked_at = 0
    while waiting and looked_at < MAX_PARTS:
        kind, octets, depth = waiting.pop(0)
        looked_at += 1
        media_type = _media_type(kind)
        if media_type == "application/sdp":
            return octets
        if media_type.startswith("multipart/") and depth < MAX_DEPTH:
            boundary = _boundary(kind)
            if boundary:
                parts = [(*part, depth + 1) for part in _parts(octets, boundary)]
                waiting = parts + waiting
    return None


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


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Content type and content of the parts between delimiter lines (RFC 2046 5.1.1), decoded."""
    end = b"\r\n" if b"\r\n" in body else b"\n"
    pieces = (end + body).split(end + b"--" + boundary, MAX_PARTS + 1)
    for piece in pieces[1:]:
        if piece[:2] == b"--":
            return
        head, blank, content = piece.partition(2 * end)
        if not blank:
            continue
        headers = _part_headers(head)
        if _is_early_session(headers.get(b"content-disposition")):
            continue
        if headers.get(b"content-transfer-encoding", b"").lower() == b"base64":
            try:
                content = binascii.a2b_base64(content)
            except binascii.Error:
                continue
        yield headers.get(b"content-type", b"text/plain"), content


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
    return disposition is not None and _media_type(disposition) == "early-session"
