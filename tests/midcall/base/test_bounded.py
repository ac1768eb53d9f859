"""Bounded tables evict what was put or touched longest ago, and say how often."""

from __future__ import annotations

import pytest

from midcall.base.bounded import BoundedTable


def test_the_oldest_goes():
    table: BoundedTable[str, int] = BoundedTable("t", 2)
    assert table.put("a", 1) is None and table.put("b", 2) is None
    table.touch("a")
    assert table.put("c", 3) == 2
    assert (table.get("a"), table.get("b"), len(table), table.evicted) == (1, None, 2, 1)
    assert "a" in table and list(table.values()) == [1, 3] and table.oldest() == 1
    assert table.put("a", 9) is None and table.pop("a") == 9 and table.pop("a") is None


def test_many_are_put_at_once():
    table = BoundedTable[str, int]("t", 3)
    table.put_all(["a", "b"], 1)
    table.put_all(["b", "c"], 2)
    assert list(table.items()) == [("a", 1), ("b", 2), ("c", 2)] and not table.evicted
    table.put_all(["d", "e"], 3)
    assert list(table) == ["c", "d", "e"] and table.evicted == 2


def test_empty_and_wrong():
    table: BoundedTable[str, int] = BoundedTable("t", 1)
    assert table.oldest() is None and table.evict() is None
    with pytest.raises(ValueError, match="bound"):
        BoundedTable("t", 0)


def test_the_reader_sees_what_is_put_later():
    table = BoundedTable[str, int]("t", 2)
    look = table.reader()
    assert look("a") is None
    table.put("a", 1)
    assert look("a") == 1
