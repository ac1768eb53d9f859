"""How often somebody may ask: so many at once, so many a minute after that."""

from __future__ import annotations

import ipaddress

from midcall.base.bounded import BoundedTable

MINUTE = 60_000_000_000


def network(address: str | None) -> bytes:
    """What is counted as one asker: an IPv4 address, an IPv6 network of 64 bits."""
    try:
        packed = ipaddress.ip_address((address or "").partition("%")[0]).packed
    except ValueError:
        return b""
    return packed[:8] if len(packed) == 16 else packed


class Rates:
    """For each key the time (monotonic ns) at which all that it was granted is paid for (GCRA).

    A table that is full forgets who has asked longest ago, who then starts anew.
    """

    def __init__(self, table: BoundedTable[bytes, int], per_minute: int, burst: int) -> None:
        self._table = table
        self._interval = MINUTE // per_minute
        self._depth = self._interval * burst
        self.refused = 0

    def take(self, key: bytes, mono: int) -> bool:
        """Whether one more is granted now."""
        paid = max(self._table.get(key) or mono, mono) + self._interval
        if paid - mono > self._depth:
            self.refused += 1
            return False
        self._table.put(key, paid)
        self._table.touch(key)
        return True
