"""How wide a request may fork (RFC 5393 5.3)."""

from __future__ import annotations

from imswire.sip import SipError, SipMessage

BREADTH = 60
"""Max-Breadth of a request that has none (RFC 5393 5.3.3.1)."""


def breadth(message: SipMessage | None) -> tuple[int, int]:
    """How many branches a request may have at once, and what it says of it: 0, when it does not. SipError."""
    text = message.first("Max-Breadth") if message is not None and message.has(b"max-breadth") else None
    if text is None:
        return BREADTH, 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise SipError("Max-Breadth", "no number")
    said = int(text)
    return min(said, BREADTH), said
