"""The table of calls: found by Call-ID and tags, bounded by count and octets, evicted by worth.

Calls that nobody answered go first, then the oldest answered ones; a call under interception never goes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from midcall.base.bounded import BoundedTable
from midcall.poi.dialog import Call
from midcall.poi.limits import PoiLimits

_Place = tuple[str, str]


class CallTable:
    """Calls by (Call-ID, caller's tag)."""

    def __init__(self, limits: PoiLimits) -> None:
        self._limits = limits
        self._by_id: dict[str, list[Call]] = {}
        # Each call is in just one of the three; together they hold at most ``limits.calls``.
        self._unanswered: BoundedTable[_Place, Call] = BoundedTable("poi.calls.unanswered", limits.calls)
        self._answered: BoundedTable[_Place, Call] = BoundedTable("poi.calls.answered", limits.calls)
        self._intercepted: BoundedTable[_Place, Call] = BoundedTable("poi.calls.intercepted", limits.calls)
        # All calls without an answer, intercepted or not, the oldest first: what time alone will end.
        self._waiting: OrderedDict[_Place, Call] = OrderedDict()
        # All calls of which something is kept, what was kept longest ago first, when there is a bound to its age.
        self._ageing: OrderedDict[_Place, Call] = OrderedDict()
        self._octets = 0
        self.refused = 0

    def find(self, call_id: str, from_tag: str, to_tag: str) -> Call | None:
        """The call that a message with these tags belongs to, whichever side sent it."""
        for call in self._by_id.get(call_id, ()):
            if call.caller_tag == from_tag or (to_tag and call.caller_tag == to_tag):
                return call
        return None

    def add(self, call: Call) -> list[Call]:
        """Keep a new call; returns those that had to go for it (itself, when there is no room at all)."""
        siblings = self._by_id.setdefault(call.call_id, [])
        if len(siblings) >= self._limits.calls_of_a_call_id:
            self.refused += 1
            return [call]
        siblings.append(call)
        self._octets += call.octets
        self._unanswered.put(_place(call), call)
        self._waiting[_place(call)] = call
        if self._limits.max_age is not None:
            self._ageing[_place(call)] = call
        return self._make_room()

    def kept(self, call: Call, mono: int) -> None:
        """Something of a call was kept (monotonic ns)."""
        if self._limits.max_age is not None and call in self._by_id.get(call.call_id, ()):
            call.kept_at = mono
            self._ageing[_place(call)] = call
            self._ageing.move_to_end(_place(call))

    @property
    def ages_at(self) -> int | None:
        """When what is kept longest is too old."""
        for call in self._ageing.values():
            return call.kept_at + (self._limits.max_age or 0)
        return None

    def age(self, mono: int) -> list[Call]:
        """Forget what is too old; returns the calls of which that was. Of an intercepted call it stays."""
        aged: list[Call] = []
        while (due := self.ages_at) is not None and due <= mono:
            place, call = self._ageing.popitem(last=False)
            if place in self._intercepted:
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
        self._waiting.pop(_place(call), None)
        if self._unanswered.pop(_place(call)) is not None:
            self._answered.put(_place(call), call)

    def intercepted(self, call: Call) -> None:
        place = _place(call)
        if self._unanswered.pop(place) is not None or self._answered.pop(place) is not None:
            self._intercepted.put(place, call)

    def released(self, call: Call) -> None:
        if self._intercepted.pop(_place(call)) is not None:
            self._answered.put(_place(call), call)
            if self._limits.max_age is not None:
                self._ageing[_place(call)] = call
                self._ageing.move_to_end(_place(call), last=False)

    def remove(self, call: Call) -> None:
        siblings = self._by_id.get(call.call_id, [])
        if call not in siblings:
            return
        siblings.remove(call)
        if not siblings:
            del self._by_id[call.call_id]
        self._octets -= call.octets
        for table in (self._unanswered, self._answered, self._intercepted):
            table.pop(_place(call))
        self._waiting.pop(_place(call), None)
        self._ageing.pop(_place(call), None)

    def oldest_unanswered(self) -> Call | None:
        return next(iter(self._waiting.values()), None)

    @property
    def octets(self) -> int:
        return self._octets

    def __len__(self) -> int:
        return len(self._unanswered) + len(self._answered) + len(self._intercepted)

    def __iter__(self) -> Iterator[Call]:
        for table in (self._unanswered, self._answered, self._intercepted):
            yield from table.values()

    def _make_room(self) -> list[Call]:
        gone: list[Call] = []
        while len(self) > self._limits.calls or self._octets > self._limits.octets:
            call = self._unanswered.evict() or self._answered.evict()
            if call is None:
                break
            self.remove(call)
            gone.append(call)
        return gone


def _place(call: Call) -> _Place:
    return call.call_id, call.caller_tag
