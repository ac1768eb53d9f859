"""The trust list of one element: whose approval counts there, from when to when, and how long a warrant may run.

A TOML file. Each element has its own, so that what is changed at one of them opens nothing at the others.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from hashlib import sha256
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc.jwk import OKPKey
from msgspec import Meta, Struct

from midcall import config
from midcall.base.warrant import envelope
from midcall.base.warrant.value import SECOND, FormError, Text

MIN_APPROVALS = 2
MAX_APPROVERS = 256
MAX_DAYS = 3_660
KEY_OCTETS = 32

# Points whose order divides 8 (libsodium's list, the sign bit left out): under one of these as a public key
# signatures can be had without a private one.
_SMALL_ORDER = frozenset(
    bytes.fromhex(each)
    for each in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)

Moment = Annotated[datetime, Meta(tz=True)]


class ListedApprover(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key of one person; the window is from ``valid_from`` on and before ``valid_until``."""

    person: Text
    public_key: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{43}\Z")]
    valid_from: Moment
    valid_until: Moment
    revoked: bool = False


class TrustFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file: ``max_days`` bounds a warrant's length, ``approvals`` is how many persons have to sign."""

    max_days: Annotated[int, Meta(ge=1, le=MAX_DAYS)]
    approvals: Annotated[int, Meta(ge=MIN_APPROVALS, le=envelope.MAX_SIGNATURES)] = MIN_APPROVALS
    approver: Annotated[tuple[ListedApprover, ...], Meta(min_length=MIN_APPROVALS, max_length=MAX_APPROVERS)]


class Approver(Struct, frozen=True):
    """A key that may count; times in wall ns."""

    person: str
    key: OKPKey
    valid_from: int
    valid_until: int
    revoked: bool

    @property
    def name(self) -> str:
        """The person, such that one who is written in two ways is still one."""
        return plain(self.person)

    def __repr__(self) -> str:
        return "Approver(...)"


class TrustList:
    """Approvers by the identifiers of their keys. ``digest``: SHA-256 of the file, in hexadecimal."""

    __slots__ = ("_approvers", "approvals", "digest", "max_length")

    def __init__(
        self, approvers: dict[str, Approver], max_length: int, approvals: int = MIN_APPROVALS, digest: str = ""
    ) -> None:
        if approvals < MIN_APPROVALS:
            raise ValueError(f"fewer than {MIN_APPROVALS} persons approve nothing")
        self._approvers = dict(approvers)
        self.max_length = max_length
        self.approvals = approvals
        self.digest = digest

    def approver(self, key_id: str) -> Approver | None:
        """Whose key this is; None: nobody's that is known."""
        return self._approvers.get(key_id)

    def has(self, person: str) -> bool:
        """Whether a person, in whatever spelling, has a key here."""
        name = plain(person)
        return any(each.name == name for each in self._approvers.values())

    def __len__(self) -> int:
        return len(self._approvers)


def plain(person: str) -> str:
    """A name without case, width and spaces that do not tell two persons apart."""
    return " ".join(unicodedata.normalize("NFKC", person).casefold().split())


def read(text: str) -> TrustList:
    """A trust list from its file's text; midcall.config.ConfigError names line and member."""
    file = config.read(text, TrustFile)
    approvers: dict[str, Approver] = {}
    for place, each in enumerate(file.approver):
        try:
            key = public_key(each.public_key)
            begins, ends = _ns(each.valid_from), _ns(each.valid_until)
            if begins >= ends:
                raise FormError("valid_until is not after valid_from")
            if (identifier := envelope.key_id(key)) in approvers:
                raise FormError("this key is in the list already")
            if not each.person.isprintable() or not each.person.strip():
                raise FormError("person: has characters that do not show")
        except FormError as error:
            raise config.ConfigError(config.line_of(text, f"$.approver[{place}]"), f"approver: {error}") from None
        approvers[identifier] = Approver(each.person, OKPKey.import_key(key), begins, ends, each.revoked)
    persons = {each.name for each in approvers.values()}
    if len(persons) < file.approvals:
        raise config.ConfigError(0, f"{len(persons)} person listed, {file.approvals} have to approve")
    digest = sha256(text.encode()).hexdigest()
    return TrustList(approvers, file.max_days * 24 * 3600 * SECOND, file.approvals, digest)


def public_key(text: str) -> Ed25519PublicKey:
    """An Ed25519 public key in base64url. FormError."""
    octets = envelope.decoded(text)
    if len(octets) != KEY_OCTETS:
        raise FormError(f"public_key: {len(octets)} octets, not {KEY_OCTETS}")
    if octets[:-1] + bytes([octets[-1] & 0x7F]) in _SMALL_ORDER:
        raise FormError("public_key: under this one anybody can sign")
    try:
        return Ed25519PublicKey.from_public_bytes(octets)
    except ValueError:
        raise FormError("public_key: no Ed25519 key") from None


def _ns(at: datetime) -> int:
    return int(at.timestamp()) * SECOND
