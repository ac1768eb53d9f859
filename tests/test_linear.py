"""Work grows with the size of the input, not with its square: counted in executed lines, on hostile families.

Counting lines is exact and blind for what C does inside one line; scripts/bench/linear.py prints the time as well.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from scripts.bench.linear import FAMILIES

SIZE = 6_000
MOST = 2.3


def lines(run: Any, octets: bytes) -> int:
    """Lines of imswire that ``run`` executes."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if (
            event == "call"
            and "imswire" not in frame.f_code.co_filename
            and "construct" not in frame.f_code.co_filename
        ):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run(octets)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", FAMILIES)
def test_twice_the_size_is_twice_the_work(name):
    run, make = FAMILIES[name]
    once, twice = lines(run, make(SIZE)), lines(run, make(2 * SIZE))
    assert twice <= MOST * once + 200, f"{once} lines for {SIZE} octets, {twice} for twice as many"


@pytest.mark.parametrize("name", FAMILIES)
def test_64_kilobytes_of_it_are_bounded(name):
    run, make = FAMILIES[name]
    assert len(make(65_000)) >= 30_000
    run(make(65_000)[:65_535])
