"""Duties of a proxy with responses, one test each: RFC 3261 16.7-16.10, RFC 4320, RFC 6026.

Those that :mod:`tests.midcall.cscf.test_proxy` shows in passing are not repeated here.
"""

from __future__ import annotations

import pytest

from imswire import sip
from imswire.sip import SipMessage
from midcall.cscf.routing import StaticRoute
from midcall.cscf.values import Hop
from tests.midcall.cscf.stage import ALICE, BOB, CAROL, Stage, request, response

DAVE = Hop("udp", "192.0.2.40", 5060)


def said(sent: list) -> list[int | str]:
    """Statuses of responses, methods of requests."""
    return [message.method if message.is_request else message.status for _, message in sent]


def called(stage: Stage, text: str = "") -> list[SipMessage]:
    """The requests of each branch."""
    return [message for _, message in stage.say(text or request(), ALICE) if message.is_request]


def fork(*uris: str, q: tuple[int, ...] = ()) -> tuple[Stage, list[SipMessage]]:
    stage = Stage()
    for place, uri in enumerate(uris):
        stage.bind("bob", uri, q=q[place] if q else 1_000)
    return stage, called(stage)


# 16.7 1, 2


def test_16_7_1_a_response_finds_its_branch_by_branch_and_method():
    stage = Stage()
    (invite,) = called(stage)
    other = response(invite, 200).replace("CSeq: 1 INVITE", "CSeq: 1 BYE")
    assert stage.say(other, BOB) == []
    assert said(stage.say(response(invite, 200), BOB)) == [200]


@pytest.mark.parametrize(
    "written",
    ["SIP / 2.0 / UDP  192.0.2.1 : 5060 ; ", "SIP/2.0/UDP\r\n 192.0.2.1:5060\r\n ;", "SIP/2.0/UDP 192.0.2.1;"],
)
def test_16_7_1_our_via_may_come_back_in_other_words(written):
    """With space, folded, or without the usual port: it is the same Via (RFC 3261 7.3.1, 25.1)."""
    stage = Stage()
    (invite,) = called(stage)
    text = response(invite, 486)
    assert "SIP/2.0/UDP 192.0.2.1:5060;" in text
    assert said(stage.say(text.replace("SIP/2.0/UDP 192.0.2.1:5060;", written), BOB)) == ["ACK", 486]


def test_16_7_2_only_101_to_199_move_timer_c():
    stage = Stage()
    (invite,) = called(stage)
    stage.say(response(invite, 180), BOB)
    for _ in range(4):
        stage.wait(40_000)
        stage.say(response(invite, 100), BOB)
    assert "CANCEL" in said(stage.wait(55_000))


def test_16_7_2_a_ringing_call_rings_on():
    stage = Stage()
    (invite,) = called(stage)
    for _ in range(10):
        assert said(stage.say(response(invite, 180), BOB)) == [180]
        assert said(stage.wait(170_000)) == []
    assert said(stage.say(response(invite, 200), BOB)) == [200]


# 16.7 3-5


def test_16_7_3_a_response_for_us_alone_ends_here():
    stage = Stage()
    (invite,) = called(stage)
    lone = response(invite, 200).replace(f"Via: {invite.values('Via')[1]}\r\n", "")
    assert stage.say(lone, BOB) == []


def test_16_7_5_provisional_responses_of_all_branches_go_back():
    stage, (one, two) = fork("sip:bob@192.0.2.30")
    assert said(stage.say(response(one, 180), BOB)) == [180]
    assert said(stage.say(response(two, 183, tag="c"), CAROL)) == [183]


def test_16_7_5_none_does_after_the_final_one():
    stage, (one, two) = fork("sip:bob@192.0.2.30")
    stage.say(response(one, 603), BOB)
    stage.say(response(two, 487, tag="c"), CAROL)
    assert stage.say(response(two, 180, tag="c"), CAROL) == []


def test_16_7_5_a_2xx_after_a_2xx_goes_back():
    """Two have answered before the CANCEL came: the caller is told of both."""
    stage, (one, two) = fork("sip:bob@192.0.2.30")
    assert said(stage.say(response(one, 200), BOB)) == [200]
    assert said(stage.say(response(two, 200, tag="c"), CAROL)) == [200]


def test_16_7_5_a_2xx_after_a_refusal_of_another_branch():
    stage, (one, two) = fork("sip:bob@192.0.2.30")
    assert said(stage.say(response(one, 486), BOB)) == ["ACK"]
    assert said(stage.say(response(two, 200, tag="c"), CAROL)) == [200]


def test_16_7_5_a_6xx_waits_for_the_others():
    """And a 2xx that crosses its CANCEL wins."""
    stage, (one, two) = fork("sip:bob@192.0.2.30")
    stage.say(response(two, 180, tag="c"), CAROL)
    stage.say(response(one, 600), BOB)
    assert said(stage.say(response(two, 200, tag="c"), CAROL)) == [200]


def test_16_7_5_a_6xx_ends_the_search():
    stage, (one,) = fork("sip:bob@192.0.2.30", q=(500,))
    assert said(stage.say(response(one, 603), BOB)) == ["ACK", 603]


def test_4320_4_1_nothing_but_100_for_what_is_no_invite():
    """183 for a MESSAGE ends here, and slows the retransmissions down."""
    stage = Stage()
    (message,) = called(stage, request("MESSAGE"))
    assert stage.say(response(message, 183), BOB) == []
    assert said(stage.wait(5_000)) == ["MESSAGE", 100, "MESSAGE"]


def test_4320_4_1_100_at_once_is_not_sent_again():
    stage = Stage()
    (message,) = called(stage, request("MESSAGE"))
    stage.wait(3_499)
    stage.say(response(message, 200), BOB)
    assert said(stage.wait(100_000)) == []


def test_4320_4_2_nobody_is_told_408():
    """Of what is no INVITE: neither ours nor that of the next element."""
    stage = Stage()
    (message,) = called(stage, request("MESSAGE"))
    assert stage.say(response(message, 408), BOB) == []


# 16.7 6-10

ORDER = [
    ((404, 302), 302),
    ((500, 404), 404),
    ((503, 486), 486),
    ((503, 502), 502),
    ((404, 407), 407),
    ((404, 415), 415),
    ((404, 420), 420),
    ((404, 484), 484),
    ((486, 600), 600),
    ((302, 603), 603),
    ((503, 503), 500),
    ((408, 404), 408),
]


@pytest.mark.parametrize(("statuses", "best"), ORDER)
def test_16_7_6_the_best(statuses, best):
    stage, branches = fork("sip:bob@192.0.2.30")
    last: list = []
    for branch, status, hop, tag in zip(branches, statuses, (BOB, CAROL), "bc", strict=True):
        last = stage.say(response(branch, status, tag=tag), hop)
    assert said(last)[-1] == best


def test_16_7_6_a_branch_that_is_silent_counts_as_408():
    stage, (one, _) = fork("sip:bob@192.0.2.30")
    stage.say(response(one, 486), BOB)
    assert said(stage.wait(32_500))[-1] in (408, 486)
    stage, (one, _) = fork("sip:bob@192.0.2.30")
    stage.say(response(one, 500), BOB)
    assert [each for each in said(stage.wait(32_100)) if each != "INVITE"] == [408]


def test_16_7_7_challenges_of_one_kind_each_stand_once():
    stage, branches = fork("sip:bob@192.0.2.30", "sip:bob@192.0.2.40")
    for branch, hop, name in zip(branches, (BOB, CAROL, DAVE), ("one", "two", "three"), strict=True):
        last = stage.say(response(branch, 401, f'WWW-Authenticate: Digest realm="{name}"', tag=name), hop)
    answer = last[-1][1]
    assert sorted(answer.lines("WWW-Authenticate")) == [f'Digest realm="{name}"' for name in ("one", "three", "two")]


def test_16_7_8_a_response_keeps_all_that_is_not_ours():
    stage = Stage()
    (invite,) = called(stage)
    text = response(invite, 183, "X-Odd:   a ,b", 'warning: 399 x "y"', body="v=0\r\n")
    ((_, back),) = stage.say(text, BOB)
    via = f"Via: {invite.values('Via')[0]}\r\n"
    assert via in text and back.octets.decode() == text.replace(via, "")


def test_16_7_9_a_response_goes_where_the_request_came_from():
    stage = Stage()
    source = Hop("udp", "203.0.113.5", 40_000)
    (invite,) = [m for _, m in stage.say(request(branch="z9hG4bKa1;rport"), source) if m.is_request]
    ((hop, _),) = stage.say(response(invite, 200), Hop("udp", "198.51.100.77", 7))
    assert hop == source


def test_16_7_10_all_that_is_pending_is_cancelled_and_nothing_else():
    stage, (one, two, three) = fork("sip:bob@192.0.2.30", "sip:bob@192.0.2.40")
    stage.say(response(two, 180, tag="c"), CAROL)
    stage.say(response(three, 486, tag="d"), DAVE)
    sent = stage.say(response(one, 200), BOB)
    assert said(sent) == [200, "CANCEL"] and sent[1][0] == CAROL


# 16.8, 16.9


def test_16_8_timer_c_before_any_response_is_timer_b():
    stage = Stage()
    called(stage)
    assert said(stage.wait(32_100))[-1] == 408


def test_16_8_a_cancelled_branch_answers_itself():
    """487 after Timer C goes back; the search goes on with the next target."""
    stage, (one,) = fork("sip:bob@192.0.2.30", q=(500,))
    stage.say(response(one, 180), BOB)
    assert "CANCEL" in said(stage.wait(190_000))
    assert said(stage.say(response(one, 487), BOB)) == ["ACK", "INVITE"]


def test_16_9_an_error_of_one_branch_leaves_the_others():
    stage = Stage()
    stage.bind("bob", "sip:bob@192.0.2.30")
    outs = stage.outs(request(), ALICE)
    assert stage.proxy.failed(outs[1].branch, stage.now) == []
    two = sip.parse(outs[2].octets)
    assert said(stage.say(response(two, 200, tag="c"), CAROL)) == [200]


# 16.10


def test_16_10_what_has_answered_is_not_cancelled():
    stage, (one, two) = fork("sip:bob@192.0.2.30")
    stage.say(response(one, 486), BOB)
    stage.say(response(two, 180, tag="c"), CAROL)
    sent = stage.say(request("CANCEL"), ALICE)
    assert said(sent) == [200, "CANCEL"] and sent[1][0] == CAROL
    assert said(stage.say(request("CANCEL"), ALICE)) == [200]


def test_16_10_a_2xx_that_crosses_the_cancel_wins():
    stage = Stage()
    (invite,) = called(stage)
    stage.say(response(invite, 180), BOB)
    stage.say(request("CANCEL"), ALICE)
    assert said(stage.say(response(invite, 200), BOB)) == [200]


# RFC 6026


def test_6026_8_5_an_accepted_call_takes_its_ack_of_another_branch():
    """7.1: the ACK has the branch of the INVITE when the caller is old; it goes on all the same."""
    stage = Stage()
    (invite,) = called(stage)
    stage.say(response(invite, 200), BOB)
    route = invite.first("Record-Route")
    ((hop, ack),) = stage.say(request("ACK", "sip:bob@192.0.2.20", f"Route: {route}", to_tag="b"), ALICE)
    assert hop == BOB and ack.method == "ACK"


def test_6026_7_1_a_late_invite_of_an_accepted_call_is_no_new_call():
    stage = Stage()
    (invite,) = called(stage)
    stage.say(response(invite, 200), BOB)
    stage.wait(31_000)
    assert stage.say(request(), ALICE) == []


def test_6026_8_7_a_refusal_after_a_2xx_of_the_same_branch_is_dropped():
    stage = Stage()
    (invite,) = called(stage)
    stage.say(response(invite, 200), BOB)
    assert stage.say(response(invite, 486, tag="c"), BOB) == []


def test_a_dialog_that_never_ends_keeps_nothing_here():
    stage = Stage()
    (invite,) = called(stage)
    stage.say(response(invite, 200), BOB)
    stage.wait(33_000)
    assert stage.proxy.running == (0, 0) and stage.proxy.next_deadline() is None


# Recursion (16.7 4), where a route says so

REDIRECTING = StaticRoute((("sip:192.0.2.99", 1),), domain="far.example", recurse=True)


def redirect(message: SipMessage, *contacts: str, status: int = 302) -> str:
    return response(message, status, *(f"Contact: {each}" for each in contacts))


def test_16_7_4_contacts_of_a_3xx_are_tried_in_its_place():
    """The heavier first; the 3xx itself is forgotten; none is tried twice."""
    stage = Stage(REDIRECTING)
    (first,) = called(stage, request(uri="sip:x@far.example"))
    contacts = ("<sip:x@192.0.2.20>;q=0.5", "<sip:x@192.0.2.30>", "<sip:x@192.0.2.30>")
    (_, ack), (hop, second) = stage.say(redirect(first, *contacts), DAVE)
    assert (ack.method, hop, second.request_uri) == ("ACK", CAROL, "sip:x@192.0.2.30")
    (_, _), (hop, third) = stage.say(response(second, 486, tag="c"), CAROL)
    assert (hop, third.request_uri) == (BOB, "sip:x@192.0.2.20")
    assert said(stage.say(response(third, 404), BOB)) == ["ACK", 486]


def test_16_7_4_users_of_ours_are_looked_up():
    stage = Stage(REDIRECTING)
    (first,) = called(stage, request(uri="sip:x@far.example"))
    sent = stage.say(redirect(first, "<sip:bob@home.example>"), DAVE)
    assert sent[1][0] == BOB and sent[1][1].request_uri == "sip:bob@192.0.2.20"


def test_16_7_4_without_the_option_the_caller_hears_it():
    stage = Stage(StaticRoute((("sip:192.0.2.99", 1),), domain="far.example"))
    (first,) = called(stage, request(uri="sip:x@far.example"))
    assert said(stage.say(redirect(first, "<sip:x@192.0.2.30>"), DAVE)) == ["ACK", 302]


def test_16_7_4_what_leads_nowhere_goes_back():
    for contact in ("<mailto:x@y>", "<sip:x@y?Route=z>", "nonsense", "<sip:nobody@home.example>"):
        stage = Stage(REDIRECTING)
        (first,) = called(stage, request(uri="sip:x@far.example"))
        assert said(stage.say(redirect(first, contact), DAVE)) == ["ACK", 302], contact
    stage = Stage(StaticRoute((("sip:192.0.2.99;transport=tls", 1),), domain="far.example", recurse=True))
    (first,) = called(stage, request(uri="sips:x@far.example"))
    assert said(stage.say(redirect(first, "<sip:x@192.0.2.30;transport=tls>"), DAVE)) == ["ACK", 302]
    assert stage.proxy.counts["redirected"] == 0


def test_16_7_4_a_chain_of_redirections_ends():
    """Each answer names the next hop of the same route again, under another name."""
    stage = Stage(REDIRECTING)
    branches = called(stage, request(uri="sip:x@far.example"))
    for number in range(8):
        sent = stage.say(redirect(branches[-1], f"<sip:x{number}@far.example>"), DAVE)
        branches += [message for _, message in sent if message.method == "INVITE"]
    assert [each.request_uri for each in branches] == [f"sip:x{number}@far.example" for number in ("", *range(8))]
    assert said(stage.say(redirect(branches[-1], "<sip:last@far.example>"), DAVE)) == ["ACK", 302]
