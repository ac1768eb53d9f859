"""IMS events on X2: what stands in which payload format (TS 33.128 5.3, 7.12; TS 103 221-2 5.4).

A SIP message goes as IMSMessage of TS 33.128 in format 2, or bare in format 9 with its addresses as attributes;
the start of interception of a running session as [106] in format 2, or in format 14, the one form that has the
SIP headers as well, as EpsIRIContent of TS 33.108 with IMSevent 4. Keys are never carried: X2 ends where they are
asked for.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from imswire import ber
from imswire.ber import BerError
from imswire.hi import HiError, IriType, eps, ts33128
from imswire.hi.schema import Choice, must, within
from imswire.x2x3.attributes import Attribute
from imswire.x2x3.errors import X2X3Error
from imswire.x2x3.numbers import NOT_CORRELATED, AttributeType, Direction, PayloadFormat, PduType
from imswire.x2x3.pdu import Pdu

_DIRECTIONS: Final[dict[int, Direction]] = {
    ts33128.SessionDirection.FROM_TARGET: Direction.FROM_TARGET,
    ts33128.SessionDirection.TO_TARGET: Direction.TO_TARGET,
    ts33128.SessionDirection.COMBINED: Direction.SEVERAL,
    ts33128.SessionDirection.INDETERMINATE: Direction.UNKNOWN,
}
_ADDRESSES: Final = {
    4: (AttributeType.SOURCE_IPV4, AttributeType.DESTINATION_IPV4),
    16: (AttributeType.SOURCE_IPV6, AttributeType.DESTINATION_IPV6),
}
_RECORD: Final = Choice(
    (
        must(IriType.BEGIN, "iRI-Begin-record", "", eps.PARAMETERS),
        must(IriType.END, "iRI-End-record", "", eps.PARAMETERS),
        must(IriType.CONTINUE, "iRI-Continue-record", "", eps.PARAMETERS),
        must(IriType.REPORT, "iRI-Report-record", "", eps.PARAMETERS),
    ),
    lambda value: value,
    lambda tag, inner: (IriType(tag), inner),
)


class X2Head(Struct, frozen=True, gc=False, kw_only=True):
    """What TS 33.128 5.3 asks of every X2 PDU. ``matched`` and ``others`` are X1 identifiers as XML
    (:func:`imswire.x2x3.target`), ``time`` nanoseconds since 1970.
    """

    xid: bytes
    nfid: bytes
    ipid: bytes
    sequence: int
    time: int
    matched: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    correlation: bytes = NOT_CORRELATED
    domain: bytes | None = None

    def pdu(self, format_: int, direction: int, payload: bytes, more: tuple[Attribute, ...] = ()) -> Pdu:
        """An X2 PDU with this head; ``more`` attributes go to their places by type."""
        held = [
            Attribute(AttributeType.NFID, self.nfid),
            Attribute(AttributeType.IPID, self.ipid),
            Attribute(AttributeType.SEQUENCE_NUMBER, self.sequence),
            Attribute(AttributeType.TIMESTAMP, self.time),
            *(Attribute(AttributeType.MATCHED_TARGET, each) for each in self.matched),
            *(Attribute(AttributeType.OTHER_TARGET, each) for each in self.others),
            *more,
        ]
        if self.domain is not None:
            held.append(Attribute(AttributeType.DOMAIN_ID, self.domain))
        held.sort(key=lambda each: each.type)
        return Pdu(PduType.X2, format_, direction, self.xid, self.correlation, tuple(held), payload)


class SipCopy(Struct, frozen=True, gc=False):
    """A bare SIP message and where it went: addresses of 4 or 16 octets, ports, IP protocol; None: not said."""

    content: bytes
    source: bytes | None = None
    destination: bytes | None = None
    source_port: int | None = None
    destination_port: int | None = None
    protocol: int | None = None

    def __repr__(self) -> str:
        return f"SipCopy(<{len(self.content)} octets>)"


class EpsRecord(Struct, frozen=True, gc=False):
    """EpsIRIContent: an IriType and its parameters."""

    kind: int
    parameters: eps.IriParameters


Content = ts33128.XiriPayload | SipCopy | EpsRecord | bytes


def xiri(head: X2Head, event: ts33128.Event) -> Pdu:
    """An event of TS 33.128: a SIP message or the start of interception [106], for instance.

    HiError: a value breaks a bound of the module.
    """
    direction = _DIRECTIONS.get(event.direction) if isinstance(event, ts33128.ImsMessage) else Direction.NOT_APPLICABLE
    if direction is None:
        raise X2X3Error("payload.sessionDirection", "no SessionDirection")
    return head.pdu(PayloadFormat.TS_33_128, direction, ts33128.build_xiri(ts33128.XiriPayload(event)))


def sip(head: X2Head, message: SipCopy, direction: int) -> Pdu:
    """A bare SIP message. X2X3Error: addresses of different families, or none."""
    if message.source is None or message.destination is None or len(message.source) != len(message.destination):
        raise X2X3Error("attributes", "both addresses are needed, of one family")
    types = _ADDRESSES.get(len(message.source))
    if types is None:
        raise X2X3Error("attributes", f"address of {len(message.source)} octets")
    given = (
        (types[0], message.source),
        (types[1], message.destination),
        (AttributeType.SOURCE_PORT, message.source_port),
        (AttributeType.DESTINATION_PORT, message.destination_port),
        (AttributeType.IP_PROTOCOL, message.protocol),
    )
    more = tuple(Attribute(type_, value) for type_, value in given if value is not None)
    return head.pdu(PayloadFormat.SIP, direction, message.content, more)


def eps_iri(head: X2Head, parameters: eps.IriParameters, record: int = IriType.REPORT) -> Pdu:
    """A record of TS 33.108. Its LIID, which a POI does not know, is whatever both sides agree on, the XID if nothing.

    X2X3Error: it has keys in it.
    """
    if parameters.keys is not None:
        raise X2X3Error("payload.mediaDecryption-info", "keys are not carried over X2")
    try:
        octets = _RECORD.write((record, parameters))
    except (HiError, BerError) as fault:
        raise within("EpsIRIContent", fault) from None
    return head.pdu(PayloadFormat.EPS_IRI, Direction.NOT_APPLICABLE, octets)


def start_of_interception(head: X2Head, parameters: eps.IriParameters) -> Pdu:
    """TS 33.107 7A.3.1 in format 14: IMSevent 4 with offer and answer, each as header and SDP ([44] to [47])."""
    if parameters.event != eps.ImsEvent.START_OF_INTERCEPTION:
        raise X2X3Error("payload.iMSevent", "not the start of interception")
    if parameters.header_offer is None and parameters.sdp_offer is None:
        raise X2X3Error("payload", "an offer is needed")
    return eps_iri(head, parameters)


def contents(pdu: Pdu) -> Content:
    """What the payload is, by its format; of formats that are read elsewhere or nowhere its octets.

    HiError: it is not what its format says.
    """
    if pdu.format == PayloadFormat.TS_33_128 and pdu.kind == PduType.X2:
        return ts33128.parse_xiri(pdu.payload)
    if pdu.format == PayloadFormat.SIP:
        numbers: list[Any] = [
            pdu.first(type_)
            for type_ in (AttributeType.SOURCE_PORT, AttributeType.DESTINATION_PORT, AttributeType.IP_PROTOCOL)
        ]
        return SipCopy(pdu.payload, pdu.source, pdu.destination, *numbers)
    if pdu.format == PayloadFormat.EPS_IRI:
        try:
            return EpsRecord(*_RECORD.read_item(pdu.payload, ber.only(pdu.payload)))
        except (HiError, BerError) as fault:
            raise within("EpsIRIContent", fault) from None
    return pdu.payload
