"""Who is looked for does not show in the work that calls take: counted, and measured on the processor's clock."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from midcall.events import SipSeen
from midcall.poi import MATCHING_ALL, PointOfInterception
from scripts.bench import timing
from scripts.bench.poi import armed, messages, track

CALLS = 20


def work(some: list[SipSeen], poi: PointOfInterception) -> tuple[int, int]:
    """Lines that are executed, and functions in C that are called, for calls of which nobody is a target."""
    lines = called = 0

    def trace(_frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    def profile(_frame: FrameType, event: str, _: object) -> None:
        nonlocal called
        called += event == "c_call"

    before = sys.gettrace()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        track(some, poi)
    finally:
        sys.setprofile(None)
        sys.settrace(before)
    return lines, called


def test_calls_of_others_take_the_same_steps_with_nobody_and_with_10_000_targets() -> None:
    some = messages()[: 7 * CALLS]
    work(some, armed(0, MATCHING_ALL))  # what is done once in a process is done
    steps = work(some, armed(0, MATCHING_ALL))
    assert min(steps) > 1_000
    assert work(some, armed(10_000, MATCHING_ALL)) == steps


def test_after_its_end_no_task_leaves_anything_to_look_for() -> None:
    poi = armed(300, MATCHING_ALL)
    for number in range(300):
        assert poi.disarm(f"x{number}", timing.NEVER) == []
    assert not poi._watch._targets and not poi._watch._tasks
    assert not len(poi._hasher._known), "whom a task was for is not remembered as one who has called"


def test_a_range_is_by_ranks_and_says_what_it_does_not_know() -> None:
    assert timing.ratio([1.0] * 5)[1:3] == (0.0, float("inf")), "five pairs are no proof"
    found = timing.ratio([1 + (n - 50) / 1_000 for n in range(101)])
    assert found.median == 1.0 and found.is_equal and not found.is_other
    # Of 100 throws of a coin 33 or fewer are heads with a chance of 0.0004, 34 with 0.0009.
    assert timing.ratio([float(n) for n in range(100)])[1:3] == (33.0, 66.0)
    assert timing.ratio([each * 1.1 for each in [1.0] * 40]).is_other


@pytest.mark.proof
def test_work_of_the_poi_for_others_is_within_5_percent() -> None:
    found = timing.of_the_poi()
    assert found.is_equal, found


@pytest.mark.proof
def test_a_leak_of_10_percent_would_be_found() -> None:
    assert timing.of_the_poi(more=0.1).is_other


@pytest.mark.proof
def test_work_of_the_proxy_is_within_5_percent_whoever_calls(tmp_path: Path) -> None:
    by_state, whose, events = timing.of_the_proxy(tmp_path)
    assert events > 1_000, "the point of interception has found the targets' calls"
    assert by_state.is_equal, by_state
    assert whose.is_equal, whose
