"""What came for calls of a former run that were not back yet: it is taken in with them."""

from __future__ import annotations

from typing import Final

from midcall.base.bounded import BoundedTable
from midcall.events import SipSeen

CALLS: Final = 262_144
MESSAGES: Final = 8
OCTETS: Final = 64 << 20


class Missed:
    """Messages of dialogs that nobody knows, by Call-ID. Bounded: what came longest ago goes first."""

    def __init__(self) -> None:
        self._calls: BoundedTable[str, tuple[SipSeen, ...]] = BoundedTable("poi.missed", CALLS)
        self._octets = 0

    def put(self, call_id: str, seen: SipSeen) -> None:
        before = self._calls.get(call_id) or ()
        if len(before) >= MESSAGES:
            return
        self._let_go(self._calls.put(call_id, (*before, seen)) or ())
        self._octets += len(seen.octets)
        while self._octets > OCTETS:
            self._let_go(self._calls.evict() or ())

    def take(self, call_id: str) -> tuple[SipSeen, ...]:
        """Those of a call that is back."""
        found = self._calls.pop(call_id) or ()
        self._let_go(found)
        return found

    def _let_go(self, messages: tuple[SipSeen, ...]) -> None:
        self._octets -= sum(len(each.octets) for each in messages)

    def __bool__(self) -> bool:
        return True
