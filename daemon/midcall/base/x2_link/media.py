"""X3 PDUs as datagrams: IP packets (formats 5 and 6) and RTP (format 8) with what stands in their headers.

The session description of attribute 22 holds for the later PDUs of its XID and Correlation ID, until the next one
(TS 103 221-2 5.3.23).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec import Struct

from imswire import inet
from imswire.x2x3 import AttributeType, Packet, PayloadFormat, Pdu
from midcall.base.bounded import BoundedTable
from midcall.events import MediaPacket

DESCRIPTIONS: Final = 8_192
"""Communications whose description is remembered: twice those of 1 500 calls with a task on both parties."""
DESCRIPTION_OCTETS: Final = 32 << 20
FORMS: Final = 4_096
_CARRIERS: Final = frozenset((PayloadFormat.IPV4, PayloadFormat.IPV6, PayloadFormat.RTP))
_DECODE: Final = inet.decoder(inet.RAW)


class X3Packet(NamedTuple):
    """One datagram of a target's media, in the form in which a tap gives it to DF3.

    ``direction``: :class:`imswire.x2x3.Direction`; ``sdp``: the description that holds for it, if any was sent.
    """

    xid: bytes
    correlation: bytes
    direction: int
    packet: MediaPacket
    sdp: bytes | None


class X3Counters(Struct):
    """PDUs that came to nothing: of another ``format``, ``malformed``, without a ``place`` or without ``time``;
    ``fragments`` wait for others of their packet."""

    format: int = 0
    malformed: int = 0
    place: int = 0
    time: int = 0
    fragments: int = 0


class _Ends(NamedTuple):
    src: bytes
    sport: int
    dst: bytes
    dport: int


class _Form(NamedTuple):
    """What PDUs that share a ``stream`` have in common. ``ends``: addresses and ports of format 8."""

    stream: Pdu
    sdp: bytes | None
    ends: _Ends | None


class X3Reader:
    """The X3 of all POIs of one DF3; descriptions are bounded in number and octets, the oldest give way."""

    def __init__(self) -> None:
        self.counters = X3Counters()
        self._descriptions: BoundedTable[tuple[bytes, bytes], bytes] = BoundedTable(
            "base.x2_link.descriptions", DESCRIPTIONS
        )
        self._octets = 0
        self._forms: BoundedTable[int, _Form] = BoundedTable("base.x2_link.x3_forms", FORMS)
        self._reassembler = inet.Reassembler()

    def x3_packets(self, packets: Iterable[Packet]) -> list[X3Packet]:
        """The datagrams in the PDUs, in their order."""
        found = []
        for packet in packets:
            form = self._form(packet.stream)
            stream = form.stream
            key = stream.xid, stream.correlation
            if form.sdp is not None and form.sdp != self._descriptions.get(key):
                self._describe(key, form.sdp)
            media = self._media(packet, form)
            if media is not None:
                sdp = self._descriptions.get(key)
                found.append(X3Packet(stream.xid, stream.correlation, stream.direction, media, sdp))
        return found

    def forget(self, xid: bytes) -> None:
        """A task has ended: its descriptions go."""
        for key in [key for key in self._descriptions if key[0] == xid]:
            self._octets -= len(self._descriptions.pop(key) or b"")

    def _form(self, stream: Pdu) -> _Form:
        # The entry keeps the PDU, so that no other one has its address.
        form = self._forms.get(id(stream))
        if form is None:
            form = _Form(stream, stream.sdp, _ends(stream) if stream.format == PayloadFormat.RTP else None)
            self._forms.put(id(stream), form)
        return form

    def _describe(self, key: tuple[bytes, bytes], sdp: bytes) -> None:
        self._octets += len(sdp) - len(self._descriptions.pop(key) or b"")
        self._octets -= len(self._descriptions.put(key, sdp) or b"")
        while self._octets > DESCRIPTION_OCTETS:
            self._octets -= len(self._descriptions.evict() or b"")

    def _media(self, packet: Packet, form: _Form) -> MediaPacket | None:
        datagram = self._datagram(packet, form)
        if datagram is None:
            return None
        if packet.time is None:
            self.counters.time += 1
            return None
        return MediaPacket(packet.time, inet.endpoint_key(datagram.dst, datagram.dport), datagram)

    def _datagram(self, packet: Packet, form: _Form) -> inet.Datagram | None:
        counters = self.counters
        if form.stream.format not in _CARRIERS:
            counters.format += 1
            return None
        octets = packet.payload
        if form.stream.format == PayloadFormat.RTP:
            if form.ends is None:
                counters.place += 1
                return None
            octets = _packet(octets, form.ends)
        found = _DECODE(octets)
        if isinstance(found, inet.Fragment):
            counters.fragments += 1
            found = self._reassembler.add(found, packet.time or 0)
            if found is None:
                return None
        if found is None or found.protocol != inet.UDP:
            counters.malformed += 1
            return None
        return found


def _ends(stream: Pdu) -> _Ends | None:
    """Where PDUs of format 8 come from and go to; None: their destination is not said."""
    dst, dport = stream.destination, stream.first(AttributeType.DESTINATION_PORT)
    src, sport = stream.source, stream.first(AttributeType.SOURCE_PORT)
    if dst is None or not isinstance(dport, int):
        return None
    if src is None or len(src) != len(dst):
        src = bytes(len(dst))
    return _Ends(src, sport if isinstance(sport, int) else 0, dst, dport)


def _packet(payload: bytes, ends: _Ends) -> bytes:
    """An IP packet around RTP that came without one, for those who write packets; empty when there is none so long."""
    src, sport, dst, dport = ends
    try:
        return inet.ip_packet(src, dst, inet.UDP, inet.udp(src, sport, dst, dport, payload))
    except inet.InetError:
        return b""
