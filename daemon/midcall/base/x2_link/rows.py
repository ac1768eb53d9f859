"""Numbers of what the POIs send (TS 103 221-2 5.3.9): what is missing, late or repeated.

A POI sends again, the same octets, what it has no proof for. A PDU is a repetition when one of the same row and number
and with the same octets was committed, as far as is remembered: the newest PDUs, over all rows, while this process
runs. An old number with other octets is none: a POI that has lost its numbers begins a row anew, and nothing of that
is to be dropped. So a repetition gets through when the server was started anew or many other PDUs came between, never
a loss: who commits twice can tell by row and number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from imswire.x2x3 import Pdu, SequenceKey, following, missing
from midcall.base.bounded import BoundedTable
from midcall.base.x2_link.values import SequenceGap, ServerCounters

ROWS: Final = 65_536
"""Rows of numbers: an intercepted communication has one on X2, and one a direction and agent on X3."""
REMEMBERED: Final = 65_536
"""PDUs that a repetition is known of: more than a POI has under way (its window)."""
FORMS: Final = 4_096


class Row:
    """The numbers of one row; ``id`` is never used again."""

    __slots__ = ("high", "id")

    def __init__(self, id_: int) -> None:
        self.id = id_
        self.high: int | None = None


class Rows:
    """``gap`` is told of numbers that did not come."""

    def __init__(self, counters: ServerCounters, gap: Callable[[SequenceGap], None]) -> None:
        self._rows: BoundedTable[SequenceKey, Row] = BoundedTable("base.x2_link.rows", ROWS)
        self._committed: BoundedTable[tuple[int, int], int] = BoundedTable("base.x2_link.committed", REMEMBERED)
        self._keys: BoundedTable[int, tuple[Pdu, SequenceKey]] = BoundedTable("base.x2_link.forms", FORMS)
        self._counters = counters
        self._gap = gap
        self._next = 0

    def key(self, stream: Pdu) -> SequenceKey:
        """The row of PDUs that share this value, worked out once."""
        # The entry keeps the PDU, so that no other one has its address.
        found = self._keys.get(id(stream))
        if found is None:
            found = stream, stream.sequence_key
            self._keys.put(id(stream), found)
        return found[1]

    def is_repeat(self, key: SequenceKey, sequence: int, octets: bytes) -> bool:
        """Whether exactly this was committed before, as far as is known."""
        row = self._rows.get(key)
        if row is None or row.high is None or missing(row.high, sequence) is not None:
            return False
        return self._committed.get((row.id, sequence)) == hash(octets)

    def committed(self, peer: str, key: SequenceKey, sequence: int, octets: bytes) -> None:
        """A PDU was committed: remember it, and see what is missing before it."""
        row = self._rows.get(key)
        if row is None:
            row = Row(self._next)
            self._next += 1
            self._rows.put(key, row)
        else:
            self._rows.touch(key)
        # Python keys its hashes of octets for each process: nobody outside makes two that meet.
        self._committed.put((row.id, sequence), hash(octets))
        high = row.high
        if high is None:
            row.high = sequence
            return
        lost = missing(high, sequence)
        if lost is not None:
            row.high = sequence
            if lost:
                self._counters.gaps += 1
                self._counters.missing += lost
                self._gap(SequenceGap(peer, key, following(high), lost))
        elif sequence == 0:
            row.high = 0
            self._counters.restarts += 1
        else:
            self._counters.late += 1
