"""The table of calls: found by Call-ID and tags, bounded by count and octets, evicted by worth.

Calls that nobody answered go first, then the oldest answered ones; a call under interception never goes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from msgspec import Struct

from midcall.base.bounded import BoundedTable
from midcall.poi.dialog import Call
from midcall.poi.limits import PoiLimits


class _Siblings(Struct, frozen=True, gc=False):
    """Calls of one Call-ID. The collector need not look at them, nor then at the table that holds them."""

    calls: tuple[Call, ...]


class CallTable:
    """Calls by Call-ID and caller's tag."""

    def __init__(self, limits: PoiLimits) -> None:
        self._limits = limits
        # Most Call-IDs have one call, which then needs no list.
        self._by_id: dict[str, Call | _Siblings] = {}
        # Each call is in just one of the three; together they hold at most ``limits.calls``.
        self._unanswered: BoundedTable[Call, Call] = BoundedTable("poi.calls.unanswered", limits.calls)
        self._answered: BoundedTable[Call, Call] = BoundedTable("poi.calls.answered", limits.calls)
        self._intercepted: BoundedTable[Call, Call] = BoundedTable("poi.calls.intercepted", limits.calls)
        # All calls without an answer, intercepted or not, the oldest first: what time alone will end.
        self._waiting: OrderedDict[Call, None] = OrderedDict()
        # All calls of which something is kept, what was kept longest ago first, when there is a bound to its age.
        self._ageing: OrderedDict[Call, None] = OrderedDict()
        self._octets = 0
        self._count = 0
        self.refused = 0

    def find(self, call_id: str, from_tag: str, to_tag: str) -> Call | None:
        """The call that a message with these tags belongs to, whichever side sent it."""
        found = self._by_id.get(call_id)
        if found is None:
            return None
        for call in (found,) if isinstance(found, Call) else found.calls:
            if call.caller_tag == from_tag or (to_tag and call.caller_tag == to_tag):
                return call
        return None

    def add(self, call: Call) -> list[Call]:
        """Keep a new call; returns those that had to go for it (itself, when there is no room at all)."""
        siblings = self._siblings(call.call_id)
        crowded: list[Call] = []
        if len(siblings) >= self._limits.calls_of_a_call_id:
            self.refused += 1
            idle = [each for each in siblings if each in self._unanswered]
            if not idle:
                return [call]
            # Whoever calls under one Call-ID again and again hides none of these calls: one at which nobody rings goes.
            gone = next((each for each in idle if not each.dialogs), idle[0])
            self.remove(gone)
            crowded.append(gone)
            siblings = self._siblings(call.call_id)
        self._by_id[call.call_id] = _Siblings((*siblings, call)) if siblings else call
        self._octets += call.octets
        self._count += 1
        self._unanswered.put(call, call)
        self._waiting[call] = None
        if self._limits.max_age is not None:
            self._ageing[call] = None
        return crowded + self._make_room()

    def kept(self, call: Call, mono: int) -> None:
        """Something of a call was kept (monotonic ns)."""
        if self._limits.max_age is not None and call in self._siblings(call.call_id):
            call.kept_at = mono
            self._ageing[call] = None
            self._ageing.move_to_end(call)

    @property
    def ages_at(self) -> int | None:
        """When what is kept longest is too old."""
        for call in self._ageing:
            return call.kept_at + (self._limits.max_age or 0)
        return None

    def age(self, mono: int) -> list[Call]:
        """Forget what is too old; returns the calls of which that was. Of an intercepted call it stays."""
        aged: list[Call] = []
        while (due := self.ages_at) is not None and due <= mono:
            call, _ = self._ageing.popitem(last=False)
            if call in self._intercepted:
                continue
            call.forget_exchange()
            self.grew(call, -call.octets)
            aged.append(call)
        return aged

    def grew(self, call: Call, octets: int) -> list[Call]:
        """A call keeps ``octets`` more (or fewer); returns calls that had to go for it."""
        call.octets += octets
        self._octets += octets
        return self._make_room() if octets > 0 else []

    def answered(self, call: Call) -> None:
        self._waiting.pop(call, None)
        if self._unanswered.pop(call) is not None:
            self._answered.put(call, call)

    def intercepted(self, call: Call) -> None:
        if self._unanswered.pop(call) is not None or self._answered.pop(call) is not None:
            self._intercepted.put(call, call)

    def released(self, call: Call) -> None:
        if self._intercepted.pop(call) is not None:
            self._answered.put(call, call)
            if self._limits.max_age is not None:
                self._ageing[call] = None
                self._ageing.move_to_end(call, last=False)

    def remove(self, call: Call) -> None:
        siblings = self._siblings(call.call_id)
        if call not in siblings:
            return
        others = tuple(each for each in siblings if each is not call)
        if others:
            self._by_id[call.call_id] = _Siblings(others)
        else:
            del self._by_id[call.call_id]
        self._octets -= call.octets
        self._count -= 1
        for table in (self._unanswered, self._answered, self._intercepted):
            table.pop(call)
        self._waiting.pop(call, None)
        self._ageing.pop(call, None)

    def oldest_unanswered(self) -> Call | None:
        return next(iter(self._waiting), None)

    @property
    def octets(self) -> int:
        return self._octets

    def __contains__(self, call: Call) -> bool:
        return call in self._siblings(call.call_id)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Call]:
        for table in (self._unanswered, self._answered, self._intercepted):
            yield from table.values()

    def _siblings(self, call_id: str) -> tuple[Call, ...]:
        """Calls of one Call-ID."""
        found = self._by_id.get(call_id)
        if found is None:
            return ()
        return (found,) if isinstance(found, Call) else found.calls

    def _make_room(self) -> list[Call]:
        gone: list[Call] = []
        while self._count > self._limits.calls or self._octets > self._limits.octets:
            call = self._unanswered.evict() or self._answered.evict()
            if call is None:
                break
            self.remove(call)
            gone.append(call)
        return gone
