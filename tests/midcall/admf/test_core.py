"""The ADMF drives elements in the right order, whatever is lost on the way, and the smaller set wins."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import x1
from midcall.admf.book import Limits
from midcall.admf.values import AlarmKind, Denied, Status
from midcall.base.warrant.clock import SETTLED
from midcall.events import Instant
from tests.midcall import warrants
from tests.midcall.admf.world import DF, LEO, POI, SECOND, World
from tests.midcall.base.x1_element.world import DID, PEER, lemf, place, task

XID, OTHER = warrants.XID, warrants.OTHER_XID
BEGIN = [f"{DF} CreateDestination", f"{DF} ActivateTask", f"{POI} CreateDestination", f"{POI} ActivateTask"]
END = [f"{POI} DeactivateTask", f"{DF} DeactivateTask"]


def other(**changed: object) -> object:
    targets = [{"liid": "LI-2", "xid": OTHER, "identity": "sip:alice@example.com"}]
    given = {"id": "W-2", "targets": targets, "agency": "another", **changed}
    return warrants.make(**given)


def test_destinations_the_df_then_the_poi_and_back():
    world = World()
    world.active()
    assert world.kinds() == BEGIN and world.core.status("W-1") is Status.ACTIVE
    assert world.armed(POI) == world.armed(DF) == {XID}
    world.steps.clear()
    world.revoke()
    world.settle()
    ends = [each for each in world.kinds() if "Task" in each]
    assert ends == END and not world.held(POI) | world.held(DF)
    assert not world.elements[POI].element.destinations and not world.elements[DF].element.destinations
    assert world.alarms() == set()


@pytest.mark.parametrize("deaf", [{DF}, {POI}, {DF, POI}], ids=["df", "poi", "both"])
def test_lost_answers_change_nothing(deaf):
    """What was carried out although no answer came is found when it is read, and not ordered twice."""
    world = World()
    world.approved(warrants.make())
    world.activate()
    world.settle()
    for _ in range(6):
        world.deaf = deaf
        world.settle()
        world.deaf = set()
        world.go(31 * SECOND)
        world.settle()
    assert world.core.status("W-1") is Status.ACTIVE
    assert [each for each in world.kinds() if "Activate" in each] == [BEGIN[1], BEGIN[3]]
    assert world.alarms() == set()


def test_a_poi_does_not_begin_before_its_df():
    world = World()
    world.down = {DF}
    world.active()
    assert world.kinds() == [] and not world.armed(POI)
    world.go(2 * SECOND)
    world.settle()
    assert (AlarmKind.SILENT, DF, "") in world.alarms()
    world.down = set()
    world.go(31 * SECOND)
    world.settle()
    assert world.kinds() == BEGIN and world.alarms() == set()


def test_a_df_does_not_wait_for_a_poi_that_is_not_there():
    world = World()
    world.active()
    world.down = {POI}
    world.revoke()
    world.settle()
    assert not world.held(DF) and world.held(POI)
    world.down = set()
    world.go(31 * SECOND)
    world.settle()
    assert not world.held(POI)


def test_a_crash_at_any_point_leads_to_the_same_end():
    for steps in range(12):
        world = World()
        world.approved(warrants.make())
        world.activate()
        for number in range(steps):
            world.step((DF, POI)[number % 2])
        world.begin()  # what was not kept is gone
        world.settle()
        assert world.core.status("W-1") is Status.ACTIVE and world.armed(POI) == {XID}
        assert world.alarms() == set(), steps
        world.revoke()
        for number in range(steps):
            world.step((DF, POI)[number % 2])
        world.begin()
        world.settle()
        assert not world.held(POI) | world.held(DF) and world.alarms() == set(), steps


# Reconciliation


def test_a_task_that_nobody_ordered_is_ended_and_told():
    """As rogue software on an element would do it, with a warrant that it found."""
    world = World()
    world.active()
    element = world.elements[POI]
    strange = warrants.signed(other())
    element.activate(task(strange, xid=OTHER, destinations=x1.ListOfDids((DID,))))
    assert world.armed(POI) == {XID, OTHER}
    world.go(60 * SECOND)
    world.step(POI)
    assert (AlarmKind.STRANGE_TASK, POI, OTHER) in world.alarms()
    world.settle()
    assert world.held(POI) == world.armed(POI) == {XID}
    seen = {each.kind for each in world.core.alarms}
    assert AlarmKind.STRANGE_TASK in seen and AlarmKind.STRANGE_DESTINATION in seen
    assert world.alarms() == set(), "it is over, and stays in the list"


def test_a_task_that_an_element_lost_is_not_given_back_by_itself():
    world = World()
    world.active()
    element = world.elements[POI]
    element.send(x1.DeactivateTaskRequest(element.header(timestamp=1), XID), PEER)
    world.minute()
    assert world.alarms() == {(AlarmKind.MISSING_TASK, POI, XID)} and world.core.status("W-1") is Status.ERROR
    world.restart()
    world.minute()
    assert not world.held(POI) and world.alarms() == {(AlarmKind.MISSING_TASK, POI, XID)}
    world.activate(person=LEO)
    world.settle()
    assert world.held(POI) == {XID} and world.alarms() == set() and world.core.status("W-1") is Status.ACTIVE


def test_what_has_no_mediation_is_not_intercepted():
    world = World()
    world.active()
    element = world.elements[DF]
    element.send(x1.DeactivateTaskRequest(element.header(timestamp=1), XID), PEER)
    world.minute()
    assert (AlarmKind.MISSING_TASK, DF, XID) in world.alarms() and not world.held(POI)
    world.activate()
    world.settle()
    assert world.armed(POI) == world.armed(DF) == {XID} and world.alarms() == set()


def test_a_task_that_is_another_than_was_ordered_ends():
    world = World()
    world.active()
    element = world.elements[POI]
    (held,) = element.element.tasks.values()
    altered = x1.ModifyTaskRequest(element.header(), task(world.file(), implicit_deactivation_allowed=True))
    assert isinstance(element.send(altered, PEER).response, x1.ErrorResponse), "another destination"
    changed = structs.replace(held.details, implicit_deactivation_allowed=True)
    element.send(x1.ModifyTaskRequest(element.header(), changed), PEER)
    world.minute()
    assert not world.held(POI) and (AlarmKind.ALTERED_TASK, POI, XID) in world.alarms()
    world.activate()
    world.settle()
    assert world.armed(POI) == {XID} and world.alarms() == set()


def test_a_destination_that_leads_elsewhere_is_told_and_led_back():
    world = World()
    world.active()
    element = world.elements[POI]
    (whereto,) = element.element.destinations
    element.send(x1.ModifyDestinationRequest(element.header(), place(whereto.did, "192.0.2.66")), PEER)
    world.go(60 * SECOND)
    world.step(POI)
    assert (AlarmKind.ALTERED_DESTINATION, POI, whereto.did) in world.alarms()
    world.settle()
    assert element.element.destinations == (whereto,)


def test_a_destination_that_is_gone_has_no_faults():
    world = World()
    world.active()
    element = world.elements[DF]
    (whereto,) = element.element.destinations
    world.elements[DF].element.destination_fault(whereto.did, "x", "down", world.now)
    world.minute()
    assert world.alarms() == {(AlarmKind.DELIVERY, DF, whereto.did)}
    world.revoke()
    world.settle()
    assert world.alarms() == set()


def test_at_a_df_a_destination_that_the_warrant_does_not_name_is_refused():
    world = World()
    world.active()
    element = world.elements[DF]
    (whereto,) = element.element.destinations
    step = element.send(x1.ModifyDestinationRequest(element.header(), lemf(whereto.did, address=x1.Uri("tls://e:1"))))
    assert isinstance(step.response, x1.ErrorResponse)


# Time


def test_it_expires_by_itself_and_so_do_elements():
    world = World()
    end = "2026-07-02T00:20:00Z"
    world.active(warrants.make(end=end))
    world.go(warrants.value.moment(end) - world.now.wall - 1)
    assert world.armed(POI) == {XID}
    world.go(1)
    assert not world.armed(POI) | world.armed(DF), "without a word of the ADMF"
    assert world.core.status("W-1") is Status.EXPIRED
    world.settle()
    assert not world.held(POI) | world.held(DF) and world.alarms() == set()
    with pytest.raises(Denied, match="has ended"):
        world.activate()


def test_a_version_that_begins_later_takes_over_then():
    world = World()
    world.active()
    second = warrants.make(version=2, supersedes=1, start="2026-07-03T00:00:00Z", end="2026-08-15T00:00:00Z")
    world.approved(second)
    world.activate()
    world.settle()
    assert "ModifyTask" not in " ".join(world.kinds()), "the first one goes on"
    while world.now.wall < second.start_ns:
        world.go(min(1_799 * SECOND, second.start_ns - world.now.wall))
        world.settle()
    orders = [order.order for element in world.elements.values() for order in element.element.orders.values()]
    assert [each.task.end for each in orders] == [second.end_ns] * 2
    modified = [each for each in world.kinds() if each.endswith("ModifyTask")]
    assert modified == [f"{DF} ModifyTask", f"{POI} ModifyTask"] and world.alarms() == set()


def test_a_clock_that_jumps_lets_nothing_begin():
    world = World()
    world.approved(warrants.make())
    world.go(3_600 * SECOND, SECOND)
    with pytest.raises(Denied) as denied:
        world.activate()
    assert denied.value.code == "clock" and (AlarmKind.CLOCK, "", "") in world.alarms()


@pytest.mark.parametrize("jump", [3_600 * SECOND, -3_600 * SECOND, 40 * 86_400 * SECOND])
def test_a_clock_that_has_jumped_there_and_back_is_believed_after_a_minute(jump):
    world = World()
    world.approved(warrants.make())
    world.go(jump, SECOND)
    world.go(SECOND - jump, SECOND)
    with pytest.raises(Denied):
        world.activate()
    world.go(SETTLED, SETTLED)
    assert (AlarmKind.CLOCK, "", "") not in world.alarms()
    world.activate()
    world.settle()
    assert world.core.status("W-1") is Status.ACTIVE


@pytest.mark.parametrize("jump", [3_600 * SECOND, -3_600 * SECOND])
def test_a_clock_that_was_put_right_is_believed_when_somebody_says_so(jump):
    """And the windows go by it: an hour later, or earlier, than the monotonic clock would have had them."""
    world = World()
    world.active(warrants.make(end="2026-07-02T03:00:00Z"))
    world.go(jump, SECOND)
    assert (AlarmKind.CLOCK, "", "") in world.alarms() and world.core.status("W-1") is Status.ACTIVE
    world.core.trust_clock(world.now)
    assert (AlarmKind.CLOCK, "", "") not in world.alarms() and not world.core.due(world.now)
    end = world.core.warrant("W-1").end_ns
    left = end - world.now.wall
    world.now = Instant(end - 1, world.now.mono + left - 1)
    world.core.deadline(world.now)
    assert world.core.status("W-1") is not Status.EXPIRED
    world.now = Instant(end, world.now.mono + 1)
    world.core.deadline(world.now)
    assert world.core.status("W-1") is Status.EXPIRED


def test_a_window_that_is_over_by_one_clock_does_not_come_back():
    world = World()
    world.active(warrants.make(end="2026-07-02T00:10:00Z"))
    world.go(-3_600 * SECOND, 601 * SECOND)
    assert world.core.status("W-1") is not Status.ACTIVE
    world.settle()
    assert not world.armed(POI) | world.armed(DF)
    world.minute()
    assert not world.held(POI) | world.held(DF)


def test_a_wall_clock_that_is_wrong_for_a_time_ends_nothing_here():
    """The ADMF's own: elements have theirs, and what it orders in the future they would not forget."""
    world = World()
    world.active()
    world.now = Instant(world.now.wall + 40 * 86_400 * SECOND, world.now.mono + SECOND)
    world.core.deadline(world.now)
    assert world.alarms() == {(AlarmKind.CLOCK, "", "")} and world.core.status("W-1") is Status.ACTIVE
    assert world.core.book.records["W-1"].ended is None and world.core.next(POI, world.now) is None
    world.now = Instant(world.now.wall - 40 * 86_400 * SECOND, world.now.mono)
    world.restart()
    world.settle()
    assert world.core.status("W-1") is Status.ACTIVE and world.alarms() == set()


def test_a_version_that_nobody_activates_keeps_it_until_its_window_is_over():
    world = World()
    world.active(warrants.make(end="2026-07-02T00:10:00Z"))
    world.approved(warrants.make(version=2, supersedes=1, end="2026-07-02T00:20:00Z"))
    world.go(601 * SECOND)
    world.settle()
    assert not world.held(POI) and world.core.status("W-1") is Status.APPROVED
    world.go(601 * SECOND)
    assert world.core.status("W-1") is Status.EXPIRED


# A warrant that holds no more


def test_another_trust_list_ends_what_it_does_not_approve_of():
    world = World()
    world.active()
    world.core.trust(
        warrants.trust(warrants.entry("Ann"), warrants.entry("Ben", revoked="true"), warrants.entry("Eve")), world.now
    )
    assert (AlarmKind.WARRANT, "", "W-1") in world.alarms() and world.core.status("W-1") is Status.ERROR
    world.settle()
    assert not world.held(POI) | world.held(DF)
    world.core.trust(warrants.trust(), world.now)
    world.settle()
    assert world.armed(POI) == {XID} and world.alarms() == set()


def test_a_revocation_ends_it_at_once_and_elements_remember():
    world = World()
    world.active()
    stolen = world.file()
    world.approved(warrants.revocation(2))
    assert world.core.status("W-1") is Status.CANCELLED
    ask = world.core.next(POI, world.now)
    assert ask is not None and ask.kind is x1.ModifyTaskRequest and ask.ends, "it waits for no audit"
    world.settle()
    assert not world.held(POI) | world.held(DF) and world.alarms() == set()
    for ne, element in world.elements.items():
        again = task(stolen, xid=XID)
        element.destination()
        step = element.ask(x1.ActivateTaskRequest, again)
        assert isinstance(step.response, x1.ErrorResponse), ne
        assert "revoked" in step.response.error.description


# Limits


def test_mass_activation_takes_a_second_administrator():
    world = World(limits=Limits(per_hour=2))
    ids = []
    for number in range(4):
        targets = [
            {"liid": f"L-{number}", "xid": f"0a000000-0000-4000-8000-00000000000{number}", "identity": "sip:a@b"}
        ]
        signed = warrants.make(id=f"W-{number}", targets=targets)
        world.approved(signed)
        ids.append(signed.id)
        world.activate(signed.id)
    world.settle()
    assert len(world.armed(POI)) == 2
    assert [world.core.status(each) for each in ids[2:]] == [Status.AWAITING_CONFIRMATION] * 2
    assert {each[0] for each in world.alarms()} == {AlarmKind.MASS}
    world.activate("W-2")
    assert world.core.status("W-2") is Status.AWAITING_CONFIRMATION, "the same one does not count twice"
    world.restart()
    world.activate("W-2", LEO)
    world.settle()
    assert world.core.status("W-2") is Status.ACTIVE and len(world.armed(POI)) == 3
    world.go(3_601 * SECOND)
    world.settle()
    world.activate("W-3", LEO)
    assert world.core.status("W-3") is not Status.AWAITING_CONFIRMATION, "an hour later"


def test_mass_ends_are_carried_out_and_told():
    world = World(limits=Limits(per_hour=1))
    for number in range(2):
        xid = f"0a000000-0000-4000-8000-00000000000{number}"
        targets = [{"liid": f"L-{number}", "xid": xid, "identity": "sip:a@b"}]
        world.approved(warrants.make(id=f"W-{number}", targets=targets))
        world.activate(f"W-{number}")
        world.activate(f"W-{number}", LEO)
    world.settle()
    world.revoke("W-0")
    assert AlarmKind.MASS_END not in {each[0] for each in world.alarms()}
    world.revoke("W-1")
    world.settle()
    assert (AlarmKind.MASS_END, "", "") in world.alarms() and not world.held(POI) | world.held(DF)
    world.go(3_600 * SECOND)
    assert (AlarmKind.MASS_END, "", "") not in world.alarms()


def test_agencies_on_one_target_have_nothing_in_common():
    world = World()
    world.active()
    world.active(other())  # type: ignore[arg-type]
    assert world.armed(POI) == world.armed(DF) == {XID, OTHER}
    world.revoke("W-1")
    world.settle()
    assert world.armed(POI) == world.armed(DF) == {OTHER}, "the other one goes on"
    for changed in (
        {"targets": [{"liid": "LI-2", "xid": XID[:-1] + "7", "identity": "sip:a@b"}]},
        {"targets": [{"liid": "LI-7", "xid": OTHER, "identity": "sip:a@b"}]},
    ):
        with pytest.raises(Denied) as denied:
            world.draft(warrants.make(id="W-3", **changed))
        assert denied.value.code == "taken" and "W-2" not in str(denied.value) and "another" in str(denied.value)
