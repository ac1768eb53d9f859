"""What every capture file gives: frames with their time, in batches of one link type; and how one is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from imswire.errors import WireError

Record = tuple[int, bytes, int]
"""Time in nanoseconds since 1970, the frame as far as it was captured, and its length on the wire."""

Read = Callable[[int], bytes]
"""Gives at most so many octets, and none at the end."""

CHUNK = 256 * 1024
"""Octets a read: small enough to stay in the processor's cache, large enough to forget the call."""
MAX_FRAME = 262_144
"""libpcap's MAXIMUM_SNAPLEN: a longer record says that the file is corrupt."""


Numbered = tuple[int, int, bytes, int]
"""The number of a frame in the file, from 1, and its record."""

Sifted = tuple[int, Iterator[Numbered]]
"""The link type of frames that follow one another, and those of them that were not passed over."""


class Sieve:
    """What a scan passes over without making a record of it.

    ``passes(octets, start, end)`` is asked for each frame that was captured whole, just before its turn: what was
    decided from the frames before it counts. Frames from second ``wake`` on are not asked for and always given.
    """

    __slots__ = ("passes", "wake")

    def __init__(self, passes: Callable[[bytes, int, int], bool], wake: int) -> None:
        self.passes = passes
        self.wake = wake


class Batch(list[Record]):
    """Consecutive records of interfaces of one link type."""

    __slots__ = ("link_type",)

    def __init__(self, link_type: int) -> None:
        super().__init__()
        self.link_type = link_type


class PcapError(WireError):
    """A capture that cannot be read (further).

    ``frame`` counts from 1, 0 being the file header; ``offset`` is where in the file the bad part begins.
    """

    def __init__(self, reason: str, frame: int, offset: int) -> None:
        place = f"frame {frame}" if frame else "file header"
        super().__init__(f"{place} at offset {offset}: {reason}")
        self.reason = reason
        self.frame = frame
        self.offset = offset


def up_to(read: Read, octets: int) -> bytes:
    """As many octets, or all that are left: a pipe may give less than it was asked for."""
    got = read(octets)
    if not got or len(got) == octets:
        return got
    parts, missing = [got], octets - len(got)
    while missing and (got := read(missing)):
        parts.append(got)
        missing -= len(got)
    return b"".join(parts)
