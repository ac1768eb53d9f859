"""The warrant: what two people sign, and each element reads for itself.

Its form is JSON in exactly one spelling: members in the order of the Structs below, all of them, no white space, no
escapes but those that JSON demands. So no two readers can see different things in the same octets, and none reads
what was not written.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from imswire import sip
from midcall.base.services import narrower
from midcall.config import Country, Liid
from midcall.events import Task, Terms

MAX_PAYLOAD = 24 << 10
"""Octets: as many targets as may be, of the longest kind, with room."""
MAX_TARGETS = 32
MAX_ELEMENTS = 64
MAX_DESTINATIONS = 8
MAX_VERSION = (1 << 31) - 1
MAX_IDENTITY = 256
SECOND = 1_000_000_000

WarrantId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
Version = Annotated[int, Meta(ge=1, le=MAX_VERSION)]
Xid = Annotated[str, Meta(pattern=r"\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")]
"""A UUID of version 4, lower case (TS 103 221-1)."""
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Text = Annotated[str, Meta(min_length=1, max_length=128)]
Element = Annotated[str, Meta(pattern=r"\A[!-~]{1,64}\Z")]
Host = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z.:-]{1,253}\Z")]
Port = Annotated[int, Meta(ge=1, le=65_535)]
Identity = Annotated[str, Meta(min_length=1, max_length=MAX_IDENTITY, pattern=r"\A[!-~]+\Z")]
Moment = Annotated[str, Meta(pattern=r"\A2[01]\d\d-[01]\d-[0-3]\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ\Z")]
"""UTC in whole seconds (TS 103 280 UTCDateTime)."""
Service = Literal["voice", "data", "messaging", "pushToTalk", "LALS", "RCS"]
"""TS 103 221-1 ServiceType."""


class FormError(ValueError):
    """Octets that are no warrant; names the member and the rule, never a value."""


class Order(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The order behind the warrant: who gave it, under which reference, and the digest of its document."""

    authority: Text
    reference: Text
    sha256: Sha256

    def __post_init__(self) -> None:
        _printable(self.authority, "authority")
        _printable(self.reference, "reference")


class Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One identity under surveillance, the LIID of its product, and the XID of its task on X1."""

    liid: Liid
    xid: Xid
    identity: Identity

    @property
    def forms(self) -> tuple[str, ...]:
        """The canonical forms that match."""
        return sip.identities(self.identity)

    def covers(self, identity: str) -> bool:
        """Whether all that ``identity`` matches is to be intercepted under this one: not when it matches more."""
        return _within(sip.identities(identity), self.forms)


def _within(forms: tuple[str, ...], covered: tuple[str, ...]) -> bool:
    return bool(forms) and set(forms) <= set(covered)


class Destination(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An LEMF that product may go to: its address, and the SHA-256 of its certificate in DER."""

    host: Host
    port: Port
    certificate: Sha256


class Warrant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="warrant"):
    """What may be intercepted, from when to when, by which elements, for whom.

    ``supersedes`` is the version of the same ``id`` that this one replaces (None: the first). ``keys`` says what
    becomes of session keys under ``scope`` iri+cc, and is None under iri. The window is from ``start`` on and before
    ``end``. ``country`` is the authorising one, ``elements`` are those that may act under it.
    """

    id: WarrantId
    version: Version
    supersedes: Version | None
    country: Country
    agency: Text
    order: Order
    services: Annotated[tuple[Service, ...], Meta(min_length=1, max_length=6)]
    scope: Literal["iri", "iri+cc"]
    keys: Literal["decrypt", "keys-to-lemf"] | None
    location: bool
    start: Moment
    end: Moment
    targets: Annotated[tuple[Target, ...], Meta(min_length=1, max_length=MAX_TARGETS)]
    elements: Annotated[tuple[Element, ...], Meta(min_length=1, max_length=MAX_ELEMENTS)]
    destinations: Annotated[tuple[Destination, ...], Meta(min_length=1, max_length=MAX_DESTINATIONS)]

    def __post_init__(self) -> None:
        _printable(self.agency, "agency")
        _succession(self.version, self.supersedes)
        if (self.keys is None) != (self.scope == "iri"):
            raise ValueError("keys: given with scope iri+cc, and with no other")
        if self.start_ns >= self.end_ns:
            raise ValueError("end: not after start")
        _once(self.services, "services")
        _once(self.elements, "elements")
        _once((each.xid for each in self.targets), "targets: XID")
        _once(self._matched(), "targets: identity")
        _once(((each.host.lower(), each.port) for each in self.destinations), "destinations")

    def _matched(self) -> Iterator[tuple[str, str]]:
        """Each canonical form under its LIID."""
        for each in self.targets:
            forms = each.forms
            if not forms:
                raise ValueError("targets: identity: no SIP, TEL or URN identity")
            yield from ((each.liid, form) for form in dict.fromkeys(forms))

    @property
    def start_ns(self) -> int:
        """Wall time in ns."""
        return moment(self.start)

    @property
    def end_ns(self) -> int:
        """Wall time in ns; not part of the window."""
        return moment(self.end)

    @property
    def content(self) -> bool:
        """Whether content, and keys for it, are within its scope."""
        return self.scope == "iri+cc"

    def target(self, xid: str) -> Target | None:
        """What a task is for."""
        return next((each for each in self.targets if each.xid == xid), None)

    def covering(self, identity: str) -> tuple[Target, ...]:
        """Targets under which all that ``identity`` matches is to be intercepted: none when it matches more."""
        forms = sip.identities(identity)
        return tuple(each for each in self.targets if _within(forms, each.forms))

    def task(self, target: Target) -> Task:
        """The task of a target, as a POI arms it."""
        services = narrower(self.services)
        return Task(target.xid, (target.identity,), self.start_ns, self.end_ns, services=services)

    def terms(self, target: Target, *, encrypted: bool = True) -> Terms:
        """What may be disclosed of it; ``encrypted`` is the agency's wish, not the warrant's."""
        return Terms(
            target.liid,
            self.start_ns,
            self.end_ns,
            content=self.content,
            keys_to_lemf=self.keys == "keys-to-lemf",
            location=self.location,
            encrypted=encrypted,
            services=narrower(self.services),
        )


class Revocation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="revocation"):
    """The end of a warrant before its time: nothing of this ``id`` holds any more, whatever its version."""

    id: WarrantId
    version: Version
    supersedes: Version
    reference: Text

    def __post_init__(self) -> None:
        _printable(self.reference, "reference")
        _succession(self.version, self.supersedes)


Signed = Warrant | Revocation

_DECODER: msgspec.json.Decoder[Signed] = msgspec.json.Decoder(Signed)
_ENCODER = msgspec.json.Encoder()
T = TypeVar("T")


def encode(value: Signed) -> bytes:
    """The octets that are signed. FormError when they would be too many."""
    octets = _ENCODER.encode(value)
    if len(octets) > MAX_PAYLOAD:
        raise FormError(f"longer than {MAX_PAYLOAD} octets")
    return octets


def decode(octets: bytes) -> Signed:
    """Read signed octets. FormError when they are no warrant, or not spelt in the one way."""
    if len(octets) > MAX_PAYLOAD:
        raise FormError(f"longer than {MAX_PAYLOAD} octets")
    return canonical(octets, _DECODER)


def canonical(octets: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """A JSON value whose spelling leaves no choice: encoding it again gives the same octets. FormError."""
    try:
        value = decoder.decode(octets)
        spelt = _ENCODER.encode(value)
    except msgspec.ValidationError as error:
        raise FormError(without_values(error)) from None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # A decoder's text for broken JSON, and a codec's for broken UTF-8, may quote what they stumbled over.
        raise FormError("not JSON") from None
    if spelt != octets:
        raise FormError("JSON, but not spelt as a warrant is: members once and in order, no white space")
    return value


def without_values(error: msgspec.ValidationError) -> str:
    """What a validation has found, with the path of the member and without anything that stood there."""
    message, _, path = str(error).partition(" - at `$")
    name = re.sub(r"\[\d*\]|\[\.\.\.\]", "", path.rstrip("`")).lstrip(".")
    if message.startswith("Invalid"):
        message = "none of the values that are allowed"
    elif "unknown field" in message:
        message = "has a member that does not belong there"
    return f"{name}: {message}" if name else message


def moment(text: str) -> int:
    """Wall time in ns of ``YYYY-MM-DDThh:mm:ssZ``; ValueError when there is no such day or hour."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("start, end: no such day or hour") from None
    return int(at.replace(tzinfo=UTC).timestamp()) * SECOND


def as_moment(at: datetime) -> str:
    """The other way; ValueError for a time without zone or with parts of seconds."""
    if at.tzinfo is None or at.microsecond:
        raise ValueError("a time needs a zone, and whole seconds")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _succession(version: int, supersedes: int | None) -> None:
    if (version == 1) != (supersedes is None) or (supersedes is not None and supersedes >= version):
        raise ValueError("supersedes: an earlier version; version 1 has none before it")


def _printable(text: str, name: str) -> None:
    """Nothing that a terminal would obey, and nothing that is not seen: an approver reads this."""
    if not text.isprintable() or text != text.strip():
        raise ValueError(f"{name}: has characters that do not show")


def _once(values: Iterable[Hashable], name: str) -> None:
    listed = list(values)
    if len(set(listed)) != len(listed):
        raise ValueError(f"{name}: named twice")
