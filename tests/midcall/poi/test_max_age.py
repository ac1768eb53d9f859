"""What is kept of calls has a maximum age (TS 33.107 7A.3.1); 0 is not to keep it at all."""

from __future__ import annotations

import pytest

from midcall.events import Instant, SessionReport, SipReport, StartOfInterception, Task
from midcall.poi import MATCHING_ALL, PoiLimits, PointOfInterception
from tests.midcall.poi.test_core import ALICE, BOB, SDP, Net

HOUR = 3_600_000_000_000


class Written:
    """Stands for the journal: what it is told."""

    def __init__(self) -> None:
        self.calls: dict[object, int] = {}

    def message(self, call, heard):
        self.calls[call] = self.calls.get(call, 0) + 1

    def over(self, call):
        self.calls.pop(call, None)


def network(max_age: int | None, journal: Written | None = None) -> Net:
    limits = PoiLimits(max_age=max_age)
    return Net(PointOfInterception(bytes(32), bytes(32), MATCHING_ALL, limits, journal=journal))


def arm(net: Net) -> list[object]:
    return net.poi.arm(Task("x", (ALICE,)), Instant(net.now, net.now))


def later(net: Net, time: int) -> None:
    net.now += time
    net.poi.deadline(Instant(net.now, net.now))


def test_a_call_within_the_age_is_reported():
    net = network(HOUR)
    net.establish()
    later(net, HOUR - 10_000_000)
    (start, session) = arm(net)
    assert isinstance(start, StartOfInterception) and isinstance(session, SessionReport)


def test_beyond_it_nothing_of_it_is_left_and_only_what_follows_is_reported():
    written = Written()
    net = network(HOUR, written)
    net.establish()
    assert len(written.calls) == 1
    later(net, HOUR)
    assert written.calls == {} and len(net.poi) == 1
    assert arm(net) == []
    assert [type(each) for each in net.bye()[:1]] == [SipReport]


def test_a_new_offer_begins_anew():
    net = network(HOUR)
    net.establish()
    later(net, HOUR)
    net.see(f"INVITE {BOB} SIP/2.0", body=SDP, to_tag="b", cseq="2 INVITE")
    net.answer(body=SDP, cseq="2 INVITE")
    (start, session) = arm(net)
    assert isinstance(start, StartOfInterception) and start.offer is not None and session.answer is not None


def test_what_is_kept_later_counts():
    net = network(HOUR)
    net.establish()
    later(net, HOUR - 10_000_000)
    net.see(f"INVITE {BOB} SIP/2.0", body=SDP, to_tag="b", cseq="2 INVITE")
    net.answer(body=SDP, cseq="2 INVITE")
    later(net, HOUR - 10_000_000)
    assert len(arm(net)) == 2


def test_a_call_under_a_warrant_keeps_its_exchange_as_long_as_that_runs():
    net = network(HOUR)
    net.establish()
    arm(net)
    later(net, 5 * HOUR)
    again = net.poi.arm(Task("y", (BOB,)), Instant(net.now, net.now))
    assert [type(each) for each in again] == [StartOfInterception, SessionReport]
    net.poi.disarm("x", Instant(net.now, net.now))
    net.poi.disarm("y", Instant(net.now, net.now))
    later(net, 0)
    assert arm(net) == []


def test_nothing_is_kept_where_nothing_is_to_be_kept():
    net = network(0)
    net.establish()
    later(net, 0)
    assert arm(net) == []
    assert net.poi._tracker.calls.octets == 0


def test_where_nothing_is_kept_calls_of_armed_targets_are_whole():
    net = network(0)
    arm(net)
    events = net.establish()
    sessions = [each for each in events if isinstance(each, SessionReport)]
    assert sessions[-1].offer is not None and sessions[-1].answer is not None


@pytest.mark.parametrize("calls", [1, 50])
def test_calls_that_have_ended_leave_nothing_that_ages(calls):
    net = network(HOUR)
    for number in range(calls):
        net.call_id = f"c{number}"
        net.establish()
        net.bye()
    assert len(net.poi) == 0 and net.poi._tracker.calls.ages_at is None


def test_without_a_bound_nothing_ages():
    net = network(None)
    net.establish()
    assert net.poi.next_deadline() is None
    later(net, 1_000 * HOUR)
    assert len(arm(net)) == 2
