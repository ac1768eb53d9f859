"""What one writer may add to the log: a role that somebody has broken into neither fills the disk nor drowns others.

Who has used up what is his is refused, as by a disk that is full: he opens nothing new, and keeps what he has to tell.
All others are kept.
"""

from __future__ import annotations

from msgspec import Struct

from midcall.base.audit_link.values import MAX_NOTES, Role
from midcall.base.bounded import BoundedTable

WRITERS = 256
SECOND = 1_000_000_000
DAY = 86_400 * SECOND


class Quota(Struct, frozen=True):
    """Notes: so many ``per_second`` after a ``burst``, and so many ``per_day``."""

    per_second: int = 2_000
    burst: int = 20_000
    per_day: int = 10_000_000


class Quotas:
    """By writer, which is a user of the host in a role: instances are what he says himself.

    Of each is known when (monotonic ns) all that he was granted is paid for, at either rate (GCRA).
    """

    def __init__(self, quota: Quota) -> None:
        self._paces = (SECOND // quota.per_second, DAY // quota.per_day)
        bursts = max(quota.burst, MAX_NOTES), max(quota.per_day, MAX_NOTES)
        self._depths = tuple(pace * burst for pace, burst in zip(self._paces, bursts, strict=True))
        self._paid: BoundedTable[tuple[int, Role], tuple[int, int]] = BoundedTable("audit.quotas", WRITERS)

    def take(self, user: int, role: Role, notes: int, mono: int, *, scarce: bool = False) -> bool:
        """Whether so many notes are granted now. ``scarce``: what is left of the disk is for those who have written
        little, less than half of what was theirs.
        """
        key = user, role
        before = self._paid.get(key) or (mono, mono)
        paid = tuple(max(each, mono) + notes * pace for each, pace in zip(before, self._paces, strict=True))
        for each, depth in zip(paid, self._depths, strict=True):
            if each - mono > (depth // 2 if scarce else depth):
                return False
        self._paid.put(key, (paid[0], paid[1]))
        self._paid.touch(key)
        return True
