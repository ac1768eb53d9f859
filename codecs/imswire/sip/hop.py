"""One hop of a proxy, by slices (RFC 3261 16.6, 16.7): what is not touched is not even looked at.

The usual message, written as RFC 3261 writes it, is cut where something changes; any other goes through the
:class:`~imswire.sip.edit.Editor`, to the same effect.
"""

from __future__ import annotations

import re

from msgspec import Struct

from imswire.sip.edit import MAX_FORWARDS, Editor, max_forwards
from imswire.sip.errors import SipError
from imswire.sip.grammar import split
from imswire.sip.message import SipMessage, is_whole, parse


class Change(Struct, frozen=True, gc=False):
    """What a proxy changes in a request that it sends on.

    ``on_top`` are whole lines (CRLF behind each) that come before all others: Via, Record-Route, Route, identities.
    ``request_uri`` None: as it came. ``routes``: how many values of Route are taken away from the top. ``last_route``:
    the last one is (RFC 3261 16.4). ``route_behind`` comes behind all others (16.6 6). ``top_via`` takes the place of
    the topmost Via (RFC 3581 4). ``removed`` are headers, by lower-case long name, whose lines do not go on.
    """

    on_top: bytes
    request_uri: bytes | None = None
    routes: int = 0
    last_route: bool = False
    route_behind: str | None = None
    top_via: bytes | None = None
    removed: tuple[str, ...] = ()


def forwarded(message: SipMessage, change: Change, *, stream: bool = False) -> bytes:
    """The request as it goes on: one hop less, with ``change`` (RFC 3261 16.6). The body keeps its octets.

    ``stream``: it says how long its body is (16.6 9). SipError: Max-Forwards is no number, or used up (483); a change
    that would not stay in its line.
    """
    hops = max_forwards(message)
    if hops == 0:
        raise SipError("Max-Forwards", "used up", 483)
    octets = None
    if hops is not None and not (change.last_route or change.removed or change.route_behind):
        octets = _sliced(message, change, hops - 1, stream)
    return octets if octets is not None else _edited(message, change, hops, stream)


def _sliced(message: SipMessage, change: Change, hops: int, stream: bool) -> bytes | None:
    """By slices; None: the message is not of the usual form."""
    layout = message.layout
    start = _lines_at(message)
    if not start or (stream and not layout.length):
        return None
    line = message.start_line
    if change.request_uri is not None:
        method, _, rest = line.partition(b" ")
        line = b"%b %b %b" % (method, _uri(change.request_uri), rest.rpartition(b" ")[2])
    cuts = [(layout.hops, b"Max-Forwards: %d\r\n" % hops)]
    if change.top_via is not None or change.routes:
        if change.top_via is not None:
            place = layout.places[b"via"][0]
            if b"," in message.pieces[place]:
                return None
            cuts.append((place, b"Via: %b\r\n" % change.top_via))
        routes = _without_routes(message, change.routes)
        if routes is None:
            return None
        cuts += routes
        cuts.sort()
    octets = message.octets
    slices, at = [line, b"\r\n", change.on_top], start
    for place, instead in cuts:
        begin, end = _line(message, at, place)
        if not end:
            return None
        slices += (octets[at:begin], instead)
        at = end
    slices.append(_rest(message, at))
    return b"".join(slices)


def _without_routes(message: SipMessage, routes: int) -> list[tuple[int, bytes]] | None:
    """The places of the lines from which so many values of Route are taken, and what stands there then; None: not by
    slices.
    """
    cuts: list[tuple[int, bytes]] = []
    for place in message.layout.places.get(b"route", ()):
        if not routes:
            break
        rest = message.pieces[place]
        while routes and rest:
            value, _, rest = rest.partition(b",")
            rest = rest.strip()
            is_one = b'"' not in value and value.rfind(b"<") < value.rfind(b">")
            if not is_one or rest[:1] == b"," or rest[-1:] == b",":
                return None
            routes -= 1
        cuts.append((place, b"Route: %b\r\n" % rest if rest else b""))
    return None if routes else cuts


def _lines_at(message: SipMessage) -> int:
    """Where the headers begin; 0: they are not of the form in which lines can be cut out."""
    start = len(message.start_line) + 2
    return start if message.layout.written is not None and message.octets[start - 2 : start] == b"\r\n" else 0


def _line(message: SipMessage, start: int, place: int) -> tuple[int, int]:
    """Where the line of a value begins and ends, the first of its name at or behind ``start``, where a line begins.

    End 0: it has not the usual end.
    """
    name, value = message.pieces[place - 1], message.pieces[place]
    begin = message.octets.find(b"\n%b:" % name, start - 1) + 1
    end = begin + len(name) + len(value) + 2
    if value[-1:] != b"\r":
        end += 1  # the last line: its end is that of the head
    return begin, end if message.octets[end - 2 : end] == b"\r\n" else 0


def _rest(message: SipMessage, at: int) -> bytes:
    """What stands from there to the end of the body."""
    return message.octets[at : message.body_at + len(message.body)]


def _edited(message: SipMessage, change: Change, hops: int | None, stream: bool) -> bytes:
    editor = Editor(message)
    editor.replace("Max-Forwards", str(MAX_FORWARDS if hops is None else hops - 1))
    if change.request_uri is not None:
        editor.request_uri(_uri(change.request_uri).decode("utf-8", "surrogateescape"))
    for _ in range(change.routes):
        editor.pop("Route")
    if change.last_route:
        editor.pop_last("Route")
    if change.route_behind is not None:
        editor.append("Route", change.route_behind)
    for name in change.removed:
        editor.remove(name)
    if change.top_via is not None:
        text = change.top_via.decode("utf-8", "surrogateescape")
        editor.change_first("Via", lambda _: text)
    if stream:
        editor.state_length()
    line, _, rest = editor.octets().partition(b"\r\n")
    return b"%b\r\n%b%b" % (line, change.on_top, rest)


def _uri(uri: bytes) -> bytes:
    if not uri or uri.translate(None, b" \t\r\n\0<>") != uri:
        raise SipError("Request-Line", "no URI")
    return uri


def returned(message: SipMessage, *, stream: bool = False) -> bytes:
    """The response as it goes back: without the topmost Via (RFC 3261 16.7 3). SipError: no other is left."""
    layout, start = message.layout, _lines_at(message)
    vias = layout.places.get(b"via", ())
    if vias and start and not (stream and not layout.length):
        begin, end = _line(message, start, vias[0])
        value = message.pieces[vias[0]]
        if end and b"," not in value and len(vias) > 1:
            return message.octets[:begin] + _rest(message, end)
        top, _, rest = value.partition(b",")
        if end and is_whole(top) and rest.strip():
            return b"%bVia: %b\r\n%b" % (message.octets[:begin], rest.strip(), _rest(message, end))
    if len(message.values("Via")) < 2:
        raise SipError("Via", "the response is for this element alone")
    editor = Editor(message)
    editor.pop("Via")
    if stream:
        editor.state_length()
    return editor.octets()


def answer(
    message: SipMessage, status: int, reason: str, *, top_via: bytes | None = None, to_tag: str = "", extra: bytes = b""
) -> bytes:
    """A response to a request (RFC 3261 8.2.6), without a body.

    ``top_via`` stands for the topmost Via, ``to_tag`` goes into To when it has none, ``extra`` are whole lines. Of a
    request that lacks some of the headers the others are copied. SipError: no status code, a reason of several lines.
    """
    if not 100 <= status <= 699 or not reason.isprintable():
        raise SipError("Status-Line", "no status code from 100 to 699, or a reason of several lines")
    layout, pieces = message.layout, message.pieces
    basic, places = layout.basic, layout.places
    if basic is not None and len(places[b"via"]) == 1 and not (status == 100 and b"timestamp" in places):
        via, from_, to, call_id, cseq = [pieces[place].strip() for place in basic]
        if to_tag and not _has_tag(message):
            to = b"%b;tag=%b" % (to, to_tag.encode())
        if top_via is None or b"," not in via:
            return _ANSWER % (status, reason.encode(), top_via or via, from_, to, call_id, cseq, extra)
    vias = message.raws(b"via")
    lines = [b"SIP/2.0 %d %b" % (status, reason.encode())]
    if vias:
        first = vias[0]
        if top_via is not None:
            rest = list(split(first.decode("utf-8", "surrogateescape"), ","))[1:]
            first = b",".join([top_via, *(each.encode("utf-8", "surrogateescape") for each in rest)])
        lines += [b"Via: " + via for via in (first, *vias[1:])]
    for name, key in _COPIED:
        value = message.raw(key)
        if value is None:
            continue
        if key == b"to" and to_tag and not _has_tag(message):
            value = b"%b;tag=%b" % (value, to_tag.encode())
        lines.append(name + value)
    timestamp = message.raw(b"timestamp") if status == 100 else None
    if timestamp is not None:
        lines.append(b"Timestamp: " + timestamp)
    return b"\r\n".join(lines) + b"\r\n" + extra + b"Content-Length: 0\r\n\r\n"


_ANSWER = b"SIP/2.0 %d %b\r\nVia: %b\r\nFrom: %b\r\nTo: %b\r\nCall-ID: %b\r\nCSeq: %b\r\n%bContent-Length: 0\r\n\r\n"
_COPIED = ((b"From: ", b"from"), (b"To: ", b"to"), (b"Call-ID: ", b"call-id"), (b"CSeq: ", b"cseq"))


def _has_tag(message: SipMessage) -> bool:
    try:
        return message.to_tag is not None
    except SipError:
        return False  # one that is answered as it came, with 400


def readable(octets: bytes) -> SipMessage | None:
    """What a request that cannot be read says of where its answer goes: the headers that an answer has (RFC 3261
    8.2.6.2), behind another start line.

    None: there is no Via, or they cannot be told apart.
    """
    head, _, _ = octets[:_LOOKED_AT].lstrip(b"\r\n").partition(b"\r\n\r\n")
    lines = [match[0] for match in _ANSWERED(head + b"\r\n")]
    if not any(line[:1] in b"Vv" for line in lines):
        return None  # nothing else says that an answer is wanted, and where
    try:
        return parse(b"\r\n".join([b"OPTIONS sip:unreadable SIP/2.0", *lines]) + b"\r\n\r\n")
    except SipError:
        return None


_ANSWERED = re.compile(
    rb"(?i)(?<=\r\n)(?:via|v|from|f|to|t|call-id|i|cseq)[ \t]*:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*(?=\r\n)"
).finditer
_LOOKED_AT = 8_192
"""Octets: the headers of an answer stand there, but for one who wants work done for nothing."""
