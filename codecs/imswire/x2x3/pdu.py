"""X2/X3 PDUs (TS 103 221-2 5): header, attributes, payload; keepalives; what numbers them."""

from __future__ import annotations

import re
from collections.abc import Container
from struct import Struct as Layout
from typing import Final, NamedTuple, TypeVar

from msgspec import Struct

from imswire.x2x3 import attributes
from imswire.x2x3.attributes import Attribute, Unreadable, Value
from imswire.x2x3.errors import X2X3Error
from imswire.x2x3.numbers import (
    CORRELATION_LENGTH,
    HEADER_LENGTH,
    KEEPALIVES,
    MAJOR,
    NO_XID,
    NOT_CORRELATED,
    VERSION,
    XID_LENGTH,
    AttributeType,
    Direction,
    PayloadFormat,
    PduType,
)

MAJORS: Final = frozenset((MAJOR,))
SEQUENCES: Final = 1 << 32
_SWAPPED = 5  # the minor version of today where the major one stands: a known slip
_HEADER = Layout("!BBHIIHH16s8s")
_UUID = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})", re.ASCII | re.IGNORECASE)
_T = TypeVar("_T")


class SequenceKey(NamedTuple):
    """What a row of sequence numbers belongs to (5.3.9); X2 and X3 count apart."""

    kind: int
    xid: bytes
    domain: bytes | None
    nfid: bytes | None
    ipid: bytes | None
    correlation: bytes


class Pdu(Struct, frozen=True, gc=False):
    """An X2 or X3 PDU, or a keepalive: PduType, PayloadFormat, Direction (or numbers of later versions).

    The representation shows no identity and no payload.
    """

    kind: int
    format: int
    direction: int
    xid: bytes
    correlation: bytes = NOT_CORRELATED
    attributes: tuple[Attribute, ...] = ()
    payload: bytes = b""
    version: tuple[int, int] = VERSION

    def __repr__(self) -> str:
        held = ", ".join(attributes.name_of(each.type) for each in self.attributes)
        return (
            f"Pdu(kind={self.kind}, format={self.format}, direction={self.direction}, xid={xid_text(self.xid)},"
            f" attributes=({held}), payload=<{len(self.payload)} octets>)"
        )

    def first(self, type_: int) -> Value | None:
        """The value of an attribute that stands once, of which the first counts; None: absent or unreadable."""
        for each in self.attributes:
            if each.type == type_:
                return None if isinstance(each.value, Unreadable) else each.value
        return None

    def all(self, type_: int) -> tuple[Value, ...]:
        """The values of an attribute that may stand several times, unreadable ones apart."""
        return tuple(
            each.value for each in self.attributes if each.type == type_ and not isinstance(each.value, Unreadable)
        )

    def _of(self, type_: int, kind: type[_T]) -> _T | None:
        value = self.first(type_)
        return value if isinstance(value, kind) else None

    @property
    def sequence(self) -> int | None:
        """Sequence number."""
        return self._of(AttributeType.SEQUENCE_NUMBER, int)

    @property
    def time(self) -> int | None:
        """Timestamp, in nanoseconds since 1970; also of one with seconds of 64 bits, which a check finds fault with."""
        for each in self.attributes:
            if each.type == AttributeType.TIMESTAMP:
                value = each.value
                return attributes.long_time(value.octets) if isinstance(value, Unreadable) else value  # type: ignore[return-value]
        return None

    @property
    def domain(self) -> bytes | None:
        """Domain identifier (DID of this standard, not of X1)."""
        return self._of(AttributeType.DOMAIN_ID, bytes)

    @property
    def nfid(self) -> bytes | None:
        """Network function identifier."""
        return self._of(AttributeType.NFID, bytes)

    @property
    def ipid(self) -> bytes | None:
        """Interception point identifier."""
        return self._of(AttributeType.IPID, bytes)

    @property
    def source(self) -> bytes | None:
        """Source address, 4 or 16 octets."""
        return self._of(AttributeType.SOURCE_IPV4, bytes) or self._of(AttributeType.SOURCE_IPV6, bytes)

    @property
    def destination(self) -> bytes | None:
        """Destination address, 4 or 16 octets."""
        return self._of(AttributeType.DESTINATION_IPV4, bytes) or self._of(AttributeType.DESTINATION_IPV6, bytes)

    @property
    def sdp(self) -> bytes | None:
        """Session description; it holds for later PDUs of the same XID and Correlation ID until the next one."""
        return self._of(AttributeType.SDP, bytes)

    @property
    def matched(self) -> tuple[str, ...]:
        """Matched target identifiers, as XML (:func:`imswire.x2x3.read_target`)."""
        return tuple(value for value in self.all(AttributeType.MATCHED_TARGET) if isinstance(value, str))

    @property
    def others(self) -> tuple[str, ...]:
        """Other target identifiers, as XML."""
        return tuple(value for value in self.all(AttributeType.OTHER_TARGET) if isinstance(value, str))

    @property
    def sequence_key(self) -> SequenceKey:
        """Which row of sequence numbers the PDU's own belongs to."""
        return SequenceKey(self.kind, self.xid, self.domain, self.nfid, self.ipid, self.correlation)


def parse(octets: bytes, majors: Container[int] = MAJORS) -> Pdu:
    """The PDU that the octets are.

    Any minor version is read, and majors of ``majors`` only. X2X3Error: it is none, or has another length.
    """
    if len(octets) < HEADER_LENGTH:
        raise X2X3Error("header", f"{len(octets)} octets, at least {HEADER_LENGTH} are expected", 0)
    major, minor, kind, header, payload, form, direction, xid, correlation = _HEADER.unpack_from(octets)
    if major not in majors:
        raise X2X3Error("header.version", wrong_version(major, minor), 0)
    if not HEADER_LENGTH <= header <= len(octets):
        raise X2X3Error("header.length", f"{header} of {len(octets)} octets", 4)
    if header + payload != len(octets):
        raise X2X3Error("header.payload length", f"{payload} octets announced, {len(octets) - header} are there", 8)
    held = attributes.read(octets, HEADER_LENGTH, header)
    return Pdu(kind, form, direction, xid, correlation, held, octets[header:], (major, minor))


def wrong_version(major: int, minor: int) -> str:
    """Why a version is refused, and what it may be."""
    text = f"major version {major} (minor {minor}) is not read"
    if (major, minor) == (_SWAPPED, MAJOR):
        text += "; the sender seems to have swapped its octets, which is to be mended or allowed there"
    return text


def build(pdu: Pdu) -> bytes:
    """The octets. X2X3Error: a value does not fit into its field."""
    held = attributes.write(pdu.attributes)
    if len(pdu.xid) != XID_LENGTH:
        raise X2X3Error("header.XID", f"{len(pdu.xid)} octets, {XID_LENGTH} are expected")
    if len(pdu.correlation) != CORRELATION_LENGTH:
        raise X2X3Error("header.correlation ID", f"{len(pdu.correlation)} octets, {CORRELATION_LENGTH} are expected")
    numbers = (*pdu.version, pdu.kind, pdu.format, pdu.direction)
    if not all(0 <= number <= most for number, most in zip(numbers, (255, 255, *[65_535] * 3), strict=True)):
        raise X2X3Error("header", "a number is out of range")
    sizes = HEADER_LENGTH + len(held), len(pdu.payload)
    head = _HEADER.pack(*numbers[:3], *sizes, *numbers[3:], pdu.xid, pdu.correlation)
    return head + held + pdu.payload


def keepalive(sequence: int) -> Pdu:
    """A keepalive (5.5): its number, and all else zero."""
    number = Attribute(AttributeType.SEQUENCE_NUMBER, sequence)
    return Pdu(PduType.KEEPALIVE, PayloadFormat.KEEPALIVE, Direction.KEEPALIVE, NO_XID, NOT_CORRELATED, (number,))


def acknowledgement(asked: Pdu) -> Pdu:
    """The answer to a keepalive: the same number. X2X3Error: it is no keepalive, or has no number."""
    if asked.kind != PduType.KEEPALIVE or asked.sequence is None:
        raise X2X3Error("keepalive", "another PDU, or one without sequence number")
    answer = keepalive(asked.sequence)
    return Pdu(PduType.KEEPALIVE_ACK, answer.format, answer.direction, NO_XID, NOT_CORRELATED, answer.attributes)


def is_keepalive(pdu: Pdu) -> bool:
    """A keepalive, or the answer to one."""
    return pdu.kind in KEEPALIVES


def following(sequence: int) -> int:
    """The sequence number behind another: it wraps at 2^32 (5.3.9)."""
    return (sequence + 1) % SEQUENCES


def missing(last: int, sequence: int) -> int | None:
    """How many PDUs are lost between two numbers of a row; None: the second is a repetition or comes late.

    Half the numbers lie ahead, half behind.
    """
    ahead = (sequence - last) % SEQUENCES
    return ahead - 1 if 0 < ahead < SEQUENCES // 2 else None


def xid_text(xid: bytes) -> str:
    """An XID as X1 writes it (UUID, RFC 4122 3)."""
    text = xid.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def xid_octets(xid: str) -> bytes:
    """The octets of an XID in X1's form. X2X3Error: it is no UUID."""
    found = _UUID.fullmatch(xid)
    if found is None:
        raise X2X3Error("XID", "no UUID")
    return bytes.fromhex("".join(found.groups()))
