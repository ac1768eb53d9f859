"""Duties of a proxy with requests, one test each: RFC 3261 16.3-16.6, 16.10, 16.11, RFC 5393, RFC 5630.

Those that :mod:`tests.midcall.cscf.test_proxy` shows in passing are not repeated here.
"""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire.sip import parse
from midcall.cscf.routing import StaticRoute
from midcall.cscf.values import Admission, Found, Hop, Out, Resolve, Spot
from tests.midcall.cscf.stage import ALICE, BOB, CAROL, SDP, Stage, request, response

FAR = StaticRoute((("sip:192.0.2.99", 1),), domain="far.example")
FAR_HOP = Hop("udp", "192.0.2.99", 5060)


def forwarded(stage: Stage, text: str | bytes, source: Hop = ALICE, listener: int = 0) -> list:
    """The requests that go on."""
    return [(hop, message) for hop, message in stage.say(text, source, listener) if message.is_request]


def answered(stage: Stage, text: str | bytes, source: Hop = ALICE) -> list[int]:
    return [message.status for _, message in stage.say(text, source) if message.status]


# 16.3 Request validation


def test_16_3_1_what_is_not_understood_does_not_matter():
    """Unknown methods and headers go on, and so does a header that is wrong and not needed."""
    text = request("FROBNICATE", "sip:bob@home.example", "X-New: {]", "Date: never", "Contact: <sip:a@192.0.2.10>")
    ((_, on),) = forwarded(Stage(), text)
    assert on.method == "FROBNICATE" and on.values("X-New") == ("{]",) and on.values("Date") == ("never",)


def test_16_3_2_to_5_the_first_that_fails_answers():
    """Scheme before Max-Forwards, both before the loop and the options."""
    bad = request("INVITE", "mailto:bob@home.example", "Proxy-Require: x", hops=0)
    assert answered(Stage(), bad) == [416]
    assert answered(Stage(), request("INVITE", "sip:bob@home.example", "Proxy-Require: x", hops=0)) == [483]


def test_16_3_3_no_max_forwards_is_no_fault():
    assert forwarded(Stage(), request(hops=None))
    assert forwarded(Stage(), request(hops=1))


def test_16_3_4_a_loop_is_a_loop_for_every_method():
    for method in ("MESSAGE", "OPTIONS", "SUBSCRIBE", "BYE"):
        stage = Stage(FAR)
        ((_, on),) = forwarded(stage, request(method, "sip:bob@far.example"))
        assert answered(stage, on.octets, FAR_HOP) == [482], method
    stage = Stage(FAR)
    ((_, ack),) = forwarded(stage, request("ACK", "sip:bob@far.example"))
    assert stage.say(ack.octets, FAR_HOP) == []


def test_16_3_5_all_options_are_named():
    text = request("INVITE", "sip:bob@home.example", "Proxy-Require: foo, bar", "Require: baz")
    ((_, answer),) = Stage().say(text, ALICE)
    assert answer.status == 420 and answer.values("Unsupported") == ("foo", "bar")


def test_16_3_5_require_is_for_the_other_end():
    ((_, on),) = forwarded(Stage(), request("INVITE", "sip:bob@home.example", "Require: baz"))
    assert on.values("Require") == ("baz",)


def test_16_3_6_who_is_asked_who_it_is():
    stage = Stage()
    stage.gate.admission = Admission(407, b'Proxy-Authenticate: Digest realm="r"\r\n')
    ((_, answer),) = stage.say(request(), ALICE)
    assert answer.status == 407 and answer.values("Proxy-Authenticate") == ('Digest realm="r"',)


def test_26_3_2_4_what_goes_nowhere_leaves_nothing():
    """A challenge or refusal is sent once, and again to who asks again; its ACK ends here."""
    for status in (401, 403, 407, 503):
        stage = Stage()
        stage.gate.admission = Admission(status)
        ((_, answer),) = stage.say(request(), ALICE)
        assert stage.proxy.running == (0, 0) and stage.wait(40_000) == []
        assert answered(stage, request()) == [status]
        assert stage.say(request("ACK", to_tag=answer.to_tag), ALICE) == []
    stage = Stage()
    assert answered(stage, request(uri="sip:nobody@home.example")) == [404] and stage.proxy.running == (0, 0)


# 16.4 Route information preprocessing


def test_16_4_only_the_first_route_is_looked_at():
    routes = "Route: <sip:192.0.2.1:5060;lr>, <sip:192.0.2.30;lr>, <sip:192.0.2.1:5060;lr>"
    ((hop, on),) = forwarded(Stage(), request("INVITE", "sip:x@far.example", routes))
    assert hop == CAROL and on.values("Route") == ("<sip:192.0.2.30;lr>", "<sip:192.0.2.1:5060;lr>")


def test_16_4_a_foreign_route_is_not_removed():
    ((hop, on),) = forwarded(Stage(), request("INVITE", "sip:x@far.example", "Route: <sip:192.0.2.30;lr>"))
    assert hop == CAROL and on.values("Route") == ("<sip:192.0.2.30;lr>",) and on.request_uri == "sip:x@far.example"


@pytest.mark.parametrize(
    "route",
    [
        "sip:orig@192.0.2.1:5060;lr",
        "sip:term@192.0.2.1;lr;x=y",
        "sip:home.example;lr",
        "sip:orig@HOME.example.:5060;transport=tcp;lr",
        "sips:home.example;lr",
        "sip:[2001:DB8:0::1];lr",
    ],
)
def test_16_4_all_that_names_us_is_removed(route):
    """A Service-Route may have a user (TS 24.229 5.2.7.2), and who is told "home.example" as outbound proxy says so."""
    stage = Stage()
    ((hop, on),) = forwarded(stage, request("INVITE", "sip:bob@home.example", f"Route: <{route}>"))
    assert hop == BOB and on.values("Route") == ()


@pytest.mark.parametrize(
    "route",
    [
        "sip:orig@192.0.2.1:5099;lr",
        "sip:home.example:5099;lr",
        "sip:home.example;maddr=192.0.2.30;lr",
        "sip:other.home.example;lr",
        "tel:+49301",
    ],
)
def test_16_4_what_names_another_is_not(route):
    stage = Stage()
    stage.say(request("INVITE", "sip:bob@home.example", f"Route: <{route}>"), ALICE)
    assert stage.gate.asked[-1][1].routes == 0 and stage.gate.asked[-1][1].outward


def test_3263_4_1_a_transport_that_we_do_not_have_is_not_another():
    """What speaks SIP over WebSockets at that port hears no datagrams; another branch may lead on."""
    stage = Stage()
    assert answered(stage, request(uri="sip:x@192.0.2.30;transport=ws")) == [100, 500]
    stage.bind("bob", "sip:bob@192.0.2.20:8080;transport=sctp")
    ((hop, _),) = forwarded(stage, request(branch="z9hG4bK2", call_id="2"))
    assert hop == BOB


@pytest.mark.parametrize(("cseq", "goes"), [(2**31, True), (2**32 - 1, True), (2**32, False)])
def test_20_16_a_dialog_counts_to_the_end_of_32_bits(cseq, goes):
    """Less than 2^31 is where it begins (8.1.1.5)."""
    text = request("INFO", "sip:bob@192.0.2.20", to_tag="b", cseq=cseq)
    assert bool(forwarded(Stage(), text)) is goes


def test_16_4_maddr_that_is_ours_is_taken_away():
    ((hop, on),) = forwarded(Stage(FAR), request(uri="sip:bob@far.example:5060;maddr=192.0.2.1;user=ip"))
    assert hop == FAR_HOP and on.request_uri == "sip:bob@far.example;user=ip"


def test_16_4_another_maddr_is_followed():
    ((hop, on),) = forwarded(Stage(), request(uri="sip:bob@other.example;maddr=192.0.2.30"))
    assert hop == CAROL and on.request_uri == "sip:bob@other.example;maddr=192.0.2.30"


def test_11_2_options_for_us():
    stage = Stage()
    assert answered(stage, request("OPTIONS", "sip:192.0.2.1")) == [200]
    assert answered(stage, request("OPTIONS", "sip:home.example")) == [200]
    assert answered(stage, request("INVITE", "sip:192.0.2.1")) == [404]
    assert answered(stage, request("OPTIONS", "sip:nobody@home.example")) == [404]


# 16.5 Determining request targets


def test_16_5_a_foreign_domain_is_the_only_target():
    stage = Stage()
    stage.bind("bob", "sip:bob@192.0.2.30")
    ((hop, on),) = forwarded(stage, request(uri="sip:bob@192.0.2.77"))
    assert hop == Hop("udp", "192.0.2.77", 5060) and on.request_uri == "sip:bob@192.0.2.77"


def test_16_5_the_location_service_says_where_a_user_of_ours_is():
    stage = Stage()
    stage.bind("bob", "sip:bob@192.0.2.30")
    assert {hop for hop, _ in forwarded(stage, request())} == {BOB, CAROL}


# 16.6 Request forwarding


def test_16_6_1_the_copy_keeps_what_it_does_not_know():
    """All headers in their order, and the body, octet for octet."""
    odd = ("X-One:   a  ,b", "subject:lower", "i-am: odd;\t", "x-one: again")
    text = request("INVITE", "sip:bob@home.example", *odd, body=SDP)
    ((_, on),) = forwarded(Stage(), text)
    block = "\r\n".join(odd).encode()
    assert block in on.octets and on.octets.endswith(b"\r\n\r\n" + SDP.encode())


def test_16_6_2_the_target_takes_the_place_of_the_request_uri():
    """Without parameters that may not stand there being invented, and To stays."""
    stage = Stage()
    stage.users.bound.clear()
    stage.bind("bob", "sip:bob@192.0.2.20:5070;x=1")
    ((hop, on),) = forwarded(stage, request())
    assert on.request_uri == "sip:bob@192.0.2.20:5070;x=1" and on.first("To") == "<sip:bob@home.example>"
    assert hop == Hop("udp", "192.0.2.20", 5070)


def test_16_6_4_what_makes_no_dialog_is_not_recorded():
    for method, recorded in (("INVITE", True), ("SUBSCRIBE", True), ("MESSAGE", False), ("OPTIONS", False)):
        ((_, on),) = forwarded(Stage(), request(method))
        assert bool(on.values("Record-Route")) is recorded, method


def test_16_6_4_ours_stands_before_others():
    text = request("INVITE", "sip:bob@home.example", "Record-Route: <sip:p1.example;lr>")
    ((_, on),) = forwarded(Stage(), text)
    ours, theirs = on.values("Record-Route")
    assert "192.0.2.1" in ours and theirs == "<sip:p1.example;lr>"


def test_16_6_4_sips_is_recorded_as_sips():
    stage = Stage()
    stage.bind("sec", "sips:sec@192.0.2.40")
    source = Hop("tls", "192.0.2.10", 40_000, 7)
    ((hop, on),) = forwarded(stage, request(uri="sips:sec@home.example", via="SIP/2.0/TLS 192.0.2.10"), source, 2)
    assert hop == Hop("tls", "192.0.2.40", 5061)
    (route,) = on.values("Record-Route")
    assert route.startswith("<sips:192.0.2.1:5061;lr;")
    ((hop, bye),) = forwarded(
        stage, request("BYE", "sips:a@192.0.2.10", f"Route: {route}", via="SIP/2.0/TLS 192.0.2.40"), BOB, 2
    )
    assert hop == Hop("tls", "192.0.2.10", 5061) and bye.values("Route") == ()


def test_26_2_2_sips_goes_by_tls_alone():
    """RFC 5630 5.3: 480, where the next hop has no TLS."""
    stage = Stage(FAR)
    stage.bind("plain", "sip:plain@192.0.2.40")
    assert answered(stage, request(uri="sips:bob@far.example"))[-1] == 480
    secure = Stage(StaticRoute((("sip:192.0.2.99;transport=tls", 1),), domain="far.example"))
    assert [hop.transport for hop, _ in forwarded(secure, request(uri="sips:bob@far.example"))] == ["tls"]


def test_16_6_6_and_7_a_path_is_followed():
    """RFC 3327 5.3: the values of Path are the Route, the first of them the next hop."""
    stage = Stage()
    stage.bind("path", "sip:p@10.0.0.1", path=("<sip:192.0.2.30;lr>", "<sip:192.0.2.31;lr>"))
    ((hop, on),) = forwarded(stage, request(uri="sip:path@home.example"))
    assert hop == CAROL and on.request_uri == "sip:p@10.0.0.1"
    assert on.values("Route") == ("<sip:192.0.2.30;lr>", "<sip:192.0.2.31;lr>")


@pytest.mark.parametrize(
    ("contact", "uri"),
    [
        ("sip:c@192.0.2.30?Subject=x&Route=%3Csip:a%3E", "sip:c@192.0.2.30"),
        ("sip:c@192.0.2.30;method=BYE;ob?a=b", "sip:c@192.0.2.30;ob"),
        ("sip:c?a=b@192.0.2.30;x", "sip:c?a=b@192.0.2.30;x"),
    ],
)
def test_16_6_2_what_a_request_uri_may_not_have_is_removed(contact, uri):
    """A Contact may have it (table 1 of 19.1.1); whoever is sent it refuses it with 400, as we do."""
    stage = Stage()
    stage.bind("carol", contact)
    ((hop, on),) = forwarded(stage, request(uri="sip:carol@home.example"))
    assert hop == CAROL and on.request_uri == uri


@pytest.mark.parametrize("uri", ["urn:service:sos", "URN:service:sos.police"])
def test_16_5_an_emergency_call_goes_where_all_goes(uri):
    """It has no domain; a P-CSCF that sends it here without Route hears 416 only where there is no way at all."""
    ((hop, on),) = forwarded(Stage(structs.replace(FAR, domain="*")), request(uri=uri))
    assert hop == FAR_HOP and on.request_uri == uri
    assert answered(Stage(FAR), request(uri=uri)) == [416]
    assert answered(Stage(structs.replace(FAR, domain="*")), request(uri="mailto:bob@home.example")) == [416]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ('"Edge, 1 <a>" <sip:192.0.2.30;lr>;x=y', '"Edge, 1 <a>" <sip:192.0.2.30;lr>;x=y'),
        ("Edge <sip:192.0.2.30;lr>", "Edge <sip:192.0.2.30;lr>"),
        ("sip:192.0.2.30;lr", "<sip:192.0.2.30;lr>"),
    ],
)
def test_16_6_6_a_path_may_have_a_name(path, route):
    """RFC 3327 4: it is a name-addr, and Route has to be one."""
    stage = Stage()
    stage.bind("path", "sip:p@10.0.0.1", path=(path,))
    ((hop, on),) = forwarded(stage, request(uri="sip:path@home.example"))
    assert hop.host == CAROL.host and on.values("Route") == (route,)


def test_16_6_7_all_addresses_of_a_name_are_tried():
    """RFC 3263 4.3: the next one when the first does not answer."""
    stage = Stage(StaticRoute((("sip:edge.far.example", 1),), domain="far.example"))
    outs = stage.outs(request(uri="sip:bob@far.example"), ALICE)
    (asked,) = (each for each in outs if isinstance(each, Resolve))
    places = tuple(Hop("udp", f"192.0.2.{number}", 5060) for number in (77, 78))
    (out,) = stage.proxy.resolved(asked, Found((Spot(0, 0, places),), 60), 0)
    assert isinstance(out, Out) and out.hop == places[0]
    assert stage.wait(32_100)[-1][0] == places[1]


def test_16_6_8_each_branch_has_a_name_of_its_own():
    stage = Stage()
    stage.bind("bob", "sip:bob@192.0.2.30")
    seen = {on.top_branch for number in range(5) for _, on in forwarded(stage, request(branch=f"z9hG4bK{number}"))}
    assert len(seen) == 10 and all(each.startswith("z9hG4bK") for each in seen)


def test_16_6_9_a_length_on_streams():
    stage = Stage()
    stage.users.bound.clear()
    stage.bind("bob", "sip:bob@192.0.2.20;transport=tcp")
    text = request(body=SDP).replace(f"Content-Length: {len(SDP)}\r\n", "")
    ((hop, on),) = forwarded(stage, text)
    assert hop.transport == "tcp" and on.first("Content-Length") == str(len(SDP)) and on.body == SDP.encode()


def test_16_6_11_timer_c_is_of_invites_alone():
    stage = Stage()
    forwarded(stage, request("MESSAGE"))
    assert not [message for _, message in stage.wait(400_000) if message.method == "CANCEL" and message.is_request]


def test_16_6_12_nothing_is_sent_to_who_did_not_ask():
    """A request changes nothing of another one that runs beside it."""
    stage = Stage()
    ((_, one),) = forwarded(stage, request())
    ((_, two),) = forwarded(stage, request(branch="z9hG4bKother", call_id="call-2"))
    ((hop, back),) = stage.say(response(two, 200), BOB)
    assert hop == ALICE and back.call_id == "call-2"
    assert stage.say(response(one, 180), BOB)[0][1].call_id == "call-1"


# RFC 5393 5: Max-Breadth


def breadths(stage: Stage, *headers: str) -> list:
    return [on.values("Max-Breadth") for _, on in forwarded(stage, request("INVITE", "sip:bob@home.example", *headers))]


def test_5393_every_request_that_goes_on_has_one():
    assert breadths(Stage()) == [("60",)]
    assert breadths(Stage(), "Max-Breadth: 7") == [("7",)]
    assert breadths(Stage(), "Max-Breadth: 4000") == [("60",)]


def test_5393_a_fork_divides_it():
    stage = Stage()
    stage.bind("bob", "sip:bob@192.0.2.30", "sip:bob@192.0.2.31")
    assert breadths(stage) == [("20",)] * 3
    stage = Stage()
    stage.bind("bob", "sip:bob@192.0.2.30", "sip:bob@192.0.2.31")
    assert breadths(stage, "Max-Breadth: 4") == [("1",)] * 3


def test_5393_one_after_the_other_each_has_all_of_it():
    stage = Stage()
    stage.bind("bob", "sip:bob@192.0.2.30", q=500)
    ((_, first),) = forwarded(stage, request("INVITE", "sip:bob@home.example", "Max-Breadth: 1"))
    second = stage.say(response(first, 486), BOB)[-1][1]
    assert (first.values("Max-Breadth"), second.values("Max-Breadth")) == (("1",), ("1",))


@pytest.mark.parametrize("value", ["0", "-1", "x", ""])
def test_5393_what_is_no_breadth(value):
    found = answered(Stage(), request("INVITE", "sip:bob@home.example", f"Max-Breadth: {value}"))
    assert found[-1] == (440 if value == "0" else 400)


# 16.10, 16.11


def test_16_10_a_cancel_has_no_part_in_other_methods():
    """It is the INVITE that is looked for: one for a MESSAGE finds nothing and goes on."""
    stage = Stage()
    forwarded(stage, request("MESSAGE", branch="z9hG4bKm"))
    ((_, on),) = forwarded(stage, request("CANCEL", branch="z9hG4bKm"))
    assert on.method == "CANCEL"


def test_16_10_a_cancel_ends_the_search():
    """No further target is tried."""
    stage = Stage()
    stage.bind("bob", "sip:bob@192.0.2.30", q=500)
    ((_, first),) = forwarded(stage, request())
    stage.say(response(first, 180), BOB)
    stage.say(request("CANCEL"), ALICE)
    found = stage.say(response(first, 487), BOB)
    assert [message.method if message.is_request else message.status for _, message in found] == ["ACK", 487]


def test_16_11_what_is_sent_without_state_is_the_same_each_time():
    stage = Stage()
    ack = request("ACK", "sip:bob@192.0.2.20", to_tag="b", branch="z9hG4bKack")
    (first,), (second,) = stage.say(ack, ALICE), stage.say(ack, ALICE)
    assert first[1].octets == second[1].octets and stage.proxy.running == (0, 0)
    assert parse(first[1].octets).top_branch.startswith("z9hG4bK")
