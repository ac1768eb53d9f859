"""Content records that stand one behind the other and are alike, judged together.

What a deliverer has of a call, or of calls that began together, comes in rows of records of one length. What does
not change in them is looked up at once, as one key; what does is compared in columns. A key is known from a record
of the same octets that was judged on its own (``link``): what is taken here would have been taken there, and the
first record that would not ends the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any, Final

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
"""Keys, of some 400 octets each."""
Known = tuple[Context, MediaStream]
Media = tuple[int, MediaStream, bytes]
Columns = tuple[tuple[Any, ...], ...]
Taken = tuple[int, Context | None]
_NONE: Final[Taken] = (0, None)


class Rows:
    """Rows by their beginning; keys of all of them are bounded together, then learnt anew."""

    def __init__(self) -> None:
        self._rows: dict[bytes, _Row] = {}
        self._known = 0

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
            row = self._rows[beginning] = _Row(layout, len(octets))
        self._known += 1
        if self._known > MAX_KNOWN:
            self.clear()
            return
        row.known[layout.read(octets)[::2]] = context, stream

    def clear(self) -> None:
        """Contexts that are let go of must not be found here either."""
        self._rows.clear()
        self._known = 0


class _Row:
    """The form of a row. ``known``: whose a record is, by its octets that do not change."""

    __slots__ = ("_most", "_pause", "_records", "_size", "known", "layout")

    def __init__(self, layout: Layout, size: int) -> None:
        self.layout = layout
        self.known: dict[tuple[bytes, ...], Known] = {}
        self._size = size
        self._records = Struct(f"{size}s").iter_unpack
        self._most = MOST
        self._pause = 0

    def take(self, data: bytes, position: int, backwards: int, future: int, touched: list[Context]) -> Taken:
        if self._pause:
            self._pause -= 1
            return _NONE
        alike = self._alike(data, position)
        if alike < LEAST:
            return _NONE
        view = memoryview(data)[position : position + alike * self._size]
        columns: Columns = tuple(zip(*self.layout.rows(view), strict=True))
        found: list[Any] = list(map(self.known.get, zip(*columns[::2], strict=True)))
        count = alike if all(found) else found.index(None)
        times = self._times(columns)
        while count and not self._plausible(columns, times, count, future):
            count //= 2
        taken = self._taken(view, columns, found[:count], times[:count], backwards, touched) if count else 0
        self._most = min(2 * self._most, MOST) if taken == alike else WARY
        if not taken:
            self._pause = WARY
            return _NONE
        return taken, found[taken - 1][0]

    def _taken(
        self,
        view: memoryview,
        columns: Columns,
        found: list[Known],
        times: list[int],
        back: int,
        touched: list[Context],
    ) -> int:
        count = len(found)
        contexts, streams = zip(*found, strict=True)
        base = self.layout.number_base
        numbers = [number - base for number in columns[1][:count]] if base else columns[1][:count]
        records = [octets for (octets,) in self._records(view[: count * self._size])]
        media = zip(times, streams, columns[-2], strict=False)
        first = contexts[0]
        if contexts.count(first) != count or not _take_all(first, numbers, records, times, media, back):
            count = _take_each(zip(contexts, numbers, times, records, media, strict=False), back)
        for context in dict.fromkeys(contexts[:count]):
            if not context.dirty:
                context.dirty = True
                touched.append(context)
        return count

    def _alike(self, data: bytes, position: int) -> int:
        """So many whole records, this one included, begin alike."""
        size = self._size
        count = min(self._most, (len(data) - position) // size)
        for place in range(position, position + BEGINNING):
            column = data[place : position + count * size : size]
            count -= len(column.lstrip(column[:1]))
        return count

    def _plausible(self, columns: Columns, times: list[int], count: int, future: int) -> bool:
        """Whether the first ``count`` records have numbers and times within their bounds."""
        layout = self.layout
        numbers, seconds, micros = columns[1][:count], columns[3][:count], columns[5][:count]
        if min(micros) < layout.micro_base or max(micros) - layout.micro_base > layout.micro_most:
            return False
        if max(numbers) - layout.number_base > layout.number_most or max(seconds) > layout.second_most:
            return False
        if max(times[:count]) > future:
            return False
        if layout.voip_base < 0:
            return True
        lows = [low - layout.voip_base for low in columns[7][:count]]
        return max(lows) <= layout.voip_most and lows == [number - layout.number_base & 0xFFFF for number in numbers]

    def _times(self, columns: Columns) -> list[int]:
        """In wall ns."""
        seconds, micros, base = columns[3], columns[5], 1_000 * self.layout.micro_base
        if seconds.count(seconds[0]) == len(seconds):
            begin = seconds[0] * SECOND - base
            return [begin + 1_000 * micro for micro in micros]
        return [SECOND * second + 1_000 * micro - base for second, micro in zip(seconds, micros, strict=True)]


def _take_all(
    context: Context, numbers: Sequence[int], records: list[bytes], times: list[int], media: Iterable[Media], back: int
) -> bool:
    """Records of one context, when all of them are the next ones and none goes far back in time."""
    first, last = context.next, max(context.last_time, *times)
    if list(numbers) != list(range(first, first + len(records))) or min(times) < last - back:
        return False
    context.next = first + len(records)
    context.last_time = last
    context.fresh.update(zip(numbers, records, strict=True))
    context.out += records
    context.media += media
    return True


def _take_each(each: Iterable[tuple[Context, int, int, bytes, Media]], backwards: int) -> int:
    """Records of any contexts as far as each is the next one of its own."""
    taken = 0
    for context, number, time, octets, media in each:
        last = context.last_time
        if number != context.next or time < last - backwards:
            break
        context.next = number + 1
        if time > last:
            context.last_time = time
        context.fresh[number] = octets
        context.out.append(octets)
        context.media.append(media)
        taken += 1
    return taken
