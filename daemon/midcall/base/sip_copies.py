"""Copies of SIP messages from a proxy to a point of interception, over one Unix seqpacket socket (DESIGN 2).

A packet is a msgpack array of copies that follow each other; its answer is the number of the last copy that is safe.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec
from msgspec import Struct

MAX_PACKET = 160_000
"""Octets of a packet: a socket's buffer takes it."""
ANSWER_OCTETS = 8


class SipCopy(Struct, frozen=True, array_like=True, gc=False):
    """A message as it was received, with addresses ("ip:port") and both clocks in ns; then the requests, each with its
    destination, as which it went on. ``asserted`` and ``heeded``: as in :class:`midcall.events.SipSeen`.
    """

    number: int
    octets: bytes
    source: str
    destination: str
    wall: int
    mono: int
    sent: tuple[tuple[str, bytes], ...] = ()
    asserted: str | None = None
    heeded: bool = True


_ARRAY = struct.Struct(">BH")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[SipCopy, ...])


def written(copy: SipCopy) -> bytes:
    """A copy as it stands in a packet."""
    return _encoder.encode(copy)


def packet(copies: Sequence[bytes]) -> bytes:
    """Of written copies, at most 65 535."""
    return _ARRAY.pack(0xDC, len(copies)) + b"".join(copies)


def copies(octets: bytes) -> tuple[SipCopy, ...]:
    """The copies of a packet. msgspec.MsgspecError: it is none."""
    return _decoder.decode(octets)


def answer(number: int) -> bytes:
    """All up to this one are safe."""
    return number.to_bytes(ANSWER_OCTETS, "big")
