"""A task comes to the calls that ran before it step by step: what happens meanwhile changes nothing of what is told."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from midcall.events import (
    DialogReleased,
    Instant,
    SessionReport,
    SipReport,
    SipSeen,
    StartOfInterception,
    Task,
    X2Event,
)
from midcall.poi import PointOfInterception, core
from midcall.poi.limits import PoiLimits

BOB = Task("x", ("sip:bob@example.com",))
CAROL = Task("y", ("sip:carol@example.com",))
SECOND = 1_000_000_000
REQUEST = "{method} sip:bob@example.com SIP/2.0\r\n"
OK = "SIP/2.0 200 OK\r\n"
REST = (
    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{call}{method}\r\nFrom: <sip:{caller}@example.com>;tag=a\r\n"
    "To: <sip:bob@example.com>{tag}\r\nCall-ID: c{call}\r\nCSeq: {number} {method}\r\n\r\n"
)


class Net:
    """Calls to Bob, every third of them Carol's, and the time."""

    def __init__(self, **limits) -> None:
        self.poi = PointOfInterception(bytes(32), bytes(32), limits=PoiLimits(**limits))
        self.now = 0
        self.told: list[X2Event] = []

    @property
    def at(self) -> Instant:
        return Instant(self.now, self.now)

    def _seen(self, start: str, call: int, method: str, number: int, tag: str) -> None:
        self.now += 1_000_000
        caller = "carol" if call % 3 == 0 else "alice"
        text = (start + REST).format(method=method, call=call, caller=caller, tag=tag, number=number)
        self.told += self.poi.sip_seen(SipSeen(text.encode(), "192.0.2.1:5060", "192.0.2.2:5060", self.at))

    def invite(self, call: int) -> None:
        self._seen(REQUEST, call, "INVITE", 1, "")

    def ringing(self, call: int) -> None:
        self._seen(OK.replace("200 OK", "180 Ringing"), call, "INVITE", 1, ";tag=b")

    def answer(self, call: int) -> None:
        self._seen(OK, call, "INVITE", 1, ";tag=b")

    def info(self, call: int) -> None:
        self._seen(REQUEST, call, "INFO", 2, ";tag=b")

    def bye(self, call: int) -> None:
        self._seen(REQUEST, call, "BYE", 3, ";tag=b")

    def gone(self, call: int) -> None:
        self._seen(OK, call, "BYE", 3, ";tag=b")

    def refused(self, call: int) -> None:
        self._seen(OK.replace("200 OK", "486 Busy"), call, "INVITE", 1, ";tag=b")

    def by_dialog(self) -> dict[object, list[X2Event]]:
        found: dict[object, list[X2Event]] = defaultdict(list)
        for each in self.told:
            found[each.xid, each.dialog and each.dialog.call_id].append(each)
        return dict(found)


HAPPENS = ("ringing", "answer", "info", "bye", "gone", "refused", "invite")


@pytest.mark.parametrize("seed", range(12))
def test_messages_between_the_steps_find_what_they_find_behind_all_of_them(seed):
    draw = random.Random(seed)
    before = [(draw.choice(HAPPENS[:5]), draw.randrange(24)) for _ in range(60)]
    after = [(draw.choice(HAPPENS), draw.randrange(30)) for _ in range(60)]
    at_once, by_steps = Net(), Net()
    for net in (at_once, by_steps):
        for call in range(24):
            net.invite(call)
        for what, call in before:
            getattr(net, what)(call)
    at_once.told = at_once.poi.arm(BOB, at_once.at) + at_once.poi.arm(CAROL, at_once.at)
    by_steps.told = []
    steps = [by_steps.poi.arming(each, by_steps.at) for each in (BOB, CAROL)]
    for what, call in after:
        getattr(at_once, what)(call)
        by_steps.told += next(steps[draw.randrange(2)], [])
        getattr(by_steps, what)(call)
    for each in steps:
        for events in each:
            by_steps.told += events
    assert by_steps.by_dialog() == at_once.by_dialog()
    assert not by_steps.poi._armings
    assert any(isinstance(each, StartOfInterception) for each in by_steps.told)


def test_a_call_that_time_ends_between_two_steps_is_told_before_its_end():
    net = Net(unanswered=SECOND)
    for call in range(3):
        net.invite(call)
    begun = net.at
    steps = net.poi.arming(BOB, begun)
    next(steps)
    net.now += 2 * SECOND
    net.told = net.poi.deadline(net.at)
    assert [type(each) for each in net.told] == [DialogReleased] + 2 * [
        StartOfInterception, SessionReport, DialogReleased,
    ]  # fmt: skip
    assert {each.at for each in net.told if isinstance(each, StartOfInterception)} == {begun}
    assert list(steps) == []


def test_a_fork_that_time_ends_between_two_steps_is_told_before_its_end():
    net = Net()
    for call in range(2):
        net.invite(call)
        net.answer(call)
        net.bye(call)
    steps = net.poi.arming(BOB, net.at)
    next(steps)
    net.now += 40 * SECOND
    (one, *other) = net.poi.deadline(net.at)
    assert type(one) is DialogReleased
    assert [type(each) for each in other] == [StartOfInterception, SessionReport, DialogReleased]


def test_a_call_that_begins_behind_the_task_is_no_running_one():
    net = Net()
    net.invite(0)
    steps = net.poi.arming(BOB, net.at)
    net.invite(1)
    net.answer(1)
    assert SipReport in map(type, net.told) and StartOfInterception not in map(type, net.told)
    assert len([each for events in steps for each in events if isinstance(each, StartOfInterception)]) == 1


def test_a_task_that_ends_or_is_ordered_anew_goes_no_further():
    net = Net()
    for call in range(4):
        net.invite(call)
    steps = net.poi.arming(BOB, net.at)
    next(steps)
    assert len(net.poi.disarm("x", net.at)) == 1
    assert list(steps) == []
    net.info(2)
    assert net.told == []
    steps = net.poi.arming(BOB, net.at)
    next(steps)
    net.poi.disarm("x", net.at)
    net.now += 1
    again = net.poi.arming(BOB, net.at)
    assert list(steps) == []
    assert sum(len(each) for each in again) == 8


def test_looking_at_calls_has_turns_too(monkeypatch):
    monkeypatch.setattr(core, "LOOKED_AT", 4)
    net = Net()
    for call in range(10):
        net.invite(call)
    for call in (8, 9):
        net.answer(call)
    steps = list(net.poi.arming(BOB, net.at))
    assert [bool(each) for each in steps[:3]] == [False, False, True], "those that somebody answered are the first"
    assert {each.dialog.call_id for each in steps[2]} == {"c8"}
    assert sum(bool(each) for each in steps) == 10
