"""A warrant at every point of a call: the event of the start, keys, and content from then on until it ends.

The processes of one site, with real X1, X2, Xk and HI over mutual TLS, for all points.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imswire import hi
from imswire.hi import eps, ipmm
from imswire.hi.eps import ImsEvent
from midcall.base import redaction
from midcall.cli import activate
from midcall.cli.lab_calls import Users
from tests.midcall.live.live_site import LiveSite, until
from tests.midcall.live.points import POINTS, Point
from tests.midcall.live.scene import Packet, Scene

pytestmark = pytest.mark.proof


class Task:
    """One warrant of a point, and what its agency has got."""

    def __init__(self, place: Place, scene: Scene, number: int, which: int, keys: str) -> None:
        liid = f"LI-{scene.number}-{number}"
        self.target = (scene.lines[0].caller, scene.lines[0].callee)[which].uri
        self.keys = keys
        self.order = place.order(self.target, liid, keys)
        self.hi2, self.hi3 = (place.received(liid, name) for name in ("hi2", "hi3"))

    def events(self, kind: ImsEvent) -> list[eps.IriParameters]:
        self.hi2.look()
        return [each for each in map(eps.parse, self.hi2.contents()) if each.event == kind]

    def content(self) -> list[tuple[int | None, int, bytes]]:
        """CIN, direction and RTP of each record."""
        return [
            (pdu.header.cid.cin, each.direction, ipmm.parse_cc(each.contents).contents)
            for pdu in self.hi3.look()
            for each in pdu.payload
            if isinstance(each, hi.Cc)
        ]


class Place(LiveSite):
    """A site for all points. ``done``: tasks that are over, with how many records of HI2 and HI3 they had."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        super().__init__(folder, stack, Users(2 * len(POINTS)), keep_sdes=True)
        self.done: list[tuple[Task, int, int]] = []
        self._asked = 0
        self._pool = [user for pair in self.users.pairs for user in pair]

    def scene(self, point: Point) -> Scene:
        number = POINTS.index(point)
        scene = Scene(number, self._pool[4 * number : 4 * number + 3], self.site.kms(), self.agent)
        self._stack.callback(scene.wire.close)
        return scene

    def asked(self) -> int:
        """How often the KMS was asked for session keys since the last time."""
        before, self._asked = self._asked, self.questions()
        return self._asked - before

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with contextlib.ExitStack() as stack:
        yield Place(tmp_path_factory.mktemp("points"), stack)


def through_x1(
    tasks: list[Task],
    work: Callable[[activate.Order], Coroutine[object, object, int]],
    talk: Callable[[], None] | None,
    done: Callable[[], bool],
) -> None:
    """Ask for all tasks, while the call goes on, and until what follows is there."""

    async def ask() -> list[int]:
        return [await work(each.order) for each in tasks]

    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(asyncio.run, ask())

        def over() -> bool:
            if talk is not None:
                talk()
            return asked.done() and done()

        until(over, "what X1 asks for")
        assert asked.result() == [0] * len(tasks)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_warrant_begins_and_ends_in_a_call(place: Place, point: Point) -> None:
    scene = place.scene(point)
    steps = point.steps(scene)
    talk = next(steps)
    before = len(scene.wire.sip)
    tasks = [Task(place, scene, number, *each) for number, each in enumerate(point.targets)]
    assert place.asked() == 0, "without a warrant no key is asked for"
    begun = time.time_ns()

    def heard() -> bool:
        streams = {each.ssrc for each in scene.said if each.at > begun}
        return all(
            len(task.events(ImsEvent.START_OF_INTERCEPTION)) == len(point.starts)
            and streams <= {rtp[8:12] for _, _, rtp in task.content()}
            for task in tasks
        )

    through_x1(tasks, activate.begin, talk, heard)
    scene.settle = lambda: until_events(tasks, len(scene.wire.sip) - before)
    talk = next(steps)
    during = scene.wire.sip[before:]
    scene.settle()
    over = time.time_ns()
    through_x1(tasks, activate.end, talk, lambda: True)
    ended = time.time_ns()
    next(steps, None)
    said = [each for each in scene.said if begun <= each.at < ended]
    for task in tasks:
        until_last(point, task, [each for each in said if each.at < over])
        assert_events(point, scene, task, before, during)
        assert_content(point, scene, task, said, over)
        place.done.append((task, len(task.hi2.look()), len(task.hi3.look())))
    assert bool(place.asked()) == point.asks


def until_events(tasks: list[Task], count: int) -> None:
    for task in tasks:
        until(lambda: len(task.events(ImsEvent.UNFILTERED_SIP_MESSAGE)) >= count, "the events")  # noqa: B023


def until_last(point: Point, task: Task, said: list[Packet]) -> None:
    """Until the last packet of each stream is at the agency."""
    last = {each.ssrc: octets_of(point, task, each) for each in said}
    until(lambda: {rtp for _, _, rtp in task.content()} >= set(last.values()), "the content")


def octets_of(point: Point, task: Task, packet: Packet) -> bytes:
    """A packet as the agency is to get it."""
    return packet.clear if task.keys == "decrypt" and point.opened else packet.sent


def assert_events(point: Point, scene: Scene, task: Task, before: int, during: list[bytes]) -> None:
    """The start with the latest offer and answer, each message since; keys where the agency decrypts."""
    starts = task.events(ImsEvent.START_OF_INTERCEPTION)
    assert tuple((name_of(each.header_offer), name_of(each.header_answer)) for each in starts) == point.starts
    for each in starts:
        for head, described in ((each.header_offer, each.sdp_offer), (each.header_answer, each.sdp_answer)):
            if head is not None:
                message = next(m for m in reversed(scene.wire.sip[:before]) if m.startswith(head))
                assert described == without_keys(message.partition(b"\r\n\r\n")[2])
    assert [each.sip_message for each in task.events(ImsEvent.UNFILTERED_SIP_MESSAGE)] == during
    told = task.events(ImsEvent.DECRYPTION_KEYS_AVAILABLE)
    if task.keys == "keys-to-lemf":
        (keys,) = told
        found = scene.lines[0].bundles[0].session_keys()
        assert {each.cs_id: each.key for each in keys.keys or ()} == {
            bytes((number,)): bytes(found[number].master_key) for number in (1, 2)
        }
    elif not point.opened:
        assert [each.security_failure for each in told] == [eps.SecurityFailure.GENERIC_FAILURE]
    else:
        assert told == []


def assert_content(point: Point, scene: Scene, task: Task, said: list[Packet], over: int) -> None:
    """Each stream from the activation to the end, without a gap, in its order and direction; calls are not mixed."""
    content = task.content()
    numbers = {}
    for ssrc in {each.ssrc for each in scene.said}:
        got = [rtp for _, _, rtp in content if rtp[8:12] == ssrc]
        sent = [each for each in said if each.ssrc == ssrc]
        octets = [octets_of(point, task, each) for each in sent]
        assert bool(got) == any(each.at < over for each in sent)
        if got:
            first = octets.index(got[0])
            assert got == octets[first : first + len(got)]
            assert len(got) >= len([each for each in sent[first:] if each.at < over]), "what was said before the end"
            from_target = sent[0].sender.uri == task.target
            found = {(cin, direction) for cin, direction, rtp in content if rtp[8:12] == ssrc}
            ((cin, direction),) = found
            assert direction == (hi.Direction.FROM_TARGET if from_target else hi.Direction.TO_TARGET)
            numbers.setdefault(cin, set()).add(sent[0].sender.tag)
    assert {rtp[8:12] for _, _, rtp in content} <= {each.ssrc for each in scene.said}
    if point.starts:
        assert len({pdu.header.cid.cin for pdu in task.hi2.look()}) == len({line.call_id for line in scene.lines})
    for tags in numbers.values():
        assert len({line.call_id for line in scene.lines if {line.caller.tag, line.callee.tag} & tags}) == 1


def name_of(head: bytes | None) -> str | None:
    """A request by its method, an answer by its status and method."""
    if head is None:
        return None
    message = redaction.bodiless(head)
    return message.method if message.is_request else f"{message.status} {message.method}"


def without_keys(description: bytes) -> bytes:
    return b"".join(each for each in description.splitlines(keepends=True) if not each.startswith(b"a=crypto"))


def test_nothing_came_after_the_end_of_a_task(place: Place) -> None:
    """Also not when all roles have stopped, and have sent what they had."""
    assert place.done
    place.close()
    for task, events, content in place.done:
        assert (len(task.hi2.look()), len(task.hi3.look())) == (events, content), task.target
    place.assert_no_findings()
    for role in place.roles.values():
        assert role.status == 0, role.told
