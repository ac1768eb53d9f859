"""What is given up is declared: which numbers of which communication, how many records, from when to when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import structs

from midcall.events import Cc
from midcall.handover.rows import Span
from midcall.handover.values import NUMBERS, ContextKey, Gap, Kind

SECOND = 1_000_000_000
# Ranges of numbers that one gap record names.
TOLD_RANGES = 8


def gaps_of(contexts: Mapping[int, ContextKey], rows: Iterable[tuple[int, list[Span]]], reason: str) -> list[Gap]:
    """The gaps that rows leave, each given as its time and spans; contexts that nothing names are left out."""
    ranges: dict[ContextKey, list[list[int]]] = {}
    times: dict[ContextKey, list[int]] = {}
    for at, spans in rows:
        for span in spans:
            key = contexts.get(span.context)
            if key is None or key.kind is not Kind.CC:
                continue
            times.setdefault(key, [at, at])[1] = at
            own = ranges.setdefault(key, [])
            if own and (own[-1][1] + 1) % NUMBERS == span.first:
                own[-1][1] = span.last
            else:
                own.append([span.first, span.last])
    return [
        Gap(
            liid=key.liid,
            cin=key.cin,
            reason=reason,
            ranges=tuple((first, last) for first, last in own),
            count=sum((last - first) % NUMBERS + 1 for first, last in own),
            since=times[key][0],
            until=times[key][1],
        )
        for key, own in ranges.items()
    ]


def told(gap: Gap) -> str:
    """A gap in words, for the record that declares it: PrintableString, times in UTC seconds."""
    numbers = ", ".join(f"{first}-{last}" for first, last in gap.ranges[:TOLD_RANGES]) or "not numbered"
    return f"{gap.reason}: {gap.count} records, numbers {numbers}, {_span(gap)}"


def of_intercepts(gaps: Iterable[Gap]) -> list[Gap]:
    """One for each LIID and reason, without communications and numbers: what an alarm tells."""
    found: dict[tuple[str, str], Gap] = {}
    for gap in gaps:
        which = gap.liid, gap.reason
        own = found.get(which) or Gap(gap.liid, None, gap.reason, (), 0, gap.since, gap.until, gap.about)
        found[which] = _joined(own, gap)
    return list(found.values())


def together(gaps: Iterable[Gap]) -> list[Gap]:
    """The same, those without numbers as one of each communication and reason: on a full disk they come each second."""
    found: dict[tuple[str, int | None, str, int], Gap] = {}
    for place, gap in enumerate(gaps):
        which = gap.liid, gap.cin, gap.reason, place if gap.ranges else -1
        own = found.get(which)
        found[which] = gap if own is None else _joined(own, gap)
    return list(found.values())


def _joined(own: Gap, gap: Gap) -> Gap:
    since, until = min(own.since, gap.since), max(own.until, gap.until)
    return structs.replace(own, count=own.count + gap.count, since=since, until=until)


def alarm(gap: Gap) -> str:
    """A gap of an intercept in words, for the alarm about it: PrintableString, times in UTC seconds."""
    return f"content is missing, {gap.reason}: {gap.count} records, {_span(gap)}"


def _span(gap: Gap) -> str:
    since, until = (f"{each // SECOND}.{each % SECOND // 1_000_000:03}" for each in (gap.since, gap.until))
    return f"from {since} to {until} (UTC seconds)"


class Refusals:
    """Content that was refused before it had a number, until it is declared."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int, str], list[int]] = {}

    def add(self, records: Iterable[Cc], reason: str) -> dict[str, int]:
        """Note records; returns how many there were of each LIID."""
        counts: dict[str, int] = {}
        for time, stream, _ in records:
            which = (stream.liid, stream.cin, reason)
            entry = self._open.get(which)
            if entry is None:
                entry = self._open[which] = [0, time, time]
            entry[0] += 1
            entry[1] = min(entry[1], time)
            entry[2] = max(entry[2], time)
            counts[stream.liid] = counts.get(stream.liid, 0) + 1
        return counts

    def take(self) -> list[Gap]:
        """The gaps to declare; they are forgotten here."""
        gaps = [
            Gap(liid, cin, why, (), count, since, until)
            for (liid, cin, why), (count, since, until) in self._open.items()
        ]
        self._open = {}
        return gaps

    def __bool__(self) -> bool:
        return bool(self._open)
