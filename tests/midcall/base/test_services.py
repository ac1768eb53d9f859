"""Which service a message or a session is of, and what an order for one alone covers."""

from __future__ import annotations

import pytest

from midcall.base.services import Coverage, covers, narrower, of_description, of_line
from midcall.events import (
    DialogFault,
    DialogId,
    DialogReleased,
    Failure,
    Half,
    Instant,
    Kept,
    SessionReport,
    Side,
    SipReport,
    SipSeen,
    StartOfInterception,
)

AT = Instant(1, 1)
CALL = b"\1" * 8
AUDIO = "m=audio 4000 RTP/AVP 0"
VIDEO = "m=video 4002 RTP/SAVP 96"
MSRP = "m=message 7394 TCP/TLS/MSRP *"
NO_AUDIO, NO_MSRP = "m=audio 0 RTP/AVP 0", "m=message 0 TCP/TLS/MSRP *"
TEXT = "m=text 5000 RTP/AVP 98"
ALONE = ("voice", "messaging")


def sdp(*lines: str) -> str:
    return "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n" + "".join(
        f"{each}\r\n" for each in lines
    )


def message(
    first: str, *lines: str, cseq: str, tags: tuple[str, str], call: str = "c", headers: tuple[str, ...] = ()
) -> bytes:
    if first[0].isupper() and not first.startswith("SIP/2.0"):
        first += " sip:bob@example.com SIP/2.0"
    body = sdp(*lines) if lines else ""
    made = [
        first,
        "Via: SIP/2.0/UDP h;branch=z9hG4bK1",
        f"From: <sip:alice@example.com>;tag={tags[0]}",
        "To: <sip:bob@example.com>" + (f";tag={tags[1]}" if tags[1] else ""),
        f"Call-ID: {call}",
        f"CSeq: {cseq}",
        *headers,
        *(["Content-Type: application/sdp"] if lines else []),
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(made) + "\r\n\r\n" + body).encode()


class Line:
    """What orders for voice and for messages alone get of one target."""

    def __init__(self) -> None:
        self.coverage = Coverage()
        for service in ALONE:
            self.coverage.order(service, (service,))

    def given(self, make) -> str:
        """The orders that are given an event, by their first letters."""
        return "".join(each[0] for each in ALONE if self.coverage.of(make(each)) is not None)

    def sip(self, octets: bytes, correlation: bytes | None = CALL, dialog: DialogId | None = None) -> str:
        seen = SipSeen(octets, "1:1", "2:2", AT)
        return self.given(lambda xid: SipReport(xid, "sip:alice@example.com", correlation, dialog, seen))

    def ask(self, method: str, *lines: str, number: int = 1, to: str = "", tag: str = "a", **options) -> str:
        return self.sip(message(method, *lines, cseq=f"{number} {method}", tags=(tag, to), **options))

    def answer(self, status: str, *lines: str, to: str = "b", cseq: str = "1 INVITE", tag: str = "a", **options) -> str:
        return self.sip(message(f"SIP/2.0 {status}", *lines, cseq=cseq, tags=(tag, to), **options))

    def released(self, tags: tuple[str, str] = ("a", "b"), call: str = "c") -> str:
        return self.given(lambda xid: DialogReleased(xid, CALL, DialogId(call, *tags), AT, "BYE"))


# What belongs to what


@pytest.mark.parametrize(
    ("line", "service"),
    [
        ("audio RTP/AVP", "voice"),
        ("VIDEO UDP/TLS/RTP/SAVPF", "voice"),
        ("message TCP/MSRP", "messaging"),
        ("message TCP/TLS/MSRP", "messaging"),
        ("audio TCP/MSRP", "messaging"),
        ("text RTP/AVP", None),
        ("image udptl", None),
        ("application TCP/BFCP", None),
    ],
)
def test_the_service_of_an_m_line(line, service):
    assert of_line(*line.split()) == service


@pytest.mark.parametrize(
    ("lines", "services"),
    [
        ((AUDIO,), {"voice"}),
        ((VIDEO, TEXT), {"voice"}),
        ((MSRP,), {"messaging"}),
        ((AUDIO, MSRP), {"voice", "messaging"}),
        ((AUDIO, NO_MSRP), {"voice"}),
        ((TEXT,), set()),
    ],
)
def test_the_services_of_a_description(lines, services):
    assert of_description(sdp(*lines).encode()) == services


def test_a_description_that_cannot_be_read_says_nothing():
    assert of_description(b"v=0\r\nm=audio\r\n") is None


@pytest.mark.parametrize(
    ("services", "narrowed"),
    [
        (("voice", "messaging", "data"), None),
        (("messaging",), ("messaging",)),
        (("data", "voice"), ("voice",)),
        (("data",), ()),
    ],
)
def test_the_services_of_an_order(services, narrowed):
    assert narrower(services) == narrowed


def test_media_of_an_order():
    assert covers(None, None) and covers(("voice",), "voice")
    assert not covers(("voice",), "messaging") and not covers(("voice",), None)


# Messages by themselves


@pytest.mark.parametrize(
    ("method", "headers", "given"),
    [
        ("MESSAGE", (), "m"),
        ("REGISTER", (), "vm"),
        ("OPTIONS", (), "vm"),
        ("SUBSCRIBE", ("Event: reg",), "vm"),
        ("PUBLISH", ("Event: Presence ;id=1",), "vm"),
        ("SUBSCRIBE", ("Event: presence.winfo",), "vm"),
        ("SUBSCRIBE", ("Event: dialog",), ""),
        ("NOTIFY", ("Event: conference",), ""),
        ("NOTIFY", (), ""),
        ("REFER", (), ""),
        ("INFO", (), ""),
        ("XYZ", (), ""),
    ],
)
def test_outside_of_sessions_a_request_and_its_answer_are_of_the_same(method, headers, given):
    line = Line()
    assert line.ask(method, headers=headers) == given
    assert line.answer("200 OK", cseq=f"1 {method}") == given
    assert line.answer("403 Forbidden", cseq=f"1 {method}") == given


def test_an_answer_to_what_nobody_has_seen_is_of_none():
    assert Line().answer("200 OK", cseq="1 OPTIONS") == ""


def test_what_is_no_sip_is_of_none():
    line = Line()
    assert line.sip(b"nothing") == line.sip(b"INVITE sip:b@c SIP/2.0\r\n\r\n") == ""


# Sessions


@pytest.mark.parametrize(
    ("lines", "given"), [((AUDIO, VIDEO), "v"), ((MSRP,), "m"), ((AUDIO, MSRP), "vm"), ((TEXT,), "")]
)
def test_all_of_a_session_is_of_what_its_description_says(lines, given):
    line = Line()
    assert line.ask("INVITE", *lines) == given
    for status in ("100 Trying", "180 Ringing"):
        assert line.answer(status) == given
    assert line.answer("200 OK", *lines) == line.ask("ACK", to="b") == given
    assert line.ask("INFO", number=2, to="b") == line.answer("200 OK", cseq="2 INFO") == given
    assert line.ask("OPTIONS", number=3, to="b") == line.ask("REFER", number=4, to="b") == given
    assert line.ask("BYE", number=1, to="a", tag="b") == line.answer("200 OK", to="a", tag="b", cseq="1 BYE") == given
    assert line.released() == given


def test_a_session_that_nobody_answers():
    line = Line()
    assert line.ask("INVITE", MSRP) == line.ask("CANCEL") == line.answer("200 OK", cseq="1 CANCEL") == "m"
    assert line.answer("487 Request Terminated") == line.ask("ACK", to="b") == line.released() == "m"


def test_what_the_answer_refuses_is_no_part_of_the_session():
    line = Line()
    assert line.ask("INVITE", AUDIO, MSRP) == "vm"
    assert line.answer("200 OK", AUDIO, NO_MSRP) == line.ask("ACK", to="b") == "vm"
    assert line.ask("BYE", number=2, to="b") == "v"
    assert line.released() == "vm"


def test_forks_that_answer_otherwise():
    line = Line()
    line.ask("INVITE", AUDIO, MSRP)
    line.answer("183 Session Progress", NO_AUDIO, MSRP, to="b")
    line.answer("183 Session Progress", AUDIO, NO_MSRP, to="d")
    assert (line.ask("PRACK", number=2, to="b"), line.ask("PRACK", number=2, to="d")) == ("m", "v")
    assert line.ask("PRACK", number=2, to="e") == "vm"


def test_media_that_are_added_and_what_was_tried_in_vain():
    line = Line()
    line.ask("INVITE", AUDIO), line.answer("200 OK", AUDIO), line.ask("ACK", to="b")
    again = {"number": 2, "to": "b"}
    assert line.ask("INVITE", AUDIO, MSRP, **again) == "vm"
    assert line.answer("488 Not Acceptable Here", cseq="2 INVITE") == "vm"
    assert line.answer("488 Not Acceptable Here", cseq="2 INVITE") == line.ask("ACK", **again) == "vm"
    assert line.ask("INVITE", AUDIO, MSRP, **again) == "vm", "a copy of it"
    assert line.ask("INFO", number=3, to="b") == "v"
    assert line.ask("INVITE", AUDIO, MSRP, number=4, to="b") == "vm"
    assert line.answer("200 OK", AUDIO, MSRP, cseq="4 INVITE") == "vm"
    assert line.ask("INFO", number=5, to="b") == "vm"
    assert line.ask("UPDATE", AUDIO, NO_MSRP, number=6, to="b") == "vm"
    assert line.answer("200 OK", AUDIO, NO_MSRP, cseq="6 UPDATE") == line.ask("BYE", number=7, to="b") == "vm"


def test_an_answer_without_a_description_ends_its_offer():
    line = Line()
    line.ask("INVITE", AUDIO), line.answer("200 OK", AUDIO)
    assert line.ask("UPDATE", MSRP, number=2, to="b") == "vm"
    assert line.answer("200 OK", cseq="2 UPDATE") == "vm"
    assert line.ask("BYE", number=3, to="b") == "v"


def test_a_call_that_is_tried_again_with_fewer_media():
    line = Line()
    assert line.ask("INVITE", AUDIO, MSRP) == line.answer("488 Not Acceptable Here") == "vm"
    assert line.ask("INVITE", AUDIO, number=2) == line.answer("180 Ringing", cseq="2 INVITE") == "v"
    assert line.answer("488 Not Acceptable Here") == line.ask("ACK", to="b") == "vm"


def test_the_end_of_a_session_that_was_never_given_or_is_not_known_any_more():
    line = Line()
    assert line.ask("INVITE") == line.answer("486 Busy Here") == line.released(("a", "")) == ""
    assert line.released(call="other") == "vm"
    line.ask("INVITE", AUDIO), line.answer("200 OK", AUDIO)
    assert line.released() == "v"


def test_an_offer_in_the_answer():
    """Until somebody describes it, nobody can say what the session is of."""
    line = Line()
    assert line.ask("INVITE") == line.answer("180 Ringing") == ""
    assert line.answer("200 OK", AUDIO, MSRP) == line.answer("200 OK", AUDIO, MSRP) == "vm"
    assert line.ask("ACK", AUDIO, NO_MSRP, to="b") == "vm"
    assert line.ask("BYE", number=2, to="b") == "v"


def test_an_offer_in_a_prack():
    line = Line()
    line.ask("INVITE", AUDIO), line.answer("183 Session Progress", AUDIO)
    assert line.ask("PRACK", AUDIO, number=2, to="b") == line.answer("200 OK", AUDIO, cseq="2 PRACK") == "v"
    assert line.answer("200 OK") == line.ask("BYE", number=3, to="b") == "v"


def test_a_page_mode_message_in_a_session():
    line = Line()
    line.ask("INVITE", AUDIO), line.answer("200 OK", AUDIO)
    octets = message("MESSAGE", cseq="2 MESSAGE", tags=("a", "b"))
    seen, dialog = SipSeen(octets, "1:1", "2:2", AT), DialogId("c", "a", "b")
    voice, page = (line.coverage.of(SipReport(each, "", CALL, dialog, seen)) for each in ALONE)
    assert voice is None and page == SipReport("messaging", "", None, None, seen)
    line.ask("INVITE", AUDIO, MSRP, number=3, to="b")
    both = line.coverage.of(SipReport("messaging", "", CALL, dialog, seen))
    assert both is not None and both.correlation == CALL


def test_presence_in_a_session_is_of_both():
    line = Line()
    line.ask("INVITE", AUDIO), line.answer("200 OK", AUDIO)
    assert line.ask("SUBSCRIBE", number=2, to="b", headers=("Event: presence",)) == "vm"
    assert line.answer("200 OK", cseq="2 SUBSCRIBE") == "vm"
    assert line.ask("NOTIFY", number=3, to="b", headers=("Event: refer",)) == "v"


# Events that no message is


def half(octets: bytes) -> Half:
    head, _, body = octets.partition(b"\r\n\r\n")
    return Half(head + b"\r\n\r\n", body)


OFFER = message("INVITE", AUDIO, MSRP, cseq="1 INVITE", tags=("a", ""))
ANSWER = message("SIP/2.0 200 OK", AUDIO, NO_MSRP, cseq="1 INVITE", tags=("a", "b"))


def test_a_session_that_runs_already():
    line, dialog = Line(), DialogId("c", "a", "b")
    start = (CALL, dialog, AT, half(OFFER), half(ANSWER))
    assert line.given(lambda xid: StartOfInterception(xid, "", *start)) == "v"
    assert line.ask("BYE", number=2, to="b") == line.released() == "v"


def test_an_offer_that_waits():
    line, dialog = Line(), DialogId("c", "a", "")
    assert line.given(lambda xid: StartOfInterception(xid, "", CALL, dialog, AT, half(OFFER), None)) == "vm"
    assert line.answer("200 OK", NO_AUDIO, MSRP) == "vm"
    assert line.ask("BYE", number=2, to="b") == "m"


def test_descriptions_without_heads():
    """What comes later is known by its correlation."""
    line, dialog = Line(), DialogId("", "", "")
    start = (CALL, dialog, AT, Half(b"", sdp(MSRP).encode()), Half(b"", sdp(MSRP).encode()))
    assert line.given(lambda xid: StartOfInterception(xid, "", *start)) == "m"
    assert line.ask("BYE", number=2, to="b") == "m"
    assert line.given(lambda xid: Failure(xid, CALL, dialog, AT, 0, "", keys=False, missing=True)) == "m"
    assert line.given(lambda xid: Failure(xid, bytes(8), dialog, AT, 0, "", keys=False, missing=True)) == ""


def test_a_report_of_a_session():
    line, dialog = Line(), DialogId("c", "a", "b")
    offer, answer, broken = (Kept(each, AT, 0) for each in (OFFER, ANSWER, b"?"))
    ends = (AT, AT, Side.CALLER, None)
    assert line.given(lambda xid: SessionReport(xid, "", CALL, dialog, *ends, broken, None, ())) == ""
    assert line.given(lambda xid: SessionReport(xid, "", CALL, dialog, *ends, offer, answer, ())) == "v"
    assert line.given(lambda xid: DialogFault(xid, CALL, dialog, AT, 0, "wrong")) == "v"


# Orders


def test_an_order_for_both_is_given_everything():
    coverage = Coverage()
    coverage.order("x", None)
    event = SipReport("x", "", None, None, SipSeen(b"nothing", "", "", AT))
    events = [event, event]
    coverage.end("x")
    assert coverage.of(event) is event and coverage.all_of(events) is events  # type: ignore[arg-type,comparison-overlap]


def test_events_of_several_orders():
    line, seen = Line(), SipSeen(message("MESSAGE", cseq="1 MESSAGE", tags=("a", "")), "", "", AT)
    events = [SipReport(xid, "", None, None, seen) for xid in ("voice", "messaging", "other")]
    assert line.coverage.all_of([*events]) == events[1:]


def test_an_order_that_becomes_another_and_one_that_ends():
    line = Line()
    line.ask("INVITE", AUDIO)
    line.coverage.order("messaging", ("voice",))
    assert line.answer("180 Ringing") == "vm"
    line.coverage.order("messaging", None)
    assert line.answer("nonsense") == "m"
    line.coverage.end("voice"), line.coverage.order("voice", ("voice",))
    assert line.coverage.kinds("voice", CALL) == ()
    line.coverage.order("messaging", ("messaging",))
    assert line.answer("180 Ringing") == ""


def test_a_communication_of_a_former_run():
    line = Line()
    line.ask("INVITE", AUDIO), line.answer("200 OK", AUDIO)
    later = Line()
    for xid in (*ALONE, "of nobody"):
        later.coverage.recall(xid, CALL, line.coverage.kinds("voice", CALL))
    assert later.coverage.kinds("of nobody", CALL) == ()
    assert later.ask("INFO", number=2, to="b") == "v"
    assert later.ask("INVITE", AUDIO, MSRP, number=3, to="b") == "vm"
    assert later.answer("488 Not Acceptable Here", cseq="3 INVITE") == "vm"
    assert later.ask("BYE", number=4, to="b") == "v"
