"""What was taken out of a SIP message, as TS 33.128 declares it (PayloadModifications).

What has a predefined value gets it; anything else is described by its place and the octets that are gone.
"""

from __future__ import annotations

from imswire import sip
from imswire.hi import ts33128
from imswire.hi.ts33128 import PredefinedModification as Predefined
from midcall.base import redaction

_HEADERS = {
    "p-access-network-info": Predefined.PANI_LOCATION_REMOVAL,
    "cellular-network-info": Predefined.CNI_LOCATION_REMOVAL,
    "geolocation": Predefined.SIP_GEOLOCATION_INFO_REMOVAL,
    "geolocation-routing": Predefined.SIP_GEOLOCATION_INFO_REMOVAL,
    "geolocation-error": Predefined.SIP_GEOLOCATION_INFO_REMOVAL,
    "subject": Predefined.IMS_SUBJECT_CONTENT_REMOVAL,
    "s": Predefined.IMS_SUBJECT_CONTENT_REMOVAL,
}
# They follow the body.
_OF_BODY = frozenset({"content-length", "l", "content-type", "c", "content-encoding", "e", "content-transfer-encoding"})
_PRESENCE = b"pidf"


def declared(before: sip.SipMessage, after: redaction.Redacted) -> tuple[ts33128.Modification, ...] | None:
    """What differs between a message and what goes over of it; None: nothing does."""
    if not after.removed:
        return None
    try:
        left = sip.parse(after.octets)
    except sip.SipError:
        gone = len(before.octets) - len(after.octets)
        return (_described(ts33128.PlaceKind.ABNF_RULE, "SIP-message", gone),)
    found = [*_of_head(before, left), *_of_body(before, left, after.from_body), *_behind(before)]
    return tuple(dict.fromkeys(found))


def _of_head(before: sip.SipMessage, left: sip.SipMessage) -> list[ts33128.Modification]:
    found: list[ts33128.Modification] = []
    if before.start_line != left.start_line:
        rule = "Request-Line" if before.is_request else "Status-Line"
        found.append(_described(ts33128.PlaceKind.ABNF_RULE, rule, len(before.start_line) - len(left.start_line)))
    old, new = _lines(before), _lines(left)
    for key, (name, octets) in old.items():
        kept = new.get(key, (name, b""))[1]
        if octets == kept or key in _OF_BODY:
            continue
        predefined = _HEADERS.get(key)
        gone = len(octets) - len(kept)
        found.append(_described(ts33128.PlaceKind.SIP_HEADER, name, gone) if predefined is None else predefined)
    return found


def _lines(message: sip.SipMessage) -> dict[str, tuple[str, bytes]]:
    """Octets of all headers of a name, and how it is written first."""
    found: dict[str, tuple[str, bytes]] = {}
    for name, octets in message.header_lines():
        first, so_far = found.get(name.lower(), (name, b""))
        found[name.lower()] = first, so_far + octets
    return found


def _of_body(before: sip.SipMessage, left: sip.SipMessage, what: tuple[str, ...]) -> list[ts33128.Modification]:
    found: list[ts33128.Modification] = []
    plain = redaction.UNREADABLE not in what
    presence = _PRESENCE in before.head.lower() or _PRESENCE in before.body.lower()
    for each in what:
        if each == redaction.CONTENT:
            found.append(Predefined.IMS_TEXT_CONTENT_REMOVAL)
        elif each == redaction.LOCATION and presence and plain:
            found.append(Predefined.PRESENCE_INFORMATION_LOCATION_REMOVAL)
        else:
            found.append(_described(ts33128.PlaceKind.SIP_BODY, None, len(before.body) - len(left.body)))
    return found


def _behind(before: sip.SipMessage) -> list[ts33128.Modification]:
    """Octets behind the length that the message gives."""
    end = len(before.head) + len(before.body)
    gone = len(before.octets) - end
    return [_described(ts33128.PlaceKind.OCTET_LOCATION, (end, end + gone - 1), gone)] if gone > 0 else []


def _described(kind: int, place: str | tuple[int, int] | None, gone: int) -> ts33128.DescribedModification:
    """A value may be shorter than the mark in its place: no octets are gone then."""
    change = ts33128.Change(ts33128.ChangeKind.REMOVED, (ts33128.Unit.OCTETS, max(gone, 0)))
    return ts33128.DescribedModification(ts33128.Place(kind, place), change)
