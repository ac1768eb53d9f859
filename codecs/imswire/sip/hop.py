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
from imswire.sip.message import SipMessage, parse

_MAX_FORWARDS = b"\r\nMax-Forwards: "
_ROUTE = b"\r\nRoute: "
_VIA = b"\r\nVia: "
_FOLDS = (b"\r\n ", b"\r\n\t")
_END = b"\r\n\r\n"


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
    head = message.head
    if head[-4:] != _END or (stream and message.raw(b"content-length") is None):
        return None
    start = head.find(b"\r\n")
    place = head.find(_MAX_FORWARDS, start)
    if place < 0 or head[start : start + 3] in _FOLDS:
        return None
    end = head.find(b"\r\n", place + 16)
    if head[end : end + 3] in _FOLDS:
        return None
    head = b"%b%b%d%b" % (head[:place], _MAX_FORWARDS, hops, head[end:])
    line = head[:start]
    if change.request_uri is not None:
        method, _, rest = line.partition(b" ")
        line = b"%b %b %b" % (method, _uri(change.request_uri), rest.rpartition(b" ")[2])
    if change.routes:
        without = _without_routes(head, change.routes)
        if without is None:
            return None
        head = without
    if change.top_via is not None:
        place = head.find(_VIA)
        if place < 0 or _before(message, head, place):
            return None
        end = head.find(b"\r\n", place + 7)
        value = head[place + 7 : end]
        if head[end : end + 3] in _FOLDS or b"," in value:
            return None
        head = b"%b%b%b%b" % (head[:place], _VIA, change.top_via, head[end:])
    return b"%b\r\n%b%b%b" % (line, change.on_top, head[start + 2 :], message.body)


def _before(message: SipMessage, head: bytes, place: int) -> bool:
    """Whether a Via that is written otherwise may stand before the one at ``place``."""
    raw = message.raw(b"via")
    return raw is None or not head.startswith(raw, place + 7)


def _without_routes(head: bytes, count: int) -> bytes | None:
    """Without the first values of Route; None: they are not each alone in a line of the usual form."""
    lower = head.lower()
    for _ in range(count):
        place = head.find(_ROUTE)
        if place < 0 or lower.find(b"\r\nroute") != place:
            return None
        end = head.find(b"\r\n", place + 9)
        if head[end : end + 3] in _FOLDS or b"," in head[place:end]:
            return None
        head, lower = head[:place] + head[end:], lower[:place] + lower[end:]
    return head


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
    head = message.head
    place = head.find(_VIA)
    if (
        place >= 0
        and head[-4:] == _END
        and not _before(message, head, place)
        and not (stream and message.raw(b"content-length") is None)
    ):
        end = head.find(b"\r\n", place + 7)
        if head[end : end + 3] not in _FOLDS:
            top, comma, rest = head[place + 7 : end].partition(b",")
            if comma and b'"' not in top and rest.strip():
                return b"%b%b%b%b" % (head[: place + 7], rest.lstrip(), head[end:], message.body)
            if not comma and len(message.raws(b"via")) > 1:
                return b"%b%b%b" % (head[:place], head[end:], message.body)
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
    request that lacks some of the headers the others are copied.
    """
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


_COPIED = ((b"From: ", b"from"), (b"To: ", b"to"), (b"Call-ID: ", b"call-id"), (b"CSeq: ", b"cseq"))


def _has_tag(message: SipMessage) -> bool:
    try:
        return message.to_tag is not None
    except SipError:
        return False  # one that is answered as it came, with 400


def readable(octets: bytes) -> SipMessage | None:
    """What a request that cannot be read says of where its answer goes: its headers behind another start line.

    None: not even they can be told apart.
    """
    head, _, _ = octets.lstrip(b"\r\n").partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n")[1:] if not _LENGTH.match(line)]
    try:
        return parse(b"\r\n".join([b"OPTIONS sip:unreadable SIP/2.0", *lines]) + b"\r\n\r\n")
    except SipError:
        return None


_LENGTH = re.compile(rb"(?i)(content-length|l)[ \t]*:")
