"""What RFC 3261 16 has a proxy do, and its followers; each test names its clause."""

from __future__ import annotations

import pytest

from imswire import sip
from midcall.cscf.routing import StaticRoute
from midcall.cscf.values import Admission, Found, Hop, Resolve, Spot
from tests.midcall.cscf.stage import ALICE, BOB, CAROL, SDP, Stage, names, request, response


def statuses(sent: list) -> list:
    return [message.status if message.status else message.method for _, message in sent]


def test_an_invite_goes_to_where_the_user_is():
    """16.6: Trying back, one hop less, our Via and Record-Route on top, the contact as Request-URI."""
    stage = Stage()
    (back, trying), (on, invite) = stage.say(request(body=SDP), ALICE)
    assert back == ALICE and trying.status == 100 and trying.to_tag is None
    assert on == BOB and invite.method == "INVITE" and invite.request_uri == "sip:bob@192.0.2.20"
    assert invite.first("Max-Forwards") == "69" and invite.body.decode() == SDP
    ours, theirs = invite.vias
    assert (ours.transport, ours.host, ours.port) == ("UDP", "192.0.2.1", 5060) and ours.branch.startswith("z9hG4bK")
    assert theirs.branch == "z9hG4bKa1" and theirs.params == (("branch", "z9hG4bKa1"),)
    (route,) = invite.values("Record-Route")
    assert route.startswith("<sip:192.0.2.1:5060;lr;")


def test_a_request_without_max_forwards_gets_one():
    """16.6 3."""
    _, (_, invite) = Stage().say(request(hops=None), ALICE)
    assert invite.first("Max-Forwards") == "70"


def test_responses_go_back_without_our_via():
    """16.7 3, 5: 100 ends here, other provisional ones and the final one go back at once."""
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    assert stage.say(response(invite, 100), BOB) == []
    for status in (180, 183, 200):
        ((hop, back),) = stage.say(response(invite, status, body=SDP), BOB)
        assert hop == ALICE and back.status == status and back.body.decode() == SDP
        assert [via.branch for via in back.vias] == ["z9hG4bKa1"]


def test_every_2xx_goes_back():
    """16.7 5, RFC 6026 8.5: also when it comes again, for the client transaction lives on (Timer M)."""
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    for tag in ("b", "b", "c"):
        assert statuses(stage.say(response(invite, 200, tag=tag), BOB)) == [200]
    stage.wait(31_900)
    assert statuses(stage.say(response(invite, 200), BOB)) == [200]
    stage.wait(200)
    assert stage.say(response(invite, 200), BOB) == []
    assert stage.proxy.running == (0, 0)


def test_a_retransmission_is_answered_and_not_forwarded():
    """17.2.1, 17.2.2."""
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    assert statuses(stage.say(request(), ALICE)) == [100]
    stage.say(response(invite, 180), BOB)
    assert statuses(stage.say(request(), ALICE)) == [180]
    stage.say(response(invite, 200), BOB)
    assert stage.say(request(), ALICE) == []  # RFC 6026 7.1
    ((_, bye),) = stage.say(request("BYE", branch="z9hG4bKa2", cseq=2), ALICE)
    assert stage.say(request("BYE", branch="z9hG4bKa2", cseq=2), ALICE) == []
    stage.say(response(bye, 200), BOB)
    assert statuses(stage.say(request("BYE", branch="z9hG4bKa2", cseq=2), ALICE)) == [200]


def test_requests_are_sent_again_over_udp():
    """17.1.1.2 Timer A, B; 17.1.2.2 Timer E, F."""
    stage = Stage()
    stage.say(request(), ALICE)
    assert statuses(stage.wait(31_600)) == ["INVITE"] * 6
    assert statuses(stage.wait(500)) == [408]
    stage = Stage()
    stage.say(request("MESSAGE", branch="z9hG4bKm"), ALICE)
    # RFC 4320 4.1: 100 before Timer E comes to T2, for nobody has answered.
    assert statuses(stage.wait(31_900)) == ["MESSAGE", "MESSAGE", 100, *["MESSAGE"] * 8]
    assert stage.wait(200) == []  # RFC 4320 4.2: nobody is told 408
    stage.wait(40_000)
    assert stage.proxy.running == (0, 0)


def test_a_provisional_response_ends_retransmission_of_an_invite():
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    stage.say(response(invite, 100), BOB)
    assert stage.wait(40_000) == []


def test_a_refusal_is_acknowledged_here_and_repeated_until_the_caller_does():
    """17.1.1.3, 17.2.1 Timers G, H, I, D."""
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    (to_bob, ack), (to_alice, busy) = stage.say(response(invite, 486), BOB)
    assert to_bob == BOB and to_alice == ALICE and busy.status == 486
    assert ack.method == "ACK" and ack.request_uri == invite.request_uri and ack.to_tag == "b"
    assert ack.values("Via") == invite.values("Via")[:1] and ack.cseq.number == 1
    assert statuses(stage.wait(2_000)) == [486, 486]  # 500 ms, 1 000 ms later
    assert statuses(stage.say(response(invite, 486), BOB)) == ["ACK"]
    assert stage.say(request("ACK", to_tag="b"), ALICE) == []
    assert stage.wait(60_000) == []
    assert stage.proxy.running == (0, 0)


def test_the_ack_of_a_2xx_goes_through():
    """16.11: it is a request of its own."""
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    stage.say(response(invite, 200), BOB)
    route = invite.first("Record-Route")
    ((hop, ack),) = stage.say(
        request("ACK", "sip:bob@192.0.2.20", f"Route: {route}", branch="z9hG4bKa3", to_tag="b"), ALICE
    )
    assert hop == BOB and ack.method == "ACK" and ack.values("Route") == () and len(ack.vias) == 2
    again = stage.say(request("ACK", "sip:bob@192.0.2.20", f"Route: {route}", branch="z9hG4bKa3", to_tag="b"), ALICE)
    assert again[0][1].octets == ack.octets


def test_requests_of_a_dialog_go_both_ways():
    """16.4, 16.12: by the route that was recorded, through a worker that has never seen the call."""
    _, (_, invite) = Stage().say(request(), ALICE)
    route = invite.first("Record-Route")
    other = Stage(run="run2")
    ((hop, bye),) = other.say(
        request("BYE", "sip:alice@192.0.2.10", f"Route: {route}", via="SIP/2.0/UDP 192.0.2.20", cseq=7, to_tag="b"), BOB
    )
    assert hop == ALICE and bye.request_uri == "sip:alice@192.0.2.10" and bye.values("Route") == ()
    assert other.gate.asked[0][1].inside


def test_a_recorded_route_is_good_for_its_call_alone():
    _, (_, invite) = Stage().say(request(), ALICE)
    route = invite.first("Record-Route")
    stage = Stage()
    stage.say(request("BYE", "sip:x@198.51.100.1", f"Route: {route}", call_id="another"), BOB)
    assert not stage.gate.asked[0][1].inside


def test_a_strict_router_before_us():
    """16.4: our own URI stands as Request-URI, and the one that counts behind all routes."""
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    ours = invite.first("Record-Route").strip("<>")
    ((hop, bye),) = stage.say(
        request("BYE", ours, "Route: <sip:p2@192.0.2.30;lr>", "Route: <sip:bob@192.0.2.20>", branch="z9hG4bK9"), ALICE
    )
    assert (
        hop == CAROL and bye.request_uri == "sip:bob@192.0.2.20" and bye.values("Route") == ("<sip:p2@192.0.2.30;lr>",)
    )


def test_a_strict_router_behind_us():
    """16.6 6: it is sent its own URI, and the other one comes behind all routes."""
    stage = Stage()
    ((hop, bye),) = stage.say(request("BYE", "sip:bob@192.0.2.20", "Route: <sip:192.0.2.30>, <sip:p3;lr>"), ALICE)
    assert hop == CAROL and bye.request_uri == "sip:192.0.2.30"
    assert bye.values("Route") == ("<sip:p3;lr>", "<sip:bob@192.0.2.20>")


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (request(hops=0), 483),
        (request(uri="mailto:bob@home.example"), 416),
        (request("INVITE", "sip:bob@home.example", "Proxy-Require: foo"), 420),
        (request(uri="sip:nobody@home.example"), 404),
        (request(uri="sip:bob@home.example?Route=x"), 400),
        (request().replace("Call-ID: call-1\r\n", ""), 400),
        (request().replace("CSeq: 1 INVITE", "CSeq: 1 BYE"), 400),
        (request().replace("Content-Length: 0", "Content-Length: 9"), 400),
        (request().replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"), 505),
    ],
)
def test_what_cannot_be_forwarded_is_answered(octets, status):
    """16.3."""
    ((hop, answer),) = Stage().say(octets, ALICE)
    assert hop == ALICE and answer.status == status and answer.cseq.number == 1
    if status == 420:
        assert answer.values("Unsupported") == ("foo",)


def test_the_ack_of_our_own_refusal_ends_here():
    stage = Stage()
    ((_, answer),) = stage.say(request(hops=0), ALICE)
    assert stage.say(request("ACK", to_tag=answer.to_tag), ALICE) == []


def test_a_user_who_is_not_there():
    """16.5: known and not registered is 480."""
    stage = Stage()
    stage.unbind("bob")
    assert statuses(stage.say(request(), ALICE)) == [480]


def test_a_loop_is_found():
    """16.3 4, RFC 5393 4.2: the same request again; with another Request-URI it is a spiral, and goes on."""
    stage = Stage(StaticRoute((("sip:192.0.2.99", 1),), domain="far.example"))
    _, (_, invite) = stage.say(request(uri="sip:bob@far.example"), ALICE)
    far = Hop("udp", "192.0.2.99", 5060)
    ((_, answer),) = stage.say(invite.octets, far)
    assert answer.status == 482
    spiral = invite.octets.replace(b"INVITE sip:bob@far.example", b"INVITE sip:bob@home.example")
    spiral = spiral.replace(b"Via: ", b"Via: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKfar\r\nVia: ", 1)
    assert statuses(stage.say(spiral, far)) == [100, "INVITE"]


# Forks (16.6, 16.7)


def forked(stage: Stage) -> tuple:
    stage.bind("bob", "sip:bob@192.0.2.30")
    _, (to_bob, one), (to_carol, two) = stage.say(request(), ALICE)
    assert (to_bob, to_carol) == (BOB, CAROL) and one.top_branch != two.top_branch
    return one, two


def test_a_2xx_cancels_the_other_branches():
    """16.7 5, 10."""
    stage = Stage()
    one, two = forked(stage)
    stage.say(response(one, 180), BOB)
    stage.say(response(two, 180, tag="c"), CAROL)
    (hop, ok), (other, cancel) = stage.say(response(one, 200), BOB)
    assert hop == ALICE and ok.status == 200
    assert other == CAROL and cancel.method == "CANCEL" and cancel.top_branch == two.top_branch
    assert cancel.request_uri == two.request_uri and cancel.cseq.number == 1
    assert stage.say(response(cancel, 200, tag="c"), CAROL) == []
    assert statuses(stage.say(response(two, 487, tag="c"), CAROL)) == ["ACK"]


def test_a_cancel_waits_for_a_provisional_response():
    """9.1: nobody can be cancelled who has not answered yet."""
    stage = Stage()
    one, two = forked(stage)
    assert statuses(stage.say(response(one, 200), BOB)) == [200]
    assert statuses(stage.say(response(two, 100), CAROL)) == ["CANCEL"]


def test_the_best_response_is_chosen_when_all_have_failed():
    """16.7 6."""
    for first, second, best in ((486, 404, 486), (500, 486, 486), (302, 404, 302), (404, 401, 401), (503, 500, 500)):
        stage = Stage()
        one, two = forked(stage)
        assert statuses(stage.say(response(one, first), BOB)) == ["ACK"]
        assert statuses(stage.say(response(two, second, tag="c"), CAROL)) == ["ACK", best]


def test_a_global_failure_ends_all():
    """16.7 5, 6: the others are cancelled and waited for."""
    stage = Stage()
    one, two = forked(stage)
    stage.say(response(two, 180, tag="c"), CAROL)
    assert statuses(stage.say(response(one, 603), BOB)) == ["ACK", "CANCEL"]
    assert statuses(stage.say(response(two, 487, tag="c"), CAROL)) == ["ACK", 603]


def test_503_is_not_passed_on():
    """16.7 6."""
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    assert statuses(stage.say(response(invite, 503), BOB)) == ["ACK", 500]


def test_challenges_are_collected():
    """16.7 7."""
    stage = Stage()
    one, two = forked(stage)
    stage.say(response(one, 407, 'Proxy-Authenticate: Digest realm="one"'), BOB)
    _, (_, answer) = stage.say(response(two, 401, 'WWW-Authenticate: Digest realm="two"', tag="c"), CAROL)
    assert answer.status == 407 or answer.status == 401
    text = answer.head.decode()
    assert 'realm="one"' in text and 'realm="two"' in text


def test_targets_of_less_weight_are_tried_next():
    """16.6: in sequence."""
    stage = Stage()
    stage.bind("bob", "sip:bob@192.0.2.30", q=500)
    _, (hop, first) = stage.say(request(), ALICE)
    assert hop == BOB
    _, (hop, second) = stage.say(response(first, 486), BOB)
    assert hop == CAROL and second.method == "INVITE"
    assert statuses(stage.say(response(second, 404, tag="c"), CAROL)) == ["ACK", 486]


def test_max_breadth():
    """RFC 5393 5.3.3."""
    stage = Stage()
    stage.bind("bob", "sip:bob@192.0.2.30")
    ((_, trying), (_, answer)) = stage.say(request("INVITE", "sip:bob@home.example", "Max-Breadth: 1"), ALICE)
    assert (trying.status, answer.status) == (100, 440)


# CANCEL (16.10)


def test_a_call_is_cancelled():
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    stage.say(response(invite, 180), BOB)
    (hop, ok), (on, cancel) = stage.say(request("CANCEL"), ALICE)
    assert hop == ALICE and ok.status == 200 and ok.cseq.method == "CANCEL"
    assert on == BOB and cancel.method == "CANCEL" and cancel.top_branch == invite.top_branch
    assert statuses(stage.say(response(cancel, 200), BOB)) == []
    assert statuses(stage.say(response(invite, 487), BOB)) == ["ACK", 487]


def test_a_cancel_of_something_unknown_goes_on():
    """16.10: without state."""
    stage = Stage()
    ((hop, cancel),) = stage.say(request("CANCEL"), ALICE)
    assert hop == BOB and cancel.method == "CANCEL"


def test_a_cancel_too_late_changes_nothing():
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    stage.say(response(invite, 200), BOB)
    assert statuses(stage.say(request("CANCEL"), ALICE)) == [200]


def test_a_cancelled_branch_that_says_nothing_is_given_up():
    """9.1, 17.1.1: 64*T1 after the CANCEL, which is sent again as long."""
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    stage.say(response(invite, 180), BOB)
    stage.say(request("CANCEL"), ALICE)
    later = statuses(stage.wait(31_900))
    assert set(later) == {"CANCEL"} and len(later) > 5
    assert statuses(stage.wait(200))[-1] == 408


def test_timer_c():
    """16.8: three minutes after the last provisional response the branch is cancelled."""
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    stage.say(response(invite, 180), BOB)
    assert stage.wait(100_000) == []
    stage.say(response(invite, 180), BOB)
    assert stage.wait(180_000) == []
    assert "CANCEL" in statuses(stage.wait(40_000))


# Transport


def test_a_failed_sending_is_a_503():
    """16.9: the next target is tried, and 503 becomes 500."""
    stage = Stage()
    stage.bind("bob", "sip:bob@192.0.2.30", q=500)
    outs = stage.outs(request(), ALICE)
    branch = outs[-1].branch
    (out,) = stage.proxy.failed(branch, stage.now)
    assert out.hop == CAROL
    (out,) = stage.proxy.failed(out.branch, stage.now)
    assert sip.parse(out.octets).status == 500
    assert stage.proxy.failed("unknown", stage.now) == []


def test_rport_and_received():
    """18.2.1, RFC 3581: into the Via that goes on; the response goes to where the request came from."""
    stage = Stage()
    source = Hop("udp", "203.0.113.5", 40_000)
    (back, trying), (_, invite) = stage.say(request(branch="z9hG4bKa1;rport"), source)
    assert back == source
    for message in (trying, invite):
        params = dict(message.vias[-1].params)
        assert params["rport"] == "40000" and params["received"] == "203.0.113.5"
    (back, _), _ = stage.say(request(branch="z9hG4bKa2", via="SIP/2.0/UDP 10.0.0.1:5070"), source)
    assert back == Hop("udp", "203.0.113.5", 5070)


def test_what_the_sender_says_of_its_source_is_overwritten():
    stage = Stage()
    (back, _), (_, invite) = stage.say(request(branch="z9hG4bKa1;received=198.51.100.9;rport=1"), ALICE)
    assert back == ALICE and dict(invite.vias[-1].params)["received"] == "192.0.2.10"


def test_responses_on_a_stream_use_its_connection():
    """18.2.2."""
    stage = Stage()
    source = Hop("tcp", "192.0.2.10", 40_000, 7)
    (back, _), (on, invite) = stage.say(request(via="SIP/2.0/TCP 192.0.2.10"), source, 1)
    assert back == source._replace(port=5060) and on == BOB  # should the connection be gone: to where Via says
    inner, outer = invite.values("Record-Route")
    assert "transport" not in inner and ";transport=tcp;lr" in outer  # RFC 5658: both of ours
    ((hop, ok),) = stage.say(response(invite, 200), BOB)
    assert hop == back and ok.first("Content-Length") == "0"
    # What comes from the other side passes both.
    routes = ", ".join(invite.values("Record-Route"))
    ((hop, bye),) = stage.say(
        request("BYE", "sip:alice@192.0.2.10;transport=tcp", f"Route: {routes}", via="SIP/2.0/UDP 192.0.2.20"), BOB
    )
    assert hop == Hop("tcp", "192.0.2.10", 5060) and bye.values("Route") == ()


def test_from_one_ip_version_to_the_other():
    stage = Stage()
    stage.bind("six", "sip:six@[2001:db8::6]:5070")
    _, (on, invite) = stage.say(request(uri="sip:six@home.example"), ALICE)
    assert on == Hop("udp", "2001:db8::6", 5070) and invite.vias[0].host == "[2001:db8::1]"
    assert len(invite.values("Record-Route")) == 2


def test_a_name_is_looked_up_once():
    """RFC 3263: the request waits for its address."""
    stage = Stage(StaticRoute((("sip:edge.far.example:5062", 1),), domain="far.example"))
    outs = stage.outs(request(uri="sip:bob@far.example"), ALICE)
    assert names(outs) == ["edge.far.example"]
    assert names(stage.outs(request(uri="sip:eve@far.example", branch="z9hG4bKa2", call_id="2"), ALICE)) == []
    (asked,) = (out for out in outs if isinstance(out, Resolve))
    assert asked == Resolve("edge.far.example", ("udp",), 5062, services=False)
    found = stage.proxy.resolved(asked, Found((Spot(0, 0, (Hop("udp", "192.0.2.77", 5062),)),), 60), stage.now)
    assert [out.hop for out in found] == [Hop("udp", "192.0.2.77", 5062)] * 2
    assert len(stage.say(request(uri="sip:bob@far.example", branch="z9hG4bKa3", call_id="3"), ALICE)) == 2
    stage.wait(61_000)
    assert names(stage.outs(request(uri="sip:bob@far.example", branch="z9hG4bKa4", call_id="4"), ALICE)) != []
    (out,) = (each for each in stage.proxy.resolved(asked, Found((), 5), stage.now) if each.hop == ALICE)
    assert sip.parse(out.octets).status == 500


# Responses that are nobody's


def test_stray_responses_are_dropped():
    """16.7 1, 18.1.2, RFC 6026 8.9."""
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    foreign = response(invite, 200).replace("192.0.2.1:5060;", "192.0.2.9:5060;", 1)
    assert stage.say(foreign, BOB) == []
    stray = response(invite, 200).replace("branch=z9hG4bKrun1", "branch=z9hG4bKrun19", 1)
    assert stage.say(stray, BOB) == []
    assert stage.say("SIP/2.0 200 OK\r\nVia: x\r\n\r\n", BOB) == []


def test_a_response_to_a_former_run_finds_its_way():
    """16.11: a call that was being set up when a worker was ended goes on."""
    _, (_, invite) = Stage(run="run1").say(request(branch="z9hG4bKa1;rport"), ALICE)
    ((hop, ok),) = Stage(run="run2").say(response(invite, 200), BOB)
    assert hop == ALICE and ok.status == 200 and len(ok.vias) == 1


def test_the_gate_decides():
    stage = Stage()
    stage.gate.admission = Admission(403)
    assert statuses(stage.say(request(), ALICE)) == [403]
    stage = Stage()
    stage.gate.admission = Admission(on_top="P-Asserted-Identity: <sip:a@x>\r\n", removed=("p-asserted-identity",))
    _, (_, invite) = stage.say(request("INVITE", "sip:bob@home.example", "P-Asserted-Identity: <sip:forged@x>"), ALICE)
    assert invite.values("P-Asserted-Identity") == ("<sip:a@x>",)


def test_no_more_transactions_than_there_is_room_for():
    stage = Stage(bound=2)
    for number in range(2):
        stage.say(request(branch=f"z9hG4bK{number}", call_id=f"{number}"), ALICE)
    assert statuses(stage.say(request(branch="z9hG4bKx", call_id="x"), ALICE)) == [503]


def test_rfc_2543_transactions():
    """17.2.3: without the cookie the whole of the request tells which it is."""
    stage = Stage()
    old = request(branch="1")
    _, (_, invite) = stage.say(old, ALICE)
    assert statuses(stage.say(old, ALICE)) == [100]
    stage.say(response(invite, 486), BOB)
    assert stage.say(request("ACK", branch="1", to_tag="b"), ALICE) == []
    assert stage.wait(5_100) == []
