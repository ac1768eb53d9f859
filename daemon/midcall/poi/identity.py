"""Who a message is from, to, or on behalf of: identities in canonical form, kept only as keyed hashes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from imswire import sip
from midcall.base.bounded import BoundedTable
from midcall.poi.dialog import Match

HASH_OCTETS = 16
# Values of one header that are looked at: History-Info of a hostile call can be long.
HEADER_VALUES = 16


class IdentityHasher:
    """Keyed BLAKE2b of canonical identities; results for recent header values are remembered."""

    def __init__(self, key: bytes, remembered: int) -> None:
        self._key = key
        self._known: BoundedTable[str, tuple[bytes, ...]] = BoundedTable("poi.identity_hashes", remembered)
        self._find = self._known.reader()

    def of(self, text: str) -> tuple[bytes, ...]:
        """Hashes of all canonical forms of a header's name-addr; empty when it names nobody."""
        hashes = self._find(text)
        return self._remember(text, _uri(text)) if hashes is None else hashes

    def of_uri(self, uri: str) -> tuple[bytes, ...]:
        """The same of a URI that stands alone: what follows a semicolon in its user part belongs to it."""
        if ";" not in uri:
            return self.of(uri)
        known = f"<{uri}>"
        hashes = self._find(known)
        return self._remember(known, uri) if hashes is None else hashes

    def plain(self, text: str) -> bytes:
        """The hash of text as it is."""
        return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=HASH_OCTETS, key=self._key).digest()

    def _remember(self, text: str, uri: str) -> tuple[bytes, ...]:
        hashes = tuple(self.plain(form) for form in sip.identities(uri))
        self._known.put(text, hashes)
        return hashes


def _uri(text: str) -> str:
    """The URI of a name-addr; text that is none is taken for a URI."""
    try:
        return sip.parse_name_addr(text).uri
    except sip.SipError:
        return text


class _Header(NamedTuple):
    """One that any message of a dialog may name somebody in: the side it names (None: the sender's)."""

    name: str
    key: bytes
    match: Match | None
    of_requests: bool = False


_ASSERTING = (
    _Header("P-Asserted-Identity", b"p-asserted-identity", None),
    _Header("P-Called-Party-ID", b"p-called-party-id", Match.CALLEE, of_requests=True),
    _Header("History-Info", b"history-info", Match.OTHER),
    _Header("Diversion", b"diversion", Match.OTHER),
)
_INSTANCE = b"+sip.instance"


@lru_cache(maxsize=64)
def _asserting(matching: frozenset[str]) -> tuple[_Header, ...]:
    return tuple(each for each in _ASSERTING if each.name.lower() in matching)


def asserted(message: sip.SipMessage, matching: frozenset[str], sender: Match) -> list[tuple[str, Match]]:
    """Identities (as name-addr or URI) that any message of a dialog may add, with the side they name."""
    found: list[tuple[str, Match]] = []
    for name, key, match, of_requests in _asserting(matching):
        # Most messages have none of them.
        if message.raw(key) is not None and (message.is_request or not of_requests):
            found += _uris(message, name, sender if match is None else match)
    if "instance-id" in matching:
        found += _instances(message, sender)
    return found


def named(message: sip.SipMessage, matching: frozenset[str]) -> Iterator[tuple[str, Match]]:
    """From and To of a message, which stay the same for the whole dialog; one that cannot be read names nobody."""
    for name, match in (("From", Match.CALLER), ("To", Match.CALLEE)):
        if name.lower() in matching:
            yield from _uris(message, name, match)


def diverted_by(message: sip.SipMessage) -> Iterator[str]:
    """Who has sent an INVITE on to somebody else: RFC 5806, and all of RFC 7044's history but where it goes now."""
    yield from message.values("Diversion")[:HEADER_VALUES]
    yield from message.values("History-Info")[:-1][:HEADER_VALUES]


def _uris(message: sip.SipMessage, name: str, match: Match) -> Iterator[tuple[str, Match]]:
    for value in message.values(name)[:HEADER_VALUES]:
        yield value, match


def _instances(message: sip.SipMessage, sender: Match) -> Iterator[tuple[str, Match]]:
    """The +sip.instance of the sender's Contact (RFC 5626): an IMEI URN or a UUID URN."""
    if _INSTANCE not in message.head.lower():
        return
    for value in message.values("Contact")[:HEADER_VALUES]:
        try:
            contact = sip.parse_name_addr(value)
        except sip.SipError:
            continue
        device = instance(contact)
        if device is not None:
            yield device, sender


def instance(contact: sip.NameAddr) -> str | None:
    """The URN in its +sip.instance."""
    for name, value in contact.params:
        if name.lower() == "+sip.instance" and value:
            return value.strip('"').strip("<>")
    return None
