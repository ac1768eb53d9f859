"""What a receiver must know of every PS-PDU, without reading the rest of it."""

from __future__ import annotations

from typing import NamedTuple

from imswire import ber
from imswire.ber import BerError, Tlv
from imswire.hi.errors import HiError
from imswire.hi.numbers import PayloadTag
from imswire.hi.primitives import sequence
from imswire.hi.schema import within


class Peek(NamedTuple):
    """LIID, the TLV of communicationIdentifier as it came, sequence number, a PayloadTag, for tRIPayload its TriTag
    (else -1), and where the contents of sequenceNumber stand.

    The sequence numbers of a context of its own are counted in each (liid, cid, tag, tri).
    """

    liid: bytes
    cid: bytes
    sequence: int
    tag: int
    tri: int
    at: int


def peek(octets: bytes) -> Peek:
    """Of exactly one PS-PDU, in any BER; HiError when it is none. What is behind the header is not looked at."""
    try:
        found = _short(octets)
    except IndexError:
        found = None
    return found if found is not None else _any(octets)


def _short(octets: bytes) -> Peek | None:
    """With one-octet tags and lengths in the header, as everybody sends them; None: in another form."""
    # SEQUENCE, then [1] pSHeader
    length = octets[1]
    at = 2 if length < 0x80 else length - 0x7E
    if octets[0] != 0x30 or length == 0x80 or octets[at] != 0xA1:
        return None
    length = octets[at + 1]
    if length > 0x81 or length == 0x80:
        return None
    at += 2
    if length == 0x81:
        length = octets[at]
        at += 1
    header_end = at + length
    # [0] li-psDomainId, [1] lawfulInterceptionIdentifier
    length = octets[at + 1]
    place = at + 2 + length
    size = octets[place + 1]
    if octets[at] != 0x80 or octets[place] != 0x81 or length | size > 0x7F:
        return None
    at = place + 2
    place = at + size
    liid = octets[at:place]
    # [2] authorizationCountryCode, [3] communicationIdentifier
    if octets[place] == 0x82:
        length = octets[place + 1]
        if length > 0x7F:
            return None
        place += 2 + length
    size = octets[place + 1]
    at = place + 2 + size
    length = octets[at + 1]
    if octets[place] != 0xA3 or octets[at] != 0x84 or size | length > 0x7F:
        return None
    cid = octets[place:at]
    # [4] sequenceNumber, [2] payload
    start = at + 2
    place = start + length
    if place > header_end or not 0 < length < 6 or octets[start] > 0x7F or octets[header_end] != 0xA2:
        return None
    number = int.from_bytes(octets[start:place], "big")
    length = octets[header_end + 1]
    at = header_end + (2 if length < 0x80 else length - 0x7E)
    tag = octets[at] & 0x1F
    if length == 0x80 or octets[at] & 0xC0 != 0x80 or tag == 0x1F or _outer_end(octets) != len(octets):
        return None
    if tag != PayloadTag.TRI:
        return Peek(liid, cid, number, tag, -1, start)
    length = octets[at + 1]
    tri = octets[at + (2 if length < 0x80 else length - 0x7E)]
    if length == 0x80 or tri & 0xC0 != 0x80 or tri & 0x1F == 0x1F:
        return None
    return Peek(liid, cid, number, tag, tri & 0x1F, start)


def _outer_end(octets: bytes) -> int:
    length = octets[1]
    if length < 0x80:
        return 2 + length
    start = length - 0x7E
    return start + int.from_bytes(octets[2:start], "big")


def _any(octets: bytes) -> Peek:
    """In any form."""
    try:
        outer = sequence(octets)
        header, payload = _members(octets, outer, ((1, "pSHeader"), (2, "payload")))
        liid, cid, number = _members(
            octets,
            header,
            ((1, "lawfulInterceptionIdentifier"), (3, "communicationIdentifier"), (4, "sequenceNumber")),
        )
        chosen = ber.read(octets, payload.start, payload.end)
        tri = ber.read(octets, chosen.start, chosen.end).number if chosen.number == PayloadTag.TRI else -1
        context = ber.string(octets, liid), octets[cid.at : cid.after]
        return Peek(*context, ber.integer(octets, number), chosen.number, tri, number.start)
    except (HiError, BerError) as fault:
        raise within("PS-PDU", fault) from None


def _members(octets: bytes, tlv: Tlv, wanted: tuple[tuple[int, str], ...]) -> list[Tlv]:
    found = {inner.number: inner for inner in ber.elements(octets, tlv) if inner.klass == ber.CONTEXT}
    missing = [name for number, name in wanted if number not in found]
    if missing:
        raise HiError(missing[0], "missing", tlv.at)
    return [found[number] for number, _ in wanted]
