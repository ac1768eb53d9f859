"""Redirections that are followed here instead of by the caller (RFC 3261 16.5, 16.7 4; 8.1.3.4)."""

from __future__ import annotations

from collections.abc import Sequence

from imswire import sip
from imswire.sip import SipError, SipMessage, SipUri
from midcall.cscf.registrar import weight

MOST = 8
"""URIs that are followed for one request: whoever names more names some in vain."""


def uris(answer: SipMessage, tried: Sequence[str], *, secure: bool) -> list[list[str]]:
    """Those of Contact that were not tried yet, the heavier first; those of one weight together.

    ``secure``: the request had a SIPS URI, so that nothing else may take its place. What is no SIP URI, or asks for
    headers, is left out.
    """
    found: dict[str, int] = {}
    for value in answer.values("Contact"):
        try:
            contact = sip.parse_name_addr(value, "Contact")
            uri = sip.parse_uri(contact.uri)
            q = weight({name.lower(): text for name, text in contact.params}.get("q"))
        except SipError:
            continue
        if not isinstance(uri, SipUri) or uri.headers or (secure and uri.scheme != "sips"):
            continue
        if contact.uri not in tried and len(found) + len(tried) < MOST:
            found.setdefault(contact.uri, q)
    weights = sorted(set(found.values()), reverse=True)
    return [[uri for uri, q in found.items() if q == each] for each in weights]
