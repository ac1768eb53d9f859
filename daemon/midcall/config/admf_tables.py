"""The tables of the administration function."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

from msgspec import Meta, Struct

from midcall.config.audit_tables import AuditTable
from midcall.config.kinds import Address, Credential, Filled, Names, Positive, Seconds
from midcall.config.live_tables import TlsTable
from midcall.config.text import ConfigError, line_of


class AdmfElement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An element that is ordered: its identifier on X1 (``ne``), its name in warrants (``element``), where it is asked.

    ``x2``: where a POI sends X2, the address of its DF; or, at each DF in place of that, where it takes X2: then the
    DFs share the tasks of a warrant, and may have one name in warrants. ``names``: of its certificate, one of which it
    has to show besides its identifier.
    """

    role: Literal["poi", "df"]
    ne: Filled
    element: Filled
    url: Annotated[str, Meta(pattern=r"^https://[^\s/]+:[0-9]{1,5}$")]
    x2: str = ""
    names: tuple[Filled, ...] = ()


class AdmfKms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A KMS that is told of revocations: its Xk at ``url``; its certificate has one of the names in ``peers``."""

    url: Annotated[str, Meta(pattern=r"^https://[^\s/]+:[0-9]{1,5}$")]
    peers: Names


class AdmfPerson(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who may ask something: ``peer`` is the name in his certificate; he has one role.

    ``name`` of an approver is the ``person`` of the trust list.
    """

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    peer: Filled
    role: Literal["operator", "administrator", "approver", "auditor"]


class AdmfX1(TlsTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """X1: our files towards elements, and where these report."""

    listen: Address


class AdmfPeople(TlsTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where people ask. One certificate may do so ``per_minute`` times, ``burst`` of them at once."""

    listen: Address
    person: Annotated[tuple[AdmfPerson, ...], Meta(min_length=1, max_length=1_000)]
    per_minute: Positive = 60
    burst: Positive = 30


class AdmfLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``per_hour``: activations within an hour after which each takes a second administrator. ``warrants``: as many
    are kept at most, and for ``keep_days`` when they are over."""

    per_hour: Positive = 20
    warrants: Positive = 10_000
    keep_days: Positive = 90


class AdmfConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[admf]``: holds warrants and orders elements. ``admf`` is its identifier on X1, ``store`` a database sealed
    with the secret ``seal`` (32 octets), ``trust`` its own list of approvers.
    """

    admf: Filled
    seal: Credential
    store: Filled
    trust: Filled
    x1: AdmfX1
    people: AdmfPeople
    element: Annotated[tuple[AdmfElement, ...], Meta(min_length=1, max_length=256)]
    kms: Annotated[tuple[AdmfKms, ...], Meta(max_length=64)] = ()
    limits: AdmfLimits = AdmfLimits()
    audit: AuditTable | None = None
    reconcile_seconds: Seconds = 60.0
    keepalive_seconds: Seconds = 60.0


def check_admf(text: str, admf: AdmfConfig) -> None:
    """What the types do not say. ConfigError."""
    sharing = any(each.role == "df" and each.x2 for each in admf.element)
    for number, each in enumerate(admf.element):
        if (each.role == ("df" if sharing else "poi")) != bool(each.x2):
            reason = "x2: a POI has one, and nobody else; or each DF, where they share tasks, and nobody else"
            raise _wrong(text, f"$.admf.element[{number}]", reason)
    _once(text, "$.admf.element", [each.ne for each in admf.element], "ne")
    _once(text, "$.admf.element", _names(admf.element, sharing=sharing), "element")
    _once(text, "$.admf.element", [each.x2 if sharing else "" for each in admf.element], "x2")
    people = admf.people.person
    _once(text, "$.admf.people.person", [_plain(each.name) for each in people], "name")
    _once(text, "$.admf.people.person", [each.peer for each in people], "peer")


def _names(elements: tuple[AdmfElement, ...], *, sharing: bool) -> list[str]:
    """Their names in warrants; DFs that share tasks may have one, which stands at the first of them."""
    dfs = [each.element if sharing and each.role == "df" else "" for each in elements]
    return ["" if name and name in dfs[:number] else elements[number].element for number, name in enumerate(dfs)]


def _once(text: str, path: str, values: list[str], name: str) -> None:
    """ConfigError; what is empty is nobody's."""
    for number, each in enumerate(values):
        if each and each in values[:number]:
            raise _wrong(text, f"{path}[{number}]", f"{name}: given twice; each has one of its own, and one role")


def _wrong(text: str, path: str, reason: str) -> ConfigError:
    return ConfigError(line_of(text, path), f"{path.removeprefix('$.').partition('[')[0]}: {reason}")


def _plain(name: str) -> str:
    """One person written in two ways is one."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
