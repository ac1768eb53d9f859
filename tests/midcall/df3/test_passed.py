"""Content by XID and Correlation ID, of sessions that nobody has told of."""

from __future__ import annotations

import pytest

from imswire import hi, inet
from imswire.hi import IpmmStream, Ts33128Stream, VoipStream
from imswire.x2x3 import Direction
from midcall.base.x2_link import X3Packet
from midcall.config import Profile
from midcall.df3 import PassedContent
from midcall.df3 import passed as module
from midcall.events import MediaPacket, Terms

XID = "00000000-0000-4000-8000-000000000005"
OCTETS = bytes.fromhex(XID.replace("-", ""))
CALL, LATER = b"\x11" * 8, b"\x22" * 8
RTP = b"\x80\x00" + bytes(170)
RTCP = b"\x80\xc8" + bytes(26)
SDP = (
    b"v=0\r\nc=IN IP4 192.0.2.2\r\nm=audio 4000 RTP/AVP 0\r\na=rtcp:4007\r\n"
    b"m=video 4002 RTP/SAVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 8\r\n"
)


def content(**terms) -> PassedContent:
    numbers: dict[tuple[str, bytes], int] = {}
    made = PassedContent(lambda xid, correlation: numbers.setdefault((xid, correlation), len(numbers) + 1))
    made.order(XID, Terms("LI-1", **terms), Profile())
    return made


def packet(
    payload: bytes = RTP,
    port: int = 4_000,
    *,
    of: bytes = CALL,
    sdp: bytes | None = SDP,
    direction: int = Direction.TO_TARGET,
    time: int = 7,
) -> X3Packet:
    src, dst = inet.pack("192.0.2.1"), inet.pack("192.0.2.2")
    datagram = inet.decode(inet.ETHERNET, inet.udp_frame(src, 9, dst, port, payload))
    assert isinstance(datagram, inet.Datagram)
    return X3Packet(OCTETS, of, direction, MediaPacket(time, inet.endpoint_key(dst, port), datagram), sdp)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Direction.TO_TARGET, hi.Direction.TO_TARGET),
        (Direction.FROM_TARGET, hi.Direction.FROM_TARGET),
        (Direction.SEVERAL, hi.Direction.COMBINED),
        (Direction.UNKNOWN, hi.Direction.INDETERMINATE),
        (77, hi.Direction.INDETERMINATE),
    ],
)
def test_the_direction_is_that_of_the_header(given, expected):
    (record,) = content().of([packet(direction=given)])
    assert record.stream.direction == expected and (record.time, record.payload) == (7, RTP)


def test_each_call_has_a_number_and_each_place_its_line():
    passed = content()
    records = passed.of([packet(), packet(port=4_002), packet(RTCP, 4_007), packet(of=LATER), packet()])
    assert [each.stream.cin for each in records] == [1, 1, 1, 2, 1]
    lines = [each.stream.form.identifier for each in records]
    assert lines[0] == b"c=IN IP4 192.0.2.2\r\nm=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000"
    assert lines[1].startswith(b"c=IN IP4 192.0.2.2\r\nm=video 4002 RTP/SAVP 96")
    assert b"m=audio 4007 RTP/AVP 0\r\na=rtcp:4007\r\n" in lines[2]
    assert records[0].stream is records[4].stream, "what is the same is made once"
    assert [each.keys for each in passed.take_failures()] == [True], "of what is encrypted it is told once"
    assert passed.take_failures() == []


@pytest.mark.parametrize("sdp", [None, b"no description", SDP], ids=["none", "unreadable", "of other places"])
def test_without_a_line_that_fits_nothing_is_said_of_it(sdp):
    (record,) = content().of([packet(port=9_000, sdp=sdp)])
    assert record.stream.form.identifier is None


def test_the_only_line_fits():
    one = SDP.partition(b"m=video")[0]
    (record,) = content().of([packet(port=9_000, sdp=one)])
    assert record.stream.form.identifier.startswith(b"c=IN IP4 192.0.2.2\r\nm=audio 9000 RTP/AVP 0\r\n")


def test_a_description_that_changes_changes_the_records():
    passed = content()
    (before,) = passed.of([packet(sdp=None)])
    (after,) = passed.of([packet()])
    assert before.stream.form.identifier is None and after.stream.form.identifier is not None
    assert before.stream.cin == after.stream.cin


@pytest.mark.parametrize(
    ("profile", "form"),
    [
        (Profile(), IpmmStream),
        (Profile(cc="voip"), VoipStream),
        (Profile(cc="ts33128"), Ts33128Stream),
    ],
)
def test_in_the_form_that_the_agency_wants(profile, form):
    passed = content()
    passed.order(XID, Terms("LI-1"), profile)
    (record,) = passed.of([packet()])
    assert isinstance(record.stream.form, form)


@pytest.mark.parametrize(
    ("terms", "packets", "dropped"),
    [
        ({"content": False}, [packet()], "scope"),
        ({"start": 8}, [packet()], "outside"),
        ({"end": 7}, [packet()], "outside"),
        ({}, [packet(RTP[:11])], "not_rtp"),
        ({}, [packet(b"\x00" * 40)], "not_rtp"),
        ({"encrypted": False}, [packet(port=4_002)], "kept_back"),
    ],
)
def test_what_is_no_content_is_counted(terms, packets, dropped):
    passed = content(**terms)
    assert passed.of(packets) == [] and passed.dropped == {dropped: 1}
    assert [each.missing for each in passed.take_failures()] == ([False, True] if dropped == "kept_back" else [])


def test_who_decrypts_itself_gets_what_is_encrypted():
    assert content(encrypted=False, keys_to_lemf=True).of([packet(port=4_002)])


def test_streams_are_bounded_and_a_task_that_is_over_has_no_content(monkeypatch):
    monkeypatch.setattr(module, "STREAMS", 2)
    passed = content()
    assert len(passed.of([packet(port=port) for port in range(4_000, 4_010)])) == 10
    passed.end(XID)
    assert passed.of([packet()]) == [] and not passed.dropped


@pytest.mark.parametrize(("services", "content_of"), [(None, 4), (("voice",), 3), (("messaging",), 0)])
def test_media_of_the_services_of_the_order_alone(services, content_of):
    """What no description names is of none."""
    passed = content(services=services)
    text = SDP + b"m=text 4010 RTP/AVP 98\r\n"
    given = [packet(), packet(RTCP, 4_007), packet(port=4_002), packet(port=4_010, sdp=text)]
    assert len(passed.of(given)) == content_of
    assert passed.dropped["service"] == len(given) - content_of
    assert len(passed.of([packet(sdp=None, of=LATER)])) == (services is None)
    told = {each.correlation for each in passed.take_failures()}
    assert told == (set() if services == ("messaging",) else {CALL})
