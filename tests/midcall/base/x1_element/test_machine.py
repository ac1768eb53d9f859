"""X1 messages, retries, late ones, time, crashes and broken disks in any order, against a small model of what may be.

No task is armed without a warrant that holds; what was acknowledged is held exactly as ordered; what the element's
function was told is what is armed.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from imswire import x1
from midcall.base import warrant as warrants
from midcall.base.x1_element import Armed, Changed, Disarmed, State, Step
from midcall.base.x1_element.values import KeepTask
from tests.midcall import warrants as lab
from tests.midcall.base.x1_element.world import DAY, PEER, SECOND, World, ok, place, signed, task

XIDS = [f"0a000000-0000-4000-8000-00000000000{number}" for number in range(1, 4)]
HOUR = 3_600 * SECOND


def identity(xid: str) -> str:
    return f"sip:{xid[-1]}@example.com"


def warrant(version: int, start: str, end: str, xids: tuple[str, ...]) -> bytes:
    return signed(
        version=version,
        supersedes=version - 1 if version > 1 else None,
        start=start,
        end=end,
        targets=[{"liid": "LI-1", "xid": xid, "identity": identity(xid)} for xid in xids],
    )


FILES = [
    warrant(1, "2026-07-01T00:00:00Z", "2026-07-04T00:00:00Z", tuple(XIDS)),
    warrant(1, "2026-07-03T00:00:00Z", "2026-07-05T00:00:00Z", tuple(XIDS)),
    warrant(2, "2026-07-01T00:00:00Z", "2026-07-06T00:00:00Z", tuple(XIDS[:2])),
    warrant(3, "2026-07-04T00:00:00Z", "2026-07-08T00:00:00Z", tuple(XIDS[1:])),
    signed(lab.ANN),
    lab.signed(lab.revocation(4)),
    b"",
]
files = st.sampled_from((FILES[0], *FILES))
xids = st.sampled_from(XIDS)
flags = st.sampled_from((None, True, False))


class X1(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ordered: dict[str, x1.TaskDetails] = {}
        self.running: dict[str, Any] = {}
        self.sent: list[x1.Request] = []
        self.stopped: dict[str, int] = {}

    @initialize(mode=st.sampled_from(("refuse", "detached")), fail_safe=st.booleans())
    def begin(self, mode: Any, fail_safe: bool) -> None:
        self.world = World(unsigned=mode, fail_safe=fail_safe)
        self.world.destination()
        self.activate(XIDS[0], FILES[0], None, 1)

    def told(self, step: Step) -> Step:
        """As the element's function has it."""
        for each in step.follows:
            if isinstance(each, Armed):
                assert each.order.task.xid not in self.running
                self.running[each.order.task.xid] = each.order
            elif isinstance(each, Changed):
                assert self.running[each.order.task.xid] == each.former
                self.running[each.order.task.xid] = each.order
            elif isinstance(each, Disarmed):
                del self.running[each.xid]
        return step

    def send(self, request: x1.Request, *, broken: bool = False) -> None:
        self.told(self.world.look())
        if broken:
            step = self.world.element.ask(request, PEER, self.world.now)
            kept = not step.changes
            step = step if kept else self.world.element.failed(request, step, self.world.now)
            if kept:
                self.world.element.apply(step)
            self.told(step)
            return
        step = self.told(self.world.send(request))
        self.world.element.answered(step)
        kept_own = any(isinstance(each, KeepTask) for each in step.changes)
        if isinstance(request, x1.ActivateTaskRequest) and kept_own:
            assert request.header.timestamp > self.stopped.get(request.task.xid, 0)
        if ok(step) and isinstance(request, x1.ActivateTaskRequest | x1.ModifyTaskRequest) and kept_own:
            self.ordered[request.task.xid] = request.task

    def details(self, xid: str, octets: bytes, flag: bool | None) -> x1.TaskDetails:
        return task(octets, xid=xid, targets=(x1.Impu(identity(xid)),), implicit_deactivation_allowed=flag)

    @rule(xid=xids, octets=files, flag=flags, broken=st.integers(0, 5))
    def activate(self, xid: str, octets: bytes, flag: bool | None, broken: int) -> None:
        request = x1.ActivateTaskRequest(self.world.header(), self.details(xid, octets, flag))
        self.sent.append(request)
        self.send(request, broken=not broken)

    @rule(xid=xids, octets=files, flag=flags, broken=st.integers(0, 5))
    def modify(self, xid: str, octets: bytes, flag: bool | None, broken: int) -> None:
        request = x1.ModifyTaskRequest(self.world.header(), self.details(xid, octets, flag))
        self.sent.append(request)
        self.send(request, broken=not broken)

    @rule(xid=xids, broken=st.integers(0, 5))
    def deactivate(self, xid: str, broken: int) -> None:
        request = x1.DeactivateTaskRequest(self.world.header(), xid)
        self.send(request, broken=not broken)
        self.stopped[xid] = request.header.timestamp
        assert xid not in self.running

    @rule()
    def deactivate_all(self) -> None:
        request = x1.DeactivateAllTasksRequest(self.world.header())
        self.send(request)
        self.stopped.update(dict.fromkeys(XIDS, request.header.timestamp))
        assert not self.running

    @rule(place_in_time=st.integers(0, 50))
    def send_again(self, place_in_time: int) -> None:
        """A retry, or a message that was held up on its way."""
        if self.sent:
            self.send(self.sent[place_in_time % len(self.sent)])

    @rule(octets=files)
    def placed(self, octets: bytes) -> None:
        self.told(self.world.look())
        _, step = self.world.element.place(octets, self.world.now)
        self.world.disk.keep(step.changes)
        self.world.element.apply(step)
        self.told(step)

    @rule(port=st.integers(1, 9))
    def redirect(self, port: int) -> None:
        self.send(x1.ModifyDestinationRequest(self.world.header(), place(port=port)))

    @rule(xid=xids)
    def fault(self, xid: str) -> None:
        self.told(self.world.element.task_fault(xid, "a", "text", self.world.now, terminating=True))
        assert xid not in self.running

    @rule(ns=st.sampled_from((SECOND, HOUR, DAY, DAY)), heard=st.booleans())
    def wait(self, ns: int, heard: bool) -> None:
        if heard and ns == DAY:
            for _ in range(24):
                self.told(self.world.go(HOUR - 1))
                self.send(x1.KeepaliveRequest(self.world.header()))
        self.told(self.world.go(ns))

    @rule(ns=st.sampled_from((-DAY, DAY)))
    def jump(self, ns: int) -> None:
        self.told(self.world.go(ns, SECOND))

    @rule()
    def clock_is_right(self) -> None:
        self.told(self.world.element.trust_clock(self.world.now))

    @rule(away=st.sampled_from((0, HOUR // 2, 2 * HOUR)))
    def crash(self, away: int) -> None:
        """All that is not on the disk is lost, as are the transactions."""
        self.running.clear()
        self.world.now = lab.Instant(self.world.now.wall + away, self.world.now.mono + away)
        self.told(self.world.restart())

    @invariant()
    def armed_tasks_have_a_warrant_that_holds(self) -> None:
        if not hasattr(self, "world"):
            return
        self.told(self.world.look())
        world = self.world
        for held in world.element.tasks.values():
            if held.state is not State.ARMED:
                continue
            assert held.order is not None and held.order.warrant is not None
            found = warrants.verify(held.order.warrant, world.trust, world.now, "poi-1", world.disk.known)
            assert isinstance(found, warrants.Verified), found
            target = found.warrant.target(held.details.xid)
            assert target is not None and held.order.task.targets == (target.identity,)
            assert held.order.task.end == found.warrant.end_ns

    @invariant()
    def what_runs_is_what_is_armed(self) -> None:
        if hasattr(self, "world"):
            armed = {xid: h.order for xid, h in self.world.element.tasks.items() if h.state is State.ARMED}
            assert armed == self.running
            assert set(self.world.element.orders) == set(armed)

    @invariant()
    def what_was_acknowledged_is_held_as_ordered(self) -> None:
        if hasattr(self, "world"):
            held = {xid: each.details for xid, each in self.world.element.tasks.items()}
            assert held == {xid: each.details for xid, each in self.world.disk.tasks.items()}
            assert all(self.ordered[xid] == details for xid, details in held.items())


long = bool(os.environ.get("MIDCALL_PROOF"))
X1.TestCase.settings = settings(
    max_examples=2_000 if long else 150,
    stateful_step_count=50 if long else 30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestX1 = X1.TestCase
