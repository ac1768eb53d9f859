"""One hop by slices: the same message as by the editor, to the octet where nothing changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import sip
from imswire.sip import SipError, hop
from tests.imswire.sip.torture import TORTURE, VERDICTS

TOP = b"Via: SIP/2.0/UDP proxy.example.net:5060;branch=z9hG4bKnew\r\nRecord-Route: <sip:proxy.example.net:5060;lr>\r\n"
CHANGE = hop.Change(TOP)
INVITE = (
    b"INVITE sip:bob@example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport\r\n"
    b"From: <sip:alice@example.com>;tag=1\r\n"
    b"To: <sip:bob@example.com>\r\n"
    b"Call-ID: one\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Max-Forwards: 70\r\n"
    b"Route: <sip:p1.example.com;lr>\r\n"
    b"Route: <sip:p2.example.com;lr>\r\n"
    b"X-Odd :   kept \t as it is\r\n"
    b"Content-Length: 4\r\n"
    b"\r\nbodysurplus"
)


def changed(**change: object) -> bytes:
    return hop.forwarded(sip.parse(INVITE), hop.Change(TOP, **change))  # type: ignore[arg-type]


def test_a_forwarded_request():
    octets = changed(
        request_uri=b"sip:bob@10.0.0.9", routes=1, top_via=b"SIP/2.0/UDP h;branch=z9hG4bK1;rport=9;received=10.0.0.1"
    )
    assert octets == (
        b"INVITE sip:bob@10.0.0.9 SIP/2.0\r\n"
        + TOP
        + b"Via: SIP/2.0/UDP h;branch=z9hG4bK1;rport=9;received=10.0.0.1\r\n"
        b"From: <sip:alice@example.com>;tag=1\r\n"
        b"To: <sip:bob@example.com>\r\n"
        b"Call-ID: one\r\n"
        b"CSeq: 1 INVITE\r\n"
        b"Max-Forwards: 69\r\n"
        b"Route: <sip:p2.example.com;lr>\r\n"
        b"X-Odd :   kept \t as it is\r\n"
        b"Content-Length: 4\r\n"
        b"\r\nbody"
    )


def test_routes_at_the_end():
    octets = changed(last_route=True, route_behind="<sip:last@example.com>")
    routes = sip.parse(octets).values("Route")
    assert routes == ("<sip:p1.example.com;lr>", "<sip:last@example.com>")


def test_a_header_that_does_not_go_on():
    octets = changed(removed=("x-odd",))
    assert b"X-Odd" not in octets and octets.startswith(b"INVITE sip:bob@example.com SIP/2.0\r\n" + TOP)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b"Max-Forwards: 70\r\n", b"Max-Forwards:\t70\r\n"),
        (b"Max-Forwards: 70\r\n", b"MAX-FORWARDS: 70\r\n"),
        (b"Max-Forwards: 70\r\n", b"Max-Forwards:\r\n 70\r\n"),
        (b"Via: ", b"v: "),
        (b";rport\r\n", b";rport, SIP/2.0/UDP 10.0.0.2\r\n"),
        (b"Route: <sip:p1.example.com;lr>\r\nRoute: ", b"Route: <sip:p1.example.com;lr>, "),
        (b"Route: <sip:p1", b"ROUTE: <sip:p1"),
        (b"Route: <sip:p1.example.com;lr>", b"Route:\r\n <sip:p1.example.com;lr>"),
    ],
)
def test_what_is_written_otherwise_has_the_same_values(was, becomes):
    other = sip.parse(INVITE.replace(was, becomes))
    change = hop.Change(TOP, b"sip:c@x", 1, top_via=b"SIP/2.0/UDP h;branch=z9hG4bK1")
    octets, usual = (sip.parse(hop.forwarded(each, change)) for each in (other, sip.parse(INVITE)))
    more = ("SIP/2.0/UDP 10.0.0.2",) if b"10.0.0.2" in becomes else ()
    assert octets.values("Via") == (*usual.values("Via"), *more)
    for name in ("Route", "Max-Forwards", "To", "X-Odd", "Record-Route"):
        assert octets.values(name) == usual.values(name)
    assert octets.start_line == usual.start_line and octets.body == usual.body


LINES = st.lists(
    st.lists(st.sampled_from(("<sip:a;lr>", '"a, b" <sip:b>', "c <sip:c,d>;x=y", "", "<sip:e>\t")), max_size=4).map(
        ", ".join
    ),
    max_size=3,
)


@given(LINES, st.integers(1, 3))
def test_routes_are_taken_from_the_top_wherever_they_stand(lines, taken):
    octets = INVITE.replace(b"Route: <sip:p1.example.com;lr>\r\nRoute: <sip:p2.example.com;lr>\r\n", b"").replace(
        b"X-Odd", "".join(f"Route: {line}\r\n" for line in lines).encode() + b"X-Odd"
    )
    message = sip.parse(octets)
    gone = sip.parse(hop.forwarded(message, hop.Change(TOP, routes=taken)))
    assert gone.values("Route") == message.values("Route")[taken:]
    assert gone.values("X-Odd") == message.values("X-Odd") and gone.body == message.body


def test_without_max_forwards_it_gets_seventy():
    octets = hop.forwarded(sip.parse(INVITE.replace(b"Max-Forwards: 70\r\n", b"")), CHANGE)
    assert sip.parse(octets).first("Max-Forwards") == "70"


def test_the_last_hop():
    with pytest.raises(SipError) as error:
        hop.forwarded(sip.parse(INVITE.replace(b": 70", b": 0")), CHANGE)
    assert error.value.status == 483


def test_on_a_stream_it_says_how_long_its_body_is():
    bare = sip.parse(INVITE.replace(b"Content-Length: 4\r\n", b"").replace(b"bodysurplus", b"body"))
    assert sip.parse(hop.forwarded(bare, CHANGE, stream=True)).first("Content-Length") == "4"
    assert b"Content-Length" not in hop.forwarded(bare, CHANGE)


@pytest.mark.parametrize("uri", [b"", b"sip:a b", b"sip:a\r\nX: y", b"<sip:a>"])
def test_a_request_uri_stays_in_its_line(uri):
    with pytest.raises(SipError):
        changed(request_uri=uri)


REQUESTS = sorted(
    name
    for name, verdict in VERDICTS.items()
    if verdict["datagram"] == "forward" and sip.parse((TORTURE / name).read_bytes()).is_request
)


@pytest.mark.parametrize("name", REQUESTS)
def test_torture_requests_keep_every_line_but_max_forwards(name):
    before = sip.parse((TORTURE / name).read_bytes())
    after = sip.parse(hop.forwarded(before, hop.Change(b"X-New: 1\r\n")))
    lines = [line for each, line in before.header_lines() if each.lower() != "max-forwards"]
    kept = [line for each, line in after.header_lines() if each.lower() != "max-forwards"]
    assert kept == [b"X-New: 1", *lines] and after.body == before.body


RESPONSE = (
    b"SIP/2.0 180 Ringing\r\n"
    b"Via: SIP/2.0/UDP proxy.example.net:5060;branch=z9hG4bKnew\r\n"
    b"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1\r\n"
    b"From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>;tag=2\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n\r\n"
)


@pytest.mark.parametrize(
    "octets",
    [
        RESPONSE,
        RESPONSE.replace(b"Via:", b"v:", 1),
        RESPONSE.replace(b"\r\nVia: SIP/2.0/UDP 10", b", SIP/2.0/UDP 10"),
        RESPONSE.replace(b"new\r\n", b"new\r\n ;x=y\r\n"),
        RESPONSE.replace(b"new\r\nVia:", b'new;oc;oc-algo="loss",'),
        RESPONSE.replace(b"new\r\nVia:", b'new;oc-algo="loss,A",'),
        RESPONSE.replace(b"new\r\nVia:", b'new;x="a\\"",'),
        RESPONSE.replace(b"new\r\nVia:", b"new;x=<a,b>,"),
    ],
)
def test_a_response_loses_the_topmost_via(octets):
    back = sip.parse(hop.returned(sip.parse(octets)))
    assert back.values("Via") == ("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1",)
    assert sip.parse(hop.returned(sip.parse(octets), stream=True)).first("Content-Length") == "0"
    with pytest.raises(SipError):
        hop.returned(back)


def test_an_answer():
    request = sip.parse(INVITE)
    octets = hop.answer(
        request, 404, "Not Found", top_via=b"SIP/2.0/UDP h;received=1.2.3.4", to_tag="t", extra=b"A: b\r\n"
    )
    assert octets == (
        b"SIP/2.0 404 Not Found\r\nVia: SIP/2.0/UDP h;received=1.2.3.4\r\nFrom: <sip:alice@example.com>;tag=1\r\n"
        b"To: <sip:bob@example.com>;tag=t\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\nA: b\r\nContent-Length: 0\r\n\r\n"
    )


def test_an_answer_keeps_all_vias_and_a_tag_that_is_there():
    other = INVITE.replace(b";rport\r\n", b";rport, SIP/2.0/UDP b\r\nv: SIP/2.0/UDP c\r\n")
    request = sip.parse(other.replace(b"example.com>\r\nCall", b"example.com>;tag=x\r\nCall"))
    answer = sip.parse(hop.answer(request, 486, "Busy Here", top_via=b"SIP/2.0/UDP a;received=1.2.3.4", to_tag="t"))
    assert answer.values("Via") == ("SIP/2.0/UDP a;received=1.2.3.4", "SIP/2.0/UDP b", "SIP/2.0/UDP c")
    assert answer.to_tag == "x"


def test_trying_takes_over_the_timestamp():
    request = sip.parse(INVITE.replace(b"Call-ID", b"Timestamp: 54\r\nCall-ID"))
    assert sip.parse(hop.answer(request, 100, "Trying")).first("Timestamp") == "54"
    assert sip.parse(hop.answer(request, 180, "Ringing")).first("Timestamp") is None


UNREADABLE = sorted(name for name, verdict in VERDICTS.items() if verdict["datagram"] in ("400", "505"))


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_can_be_answered(name):
    octets = (TORTURE / name).read_bytes()
    message = hop.readable(octets)
    assert message is not None and sip.parse(hop.answer(message, 400, "Bad Request")).status == 400


def test_a_line_that_is_no_header_hides_none_of_an_answer():
    """Nor does one that cannot stand there at all: it is told 400 (RFC 3261 16.3), instead of nothing."""
    broken = INVITE.replace(b"\r\n", b"\r\nno header\r\n\0: x\r\nCall-ID\r\n", 1)
    with pytest.raises(sip.SipError):
        sip.parse(broken)
    message = hop.readable(broken)
    assert message is not None
    assert hop.answer(message, 400, "Bad Request") == hop.answer(sip.parse(INVITE), 400, "Bad Request")


@pytest.mark.parametrize("lines", [b"a: b\r\n" * 2_000, b"X-Via: SIP/2.0/UDP a\r\nFrom: <sip:a@b>\r\n", b""])
def test_nothing_can_be_answered_without_headers(lines):
    assert hop.readable(b"INVITE sip:a SIP/2.0\r\n" + lines) is None
