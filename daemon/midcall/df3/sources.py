"""Where packets come from that no tag proves: only a source that something speaks for counts (RFC 3550, RFC 4961).

What speaks for a source: the session names it, a key opens what comes from there, or nothing better is known yet. RTCP
has a port of its own, so that the address of its media speaks for it; between several calls nothing but the very
address and port does.
"""

from __future__ import annotations

from collections.abc import Iterator

from imswire import inet, srtp
from imswire.sdp import Endpoint
from midcall.df3.destination import Claim, Destination
from midcall.df3.stream import Stream, stream_key
from midcall.events import MediaPacket


def speaks(destination: Destination, claims: list[Claim], claim: Claim, packet: MediaPacket) -> bool:
    """Whether the session, or a key, speaks for where a packet comes from; ``claims`` are all that it may be of."""
    if srtp.is_rtcp(packet.payload):
        return _control_named(destination, claim, packet) or _beside_media(destination, claim, packet)
    return _named(destination, claims, claim, packet) or _where_opened(destination, claim, packet)


def is_first(destination: Destination, claim: Claim, packet: MediaPacket) -> bool:
    """Media in clear prove nothing: until something is known, sources seen so far count."""
    control = srtp.is_rtcp(packet.payload)
    if len(destination.dialogs(packet.time)) > 1 or is_known(destination, claim, control=control):
        return False
    if control:
        others = {_host(each.source) for each in _of_flow(claim, control=True) if each.clear}
        return not others or _host(packet.source) in others
    seen = {each.source for each in destination.streams.values() if each.flow is claim.flow and each.clear}
    return not seen or packet.source in seen


def goes_on(destination: Destination, claim: Claim, packet: MediaPacket) -> bool:
    """Whether RTCP in clear that is under way when its session ends is of a stream that counted."""
    known = destination.streams.get(stream_key(packet.payload))
    if known is None or not known.control or known.dialog != claim.dialog.plan.dialog:
        return False
    return bool(known.clear) and known.flow.media == claim.flow.media and known.source == packet.source


def is_known(destination: Destination, claim: Claim, *, control: bool) -> bool:
    """Whether there is a source that others cannot be taken for: the named one was seen, or a key opened one.

    For RTCP any that its media come from.
    """
    if control:
        return bool(_media_hosts(claim))
    if claim.named is not None and claim.named == claim.flow.expected_source:
        return True
    return bool(_opened(destination, claim))


def _named(destination: Destination, claims: list[Claim], claim: Claim, packet: MediaPacket) -> bool:
    """From where the session says that the sender is; among several claims, in its codecs."""
    if not _is_at(packet, claim.flow.expected_source):
        return False
    alone = len(claims) == 1 and len(destination.lanes) == 1
    if not (alone or _fits(claim, packet)) or _contested(destination, claim, packet):
        return False
    expected = claim.flow.expected_source
    if claim.named is not expected and expected is not None:
        claim.named = claim.dialog.named[claim.flow.media, claim.flow.sender] = expected
    return True


def _fits(claim: Claim, packet: MediaPacket) -> bool:
    return not claim.flow.codecs or packet.payload[1] & 0x7F in claim.flow.codecs


def _where_opened(destination: Destination, claim: Claim, packet: MediaPacket) -> bool:
    """From where a key has opened something; between several dialogs that tells nothing."""
    return packet.origin in _opened(destination, claim) and len(destination.dialogs(packet.time)) == 1


def _opened(destination: Destination, claim: Claim) -> set[bytes]:
    """Where packets of a flow came from that a key has opened: the last one of each stream."""
    return {each.opened_from for each in destination.streams.values() if each.flow is claim.flow and each.opened_from}


# RTCP


def _control_named(destination: Destination, claim: Claim, packet: MediaPacket) -> bool:
    expected = claim.flow.expected_source
    if expected is None:
        return False
    if len(destination.dialogs(packet.time)) > 1:
        if not _names(claim, packet) or _contested(destination, claim, packet):
            return False
    elif packet.datagram.src != inet.pack(expected.address) and not _names(claim, packet):
        return False
    if packet.datagram.src == inet.pack(expected.address):
        claim.dialog.named[claim.flow.media, claim.flow.sender] = expected
    return True


def _beside_media(destination: Destination, claim: Claim, packet: MediaPacket) -> bool:
    return len(destination.dialogs(packet.time)) == 1 and _host(packet.source) in _media_hosts(claim)


def _media_hosts(claim: Claim) -> set[str]:
    """Addresses that the flow comes from: those named or opened, else those of what counts for want of better."""
    sure = {
        _host(inet.endpoint(each.opened_from[:-2], 0))
        for control in (False, True)
        for each in _of_flow(claim, control=control)
        if each.opened_from
    }
    expected = claim.flow.expected_source
    if expected is not None and claim.dialog.named.get((claim.flow.media, claim.flow.sender)) == expected:
        sure.add(_host(inet.endpoint(inet.pack(expected.address), expected.port)))
    return sure or {_host(each.source) for each in _of_flow(claim, control=False) if each.source}


def _of_flow(claim: Claim, *, control: bool) -> Iterator[Stream]:
    """Streams of a claim's flow, wherever they go."""
    for stream in claim.dialog.streams:
        flow = stream.flow
        if stream.control == control and flow.media == claim.flow.media and flow.sender == claim.flow.sender:
            yield stream


# Both


def _contested(destination: Destination, claim: Claim, packet: MediaPacket) -> bool:
    """Whether another call, under another task, names the same source: then nobody can say whose it is."""
    return any(
        _names(other, packet) and _call(other) != _call(claim)
        for lane in destination.lanes
        if lane is not destination
        for other in lane.standing(packet.time)
    )


def _names(claim: Claim, packet: MediaPacket) -> bool:
    """Whether a session names the very address and port that a packet comes from."""
    if srtp.is_rtcp(packet.payload):
        return _is_at(packet, claim.flow.expected_source) or _is_at(packet, claim.flow.control_source)
    return not claim.control and _is_at(packet, claim.flow.expected_source) and _fits(claim, packet)


def _is_at(packet: MediaPacket, endpoint: Endpoint | None) -> bool:
    if endpoint is None or packet.datagram.sport != endpoint.port:
        return False
    return packet.datagram.src == inet.pack(endpoint.address)


def _call(claim: Claim) -> tuple[str, str]:
    """Forks of a call are one."""
    dialog = claim.dialog.plan.dialog
    return dialog.call_id, dialog.caller_tag


def _host(source: str) -> str:
    return source.rpartition(":")[0]
