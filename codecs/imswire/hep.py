"""HEP version 3, the capture protocol of Homer: SIP as Kamailio, OpenSIPS, FreeSWITCH and Asterisk copy it.

``HEP3``, u16 total length, then chunks: u16 vendor, u16 type, u16 length (with these six octets), value. Chunks of
a vendor and types that nobody needs here are skipped; of a chunk that stands twice the first counts. Versions 1
and 2 have no key by which a listener can tell who copies, and are refused.
"""

from __future__ import annotations

import hmac
import zlib
from enum import IntEnum
from struct import Struct as Layout
from typing import Any, Final

from msgspec import Struct

from imswire.errors import WireError
from imswire.units import UnitSplitter

MAGIC: Final = b"HEP3"
MAX_LENGTH: Final = 0xFFFF
MAX_PAYLOAD: Final = 0xFFFF
"""Octets of an inflated payload: more than this no SIP message may have."""

_HEAD = Layout("!4sH")
_CHUNK = Layout("!IH")  # vendor and type in one number: that of a generic chunk is its type
_MICRO: Final = 1_000
_SECOND: Final = 1_000_000_000
_ZLIB_OR_GZIP: Final = 47
_AF_INET, _AF_INET6 = 2, 10
_UDP = 17


class HepError(WireError):
    """Octets that are no HEP, or values that do not fit; ``chunk`` names the place, ``reason`` the rule."""

    def __init__(self, chunk: str, reason: str) -> None:
        super().__init__(f"{chunk}: {reason}")
        self.chunk = chunk
        self.reason = reason


class Chunk(IntEnum):
    """Types of generic chunks (vendor 0) that are read."""

    IP_FAMILY = 1
    IP_PROTOCOL = 2
    SOURCE_IPV4 = 3
    DESTINATION_IPV4 = 4
    SOURCE_IPV6 = 5
    DESTINATION_IPV6 = 6
    SOURCE_PORT = 7
    DESTINATION_PORT = 8
    SECONDS = 9
    MICROSECONDS = 10
    PROTOCOL_TYPE = 11
    CAPTURE_AGENT = 12
    KEEPALIVE_TIMER = 13
    AUTHENTICATE_KEY = 14
    PAYLOAD = 15
    COMPRESSED_PAYLOAD = 16
    CORRELATION_ID = 17
    VLAN = 18


class ProtocolType(IntEnum):
    """What a payload is; others are carried unread."""

    SIP = 1
    XMPP = 2
    SDP = 3
    RTP = 4
    RTCP = 5
    MGCP = 6
    MEGACO = 7
    LOG = 100


class Hep(Struct, frozen=True, gc=False):
    """A captured message. Addresses of 4 or 16 octets; ``protocol`` is that of IP, ``kind`` a ProtocolType;
    ``time`` in nanoseconds since 1970, to microseconds (None: not said).

    The representation shows neither the key nor the payload.
    """

    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    payload: bytes
    time: int | None = None
    protocol: int = _UDP
    kind: int = ProtocolType.SIP
    agent: int | None = None
    key: bytes | None = None
    correlation: bytes | None = None
    keepalive: int | None = None
    vlan: int | None = None

    def __repr__(self) -> str:
        key = "no key" if self.key is None else "key redacted"
        return f"Hep(kind={self.kind}, agent={self.agent}, {key}, payload=<{len(self.payload)} octets>)"


def authentic(message: Hep, key: bytes) -> bool:
    """Whether the agent sent this key; the time it takes tells nothing of the key."""
    return hmac.compare_digest(message.key or b"", key) and message.key is not None


# Reading

_WIDTHS: Final = (0, 1, 1, 4, 4, 16, 16, 2, 2, 4, 4, 1, 4, 2, -1, -1, -1, -1, 2)
"""Octets of each type of chunk, from 1 on; -1: any number."""
_OCTETS: Final = frozenset((3, 4, 5, 6, 14, 15, 16, 17))
"""Types whose value is octets; that of the others is a number."""
_AUTHENTICATE_KEY, _PAYLOAD, _CORRELATION_ID = 14, 15, 17
_LONG_WAY: Final = frozenset((13, 16, 18))
"""What stands behind the fixed chunks so seldom that the short way does not know it."""

_FIXED_FIRST: Final = (
    # As Kamailio, and as those agents that send a common part of fixed size before the addresses.
    (1, 2, 3, 4, 7, 8, 9, 10, 11, 12),
    (1, 2, 5, 6, 7, 8, 9, 10, 11, 12),
    (1, 2, 7, 8, 9, 10, 11, 12, 3, 4),
    (1, 2, 7, 8, 9, 10, 11, 12, 5, 6),
)
_FORMATS: Final = {1: "B", 2: "H", 4: "I"}


class _Front:
    """The chunks of fixed size that most agents send in front, taken in one go."""

    def __init__(self, types: tuple[int, ...]) -> None:
        forms = (f"6s{_WIDTHS[type_]}s" if type_ in _OCTETS else "6s" + _FORMATS[_WIDTHS[type_]] for type_ in types)
        layout = Layout("!" + "".join(forms))
        self.take = layout.unpack_from
        self.end = _HEAD.size + layout.size
        self.heads = tuple(_chunk_head(type_) for type_ in types)
        self.addresses_third = types[2] in _OCTETS


def _chunk_head(type_: int) -> bytes:
    return _CHUNK.pack(type_, 6 + _WIDTHS[type_])


def _front_key(types: tuple[int, ...]) -> tuple[bytes, int]:
    """The head of the third chunk, and the address family, which is the value of the first."""
    return _chunk_head(types[2]), _AF_INET if 3 in types else _AF_INET6


_FRONTS: Final = {_front_key(types): _Front(types) for types in _FIXED_FIRST}
_FAMILY_AT: Final = _HEAD.size + _CHUNK.size
_THIRD_CHUNK: Final = slice(_HEAD.size + 14, _HEAD.size + 20)


def parse(octets: bytes) -> Hep:
    """The message of one datagram, or of one piece of a stream.

    HepError: it is none, is cut short, lacks an address, a port, the protocol type or the payload.
    """
    end = _length(octets)
    front = _FRONTS.get((octets[_THIRD_CHUNK], octets[_FAMILY_AT])) if end > _THIRD_CHUNK.stop else None
    if front is not None and front.end <= end:
        taken = front.take(octets, 6)
        if taken[::2] == front.heads:
            found = _behind_front(octets, front, taken, end)
            if found is not None:
                return found
    return _message(_values(octets, end))


def _length(octets: bytes) -> int:
    if len(octets) < _HEAD.size:
        raise HepError("header", f"{len(octets)} octets")
    magic, length = _HEAD.unpack_from(octets)
    if magic != MAGIC:
        raise _no_hep3(octets)
    if length > len(octets):
        raise HepError("header", f"{length} octets announced, {len(octets)} are there")
    return length  # type: ignore[no-any-return]


def _no_hep3(octets: bytes | bytearray) -> HepError:
    if octets[:1] in (b"\x01", b"\x02"):
        return HepError("header", f"HEP version {octets[0]} is not read: set the agent to version 3")
    return HepError("header", "does not begin with HEP3")


def _behind_front(octets: bytes, front: _Front, taken: tuple[Any, ...], end: int) -> Hep | None:
    """The message whose first chunks are those of ``front``; None: it has to go the long way."""
    payload = key = correlation = None
    at, unpack = front.end, _CHUNK.unpack_from
    while at < end:
        if at + 6 > end:
            return None
        number, length = unpack(octets, at)
        after = at + length
        if length < 6 or after > end or number in _LONG_WAY:
            return None
        if number == _PAYLOAD:
            if payload is None:
                payload = octets[at + 6 : after]
        elif number == _AUTHENTICATE_KEY:
            if key is None:
                key = octets[at + 6 : after]
        elif number == _CORRELATION_ID and correlation is None:
            correlation = octets[at + 6 : after]
        at = after
    if payload is None:
        return None
    if front.addresses_third:
        _, protocol, source, destination, sport, dport, seconds, micro, kind, agent = taken[1::2]
    else:
        _, protocol, sport, dport, seconds, micro, kind, agent, source, destination = taken[1::2]
    time = seconds * _SECOND + micro * _MICRO
    return Hep(source, destination, sport, dport, payload, time, protocol, kind, agent, key, correlation)


def _values(octets: bytes, end: int) -> list[Any]:
    """The values of generic chunks by their type, the first of each; None: it is not there."""
    found: list[Any] = [None] * len(_WIDTHS)
    at, unpack = _HEAD.size, _CHUNK.unpack_from
    while at < end:
        if at + 6 > end:
            raise HepError("chunk", f"cut short at offset {at}")
        number, length = unpack(octets, at)
        after = at + length
        if length < 6 or after > end:
            raise HepError(f"chunk {number >> 16}.{number & 0xFFFF}", f"length {length} at offset {at}")
        if 0 < number < len(_WIDTHS) and found[number] is None:
            value = octets[at + 6 : after]
            if length - 6 != _WIDTHS[number] >= 0:
                raise HepError(Chunk(number).name, f"{length - 6} octets, {_WIDTHS[number]} are expected")
            found[number] = value if number in _OCTETS else int.from_bytes(value, "big")
        at = after
    return found


def _message(found: list[Any]) -> Hep:
    (
        _,
        family,
        protocol,
        source,
        destination,
        source6,
        destination6,
        sport,
        dport,
        seconds,
        micro,
        kind,
        agent,
        *more,
    ) = found
    keepalive, key, payload, packed, correlation, vlan = more
    # Both pairs of addresses at once are foreseen nowhere; the family then says which. Its own number for IPv6
    # is another on every system, so that it decides nothing else.
    if source6 is not None and (source is None or family != _AF_INET):
        source, destination = source6, destination6
    needed = (source, destination, sport, dport, kind)
    if None in needed:
        raise HepError(_NEEDED[needed.index(None)], "missing")
    if payload is None:
        payload = _inflated(packed)
    time = None if seconds is None else seconds * _SECOND + (micro or 0) * _MICRO
    if protocol is None:
        protocol = _UDP
    return Hep(
        source, destination, sport, dport, payload, time, protocol, kind, agent, key, correlation, keepalive, vlan
    )


_NEEDED: Final = ("source address", "destination address", "SOURCE_PORT", "DESTINATION_PORT", "PROTOCOL_TYPE")


def _inflated(packed: bytes | None) -> bytes:
    if packed is None:
        raise HepError("PAYLOAD", "missing")
    inflate = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        payload = inflate.decompress(packed, MAX_PAYLOAD)
    except zlib.error:
        raise HepError("COMPRESSED_PAYLOAD", "neither zlib nor gzip") from None
    if not inflate.eof:
        raise HepError("COMPRESSED_PAYLOAD", f"cut short, or more than {MAX_PAYLOAD} octets")
    return payload


# Writing


def build(message: Hep) -> bytes:
    """The datagram of an agent: chunks in the order of their types. HepError: a value does not fit.

    Time below the microsecond is cut off.
    """
    family = {4: _AF_INET, 16: _AF_INET6}.get(len(message.source))
    if family is None or len(message.destination) != len(message.source):
        raise HepError("addresses", "two of 4 or two of 16 octets are needed")
    pair = (
        (Chunk.SOURCE_IPV4, Chunk.DESTINATION_IPV4)
        if family == _AF_INET
        else (Chunk.SOURCE_IPV6, Chunk.DESTINATION_IPV6)
    )
    seconds, rest = (None, None) if message.time is None else divmod(message.time, _SECOND)
    given: tuple[tuple[int, int | bytes | None], ...] = (
        (Chunk.IP_FAMILY, family),
        (Chunk.IP_PROTOCOL, message.protocol),
        (pair[0], message.source),
        (pair[1], message.destination),
        (Chunk.SOURCE_PORT, message.source_port),
        (Chunk.DESTINATION_PORT, message.destination_port),
        (Chunk.SECONDS, seconds),
        (Chunk.MICROSECONDS, None if rest is None else rest // _MICRO),
        (Chunk.PROTOCOL_TYPE, message.kind),
        (Chunk.CAPTURE_AGENT, message.agent),
        (Chunk.KEEPALIVE_TIMER, message.keepalive),
        (Chunk.AUTHENTICATE_KEY, message.key),
        (Chunk.PAYLOAD, message.payload),
        (Chunk.CORRELATION_ID, message.correlation),
        (Chunk.VLAN, message.vlan),
    )
    body = b"".join(_chunk(type_, value) for type_, value in given if value is not None)
    if _HEAD.size + len(body) > MAX_LENGTH:
        raise HepError("header", f"{_HEAD.size + len(body)} octets, at most {MAX_LENGTH}")
    return _HEAD.pack(MAGIC, _HEAD.size + len(body)) + body


def _chunk(type_: int, value: int | bytes) -> bytes:
    width = _WIDTHS[type_]
    if isinstance(value, int):
        if not 0 <= value < 1 << 8 * width:
            raise HepError(Chunk(type_).name, f"not a number of {8 * width} bits")
        value = value.to_bytes(width, "big")
    if _CHUNK.size + len(value) > MAX_LENGTH:
        raise HepError(Chunk(type_).name, f"{len(value)} octets do not fit")
    return _CHUNK.pack(type_, _CHUNK.size + len(value)) + value


# Streams


class Splitter(UnitSplitter[HepError]):
    """Whole messages of one connection (HEP over TCP or TLS), which are at most 65 535 octets long."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(HepError)

    def _end(self, octets: bytes | bytearray, at: int) -> int | None:
        there = len(octets) - at
        if there < _HEAD.size:
            return None
        magic, length = _HEAD.unpack_from(octets, at)
        if magic != MAGIC:
            raise _no_hep3(octets[at : at + 1])
        if length < _HEAD.size:
            raise HepError("header", f"length {length}")
        return at + length if length <= there else None
