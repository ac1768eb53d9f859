"""The bounds of the ticket cache and the headers in which a target is looked for."""

from __future__ import annotations

from msgspec import Struct

SECOND = 1_000_000_000

# What the network asserts, and where a user can stand without being a party.
MATCHING_ALL = frozenset(
    {
        "request-uri",
        "from",
        "to",
        "p-asserted-identity",
        "p-called-party-id",
        "history-info",
        "diversion",
        "instance-id",
    }
)
MATCHING_REPLAY = frozenset({"request-uri", "from", "to", "p-asserted-identity"})


class PoiLimits(Struct, frozen=True, kw_only=True):
    """Counts, octets and times (ns) that hostile signalling cannot push the cache beyond."""

    calls: int = 200_000
    calls_of_a_call_id: int = 8
    forks: int = 32
    identities: int = 24
    branches: int = 32
    rounds: int = 8
    updates: int = 256
    octets: int = 1 << 30
    octets_of_a_call: int = 1 << 20
    hashes: int = 65_536
    registrations: int = 500_000

    # RFC 3261 17.1.1.2: 64*T1. As long may a BYE wait for its answer, and a fork for another one's 2xx.
    transaction: int = 32 * SECOND
    # Timer C is more than three minutes and starts again with each 1xx: twice that ends an unanswered call.
    unanswered: int = 400 * SECOND
    # TS 33.107 7A.3.1: maximum storage time of a ticket exchange; None: as long as the dialog.
    max_age: int | None = None
