"""Marks of calls, by which a request that belongs to one is known without state (RFC 3261 16.4, 16.7 8; DESIGN 10).

A mark stands in our URI of Record-Route: the seal of the call, and the bond of a place, which is where the requests of
whoever is given it go next from here. A stranger may send to that place alone: else he could have anything sent to
anybody, with the mark of a call of his own.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from imswire import inet, sip
from imswire.inet import InetError
from imswire.sip import SipError, SipMessage, SipUri
from midcall.base.remembered import remembered

MARK = ";mc="
"""Parameter of our URIs in Record-Route: the mark of the call to which they were given."""
SEAL_DIGITS = 16
SEALS = 32_768
"""Seals that are remembered: a call has four or five."""


class Seals:
    """Seals of calls: 64 bits of keyed BLAKE2b over the Call-ID, so that no state is kept for them.

    Each is good for one thing: that in Record-Route shows that a call went through here, that in Via where its
    responses go, and that in our To tags, which any stranger is told, nothing but that they are ours.
    """

    def __init__(self, key: bytes) -> None:
        self._blake = hashlib.blake2b(key=key, digest_size=SEAL_DIGITS // 2, person=b"midcall.cscf")
        self.of = remembered(self._of, SEALS)  # a call has many messages

    def of_tag(self, call_id: str) -> str:
        return self.of(f"\n{call_id}")  # no Call-ID begins so

    def of_way(self, call_id: str, host: str) -> str:
        """Of a call whose responses go to a host."""
        return self.of(f"{host}\n{call_id}")

    def _of(self, call_id: str) -> str:
        blake = self._blake.copy()
        blake.update(call_id.encode("utf-8", "surrogateescape"))
        return blake.hexdigest()

    def fits(self, mark: str, call_id: str) -> bool:
        """Whether a mark is that of a call, wherever it leads."""
        return _same(mark[:SEAL_DIGITS], self.of(call_id))

    def fits_way(self, seal: str, call_id: str, host: str) -> bool:
        return _same(seal, self.of_way(call_id, host))

    def mark(self, call_id: str, place: str) -> str:
        """For whoever sends in a call to a place next."""
        return self.of(call_id) + self.of(f"\n{place}\n{call_id}")

    def leads(self, mark: str, call_id: str, place: str) -> bool:
        """Whether it was given to who sends to this place next."""
        return place != "" and _same(mark, self.mark(call_id, place))

    def of_sender(self, request: SipMessage) -> str:
        """The mark for who receives a request: it leads back to who has sent it."""
        recorded = request.raw(b"record-route")
        return self.mark(request.call_id, _contact(request) if recorded is None else _first(recorded.decode(*_AS)))

    def turned(self, response: SipMessage, mark: str) -> SipMessage:
        """A response whose ``mark`` of its request is, from here on, the one that leads to who has answered."""
        if not mark or mark.encode() not in response.octets:
            return response
        ahead = ""
        for route in _values(response, "Record-Route"):
            if mark in route:
                break
            ahead = route
        own = self.mark(response.call_id, _first(ahead) if ahead else _contact(response))
        return sip.parse(response.octets.replace(mark.encode(), own.encode()))


def _same(seal: str, right: str) -> bool:
    return seal.isascii() and hmac.compare_digest(seal, right)


def unmarked(uri: str) -> tuple[str, str]:
    """A URI without the mark, and the mark."""
    head, found, tail = uri.partition(MARK)
    mark, semicolon, rest = tail.partition(";")
    return (head + semicolon + rest, mark) if found else (uri, "")


def address(value: str) -> str:
    """The URI of a value of Route or the like. SipError."""
    bare = _BARE(value)
    return bare[1] if bare is not None else sip.parse_name_addr(value, "Route").uri


_BARE = re.compile(r"<([A-Za-z0-9:;=@.+_-]++)>").fullmatch


def canonical(host: str) -> str:
    """The same text for one IPv6 address, however it is written (RFC 5954 4.1); names in lower case."""
    bare = host.strip("[]").lower()
    if ":" not in bare:
        return bare
    try:
        return inet.text(inet.pack(bare))
    except InetError:
        return bare


def _read_place(text: str) -> str:
    try:
        uri = sip.parse_uri(text)
    except SipError:
        return ""
    if not isinstance(uri, SipUri):
        return ""
    return f"{uri.user or ''}@{canonical(uri.host)}:{uri.port or ''} {(uri.param('maddr') or '').lower()}"


place_of = remembered(_read_place, 8_192)
"""Where a URI leads, by what decides that; "": nowhere that could be told."""


_AS = "utf-8", "surrogateescape"


def _read_first(value: str) -> str:
    """Where the first of the addresses in a header leads."""
    try:
        return place_of(address(sip.list_values(value.encode(*_AS))[0]))
    except (SipError, IndexError):
        return ""


_first = remembered(_read_first, 8_192)


def _values(message: SipMessage, name: str) -> Sequence[str]:
    try:
        return message.values(name)
    except SipError:
        return ()


def _contact(message: SipMessage) -> str:
    contact = message.raw(b"contact")
    return "" if contact is None else _first(contact.decode(*_AS))
