"""What is remembered is bounded in number and in length."""

from __future__ import annotations

from midcall.base.remembered import LONGEST, remembered


def test_short_texts_are_remembered_and_long_ones_are_not():
    asked: list[str] = []

    def measure(text: str) -> int:
        asked.append(text[:3])
        return len(text)

    find = remembered(measure, 2)
    for text in ("one", "one", "two", "x" * LONGEST, "one", "L" * (LONGEST + 1), "L" * (LONGEST + 1)):
        assert find(text) == len(text)
    assert asked == ["one", "two", "xxx", "one", "LLL", "LLL"]
