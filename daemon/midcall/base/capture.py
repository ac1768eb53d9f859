"""What the frames of a capture or of a mirror port hold: SIP messages over UDP and TCP, and other datagrams.

Fragments are joined, tunnels taken off. Whatever comes out is a frame of the capture's first link type: one of
another interface, or out of a tunnel, has a link header made for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
    """Frames in their order; keeps fragments and TCP connections between them.

    ``link_type`` is the capture's first; :meth:`sort` may be given frames of others. ``instant`` makes the times of
    SIP messages from those of frames. Without ``tunnels`` a datagram that looks like one is what its addresses say.
    """

    def __init__(
        self, link_type: int, instant: Callable[[int], Instant] = Instant.of_capture, *, tunnels: bool = True
    ) -> None:
        self._link_type = link_type
        self._instant = instant
        self._tunnels = tunnels
        self._decode = inet.decoder(link_type)
        self._fragments = inet.Reassembler()
        self._tcp = inet.TcpStreams()
        self._streams = SipStreams()
        self.undecoded = 0

    def sort(self, time: int, frame: bytes, number: int, link_type: int | None = None) -> Iterator[Found]:
        """What the frame brought: SIP messages (one that TCP held back may come later), or a UDP datagram."""
        if link_type is not None and link_type != self._link_type:
            decoded = self._within(inet.Inner(link_type, frame))
        else:
            decoded = self._decode(frame)
        datagram = self._whole(decoded, time)
        if datagram is None:
            return
        if datagram.protocol == inet.TCP:
            for piece in self._tcp.add(datagram, time):
                yield from self._stream(piece, time, number)
        elif datagram.protocol == inet.UDP and sip.looks_like_sip(datagram.payload.lstrip(b"\r\n")):
            source = inet.endpoint(datagram.src, datagram.sport)
            destination = inet.endpoint(datagram.dst, datagram.dport)
            yield SipSeen(datagram.payload, source, destination, self._instant(time), number)
        elif datagram.protocol == inet.UDP:
            yield datagram

    def _whole(self, decoded: inet.Datagram | inet.Fragment | None, time: int) -> inet.Datagram | None:
        """A whole datagram without its tunnels; None: nothing, or not whole yet."""
        for _ in range(inet.MAX_TUNNELS + 1):
            if decoded is None:
                self.undecoded += 1
                return None
            if isinstance(decoded, inet.Fragment):
                joined = self._fragments.add(decoded, time)
                if joined is None:
                    return None
                decoded = joined
            if decoded.protocol not in inet.TUNNELS and decoded.dport not in inet.TUNNEL_PORTS:
                return decoded
            inner = inet.inner(decoded) if self._tunnels else None
            if inner is None:  # a port that tunnels use, and no tunnel
                return decoded
            decoded = self._within(inner)
        return None

    def _within(self, found: inet.Inner) -> inet.Datagram | inet.Fragment | None:
        frame = inet.bare(self._link_type, found)
        return None if frame is None else self._decode(frame)

    def next_deadline(self) -> int | None:
        """When a connection will have waited long enough for a lost segment, by the clock of the frames."""
        return self._tcp.next_deadline()

    def deadline(self, time: int, number: int) -> Iterator[Found]:
        """What can be read without the segments whose time is up."""
        for piece in self._tcp.flush(time):
            yield from self._stream(piece, time, number)

    def finish(self, time: int, number: int) -> Iterator[Found]:
        """The capture is over: what waited for lost segments is not waited for any more."""
        for piece in self._tcp.finish():
            yield from self._stream(piece, time, number)

    def _stream(self, piece: inet.StreamData, time: int, number: int) -> Iterator[Found]:
        messages, fault = self._streams.feed(piece)
        flow = piece.flow
        source, destination = inet.endpoint(flow.src, flow.sport), inet.endpoint(flow.dst, flow.dport)
        for message in messages:
            yield SipSeen(message, source, destination, self._instant(time), number)
        if fault is not None:
            yield BrokenStream(number, source, fault)
