"""From offer and answer to flows."""

from __future__ import annotations

from imswire.sdp import Endpoint
from midcall.df2.media import SessionMedia
from midcall.events import DialogId, Instant, Kept, SessionReport, Side

NOW = Instant(0, 0)


def message(first: str, line: str, *more: str) -> Kept:
    body = "\r\n".join(["v=0", "o=- 1 1 IN IP4 10.0.0.1", "s=-", "c=IN IP4 10.0.0.1", "t=0 0", line, *more, ""])
    head = (
        f"{first}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n"
        f"Call-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return Kept((head + body).encode(), NOW, 1)


def flows(line: str, *more: str):
    report = SessionReport(
        "x",
        "sip:a@b",
        bytes(8),
        DialogId("1", "1", "2"),
        NOW,
        NOW,
        Side.CALLER,
        Side.CALLER,
        message("INVITE sip:c@d SIP/2.0", line, *more),
        message("SIP/2.0 200 OK", "m=audio 6000 RTP/AVP 0"),
        (),
    )
    media = SessionMedia(report)
    assert media.faults == []
    return {flow.sender: flow for flow in media.flows}


def test_one_port():
    flow = flows("m=audio 4000 RTP/AVP 0")[Side.CALLEE]
    assert flow.destinations == (Endpoint("10.0.0.1", 4000),) and flow.control == (Endpoint("10.0.0.1", 4001),)


def test_a_count_of_ports():
    """RFC 8866 5.14: 49170/2 is 49170 with 49171, and 49172 with 49173."""
    flow = flows("m=audio 49170/2 RTP/AVP 0")[Side.CALLEE]
    assert [each.port for each in flow.destinations] == [49170, 49172]
    assert [each.port for each in flow.control] == [49171, 49173]


def test_a_hostile_count_is_bounded():
    assert len(flows("m=audio 65000/65535 RTP/AVP 0")[Side.CALLEE].destinations) == 16
    assert [e.port for e in flows("m=audio 65532/9 RTP/AVP 0")[Side.CALLEE].destinations] == [65532, 65534]


def test_where_rtcp_comes_from():
    """RFC 3605: a=rtcp, else the port beside that of the media."""
    line = "m=audio 4000 RTP/AVP 0"
    sources = [flows(line, *more)[Side.CALLER].control_source for more in ((), ("a=rtcp:4010",))]
    assert sources == [Endpoint("10.0.0.1", 4001), Endpoint("10.0.0.1", 4010)]
