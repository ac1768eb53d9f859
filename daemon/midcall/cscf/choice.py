"""The best of several final responses (RFC 3261 16.7 6, 7)."""

from __future__ import annotations

from collections.abc import Sequence

from imswire.sip import SipMessage

# What tells the user agent how to try again goes before what does not.
_PREFERRED = (401, 407, 415, 420, 484)
_CHALLENGES = {401: b"www-authenticate", 407: b"proxy-authenticate"}
_NAMES = {b"www-authenticate": b"WWW-Authenticate", b"proxy-authenticate": b"Proxy-Authenticate"}

REASONS = {
    100: "Trying", 200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 407: "Proxy Authentication Required", 408: "Request Timeout",
    413: "Request Entity Too Large", 414: "Request-URI Too Long", 416: "Unsupported URI Scheme", 420: "Bad Extension",
    423: "Interval Too Brief", 430: "Flow Failed", 440: "Max-Breadth Exceeded", 480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops", 487: "Request Terminated",
    500: "Server Internal Error", 501: "Not Implemented", 503: "Service Unavailable", 505: "Version Not Supported",
    513: "Message Too Large",
}  # fmt: skip
"""Reason phrases of what the proxy answers itself (RFC 3261 21)."""


def reason(status: int) -> str:
    return REASONS.get(status, "Failure")


def best(statuses: Sequence[int]) -> int:
    """Index of the response to forward: any of 600 or more, else the lowest class, and in 400 what helps most."""
    return min(range(len(statuses)), key=lambda place: _rank(statuses[place]))


def _rank(status: int) -> tuple[int, int]:
    if status >= 600:
        return 0, 0
    if status == 503:
        return 9, 0  # any other says more (16.7 6)
    return status // 100, 0 if status in _PREFERRED else 1


def challenges(chosen: int, others: Sequence[SipMessage]) -> bytes:
    """Lines with the challenges of the responses that were not chosen, for a chosen 401 or 407 (16.7 7)."""
    if chosen not in _CHALLENGES:
        return b""
    lines = [
        b"%b: %b\r\n" % (_NAMES[name], value)
        for each in others
        if each.status in _CHALLENGES
        for name in _CHALLENGES.values()
        for value in each.raws(name)
    ]
    return b"".join(lines)
