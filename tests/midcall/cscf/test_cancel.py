"""CANCEL: who may send one (RFC 3261 9, 22.1), and what it says of its reason (RFC 3326)."""

from __future__ import annotations

import pytest

from imswire.sip import SipMessage
from midcall.cscf.values import Hop
from tests.midcall.cscf.stage import ALICE, BOB, CAROL, Stage, request, response

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


def ringing(stage: Stage) -> list[SipMessage]:
    """What went to the telephones of Bob that ring."""
    sent = [message for _, message in stage.say(request(), ALICE) if message.is_request]
    for message in sent:
        stage.say(response(message, 180), BOB)
    return sent


@pytest.mark.parametrize("source", [CAROL, CAROL._replace(transport="tcp", connection=7)])
def test_22_1_somebody_else_cancels_nothing(source):
    """Who guesses a branch, be it a neighbour, is told that there is no such transaction; and nobody hears of it."""
    stage = Stage()
    ringing(stage)
    ((to, answer),) = stage.say(request("CANCEL"), source, 1 if source.connection else 0)
    assert answer.status == 481 and to.host == CAROL.host
    assert not stage.proxy.heeded
    assert [message.status or message.method for _, message in stage.say(request("CANCEL"), ALICE)] == [200, "CANCEL"]


@pytest.mark.parametrize("source", [ALICE._replace(port=40_000), Hop("tcp", ALICE.host, 40_000, 7)])
def test_22_1_the_same_hop_may_come_by_another_port(source):
    """A NAT has forgotten it, or its connection was lost."""
    stage = Stage()
    ringing(stage)
    assert [message.status or message.method for _, message in stage.say(request("CANCEL"), source)] == [200, "CANCEL"]


def test_3326_the_reason_of_a_cancel_goes_on():
    """By it a telephone knows that the call was taken by another one and not missed, however many hops are between."""
    stage = Stage()
    ringing(stage)
    reasons = (f"Reason: {ELSEWHERE}", "Reason: Q.850;cause=26")
    (_, (_, cancel)) = stage.say(request("CANCEL", "sip:bob@home.example", *reasons), ALICE)
    assert cancel.method == "CANCEL" and cancel.lines("Reason") == (ELSEWHERE, "Q.850;cause=26")


def test_3326_a_reason_waits_with_its_cancel():
    stage = Stage()
    ((_, _), (_, sent)) = stage.say(request(), ALICE)
    stage.say(request("CANCEL", "sip:bob@home.example", f"Reason: {ELSEWHERE}"), ALICE)
    ((_, cancel),) = [each for each in stage.say(response(sent, 180), BOB) if each[1].is_request]
    assert cancel.method == "CANCEL" and cancel.lines("Reason") == (ELSEWHERE,)


@pytest.mark.parametrize(("status", "reasons"), [(200, (ELSEWHERE,)), (603, ())])
def test_3326_who_rings_while_another_answers_is_told(status, reasons):
    stage = Stage()
    stage.bind("bob", "sip:bob@192.0.2.21")
    first, _ = ringing(stage)
    (cancel,) = [each for _, each in stage.say(response(first, status), BOB) if each.method == "CANCEL"]
    assert cancel.lines("Reason") == reasons
