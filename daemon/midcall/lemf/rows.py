"""Content records that stand one behind the other and are alike, judged together.

What a deliverer has of a call, or of calls that began together, comes in rows of records of one length. What does
not change in them is looked up at once, as one key; what does is compared in columns. A key is known from a record
of the same octets that was judged on its own (``link``): what is taken here would have been taken there, and the
first record that would not ends the row.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import calcsize
from typing import Any, Final

from midcall.base.columns import columns
from midcall.lemf.calls import MediaStream
from midcall.lemf.content import SECOND, Layout
from midcall.lemf.context import Context

BEGINNING: Final = 6
"""Octets in which the records of a row are alike: tag and length of a PS-PDU, tag and length of its header."""
LEAST: Final = 4
"""Shorter rows cost more than their records one by one."""
MOST: Final = 512
WARY: Final = 16
"""Records that are looked at together, or passed over, behind a row that broke off: looking in vain stays cheap."""
MAX_ROWS: Final = 512
MAX_KNOWN: Final = 65_536
MAX_OCTETS: Final = 1 << 25
"""Keys, and all of their octets; those of calls in earnest have some 400 each."""
Known = tuple[Context, MediaStream]
Taken = tuple[int, Context | None]
_NONE: Final[Taken] = (0, None)


class Rows:
    """Rows by their beginning; keys of all of them are bounded together, then learnt anew."""

    def __init__(self) -> None:
        self._rows: dict[bytes, _Row] = {}
        self._known = self._octets = 0

    def take(self, data: bytes, position: int, backwards: int, future: int, touched: list[Context]) -> Taken:
        """Take the records at ``position`` that need no look of their own; how many, and whose the last one is.

        ``backwards`` is how far (ns) a time may stand before the last one, ``future`` the latest time (wall ns).
        """
        row = self._rows.get(data[position : position + BEGINNING])
        return _NONE if row is None else row.take(data, position, backwards, future, touched)

    def learn(self, layout: Layout, octets: bytes, context: Context, stream: MediaStream) -> None:
        """A record that was judged on its own and fits ``layout``: the next one like it may come in a row."""
        beginning = octets[:BEGINNING]
        row = self._rows.get(beginning)
        if row is None or row.layout.form != layout.form:
            if len(self._rows) >= MAX_ROWS:
                self.clear()
            row = self._rows[beginning] = _Row(layout, octets)
        pieces = layout.read(octets)
        key = (pieces[0], *pieces[6::2])
        self._known += 1
        self._octets += sum(map(len, key))
        if self._known > MAX_KNOWN or self._octets > MAX_OCTETS:
            self.clear()
            return
        row.known[key] = context, stream

    def clear(self) -> None:
        """Contexts that are let go of must not be found here either."""
        self._rows.clear()
        self._known = self._octets = 0


class _Row:
    """The form of a row, which is of one second too. ``known``: whose a record is, by the octets that are its own."""

    __slots__ = ("_columns", "_most", "_pause", "_places", "_size", "known", "layout")

    def __init__(self, layout: Layout, octets: bytes) -> None:
        self.layout = layout
        self.known: dict[tuple[bytes, ...], Known] = {}
        self._size = len(octets)
        before, number, around, second, between, *others = layout.fields
        first, last = calcsize(">" + before + number), calcsize(">" + before + number + around + second + between)
        # The length of the whole, what is around the second, and the length of microseconds that are read with it.
        whole = {0x81: 2, 0x82: 3}.get(octets[1], 1)
        self._places = (whole, *range(first, last + (layout.micro_base > 0)))
        self._columns = f">{before}{number}{last - first}x{''.join(others)}"
        self._most = MOST
        self._pause = 0

    def take(self, data: bytes, position: int, backwards: int, future: int, touched: list[Context]) -> Taken:
        if self._pause:
            self._pause -= 1
            return _NONE
        layout, alike = self.layout, self._alike(data, position)
        if alike < LEAST:
            return _NONE
        _, _, before_second, second, before_micro, *_ = layout.read(data, position)
        if (before_second, before_micro) != (layout.before_second, layout.before_micro):
            return _NONE
        heads, numbers, micros, *others = columns(self._columns).read(data, position, alike)
        if base := layout.number_base:
            numbers = [number - base for number in numbers]
        found: list[Any] = list(map(self.known.get, zip(heads, *others[::2], strict=True)))
        count = found.index(None) if None in found else alike
        while count and not self._plausible(numbers[:count], second, micros[:count], others, future):
            count //= 2
        records = columns(f"={self._size}s").read(data, position, count)[0]
        each = zip(found, numbers, micros, records, others[-2], strict=False)
        taken = _take(each, second, layout.micro_base, backwards, touched)
        self._most = min(2 * self._most, MOST) if taken == alike else WARY
        if not taken:
            self._pause = WARY
            return _NONE
        return taken, found[taken - 1][0]

    def _alike(self, data: bytes, position: int) -> int:
        """So many whole records are like the first one where all of a row are alike."""
        size = self._size
        count = min(self._most, (len(data) - position) // size)
        for place in self._places:
            column = data[position + place : position + count * size : size]
            count -= len(column.lstrip(column[:1]))
        return count

    def _plausible(
        self, numbers: list[int], second: int, micros: list[int], others: list[list[Any]], future: int
    ) -> bool:
        """Whether these records have numbers and times within their bounds."""
        layout = self.layout
        latest = max(micros) - layout.micro_base
        if micros[0] < layout.micro_base or latest > layout.micro_most or second > layout.second_most:
            return False
        if max(numbers) > layout.number_most or second * SECOND + 1_000 * latest > future:
            return False
        if layout.voip_base < 0:
            return True
        lows = [low - layout.voip_base for low in others[1][: len(numbers)]]
        return max(lows) <= layout.voip_most and lows == [number & 0xFFFF for number in numbers]


def _take(
    each: Iterable[tuple[Known, int, int, bytes, bytes]],
    second: int,
    base: int,
    backwards: int,
    touched: list[Context],
) -> int:
    """Take records as far as each is the next one of its context; returns how many.

    Of each its context and stream, number, microseconds above ``base``, octets and packet.
    """
    begin = second * SECOND - base * 1_000
    taken = 0
    for (context, stream), number, micro, octets, packet in each:
        time, last = begin + micro * 1_000, context.last_time
        if number != context.next or time < last - backwards:
            break
        context.next = number + 1
        if time > last:
            context.last_time = time
        context.fresh[number] = octets
        context.out.append(octets)
        context.media.fields.extend((second, micro - base, stream, packet))
        if not context.dirty:
            context.dirty = True
            touched.append(context)
        taken += 1
    return taken
