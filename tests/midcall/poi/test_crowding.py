"""Whoever crowds a call, to hide what counts behind what does not, hides nothing."""

from __future__ import annotations

import pytest

from midcall.events import Instant, SessionReport, Task
from midcall.poi import MATCHING_ALL, PoiLimits, PointOfInterception
from tests.midcall.poi.test_core import ALICE, BOB, SDP, Net

LIMITS = PoiLimits(forks=4, branches=4, octets_of_a_call=20_000, calls_of_a_call_id=4)
TARGET = "sip:target@example.com"


def point(*targets: str) -> PointOfInterception:
    made = PointOfInterception(bytes(32), bytes(32), MATCHING_ALL, LIMITS)
    for target in targets:
        made.arm(Task(target, (target,)), Instant(0, 0))
    return made


def answers(events: list[object]) -> list[bytes]:
    return [each.answer.octets for each in events if isinstance(each, SessionReport) and each.answer]


@pytest.mark.parametrize("body", ["", SDP])
@pytest.mark.parametrize("armed", [True, False])
def test_who_answers_in_one_name_more(body, armed):
    """After as many early forks as are kept, with descriptions or without."""
    net = Net(point(*([ALICE] if armed else [])))
    net.see(f"INVITE {BOB} SIP/2.0", body=SDP)
    for number in range(9):
        net.see("SIP/2.0 183 Progress", to_tag=f"early{number}", body=body)
    events = net.see("SIP/2.0 200 OK", to_tag="real", body=SDP.replace("4000", "7000"))
    if not armed:
        events = net.poi.arm(Task("late", (ALICE,)), Instant(0, net.now))
    assert any(b"7000" in each for each in answers(events))
    (call,) = net.poi._tracker.calls
    assert len(call.dialogs) <= LIMITS.forks


def test_who_has_answered_stays_however_many_ring():
    """A fork that has agreed something goes after those that have not, and one that is answered never."""
    net = Net(point(ALICE))
    net.see(f"INVITE {BOB} SIP/2.0", body=SDP)
    net.see("SIP/2.0 183 Progress", to_tag="agreed", body=SDP)
    for number in range(9):
        net.see("SIP/2.0 180 Ringing", to_tag=f"early{number}")
    net.see("SIP/2.0 200 OK", to_tag="real", body=SDP)
    for number in range(9):
        net.see("SIP/2.0 183 Progress", to_tag=f"late{number}", body=SDP)
    (call,) = net.poi._tracker.calls
    assert "real" in {each.callee_tag for each in call.dialogs} and len(call.dialogs) == LIMITS.forks


@pytest.mark.parametrize("place", [0, 3, 9])
def test_a_target_among_many_legs(place):
    """One INVITE for others, and by one more leg for the target: whenever that is."""
    net = Net(point(TARGET))
    people = [f"sip:x{number % 2}@example.com" for number in range(9)]
    people.insert(place, TARGET)
    events = []
    for number, each in enumerate(people):
        events += net.see(f"INVITE {each} SIP/2.0", body=SDP, branch=f"z9hG4bK{number}", callee="sip:n@x")
    events += net.see("SIP/2.0 200 OK", body=SDP, branch=f"z9hG4bK{place}", callee="sip:n@x", to_tag="q")
    assert answers(events)
    (call,) = net.poi._tracker.calls
    assert call.leg_count == LIMITS.branches
    net.see("BYE sip:q SIP/2.0", to_tag="q", cseq="2 BYE")
    net.see("SIP/2.0 200 OK", to_tag="q", cseq="2 BYE")
    assert len(net.poi) == 0 and len(net.poi._index) == 0


@pytest.mark.parametrize("place", [0, 2, 9])
def test_a_call_among_others_of_one_call_id(place):
    """Of as many callers' tags as anybody likes: where somebody rings, and what comes last, is a call."""
    net = Net(point(TARGET))
    events = []
    for number in range(10):
        who = TARGET if number == place else f"sip:x{number}@x"
        first = {"body": SDP, "from_tag": f"a{number}", "callee": who, "branch": f"z9hG4bK{number}"}
        events += net.see(f"INVITE {who} SIP/2.0", **first)
        if number == place:
            events += net.see("SIP/2.0 180 Ringing", **(first | {"to_tag": "q", "body": ""}))
    tags = {"from_tag": f"a{place}", "callee": TARGET, "branch": f"z9hG4bK{place}"}
    assert answers(events + net.see("SIP/2.0 200 OK", body=SDP, to_tag="q", **tags))
    assert len(net.poi) == LIMITS.calls_of_a_call_id


def test_no_answered_call_goes_for_another_of_its_call_id():
    net = Net(point())
    for number in range(9):
        net.see(f"INVITE {BOB} SIP/2.0", body=SDP, from_tag=f"a{number}")
        net.see("SIP/2.0 200 OK", body=SDP, from_tag=f"a{number}", to_tag="q")
    tags = {each.caller_tag for each in net.poi._tracker.calls}
    assert tags == {f"a{number}" for number in range(LIMITS.calls_of_a_call_id)}


def test_what_was_replaced_takes_no_room():
    """Large offers, one after another: the next one counts all the same, and the share of a call is kept to."""
    net = Net(point(ALICE))
    net.see(f"INVITE {BOB} SIP/2.0", body=SDP)
    net.see("SIP/2.0 200 OK", to_tag="b", body=SDP)
    large = SDP + "a=x:" + "y" * 3_000 + "\r\n"
    for number in range(2, 60):
        body = large.replace("4000", str(5_000 + number))
        net.see(f"INVITE {BOB} SIP/2.0", body=body, to_tag="b", cseq=f"{number} INVITE")
        events = net.see("SIP/2.0 200 OK", body=body, to_tag="b", cseq=f"{number} INVITE")
        assert [str(5_000 + number).encode() in each for each in answers(events)] == [True]
        (call,) = net.poi._tracker.calls
        assert call.kept_octets(LIMITS) <= call.octets <= LIMITS.octets_of_a_call
    assert net.poi._tracker.calls.octets == call.octets
