"""What an element does with a message before it acts on it: request validation (RFC 3261 16.3, 8.2) as a verdict.

Interception reads what others have let pass and is content with less (:mod:`imswire.sip.message`); a proxy must
not pass on what the next one may read otherwise.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from msgspec import Struct

from imswire.sip.edit import hops_of, max_forwards
from imswire.sip.errors import SipError
from imswire.sip.grammar import ADDRESSES
from imswire.sip.headers import cseq_of, parse_name_addr, parse_via
from imswire.sip.message import SipMessage, parse
from imswire.sip.uri import OtherUri, SipUri, parse_uri

MAGIC_COOKIE = "z9hG4bK"

# What is beyond doubt, and nearly all that ever comes: these are not read any further. Whatever else is read in full.
_WORD = rb"[A-Za-z0-9_.+~*!-]++"
_PARAMETERS = rb"(?:;" + _WORD + rb"(?:=" + _WORD + rb")?+){0,32}+"
_PORT = rb":(?:[0-9]{1,4}+|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])(?![0-9])"
_GROUP = rb"[0-9A-Fa-f]{1,4}"
# RFC 4291 2.2 in its forms 1 and 2: eight groups, or fewer with one :: among them.
_IPV6 = b"(?:%b)" % b"|".join([
    rb"(?:%b:){7}%b" % (_GROUP, _GROUP),
    *(rb"(?:%b:){1,%d}(?::%b){1,%d}" % (_GROUP, 7 - behind, _GROUP, behind) for behind in range(1, 7)),
    rb"(?:%b:){1,7}:" % _GROUP,
    rb":(?:(?::%b){1,7}|:)" % _GROUP,
])  # fmt: skip
_PLAIN_HOST = rb"(?:[A-Za-z0-9][A-Za-z0-9.-]{0,252}+|\[" + _IPV6 + rb"\])(?:" + _PORT + rb")?+"
_PLAIN_URI = rb"sips?:(?:[A-Za-z0-9+_.-]{1,128}@)?+" + _PLAIN_HOST + _PARAMETERS
_PLAIN_NAME = rb'(?:"[A-Za-z0-9 _.-]*+" ?|[A-Za-z0-9_.-]*+ ?)'
_ADDRESS = _PLAIN_NAME + rb"<" + _PLAIN_URI + rb">" + _PARAMETERS
_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_END_OF_WORD = rb"(?=[;,\r\n]|\Z)"
_SENT_BY = rb"SIP/2\.0/(?:UDP|TCP|TLS) " + _PLAIN_HOST
_BRANCH = rb"z9hG4bK" + _WORD
_ADDRESS_OF_IP = rb"(?:(?:" + _OCTET + rb"\.){3}" + _OCTET + rb"|\[" + _IPV6 + rb"\])"
_RECEIVED = rb";received=" + _ADDRESS_OF_IP + _END_OF_WORD
_PARAMETER = _WORD + rb'(?:=(?:"[A-Za-z0-9,_.-]{0,64}"|' + _WORD + rb"))?+"
# What is said of load (RFC 7339) is for the next hop alone, and read.
_FURTHER = rb"(?:;(?!(?i:received|branch)[;=]|(?i:oc)=)" + _PARAMETER + rb"|" + _RECEIVED + rb"){0,32}+"
_VIA = _SENT_BY + rb";branch=" + _BRANCH + _FURTHER
_PLAIN_ADDRESS = re.compile(_ADDRESS).fullmatch
_PLAIN_VIA = re.compile(_VIA).fullmatch
_PLAIN_REQUEST_URI = re.compile(_PLAIN_URI.decode()).fullmatch
# The values of Call-ID, of all Via, of From and To, and then of all other addresses, one line of the message a line,
# each with what stands behind the colon.
_LINE_END = rb"\r?+(?:\n|\Z)"
_NEXT_VIA = rb"(?:, ?+|" + _LINE_END + rb" )"
_TO_ADDRESSES = rb" ([!-~]++)%b (%b);branch=(%b)(;rport%b)?+(%b)(?:%b(%b);branch=%b%b(?:%b%b)*+)?+%b" % (
    _LINE_END, _SENT_BY, _BRANCH, _END_OF_WORD, _FURTHER, _NEXT_VIA, _SENT_BY, _BRANCH, _FURTHER, _NEXT_VIA, _VIA,
    _LINE_END,
)  # fmt: skip
_ONE_ADDRESS = b" %b%b" % (_ADDRESS, _LINE_END)
_SOME_ADDRESSES = b" %b(?:, ?+%b)*+%b" % (_ADDRESS, _ADDRESS, _LINE_END)
_USUAL = re.compile(b"%b(?:%b){2}+(?:%b)*+" % (_TO_ADDRESSES, _ONE_ADDRESS, _SOME_ADDRESSES)).fullmatch
# Reply-To is no list, and may stand anywhere among them.
_USUAL_SINGLE = re.compile(b"%b(?:%b)*+" % (_TO_ADDRESSES, _ONE_ADDRESS)).fullmatch
# A blank between the brackets of an address (RFC 3261 25.1: name-addr has none).
_BLANK_INSIDE = re.compile(r"<[ \t]|[ \t]>")


_BLANK_LINE = re.compile(rb"\n[ \t\r]*\n")


class Action(enum.Enum):
    """What to do with the message."""

    FORWARD = "forward"
    REJECT = "reject"
    DROP = "drop"


class Verdict(Struct, frozen=True, gc=False):
    """An action; with REJECT the status to answer, ``unsupported`` option tags for 420, and what was wrong."""

    action: Action
    status: int = 0
    reason: str = ""
    unsupported: tuple[str, ...] = ()


_FORWARD = Verdict(Action.FORWARD)


def judge(octets: bytes, *, extensions: frozenset[str] = frozenset()) -> Verdict:
    """The verdict on one whole message; ``extensions`` are the option tags that a Proxy-Require may name.

    A bad request is rejected with the status of the first fault, a bad response dropped: nobody may answer it.
    """
    try:
        message = parse(octets)
        return judge_request(message, extensions) if message.is_request else judge_response(message)
    except SipError as error:
        if octets.lstrip(b"\r\n")[:4].upper() == b"SIP/":
            return Verdict(Action.DROP, reason=str(error))
        return Verdict(Action.REJECT, error.status, str(error))


class Usual(Struct, frozen=True, gc=False):
    """What routing wants to know first of a message whose form is beyond doubt.

    ``method`` and ``number`` of CSeq. Of the topmost Via ``sent_by`` with protocol and transport; ``more``: it has
    parameters besides branch and an rport without value. ``next_by`` is that of the Via below, "" when there is none.
    """

    call_id: str
    method: str
    number: int
    sent_by: str
    branch: str
    rport: bool
    more: bool
    next_by: str


def usual(message: SipMessage) -> Usual | None:
    """None: it has to be judged in full. What is found here is FORWARD to both kinds of :func:`judge`."""
    layout, pieces = message.layout, message.pieces
    if layout.usual is None or layout.basic is None or _has_lone_cr(message.octets, message.body_at):
        return None
    found = (_USUAL_SINGLE if b"reply-to" in layout.places else _USUAL)(b"\n".join(layout.usual(pieces)))
    if found is None:
        return None
    call_id, sent_by, branch, rport, more, next_by = found.groups(b"")
    cseq = cseq_of(pieces[layout.basic[4]].strip())
    if message.is_request:
        uri = message.request_uri or ""
        plain = _known_uri(uri) if len(uri) <= _KNOWN_LENGTH else _PLAIN_REQUEST_URI(uri)
        if not plain or cseq.method != message.method or b"proxy-require" in layout.places:
            return None
        if b"max-forwards" in layout.places and not (layout.hops and hops_of(pieces[layout.hops]) > 0):
            return None
    elif next_by and _goes_to_many(next_by.decode()):
        return None
    name, top = call_id.decode(), branch.decode()
    message.remember(name, cseq, top)
    return Usual(name, cseq.method, cseq.number, sent_by.decode(), top, rport != b"", more != b"", next_by.decode())


_KNOWN_LENGTH = 80
"""Octets of a URI or of a Via before its parameters that is remembered."""


@lru_cache(maxsize=4_096)
def _known_uri(uri: str) -> bool:
    return _PLAIN_REQUEST_URI(uri) is not None


def judge_request(message: SipMessage, extensions: frozenset[str] = frozenset()) -> Verdict:
    """The verdict on a request that was read. SipError: what is wrong, with the status to answer."""
    _check_form(message)
    uri = message.request_uri or ""
    if not _PLAIN_REQUEST_URI(uri):
        _check_request_uri(uri)
    if message.top_branch == MAGIC_COOKIE:
        raise SipError("Via", "a branch of nothing but the magic cookie")
    if max_forwards(message) == 0:
        raise SipError("Max-Forwards", "used up", 483)
    if message.raw(b"proxy-require") is None:
        return _FORWARD
    unknown = tuple(tag for tag in message.values("Proxy-Require") if tag.lower() not in extensions)
    if unknown:
        return Verdict(Action.REJECT, 420, "Proxy-Require: extensions that are not known", unknown)
    return _FORWARD


def judge_response(message: SipMessage) -> Verdict:
    """The verdict on a response that was read. Besides its form, where it would go next: never to many (RFC 4475
    3.3.12). SipError: what is wrong."""
    _check_form(message)
    text = next(iter(message.values("Via")[1:2]), "")
    if text and _goes_to_many(text):
        return Verdict(Action.DROP, reason="Via: the next one is a broadcast or multicast address")
    return _FORWARD


def _check_form(message: SipMessage) -> None:
    _check_lines(message.head)
    fault = message.layout.fault
    if fault is not None:
        raise SipError(fault.field, fault.reason)
    vias = message.raws(b"via")
    if not all(map(_PLAIN_VIA, vias)) and not all(map(_plain_vias, vias)):
        _check_vias(message)
    if not vias or not any(vias):
        raise SipError("Via", "missing")
    _ = message.call_id, message.cseq
    for field, name in (("From", b"from"), ("To", b"to")):
        raw = message.raw(name) or b""
        if not _PLAIN_ADDRESS(raw):
            _check_address(field, raw.decode("utf-8", "surrogateescape"))
    for name in ADDRESSES:
        field = name.decode()
        if message.has(name) and not all(map(_PLAIN_ADDRESS, message.raws(name))):
            for value in message.values(field):
                if value != "*":
                    _check_address(field, value)


def _check_lines(head: bytes) -> None:
    """No blank line inside, and no CR alone: others may see the end of the head, or of a line, there."""
    if _has_lone_cr(head, len(head)):
        raise SipError("head", "a CR without LF, where others may see the end of a line")
    end = len(head) - 3
    usual = head.find(b"\n\r", 0, end) < 0 and head.find(b"\n\n", 0, end) < 0
    if usual and b"\n " not in head and b"\n\t" not in head:
        return
    if _BLANK_LINE.search(head, 0, end):
        raise SipError("head", "a blank line inside it, where others may see its end")


def _has_lone_cr(octets: bytes, end: int) -> bool:
    return octets.count(b"\r", 0, end) != octets.count(b"\r\n", 0, end)


def _plain_vias(line: bytes) -> bool:
    """Several in one line."""
    return b'"' not in line and all(_PLAIN_VIA(each.strip()) for each in line.split(b","))


def _check_vias(message: SipMessage) -> None:
    for via in message.vias:
        if via.host.startswith("[") and _ip(via.host[1:-1]) is None:
            raise SipError("Via", "no IPv6 address between the brackets")
        _check_received(via.params)


def _check_address(field: str, value: str) -> None:
    """An address whose SIP URI is one; other schemes are left to who understands them."""
    if _BLANK_INSIDE.search(_outside_quotes(value)):
        raise SipError(field, "a blank inside the angle brackets")
    address = parse_name_addr(value, field)
    if address.uri.partition(":")[0].lower() in ("sip", "sips", "tel"):
        parse_uri(address.uri)


def _outside_quotes(value: str) -> str:
    return value[value.rfind('"') + 1 :]


def _check_received(params: Iterable[tuple[str, str | None]]) -> None:
    """An address with or without brackets (RFC 5118 4.5)."""
    for name, value in params:
        if name.lower() == "received" and _ip((value or "").strip("[]")) is None:
            raise SipError("Via", "received is no address")


def _check_request_uri(text: str) -> None:
    scheme = text.partition(":")[0].lower()
    uri = parse_uri(text)
    if isinstance(uri, OtherUri):
        raise SipError("Request-URI", f"scheme {scheme[:32]!r} is not known", 416)
    if isinstance(uri, SipUri) and uri.headers:
        raise SipError("Request-URI", "headers in it")


def _goes_to_many(via: str) -> bool:
    sent_by = via.partition(";")[0]
    return (_is_of_many if len(sent_by) <= _KNOWN_LENGTH else _leads_to_many)(sent_by)


def _leads_to_many(sent_by: str) -> bool:
    address = _ip(parse_via(sent_by).host.strip("[]"))
    return address is not None and (address.is_multicast or str(address) == "255.255.255.255")


_is_of_many = lru_cache(maxsize=4_096)(_leads_to_many)


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
