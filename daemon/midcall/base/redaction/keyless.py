"""Messages of the usual kind, told to hand over no key by looking at all of their octets at once.

A proof like those of :mod:`midcall.base.redaction.proofs`, and the quickest where keys alone are taken out, as of all
that a cache keeps. It asks for much more than it must: ASCII without control characters, no folded line, no escape of
any kind, nothing that names a coding, and a session description for a body, in which one ticket is opaque. What has
anything else is looked through.
"""

from __future__ import annotations

import re

from imswire import sip
from midcall.base.redaction.rules import Rules

ONLY_KEYS = Rules(sdes=True)
_PRINTED = bytes(range(0x20, 0x7F))
_ENDS = b"\r\n" * 1_024
_BLANK_LINE, _DESCRIBED = b"\r\n\r\n", b"v=0\r\n"
_TICKET = b"\na=key-mgmt:mikey "
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_PADDING = (b"\r", b"=\r", b"==\r")
_LOWER = bytes(range(256)).lower()
_BETWEEN = b" \r"
# A line of a body that is none of a session description; what may be an escape of quoted-printable.
_OTHER_LINE = re.compile(rb"\n(?![a-z]=|\Z)")
_QUOTING = re.compile(rb"=[2-7][0-9A-Fa-f]")


def hands_over_none(message: sip.SipMessage) -> bool:
    """Whether a message certainly has no key of ``a=crypto`` or ``k=``; False says nothing."""
    octets, body_at, body = message.octets, message.body_at, message.body
    if octets.find(_BLANK_LINE) != body_at - 4 or len(octets) != body_at + len(body):
        return False
    ends = octets.translate(None, _PRINTED)
    if ends != _ENDS[: len(ends)] or octets.count(b"\r\n") * 2 != len(ends):
        return False
    looked_at = octets
    if body:
        body = _without_ticket(body)
        if body[:5] != _DESCRIBED or _OTHER_LINE.search(body) is not None or _QUOTING.search(body) is not None:
            return False
        looked_at = octets[:body_at] + body
    if b"\n " in looked_at or b"%" in looked_at or b"\\" in looked_at or b"&" in looked_at:
        return False
    plain = looked_at.translate(_LOWER, _BETWEEN)
    return not (
        b"k=" in plain
        or b"crypto" in plain
        or b"inline" in plain
        or b"\ne:" in plain
        or plain[:2] == b"e:"  # the start line, to who takes it for a header
        or b"encodin" in plain
        or b"charset" in plain
        or b"base64" in plain
    )


def _without_ticket(body: bytes) -> bytes:
    """Base64 of a ticket may spell anything, which counts for nothing: without the first one that is nothing else."""
    before, found, behind = body.partition(_TICKET)
    if not found:
        return body
    data, end, after = behind.partition(b"\n")
    return before + end + after if end and data.translate(None, _BASE64) in _PADDING else body
