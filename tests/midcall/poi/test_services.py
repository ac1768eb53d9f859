"""Tasks for one service alone: what the point of interception gives of a target that calls and writes."""

from __future__ import annotations

import pytest

from midcall.events import DialogReleased, Instant, SessionReport, SipReport, StartOfInterception, Task
from midcall.poi import MATCHING_ALL, PointOfInterception
from tests.midcall.poi.test_core import ALICE, BOB, SDP, Net, only

MSRP = "v=0\r\nc=IN IP4 10.0.0.1\r\nm=message 7394 TCP/MSRP *\r\n"
MIXED = SDP + "m=message 7394 TCP/MSRP *\r\n"
AT = Instant(0, 0)


def armed(**services: tuple[str, ...] | None) -> PointOfInterception:
    made = PointOfInterception(bytes(32), bytes(32), MATCHING_ALL)
    for xid, each in services.items():
        made.arm(Task(xid, (ALICE,), services=each), AT)
    return made


def alone() -> PointOfInterception:
    return armed(voice=("voice",), messaging=("messaging",), both=None)


def session(net: Net, body: str):
    return [*net.invite(body=body), *net.answer("180 Ringing"), *net.answer(body=body), *net.bye()]


@pytest.mark.parametrize(("body", "xids"), [(SDP, {"voice", "both"}), (MSRP, {"messaging", "both"})])
def test_a_session_is_given_as_a_whole_or_not_at_all(body, xids):
    events = session(Net(alone()), body)
    assert {each.xid for each in events} == xids
    for xid in xids:
        mine = [each for each in events if each.xid == xid]
        assert (len(only(mine, SipReport)), len(only(mine, DialogReleased))) == (5, 1)
        assert only(mine, SessionReport)


def test_a_session_of_both_is_given_to_either():
    events = session(Net(alone()), MIXED)
    assert {xid: len([each for each in events if each.xid == xid]) for xid in ("voice", "messaging")} == {
        each: len([event for event in events if event.xid == "both"]) for each in ("voice", "messaging")
    }


def test_a_message_and_its_answer():
    net = Net(alone())
    events = net.see(f"MESSAGE {BOB} SIP/2.0", cseq="1 MESSAGE") + net.answer("202 Accepted", cseq="1 MESSAGE")
    assert [each.xid for each in events] == ["messaging", "both"] * 2


def test_a_message_in_a_call():
    net = Net(alone())
    net.establish()
    events = net.see(f"MESSAGE {BOB} SIP/2.0", cseq="2 MESSAGE", to_tag="b")
    assert {each.xid: each.correlation is None for each in events} == {"messaging": True, "both": False}


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS"])
def test_what_is_of_neither_alone(method):
    net = Net(alone())
    events = net.see(f"{method} {BOB} SIP/2.0", cseq=f"1 {method}") + net.answer("200 OK", cseq=f"1 {method}")
    assert [each.xid for each in events] == ["voice", "messaging", "both"] * 2


@pytest.mark.parametrize(("body", "xid", "other"), [(SDP, "voice", "messaging"), (MSRP, "messaging", "voice")])
def test_sessions_that_run_already(body, xid, other):
    net = Net(armed())
    net.invite(body=body), net.answer(body=body)
    assert net.poi.arm(Task(other, (ALICE,), services=(other,)), AT) == []
    start, report = net.poi.arm(Task(xid, (ALICE,), services=(xid,)), AT)
    assert isinstance(start, StartOfInterception) and isinstance(report, SessionReport)
    assert {each.xid for each in net.bye()} == {xid}
    assert net.poi.disarm(other, AT) == net.poi.disarm(xid, AT) == []


def test_the_end_of_a_task_releases_what_it_was_given_alone():
    net = Net(alone())
    net.establish()
    assert net.poi.disarm("messaging", AT) == []
    (released,) = net.poi.disarm("voice", AT)
    assert isinstance(released, DialogReleased)


def test_time_releases_no_more():
    net = Net(alone())
    net.invite(body=MSRP)
    events = net.poi.deadline(Instant.of_capture(net.now + 3_600_000_000_000))
    assert {each.xid for each in events} == {"messaging", "both"}


def test_a_task_that_is_ordered_anew_is_for_what_it_says_then():
    net = Net(armed(x=("messaging",)))
    assert net.establish() == []
    net.poi.disarm("x", AT)
    start, _ = net.poi.arm(Task("x", (ALICE,), services=("voice",)), AT)
    assert isinstance(start, StartOfInterception)


def test_nobody_reads_descriptions_for_tasks_of_both(monkeypatch):
    monkeypatch.setattr("midcall.base.services.of_description", lambda _: pytest.fail("it was read"))
    assert session(Net(armed(both=None)), SDP)
    assert session(Net(armed(voice=("voice",)), call_id="other"), "") == []
