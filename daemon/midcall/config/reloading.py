"""What of a role's table is taken over while the role runs, and what waits for its next start."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from midcall.config.admf_tables import AdmfConfig, AdmfPeople
from midcall.config.cscf_tables import CscfConfig, CscfListen
from midcall.config.kms_tables import KmsPeers, KmsUsers, KmsXk
from midcall.config.live_tables import TlsTable, X1Table, X2OutTable

_FILES = frozenset(("certificate", "key", "ca", "crl"))
TAKEN_OVER: dict[type[Struct], frozenset[str]] = {
    TlsTable: _FILES | {"peers"},
    X2OutTable: _FILES | {"peers"},
    X1Table: _FILES | {"trust"},
    AdmfConfig: frozenset(("trust",)),
    AdmfPeople: _FILES | {"person"},
    KmsUsers: frozenset(("certificate", "key")),
    KmsXk: _FILES | {"clients", "placers", "trust"},
    KmsPeers: _FILES,
    CscfConfig: frozenset(("domains", "route", "peer", "digest")),
    CscfListen: _FILES | {"clients", "tls_1_2"},
}
"""By table, or a table that another is made from: keys whose files, or names, are read anew."""


def waiting(former: Struct | None, new: Struct | None, path: str) -> Iterator[str]:
    """Keys and tables under ``path`` that differ, and that only the next start takes over."""
    if former is None or new is None:
        if former is not new:
            yield path
        return
    for name in former.__struct_fields__:
        held, other = getattr(former, name), getattr(new, name)
        if held == other or name in _taken_over(former):
            continue
        if isinstance(held, Struct) or isinstance(other, Struct):
            yield from waiting(held, other, f"{path}.{name}")
        elif _are_alike(held, other):
            for place, (one, two) in enumerate(zip(held, other, strict=True)):
                yield from waiting(one, two, f"{path}.{name}[{place}]")
        else:
            yield f"{path}.{name}"


def _taken_over(table: Struct) -> frozenset[str]:
    return next((TAKEN_OVER[kind] for kind in type(table).__mro__ if kind in TAKEN_OVER), frozenset())


def _are_alike(held: object, other: object) -> bool:
    """Whether these are as many tables, of a kind of which something is taken over."""
    if not (isinstance(held, tuple) and isinstance(other, tuple) and len(held) == len(other)):
        return False
    return all(type(each) in TAKEN_OVER for each in (*held, *other))
