"""Who a message is from, to, or on behalf of: identities in canonical form, kept only as keyed hashes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b
from itertools import chain
from typing import NamedTuple

from msgspec import Struct

from imswire import sip
from midcall.base.bounded import BoundedTable
from midcall.poi.dialog import Match
from midcall.poi.home import Home

HASH_OCTETS = 16
# Values of one header that are looked at: History-Info of a hostile call can be long.
HEADER_VALUES = 16
# Octets of a header value that is remembered.
REMEMBERED_OCTETS = 512

Hashes = tuple[bytes, ...]

_QUOTE, _SEMICOLON = b'";'
# What stands between its brackets is read by nobody otherwise.
_PLAIN = re.compile("<([A-Za-z0-9:@.+_-]+)>").fullmatch


class IdentityHasher:
    """Keyed BLAKE2b of canonical identities; results for recent header values are remembered. ``home`` tells which
    users of its domains are numbers.
    """

    def __init__(self, key: bytes, remembered: int, home: Home | None = None) -> None:
        self._key = key
        self._home = home or Home()
        self._known: BoundedTable[bytes, Hashes] = BoundedTable("poi.identity_hashes", remembered)
        self._find = self._known.reader()
        self._lists: BoundedTable[bytes, Hashes] = BoundedTable("poi.identity_lists", remembered)
        self._find_list = self._lists.reader()

    def of(self, value: bytes) -> Hashes:
        """Hashes of all canonical forms of a header's name-addr; empty when it names nobody."""
        bare = _bare(value)
        hashes = self._find(bare)
        return self._remember(bare, _uri(_text(bare))) if hashes is None else hashes

    def of_list(self, line: bytes) -> Hashes:
        """The same of all values of a header line that may hold several (HEADER_VALUES at most)."""
        hashes = self._find_list(line)
        if hashes is None:
            values = sip.list_values(line)[:HEADER_VALUES]
            hashes = tuple(chain.from_iterable(self.of(_octets(each)) for each in values))
            if len(line) <= REMEMBERED_OCTETS:
                self._lists.put(line, hashes)
        return hashes

    def of_uri(self, uri: str) -> Hashes:
        """The same of a URI that stands alone: what follows a semicolon in its user part belongs to it."""
        known = b"<%b>" % _octets(uri)
        hashes = self._find(known)
        return self._remember(known, uri) if hashes is None else hashes

    def of_target(self, uri: str) -> Hashes:
        """The same of whom a task is for; not remembered here, where it would outlast the task."""
        return tuple(self.plain(form) for form in sip.identities(uri))

    def plain(self, text: str) -> bytes:
        """The hash of text as it is."""
        return blake2b(_octets(text), digest_size=HASH_OCTETS, key=self._key).digest()

    def _remember(self, known: bytes, uri: str) -> Hashes:
        forms = sip.identities(uri)
        hashes = tuple(map(self.plain, dict.fromkeys((*forms, *self._home.numbers_of(forms)))))
        if len(known) <= REMEMBERED_OCTETS:
            self._known.put(known, hashes)
        return hashes


def _bare(value: bytes) -> bytes:
    """A name-addr without its tag, where nothing can be mistaken for it: it is then the same in all calls of a user."""
    if value[-1:] == b">" or value[:1] != b"<" or _QUOTE in value:
        return value
    uri, closing, rest = value.partition(b">")
    return uri + closing if rest[:5] == b";tag=" and _SEMICOLON not in rest[5:] else value


def _uri(text: str) -> str:
    """The URI of a name-addr; text that is none is taken for a URI."""
    plain = _PLAIN(text)
    if plain is not None:
        return plain[1]
    try:
        return sip.parse_name_addr(text).uri
    except sip.SipError:
        return text


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class Contact(Struct, frozen=True, gc=False):
    """A contact by hashes: the instance ID of its device (RFC 5626; None: it has none), and where it is reached."""

    device: Hashes | None
    place: bytes | None


class _Header(NamedTuple):
    """One that any message of a dialog may name somebody in: the side it names (None: the sender's)."""

    name: str
    key: bytes
    match: Match | None
    of_requests: bool = False
    is_list: bool = True


_NAMING = (_Header("From", b"from", Match.CALLER), _Header("To", b"to", Match.CALLEE))
_ASSERTING = (
    _Header("P-Asserted-Identity", b"p-asserted-identity", None),
    _Header("P-Called-Party-ID", b"p-called-party-id", Match.CALLEE, of_requests=True, is_list=False),
    _Header("History-Info", b"history-info", Match.OTHER),
    _Header("Diversion", b"diversion", Match.OTHER),
)
_DIVERTING = frozenset({b"history-info", b"diversion"})
_NOBODY: frozenset[bytes] = frozenset()


class Identities:
    """Finds who stands in a message, in the headers named by ``matching``. ``remembered`` bounds what is kept."""

    def __init__(self, hasher: IdentityHasher, matching: frozenset[str], remembered: int) -> None:
        self._hasher = hasher
        self._naming = tuple(each for each in _NAMING if each.name.lower() in matching)
        self._asserting = tuple(each for each in _ASSERTING if each.name.lower() in matching)
        self._asserting_keys = frozenset(each.key for each in self._asserting)
        self._by_asserted = "p-asserted-identity" in matching
        self._by_uri = "request-uri" in matching
        self._by_device = "instance-id" in matching
        self._contacts: BoundedTable[bytes, tuple[Contact, ...]] = BoundedTable("poi.contacts", remembered)
        self._find_contacts = self._contacts.reader()

    def named(self, message: sip.SipMessage) -> list[tuple[Hashes, Match]]:
        """From and To of a message, which stay the same for the whole dialog; one that cannot be read names nobody."""
        found = []
        for header in self._naming:
            for value in message.raws(header.key)[:HEADER_VALUES]:
                found.append((self._hasher.of(value), header.match or Match.OTHER))
        return found

    def asserted(
        self, message: sip.SipMessage, sender: Match, contacts: tuple[Contact, ...], said: str | None = None
    ) -> list[tuple[Hashes, Match]]:
        """Identities that any message of a dialog may add, with the side they name; ``contacts`` are its own.

        ``said``: who a proxy says that it is from, whose word counts in place of the message's (RFC 3325 5).
        """
        found: list[tuple[Hashes, Match]] = []
        if said is not None:
            if said and self._by_asserted:
                found.append((self._hasher.of_uri(said), sender))
        elif message.has_any(self._asserting_keys):
            found += self._seldom_asserted(message, sender)
        for contact in contacts:
            if contact.device is not None:
                found.append((contact.device, sender))
        return found

    def _seldom_asserted(self, message: sip.SipMessage, sender: Match) -> Iterator[tuple[Hashes, Match]]:
        for header in self._asserting:
            lines = message.raws(header.key)
            if lines and (message.is_request or not header.of_requests):
                yield self._listed(lines, message, header), header.match or sender

    def requested(self, message: sip.SipMessage) -> Hashes:
        """The Request-URI."""
        uri = message.request_uri if self._by_uri else None
        return () if uri is None else self._hasher.of_uri(uri)

    def diverting(self, message: sip.SipMessage) -> frozenset[bytes]:
        """Who has sent an INVITE on to somebody else: RFC 5806, and RFC 7044's history but where it goes now."""
        if not message.has_any(_DIVERTING):
            return _NOBODY
        values = (*message.values("Diversion")[:HEADER_VALUES], *message.values("History-Info")[:-1][:HEADER_VALUES])
        return frozenset(hashed for value in values for hashed in self._hasher.of(_octets(value)))

    def contacts(self, message: sip.SipMessage) -> tuple[Contact, ...]:
        """Contacts that can be read, when devices are looked for."""
        lines = message.raws(b"contact") if self._by_device else ()
        if len(lines) != 1:
            return () if not lines else tuple(self._read(message.values("Contact")))
        found = self._find_contacts(lines[0])
        if found is None:
            found = tuple(self._read(message.values("Contact")))
            if len(lines[0]) <= REMEMBERED_OCTETS:
                self._contacts.put(lines[0], found)
        return found

    def place(self, uri: str) -> bytes | None:
        """Where a contact is reached, by scheme, user, host and port, as a hash; None: not by SIP."""
        bare = uri.partition(";")[0].partition("?")[0].lower()
        return self._hasher.plain(bare) if bare.startswith(("sip:", "sips:")) else None

    def device(self, contact: sip.NameAddr) -> Hashes | None:
        """The +sip.instance of a contact (RFC 5626): an IMEI URN or a UUID URN."""
        for name, value in contact.params:
            if name.lower() == "+sip.instance" and value:
                return self._hasher.of(_octets(value.strip('"').strip("<>")))
        return None

    def _listed(self, lines: list[bytes], message: sip.SipMessage, header: _Header) -> Hashes:
        if len(lines) == 1:
            return self._hasher.of_list(lines[0]) if header.is_list else self._hasher.of(lines[0])
        values = message.values(header.name)[:HEADER_VALUES]
        return tuple(chain.from_iterable(self._hasher.of(_octets(each)) for each in values))

    def _read(self, values: tuple[str, ...]) -> Iterator[Contact]:
        for contact in name_addrs(values):
            yield Contact(self.device(contact), self.place(contact.uri))


def name_addrs(values: tuple[str, ...]) -> Iterator[sip.NameAddr]:
    """Those of the first values of a header that are name-addrs."""
    for value in values[:HEADER_VALUES]:
        try:
            yield sip.parse_name_addr(value)
        except sip.SipError:
            continue
