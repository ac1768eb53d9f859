"""Events over X2: what the own POI encodes the own DF2 reads back as the same event."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import x2x3
from midcall.base.x2 import Encoder, Node, X2Error, decode
from midcall.events import (
    DialogFault,
    DialogId,
    DialogReleased,
    Half,
    Instant,
    Kept,
    SessionReport,
    Side,
    SipReport,
    SipSeen,
    StartOfInterception,
    TicketExchange,
    Update,
)

XID = "00000000-0000-4000-8000-000000000007"
AT = Instant(1_700_000_000_123_456_789, 42)
DIALOG = DialogId("call@lab", "a", "b")
SEEN = SipSeen(b"BYE sip:b@c SIP/2.0\r\n\r\n", "10.0.0.1:5060", "[2001:db8::1]:5061", AT, 9)
SAME = structs.replace(SEEN, destination="10.0.0.2:5062")
KEPT = Kept(b"\1\x0e", AT, 3)
EXCHANGE = TicketExchange(1, Side.CALLEE, KEPT, None, (Update(Side.CALLER, KEPT, KEPT),))
C = b"12345678"

EVENTS = [
    SipReport(XID, "sip:alice@example.com", C, DIALOG, SAME, Side.CALLER),
    SipReport(XID, "tel:+431234", None, None, SAME, None),
    SipReport(XID, "urn:gsma:imei:35345678-901234-0", C, DIALOG, SAME, Side.CALLEE),
    StartOfInterception(XID, "sip:a&b@x", C, DIALOG, AT, Half(b"INVITE x\r\n\r\n", b"v=0\r\n"), None, Side.CALLEE),
    StartOfInterception(XID, "sip:a@x", C, DIALOG, AT, Half(b"A\r\n\r\n", None), Half(b"B\r\n\r\n", b"v=0"), None),
    StartOfInterception(XID, "sip:a@x", C, DIALOG, AT, None, None, None),
    SessionReport(XID, "sip:a@x", C, DIALOG, AT, AT, Side.CALLEE, Side.CALLER, KEPT, KEPT, (EXCHANGE,), True),
    SessionReport(XID, "sip:a@x", C, DIALOG, AT, AT, Side.CALLER, None, None, None, (), False),
    DialogReleased(XID, C, DIALOG, AT, "BYE"),
    DialogFault(XID, C, DIALOG, AT, 7, "MIKEY: no"),
    SipReport(XID, "tel:+431234", C, DIALOG, structs.replace(SAME, authenticated=False), None),
    StartOfInterception(XID, "sip:a@x", C, DIALOG, AT, None, None, Side.CALLER, authenticated=False),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: type(e).__name__)
def test_the_same_event_comes_out(event):
    octets = Encoder(Node("cscf-1", "sip-1")).pdu(event)
    (whole,) = x2x3.Splitter().feed(octets)
    assert whole == octets and decode(x2x3.parse(octets)) == event


def test_numbers_count_for_each_task_and_communication():
    encoder = Encoder(Node("cscf-1", "sip-1"))
    other = structs.replace(EVENTS[0], correlation=b"87654321")
    numbers = [x2x3.parse(encoder.pdu(event)).sequence for event in (EVENTS[0], EVENTS[0], other, EVENTS[3])]
    assert numbers == [0, 1, 0, 2]


def test_what_ts_33_128_asks_for_is_there():
    pdu = x2x3.parse(Encoder(Node("cscf-1", "sip-1")).pdu(EVENTS[0]))
    assert (pdu.nfid, pdu.ipid, pdu.time) == (b"cscf-1", b"sip-1", AT.wall)
    assert pdu.matched == ("<sipUri>sip:alice@example.com</sipUri>",) and pdu.format == x2x3.PayloadFormat.TS_33_128
    assert x2x3.check(pdu) == [] or all("proprietary" in str(each).lower() for each in x2x3.check(pdu))


def test_a_foreign_poi_gives_a_message_without_context():
    pdu = x2x3.parse(Encoder(Node("cscf-1", "sip-1", owner="foreign.example")).pdu(EVENTS[0]))
    event = decode(pdu)
    assert isinstance(event, SipReport) and event.dialog is None and event.target is None
    assert event.seen.octets == SAME.octets and event.seen.at.wall == AT.wall


def test_the_exchange_is_for_the_own_df2_only():
    pdu = x2x3.parse(Encoder(Node("cscf-1", "sip-1", owner="foreign.example")).pdu(EVENTS[6]))
    with pytest.raises(X2Error, match="not of"):
        decode(pdu)


def test_addresses_of_two_families_do_not_go_together():
    event = structs.replace(EVENTS[0], seen=SEEN)
    pdu = x2x3.parse(Encoder(Node("cscf-1", "sip-1")).pdu(event))
    assert decode(pdu) == event


@pytest.mark.parametrize("format_", [0, 3, 5, 16, 99])
def test_other_payloads_are_no_events(format_):
    pdu = x2x3.Pdu(x2x3.PduType.X2, format_, 5, bytes(16), C, (), b"\x30\0")
    with pytest.raises(X2Error):
        decode(pdu)
