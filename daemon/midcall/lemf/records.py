"""What one record says, and which rules it breaks on its own (TS 102 232-1 5.2, TS 33.108, TS 33.128, TS 102 232-5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from imswire import ber, hi
from imswire.ber import BerError, Tlv
from imswire.errors import WireError
from imswire.hi import eps, hi1, ipmm, ts33128
from imswire.hi.check import check
from midcall.lemf.findings import Rule

_HEADER, _PAYLOAD = 1, 2
_MAX_MEMBERS = 64
"""No structure of a header has more."""
_CLASSES = {
    hi.PayloadTag.IRI: "IRI",
    hi.PayloadTag.CC: "CC",
    hi.PayloadTag.HI1: "HI1",
    hi.PayloadTag.ENCRYPTION_CONTAINER: "encryptionContainer",
    hi.PayloadTag.THREE_GPP_HI1: "threeGPP-HI1-Operation",
    hi.PayloadTag.ILHI: "iLHIPayload",
    hi.PayloadTag.HI4: "hI4Payload",
}
NOTIFICATIONS = (_CLASSES[hi.PayloadTag.HI1], _CLASSES[hi.PayloadTag.THREE_GPP_HI1])
"""Classes of payload that belong to HI1."""
_SIP = b"SIP/2.0 "
_SIP_HEAD = 1 << 14
_CSEQ = re.compile(rb"\nCSeq[ \t]*:[ \t]*\d{1,10}[ \t]+([A-Za-z]{1,16})", re.IGNORECASE)


def faults(pdu: hi.PsPdu, octets: bytes) -> Iterator[tuple[Rule, str]]:
    """Rules that the record breaks: those of the modules, and those that only prose has."""
    try:
        findings = check(octets)
    except WireError as error:
        yield Rule.SCHEMA, str(error)
        return
    for finding in findings:
        yield (Rule.CONTENT if "Contents" in finding.path else Rule.SCHEMA), str(finding)
    payload = pdu.payload
    if isinstance(payload, tuple) and pdu.header.cid.cin is None:
        for each in payload:
            if isinstance(each, hi.Iri) and each.kind not in (None, hi.IriType.REPORT):
                yield Rule.SCHEMA, "no communicationIdentityNumber; only an isolated record, a REPORT, goes without"
    if isinstance(payload, hi.EncryptionContainer) and payload.kind != hi.EncryptionType.NONE:
        yield Rule.CONTENT, "encrypted: stored as it is, not looked into"


def time_of(pdu: hi.PsPdu) -> int | None:
    """The time of a record: its own, else the header's (wall ns)."""
    if isinstance(pdu.payload, tuple) and pdu.payload[0].time is not None:
        return pdu.payload[0].time
    return pdu.header.time


def class_of(payload: hi.Payload) -> str:
    """The class of payload of what is neither IRI, CC nor TRI."""
    if isinstance(payload, hi.Hi1):
        return _CLASSES[hi.PayloadTag.HI1]
    if isinstance(payload, hi.EncryptionContainer):
        return "encryptionContainer"
    if isinstance(payload, hi.Opaque):
        return _name(payload.tag)
    return "payload"


def _name(tag: int) -> str:
    known = [name for each, name in _CLASSES.items() if each == tag]
    return known[0] if known else f"payload [{tag}]"


def event(iri: hi.Iri) -> tuple[str, bool]:
    """What happened, in a few words without anything of the content, and whether keys are in it."""
    try:
        tag = ber.read(iri.contents).number
        return _EVENTS[tag](iri.contents) if tag in _EVENTS else (f"iRIContents [{tag}]", False)
    except (hi.HiError, BerError):
        return "unreadable contents", False


def notification(payload: hi.Hi1) -> str:
    """What an HI1 notification is about, by the module's name of it, and the text of an alarm."""
    try:
        found = hi1.parse(payload.contents)
    except hi.HiError:
        return "unreadable contents"
    text = f": {shown(found.information)}" if isinstance(found, hi1.AlarmIndicator) else ""
    return hi1.name(found) + text


def _eps(contents: bytes) -> tuple[str, bool]:
    parameters = eps.parse(contents)
    number = parameters.event
    if number is None:
        return "EPS record", False
    if number == eps.ImsEvent.UNFILTERED_SIP_MESSAGE and parameters.sip_message:
        return _sip(parameters.sip_message), False
    name = eps.ImsEvent(number).name.lower().replace("_", " ") if number in set(eps.ImsEvent) else f"event {number}"
    return name, bool(parameters.keys)


def _ipmm(contents: bytes) -> tuple[str, bool]:
    message = ipmm.parse_iri(contents).message
    return (_sip(message.content) if isinstance(message, ipmm.SipMessage) else "signalling"), False


def _ts33128(contents: bytes) -> tuple[str, bool]:
    found = ts33128.parse_iri(contents).event
    return type(found).__name__, False


_EVENTS: dict[int, Callable[[bytes], tuple[str, bool]]] = {
    hi.IriContents.EPS: _eps,
    hi.IriContents.IPMM: _ipmm,
    hi.IriContents.TS33128: _ts33128,
}


def _sip(message: bytes) -> str:
    """The method, or the status code and the method that it answers (CSeq)."""
    if message.startswith(_SIP):
        answered = _CSEQ.search(message, 0, _SIP_HEAD)
        what = f" ({shown(answered[1])})" if answered else ""
        return f"SIP {shown(message[len(_SIP) :][:3])}{what}"
    return f"SIP {shown(message[:16].split(b' ')[0])}"


def peek(octets: bytes) -> tuple[hi.Header | None, str]:
    """Header and class of a PS-PDU that cannot be read in full, as far as they can be; None: not even those."""
    try:
        outer = ber.read(octets)
        parts = _members(octets, outer)
        members = _members(octets, parts[_HEADER])
        cid = _members(octets, members[3])
        network = _members(octets, cid[0])
        header = hi.Header(
            ber.string(octets, members[1]),
            hi.CommunicationId(
                ber.string(octets, network[0]),
                ber.string(octets, network[1]) if 1 in network else None,
                ber.integer(octets, cid[1]) if 1 in cid else None,
                ber.string(octets, cid[2]).decode("ascii", "replace") if 2 in cid else None,
            ),
            ber.integer(octets, members[4]),
        )
        if not 0 <= header.sequence < 1 << 32 or not header.liid or not header.cid.operator:
            return None, ""
        return header, _class(octets, parts)
    except (BerError, KeyError):
        return None, ""


def _class(octets: bytes, parts: dict[int, Tlv]) -> str:
    try:
        choice = ber.read(octets, parts[_PAYLOAD].start, parts[_PAYLOAD].end)
        if choice.number != hi.PayloadTag.TRI:
            return _name(choice.number)
        return f"TRI [{ber.read(octets, choice.start, choice.end).number}]"
    except (BerError, KeyError):
        return "unknown payload"


def _members(octets: bytes, tlv: Tlv) -> dict[int, Tlv]:
    """Those that can be read: what is behind a broken one is lost."""
    found: dict[int, Tlv] = {}
    at = tlv.start
    for _ in range(_MAX_MEMBERS):
        if at >= tlv.end:
            break
        try:
            member = ber.read(octets, at, tlv.end)
        except BerError:
            break
        found[member.number] = member
        at = member.after
    return found


def shown(octets: bytes) -> str:
    """Octets that a peer chose, as text without control characters."""
    return "".join(chr(octet) if 0x20 <= octet < 0x7F and octet != 0x5C else f"\\x{octet:02x}" for octet in octets)
