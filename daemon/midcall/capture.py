"""What the frames of a capture hold: SIP messages over UDP and TCP, and other datagrams; fragments joined."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from imswire import inet, sip
from midcall.base.sip_streams import SipStreams
from midcall.events import Instant, SipSeen


class BrokenStream(Struct, frozen=True):
    """A TCP connection whose SIP cannot be followed any further."""

    frame: int
    source: str
    reason: str


Found = SipSeen | inet.Datagram | BrokenStream


class FrameSorter:
    """Frames of one link type, in their order; keeps fragments and TCP connections between them."""

    def __init__(self, link_type: int) -> None:
        self._decode = inet.decoder(link_type)
        self._fragments = inet.Reassembler()
        self._tcp = inet.TcpStreams()
        self._streams = SipStreams()
        self.undecoded = 0

    def sort(self, time: int, frame: bytes, number: int) -> Iterator[Found]:
        """What the frame brought: SIP messages (one that TCP held back may come later), or a UDP datagram."""
        decoded = self._decode(frame)
        if isinstance(decoded, inet.Fragment):
            decoded = self._fragments.add(decoded, time)
        elif decoded is None:
            self.undecoded += 1
        if decoded is None:
            return
        if decoded.protocol == inet.TCP:
            for piece in self._tcp.add(decoded, time):
                yield from self._stream(piece, time, number)
        elif sip.looks_like_sip(decoded.payload.lstrip(b"\r\n")):
            source = inet.endpoint(decoded.src, decoded.sport)
            destination = inet.endpoint(decoded.dst, decoded.dport)
            yield SipSeen(decoded.payload, source, destination, Instant.of_capture(time), number)
        else:
            yield decoded

    def finish(self, time: int, number: int) -> Iterator[Found]:
        """The capture is over: what waited for lost segments is not waited for any more."""
        for piece in self._tcp.finish():
            yield from self._stream(piece, time, number)

    def _stream(self, piece: inet.StreamData, time: int, number: int) -> Iterator[Found]:
        messages, fault = self._streams.feed(piece)
        flow = piece.flow
        source, destination = inet.endpoint(flow.src, flow.sport), inet.endpoint(flow.dst, flow.dport)
        for message in messages:
            yield SipSeen(message, source, destination, Instant.of_capture(time), number)
        if fault is not None:
            yield BrokenStream(number, source, fault)
