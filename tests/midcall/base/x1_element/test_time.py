"""Windows to the millisecond, an ADMF that falls silent, clocks that jump, restarts."""

from __future__ import annotations

import pytest

from imswire import x1
from imswire.x1 import ErrorCode, TaskReportType
from midcall.base.warrant.clock import SETTLED
from midcall.base.x1_element import NeIssue, Reason, State, TaskIssue
from midcall.events import Instant
from tests.midcall import warrants
from tests.midcall.base.x1_element.world import (
    DAY,
    MS,
    OTHER_XID,
    PEER,
    SECOND,
    XID,
    World,
    armed,
    code,
    disarmed,
    done,
    mediation,
    ok,
    settings,
    signed,
    task,
    text,
)

START, END = warrants.at(warrants.START), warrants.at(warrants.END)
HOUR = 3_600 * SECOND


def before(end: Instant, ns: int) -> Instant:
    return Instant(end.wall - ns, end.mono - ns)


def reports(step: object) -> list[TaskReportType]:
    return [each.report for each in step.issues if isinstance(each, TaskIssue)]  # type: ignore[attr-defined]


def test_a_window_begins_at_its_start_and_not_before() -> None:
    world = World(now=before(START, SECOND), fail_safe=False)
    step = world.activate()
    assert ok(step) and not done(step) and not armed(step)
    assert world.element.next_deadline() == START.mono
    assert not world.go(SECOND - MS).follows
    step = world.go(MS)
    assert len(armed(step)) == 1 and reports(step) == [TaskReportType.SUCCESSFUL]


def test_a_window_ends_before_its_end() -> None:
    world = World(now=before(END, SECOND), fail_safe=False)
    assert done(world.activate())
    assert not world.go(SECOND - MS).follows
    step = world.go(MS)
    assert disarmed(step)[0].reason is Reason.ENDED and disarmed(step)[0].at == END
    assert reports(step) == [TaskReportType.WARNING]
    assert world.state() is State.ENDED
    assert code(world.activate(task(xid=OTHER_XID))) == ErrorCode.ACTIVATE_FAILED
    assert world.answer(x1.GetTaskDetailsRequest, XID).details.status.faults[0].description == State.ENDED


@pytest.mark.parametrize("wall", [False, True])
def test_one_clock_ends_a_window_alone(wall: bool) -> None:
    """The other may be a little behind, as a slewed clock is."""
    world = World(now=before(END, SECOND), fail_safe=False)
    world.activate()
    behind = SECOND - MS // 2
    step = world.go(SECOND if wall else behind, behind if wall else SECOND)
    assert disarmed(step)[0].reason is Reason.ENDED


@pytest.mark.parametrize("wall", [False, True])
def test_both_clocks_begin_a_window(wall: bool) -> None:
    world = World(now=before(START, SECOND), fail_safe=False)
    world.activate()
    behind = SECOND - MS // 2
    assert not armed(world.go(SECOND if wall else behind, behind if wall else SECOND))
    assert len(armed(world.go(MS))) == 1


def test_the_element_may_drop_an_ended_task_where_it_is_allowed_to() -> None:
    world = World(now=before(END, SECOND), fail_safe=False)
    world.activate(task(implicit_deactivation_allowed=True))
    step = world.go(SECOND)
    assert disarmed(step) and reports(step) == [TaskReportType.IMPLICIT_DEACTIVATION]
    assert not world.element.tasks and not world.disk.tasks


def test_a_narrower_window_of_the_order() -> None:
    world = World()
    within = mediation(start=world.now.wall + SECOND, end=world.now.wall + 2 * SECOND)
    assert not done(world.activate(task(mediation=(within,))))
    assert len(armed(world.go(SECOND))) == 1
    assert len(disarmed(world.go(SECOND))) == 1


def test_a_warrant_of_the_future_is_judged_now() -> None:
    world = World(now=before(START, SECOND))
    step = world.activate(task(targets=(x1.Impu("sip:bob@example.com"),)))
    assert code(step) == ErrorCode.ACTIVATE_FAILED and "target" in text(step)
    assert "task" in text(world.activate(task(xid=OTHER_XID)))


def test_a_version_that_begins_later_takes_over_then() -> None:
    world = World(fail_safe=False)
    world.activate()
    then = world.now.wall // SECOND * SECOND + 3_600 * SECOND
    later = signed(version=2, supersedes=1, start="2026-07-02T01:00:00Z", end="2026-08-15T00:00:00Z")
    assert then == warrants.value.moment("2026-07-02T01:00:00Z")
    world.element.apply(world.element.place(later, world.now)[1])
    assert world.held().order is not None and world.held().order.task.end == END.wall  # type: ignore[union-attr]
    assert not world.go(HOUR - MS).follows
    world.go(MS)
    assert world.held().order.task.end == warrants.value.moment("2026-08-15T00:00:00Z")  # type: ignore[union-attr]
    assert "W-1" in world.disk.known and world.disk.known["W-1"].version == 2


# Silence


def test_a_silent_admf_ends_all_tasks() -> None:
    world = World()
    world.activate()
    world.go(HOUR - 2 * SECOND)
    assert world.state() is State.ARMED
    world.ask(x1.KeepaliveRequest)
    world.go(HOUR - MS)
    step = world.go(MS)
    assert disarmed(step)[0].reason is Reason.SILENCE
    assert any(isinstance(each, NeIssue) and "TIME_P2" in each.description for each in step.issues)
    assert not world.element.tasks and not world.disk.tasks
    assert done(world.activate()), "who comes back orders anew"


def test_strangers_do_not_keep_tasks_alive() -> None:
    world = World()
    world.activate()
    for _ in range(59):
        world.go(60 * SECOND)
        request = x1.KeepaliveRequest(world.header(ne_identifier="poi-2"))
        world.send(request, PEER)
    assert disarmed(world.go(60 * SECOND))


def test_the_fail_safe_is_off_only_where_it_was_turned_off() -> None:
    world = World(fail_safe=False)
    world.activate()
    assert not world.go(20 * DAY).follows and world.element.next_deadline() == END.mono
    with pytest.raises(ValueError, match="grace"):
        settings(silence=60)


# Clocks


def test_with_a_clock_that_has_jumped_nothing_begins_and_what_is_far_from_its_end_goes_on() -> None:
    world = World(fail_safe=False)
    world.activate()
    step = world.go(HOUR, SECOND)
    assert not disarmed(step) and any(isinstance(each, NeIssue) for each in step.issues)
    assert code(world.activate(task(xid=OTHER_XID))) == ErrorCode.ACTIVATE_FAILED
    assert world.answer(x1.GetNEStatusRequest).ne.status is x1.NeStatus.FAULTS
    assert world.element.trust_clock(world.now).issues
    assert world.answer(x1.GetNEStatusRequest).ne.status is x1.NeStatus.OK


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_clock_that_is_back_for_a_minute_is_well_again(jump: int) -> None:
    world = World(fail_safe=False)
    assert any(isinstance(each, NeIssue) for each in world.go(jump, SECOND).issues)
    assert not world.go(SECOND - jump, SECOND).issues
    assert code(world.activate()) == ErrorCode.ACTIVATE_FAILED
    (over,) = world.go(SETTLED).issues
    assert isinstance(over, NeIssue) and over.code == ErrorCode.CLEARED
    assert not world.look().issues and len(armed(world.activate())) == 1


@pytest.mark.parametrize("jump", [10 * SECOND, -DAY, 40 * DAY])
def test_with_a_clock_that_has_jumped_what_ends_soon_ends_now(jump: int) -> None:
    world = World(now=before(END, HOUR // 2), fail_safe=False)
    world.activate()
    step = world.go(jump, SECOND)
    assert len(disarmed(step)) == 1


@pytest.mark.parametrize("back", [SECOND // 2, DAY])
def test_a_clock_that_goes_back_over_the_beginning_ends_what_has_begun(back: int) -> None:
    world = World(now=START, fail_safe=False)
    assert done(world.activate())
    step = world.go(-back, MS)
    assert len(disarmed(step)) == 1
    assert not armed(world.go(back - MS - 1))
    if back == SECOND // 2:
        assert len(armed(world.go(2 * MS))) == 1


def test_nothing_is_asked_before_what_is_due() -> None:
    world = World(now=before(END, SECOND), fail_safe=False)
    world.activate()
    world.now = END
    with pytest.raises(ValueError, match="deadline"):
        world.ask(x1.PingRequest)


# Restarts


def test_tasks_are_armed_again_when_the_admf_was_heard_a_moment_ago() -> None:
    world = World()
    world.activate()
    world.now = Instant(world.now.wall + 900 * SECOND, 5)
    step = world.restart()
    assert len(armed(step)) == 1


def test_else_they_wait_for_the_admf() -> None:
    world = World()
    world.activate()
    world.now = Instant(world.now.wall + 901 * SECOND, 5)
    assert not armed(world.restart())
    assert world.state() is State.UNCONFIRMED
    assert len(armed(world.ask(x1.PingRequest))) == 1


def test_what_was_silent_too_long_is_dropped() -> None:
    world = World()
    world.activate()
    world.now = Instant(world.now.wall + HOUR, 5)
    assert not armed(world.restart())
    world.look()
    assert not world.element.tasks and not world.disk.tasks


def test_a_clock_that_went_back_over_a_restart_confirms_nothing() -> None:
    world = World()
    world.activate()
    world.now = Instant(world.now.wall - SECOND, 5)
    assert not armed(world.restart())


@pytest.mark.parametrize("why", ["trust", "version", "mode", "window"])
def test_a_task_that_does_not_hold_any_more_is_not_armed_and_is_reported(why: str) -> None:
    world = World(unsigned="accept" if why == "mode" else "refuse", fail_safe=False)
    world.activate(task(b"" if why == "mode" else None))
    if why == "trust":
        world.trust = warrants.trust(warrants.entry(warrants.ANN), warrants.entry(warrants.EVE))
    elif why == "version":
        world.disk.known["W-1"] = warrants.Known(2, "00" * 32)
    elif why == "window":
        world.now = Instant(END.wall, 5)
    step = world.restart(unsigned="refuse")
    assert not armed(step) and world.state() is State.FAILED
    assert reports(step) == [TaskReportType.TERMINATING_FAULT]
    assert ok(world.deactivate())
