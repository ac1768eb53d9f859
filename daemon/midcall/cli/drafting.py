"""Drafts of warrants: a TOML template, filled in by a person, becomes the octets that are to be signed."""

from __future__ import annotations

import uuid
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from midcall import config
from midcall.base.warrant import FormError, Revocation, Warrant, envelope, value
from midcall.cli.fail import USAGE, Failed, read_text, reason
from midcall.config import Country, Liid

MAX_DOCUMENT = 1 << 30
Moment = Annotated[datetime, Meta(tz=True)]

EXAMPLE = """\
# Template of a warrant. Fill it in from the order, then: midcall warrant draft THIS.toml --out DRAFT.json
# Everything is to be given; what begins with "# " behind it may be left out.

# id = "W-2026-0001"            # default: drawn. No name of a person: it stands in reports and logs
country = "XX"                  # ISO 3166: the country that authorises
agency = "example agency"       # who receives
services = ["voice", "messaging"]   # of: voice data messaging pushToTalk LALS RCS
scope = "iri+cc"                # "iri": events only
keys = "decrypt"                # or "keys-to-lemf": SRTP as it is, with its keys; not with scope iri
location = false                # whether events may tell where somebody is
start = 2026-07-01T00:00:00Z    # from this second on
end = 2026-07-31T00:00:00Z      # before this second
elements = ["poi-1", "df-1", "kms-1"]  # those that may act under it

[order]
authority = "example court"
reference = "1 AB 23/26"
# sha256 = "..."                # of the order's document; default: that of --order DOCUMENT

[[target]]                      # one for each identity; they are alternatives
liid = "LI-2026-0001"
identity = "sip:alice@example.com"
# xid = "..."                   # default: drawn (UUID, version 4)

[[destination]]                 # where product may go
host = "lemf.example.com"
port = 7443
certificate = "0000000000000000000000000000000000000000000000000000000000000000"  # SHA-256 of its DER form
"""


class DraftTarget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A target of a template; its XID is drawn when it has none."""

    liid: Liid
    identity: value.Identity
    xid: value.Xid | None = None


class DraftOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order of a template; its digest may come from its document."""

    authority: value.Text
    reference: value.Text
    sha256: value.Sha256 | None = None


class Draft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A template. No default widens what may be done: what is not said is asked for."""

    id: value.WarrantId | None = None
    country: Country
    agency: value.Text
    services: Annotated[tuple[value.Service, ...], Meta(min_length=1, max_length=6)]
    scope: Literal["iri", "iri+cc"]
    keys: Literal["decrypt", "keys-to-lemf"] | None = None
    location: bool
    start: Moment
    end: Moment
    elements: Annotated[tuple[value.Element, ...], Meta(min_length=1, max_length=value.MAX_ELEMENTS)]
    order: DraftOrder
    target: Annotated[tuple[DraftTarget, ...], Meta(min_length=1, max_length=value.MAX_TARGETS)]
    destination: Annotated[tuple[value.Destination, ...], Meta(min_length=1, max_length=value.MAX_DESTINATIONS)]


def warrant(path: Path, document: Path | None, former: Warrant | None) -> Warrant:
    """A warrant from a template; with ``former`` the next version of that one. Failed(USAGE) says what is wrong."""
    text = read_text(path, config.MAX_OCTETS)
    try:
        draft = config.read(text, Draft)
    except config.ConfigError as error:
        raise Failed(USAGE, f"{path}: {_drafted(text) or error}") from None
    if former is not None and draft.id not in (None, former.id):
        raise Failed(USAGE, f"{path}: id: not that of the warrant which it is to supersede")
    try:
        members = {
            "type": "warrant",
            "id": draft.id or (f"W-{uuid.uuid4()}" if former is None else former.id),
            "version": 1 if former is None else former.version + 1,
            "supersedes": None if former is None else former.version,
            "country": draft.country,
            "agency": draft.agency,
            "order": _order(draft.order, document, path),
            "services": draft.services,
            "scope": draft.scope,
            "keys": draft.keys,
            "location": draft.location,
            "start": value.as_moment(draft.start),
            "end": value.as_moment(draft.end),
            "targets": [_target(each, former) for each in draft.target],
            "elements": draft.elements,
            "destinations": [msgspec.to_builtins(each) for each in draft.destination],
        }
        # Through the form that is signed: what cannot be read again is not signed.
        read = value.decode(value.encode(msgspec.convert(members, Warrant)))
    except msgspec.ValidationError as error:
        raise Failed(USAGE, f"{path}: {value.without_values(error)}") from None
    except (FormError, ValueError) as error:
        raise Failed(USAGE, f"{path}: {error}") from None
    assert isinstance(read, Warrant)
    return read


def revocation(former: Warrant | Revocation, reference: str) -> Revocation:
    """The end of a warrant. Failed(USAGE)."""
    members = {
        "type": "revocation",
        "id": former.id,
        "version": former.version + 1,
        "supersedes": former.version,
        "reference": reference,
    }
    try:
        return msgspec.convert(members, Revocation)
    except msgspec.ValidationError as error:
        raise Failed(USAGE, f"--revoke: {value.without_values(error)}") from None


def _drafted(text: str) -> str:
    """What to say of the file of a draft or a warrant in the place of a template; empty: it is none."""
    try:
        signatures = len(envelope.read(text.encode()).signatures)
    except FormError:
        return ""
    what = f"a warrant's file with {signatures} signatures" if signatures else "a draft that was made already"
    return f"is no template (TOML), but {what}: show and approve take it, and draft --supersede for a next version"


def _target(draft: DraftTarget, former: Warrant | None) -> dict[str, Any]:
    """A target that goes on keeps its task."""
    kept = () if former is None else former.targets
    same = [each.xid for each in kept if (each.liid, each.identity) == (draft.liid, draft.identity)]
    return {
        "liid": draft.liid,
        "xid": draft.xid or (same[0] if same else str(uuid.uuid4())),
        "identity": draft.identity,
    }


def _order(draft: DraftOrder, document: Path | None, path: Path) -> dict[str, Any]:
    digest = draft.sha256
    if document is not None:
        if digest is not None and digest != _digest(document):
            raise Failed(USAGE, f"{path}: order.sha256: not that of {document}")
        digest = _digest(document)
    if digest is None:
        raise Failed(USAGE, f"{path}: order.sha256: missing; or give the document with --order")
    return {"authority": draft.authority, "reference": draft.reference, "sha256": digest}


def _digest(document: Path) -> str:
    digest, size = sha256(), 0
    try:
        with document.open("rb") as file:
            while octets := file.read(1 << 20):
                size += len(octets)
                if size > MAX_DOCUMENT:
                    raise Failed(USAGE, f"{document}: longer than {MAX_DOCUMENT} octets")
                digest.update(octets)
    except OSError as error:
        raise Failed(USAGE, f"{document}: {reason(error)}") from None
    return digest.hexdigest()
