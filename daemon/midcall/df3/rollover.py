"""Which rollover counters a stream may have when interception joins it (RFC 3711 3.3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from midcall.df3.limits import SECOND, Df3Limits

SEQUENCE_NUMBERS = 65_536


def highest(age: int, kind: str, limits: Df3Limits) -> int:
    """The highest counter that a stream of ``kind`` can have ``age`` ns after its dialog began."""
    rate = limits.video_rate if kind == "video" else limits.audio_rate
    packets = max(age, 0) * rate // SECOND + SEQUENCE_NUMBERS - 1
    return -(-packets // SEQUENCE_NUMBERS)


def candidates(hints: Iterable[int], bound: int) -> Iterator[int]:
    """Each counter once: what is known of the stream first, then from 0 up to ``bound``."""
    tried: set[int] = set()
    for hint in hints:
        if hint >= 0 and hint not in tried:
            tried.add(hint)
            yield hint
    for counter in range(bound + 1):
        if counter not in tried:
            yield counter
