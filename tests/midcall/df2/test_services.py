"""Orders for one service alone at DF2: which media are planned, which keys are asked for and told."""

from __future__ import annotations

from msgspec import structs

from imswire import sip, srtp
from midcall.config import Network, Profile
from midcall.df2 import Agency, Communications, IriMediation, KeysFound, Mediation
from midcall.events import (
    Failure,
    KeyAnswer,
    KeyQuery,
    MediaPlan,
    SessionKey,
    SessionReport,
    SipReport,
    SipSeen,
    Terms,
    TicketExchange,
)
from tests.midcall.df2.test_core import EXCHANGE, KEYS, NOW, message, of, report

SECURE_TEXT = "m=text 4004 RTP/SAVP 98"
MSRP = "m=message 7394 TCP/MSRP *"


def mediation(*services: str) -> Mediation:
    df2 = Mediation()
    df2.order("x", Terms("L", services=services or None))
    return df2


def mixed(*exchanges: TicketExchange) -> SessionReport:
    """Audio, text and messages; audio and text in SRTP."""
    return report(1, *exchanges, lines=(SECURE_TEXT, MSRP))


def plan(outputs: list) -> MediaPlan:
    return of(MediaPlan, outputs)[-1]


def test_media_of_other_services_are_not_planned():
    assert {each.media for each in plan(mediation().x2(mixed())).flows} == {0, 1}
    assert {each.media for each in plan(mediation("voice").x2(mixed())).flows} == {0}
    assert plan(mediation("messaging").x2(mixed())).flows == ()


def test_keys_are_asked_for_where_they_are_for_media_of_the_order():
    of_text = structs.replace(EXCHANGE, media=1)
    assert len(of(KeyQuery, mediation().x2(mixed(EXCHANGE, of_text)))) == 2
    (query,) = of(KeyQuery, mediation("voice").x2(mixed(EXCHANGE, of_text)))
    assert query.exchange == EXCHANGE
    outputs = mediation("messaging").x2(mixed(EXCHANGE, of_text))
    assert not of(KeyQuery, outputs) and not of(Failure, outputs)


def test_keys_of_other_media_are_neither_used_nor_told():
    master = srtp.MasterKey(bytes(16), bytes(14))
    keys = tuple(
        SessionKey(cs_id, 0, None, None, None, srtp.AES_CM_128_HMAC_SHA1_80, master, proved=True)
        for cs_id in (1, 2, 3, 4)
    )
    for services, cs_ids in (((), [1, 2, 3, 4]), (("voice",), [1, 2])):
        df2 = mediation(*services)
        (query,) = of(KeyQuery, df2.x2(mixed(EXCHANGE)))
        outputs = df2.keys(KeyAnswer(query.query, keys), NOW)
        assert [each.cs_id for each in of(KeysFound, outputs)[0].keys] == cs_ids
        assert [each.key.cs_id for each in plan(outputs).contexts] == cs_ids


def test_announced_keys_of_media_go_with_orders_for_them_alone():
    """In a session of both."""
    octets = message("INVITE sip:c@d SIP/2.0", KEYS[0], MSRP).octets
    assert sip.parse(octets).sdp is not None
    for services, given in ((None, True), (("voice",), True), (("messaging",), False)):
        iri = IriMediation(Communications())
        iri.order("x", Agency(Terms("L", keys_to_lemf=True, services=services), Profile(), Network()))
        (record,) = iri.x2(SipReport("x", "sip:a@b", bytes(8), None, SipSeen(octets, "1.1.1.1:1", "1.1.1.2:2", NOW)))
        assert (b"inline:" in record.contents) is given
        assert b"m=message" in record.contents
