"""What leaves a SIP message before it is kept or goes to the agency: location, content, keys (TS 33.107 7A.1.A).

Every octet that no rule names stays as it was intercepted; a body that changes gets its Content-Length. What must not
leave is looked for as the most lenient receiver would read it, and a body that cannot be read goes.
"""

from __future__ import annotations

import re

from imswire import sip
from midcall.base.redaction import bodies, calm, heads, keyless, places, proofs
from midcall.base.redaction.calm import Lines
from midcall.base.redaction.rules import (
    CONTENT,
    LOCATION,
    NOTHING,
    SDES,
    TICKET,
    TRAILING,
    UNREADABLE,
    Redacted,
    Rules,
)
from midcall.base.redaction.text import squeezed

__all__ = [
    "CONTENT",
    "LOCATION",
    "SDES",
    "TICKET",
    "TRAILING",
    "UNREADABLE",
    "Lines",
    "Redacted",
    "Rules",
    "bodiless",
    "description",
    "head",
    "message",
    "of_parsed",
]

_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE)
# Requests which, with their responses, carry offers, answers or capabilities (RFC 3261 13.2.1, 11, RFC 3262, RFC 3311).
_DESCRIBING = frozenset({"INVITE", "ACK", "PRACK", "UPDATE", "OPTIONS"})


def message(octets: bytes, rules: Rules) -> Redacted:
    """Apply the rules to one SIP message; SipError when it cannot be read."""
    return of_parsed(sip.parse(octets), octets, rules)


def of_parsed(parsed: sip.SipMessage, octets: bytes, rules: Rules, known: Lines | None = None) -> Redacted:
    """The same of octets that somebody has read already.

    ``known``: lines of other messages; those that other rules let pass prove nothing.
    """
    if rules == NOTHING:
        return Redacted(octets, ())
    if rules == keyless.ONLY_KEYS and keyless.hands_over_none(parsed):
        return Redacted(octets, ())
    if known is not None and known.rules != rules:
        known = None
    removed: list[str] = []
    head_ = parsed.head
    start, uncoded = _head(head_, rules, removed, known)
    if len(parsed.octets) > len(head_) + len(parsed.body):
        removed.append(TRAILING)
    from_body: list[str] = []
    body, alone = bodies.Body(b""), False
    if parsed.body:
        body, alone = _body(parsed, bodies.Walk(rules, from_body, known), uncoded=uncoded)
        removed += from_body
    if not removed:
        return Redacted(octets, ())
    if body.octets != parsed.body or alone:
        start = heads.for_body(start, len(body.octets), decoded=body.decoded, as_sdp=alone)
    return Redacted(start + body.octets, tuple(dict.fromkeys(removed)), tuple(dict.fromkeys(from_body)))


def description(octets: bytes, rules: Rules) -> Redacted:
    """Apply the rules to a session description by itself; no octets are left of one that must not go out."""
    removed: list[str] = []
    kept = bodies.session(octets, bodies.Walk(rules, removed))
    return Redacted(kept or b"", tuple(dict.fromkeys(removed)))


def head(octets: bytes, rules: Rules) -> Redacted:
    """Start line and headers alone, up to and with the blank line; Content-Length stays that of the message."""
    removed: list[str] = []
    kept, _ = _head(octets, rules, removed)
    return Redacted(kept, tuple(dict.fromkeys(removed)))


def bodiless(octets: bytes) -> sip.SipMessage:
    """A head by itself as a message: what it says of the length of its body is passed over. SipError."""
    return sip.parse(_LENGTH.sub(b"", octets))


def _head(octets: bytes, rules: Rules, removed: list[str], known: Lines | None = None) -> tuple[bytes, bool]:
    """The head that may go out, and whether it is known to name no coding of the body."""
    kept = calm.head(octets, rules, known)
    if kept is None:
        return heads.clean(octets, rules, removed), False
    if kept is not octets:
        removed.append(LOCATION)
    return kept, True


def _body(parsed: sip.SipMessage, walk: bodies.Walk, *, uncoded: bool) -> tuple[bodies.Body, bool]:
    """The body that may go out, and whether it has become a session description standing alone."""
    if walk.rules.content:
        return _session(parsed, walk)
    if (uncoded or proofs.no_coding(parsed.head)) and bodies.session_stays(parsed.body, walk):
        return bodies.Body(parsed.body), False
    walk.placed = walk.rules.location and places.in_parts(squeezed(parsed.head))
    left = bodies.clean(bodies.entity(parsed.head), parsed.body, walk)
    return left or bodies.Body(b""), False


def _session(parsed: sip.SipMessage, walk: bodies.Walk) -> tuple[bodies.Body, bool]:
    """With content kept back: the session description alone, of messages that have one."""
    found = parsed.sdp if _describes(parsed) else None
    if found is None or found != parsed.body:
        walk.removed.append(CONTENT)
    left = None if found is None else bodies.session(found, walk)
    if left is None:
        return bodies.Body(b""), False
    return bodies.Body(left), found != parsed.body


def _describes(parsed: sip.SipMessage) -> bool:
    try:
        return parsed.method in _DESCRIBING
    except sip.SipError:
        return False
