"""SIP messages (RFC 3261 7), read lazily: the octets stay as they came, views are made when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from imswire.sip.bodies import find_sdp, media_type
from imswire.sip.errors import SipError
from imswire.sip.fields import fields
from imswire.sip.grammar import COMPACT, LISTS, TOKEN, is_token, number, split
from imswire.sip.headers import CSeq, NameAddr, Via, cseq_of, parse_name_addr, parse_via

MAX_MESSAGE = 65_535
_VERSION = b"SIP/2.0"
_METHODS = {
    name.encode(): name
    for name in ("INVITE", "ACK", "BYE", "CANCEL", "PRACK", "UPDATE", "REGISTER", "OPTIONS", "INFO", "MESSAGE")
}


def looks_like_sip(octets: bytes) -> bool:
    """Whether the first line is a request or status line, right or not: cheap, for sorting packets."""
    if not octets or octets[0] not in TOKEN:
        return False
    end = octets.find(b"\n", 0, _LOOKED_AT)
    line = octets[: end if end >= 0 else _LOOKED_AT]
    return line[-9:] == b" SIP/2.0\r" or b"SIP/" in line.upper()


_LOOKED_AT = 4_096


class SipMessage:
    """One message. Made by :func:`parse`, which has checked start line and framing; headers raise when asked.

    ``octets`` are those received; ``head`` goes to the blank line, ``body`` begins at ``body_at`` and has the length
    that Content-Length says. ``layout`` says which headers there are, and where among ``pieces`` their values stand.
    """

    __slots__ = (
        "_call_id",
        "_cseq",
        "_top_branch",
        "body",
        "body_at",
        "is_request",
        "layout",
        "octets",
        "pieces",
        "reason",
        "request_uri",
        "start_line",
        "start_method",
        "status",
    )

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        end, first = octets.find(b"\r\n\r\n"), octets.find(b"\n")
        line = octets[: first - 1]
        if 0 < first < end and octets[first - 1] == _CR and line[-1:] != b"\r":
            lines, self.body_at = octets[first + 1 : end], end + 4
        else:
            line, lines, body = _cut(octets)
            line = line.rstrip(b"\r")
            self.body_at = len(octets) - len(body)
        self._call_id: str | None = None
        self._cseq: CSeq | None = None
        self._top_branch: str | None = None
        self.start_line = line
        start = _usual_start(line) if len(line) <= _USUAL_LINE else _start(line)
        self.is_request, self.start_method, self.request_uri, self.status, self.reason = start
        self.layout, self.pieces = layout, pieces = fields(lines)
        value = pieces[layout.length]
        length = _usual_length(value) if layout.length and len(value) <= _LENGTH_DIGITS else -1
        if not 0 <= length <= len(octets) - self.body_at:
            length = self._length_of_body()
        self.body = octets[self.body_at : self.body_at + length]

    @property
    def head(self) -> bytes:
        """Start line and headers, with the blank line."""
        return self.octets[: self.body_at]

    @property
    def method(self) -> str:
        """Method of the request; of a response, that of its CSeq."""
        if self.is_request:
            return _METHODS.get(self.start_method) or self.start_method.decode("ascii")
        return (self._cseq or self.cseq).method

    # Headers

    def fields(self) -> dict[bytes, list[bytes]]:
        """By the lower-case long name of each header the value of each of its lines, as octets."""
        return {name: self.raws(name) for name in self.layout.places}

    def places(self) -> dict[bytes, tuple[int, ...]]:
        """By the lower-case long name of each header a number for each of its lines; not to be changed."""
        return self.layout.places

    def has(self, name: bytes) -> bool:
        """Whether there is a header of this lower-case long name."""
        return name in self.layout.places

    def has_any(self, names: frozenset[bytes]) -> bool:
        """Whether there is a header of one of these lower-case long names."""
        return not names.isdisjoint(self.layout.names)

    def raw(self, name: bytes) -> bytes | None:
        """First value of a header by its lower-case long name, as octets."""
        places = self.layout.places.get(name)
        return None if places is None else self.pieces[places[0]].strip()

    def raws(self, name: bytes) -> list[bytes]:
        """The value of each line of a header by its lower-case long name, as octets."""
        places = self.layout.places.get(name)
        if places is None:
            return []
        if len(places) == 1:
            return [self.pieces[places[0]].strip()]
        return [self.pieces[place].strip() for place in places]

    def first(self, name: str) -> str | None:
        """First value of a header line, unfolded; None when there is none."""
        value = self.raw(_name(name))
        return None if value is None else value.decode("utf-8", "surrogateescape")

    def lines(self, name: str) -> tuple[str, ...]:
        """The value of each line of a header, lists left whole."""
        return tuple(line.decode("utf-8", "surrogateescape") for line in self.raws(_name(name)))

    def values(self, name: str) -> tuple[str, ...]:
        """All values of a header: one a line, and one a comma where the header is a list."""
        key = _name(name)
        if key not in self.layout.places:
            return ()
        if key not in LISTS:
            return self.lines(name)
        lines = self.raws(key)
        return list_values(lines[0]) if len(lines) == 1 else tuple(_pieces(self.lines(name)))

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

    def _one(self, name: bytes, text: str) -> bytes:
        """Value of a header that must be there just once (RFC 3261 8.1.1, 20)."""
        places = self.layout.places.get(name)
        if places is None:
            raise SipError(text, "missing")
        if len(places) > 1:
            raise SipError(text, "more than one")
        return self.pieces[places[0]].strip()

    def remember(self, call_id: str, cseq: CSeq, branch: str) -> None:
        """These have been read and checked, and need not be again."""
        self._call_id, self._cseq, self._top_branch = call_id, cseq, branch

    @property
    def call_id(self) -> str:
        value = self._call_id
        if value is None:
            value = self._call_id = _word(self._one(b"call-id", "Call-ID"))
        return value

    @property
    def cseq(self) -> CSeq:
        cseq = self._cseq
        if cseq is None:
            cseq = self._cseq = self._checked(cseq_of(self._one(b"cseq", "CSeq")))
        return cseq

    def _checked(self, cseq: CSeq) -> CSeq:
        if self.is_request and cseq.method != self.method:
            raise SipError("CSeq", "the method is not that of the request")
        return cseq

    @property
    def from_(self) -> NameAddr:
        return parse_name_addr(self._one(b"from", "From").decode("utf-8", "surrogateescape"), "From")

    @property
    def to(self) -> NameAddr:
        return parse_name_addr(self._one(b"to", "To").decode("utf-8", "surrogateescape"), "To")

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
        branch = _usual_branch(value)
        if branch is not None:
            return branch
        vias = self.values("Via")
        try:
            return parse_via(vias[0]).branch if vias else None
        except SipError:
            # What cannot be read is followed all the same, as far as it says where it belongs.
            if _QUOTE in value or (branch := _short_branch(value)[1]) is None:
                raise
            return branch

    def belongs(self) -> tuple[str, str, str, CSeq, str]:
        """What tells dialog and transaction: Call-ID, the tags of From and To, CSeq, and the branch of the topmost Via.

        "" stands for a tag or branch that is not there. SipError: one of these headers is missing or wrong.
        """
        basic, pieces = self.layout.basic, self.pieces
        if basic is None:
            tags = self.from_tag or "", self.to_tag or ""
            return self.call_id, *tags, self.cseq, self.top_branch or ""
        via, from_, to, call_id, cseq = basic
        from_tag, to_tag = _tag_of(pieces[from_].strip(), "From"), _tag_of(pieces[to].strip(), "To")
        self._call_id = name = _word(pieces[call_id].strip())
        self._cseq = transaction = self._checked(cseq_of(pieces[cseq].strip()))
        branch = _branch_of(pieces[via].strip())
        return name, from_tag or "", to_tag or "", transaction, self.top_branch or "" if branch is None else branch

    # Body

    def _length_of_body(self) -> int:
        there = len(self.octets) - self.body_at
        values = self.raws(b"content-length")
        if not values:
            return there
        length = content_length(values)
        if length > there:
            raise SipError("Content-Length", f"{length}, but the body has {there} octets")
        return length

    @property
    def content_type(self) -> str:
        """type/subtype in lower case; "" when there is none."""
        value = self.raw(b"content-type")
        return "" if value is None else media_type(value)

    @property
    def sdp(self) -> bytes | None:
        """The session description: the body itself, or the first such part of a multipart body."""
        value = self.raw(b"content-type")
        if value is None or not self.body:
            return None
        return find_sdp(value, self.raw(b"content-disposition"), self.raw(b"content-encoding"), self.body)


def _cut(octets: bytes) -> tuple[bytes, bytes, bytes]:
    """Start line, header lines and body of a message, whichever octets end its lines."""
    blank = blank_line(octets)
    end = octets.find(blank)
    if end < 0:
        # The other form of it, where one message has both.
        blank = _BLANK_LINES[blank]
        end = octets.find(blank)
    if end < 0:
        raise SipError("head", "no blank line behind the headers")
    first = octets.find(b"\n")
    return octets[:first], octets[first + 1 : end], octets[end + len(blank) :]


def _request_line(line: bytes) -> tuple[bytes, str]:
    """Method and URI."""
    parts = line.split(b" ")
    if len(parts) != 3 or not (parts[0] in _METHODS or is_token(parts[0])):
        raise SipError("Request-Line", "not method, URI and version, one blank apart")
    method, uri, version = parts
    if version != _VERSION and version.upper() != _VERSION:
        raise SipError("Request-Line", "not SIP/2.0", 505)
    if not uri or uri[:1] == b"<":
        raise SipError("Request-Line", "no URI")
    return method, uri.decode("utf-8", "surrogateescape")


def _status_line(line: bytes) -> tuple[int, str]:
    """Status and reason."""
    version, _, rest = line.partition(b" ")
    if version.upper() != _VERSION:
        raise SipError("Status-Line", "not SIP/2.0", 505)
    code, _, reason = rest.partition(b" ")
    if len(code) != 3 or not code.isdigit() or not 100 <= int(code) <= 699:
        raise SipError("Status-Line", "no status code from 100 to 699")
    return int(code), reason.decode("utf-8", "surrogateescape")


def _start(line: bytes) -> tuple[bool, bytes, str | None, int | None, str | None]:
    """Whether it is a request, method and URI of one; status and reason of a response."""
    if line[:4].upper() != b"SIP/":
        return (True, *_request_line(line), None, None)
    return (False, b"", None, *_status_line(line))


_USUAL_LINE = 80
"""Octets of a start line that is remembered: those of responses are few, those of requests come again in a call."""
_usual_start = lru_cache(maxsize=4_096)(_start)


@lru_cache(maxsize=4_096)
def _usual_length(piece: bytes) -> int:
    """Content-Length; -1: it has to be looked at closely."""
    value = piece.strip()
    return int(value) if value.isdigit() else -1


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


def list_values(line: bytes) -> tuple[str, ...]:
    """The values of a header that is a list, of one line of it."""
    text = line.decode("utf-8", "surrogateescape")
    if "," not in text:
        return (text,) if text else ()
    return tuple(_pieces((text,)))


def _pieces(texts: tuple[str, ...]) -> Iterator[str]:
    return (piece for text in texts for each in split(text, ",") if (piece := each.strip(_BLANKS)))


def blank_line(octets: bytes | bytearray) -> bytes:
    """What ends the head of the message that begins here: its start line tells which ends its lines have.

    Line feeds alone are read where they are used throughout: test tools write them.
    """
    first = octets.find(b"\n")
    return b"\n\n" if first > 0 and octets[first - 1] != _CR else b"\r\n\r\n"


# One octet is found much faster by its number.
_BLANK, _TAB, _QUOTE, _COMMA, _SEMICOLON, _OPENING, _CLOSING, _CR = b' \t",;<>\r'
_BLANK_LINES = {b"\r\n\r\n": b"\n\n", b"\n\n": b"\r\n\r\n"}
# Those of octets; str.strip takes others, too.
_BLANKS = " \t\n\r\v\f"
_MAX_LENGTH = 9_999_999_999
_LENGTH_DIGITS = 10


@lru_cache(maxsize=256)
def _name(name: str) -> bytes:
    key = name.lower().encode("utf-8", "surrogateescape")
    return COMPACT.get(key, key) if len(key) == 1 else key


def _named(line: bytes) -> tuple[str, bytes]:
    line = line.rstrip(b"\r")
    return line.partition(b":")[0].strip().decode("utf-8", "surrogateescape"), line


def _word(value: bytes) -> str:
    """Call-ID (RFC 3261 25.1: no blanks)."""
    if not value or _BLANK in value or _TAB in value:
        raise SipError("Call-ID", "not a word")
    return value.decode("utf-8", "surrogateescape")


def _usual_branch(value: bytes) -> str | None:
    """The branch of the first Via of a line, by the short way; None: it has none, or may be mistaken for another."""
    if _COMMA in value:
        value = value.partition(b",")[0]
        if not is_whole(value):
            return None
    if _OPENING in value:
        return None
    others, branch = _short_branch(value)
    if branch is None or b"branch" in others.lower() or _QUOTE in others or '"' in branch:
        return None
    return branch


def is_whole(octets: bytes) -> bool:
    """Whether a comma behind these is one between values: no quoted string or bracket is open there."""
    if _OPENING in octets:
        return False
    return _QUOTE not in octets or (octets.count(b'"') % 2 == 0 and b"\\" not in octets)


_REMEMBERED = 256
"""Octets of a value that is remembered: the messages of a transaction, and most of a call, have the same."""
_usual_branches = lru_cache(maxsize=4_096)(_usual_branch)


def _branch_of(value: bytes) -> str | None:
    """The same; the responses to a request have its Via."""
    return (_usual_branches if len(value) <= _REMEMBERED else _usual_branch)(value)


def _short_branch(value: bytes) -> tuple[bytes, str | None]:
    """What is before it, and the branch."""
    others, found, branch = (value.partition(b",")[0] if _COMMA in value else value).partition(b";branch=")
    if not found:
        return others, None
    branch = branch.partition(b";")[0] if _SEMICOLON in branch else branch
    return others, branch.strip().decode("utf-8", "surrogateescape")


def _is_one_uri(before: bytes) -> bool:
    """Whether what is before the last > is a display name, <, and a URI."""
    display, _, uri = before.partition(b"<")
    return len(display) < len(before) and _SEMICOLON not in display and _OPENING not in uri and _CLOSING not in before


def _tag(value: bytes, field: str) -> str | None:
    """The tag of From or To, by the short way where nothing can be mistaken for it, or nothing else can be read."""
    short: str | None = None
    if _QUOTE not in value:
        before, closing, behind = value.rpartition(b">")
        others, found, octets = behind.partition(b";tag=")
        if found:
            octets = octets.partition(b";")[0] if _SEMICOLON in octets else octets
            short = octets.decode("utf-8", "surrogateescape").strip()
            if (
                _OPENING not in behind
                and (not closing or _is_one_uri(before))
                and (not others or b"tag" not in others.lower())
            ):
                return short
        elif _SEMICOLON not in value:
            return None
    try:
        return parse_name_addr(value.decode("utf-8", "surrogateescape"), field).tag
    except SipError:
        if short is None:
            raise
        return short


_usual_tag = lru_cache(maxsize=8_192)(_tag)


def _tag_of(value: bytes, field: str) -> str | None:
    return (_usual_tag if len(value) <= _REMEMBERED else _tag)(value, field)
