"""Many dialogs at once: what makes room for others is let go of, and what ends costs no more for the others."""

from __future__ import annotations

import sys
from collections.abc import Callable

from msgspec import structs

from imswire.sdp import Endpoint
from midcall.base.bounded import BoundedTable
from midcall.df3 import ContentMediation
from midcall.events import CROWDED_OUT, DialogId, Instant
from tests.midcall.df3.test_core import SECOND, clear, flow, packets, plan

# Linear work is twice as much for twice as many dialogs, square work four times.
MOST = 2.3


def place(number: int) -> Endpoint:
    return Endpoint(f"10.9.{number >> 8}.{number & 0xFF}", 4000)


def dialog(number: int) -> DialogId:
    return DialogId(f"c{number}", "a", "b")


def tapped(count: int, df3: ContentMediation | None = None, first: int = 0) -> ContentMediation:
    df3 = df3 or ContentMediation()
    for number in range(first, count):
        flows = (flow(secure=False, to=place(number)),)
        df3.plan(structs.replace(plan(flows=flows), dialog=dialog(number), cin=number), Instant(0, 0))
    return df3


def small(bound: int) -> ContentMediation:
    df3 = ContentMediation()
    df3._dialogs = BoundedTable("df3.dialogs", bound)
    return df3


def lines(run: Callable[[], None]) -> int:
    """Lines of midcall that ``run`` executes."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if event == "call" and "midcall" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count


def ending(count: int, linger: bool) -> Callable[[], None]:
    df3 = tapped(count)

    def run() -> None:
        for number in range(count):
            df3.close("x", dialog(number), Instant(SECOND, 0), linger=linger)
            assert df3.next_deadline() == (2 * SECOND if linger else None)
        df3.deadline(3 * SECOND)
        assert len(df3.take_finished()) == count and df3.places() == set()

    return run


def test_many_dialogs_that_end_within_the_linger_second_cost_in_proportion():
    assert lines(ending(200, linger=True)) <= MOST * lines(ending(100, linger=True))
    assert lines(ending(200, linger=False)) <= MOST * lines(ending(100, linger=False))


def test_a_dialog_that_makes_room_is_tapped_no_more_and_its_agency_is_told():
    df3 = tapped(3, small(2))
    assert [each.stream.cin for n in range(3) for each in df3.packets(packets(clear(1), to=place(n)))] == [1, 2]
    assert len(df3.places()) == 4 and df3.dialogs("x") == [dialog(1), dialog(2)]
    (told,) = df3.take_failures()
    assert (told.dialog, told.reason, told.missing) == (dialog(0), CROWDED_OUT, True)
    (finished,) = df3.take_finished()
    assert finished.dialog == dialog(0)


def test_a_dialog_that_only_lingers_makes_room_without_a_word():
    df3 = tapped(2, small(2))
    df3.close("x", dialog(0), Instant(SECOND, 0), linger=True)
    tapped(3, df3, first=2)
    assert df3.take_failures() == [] and df3.next_deadline() is None
    assert df3.dialogs("x") == [dialog(1), dialog(2)]


def test_a_dialog_that_comes_back_while_it_lingers_goes_on():
    df3 = tapped(1)
    df3.close("x", dialog(0), Instant(SECOND, 0), linger=True)
    tapped(1, df3)
    df3.deadline(9 * SECOND)
    assert df3.take_finished() == [] and len(df3.places()) == 2
    df3.close("x", dialog(0), Instant(10 * SECOND, 0), linger=False)
    assert len(df3.take_finished()) == 1 and df3.places() == set()


def test_only_what_has_changed_is_armed_and_disarmed():
    df3 = tapped(2)
    first = df3.take_moved()
    assert len(first) == 4 and set(first) == df3.places() and df3.take_moved() == []
    tapped(2, df3)
    assert df3.take_moved() == []
    df3.close("x", dialog(0), Instant(SECOND, 0), linger=False)
    tapped(3, df3, first=2)
    moved = df3.take_moved()
    assert [df3.tapped(each) for each in moved] == [False, False, True, True] and moved[:2] == first[:2]
