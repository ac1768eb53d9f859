"""The short way of media that no key has to open: in clear (RTP/AVP), or encrypted where there are no keys.

What the long way has found of a stream holds until something changes.
"""

from __future__ import annotations

from typing import NamedTuple

from imswire import inet
from midcall.df3.destination import Claim, Destination
from midcall.df3.stream import Stream
from midcall.events import MediaFlow

_RTP_HEADER, _VERSION_BITS = 12, 0x80


class Passing(NamedTuple):
    """A stream whose packets are content when they come from ``source``, where the session says that its sender is.

    In clear, or as captured: then no key has opened anything there.
    """

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
    if stream is None or stream.control or len(media) != 1:
        return None
    claim = media[0]
    expected = claim.flow.expected_source
    if expected is None or claim.named is not expected or stream.flow is not claim.flow:
        return None
    if not (stream.encrypted and not lane.has_opened if claim.flow.secure else stream.clear):
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
    if not flow.secure:
        claim.sources[False].known += 1
        stream.clear += 1
    elif _is_keyless(claim):
        stream.unopened += 1
        stream.encrypted += 1
    else:
        return None
    stream.packets += 1
    stream.last = time
    return stream


def _is_keyless(claim: Claim) -> bool:
    """Whether there are no keys, nor any to come, and packets go over as captured; and none is in doubt."""
    dialog = claim.dialog
    plan = dialog.plan
    return not (dialog.contexts or plan.awaiting) and plan.encrypted and not claim.sources[False].strangers
