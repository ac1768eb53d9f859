"""A target in one part of a call alone, or of this network alone (callPartyRole, nonLocalIdentifier)."""

from __future__ import annotations

import pytest

from midcall.events import Instant, SessionReport, SipReport, StartOfInterception, Task
from midcall.poi import MATCHING_ALL, PointOfInterception
from midcall.poi.home import Home
from tests.midcall.poi.test_core import ALICE, BOB, Net

CAROL = "sip:carol@example.com"
DIVERTED = f"History-Info: <{BOB}>;index=1, <{CAROL}>;index=1.1"


def point(target: str, role: str | None, home: Home | None = None, local: bool | None = None) -> PointOfInterception:
    made = PointOfInterception(bytes(32), bytes(32), MATCHING_ALL, home=home)
    made.arm(Task("x", (target,), role=role, local=local), Instant(0, 0))
    return made


@pytest.mark.parametrize(
    ("target", "role", "headers", "expected"),
    [
        (ALICE, "originating", (), True),
        (ALICE, "terminating", (), False),
        (ALICE, "forwarded-to", (), False),
        (BOB, "originating", (), False),
        (BOB, "terminating", (), True),
        (BOB, "forwarded-to", (), False),
        (CAROL, "forwarded-to", (DIVERTED,), True),
        (CAROL, "terminating", (DIVERTED,), True),
        (CAROL, "originating", (DIVERTED,), False),
        (BOB, "forwarded-to", (DIVERTED,), False),
        (CAROL, "forwarded-to", (f"History-Info: <{CAROL}>;index=1",), False),
        (CAROL, "forwarded-to", (f"Diversion: <{BOB}>",), True),
        (BOB, None, (DIVERTED,), True),
        (CAROL, None, (), True),
    ],
)
def test_the_part_that_the_target_has(target, role, headers, expected):
    net = Net(point(target, role))
    events = net.invite(*headers, uri=CAROL if target == CAROL else BOB)
    events += net.answer(body="v=0\r\nc=IN IP4 10.0.0.2\r\nm=audio 4002 RTP/AVP 0\r\n")
    reported = [each for each in events if isinstance(each, SipReport | SessionReport)]
    assert bool(reported) is expected
    assert {each.target for each in reported} <= {0, 1, None}


def test_the_part_counts_for_calls_that_run_already():
    quiet = PointOfInterception(bytes(32), bytes(32), MATCHING_ALL)
    Net(quiet).establish()
    assert quiet.arm(Task("x", (ALICE,), role="terminating"), Instant(0, 0)) == []
    (start, _) = quiet.arm(Task("y", (BOB,), role="terminating"), Instant(0, 0))
    assert isinstance(start, StartOfInterception) and start.xid == "y"


def test_one_task_asks_for_a_part_and_another_does_not():
    made = point(ALICE, "terminating")
    made.arm(Task("y", (ALICE,)), Instant(0, 0))
    assert {each.xid for each in Net(made).invite()} == {"y"}


def test_messages_outside_calls():
    made = point(ALICE, "terminating")
    net = Net(made)
    assert net.see(f"MESSAGE {BOB} SIP/2.0", cseq="1 MESSAGE") == []
    net.call_id = "another"
    assert len(net.see(f"MESSAGE {ALICE} SIP/2.0", cseq="1 MESSAGE", caller=BOB, callee=ALICE)) == 1


HOME = Home(("Example.COM", "ims.example."), ("+4930", "+431"))


@pytest.mark.parametrize(
    ("uri", "ours"),
    [
        ("sip:alice@example.com", True),
        ("sip:alice@EXAMPLE.com:5060;transport=tcp", True),
        ("sips:alice@ims.example", True),
        ("sip:alice@sub.example.com", False),
        ("sip:alice@example.com.evil.org", False),
        ("tel:+49301234", True),
        ("sip:+49301234@other.example;user=phone", True),
        ("tel:+49401234", False),
        ("tel:+4312", True),
        ("urn:gsma:imei:90420156-025763-0", False),
        ("", False),
    ],
)
def test_whose_an_identity_is(uri, ours):
    assert HOME.owns(uri) is ours


def test_a_target_that_is_not_where_the_task_says_is_not_armed():
    for target, local in ((ALICE, True), ("sip:alice@elsewhere.example", False)):
        assert Net(point(target, None, HOME, local)).poi is not None
    for target, local in ((ALICE, False), ("sip:alice@elsewhere.example", True)):
        with pytest.raises(ValueError, match="x"):
            point(target, None, HOME, local)


def test_a_number_of_ours_is_one_without_saying_so():
    """A proxy that routes by number finds whom it is for; a user of another domain may have any name."""
    for uri, found in (
        ("sip:+49301234@example.com", True),
        ("sip:%2B49301234@EXAMPLE.com.;x=y", True),
        ("sip:+49301234@elsewhere.example", False),
        ("sip:+4930123٤@example.com", False),
        ("sip:49301234@example.com", False),
    ):
        net = Net(point("tel:+49301234", None, HOME))
        assert bool(net.see(f"INVITE {uri} SIP/2.0", callee="sip:b@x", caller="sip:a@x")) is found
    # A target is what its task says, and no more.
    net = Net(point("sip:+49301234@example.com", None, HOME))
    assert not net.see("INVITE tel:+49301234 SIP/2.0", callee="sip:b@x", caller="sip:a@x")
