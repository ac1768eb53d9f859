"""Rates: a burst, then so many a minute; the table of a crowd is bounded."""

from __future__ import annotations

from midcall.base.bounded import BoundedTable
from midcall.base.rates import MINUTE, Rates, network

SECOND = 10**9


def rates(per_minute: int, burst: int, bound: int = 10) -> Rates:
    return Rates(BoundedTable("test", bound), per_minute, burst)


def test_a_burst_and_then_so_many_a_minute():
    some = rates(60, 3)
    assert [some.take(b"a", 0) for _ in range(5)] == [True, True, True, False, False]
    assert some.take(b"b", 0)
    assert [some.take(b"a", SECOND) for _ in range(2)] == [True, False]
    granted = sum(some.take(b"a", MINUTE + tenth * SECOND // 10) for tenth in range(600))
    assert granted == 60 + 2 and some.refused > 500


def test_who_is_refused_does_not_pay():
    some = rates(60, 1)
    assert some.take(b"a", 0)
    for _ in range(100):
        assert not some.take(b"a", SECOND // 2)
    assert some.take(b"a", SECOND)


def test_a_crowd_takes_no_more_room_than_there_is():
    table: BoundedTable[bytes, int] = BoundedTable("test", 8)
    some = Rates(table, 60, 2)
    for number in range(100):
        assert some.take(number.to_bytes(2, "big"), number)
    assert len(table) == 8
    # Who goes on asking is not the one to be forgotten.
    assert some.take(b"x", 200)
    for number in range(7):
        some.take(number.to_bytes(2, "big"), 201)
        some.take(b"x", 201)
    assert not some.take(b"x", 202)


def test_what_counts_as_one_asker():
    assert network("192.0.2.1") != network("192.0.2.2")
    assert network("2001:db8::1") == network("2001:db8::ffff") != network("2001:db8:0:1::1")
    assert network("fe80::1%eth0") == network("fe80::2") and network(None) == network("?") == b""
