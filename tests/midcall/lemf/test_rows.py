"""Records that are alike come in rows; what ends a row, and that what is kept of them is bounded."""

from __future__ import annotations

import pytest

from midcall.lemf import Link, core, rows
from tests.midcall.lemf.deliverer import MILLI, NOW, Sender
from tests.midcall.lemf.memory import Lab


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each row had."""
    counts: list[int] = []
    take = rows.Rows.take

    def counted(*given):
        found = take(*given)
        counts.append(found[0])
        return found

    monkeypatch.setattr(rows.Rows, "take", counted)
    return counts


def delivery(senders: list[Sender], count: int, form: str = "ipmm") -> list[bytes]:
    """Records of calls that began together, one of each in turn; no number gets wider on the way."""
    for sender in senders:
        sender.numbers["CC"] = 200
    return [
        sender.cc(direction=turn & 1, form=form, time=NOW + 100 * MILLI + turn * MILLI)
        for turn in range(count)
        for sender in senders
    ]


@pytest.mark.parametrize("form", ["ipmm", "voip", "33128"])
@pytest.mark.parametrize("calls", [1, 6])
def test_most_records_come_in_rows(taken, monkeypatch, form, calls):
    one = Link._one
    slow: list[bytes] = []
    monkeypatch.setattr(Link, "_one", lambda self, octets, now: (slow.append(octets), one(self, octets, now))[1])
    pdus = delivery([Sender(b"LIID%d" % (each // 2), each) for each in range(calls)], 600 // calls, form)
    lab = Lab().take(pdus, piece=1 << 18)
    assert sum(taken) > 500 and max(taken) > 100 and len(slow) <= 4 * calls
    assert lab.stored["hi3"] != b"" and len(lab.media) == 600 and lab.lemf.pdus == 600
    assert lab.said() == [("gap", "CC", 0)] * calls


def test_a_row_breaks_off_where_something_is_wrong_and_goes_on_behind_it(taken):
    sender = Sender()
    pdus = delivery([sender], 400)
    del pdus[200]
    lab = Lab().take(pdus)
    assert lab.said() == [("gap", "CC", 400), ("gap", "CC", 0)] or lab.said() == [("gap", "CC", 0), ("gap", "CC", 400)]
    assert sum(taken) > 300 and lab.lemf.pdus == 399


def test_rows_in_vain_are_not_tried_again_at_once(taken, monkeypatch):
    """Each record of another call that nobody knows: one look for so many records."""
    senders = [Sender(b"LIID%d" % (each % 10), 1 + each) for each in range(100)]
    Lab().take(delivery(senders, 3), piece=1 << 18)
    read = [count for count in taken if count]
    assert len(read) < 60


def test_what_is_known_is_bounded(monkeypatch):
    monkeypatch.setattr(rows, "MAX_KNOWN", 5)
    monkeypatch.setattr(rows, "MAX_ROWS", 2)
    senders = [Sender(b"L" * (1 + each % 4), each) for each in range(12)]
    lab = Lab().take([pdu for sender in senders for pdu in delivery([sender], 30)])
    assert len(lab.lemf.familiar("df").rows._rows) <= 2
    assert sum(len(row.known) for row in lab.lemf.familiar("df").rows._rows.values()) <= 5
    assert len(lab.media) == 360


def test_a_sequence_that_is_let_go_of_is_not_found_in_a_row(monkeypatch):
    monkeypatch.setattr(core, "CONTEXTS", 2)
    first, others = Sender(b"A", 1), [Sender(b"B", 2), Sender(b"C", 3)]
    pdus = delivery([first], 40)
    lab = Lab().take([*pdus[:20], *delivery(others, 10), *pdus[20:]])
    (context,) = [each for key, each in lab.lemf.contexts.items() if key.liid == b"A"]
    assert context.next == 240 and len(context.fresh) == 20
    assert [packet for _, packet in lab.media].count(first.rtp(100, 0)) >= 1
    assert ("limit", "CC", None) in lab.said()
