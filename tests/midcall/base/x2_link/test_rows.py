"""Sequence numbers of what POIs send (TS 103 221-2 5.3.9): gaps, repetitions, rows that begin anew."""

from __future__ import annotations

from imswire import x2x3
from midcall.base.x2_link.rows import Rows
from midcall.base.x2_link.values import SequenceGap, ServerCounters
from tests.midcall.base.x2_link.world import event

LAST = (1 << 32) - 1


class Desk:
    def __init__(self) -> None:
        self.counters = ServerCounters()
        self.gaps: list[SequenceGap] = []
        self.rows = Rows(self.counters, self.gaps.append)

    def take(self, octets: bytes) -> bool:
        """Commit unless it is a repetition; whether it was none."""
        pdu = x2x3.parse(octets)
        assert pdu.sequence is not None
        if self.rows.is_repeat(pdu.sequence_key, pdu.sequence, octets):
            return False
        self.rows.committed("poi", pdu.sequence_key, pdu.sequence, octets)
        return True


def test_a_gap_is_told_with_its_numbers():
    desk = Desk()
    assert all(desk.take(event(n)) for n in (0, 1, 5, 6))
    assert [(gap.first, gap.count, gap.peer) for gap in desk.gaps] == [(2, 3, "poi")]
    assert (desk.counters.gaps, desk.counters.missing) == (1, 3)
    assert desk.take(event(3)) and desk.counters.late == 1
    assert desk.take(event(7)) and len(desk.gaps) == 1


def test_numbers_wrap():
    desk = Desk()
    assert all(desk.take(event(n)) for n in (LAST - 1, LAST, LAST + 1, LAST + 2))
    assert not desk.gaps and not desk.counters.restarts


def test_a_repetition_is_known_by_its_octets():
    desk = Desk()
    for n in range(5):
        desk.take(event(n))
    assert not any(desk.take(event(n)) for n in range(5))
    assert desk.take(event(3, size=201)), "an old number with other octets is none"
    assert not desk.counters.gaps


def test_a_row_that_begins_anew_loses_nothing():
    desk = Desk()
    for n in range(100):
        desk.take(event(n))
    assert all(desk.take(event(n, size=300)) for n in range(100))
    assert desk.counters.restarts == 1 and not desk.counters.late and not desk.gaps


def test_rows_are_apart():
    desk = Desk()
    assert all(desk.take(event(n, of)) for n in range(3) for of in range(3))
    assert all(desk.take(event(n, 1, kind=x2x3.PduType.X3)) for n in range(3))
    assert not desk.gaps


def test_a_first_number_is_no_gap():
    """A server that was started anew has not seen the numbers before."""
    desk = Desk()
    assert desk.take(event(70)) and not desk.gaps


def test_the_key_of_a_stream_is_worked_out_once():
    desk = Desk()
    pdu = x2x3.parse(event(1))
    assert desk.rows.key(pdu) is desk.rows.key(pdu)
    assert desk.rows.key(pdu) == pdu.sequence_key
