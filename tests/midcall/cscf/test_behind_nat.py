"""Telephones whose own Contact leads nowhere: in their dialogs they are reached as they are called (RFC 5626 5.3)."""

from __future__ import annotations

import pytest

from imswire import sip
from midcall.cscf.location import SECOND, Binding, LocationTable
from midcall.cscf.marks import Seals
from midcall.cscf.routing import Plan, Router
from midcall.cscf.values import Hop
from tests.midcall.cscf.stage import ALICE, BOB, DOORS, KEY, Stage, request, response

AOR = "sip:bob@home.example"
INSIDE = "sip:bob@10.0.0.5:5060"
NAT = Hop("udp", "192.0.2.77", 41_000)
CONNECTION = Hop("tls", "192.0.2.77", 41_001, 9)


def table(*bindings: tuple[str, str, Hop, bool]) -> LocationTable:
    """``bindings``: address of record, Contact, where it registered from, and whether that is the way back."""
    found = LocationTable(10)
    for aor, uri, source, by_flow in bindings:
        found.put(aor, [Binding(uri, uri, SECOND, "r", 1, source=source, by_flow=by_flow)])
    return found


def plan(location: LocationTable, uri: str, *, now: int = 0, seal: str = "") -> Plan:
    seals = Seals(KEY)
    route = f"Route: <sip:192.0.2.1:5060;lr;mc={seal or seals.of('call-1')}>"
    message = sip.parse(request("BYE", uri, route, to_tag="b").encode())
    return Router(DOORS, ("home.example",), (), location, seals).plan(message, now)


@pytest.mark.parametrize("source", [NAT, CONNECTION])
@pytest.mark.parametrize("uri", [INSIDE, f"{INSIDE};ob", "sip:bob@10.0.0.5:5060;transport=tls"])
def test_a_request_of_a_dialog_goes_the_way_of_the_registration(source, uri):
    """Whatever parameters the Contact of the dialog has beside those that were registered."""
    ((target,),) = plan(table((AOR, INSIDE, source, True)), uri).groups
    assert target.flow == source and target.known


@pytest.mark.parametrize(
    "binding",
    [
        pytest.param(("sip:mallory@home.example", INSIDE, NAT, True), id="a contact of somebody else"),
        pytest.param((AOR, INSIDE, BOB, False), id="one who is where he says"),
        pytest.param((AOR, "sip:bob@10.0.0.6:5060", NAT, True), id="another telephone of his"),
        pytest.param((AOR, "sip:bob@10.0.0.5:5062", NAT, True), id="another port"),
    ],
)
def test_others_are_where_they_say(binding):
    ((target,),) = plan(table(binding), INSIDE).groups
    assert target.flow is None and not target.known


def test_not_for_those_who_belong_to_no_dialog():
    assert plan(table((AOR, INSIDE, NAT, True)), INSIDE, seal="0" * 16).outward


def test_a_registration_that_is_over_is_no_way():
    location = table((AOR, INSIDE, NAT, True))
    ((target,),) = plan(location, INSIDE, now=SECOND).groups
    assert target.flow is None
    location.put(AOR, ())
    assert not location.has_flow(INSIDE)


def test_a_call_to_a_telephone_behind_a_nat():
    """The ACK of its answer and what follows arrive there, and not at an address that is another's on our side."""
    stage = Stage()
    stage.unbind("bob")
    stage.bind("bob", INSIDE, flow=NAT)
    ((_, _), (to, invite)) = stage.say(request(), ALICE)
    assert to == NAT
    stage.say(response(invite, 200, f"Contact: <{INSIDE}>"), NAT)
    route = f"Route: {invite.first('Record-Route')}"
    for method, cseq in (("ACK", 1), ("INFO", 2), ("BYE", 3)):
        sent = stage.say(request(method, INSIDE, route, branch=f"z9hG4bK{cseq}", cseq=cseq, to_tag="b"), ALICE)
        assert [(to, each.method) for to, each in sent if each.is_request] == [(NAT, method)]
