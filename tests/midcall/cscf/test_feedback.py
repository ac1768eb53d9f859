"""RFC 7339: what neighbours tell each other of their load, and what becomes of it."""

from __future__ import annotations

import pytest

from imswire import sip
from midcall.cscf import feedback
from midcall.cscf.feedback import Told
from midcall.cscf.overload import STANDING, VERY_LATE
from midcall.cscf.routing import StaticRoute
from tests.midcall.cscf.stage import ALICE, BOB, CAROL, Stage, request, response

HEARS = 'SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKa1;oc;oc-algo="rate,loss"'


def params(via: str) -> dict[str, str | None]:
    return dict(sip.parse_via(via).params)


def hearing(method: str = "INVITE") -> str:
    return request(method).replace("SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKa1", HEARS)


def overloaded(stage: Stage) -> Stage:
    for _ in range(STANDING):
        stage.overload.observe(VERY_LATE)
    return stage


def test_5_1_our_via_says_that_we_listen():
    _, (_, invite) = Stage().say(request(), ALICE)
    ours = params(invite.values("Via")[0])
    assert ours["oc"] is None and ours["oc-algo"] == '"loss"' and not {"oc-validity", "oc-seq"} & ours.keys()


def test_5_1_who_listens_is_told_in_every_response():
    stage = Stage()
    (_, trying), (_, invite) = stage.say(hearing(), ALICE)
    (_, ringing), (_, ok) = [stage.say(response(invite, status), BOB)[0] for status in (180, 200)]
    for each in (trying, ringing, ok):
        (via,) = each.values("Via")
        said = params(via)
        assert said["branch"] == "z9hG4bKa1" and (said["oc"], said["oc-validity"]) == ("0", "0")
        assert said["oc-algo"] == '"loss"' and said["oc-seq"]
    for text in (request(), request().replace(";branch", ";oc;oc-algo=rate;branch")):
        (_, trying), _ = Stage().say(text, ALICE)
        assert "oc-seq" not in trying.values("Via")[0]


def test_5_2_an_overloaded_server_says_how_much_less():
    stage = overloaded(Stage())
    stage.now = 5_042_000_000
    (_, trying), _ = stage.say(hearing(), ALICE)
    said = params(trying.values("Via")[0])
    assert (said["oc"], said["oc-validity"], said["oc-seq"]) == ("100", "500", "5.042")


def test_5_2_a_request_that_is_shed_brings_it_too():
    stage = overloaded(Stage())
    stage.gate.admission = stage.gate.admission._replace(status=503)
    ((_, refused),) = stage.say(hearing(), ALICE)
    assert refused.status == 503 and params(refused.values("Via")[0])["oc"] == "100"
    assert refused.first("Retry-After") is None


def test_registrations_are_shed():
    ((_, refused),) = overloaded(Stage()).say(request("REGISTER", "sip:home.example"), ALICE)
    assert refused.status == 503


def test_5_4_nobody_behind_us_tells_those_before_us():
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    bad = response(invite, 180).replace("branch=z9hG4bKa1", "branch=z9hG4bKa1;OC=100;oc-validity=600000;x=y")
    ((_, ringing),) = stage.say(bad, BOB)
    assert ringing.values("Via") == ("SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKa1;x=y",)


def test_5_6_what_was_said_to_us_does_not_go_on():
    _, (_, invite) = Stage().say(hearing(), ALICE)
    assert invite.values("Via")[1] == "SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKa1"


def asked(stage: Stage, more: str) -> None:
    """The next hop has said something of its load."""
    _, (_, first) = stage.say(request(), ALICE)
    stage.say(response(first, 200).replace(";oc;", f";{more};", 1), BOB)


def calls(stage: Stage, uri: str = "sip:bob@home.example", branch: str = "z9hG4bKnew") -> list:
    sent = stage.say(request("INVITE", uri, branch=branch, call_id="new"), ALICE)
    return [(hop, message.status or message.method) for hop, message in sent]


def test_5_5_a_next_hop_is_spared():
    stage = Stage()
    asked(stage, "oc=100;oc-validity=1000;oc-seq=1.1")
    assert calls(stage) == [(ALICE, 100), (ALICE, 503)]
    assert stage.overload.held_requests == 1
    stage.wait(1_000)
    assert calls(stage, branch="z9hG4bKnewer")[1][0] == BOB


def test_5_7_it_says_that_all_is_well_again():
    stage = Stage()
    asked(stage, "oc=100;oc-seq=1.1")
    stage.overload.told(BOB, Told(100, 0, 1.2), stage.now)
    assert calls(stage)[1][0] == BOB


def test_5_10_another_next_hop_takes_what_one_cannot():
    stage = Stage(StaticRoute((("sip:192.0.2.20", 1), ("sip:192.0.2.30", 0)), domain="far.example"))
    stage.overload.told(BOB, Told(100, 500, 0), 0)
    assert calls(stage, "sip:x@far.example") == [(ALICE, 100), (CAROL, "INVITE")]


def test_5_10_1_what_belongs_to_a_dialog_goes_on():
    stage = Stage()
    _, (_, invite) = stage.say(request(), ALICE)
    stage.overload.told(BOB, Told(100, 5_000, 0), 0)
    route = f"Route: {invite.first('Record-Route')}"
    sent = stage.say(request("BYE", "sip:bob@192.0.2.20", route, branch="z9hG4bK2", cseq=2, to_tag="b"), ALICE)
    assert [(hop, message.method) for hop, message in sent] == [(BOB, "BYE")]
    again = stage.say(request("INVITE", "sip:bob@192.0.2.20", route, branch="z9hG4bK3", cseq=3, to_tag="b"), ALICE)
    assert again[1][0] == BOB


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("oc=20", Told(20, 500, 0.0)),
        ('oc=20;oc-algo="loss";oc-validity=7;oc-seq=12.5', Told(20, 7, 12.5)),
        ("oc=900;oc-seq=12", Told(100, 500, 12.0)),
        ("oc=900;oc-seq=12.", Told(100, 500, 12.0)),
        ("oc=900;oc-seq=x", Told(100, 500, 0.0)),
        ("oc=900;oc-seq=" + "1" * 30, Told(100, 500, 0.0)),
        ('oc=20;oc-algo="rate"', None),
        ("oc=-1", None),
        ("oc=1;oc-validity=x", None),
        ("oc=" + "1" * 30, None),
        ("oc", None),
    ],
)
def test_4_what_a_response_says(more, told):
    _, (_, invite) = Stage().say(request(), ALICE)
    octets = response(invite, 180).replace(';oc;oc-algo="loss"', f";{more}", 1)
    assert feedback.heard(sip.parse(octets.encode())) == told


def test_the_answer_to_something_broken_tells_nothing():
    """Its Via cannot be written again; it is answered all the same."""
    broken = hearing().replace("z9hG4bKa1", "z9hG4bK\0\1a1", 1).replace("INVITE sip:", "IN VITE sip:", 1)
    ((_, answer),) = Stage().say(broken, ALICE)
    assert answer.status == 400 and b"oc=" not in answer.octets
