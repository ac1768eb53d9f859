"""The short way of media in clear (RTP/AVP): what the long way has found of a stream holds until something changes."""

from __future__ import annotations

from typing import NamedTuple

from imswire import inet
from midcall.df3.destination import Claim, Destination
from midcall.df3.stream import Stream
from midcall.events import MediaFlow

_RTP_HEADER, _VERSION_BITS = 12, 0x80


class Passing(NamedTuple):
    """A stream whose packets are content when they come from ``source``, where the session says that its sender is."""

    stream: Stream
    claim: Claim
    claims: list[Claim]
    flow: MediaFlow
    source: bytes


def note(lane: Destination, ssrc: bytes) -> None:
    """After a packet of a stream: whether the next one may take the short way."""
    passing = _passing(lane, ssrc)
    if passing is None:
        lane.passing.pop(ssrc, None)
    else:
        lane.passing[ssrc] = passing


def _passing(lane: Destination, ssrc: bytes) -> Passing | None:
    stream = lane.streams.get(ssrc)
    media = [claim for claim in lane.claims if not claim.control]
    if stream is None or not stream.clear or stream.control or len(media) != 1:
        return None
    claim = media[0]
    expected = claim.flow.expected_source
    if claim.flow.secure or expected is None or claim.named is not expected or stream.flow is not claim.flow:
        return None
    source = inet.pack(expected.address) + expected.port.to_bytes(2, "big")
    return Passing(stream, claim, list(lane.claims), claim.flow, source)


def take(lane: Destination, time: int, source: bytes, payload: bytes) -> Stream | None:
    """The stream of a packet that is content; None: it takes the long way."""
    passing = lane.passing.get(payload[8:12])
    if passing is None:
        return None
    stream, claim, claims, flow, expected = passing
    if (
        source != expected
        or len(payload) < _RTP_HEADER
        or payload[0] & 0xC0 != _VERSION_BITS
        or 192 <= payload[1] <= 223
        or claim.until is not None
        or not claim.within(time)
        or claim.flow is not flow
        or lane.claims != claims
        or len(lane.lanes) != 1
        or lane.streams.get(payload[8:12]) is not stream
    ):
        return None
    claim.sources[False].known += 1
    stream.packets += 1
    stream.clear += 1
    stream.last = time
    return stream
