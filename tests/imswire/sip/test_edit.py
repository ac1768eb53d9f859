"""What a proxy changes, and that nothing else changes with it."""

from __future__ import annotations

import pytest

from imswire import sip
from imswire.sip import SipMessage, hop
from imswire.sip.edit import Editor, max_forwards
from tests.imswire.sip.torture import TORTURE, VERDICTS

VIA = sip.Via("TCP", "proxy.example.net", 5060, (("branch", "z9hG4bKnew"),))

INVITE = (
    b"INVITE sip:bob@example.com SIP/2.0\r\n"
    b"v:  SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1 ,\r\n SIP/2.0/UDP 10.0.0.2\r\n"
    b"From: <sip:alice@example.com>;tag=1\r\n"
    b"t: <sip:bob@example.com>\r\n"
    b"Call-ID: one\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Max-Forwards:   70\r\n"
    b"Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>\r\n"
    b"ROUTE: <sip:p3.example.com;lr>\r\n"
    b"X-Odd :   kept \t as it is\r\n"
    b"Content-Length: 4\r\n"
    b"\r\nbodysurplus"
)


def forwarded(message: SipMessage, uri: bytes | None = None, *, routes: int = 0, stream: bool = False) -> bytes:
    return hop.forwarded(message, hop.Change(b"Via: %b\r\n" % str(VIA).encode(), uri, routes), stream=stream)


def test_a_forwarded_request():
    assert forwarded(sip.parse(INVITE), routes=1) == (
        b"INVITE sip:bob@example.com SIP/2.0\r\n"
        b"Via: SIP/2.0/TCP proxy.example.net:5060;branch=z9hG4bKnew\r\n"
        b"v:  SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1 ,\r\n SIP/2.0/UDP 10.0.0.2\r\n"
        b"From: <sip:alice@example.com>;tag=1\r\n"
        b"t: <sip:bob@example.com>\r\n"
        b"Call-ID: one\r\n"
        b"CSeq: 1 INVITE\r\n"
        b"Max-Forwards: 69\r\n"
        b"Route: <sip:p2.example.com;lr>\r\n"
        b"ROUTE: <sip:p3.example.com;lr>\r\n"
        b"X-Odd :   kept \t as it is\r\n"
        b"Content-Length: 4\r\n"
        b"\r\nbody"
    )


FORWARDED = sorted(name for name, verdict in VERDICTS.items() if verdict["datagram"] == "forward")
REQUESTS = [name for name in FORWARDED if sip.parse((TORTURE / name).read_bytes()).is_request]


@pytest.mark.parametrize("name", REQUESTS)
def test_torture_requests_keep_every_line_but_max_forwards(name):
    before = sip.parse((TORTURE / name).read_bytes())
    after = sip.parse(forwarded(before))
    lines = [line for each, line in before.header_lines() if each.lower() != "max-forwards"]
    added = [line for each, line in after.header_lines() if each.lower() != "max-forwards"]
    added.remove(b"Via: " + str(VIA).encode())
    assert added == lines
    hops = max_forwards(before)
    assert max_forwards(after) == (70 if hops is None else hops - 1)
    assert after.body == before.body and after.start_line == before.start_line
    assert after.vias[0] == VIA


RESPONSES = [name for name in FORWARDED if name not in REQUESTS]


@pytest.mark.parametrize("name", RESPONSES)
def test_torture_responses_have_one_via_and_stay_here(name):
    message = sip.parse((TORTURE / name).read_bytes())
    if len(message.values("Via")) == 1:
        with pytest.raises(sip.SipError, match="alone"):
            hop.returned(message)
    else:
        assert sip.parse(hop.returned(message)).values("Via") == message.values("Via")[1:]


def test_a_response_loses_its_topmost_via():
    octets = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP b\r\nCall-ID: c\r\n\r\n"
    assert hop.returned(sip.parse(octets)) == b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP b\r\nCall-ID: c\r\n\r\n"


def test_no_hop_is_left():
    with pytest.raises(sip.SipError) as caught:
        forwarded(sip.parse(INVITE.replace(b"  70", b" 0")))
    assert caught.value.status == 483


def test_another_request_uri():
    message = sip.parse(INVITE)
    assert forwarded(message, b"sip:b@10.0.0.9").startswith(b"INVITE sip:b@10.0.0.9 SIP/2.0\r\n")
    with pytest.raises(sip.SipError):
        forwarded(message, b"sip:b SIP/2.0\r\nX: y")


def test_a_response_to_a_request():
    assert hop.answer(sip.parse(INVITE), 420, "Bad Extension", to_tag="x", extra=b"Unsupported: a, b\r\n") == (
        b"SIP/2.0 420 Bad Extension\r\n"
        b"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1 , SIP/2.0/UDP 10.0.0.2\r\n"
        b"From: <sip:alice@example.com>;tag=1\r\n"
        b"To: <sip:bob@example.com>;tag=x\r\n"
        b"Call-ID: one\r\n"
        b"CSeq: 1 INVITE\r\n"
        b"Unsupported: a, b\r\n"
        b"Content-Length: 0\r\n"
        b"\r\n"
    )
    tagged = sip.parse(INVITE.replace(b"bob@example.com>", b"b@x>;tag=b"))
    assert b"tag=y" not in hop.answer(tagged, 400, "", to_tag="y")


def test_a_status_line_of_one_line():
    for status, reason in ((99, "x"), (700, "x"), (200, "OK\r\nX: y")):
        with pytest.raises(sip.SipError):
            hop.answer(sip.parse(INVITE), status, reason)


def test_lines_by_name():
    editor = Editor(sip.parse(INVITE))
    assert editor.remove("route") == 2 and editor.remove("route") == 0
    assert editor.pop("Route") is None
    assert editor.pop("Via") == "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1"
    assert editor.pop("Via") == "SIP/2.0/UDP 10.0.0.2" and editor.pop("Via") is None
    editor.replace("Max-Forwards", "5")
    editor.replace("Subject", "new")
    editor.append("Subject", "newer")
    editor.push("Subject", "newest")
    message = sip.parse(editor.octets())
    assert message.lines("Subject") == ("newest", "new", "newer") and message.lines("max-forwards") == ("5",)


def test_empty_values_are_passed_over():
    editor = Editor(sip.parse(b"OPTIONS sip:x SIP/2.0\r\nRoute: ,\r\nRoute: <sip:a>\r\n\r\n"))
    assert editor.pop("Route") == "<sip:a>"


@pytest.mark.parametrize(("name", "value"), [("X\r\nY", "z"), ("X", "y\r\nZ: z"), ("", "x"), ("X", "\0"), ("X:", "")])
def test_nothing_breaks_out_of_its_line(name, value):
    with pytest.raises(sip.SipError):
        Editor(sip.parse(INVITE)).append(name, value)


@pytest.mark.parametrize("value", ["x", "-1", "", "1 2"])
def test_max_forwards_is_a_number(value):
    with pytest.raises(sip.SipError):
        max_forwards(sip.parse(INVITE.replace(b"  70", b" " + value.encode())))


def test_the_last_route_is_where_a_strict_router_put_the_request_uri():
    editor = Editor(sip.parse(INVITE))
    assert editor.pop_last("Route") == "<sip:p3.example.com;lr>"
    assert editor.pop_last("Route") == "<sip:p2.example.com;lr>"
    assert sip.parse(editor.octets()).lines("Route") == ("<sip:p1.example.com;lr>",)
    assert editor.pop_last("Route") == "<sip:p1.example.com;lr>" and editor.pop_last("Route") is None


def test_a_stream_is_told_the_length_of_the_body():
    vias = b"Via: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\n"
    request = sip.parse(b"MESSAGE sip:x SIP/2.0\r\n" + vias + b"\r\nbody")
    assert b"Content-Length" not in forwarded(request)
    assert forwarded(request, stream=True).endswith(b"\r\nContent-Length: 4\r\n\r\nbody")
    assert forwarded(sip.parse(INVITE), stream=True).count(b"Content-Length") == 1
    response = sip.parse(b"SIP/2.0 200 OK\r\n" + vias + b"l: 0\r\n\r\n")
    assert hop.returned(response, stream=True) == b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP b\r\nl: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("to", "answered"),
    [
        ('"tag=" <sip:b@x;tag=9>', '"tag=" <sip:b@x;tag=9>;tag=new'),
        ("sip:b@x", "sip:b@x;tag=new"),
        ("<sip:b@x>;TAG=old", "<sip:b@x>;TAG=old"),
        ("<sip:b@x", "<sip:b@x;tag=new"),
    ],
)
def test_a_response_has_a_tag_of_its_own_only_where_there_is_none(to, answered):
    request = sip.parse(f"OPTIONS sip:x SIP/2.0\r\nTo: {to}\r\n\r\n".encode())
    assert sip.parse(hop.answer(request, 404, "Not Found", to_tag="new")).lines("To") == (answered,)


def test_trying_takes_the_timestamp_over():
    request = sip.parse(b"INVITE sip:x SIP/2.0\r\nTimestamp: 54\r\n\r\n")
    assert b"Timestamp: 54\r\n" in hop.answer(request, 100, "Trying")
    assert b"Timestamp" not in hop.answer(request, 180, "Ringing")


@pytest.mark.parametrize(("name", "hops"), [("wsinv", "67"), ("inv2543", "70"), ("scalar02", "254"), ("unksm2", "69")])
def test_hops_of_torture_requests(name, hops):
    message = sip.parse((TORTURE / "rfc4475" / f"{name}.dat").read_bytes())
    assert sip.parse(forwarded(message)).values("Max-Forwards") == (hops,)
