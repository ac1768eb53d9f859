"""The timers of RFC 3261 17 and table 4, each at its time, over UDP and over streams."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imswire.sip import SipMessage
from midcall.cscf.timers import MS
from midcall.cscf.values import Hop, Out
from tests.midcall.cscf.stage import ALICE, BOB, Stage, request, response, sent

TCP_ALICE = Hop("tcp", "192.0.2.10", 40_000, 7)


def times(stage: Stage, milliseconds: int, wanted: str | int) -> list[int]:
    """When, in ms from now, a method or status is sent."""
    begun, end = stage.now, stage.now + milliseconds * MS
    found: list[int] = []
    while (due := stage.proxy.next_deadline()) is not None and due <= end:
        stage.now = due
        for _, message in sent(stage.proxy.deadline(due)):
            if wanted == (message.method if message.is_request else message.status):
                found.append((due - begun) // MS)
    stage.now = end
    return found


def on_the_way(stage: Stage, text: str, source: Hop = ALICE, listener: int = 0) -> SipMessage:
    return next(iter(requests(stage, text, source, listener)))


def requests(stage: Stage, text: str, source: Hop, listener: int) -> Iterator[SipMessage]:
    return (message for _, message in stage.say(text, source, listener) if message.is_request)


def over_tcp(stage: Stage) -> Stage:
    stage.users.bound.clear()
    stage.bind("bob", "sip:bob@192.0.2.20;transport=tcp")
    return stage


def test_timer_a_doubles():
    """17.1.1.2: 500 ms, then twice as long each time, until Timer B."""
    stage = Stage()
    on_the_way(stage, request())
    assert times(stage, 40_000, "INVITE") == [500, 1_500, 3_500, 7_500, 15_500, 31_500]


def test_timer_b_ends_it_after_32_seconds():
    stage = Stage()
    on_the_way(stage, request())
    assert times(stage, 40_000, 408)[0] == 32_000


def test_timers_a_and_e_do_not_run_on_streams():
    for method in ("INVITE", "MESSAGE"):
        stage = over_tcp(Stage())
        on_the_way(stage, request(method))
        assert times(stage, 40_000, method) == []


def test_timer_e_doubles_up_to_4_seconds():
    """17.1.2.2."""
    stage = Stage()
    on_the_way(stage, request("MESSAGE"))
    wanted = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]
    assert times(stage, 40_000, "MESSAGE") == wanted


def test_timer_e_after_a_provisional_response_is_4_seconds():
    stage = Stage()
    message = on_the_way(stage, request("MESSAGE"))
    stage.say(response(message, 100), BOB)
    assert times(stage, 13_000, "MESSAGE") == [500, 4_500, 8_500, 12_500]


def test_timer_f_ends_it_also_after_a_provisional_response():
    stage = Stage()
    message = on_the_way(stage, request("MESSAGE"))
    stage.say(response(message, 100), BOB)
    stage.wait(32_100)
    assert stage.say(response(message, 200), BOB) == []


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_timers_d_and_k_take_in_what_comes_again(method):
    """17.1.1.2, 17.1.2.2: refusals that are sent again go nowhere, and those of an INVITE get their ACK again."""
    stage = Stage()
    message = on_the_way(stage, request(method))
    stage.say(response(message, 486), BOB)
    if method == "INVITE":
        stage.say(request("ACK", to_tag="b"), ALICE)
    again = [each.method for _, each in stage.say(response(message, 486), BOB)]
    assert again == (["ACK"] if method == "INVITE" else [])
    clients = stage.proxy.running[1]
    stage.wait(33_000 if method == "INVITE" else 5_100)
    assert (clients, stage.proxy.running[1]) == (1, 0)


def test_timers_d_and_k_are_nothing_on_streams():
    for method in ("INVITE", "MESSAGE"):
        stage = over_tcp(Stage())
        message = on_the_way(stage, request(method))
        stage.say(response(message, 486), BOB)
        assert stage.proxy.running[1] == 0


def test_timer_g_doubles_up_to_4_seconds_and_timer_h_ends_it():
    """17.2.1: a refusal that nobody acknowledges."""
    stage = Stage()
    message = on_the_way(stage, request())
    stage.say(response(message, 486), BOB)
    wanted = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]
    assert times(stage, 60_000, 486) == wanted and stage.proxy.running == (0, 0)


def test_timer_g_does_not_run_on_streams():
    stage = Stage()
    message = on_the_way(stage, request(via="SIP/2.0/TCP 192.0.2.10"), TCP_ALICE, 1)
    stage.say(response(message, 486), BOB)
    assert times(stage, 60_000, 486) == [] and stage.proxy.running == (0, 0)


def test_timer_i_takes_in_acks():
    """17.2.1: 5 s over UDP, nothing on streams."""
    stage = Stage()
    message = on_the_way(stage, request())
    stage.say(response(message, 486), BOB)
    for _ in range(3):
        assert stage.say(request("ACK", to_tag="b"), ALICE) == []
    assert stage.say(request(), ALICE) == []  # confirmed: what comes late is not answered again
    stage.wait(4_900)
    assert stage.proxy.running[0] == 1
    stage.wait(200)
    assert stage.proxy.running[0] == 0
    stage = Stage()
    message = on_the_way(stage, request(via="SIP/2.0/TCP 192.0.2.10"), TCP_ALICE, 1)
    stage.say(response(message, 486), BOB)
    stage.say(request("ACK", via="SIP/2.0/TCP 192.0.2.10", to_tag="b"), TCP_ALICE, 1)
    assert stage.proxy.running[0] == 0


def test_timer_j_answers_what_comes_again():
    """17.2.2: 32 s over UDP, nothing on streams."""
    stage = Stage()
    message = on_the_way(stage, request("MESSAGE"))
    stage.say(response(message, 200), BOB)
    stage.wait(31_900)
    assert [each.status for _, each in stage.say(request("MESSAGE"), ALICE)] == [200]
    stage.wait(200)
    assert stage.proxy.running == (0, 0)
    stage = Stage()
    message = on_the_way(stage, request("MESSAGE", via="SIP/2.0/TCP 192.0.2.10"), TCP_ALICE, 1)
    stage.say(response(message, 200), BOB)
    assert stage.proxy.running[0] == 0


def test_timers_l_and_m_keep_an_accepted_call():
    """RFC 6026 7.1, 7.2: 32 s, on streams too."""
    for stage, source, listener, via in (
        (Stage(), ALICE, 0, "SIP/2.0/UDP 192.0.2.10"),
        (over_tcp(Stage()), TCP_ALICE, 1, "SIP/2.0/TCP 192.0.2.10"),
    ):
        message = on_the_way(stage, request(via=via), source, listener)
        stage.say(response(message, 200), BOB)
        stage.wait(31_900)
        assert stage.proxy.running == (1, 1)
        stage.wait(200)
        assert stage.proxy.running == (0, 0)


def test_17_1_1_3_the_ack_of_a_refusal():
    """Request-URI, Call-ID, From and Route of the INVITE, To of the response, one Via: that of the INVITE."""
    stage = Stage()
    text = request("INVITE", "sip:bob@home.example", "Route: <sip:192.0.2.30;lr>", "Route: <sip:192.0.2.31;lr>")
    invite = on_the_way(stage, text)
    ack = stage.say(response(invite, 404, tag="theirs"), BOB)[0][1]
    assert ack.method == "ACK" and ack.request_uri == invite.request_uri and ack.call_id == invite.call_id
    assert ack.first("From") == invite.first("From") and ack.to_tag == "theirs" and ack.cseq.number == 1
    assert ack.values("Via") == invite.values("Via")[:1] and ack.values("Route") == invite.values("Route")
    assert ack.body == b"" and ack.first("Max-Forwards") == "70"


def test_9_1_the_cancel_of_an_invite():
    """As the INVITE in all that names it, with its Route, and no Require."""
    stage = Stage()
    text = request("INVITE", "sip:bob@home.example", "Route: <sip:192.0.2.30;lr>", "Require: 100rel")
    invite = on_the_way(stage, text)
    stage.say(response(invite, 180), BOB)
    cancel = stage.say(request("CANCEL"), ALICE)[-1][1]
    assert cancel.method == "CANCEL" and cancel.request_uri == invite.request_uri
    assert cancel.values("Via") == invite.values("Via")[:1] and cancel.values("Route") == invite.values("Route")
    assert (cancel.first("From"), cancel.first("To")) == (invite.first("From"), invite.first("To"))
    assert cancel.values("Require") == () and cancel.cseq.number == 1


def test_17_2_1_trying_has_no_tag_and_keeps_the_timestamp():
    stage = Stage()
    trying = stage.say(request("INVITE", "sip:bob@home.example", "Timestamp: 54"), ALICE)[0][1]
    assert trying.status == 100 and trying.to_tag is None and trying.values("Timestamp") == ("54",)


def test_17_2_3_sent_by_is_part_of_the_name():
    """The same branch from two makers is two transactions; the case of the cookie's text matters not to who made it."""
    stage = Stage()
    assert on_the_way(stage, request("MESSAGE"))
    other = stage.say(request("MESSAGE", via="SIP/2.0/UDP 192.0.2.11"), Hop("udp", "192.0.2.11", 5060))
    assert [message.method for _, message in other] == ["MESSAGE"]


def test_18_2_2_a_lost_connection_is_made_anew_to_where_via_says():
    stage = Stage()
    message = on_the_way(stage, request("MESSAGE", via="SIP/2.0/TCP 192.0.2.10:5070"), TCP_ALICE, 1)
    (out,) = stage.outs(response(message, 200), BOB)
    assert isinstance(out, Out) and out.hop == Hop("tcp", "192.0.2.10", 5_070, 7)
