"""Which rules of TS 103 221-2 a PDU breaks that is readable all the same."""

from __future__ import annotations

from imswire.x2x3.attributes import Unreadable, long_time, name_of, repeats
from imswire.x2x3.numbers import (
    CARRIED_BY,
    KEEPALIVES,
    NO_XID,
    NOT_CORRELATED,
    AttributeType,
    Direction,
    PayloadFormat,
    PduType,
)
from imswire.x2x3.pdu import Pdu

_OF_3GPP = (AttributeType.NFID, AttributeType.IPID, AttributeType.SEQUENCE_NUMBER, AttributeType.TIMESTAMP)
_DESCRIBED = frozenset((PayloadFormat.IPV4, PayloadFormat.IPV6))
_DESCRIBED_AT_A_PORT = frozenset((PayloadFormat.RTP, PayloadFormat.MSRP))


def check(pdu: Pdu, *, of_3gpp: bool = False) -> tuple[str, ...]:
    """The findings, in words; ``of_3gpp`` asks for what TS 33.128 5.3 makes mandatory as well."""
    if pdu.kind not in frozenset(PduType):
        return (f"PDU type {pdu.kind} is unknown", *_attributes(pdu))
    if pdu.kind in KEEPALIVES:
        return (*_keepalive(pdu), *_attributes(pdu))
    found = [*_header(pdu), *_attributes(pdu), *_description(pdu)]
    if of_3gpp:
        held = {each.type for each in pdu.attributes}
        wanted = _OF_3GPP if pdu.kind == PduType.X3 else (*_OF_3GPP, AttributeType.MATCHED_TARGET)
        found += [f"{name_of(type_)} is missing (TS 33.128 5.3)" for type_ in wanted if type_ not in held]
    return tuple(found)


def _keepalive(pdu: Pdu) -> list[str]:
    found = []
    zeros = (pdu.format, pdu.direction, pdu.xid, pdu.correlation, pdu.payload)
    if zeros != (PayloadFormat.KEEPALIVE, Direction.KEEPALIVE, NO_XID, NOT_CORRELATED, b""):
        found.append("a keepalive with more than its sequence number")
    if [each.type for each in pdu.attributes] != [AttributeType.SEQUENCE_NUMBER]:
        found.append("a keepalive has one attribute, its sequence number")
    return found


def _header(pdu: Pdu) -> list[str]:
    found = []
    carriers = CARRIED_BY.get(pdu.format)
    if carriers is None:
        found.append(f"payload format {pdu.format} is unknown")
    elif pdu.kind not in carriers:
        found.append(f"payload format {pdu.format} is not carried by {PduType(pdu.kind).name}")
    if pdu.direction not in frozenset(Direction) - {Direction.KEEPALIVE}:
        found.append(f"payload direction {pdu.direction} is none of such a PDU")
    return found


def _attributes(pdu: Pdu) -> list[str]:
    found = []
    seen: set[int] = set()
    for each in pdu.attributes:
        if isinstance(each.value, Unreadable):
            found.append(f"{name_of(each.type)}: {each.value.reason}")
            if each.type == AttributeType.TIMESTAMP and long_time(each.value.octets) is not None:
                found[-1] += "; taken as seconds of 64 bits and nanoseconds"
        if each.type in seen and not repeats(each.type):
            found.append(f"{name_of(each.type)} stands more than once; the first counts")
        seen.add(each.type)
    return found


def _description(pdu: Pdu) -> list[str]:
    """Where attribute 22 may stand (5.3.23)."""
    if not any(each.type == AttributeType.SDP for each in pdu.attributes) or pdu.format in _DESCRIBED:
        return []
    if pdu.format not in _DESCRIBED_AT_A_PORT:
        return [f"a session description with payload format {pdu.format}"]
    if pdu.destination is None or pdu.first(AttributeType.DESTINATION_PORT) is None:
        return ["a session description without destination address and port"]
    return []
