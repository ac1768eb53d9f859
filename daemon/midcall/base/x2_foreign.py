"""Events on X2 from POIs that are not ours: what the standards say, and nothing that only our own says besides.

A SIP message comes as IMSMessage of TS 33.128 (format 2), bare (9), in an IP packet of UDP (5, 6), or in a record of
TS 33.108 (14); the start of interception of a running session in format 2 or 14; that content is unavailable in
format 2. Format 4 and attribute 4 of our own owner count from our own POIs alone.
"""

from __future__ import annotations

from msgspec import structs

from imswire import inet, sip
from imswire import x2x3 as x2
from imswire.hi import HiError, ts33128
from imswire.x2x3 import exchange
from midcall.base.x2 import X2Error, public_event, x2_identity
from midcall.events import (
    DialogId,
    Failure,
    Half,
    Instant,
    Side,
    SipReport,
    SipSeen,
    StartOfInterception,
    X2Event,
)

NO_DIALOG = DialogId("", "", "")
_DECODE = inet.decoder(inet.RAW)
_SIDES: dict[int, Side] = {
    ts33128.SessionDirection.FROM_TARGET: Side.CALLER,
    ts33128.SessionDirection.TO_TARGET: Side.CALLEE,
}
_NOWHERE = "0.0.0.0:0"


def foreign_event(pdu: x2.Pdu, now: Instant) -> X2Event | Failure:
    """The event that a PDU carries, at its own time, or ``now`` when it has none; a Failure: content is missing.

    X2Error: none that is known.
    """
    at = Instant(now.wall if pdu.time is None else pdu.time, now.mono)
    event = _event(pdu, at)
    if isinstance(event, SipReport):
        try:
            message = sip.parse(event.seen.octets)
            _ = message.call_id, message.cseq, message.from_tag, message.to_tag, message.top_branch
        except sip.SipError as error:
            raise X2Error(f"no SIP message: {error.field}") from None
    return event


def _event(pdu: x2.Pdu, at: Instant) -> X2Event | Failure:
    try:
        if pdu.format in (x2.PayloadFormat.IPV4, x2.PayloadFormat.IPV6):
            return _packet(pdu, at)
        content = x2.contents(pdu)
    except (x2.X2X3Error, HiError, inet.InetError) as error:
        raise X2Error(str(error)) from None
    if isinstance(content, ts33128.XiriPayload):
        event = content.event
        if isinstance(event, ts33128.ImsMessage):
            report = public_event(pdu, content, exchange.Context(mono=at.mono), at)
            return structs.replace(report, target=_SIDES.get(event.direction))
        if isinstance(event, ts33128.StartOfInterception):
            return _start(pdu, event, at)
        if isinstance(event, ts33128.ImsCcUnavailable):
            reason = f"the point of interception: {event.reason}"
            return Failure(x2.xid_text(pdu.xid), pdu.correlation, NO_DIALOG, at, 0, reason, keys=False, missing=True)
    if isinstance(content, x2.SipCopy):
        source = _place(content.source, content.source_port)
        return _seen(pdu, SipSeen(content.content, source, _place(content.destination, content.destination_port), at))
    if isinstance(content, x2.EpsRecord) and content.parameters.sip_message is not None:
        return _seen(pdu, SipSeen(content.parameters.sip_message, _NOWHERE, _NOWHERE, at))
    return public_event(pdu, content, exchange.Context(mono=at.mono), at)


def _place(address: bytes | None, port: int | None) -> str:
    return _NOWHERE if address is None else inet.endpoint(address, port or 0)


def _packet(pdu: x2.Pdu, at: Instant) -> SipReport:
    found = _DECODE(pdu.payload)
    if not isinstance(found, inet.Datagram) or found.protocol != inet.UDP:
        raise X2Error("no whole UDP datagram")
    source, destination = inet.endpoint(found.src, found.sport), inet.endpoint(found.dst, found.dport)
    return _seen(pdu, SipSeen(found.payload, source, destination, at))


def _seen(pdu: x2.Pdu, seen: SipSeen) -> SipReport:
    correlation = None if pdu.correlation == x2.NOT_CORRELATED else pdu.correlation
    return SipReport(x2.xid_text(pdu.xid), x2_identity(pdu), correlation, None, seen)


def _start(pdu: x2.Pdu, event: ts33128.StartOfInterception, at: Instant) -> StartOfInterception:
    """TS 33.128 has no heads of messages here, but says who the parties are; sDPState: offer, then answer."""
    offer, answer = (*(event.sdp or ()), None, None)[:2]
    return StartOfInterception(
        xid=x2.xid_text(pdu.xid),
        identity=x2_identity(pdu),
        correlation=pdu.correlation,
        dialog=NO_DIALOG,
        at=at,
        offer=None if offer is None else Half(b"", offer),
        answer=None if answer is None else Half(b"", answer),
        parties=(tuple(each.uri for each in event.originating), event.terminating.uri),
    )
