"""Records of SIP messages: what is encoded once for all of a subject is what each would be alone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from imswire import hi, mikey
from imswire.hi import eps
from midcall.config import Network, Profile
from midcall.df2 import Agency, Communications, IriMediation
from midcall.events import DialogId, Failure, Half, Instant, Side, SipReport, SipSeen, StartOfInterception, Terms
from tests.midcall.base.test_redaction_content import SDP, _mikey

ALICE, CORRELATION = "sip:alice@example.com", b"12345678"
NETWORK = Network(network_operator="99999", element="df2")
SECOND = 1_700_000_000_000_000_000
SEEN_AT = Instant.of_capture(SECOND)


def message(first: str, call: str = "1", method: str = "INVITE") -> bytes:
    text = f"{first}\r\nVia: SIP/2.0/UDP a\r\nCall-ID: {call}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n"
    return f"{text}CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n".encode()


def seen(octets: bytes, at: int = SECOND, correlation: bytes | None = CORRELATION, **other: object) -> SipReport:
    told = SipSeen(octets, "192.0.2.1:5060", "192.0.2.2:5060", Instant.of_capture(at))
    dialog = DialogId("1", "1", "2")
    report = SipReport("x", ALICE, correlation, dialog, told, Side.CALLER)
    return replace(report, **other)


MESSAGES = [
    seen(message("INVITE sip:c@d SIP/2.0")),
    seen(message("SIP/2.0 200 OK"), SECOND + 999_999_999),
    seen(message("INVITE sip:c@d SIP/2.0", "2"), SECOND + 10**10, b"abcdefgh"),
    seen(message("OPTIONS sip:c@d SIP/2.0", "3", "OPTIONS"), correlation=None),
    seen(message("BYE sip:c@d SIP/2.0", method="BYE"), target=None),
    seen(message("SIP/2.0 200 OK", method="BYE"), identity="tel:+4612345", target=Side.CALLEE),
]


def mediation(terms: Terms, profile: Profile) -> IriMediation:
    made = IriMediation(Communications())
    made.order("x", Agency(terms, profile, NETWORK))
    return made


@pytest.mark.parametrize("content", [True, False])
@pytest.mark.parametrize("wrapping", ["parameters", "content"])
@pytest.mark.parametrize("records", ["report", "phases"])
def test_each_record_is_what_it_would_be_alone(content, wrapping, records):
    terms, profile = Terms("L", content=content), Profile(wrapping=wrapping, records=records, national=("00ff",))
    together = mediation(terms, profile)
    for event in MESSAGES:
        (record,) = together.x2(event)
        number = event.correlation
        voip = (eps.ImsVoip(number, eps.IriToCc((number,))),) if number and content else None
        party = eps.PartyInformation(
            eps.PartyQualifier.EPS_TARGET,
            **{"tel_uri" if event.identity.startswith("tel") else "sip_uri": event.identity.encode()},
        )
        sides = {None: eps.Initiator.NOT_AVAILABLE, Side.CALLER: eps.Initiator.ORIGINATING_TARGET}
        expected = eps.IriParameters(
            liid=b"L",
            time=event.seen.at.wall,
            parties=(party,),
            national=(b"\0\xff",),
            network=eps.NetworkId(b"99999", b"df2"),
            event=eps.ImsEvent.UNFILTERED_SIP_MESSAGE if content else eps.ImsEvent.SIP_HEADER_ONLY,
            initiator=sides.get(event.target, eps.Initiator.TERMINATING_TARGET),
            sip_message=event.seen.octets,
            ims_voip=voip,
            correlation=eps.Correlation(to_iri=number) if number and not content else None,
        )
        assert record.contents == eps.build(expected, record.kind if wrapping == "content" else None)
        assert (record.cin is None) == (number is None) and record.at == event.seen.at.wall


def test_records_follow_a_task_that_was_changed():
    made = mediation(Terms("L"), Profile())
    made.x2(MESSAGES[0])
    made.order("x", Agency(Terms("M", content=False), Profile(wrapping="content"), NETWORK))
    ((kind, parameters),) = eps.parse_all(made.x2(MESSAGES[0])[0].contents)
    assert (kind, parameters.liid, parameters.event) == (hi.IriType.REPORT, b"M", eps.ImsEvent.SIP_HEADER_ONLY)


@pytest.mark.parametrize("form, tag", [("ipmm", hi.IriContents.IPMM), ("ts33128", hi.IriContents.TS33128)])
def test_other_forms(form, tag):
    (record,) = mediation(Terms("L"), Profile(iri=form)).x2(MESSAGES[0])
    assert record.contents[0] & 0x1F == tag


def test_no_keys_is_said_again_when_keys_have_come_since():
    made = mediation(Terms("L"), Profile())
    failure = Failure("x", CORRELATION, DialogId("1", "1", "2"), Instant.of_capture(SECOND), 0, "KMS: no", keys=True)
    said = [bool(made.failure(replace(failure, after=newest))) for newest in (0, 0, 3, 3, 7)]
    assert said == [True, False, True, False, True]


@pytest.mark.parametrize("keys_to_lemf", [True, False])
def test_keys_that_mikey_has_in_clear_leave_when_content_is_in_clear(keys_to_lemf):
    """RFC 3830 4.2.3: NULL encryption. An opaque ticket stays, as nobody but the KMS reads it."""
    head = message("INVITE sip:c@d SIP/2.0").replace(b"Content-Length: 0", b"Content-Type: application/sdp")
    for line, opaque in ((_mikey(mikey.EncrAlg.NULL), False), (_mikey(mikey.EncrAlg.AES_CM_128), True)):
        body = SDP + line
        octets = head.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(body)) + body
        (record,) = mediation(Terms("L", keys_to_lemf=keys_to_lemf), Profile()).x2(seen(octets))
        kept = eps.parse(record.contents).sip_message
        assert (line in kept) == (keys_to_lemf or opaque) and SDP in kept
        half = Half(octets[: -len(body)], body)
        started = StartOfInterception("x", ALICE, CORRELATION, DialogId("1", "1", "2"), SEEN_AT, half, None)
        (record,) = mediation(Terms("L", keys_to_lemf=keys_to_lemf), Profile()).x2(started)
        assert (line in record.contents) == (keys_to_lemf or opaque) and SDP in record.contents


def test_whom_records_were_about_is_forgotten_with_the_task():
    made = mediation(Terms("L"), Profile())
    made.x2(MESSAGES[0])
    failure = Failure("x", CORRELATION, DialogId("1", "1", "2"), Instant.of_capture(SECOND), 0, "KMS: no", keys=True)
    assert ALICE.encode() in made.failure(failure)[0].contents
    lines = made._lines["x"]
    lines.headers.put(b"From: <sip:a@b>;tag=1", True)
    made.end("x")
    made.end("nobody's")
    assert not len(made._templates) and not len(lines.headers) and not len(lines.described)
    (late,) = made.failure(replace(failure, after=1))
    assert ALICE.encode() not in late.contents and CORRELATION in late.contents
