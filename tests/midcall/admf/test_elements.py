"""Elements that hold many tasks, refuse, contradict themselves, or report without end; and alarms without end."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import x1
from midcall.admf import reconcile
from midcall.admf.alarms import MAX_ALARMS, Alarms
from midcall.admf.link import READ
from midcall.admf.values import AlarmKind, Status
from tests.midcall import warrants
from tests.midcall.admf.test_core import OTHER, XID, other
from tests.midcall.admf.world import DF, POI, SECOND, World
from tests.midcall.base.x1_element.world import DID, PEER, task

THIRD = [{"liid": "LI-3", "xid": "0a000000-0000-4000-8000-000000000003", "identity": "sip:carol@example.com"}]


# Many tasks


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> World:
    """Three tasks are many here, and one is looked at each time."""
    monkeypatch.setattr(reconcile, "MANY", 2)
    monkeypatch.setattr(reconcile, "LOOKED_AT", 1)
    world = World()
    for number in range(3):
        xid = f"0a000000-0000-4000-8000-00000000000{number}"
        targets = [{"liid": f"L-{number}", "xid": xid, "identity": "sip:alice@example.com"}]
        world.active(warrants.make(id=f"W-{number}", targets=targets))
    return world


def asked(world: World, minutes: int = 1) -> list[str]:
    world.steps.clear()
    for _ in range(minutes):
        world.minute()
    return [kind for ne, kind in world.steps if ne == POI]


def test_of_many_tasks_the_names_are_read_and_some_of_them_looked_at(many: World) -> None:
    assert len(many.armed(POI)) == 3 and many.alarms() == set()
    assert asked(many) == ["ListAllDetails", "GetTaskDetails"]
    assert asked(many, 3).count("GetTaskDetails") == 3


def test_of_many_tasks_a_strange_one_ends_and_a_lost_one_is_told(many: World) -> None:
    element = many.elements[POI]
    strange = "0a000000-0000-4000-8000-00000000000f"
    targets = [{"liid": "L-F", "xid": strange, "identity": "sip:alice@example.com"}]
    octets = warrants.signed(warrants.make(id="W-F", targets=targets))
    element.activate(task(octets, xid=strange, destinations=x1.ListOfDids((DID,))))
    lost = "0a000000-0000-4000-8000-000000000001"
    element.send(x1.DeactivateTaskRequest(element.header(timestamp=1), lost), PEER)
    many.minute()
    assert strange not in many.held(POI) and many.alarms() == {(AlarmKind.MISSING_TASK, POI, lost)}
    assert AlarmKind.STRANGE_TASK in {each.kind for each in many.core.alarms}


def test_of_many_tasks_one_that_is_another_is_found_in_its_turn(many: World) -> None:
    element = many.elements[POI]
    xid = "0a000000-0000-4000-8000-000000000002"
    details = structs.replace(element.element.tasks[xid].details, implicit_deactivation_allowed=True)
    element.send(x1.ModifyTaskRequest(element.header(), details), PEER)
    asked(many, 4)
    assert (AlarmKind.ALTERED_TASK, POI, xid) in many.alarms() and xid not in many.held(POI)


def test_of_many_tasks_all_are_looked_at_after_a_restart(many: World) -> None:
    many.restart()
    many.settle()
    assert many.core.status("W-0") is Status.ACTIVE and many.alarms() == set()
    assert [kind for ne, kind in many.steps if ne == DF][-4:].count("GetTaskDetails") >= 3


# Elements that refuse


def test_what_an_element_refuses_is_an_alarm_and_asked_again_later():
    """The POI's own list does not know one of the two who have signed."""
    world = World()
    element = world.elements[POI]
    other = warrants.trust(warrants.entry("Ann"), warrants.entry("Eve"))
    element.element.trust(other, world.now)
    world.active()
    assert world.alarms() == {(AlarmKind.REFUSED, POI, XID)} and world.core.status("W-1") is Status.ERROR
    assert world.armed(DF) == {XID} and world.core.links[POI].state(XID) == "refused"
    world.minute()
    assert [each for each in world.kinds() if each == f"{POI} ActivateTask"] == [f"{POI} ActivateTask"] * 2
    element.element.trust(warrants.trust(), world.now)
    world.minute()
    assert world.alarms() == set() and world.core.status("W-1") is Status.ACTIVE


def test_a_destination_that_is_refused_keeps_the_tasks_behind_it_waiting():
    world = World(destinations=1)
    world.active()
    place = {"host": "lemf.example.net", "port": 7443, "certificate": warrants.DIGEST}
    world.active(other(destinations=[place]))  # type: ignore[arg-type]
    (refused,) = world.alarms()
    assert refused[:2] == (AlarmKind.REFUSED, DF) and world.armed(DF) == world.armed(POI) == {XID}
    asked = len(world.kinds())
    world.settle()
    assert len(world.kinds()) == asked, "not again at once"
    world.revoke("W-1")
    world.settle()
    world.minute()
    assert world.armed(DF) == world.armed(POI) == {OTHER} and world.alarms() == set()


def test_a_poi_that_does_not_obey_keeps_no_df_armed():
    world = World()
    world.active()
    world.revoke()
    ask = world.core.next(POI, world.now)
    assert ask is not None and ask.kind is x1.DeactivateTaskRequest
    request = x1.DeactivateTaskRequest(world.elements[POI].header(), XID)
    answered(world, ask, x1.refusal(request, x1.ErrorCode.DEACTIVATE_FAILED, world.now.wall))
    assert (AlarmKind.REFUSED, POI, XID) in world.alarms()
    world.settle()
    assert not world.held(DF) and world.held(POI)
    world.minute()
    assert not world.held(POI) and world.alarms() == set()


def test_one_that_has_no_keepalives_is_pinged():
    world = World(keepalive=False, read_every=3_600 * SECOND)
    world.settle()
    world.steps.clear()
    for _ in range(3):
        world.minute()
    assert [kind for ne, kind in world.steps if ne == POI] == ["Keepalive", "Ping", "Ping"]


def test_one_that_tells_nothing_of_itself_is_asked_again_after_a_minute():
    world = World()
    ask = world.core.next(POI, world.now)
    request = x1.GetAllDetailsRequest(world.elements[POI].header())
    answered(world, ask, x1.refusal(request, x1.ErrorCode.GENERIC, world.now.wall))
    assert world.alarms() == {(AlarmKind.REFUSED, POI, "")} and world.core.next(POI, world.now) is None
    world.go(60 * SECOND)
    assert world.core.next(POI, world.now) == READ


def test_alarms_of_a_run_and_of_what_is_gone_do_not_stay():
    world = World()
    world.down = {POI}
    world.settle()
    world.go(2 * SECOND)
    world.settle()
    assert world.alarms() == {(AlarmKind.SILENT, POI, "")}
    world.down = set()
    world.restart()
    world.elements[POI].element.trust(warrants.trust(warrants.entry("Ann"), warrants.entry("Eve")), world.now)
    world.active()
    assert world.alarms() == {(AlarmKind.REFUSED, POI, XID)}
    world.revoke()
    world.minute()
    assert world.alarms() == set()


def test_states_in_a_word():
    world = World()
    world.approved(warrants.make())
    link = world.core.links[POI]
    assert link.state(XID) == "not known"
    world.active(warrants.make(id="W-3", start="2026-07-03T00:00:00Z", targets=THIRD))
    assert link.state(XID) == "none" and link.state(THIRD[0]["xid"]) == "waits"
    world.activate()
    world.settle()
    assert link.state(XID) == "armed"
    world.elements[POI].element.task_fault(XID, "x", "text", world.now, terminating=True)
    world.minute()
    assert link.state(XID) == "failed" and (AlarmKind.FAILED_TASK, POI, XID) in world.alarms()
    world.revoke()
    assert link.state(XID) == "failed"


# Elements that are not well


def test_a_fault_of_an_element_is_found_when_it_is_read():
    world = World()
    world.active()
    element = world.elements[DF].element
    element.ne_fault("disk", "words of its own", world.now)
    world.minute()
    (alarm,) = world.core.alarms.standing
    assert (alarm.kind, alarm.element, alarm.detail) == (AlarmKind.FAULT, DF, "9020")
    element.ne_clear("disk", world.now)
    world.minute()
    assert world.alarms() == set()


def answered(world: World, ask: object, response: x1.Response) -> None:
    world.core.answered(POI, ask, response, world.now)  # type: ignore[arg-type]


def test_an_element_that_contradicts_itself_is_not_asked_without_end():
    """It says that it has a task which it does not tell of."""
    world = World()
    world.active()
    world.revoke()
    world.settle()
    world.activate()
    element = world.elements[POI]
    asks = 0
    for _ in range(200):
        world.step(DF)
        ask = world.core.next(POI, world.now)
        if ask is None:
            break
        asks += 1
        if ask.kind is x1.ActivateTaskRequest:
            request = x1.ActivateTaskRequest(element.header(), *ask.members)
            answered(world, ask, x1.refusal(request, x1.ErrorCode.XID_EXISTS, world.now.wall))
        else:
            world.step(POI)
    assert asks < 10 and world.core.status("W-1") is not Status.ACTIVE


def test_an_element_that_gives_back_no_extensions_holds_what_was_ordered():
    """What X1 has no room for, elements of others need not give back."""
    world = World()
    world.active()
    ask = READ
    told = world.elements[POI].answer(x1.GetAllDetailsRequest)
    tasks = tuple(structs.replace(each, task=structs.replace(each.task, extensions=())) for each in told.tasks)
    answered(world, ask, structs.replace(told, tasks=tasks))
    assert world.alarms() == set() and world.core.status("W-1") is Status.ACTIVE
    assert world.core.next(POI, world.now) is None


def test_reports_do_not_make_it_read_all_the_time():
    world = World()
    world.active()
    world.steps.clear()
    for number in range(50):
        header = x1.Header("admf-1", POI, world.now.wall, x1.VERSION, f"0b000000-0000-4000-8000-0000000000{number:02d}")
        world.core.report(x1.ReportNEIssueRequest(header, x1.NeIssueType.WARNING, "again"), POI, world.now)
        world.settle()
        world.go(10**8)
    assert 3 <= [ne for ne, kind in world.steps if kind == "GetAllDetails"].count(POI) <= 6


def test_alarms_that_are_over_make_room():
    alarms = Alarms()
    for number in range(MAX_ALARMS):
        alarms.found(AlarmKind.FAULT, "ne", str(number), "", number)
    alarms.over(AlarmKind.FAULT, "ne", "5", 10)
    assert alarms.found(AlarmKind.ALERT, "ne", "", "", 1) and not alarms.found(AlarmKind.ALERT, "ne", "", "", 2)
    assert not alarms.stands(AlarmKind.FAULT, "ne", "5") and len(alarms.standing) == MAX_ALARMS
    alarms.found(AlarmKind.CLOCK, "", "", "", 3)
    assert not alarms.stands(AlarmKind.FAULT, "ne", "0"), "the oldest"
    changed = alarms.changes()
    assert changed["FAULT", "ne", "0"] is None and changed["CLOCK", "", ""] is not None
    assert alarms.changes() == {}


def test_an_element_that_tells_much_hides_nothing():
    """Whoever has an element's certificate fills the list, so that what he has done elsewhere falls out of it."""
    alarms = Alarms()
    alarms.found(AlarmKind.STRANGE_TASK, "ne", "x", "", 1)
    alarms.over(AlarmKind.STRANGE_TASK, "ne", "x", 1)
    alarms.found(AlarmKind.MISSING_TASK, "other", "y", "", 2)
    for number in range(2 * MAX_ALARMS):
        alarms.found(AlarmKind.ALERT, "ne", f"at {number}", "", number)
    assert len(tuple(alarms)) == MAX_ALARMS and alarms.stands(AlarmKind.MISSING_TASK, "other", "y")
    assert [each.kind for each in alarms][0] is AlarmKind.STRANGE_TASK
    assert Alarms(tuple(alarms)).found(AlarmKind.CLOCK, "", "", "", 1)


def test_a_destination_that_nobody_knows_is_no_alarm():
    world = World()
    world.active()
    header = x1.Header("admf-1", POI, world.now.wall, x1.VERSION, "0b000000-0000-4000-8000-000000000001")
    unknown = "0d000000-0000-4000-8000-00000000000f"
    world.core.report(
        x1.ReportDestinationIssueRequest(header, unknown, x1.TaskReportType.NON_TERMINATING_FAULT, 1), POI, world.now
    )
    world.settle()
    assert world.alarms() == set()
