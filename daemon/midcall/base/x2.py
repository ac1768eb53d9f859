"""Events of the POI as X2 PDUs and back (TS 103 221-2, TS 33.128 7.12): the same octets in memory and over TLS.

A SIP message goes as IMSMessage (format 2), the start of interception as EpsIRIContent with offer and answer
(format 14), with their context for the own DF2 as attribute 4; sessions with the stored ticket exchange, releases
and faults in format 4, for the own DF2 alone. What the own POI encodes, the own DF2 reads back as the same event.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from imswire import inet
from imswire import x2x3 as x2
from imswire.hi import HiError, eps, ts33128
from imswire.x2x3 import exchange
from midcall.base.bounded import BoundedTable
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
    X2Event,
)

SEQUENCES = 65_536
NO_ADDRESS = b"\0\0\0\0"


class X2Error(Exception):
    """A PDU that is no event of a POI of ours, or cannot be made of one; names the place, not the content."""


class Node(Struct, frozen=True):
    """Who sends: network function and interception point (TS 103 221-2 5.3.7, 5.3.8), owner of format 4."""

    nfid: str
    ipid: str
    owner: str = exchange.OWNER


class Encoder:
    """Numbers and encodes the events of one POI. A sequence number counts for each XID and correlation."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._sequences: BoundedTable[tuple[str, bytes], int] = BoundedTable("base.x2.sequences", SEQUENCES)

    def pdu(self, event: X2Event) -> bytes:
        """One event as one PDU. X2Error: it fits in none."""
        try:
            return x2.build(_ENCODERS[type(event)](self, event))
        except (x2.X2X3Error, HiError) as error:
            raise X2Error(f"{type(event).__name__}: {error}") from None

    def head(self, event: X2Event, wall: int) -> x2.X2Head:
        """What stands in every PDU of an event."""
        correlation = event.correlation or x2.NOT_CORRELATED
        key = (event.xid, correlation)
        sequence = self._sequences.get(key) or 0
        self._sequences.put(key, x2.following(sequence))
        self._sequences.touch(key)
        identity = getattr(event, "identity", "")
        return x2.X2Head(
            xid=x2.xid_octets(event.xid),
            nfid=self._node.nfid.encode(),
            ipid=self._node.ipid.encode(),
            sequence=sequence,
            time=wall,
            matched=(x2.target(_element(identity), identity),) if identity else (),
            correlation=correlation,
        )

    def context(self, event: SipReport | StartOfInterception, at: Instant, frame: int, sure: bool) -> x2.Attribute:
        held = None if event.dialog is None else _dialog(event.dialog)
        return exchange.context(exchange.Context(held, event.target, at.mono, frame, sure), self._node.owner)

    def private(self, event: X2Event, wall: int, message: exchange.Message) -> x2.Pdu:
        return exchange.pdu(self.head(event, wall), message, self._node.owner)


def _sip(encoder: Encoder, event: SipReport) -> x2.Pdu:
    seen = event.seen
    source, destination = _place(seen.source), _place(seen.destination)
    message = ts33128.SipMessage(source[0], destination[0], seen.octets)
    pdu = x2.xiri(
        encoder.head(event, seen.at.wall), ts33128.ImsMessage(message=message, direction=_session(event.target))
    )
    more = (
        x2.Attribute(x2.AttributeType.SOURCE_PORT, source[1]),
        x2.Attribute(x2.AttributeType.DESTINATION_PORT, destination[1]),
        encoder.context(event, seen.at, seen.frame, seen.authenticated),
    )
    return _with(pdu, more)


def _start(encoder: Encoder, event: StartOfInterception) -> x2.Pdu:
    offer, answer = event.offer or _NO_HALF, event.answer or _NO_HALF
    parameters = eps.IriParameters(
        # A POI knows no LIID: the XID stands for it, which DF2 replaces.
        liid=x2.xid_octets(event.xid),
        time=event.at.wall,
        event=eps.ImsEvent.START_OF_INTERCEPTION,
        header_offer=offer.head or None,
        sdp_offer=offer.description,
        header_answer=answer.head or None,
        sdp_answer=answer.description,
    )
    pdu = x2.eps_iri(encoder.head(event, event.at.wall), parameters)
    return _with(pdu, (encoder.context(event, event.at, 0, event.authenticated),))


def _session_report(encoder: Encoder, event: SessionReport) -> x2.Pdu:
    message = exchange.Session(
        identity=event.identity,
        dialog=_dialog(event.dialog),
        at=_moment(event.at),
        invited_at=_moment(event.invited_at),
        offerer=event.offerer,
        target=event.target,
        offer=_kept(event.offer),
        answer=_kept(event.answer),
        exchanges=tuple(map(_exchange, event.exchanges)),
        pending=event.pending,
    )
    return encoder.private(event, event.at.wall, message)


def _released(encoder: Encoder, event: DialogReleased) -> x2.Pdu:
    message = exchange.Released(_dialog(event.dialog), _moment(event.at), event.reason)
    return encoder.private(event, event.at.wall, message)


def _fault(encoder: Encoder, event: DialogFault) -> x2.Pdu:
    message = exchange.Fault(_dialog(event.dialog), _moment(event.at), event.frame, event.reason)
    return encoder.private(event, event.at.wall, message)


_ENCODERS: dict[type, Callable[..., x2.Pdu]] = {
    SipReport: _sip,
    StartOfInterception: _start,
    SessionReport: _session_report,
    DialogReleased: _released,
    DialogFault: _fault,
}
_NO_HALF = Half(b"", None)


def decode(pdu: x2.Pdu, owner: str = exchange.OWNER) -> X2Event:
    """The event that a PDU of our own POI carries. X2Error: it is none, or of another owner."""
    try:
        if pdu.format == x2.PayloadFormat.PROPRIETARY:
            return _private(pdu, exchange.parse(pdu.payload, owner))
        context = exchange.context_of(pdu, owner) or exchange.Context()
        return public_event(pdu, x2.contents(pdu), context, Instant(pdu.time or 0, context.mono))
    except (x2.X2X3Error, HiError, inet.InetError) as error:
        raise X2Error(str(error)) from None


def public_event(pdu: x2.Pdu, content: x2.Content, context: exchange.Context, at: Instant) -> X2Event:
    """A SIP message or the start of interception, with the context that our own POI gives beside it. X2Error."""
    xid, identity = x2.xid_text(pdu.xid), x2_identity(pdu)
    dialog, target = _dialog_back(context.dialog), _side(context.target)
    correlation = None if pdu.correlation == x2.NOT_CORRELATED else pdu.correlation
    if isinstance(content, ts33128.XiriPayload) and isinstance(content.event, ts33128.ImsMessage):
        message = content.event.message
        source = inet.endpoint(message.source, _port(pdu, x2.AttributeType.SOURCE_PORT))
        destination = inet.endpoint(message.destination, _port(pdu, x2.AttributeType.DESTINATION_PORT))
        seen = SipSeen(message.content, source, destination, at, context.frame, authenticated=context.authenticated)
        return SipReport(xid, identity, correlation, dialog, seen, target)
    if isinstance(content, x2.SipCopy) and content.source is not None and content.destination is not None:
        source = inet.endpoint(content.source, content.source_port or 0)
        destination = inet.endpoint(content.destination, content.destination_port or 0)
        seen = SipSeen(content.content, source, destination, at, context.frame, authenticated=context.authenticated)
        return SipReport(xid, identity, correlation, dialog, seen, target)
    if isinstance(content, x2.EpsRecord) and content.parameters.event == eps.ImsEvent.START_OF_INTERCEPTION:
        given = content.parameters
        if correlation is None:
            raise X2Error("start of interception without a correlation ID")
        offer, answer = (
            _half(given.header_offer, given.sdp_offer),
            _half(given.header_answer, given.sdp_answer),
        )
        about = dialog or DialogId("", "", "")
        return StartOfInterception(
            xid, identity, correlation, about, at, offer, answer, target, authenticated=context.authenticated
        )
    raise X2Error(f"payload format {pdu.format}: no event of a POI")


def _private(pdu: x2.Pdu, message: exchange.Message) -> X2Event:
    xid, correlation = x2.xid_text(pdu.xid), pdu.correlation
    if isinstance(message, exchange.Session):
        return SessionReport(
            xid=xid,
            identity=message.identity,
            correlation=correlation,
            dialog=_dialog_known(message.dialog),
            at=_instant(message.at),
            invited_at=_instant(message.invited_at),
            offerer=Side(message.offerer),
            target=_side(message.target),
            offer=_kept_back(message.offer),
            answer=_kept_back(message.answer),
            exchanges=tuple(map(_exchange_back, message.exchanges)),
            pending=message.pending,
        )
    dialog, at = _dialog_known(message.dialog), _instant(message.at)
    if isinstance(message, exchange.Released):
        return DialogReleased(xid, correlation, dialog, at, message.reason)
    return DialogFault(xid, correlation, dialog, at, message.frame, message.reason)


# Values, there and back


def _with(pdu: x2.Pdu, more: tuple[x2.Attribute, ...]) -> x2.Pdu:
    held = sorted((*pdu.attributes, *more), key=lambda each: each.type)
    return x2.Pdu(pdu.kind, pdu.format, pdu.direction, pdu.xid, pdu.correlation, tuple(held), pdu.payload)


def _element(identity: str) -> str:
    """The X1 target identifier that an identity is written in."""
    scheme = identity.partition(":")[0].lower()
    return {"tel": "telUri", "sip": "sipUri", "sips": "sipUri"}.get(scheme, "impu")


def x2_identity(pdu: x2.Pdu) -> str:
    """The identity that matched (attribute 17); empty: none is said."""
    for matched in pdu.matched:
        found = x2.read_target(matched)
        if found is not None:
            return found[1]
    return ""


def _port(pdu: x2.Pdu, which: int) -> int:
    port = pdu.first(which)
    return port if isinstance(port, int) else 0


def _session(target: Side | None) -> int:
    if target is None:
        return ts33128.SessionDirection.INDETERMINATE
    return (ts33128.SessionDirection.FROM_TARGET, ts33128.SessionDirection.TO_TARGET)[target]


def _place(place: str) -> tuple[bytes, int]:
    host, _, port = place.rpartition(":")
    try:
        return inet.pack(host.strip("[]")), int(port)
    except (inet.InetError, ValueError):
        return NO_ADDRESS, 0


def _half(head: bytes | None, description: bytes | None) -> Half | None:
    return None if head is None and description is None else Half(head or b"", description)


def _dialog(dialog: DialogId) -> exchange.Dialog:
    return exchange.Dialog(dialog.call_id, dialog.caller_tag, dialog.callee_tag)


def _dialog_known(dialog: exchange.Dialog) -> DialogId:
    return DialogId(dialog.call_id, dialog.caller_tag, dialog.callee_tag)


def _dialog_back(dialog: exchange.Dialog | None) -> DialogId | None:
    return None if dialog is None else _dialog_known(dialog)


def _side(side: int | None) -> Side | None:
    return None if side is None else Side(side)


def _moment(at: Instant) -> exchange.Moment:
    return exchange.Moment(at.wall, at.mono)


def _instant(moment: exchange.Moment) -> Instant:
    return Instant(moment.wall, moment.mono)


def _kept(kept: Kept | None) -> exchange.Kept | None:
    return None if kept is None else _kept_known(kept)


def _kept_known(kept: Kept) -> exchange.Kept:
    return exchange.Kept(kept.octets, _moment(kept.at), kept.frame)


def _kept_back(kept: exchange.Kept | None) -> Kept | None:
    return None if kept is None else Kept(kept.octets, _instant(kept.at), kept.frame)


def _kept_sure(kept: exchange.Kept) -> Kept:
    return Kept(kept.octets, _instant(kept.at), kept.frame)


def _exchange(held: TicketExchange) -> exchange.Exchange:
    updates = tuple(exchange.Update(u.by, _kept_known(u.init), _kept(u.response)) for u in held.updates)
    return exchange.Exchange(held.media, held.initiator, _kept_known(held.init), _kept(held.response), updates)


def _exchange_back(held: exchange.Exchange) -> TicketExchange:
    updates = tuple(Update(Side(u.by), _kept_sure(u.init), _kept_back(u.response)) for u in held.updates)
    initiator = Side(held.initiator)
    return TicketExchange(held.media, initiator, _kept_sure(held.init), _kept_back(held.response), updates)
