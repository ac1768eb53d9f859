"""The edges of a window, a millisecond to each side, with clocks that jump: nothing before it, nothing at its end."""

from __future__ import annotations

import pytest

from midcall.base.warrant import value
from midcall.events import Instant
from tests.midcall import warrants
from tests.midcall.admf.test_machine import Function, Machine, message
from tests.midcall.admf.world import DF, POI, World

MS, SECOND = 10**6, 10**9
START, END = "2026-07-02T00:10:00Z", "2026-07-02T00:20:00Z"


class Site(Machine):
    """POI and DF of an ADMF that has ordered a task whose window is still to come."""

    def __init__(self, start: str = START) -> None:
        super().__init__()
        self.world = World(fail_safe=False)
        self.function = Function(self)
        self.world.told = self.function.told
        self.world.active(warrants.make(start=start, end=END))

    def until(self, moment: str, ms: int = 0, wall: int = 0) -> None:
        """Time passes, second by second at the end; ``wall``: the wall clock is off by so much then, at once."""
        ahead = value.moment(moment) + ms * MS - self.world.now.wall
        for step in (ahead - 3 * SECOND, SECOND, SECOND):
            if step > 0:
                self.world.go(step)
        self.world.go(value.moment(moment) + ms * MS - self.world.now.wall)
        if wall:
            self.world.go(wall, 1_000)

    def hears(self, *messages: bytes) -> int:
        """How many records that makes."""
        before = len(self.products)
        self.looked()
        for each in messages:
            self.function.seen(each)
        return len(self.products) - before


@pytest.mark.parametrize(
    ("moment", "ms", "records"), [(START, -1, 0), (START, 0, 1), (START, 1, 1), (END, -1, 1), (END, 0, 0), (END, 1, 0)]
)
def test_a_message_at_each_edge(moment, ms, records):
    site = Site()
    site.until(moment, ms)
    assert site.hears(message("MESSAGE", 1)) == records


def test_a_call_that_spans_both_edges():
    """Its beginning is told as of the window's, and its end not at all."""
    site = Site()
    assert site.hears(message("INVITE", 1), message("INVITE", 1, "200 OK"), message("ACK", 1)) == 0
    site.until(START, -1)
    assert site.products == []
    site.world.go(MS)
    assert site.products == [value.moment(START)], "the start of interception with an established session"
    assert site.hears(message("OPTIONS", 2)) == 1
    site.until(END, 1)
    assert site.hears(message("BYE", 1), message("BYE", 1, "200 OK")) == 0
    assert all(value.moment(START) <= at < value.moment(END) for at in site.products)


@pytest.mark.parametrize("wall", [3_600, 2], ids=["an hour", "two seconds"])
def test_a_wall_clock_that_is_set_forward_over_the_start_begins_nothing(wall):
    site = Site()
    site.until(START, -1_000)
    site.world.go(wall * SECOND if wall < 600 else 300 * SECOND, 1_000)
    assert site.world.now.wall >= value.moment(START)
    assert site.hears(message("MESSAGE", 1)) == 0 and not site.world.armed(POI)


@pytest.mark.parametrize("wall", [-2, -300])
def test_a_wall_clock_that_is_set_back_lengthens_nothing(wall):
    site = Site(warrants.START)
    assert site.hears(message("MESSAGE", 1)) == 1
    site.until(END, -1)
    site.world.go(wall * SECOND, MS - 1)
    site.world.go(1, 1)
    assert site.hears(message("MESSAGE", 2)) == 0, "the monotonic clock says that it is over"
    assert not site.world.armed(POI) | site.world.armed(DF)
    site.world.minute()
    assert site.hears(message("MESSAGE", 3)) == 0 and not site.world.held(POI) | site.world.held(DF)


def test_a_wall_clock_that_is_set_forward_over_the_end_ends_it():
    site = Site(warrants.START)
    site.world.go(1_800 * SECOND, 1)
    assert site.hears(message("MESSAGE", 1)) == 0 and not site.world.armed(POI) | site.world.armed(DF)
    # Set right again, it does not come back by itself.
    site.world.go(-1_800 * SECOND, 1)
    assert site.hears(message("MESSAGE", 2)) == 0
    site.world.minute()
    assert site.hears(message("MESSAGE", 3)) == 0


def test_it_ends_without_the_admf():
    """Elements ask nobody: each ends what it has when the window does."""
    site = Site(warrants.START)
    left = value.moment(END) - site.world.now.wall
    site.world.now = Instant(site.world.now.wall + left - MS, site.world.now.mono + left - MS)
    assert site.hears(message("MESSAGE", 1)) == 1
    site.world.now = Instant(site.world.now.wall + MS, site.world.now.mono + MS)
    assert site.hears(message("MESSAGE", 2)) == 0
    assert not site.world.armed(POI) | site.world.armed(DF)
