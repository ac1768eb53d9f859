"""X2 of POIs that are not ours: each form that the standards have for an event."""

from __future__ import annotations

import pytest

from imswire import inet, x2x3
from imswire.hi import eps, ts33128
from imswire.x2x3 import SipCopy, exchange
from midcall.base.x2 import Encoder, Node, X2Error
from midcall.base.x2_foreign import foreign_event
from midcall.events import Failure, Instant, Side, SipReport, StartOfInterception
from tests.midcall.base.test_x2 import EVENTS, XID

A4, B4 = inet.pack("192.0.2.1"), inet.pack("198.51.100.7")
BYE = (
    b"BYE sip:b@c SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@c>;tag=a\r\nTo: <sip:b@c>;tag=b\r\n"
    b"Call-ID: x\r\nCSeq: 2 BYE\r\n\r\n"
)
NOW = Instant(9, 7)
ALICE = "sip:alice@example.com"
CORRELATION = b"12345678"
HEAD = x2x3.X2Head(
    xid=x2x3.xid_octets(XID),
    nfid=b"x",
    ipid=b"y",
    sequence=0,
    time=5,
    matched=(x2x3.target("impu", ALICE),),
    correlation=CORRELATION,
)
RECORD = eps.IriParameters(liid=b"?", time=5, event=eps.ImsEvent.UNFILTERED_SIP_MESSAGE, sip_message=BYE)


def ims(direction: int) -> ts33128.ImsMessage:
    return ts33128.ImsMessage(message=ts33128.SipMessage(A4, B4, BYE), direction=direction)


@pytest.mark.parametrize(
    ("pdu", "source", "target"),
    [
        (x2x3.xiri(HEAD, ims(ts33128.SessionDirection.FROM_TARGET)), "192.0.2.1:0", Side.CALLER),
        (x2x3.xiri(HEAD, ims(ts33128.SessionDirection.TO_TARGET)), "192.0.2.1:0", Side.CALLEE),
        (x2x3.xiri(HEAD, ims(ts33128.SessionDirection.COMBINED)), "192.0.2.1:0", None),
        (x2x3.sip(HEAD, SipCopy(BYE, A4, B4, 5_062, 5_060, 17), 1), "192.0.2.1:5062", None),
        (HEAD.pdu(9, 1, BYE), "0.0.0.0:0", None),
        (HEAD.pdu(5, 1, inet.udp_frame(A4, 5_062, B4, 5_060, BYE)[14:]), "192.0.2.1:5062", None),
        (x2x3.eps_iri(HEAD, RECORD), "0.0.0.0:0", None),
    ],
    ids=["from target", "to target", "both", "bare", "nowhere", "packet", "record"],
)
def test_a_sip_message(pdu, source, target):
    event = foreign_event(pdu, NOW)
    assert isinstance(event, SipReport)
    assert (event.xid, event.identity, event.correlation, event.target) == (XID, ALICE, CORRELATION, target)
    assert (event.seen.octets, event.seen.source, event.seen.at) == (BYE, source, Instant(5, 7))
    assert event.dialog is None


def test_the_start_of_interception_in_both_forms():
    event = ts33128.StartOfInterception(
        originating=(ts33128.Impu.of(ALICE), ts33128.Impu.of("tel:+431")),
        terminating=ts33128.Impu.of("sip:bob@example.com"),
        sdp=(b"offer", b"answer"),
    )
    start = foreign_event(x2x3.xiri(HEAD, event), NOW)
    assert isinstance(start, StartOfInterception) and start.parties == ((ALICE, "tel:+431"), "sip:bob@example.com")
    assert (start.offer.description, start.answer.description, start.offer.head) == (b"offer", b"answer", b"")
    bare = foreign_event(
        x2x3.xiri(HEAD, ts33128.StartOfInterception(originating=(), terminating=event.terminating)), NOW
    )
    assert bare.offer is None and bare.answer is None
    ours = Encoder(Node("cscf-1", "sip-1")).pdu(EVENTS[4])
    told = foreign_event(x2x3.parse(ours), NOW)
    assert isinstance(told, StartOfInterception) and told.offer.head == b"A\r\n\r\n" and told.parties is None
    assert told.dialog.call_id == "", "the context that our own POI gives is passed over"


def test_content_that_is_unavailable():
    failure = foreign_event(x2x3.xiri(HEAD, ts33128.ImsCcUnavailable("media not anchored")), NOW)
    assert isinstance(failure, Failure) and failure.missing and not failure.keys
    assert failure.reason.endswith("media not anchored") and failure.correlation == CORRELATION


def test_a_time_that_is_not_said_is_now():
    pdu = x2x3.sip(HEAD, SipCopy(BYE, A4, B4), 1)
    held = tuple(each for each in pdu.attributes if each.type != x2x3.AttributeType.TIMESTAMP)
    bare = x2x3.Pdu(pdu.kind, pdu.format, pdu.direction, pdu.xid, pdu.correlation, held, pdu.payload)
    event = foreign_event(bare, NOW)
    assert isinstance(event, SipReport) and event.seen.at == NOW


@pytest.mark.parametrize(
    "pdu",
    [
        x2x3.parse(Encoder(Node("cscf-1", "sip-1")).pdu(EVENTS[6])),
        HEAD.pdu(4, 1, exchange.OWNER.encode()),
        HEAD.pdu(2, 1, b"\x30\x80"),
        HEAD.pdu(5, 1, b"\x45"),
        HEAD.pdu(5, 1, inet.tcp_frame(A4, 1, B4, 2, BYE, seq=1)[14:]),
        HEAD.pdu(16, 1, b"?"),
        HEAD.pdu(9, 1, b"BYE sip:b@c SIP/2.0\r\n\r\n"),
        HEAD.pdu(9, 1, b"\0"),
        x2x3.eps_iri(HEAD, eps.IriParameters(liid=b"?", time=5)),
    ],
    ids=["our session", "our owner", "BER", "a piece", "TCP", "unstructured", "without headers", "no SIP", "no event"],
)
def test_what_is_no_event(pdu):
    with pytest.raises(X2Error):
        foreign_event(pdu, NOW)
