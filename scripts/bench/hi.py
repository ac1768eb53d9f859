"""Handover records: content from templates beside plain joins of the same octets, IRI in full, what receivers do.

Floors on one core: 800 000 content records a second of 172 octets, 20 000 IRI records a second of a SIP message of
1 400 octets as a whole PS-PDU, what a warrant keeps back taken out of it before; a receiver knows 150 000 content
records a second.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from imswire import hi
from imswire.hi import eps, ipmm, ts33128, voip
from imswire.hi.check import check
from imswire.hi.familiar import Familiar
from imswire.hi.peek import peek
from midcall.base import redaction
from midcall.base.redaction import Rules
from midcall.config import Network, Profile
from midcall.df2 import Agency, Communications, IriMediation
from midcall.events import DialogId, Intercept, Side, SipReport, SipSeen, Terms
from midcall.handover.assembler import Assembler
from scripts.bench import poi
from scripts.bench.common import TARGET, rate, show

RECORDS = 20_000
TIME = 1_704_164_645_000_000_000
HEADER = hi.Header(
    b"LIID-000000000001",
    hi.CommunicationId(b"OP1", b"df3.example", 7, "SE"),
    0,
    country="SE",
    qualifier=hi.Qualifier.TIME_OF_INTERCEPTION,
)
STREAMS: dict[str, hi.CcForm] = {
    "iPMMCC": hi.IpmmStream(identifier=b"m=audio 4000 RTP/AVP 8"),
    "voipCC-CC-PDU": hi.VoipStream(HEADER.liid, bytes(8), None, voip.IceType.AGW),
    "threeGPP33128DefinedCC": hi.Ts33128Stream(),
}
SIP = b"INVITE sip:bob@example.com SIP/2.0\r\n" + b"X-Filling: " + b"x" * 1_351 + b"\r\n"
# What networks add to the messages of the lab's users; with it they have 1 400 octets on average.
ADDED = (
    b"Record-Route: <sip:mo@pcscf1.ims.mnc001.mcc001.3gppnetwork.org;lr;ftag=1>\r\n"
    b"Record-Route: <sip:orig@scscf1.ims.mnc001.mcc001.3gppnetwork.org;lr;odi=12345>\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK-pcscf-1234567890;rport\r\n"
    b"Allow: INVITE,ACK,OPTIONS,BYE,CANCEL,INFO,PRACK,NOTIFY,MESSAGE,REFER,UPDATE\r\n"
    b"Accept: application/sdp,application/3gpp-ims+xml\r\n"
    b"P-Early-Media: supported\r\n"
    b"P-Charging-Vector: icid-value=1234567890abcdef;orig-ioi=ims.mnc001.mcc001.3gppnetwork.org\r\n"
    b"P-Asserted-Service: urn:urn-7:3gpp-service.ims.icsi.mmtel\r\n"
    b"Supported: 100rel,timer,precondition,path,gruu,histinfo\r\n"
    b"Session-Expires: 1800;refresher=uac\r\n"
    b"User-Agent: Example UE/1.0 IMS 5G\r\n"
    b'Accept-Contact: *;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"\r\n'
)
PLACE = b"P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=2340300123456789\r\n"
CALLS = 200
# What warrants keep back, and the records of each.
TERMS = {
    "keys go over": Terms("BENCH", keys_to_lemf=True),
    "in clear": Terms("BENCH"),
    "in clear, no place": Terms("BENCH", location=False),
    "events only, no place": Terms("BENCH", content=False, location=False),
}


def encode(template: hi.CcTemplate, payloads: list[bytes]) -> None:
    """20 ms apart, as RTP comes; numbers from 100 000 on."""
    pdu, now = template.pdu, TIME
    for number, payload in enumerate(payloads, 100_000):
        pdu(number, now, payload)
        now += 20_000_000


def joins(payloads: list[bytes], around: int) -> None:
    """As many octets of as many pieces, with nothing to find out: what bytes.join can do at best."""
    before, then, behind, low = bytes(around - 30), bytes(20), bytes(8), b"\0\0"
    for payload in payloads:
        b"".join((before, low, then, low, payload, behind))


def iri(build: Callable[[bytes], bytes]) -> Callable[[], None]:
    def run() -> None:
        for number in range(2_000):
            header = hi.Header(HEADER.liid, HEADER.cid, number, TIME + number * 1_000, "SE", qualifier=1)
            hi.build(hi.PsPdu(header, (hi.Iri(hi.IriType.REPORT, build(SIP)),)))

    return run


def of_eps(message: bytes) -> bytes:
    parties = (eps.PartyInformation(eps.PartyQualifier.EPS_TARGET, sip_uri=b"sip:alice@example.com"),)
    return eps.build(
        eps.IriParameters(
            liid=HEADER.liid,
            time=TIME,
            initiator=eps.Initiator.ORIGINATING_TARGET,
            parties=parties,
            network=eps.NetworkId(b"OP1", b"cscf.example.com"),
            event=eps.ImsEvent.UNFILTERED_SIP_MESSAGE,
            sip_message=message,
            ims_voip=(eps.ImsVoip(bytes(8), eps.IriToCc((bytes(8),))),),
        )
    )


def of_ipmm(message: bytes) -> bytes:
    addresses = ipmm.IpAddress.of(b"\xc0\0\2\1"), ipmm.IpAddress.of(b"\xc0\0\2\2")
    return ipmm.build_iri(ipmm.IpmmIri(ipmm.MessageForm.SIP, ipmm.SipMessage(*addresses, message)))


def of_ts33128(message: bytes) -> bytes:
    content = ts33128.SipMessage(b"\xc0\0\2\1", b"\xc0\0\2\2", message)
    identifier = ts33128.Identifier(ts33128.IdentifierKind.IMPU, ts33128.Impu.of("sip:alice@example.com"))
    target = ts33128.TargetIdentifier(identifier, ts33128.Provenance.MATCHED_ON)
    event = ts33128.ImsMessage(message=content, direction=ts33128.SessionDirection.FROM_TARGET)
    return ts33128.build_iri(ts33128.IriPayload(event, (target,)))


def messages(added: bytes) -> list[SipReport]:
    """The messages of calls of the target, which differ as calls do: Call-ID, correlation, users, time, branches,
    what proxies add, session identifiers, tickets.
    """
    poi.CALLS, found = CALLS, []
    for number, seen in enumerate(poi.messages()):
        call = number // 7
        at = seen.octets.index(b"Call-ID:")
        octets = of_call(seen.octets[:at] + added + seen.octets[at:], b"%08d" % call)
        dialog, told = DialogId(f"c{call}", "1", "2"), SipSeen(octets, seen.source, seen.destination, seen.at)
        found.append(SipReport("x", TARGET, call.to_bytes(8, "big"), dialog, told, Side.CALLER))
    return found


def of_call(octets: bytes, call: bytes) -> bytes:
    """As many octets of another call: branches, ICID, session, cell and ticket of its own."""
    for common in (b"12345678", b"40000", b"bench"):
        octets = octets.replace(common, call[-len(common) :])
    ticket = octets.find(b"key-mgmt:mikey")
    if ticket < 0:
        return octets
    at = octets.index(b"\r\n", ticket) - 20  # of its MAC
    return octets[:at] + call + octets[at + 8 :]


def mediate(terms: Terms, events: list[SipReport]) -> None:
    """Events of the POI to finished PS-PDUs, as DF2 and handover make them."""
    mediation = IriMediation(Communications())
    mediation.order("x", Agency(terms, Profile(), Network(country="SE", network_operator="OP1", element="df2")))
    records = [record for event in events for record in mediation.x2(event)]
    Assembler([Intercept("BENCH", "OP1", "OP1", "df2", "SE", None, "lemf")]).iri_runs(records, TIME)


# What is looked for in single messages of orders for content in clear: those with the ticket take longest.
RULES = {
    "keys": Rules(sdes=True),
    "keys and MIKEY in clear": Rules(sdes=True, mikey=True),
    "these and places": Rules(sdes=True, mikey=True, location=True),
}


def redact(events: list[SipReport], rules: Rules) -> None:
    for event in events:
        redaction.message(event.seen.octets, rules)


def each(run: Callable[[bytes], object], pdus: list[bytes]) -> Callable[[], None]:
    def all_of_them() -> None:
        for octets in pdus:
            run(octets)

    return all_of_them


def split(octets: bytes) -> None:
    splitter = hi.Splitter()
    for place in range(0, len(octets), 65_536):
        splitter.feed(octets[place : place + 65_536])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long each figure is measured")
    seconds = parser.parse_args().seconds
    for size in (172, 1_200):
        payloads = [bytes([number & 0xFF]) * size for number in range(RECORDS)]
        for name, stream in STREAMS.items():
            template = hi.CcTemplate(HEADER, hi.Direction.FROM_TARGET, stream)
            around = len(template.pdu(100_000, TIME, payloads[0])) - size
            beside = rate(RECORDS, lambda: joins(payloads, around), seconds / 4)  # noqa: B023
            figure = rate(RECORDS, lambda: encode(template, payloads), seconds)  # noqa: B023
            show(f"{name}, {size} octets", figure, "rec/s", beside, "plain joins")
    for name, build in {"ePSIRI": of_eps, "iPMMIRI": of_ipmm, "threeGPP33128DefinedIRI": of_ts33128}.items():
        figure = rate(2_000, iri(build), seconds)
        show(f"{name}, SIP of {len(SIP):,} octets", figure, "rec/s", 20_000, "the floor")
    for kind, added in (("", ADDED), (", with a place", ADDED + PLACE)):
        events = messages(added)
        for name, terms in TERMS.items():
            figure = rate(len(events), lambda: mediate(terms, events), seconds)  # noqa: B023
            show(f"redacted, ePSIRI, {name}{kind}", figure, "rec/s", 20_000, "the floor")
        tickets = [event for event in events if event.seen.octets.startswith(b"INVITE")]
        for name, rules in RULES.items():
            for which, some in (("message", events), ("message with a ticket", tickets)):
                figure = rate(len(some), lambda: redact(some, rules), seconds)  # noqa: B023
                print(f"{f'redaction of {name}{kind}':44} {1e6 / figure:12.1f} us a {which}")
    template = hi.CcTemplate(HEADER, hi.Direction.FROM_TARGET, STREAMS["iPMMCC"])
    pdus = template.pdus(100_000, [(TIME + number * 20_000_000, bytes(172)) for number in range(RECORDS)])
    whole = b"".join(pdus)
    show("split a stream", rate(RECORDS, lambda: split(whole), seconds), "rec/s", 150_000, "the floor")
    for name, run in (("peek", peek), ("read what is familiar", Familiar().read)):
        show(name, rate(RECORDS, each(run, pdus), seconds), "rec/s", 150_000, "the floor")
    reports = [hi.build(hi.PsPdu(hi.Header(HEADER.liid, HEADER.cid, 1, TIME, "SE"), (hi.Iri(4, of_eps(SIP)),)))] * 500
    for kind, few in (("content", pdus[:2_000]), ("IRI", reports)):
        print(f"{'parse ' + kind:44} {rate(len(few), each(hi.parse, few), seconds):12,.0f} rec/s")
        print(f"{'check ' + kind:44} {rate(len(few), each(check, few), seconds):12,.0f} rec/s")


if __name__ == "__main__":
    main()
