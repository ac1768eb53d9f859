"""Where names lead (RFC 3263): the order of places, and what becomes of a request whose first place fails."""

from __future__ import annotations

import pytest

from imswire import sip
from midcall.cscf.names import AVOIDED_FOR, SECOND, Names
from midcall.cscf.routing import StaticRoute
from midcall.cscf.sending import next_of
from midcall.cscf.transactions import Client
from midcall.cscf.values import Found, Hop, Out, Resolve, Spot
from tests.midcall.cscf.stage import ALICE, Stage, request, response

ONE, TWO, THREE, FOUR = (Hop("udp", f"192.0.2.{number}", 5060) for number in (71, 72, 73, 74))
ASKED = Resolve("far.example")


def spots(*each: tuple[int, int, Hop]) -> Found:
    return Found(tuple(Spot(priority, weight, (hop,)) for priority, weight, hop in each), 60)


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("sip:far.example", Resolve("far.example", ("udp", "tcp", "tls"))),
        ("sip:x@FAR.example;transport=TCP", Resolve("far.example", ("tcp",))),
        ("sips:far.example", Resolve("far.example", ("tls",))),
        ("sip:far.example:5070", Resolve("far.example", ("udp",), 5070, services=False)),
        ("sip:x@a;maddr=far.example;transport=tls", Resolve("far.example", ("tls",))),
    ],
)
def test_4_1_what_is_asked_for(uri, asked):
    found = next_of(uri)
    assert found.asked == asked and found.hop is None


@pytest.mark.parametrize("uri", ["sip:192.0.2.71", "sip:[2001:db8::1];transport=tcp"])
def test_4_1_an_address_is_not_looked_up(uri):
    assert next_of(uri).hop is not None


@pytest.mark.parametrize(
    ("number", "order"),
    [(0, [THREE, TWO, ONE, FOUR]), (1, [TWO, ONE, THREE, FOUR]), (3, [ONE, TWO, THREE, FOUR])],
)
def test_2782_by_priority_and_then_by_weight(number, order):
    """Those without weight have their chance: the draw may be 0."""
    names = Names(lambda below: min(number, below - 1))
    names.put(ASKED, spots((2, 9, FOUR), (1, 3, ONE), (1, 2, TWO), (1, 0, THREE)), 0)
    found = names.known(0, ASKED)
    assert found is not None and list(found)[0] == order[0] and list(found)[3] == FOUR
    assert set(found) == {ONE, TWO, THREE, FOUR}


def test_what_is_known_holds_for_its_time():
    names = Names(lambda _: 0)
    assert names.known(0, ASKED) is None
    names.put(ASKED, spots((0, 0, ONE)), 0)
    assert names.known(60 * SECOND - 1, ASKED) == [ONE] and names.known(60 * SECOND, ASKED) is None


def test_a_place_that_failed_comes_last_for_a_while():
    names = Names(lambda _: 0)
    names.put(ASKED, Found((Spot(0, 0, (ONE, TWO)),), 60), 0)
    names.avoid(ONE, 0)
    assert names.known(1, ASKED) == [TWO, ONE] and names.known(AVOIDED_FOR, ASKED) == [ONE, TWO]


def response_of(out: Out | Client, status: int) -> str:
    return response(sip.parse(out.octets), status)


def begun(method: str = "INVITE") -> tuple[Stage, list]:
    """A request that goes to the first of three places of a name."""
    stage = Stage(StaticRoute((("sip:far.example", 1),), domain="far.example"))
    outs = stage.outs(request(method, "sip:bob@far.example"), ALICE)
    (asked,) = (out for out in outs if isinstance(out, Resolve))
    sent = stage.proxy.resolved(asked, spots((1, 0, ONE), (2, 0, TWO), (3, 0, THREE)), stage.now)
    assert [out.hop for out in sent] == [ONE]
    return stage, sent


def test_4_3_the_next_place_when_one_says_that_it_cannot():
    stage, (first,) = begun()
    sent = stage.say(response_of(first, 503), ONE)
    assert [(hop, message.method) for hop, message in sent] == [(ONE, "ACK"), (TWO, "INVITE")]
    assert sent[1][1].top_branch != first.branch
    ((hop, ringing),) = stage.say(response(sent[1][1], 180), TWO)
    assert hop == ALICE and ringing.status == 180
    again = stage.outs(request(uri="sip:bob@far.example", branch="z9hG4bKnew", call_id="new"), ALICE)
    assert again[1].hop == TWO  # it is known to fail


def test_4_3_the_next_place_when_one_is_silent_or_cannot_be_reached():
    stage, (first,) = begun("MESSAGE")
    sent = stage.proxy.failed(first.branch, stage.now)
    assert [out.hop for out in sent] == [TWO]
    assert stage.wait(32_100)[-1][0] == THREE
    assert ALICE not in [hop for hop, _ in stage.wait(32_100)]  # RFC 4320 4.2
    assert stage.proxy.counts["tried elsewhere"] == 2


def test_4_3_none_is_left():
    stage, (first,) = begun()
    for number in (1, 2, 3):
        sent = stage.say(response_of(first, 503), first.hop)
        if number < 3:
            first = next(out for out in [stage.proxy._contexts.clients.get(sent[1][1].top_branch)] if out)
    assert [message.status for hop, message in sent if hop == ALICE] == [500]


def test_what_was_cancelled_goes_nowhere_else():
    stage, (first,) = begun()
    stage.say(response_of(first, 180), ONE)
    stage.say(request("CANCEL", "sip:bob@far.example"), ALICE)
    sent = stage.say(response_of(first, 503), ONE)
    assert [hop for hop, _ in sent] == [ONE, ALICE]
