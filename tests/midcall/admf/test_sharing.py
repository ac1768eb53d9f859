"""Several DFs share tasks: each task is at one of them, its POI sends there, and what is there stays there."""

from __future__ import annotations

from typing import Any

from imswire import x1
from midcall.admf import plan
from midcall.admf.values import AlarmKind, Status
from midcall.base.warrant import Warrant
from tests.midcall import warrants
from tests.midcall.admf.world import POI, World, x2_of
from tests.midcall.base.x1_element.world import PEER

NAMES = [f"df-{n}" for n in range(1, 5)]
SHARED = dict.fromkeys(NAMES[:2], "df2-1")
TARGETS = 16


def xid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000001"


def warrant(count: int = TARGETS, **changed: Any) -> Warrant:
    targets = [{"liid": f"L-{n}", "xid": xid(n), "identity": f"sip:u{n}@example.com"} for n in range(count)]
    return warrants.make(**{"targets": targets} | changed)


def split(world: World) -> dict[str, set[str]]:
    return {ne: world.held(ne) for ne in world.shared}


def test_each_task_is_at_one_df_and_its_poi_sends_there():
    world = World(shared=SHARED)
    world.active(warrant())
    one, two = split(world).values()
    assert not one & two and one | two == {xid(n) for n in range(TARGETS)} == world.held(POI)
    assert min(len(one), len(two)) > TARGETS // 5
    for ne in SHARED:
        did = plan.x2_did(x2_of(ne))
        tasks = world.elements[POI].element.tasks
        assert {name for name, held in tasks.items() if did in held.details.destinations.dids} == world.held(ne)
    assert world.core.status("W-1") is Status.ACTIVE and world.alarms() == set()
    assert {each.at.ne for each in world.core.under(xid(0), warrant())} < {*SHARED, POI}


def test_it_is_the_same_after_a_restart_and_nothing_is_asked_anew():
    world = World(shared=SHARED)
    world.active(warrant())
    before = split(world)
    world.restart()
    world.steps.clear()
    world.settle()
    assert split(world) == before and world.kinds() == [] and world.alarms() == set()


def test_a_crash_at_any_point_leads_to_the_same_end():
    whole = World(shared=SHARED)
    whole.active(warrant(3))
    for count in range(1, 16, 2):
        world = World(shared=SHARED)
        world.approved(warrant(3))
        world.activate()
        for _ in range(count):
            for ne in world.elements:
                world.step(ne)
        world.begin()  # what was not kept is gone
        world.settle()
        assert split(world) == split(whole) and world.kinds().count("df-1 DeactivateTask") == 0
        assert AlarmKind.STRANGE_TASK not in {each.kind for each in world.core.alarms}
        assert world.core.status("W-1") is Status.ACTIVE


def test_what_has_begun_stays_where_it_is_when_a_df_is_added():
    world = World(shared=SHARED)
    world.active(warrant())
    before = split(world)
    world.shared = dict.fromkeys(NAMES, "df2-1")
    more = World(shared=world.shared)
    world.elements = more.elements | {ne: world.elements[ne] for ne in (*SHARED, POI)}
    world.restart()
    world.settle()
    assert {ne: held for ne, held in split(world).items() if held} == before
    targets = [{"liid": f"M-{n}", "xid": xid(100 + n), "identity": f"sip:u{n}@example.com"} for n in range(TARGETS)]
    world.active(warrants.make(id="W-2", targets=targets))
    assert all(len(held) > len(before.get(ne, ())) for ne, held in split(world).items())


def test_the_tasks_of_a_df_that_is_taken_out_go_to_the_others():
    """Which is said by who has stopped it: the ADMF orders nothing there any more."""
    world = World(shared=dict(SHARED))
    world.active(warrant())
    kept, moved = world.held("df-2"), world.held("df-1")
    del world.shared["df-1"], world.elements["df-1"]
    world.restart()
    world.settle()
    assert world.held("df-2") == kept | moved == world.held(POI)
    dids = {each.details.destinations.dids for each in world.elements[POI].element.tasks.values()}
    assert dids == {(plan.x2_did(x2_of("df-2")),)} and world.core.status("W-1") is Status.ACTIVE


def test_one_df_that_does_not_answer_holds_up_its_own_tasks_alone():
    world = World(shared=SHARED)
    world.down.add("df-1")
    world.approved(warrant())
    world.activate()
    world.settle()
    assert world.held("df-1") == set() and world.held("df-2") == world.held(POI) != set()
    assert world.core.status("W-1") is Status.AWAITING_PROVISIONING
    world.down.clear()
    world.minute()
    assert world.held("df-1") and world.core.status("W-1") is Status.ACTIVE


def test_a_task_that_one_df_lost_ends_at_its_poi_and_nowhere_else():
    world = World(shared=SHARED)
    world.active(warrant())
    lost = min(world.held("df-1"))
    element = world.elements["df-1"]
    element.send(x1.DeactivateTaskRequest(element.header(timestamp=1), lost), PEER)
    world.minute()
    assert world.alarms() == {(AlarmKind.MISSING_TASK, "df-1", lost)}
    assert world.held(POI) == {xid(n) for n in range(TARGETS)} - {lost} and lost not in world.held("df-2")
    world.activate()
    world.settle()
    assert lost in world.held("df-1") and lost in world.held(POI) and world.alarms() == set()


def test_a_version_that_names_another_df_moves_its_tasks_and_the_old_one_ends_last():
    world = World(shared={"df-1": "df2-1", "df-2": "df2-2"})
    first = warrant(3, elements=["df2-1", "poi-1", "kms-1"])
    world.active(first)
    assert len(world.held("df-1")) == 3 and not world.held("df-2")
    world.steps.clear()
    members = {"version": 2, "supersedes": 1, "elements": ["df2-2", "poi-1", "kms-1"]}
    world.active(warrant(3, **members))
    world.minute()
    assert len(world.held("df-2")) == 3 and not world.held("df-1")
    order = [each for each in world.kinds() if "Task" in each]
    last = len(order) - 1 - order[::-1].index(f"{POI} ModifyTask")
    assert order.index("df-2 ActivateTask") < order.index(f"{POI} ModifyTask")
    assert order.index("df-1 DeactivateTask") > order.index(f"{POI} ModifyTask") and last
    assert world.core.status("W-1") is Status.ACTIVE
