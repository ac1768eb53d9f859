"""TS 33.128: a record tells what was taken out of its SIP message."""

from __future__ import annotations

import pytest

from imswire import sip
from imswire.hi import ts33128
from imswire.hi.ts33128 import Change, ChangeKind, DescribedModification, Place, PlaceKind, Unit
from imswire.hi.ts33128 import PredefinedModification as Predefined
from midcall.base import redaction
from midcall.config import Network, Profile
from midcall.df2 import Agency, Communications, IriMediation
from midcall.df2.modifications import declared
from midcall.events import DialogId, Instant, Side, SipReport, SipSeen, Terms
from tests.midcall.base.test_redaction_hidden import CRYPTO, KEY, MIXED, PIDF, SDP, TICKET, made, parts

CLEAR, PLACELESS, EVENTS = Terms("L"), Terms("L", keys_to_lemf=True, location=False), Terms("L", content=False)
TEXT = b"hello"
CUT = TICKET[:-8] + b"\r\n"


def gone(kind: PlaceKind, place: str | tuple[int, int] | None, octets: int) -> DescribedModification:
    return DescribedModification(Place(kind, place), Change(ChangeKind.REMOVED, (Unit.OCTETS, octets)))


def body(octets: int) -> DescribedModification:
    return gone(PlaceKind.SIP_BODY, None, octets)


CASES = {
    "nothing": (CLEAR, made(SDP), None),
    "PANI": (PLACELESS, made(more=b"P-Access-Network-Info: x\r\n y\r\n"), (Predefined.PANI_LOCATION_REMOVAL,)),
    "CNI": (PLACELESS, made(more=b"Cellular-Network-Info: x\r\n"), (Predefined.CNI_LOCATION_REMOVAL,)),
    "Geolocation": (
        PLACELESS,
        made(more=b"Geolocation: <geo:1,2>\r\nGeolocation-Routing: yes\r\n"),
        (Predefined.SIP_GEOLOCATION_INFO_REMOVAL,),
    ),
    "visited network": (
        PLACELESS,
        made(more=b"P-Visited-Network-ID: x\r\n"),
        (gone(PlaceKind.SIP_HEADER, "P-Visited-Network-ID", 23),),
    ),
    "a value": (
        PLACELESS,
        made(more=b"P-Charging-Vector: icid-value=1;ggsn=192.0.2.1\r\n"),
        (gone(PlaceKind.SIP_HEADER, "P-Charging-Vector", 8),),
    ),
    "presence": (
        PLACELESS,
        made(PIDF, b"application/pidf+xml"),
        (Predefined.PRESENCE_INFORMATION_LOCATION_REMOVAL,),
    ),
    "presence in a part": (
        PLACELESS,
        made(parts((b"c: application/sdp", SDP), (b"c: application/pidf+xml", PIDF)), MIXED),
        (Predefined.PRESENCE_INFORMATION_LOCATION_REMOVAL,),
    ),
    "another place": (PLACELESS, made(SDP + b"a=geo:1,2\r\n"), (body(11),)),
    "keys": (CLEAR, made(SDP + CRYPTO + b"\r\n"), (body(len(CRYPTO) + 2),)),
    "keys in a start line": (
        CLEAR,
        made(uri=b"sip:b?body=inline:" + KEY),
        (gone(PlaceKind.ABNF_RULE, "Request-Line", len(KEY) - 1),),
    ),
    "unreadable": (PLACELESS, made(b"pidf", more=b"Content-Encoding: br\r\n"), (body(4),)),
    "text": (EVENTS, made(TEXT, b"text/plain"), (Predefined.IMS_TEXT_CONTENT_REMOVAL,)),
    "subject": (EVENTS, made(more=b"Subject: x\r\n"), (Predefined.IMS_SUBJECT_CONTENT_REMOVAL,)),
    "compact subject": (EVENTS, made(more=b"s: x\r\n"), (Predefined.IMS_SUBJECT_CONTENT_REMOVAL,)),
    "text and a ticket": (
        EVENTS,
        made(parts((b"c: application/sdp", SDP + CUT), (b"c: text/plain", TEXT)), MIXED),
        (Predefined.IMS_TEXT_CONTENT_REMOVAL, body(len(parts((b"c: application/sdp", CUT), (b"c: text/plain", TEXT))))),
    ),
    "octets behind": (CLEAR, made() + b"abc", (gone(PlaceKind.OCTET_LOCATION, (len(made()), len(made()) + 2), 3),)),
}


@pytest.mark.parametrize("terms, octets, expected", CASES.values(), ids=CASES)
def test_what_is_declared(terms, octets, expected):
    mediation = IriMediation(Communications())
    network = Network(network_operator="99999", element="df2")
    mediation.order("x", Agency(terms, Profile(iri="ts33128"), network))
    seen = SipSeen(octets, "192.0.2.1:5060", "192.0.2.2:5060", Instant.of_capture(1_700_000_000_000_000_000))
    (record,) = mediation.x2(SipReport("x", "sip:a@b", b"12345678", DialogId("1", "1", "2"), seen, Side.CALLER))
    event = ts33128.parse_iri(record.contents).event
    assert event.modifications == expected
    assert (event.message.content == octets) == (expected is None)


def test_a_message_that_is_none_any_more():
    octets = made(SDP)
    left = redaction.Redacted(octets[10:], (redaction.SDES,))
    assert declared(sip.parse(octets), left) == (gone(PlaceKind.ABNF_RULE, "SIP-message", 10),)
