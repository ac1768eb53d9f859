"""What a tap brings at once: the usual packet takes a short way, and those of one call take it one after the other.

With many calls under way what is kept of each is far away in memory, and to fetch it takes as long as all the rest:
so it is fetched once for all of its packets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from midcall.df3 import plain
from midcall.df3.arrival import Arrival
from midcall.df3.destination import Destination
from midcall.df3.records import ContentRecords
from midcall.df3.stream import Content, Stream
from midcall.events import Cc, MediaPacket, TapPacket

_RTP_VERSION_BITS = 0x80


class Batches:
    """``destinations`` has what is wanted at each place, ``long_way`` is the way of any packet."""

    def __init__(
        self,
        destinations: dict[bytes, list[Destination]],
        arrival: Arrival,
        long_way: Callable[[Iterable[MediaPacket]], list[Content]],
    ) -> None:
        # Open streams at places of one task alone, by place and SSRC.
        self.short: dict[bytes, Stream] = {}
        self._destinations = destinations
        self._arrival = arrival
        self._long_way = long_way
        # The CIN of what was planned last at each place.
        self._calls: dict[bytes, int] = {}

    def expect(self, place: bytes, cin: int) -> None:
        """What comes to a place is of this call, most likely."""
        self._calls[place] = cin

    def forget(self, place: bytes) -> None:
        """Nothing is wanted there any more."""
        self._calls.pop(place, None)

    def take(self, batch: Iterable[TapPacket], records: ContentRecords) -> list[Cc]:
        """Take in packets; returns records of those that are content, those of a call together in their order."""
        calls: defaultdict[int | None, list[TapPacket]] = defaultdict(list)
        call_of = self._calls.get
        for packet in batch:
            calls[call_of(packet[1])].append(packet)
        made: list[Cc] = []
        for packets in calls.values():
            self._take(packets, records, made)
        return made

    def _take(self, packets: list[TapPacket], records: ContentRecords, made: list[Cc]) -> None:
        """Packets in the order of their arrival."""
        append, find = made.append, self.short.get
        # Each packet comes through here: for the usual one nothing is called that need not be.
        for packet in packets:
            time, place, source, payload = packet
            stream = find(place + payload[8:12])
            if (
                stream is not None
                and payload[0] & 0xC0 == _RTP_VERSION_BITS
                and not 192 <= payload[1] <= 223
                and stream.start <= time < stream.end
            ):
                clear = stream.unprotect(payload)
                if isinstance(clear, bytes):
                    stream.packets += 1
                    stream.decrypted += 1
                    stream.last = stream.proved_at = time
                    stream.opened_from = source
                    known = stream.records
                    if known is None or known[0] is not stream.flow or known[1] or not known[3].open:
                        known = records.begin(stream, False)
                        if known is None:
                            continue
                    given = known[3]
                    given.last = time
                    given.octets += len(clear)
                    append((time, known[2], payload if given.wire else clear))
                    continue
                content = self._arrival.refused(self._destinations[place][0], stream, MediaPacket.of_tap(packet), clear)
                content += self._arrival.take_late()
            else:
                lanes = self._destinations.get(place)
                if lanes is None:
                    continue
                stream = plain.take(lanes[0], time, source, payload)
                if stream is not None:
                    records.add(made, time, stream, payload)
                    continue
                content = self._long_way((MediaPacket.of_tap(packet),))
                if len(lanes) == 1:
                    self._shorten(lanes[0], payload[8:12])
            made += records.of(content)

    def _shorten(self, lane: Destination, ssrc: bytes) -> None:
        """The next packet of a stream that is alone at its place, and open or in clear, takes a short way."""
        stream = lane.streams.get(ssrc)
        if stream is not None and stream.open and not stream.control:
            self.short[lane.place + ssrc] = stream
        else:
            plain.note(lane, ssrc)
