"""The point of interception: which dialogs are whose, when they begin and end, within its bounds."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import sip
from midcall.events import (
    DialogFault,
    DialogReleased,
    Instant,
    SessionReport,
    Side,
    SipReport,
    SipSeen,
    StartOfInterception,
    Task,
)
from midcall.poi import MATCHING_ALL, MATCHING_REPLAY, PoiLimits, PointOfInterception

SECOND = 1_000_000_000
SDP = "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\n"
ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"


class Net:
    """SIP messages of one call as a tap sees them, a millisecond apart."""

    def __init__(self, poi: PointOfInterception, call_id: str = "c1") -> None:
        self.poi = poi
        self.call_id = call_id
        self.now = SECOND

    def see(
        self,
        first: str,
        *headers: str,
        body: str = "",
        to_tag: str = "",
        from_tag: str = "a",
        cseq: str = "1 INVITE",
        **options: str,
    ):
        self.now += SECOND // 1000
        branch = options.get("branch", "z9hG4bK1")
        lines = [
            first,
            f"Via: SIP/2.0/UDP h;branch={branch}",
            f"From: <{options.get('caller', ALICE)}>;tag={from_tag}",
            f"To: <{options.get('callee', BOB)}>" + (f";tag={to_tag}" if to_tag else ""),
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq}",
            *headers,
        ]
        if body:
            lines.append("Content-Type: application/sdp")
        octets = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()
        return self.poi.sip_seen(SipSeen(octets, "1:1", "2:2", Instant.of_capture(self.now), 7))

    def invite(self, *headers: str, uri: str = BOB, **options: str):
        return self.see(f"INVITE {uri} SIP/2.0", *headers, body=options.pop("body", SDP), **options)

    def answer(self, status: str = "200 OK", *headers: str, to_tag: str = "b", **options: str):
        return self.see(f"SIP/2.0 {status}", *headers, to_tag=to_tag, **options)

    def establish(self):
        return [*self.invite(), *self.answer("180 Ringing"), *self.answer(body=SDP)]

    def bye(self, status: str | None = "200 OK"):
        events = self.see(f"BYE {BOB} SIP/2.0", to_tag="b", cseq="2 BYE")
        return events + (self.answer(status, cseq="2 BYE") if status else [])


def poi(*targets: str, matching=MATCHING_REPLAY, **limits) -> PointOfInterception:
    made = PointOfInterception(bytes(32), bytes(32), matching, PoiLimits(**limits))
    if targets:
        made.arm(Task("x", targets), Instant(0, 0))
    return made


def only(events, kind):
    return [event for event in events if isinstance(event, kind)]


def test_nothing_is_reported_without_a_task():
    assert Net(poi()).establish() == []


def test_a_call_under_a_task():
    net = Net(poi(ALICE))
    events = net.establish()
    assert len(only(events, SipReport)) == 3 and not only(events, StartOfInterception)
    last = only(events, SessionReport)[-1]
    assert (last.target, last.offerer, last.pending, last.identity) == (Side.CALLER, Side.CALLER, False, ALICE)
    assert last.offer and last.answer and len(last.correlation) == 8
    (released,) = only(net.bye(), DialogReleased)
    assert released.reason == "BYE" and len(net.poi) == 0


def test_mid_call_activation_reports_once_and_disarm_releases():
    net = Net(poi())
    net.establish()
    started = net.poi.arm(Task("x", (BOB,)), Instant.of_capture(net.now))
    (soi,) = only(started, StartOfInterception)
    assert soi.offer.head.startswith(b"INVITE") and b"200 OK" in soi.answer.head and soi.offer.description
    assert only(started, SessionReport)[0].target is Side.CALLEE
    assert net.poi.arm(Task("x", (BOB,)), Instant.of_capture(net.now)) == []
    (released,) = net.poi.disarm("x", Instant.of_capture(net.now))
    assert released.reason == "task ended" and net.bye() == []


@pytest.mark.parametrize("forgeable", [(), (0,), (2,), (1,)], ids=["none", "offer", "answer", "ringing"])
def test_a_start_tells_whether_its_messages_could_have_been_forged(forgeable):
    at = Instant.of_capture(SECOND)
    net, messages = Net(poi()), []
    net.poi.sip_seen, taken = messages.append, net.poi.sip_seen  # type: ignore[method-assign]
    net.invite(), net.answer("180 Ringing"), net.answer(body=SDP)
    for place, each in enumerate(messages):
        taken(structs.replace(each, authenticated=place not in forgeable))
    (start,) = only(net.poi.arm(Task("x", (BOB,)), at), StartOfInterception)
    assert start.authenticated is not (0 in forgeable or 2 in forgeable)


def test_activation_before_anybody_answered():
    net = Net(poi())
    net.invite()
    events = net.poi.arm(Task("x", (ALICE,)), Instant.of_capture(net.now))
    assert only(events, StartOfInterception)[0].dialog.callee_tag == ""
    assert only(events, SessionReport)[0].pending


@pytest.mark.parametrize(
    "header", ["P-Asserted-Identity: <sip:x@y>, <tel:+4930123>", "P-Asserted-Identity: tel:+49-30-123"]
)
def test_asserted_identities_count(header):
    assert Net(poi("tel:+4930123")).invite(header)


@pytest.mark.parametrize(
    "header",
    [
        "Diversion: <sip:target@x>;reason=unconditional",
        "History-Info: <sip:target@x?Reason=x>;index=1",
        "P-Called-Party-ID: <sip:target@x>",
        'Contact: <sip:1.2.3.4>;+sip.instance="<urn:gsma:imei:35209900-176148-0>"',
    ],
)
def test_the_whole_matching_set(header):
    target = "urn:gsma:imei:35209900-176148-0" if "instance" in header else "sip:target@x"
    assert Net(poi(target, matching=MATCHING_ALL)).invite(header)
    assert not Net(poi(target)).invite(header)


def test_one_fork_is_not_the_other():
    """A forking proxy: the target is behind one leg only."""
    net = Net(poi("sip:carol@example.com"))
    net.invite()
    assert only(net.invite(uri="sip:carol@example.com", branch="leg2"), SipReport)
    net.invite(uri="sip:dave@example.com", branch="leg3")
    carol = net.answer("183 Progress", to_tag="carol", branch="leg2", body=SDP)
    assert only(carol, SessionReport)[0].dialog.callee_tag == "carol"
    assert net.answer("183 Progress", to_tag="dave", branch="leg3", body=SDP) == []


def test_a_spoofed_or_unreadable_from_costs_nothing_else():
    net = Net(poi("sip:real@example.com"))
    assert net.invite("P-Asserted-Identity: <sip:real@example.com>", caller="x;y <bad")


def test_refused_challenged_and_cancelled():
    net = Net(poi(ALICE))
    net.invite()
    assert only(net.answer("401 Unauthorized", to_tag="z"), DialogReleased) == [] and len(net.poi) == 1
    net.invite(cseq="2 INVITE")
    released = only(net.answer("487 Terminated", to_tag="z", cseq="2 INVITE"), DialogReleased)
    assert released[0].reason == "refused with 487" and len(net.poi) == 0


def test_a_fork_that_is_refused_leaves_the_others():
    net = Net(poi(ALICE))
    net.invite()
    net.answer("180 Ringing", to_tag="b")
    net.answer("180 Ringing", to_tag="c", branch="leg2")
    (gone,) = only(net.answer("486 Busy", to_tag="c", branch="leg2"), DialogReleased)
    assert gone.dialog.callee_tag == "c" and len(net.poi) == 1


def test_trying_again_ends_early_dialogs():
    net = Net(poi(ALICE))
    net.invite()
    net.answer("180 Ringing")
    (gone,) = only(net.invite(cseq="2 INVITE"), DialogReleased)
    assert gone.reason == "tried again"


def test_a_bye_may_be_refused_or_never_answered():
    net = Net(poi(ALICE))
    net.establish()
    assert only(net.bye("401 Unauthorized"), DialogReleased) == []
    assert only(net.bye(None), DialogReleased) == []
    first = net.poi.next_deadline()
    assert only(net.poi.deadline(Instant.of_capture(first)), DialogReleased) == []
    second = net.poi.next_deadline()
    (gone,) = only(net.poi.deadline(Instant.of_capture(second)), DialogReleased)
    assert second > first and gone.reason == "no answer" and net.poi.next_deadline() is None


def test_forks_left_behind_and_calls_never_answered_time_out():
    net = Net(poi(ALICE))
    net.invite()
    net.answer("180 Ringing", to_tag="c")
    net.answer(body=SDP)
    late = Instant.of_capture(net.now + 33 * SECOND)
    assert [e.dialog.callee_tag for e in net.poi.deadline(late)] == ["c"]
    other = Net(poi(ALICE))
    other.invite()
    (gone,) = only(other.poi.deadline(Instant.of_capture(other.now + 401 * SECOND)), DialogReleased)
    assert gone.reason == "never answered" and len(other.poi) == 0


def test_joining_a_dialog_whose_beginning_nobody_saw():
    net = Net(poi(ALICE))
    assert only(net.see(f"INVITE {BOB} SIP/2.0", to_tag="b", cseq="9 INVITE", body=SDP), SessionReport)
    (report,) = only(net.answer(body=SDP, cseq="9 INVITE"), SessionReport)[-1:]
    assert report.answer is not None
    assert Net(poi(ALICE)).see(f"INVITE {BOB} SIP/2.0", to_tag="b", cseq="9 INVITE") != []
    assert len(Net(poi(ALICE)).poi) == 0


def test_the_callees_requests_belong_to_the_same_dialog():
    net = Net(poi(ALICE))
    net.establish()
    events = net.see(
        "UPDATE sip:a SIP/2.0", from_tag="b", to_tag="a", cseq="1 UPDATE", body=SDP, caller=BOB, callee=ALICE
    )
    (report,) = only(events, SessionReport)
    assert report.dialog.caller_tag == "a" and report.pending
    (after,) = only(net.answer(from_tag="b", to_tag="a", cseq="1 UPDATE", body=SDP), SessionReport)
    assert after.offerer is Side.CALLEE and not after.pending


def test_messages_outside_dialogs():
    net = Net(poi(ALICE))
    (report,) = net.see(f"MESSAGE {BOB} SIP/2.0", cseq="1 MESSAGE")
    assert isinstance(report, SipReport) and report.dialog is None
    assert len(net.answer("200 OK", cseq="1 MESSAGE")) == 1
    assert Net(poi("sip:nobody@x")).see(f"MESSAGE {BOB} SIP/2.0", cseq="1 MESSAGE") == []
    assert len(only(net.see("CANCEL sip:b SIP/2.0", cseq="1 CANCEL"), SipReport)) == 1


def test_faults_are_reported_with_their_frame():
    net = Net(poi(ALICE))
    net.invite(body="v=0\r\nrubbish\r\n")
    faults = only(net.answer(body=SDP), DialogFault)
    assert faults and faults[0].frame == 7 and faults[0].reason.startswith("SDP: line 2")


def test_correlation():
    def of(net: Net, *headers: str, **options: str) -> bytes:
        return only(net.invite(*headers, **options), SessionReport)[0].correlation

    shared = poi(ALICE)
    vector = "P-Charging-Vector: icid-value=abc;orig-ioi=x"
    first = of(Net(shared, "c1"), vector)
    assert of(Net(shared, "c2"), vector) == first
    assert of(Net(shared, "c3")) != of(Net(shared, "c4")) and of(Net(poi(ALICE), "c3")) == of(Net(poi(ALICE), "c3"))


def test_bounds_of_calls_forks_and_octets():
    small = poi(calls=5, forks=2, calls_of_a_call_id=2)
    for number in range(20):
        Net(small, f"c{number}").invite()
    assert len(small) == 5
    net = Net(small, "f")
    net.invite()
    for number in range(10):
        net.answer("180 Ringing", to_tag=f"t{number}")
    for number in range(10):
        net.invite(from_tag=f"other{number}")
    assert len(small) == 5
    tiny = poi(octets_of_a_call=600)
    Net(tiny).establish()
    assert len(tiny) == 1
    crowded = poi(octets=2_000)
    for number in range(10):
        Net(crowded, f"c{number}").establish()
    assert len(crowded) < 10


def test_an_intercepted_call_is_never_evicted():
    small = poi(ALICE, calls=3)
    target = Net(small, "target")
    target.establish()
    for number in range(50):
        Net(small, f"c{number}").invite(caller=f"sip:u{number}@x")
    assert only(target.bye(), DialogReleased)


def test_a_task_for_nobody():
    with pytest.raises(ValueError, match="not a SIP, TEL or URN"):
        poi("display name")


def test_broken_messages_change_nothing():
    net = Net(poi(ALICE))
    net.establish()
    with pytest.raises(sip.SipError):
        net.see(f"BYE {BOB} SIP/2.0", to_tag="b", cseq="x BYE")
    assert len(net.poi) == 1


def test_census_names_every_dialog():
    seen = []
    made = PointOfInterception(bytes(32), bytes(32), MATCHING_REPLAY, census=lambda d, _: seen.append(d))
    Net(made).establish()
    assert [(d.callee_tag) for d in dict.fromkeys(seen)] == ["", "b"]
    assert structs.asdict(seen[0])["call_id"] == "c1"
