"""The tap of media: opened by a privileged process, read and steered by a DF3 worker that has no capability.

:class:`Tap` opens a ring an interface, a filter and its maps, and passes the descriptors on. :class:`TapPort` arms
places by writing into the map: whatever goes elsewhere never leaves the kernel.
"""

from __future__ import annotations

import mmap
import socket
from collections.abc import Callable
from contextlib import ExitStack
from struct import Struct

from msgspec import Struct as Value

from imswire import inet
from midcall.base.tap import filters, quick
from midcall.base.tap.ebpf import HashMap
from midcall.base.tap.errors import MapFull
from midcall.base.tap.passing import Offer, hand_over, take
from midcall.base.tap.ring import Frame, RingCounters
from midcall.base.tap.rings import BLOCKS_A_READ, BLOCKS_OF_MEDIA, Rings, Source
from midcall.events import MediaPacket, TapPacket

KIND = "media"
_PORT = Struct("!H").pack
PLACES = 65_536
"""Places that one worker can arm, a kernel memory of about 10 MB: 16 000 two-way calls with RTCP."""
FRAGMENT_AGE = 2_000_000_000
"""Fragments of one datagram follow one another; those of unarmed ones at the same address are waited for in vain."""


class Tap:
    """The privileged side. What it opens for a worker is that worker's alone, and ends with it."""

    def __init__(self, source: Source, places: int = PLACES) -> None:
        self._source = source
        self._places = places

    def open(self) -> TapPort:
        """A tap for this process itself. NotPermitted, TapError."""
        with ExitStack() as opened:
            places = HashMap.create(filters.PLACE_OCTETS, filters.COUNTER.size, self._places, "midcall_places")
            opened.callback(places.close)
            addresses = HashMap.create(filters.ADDRESS_OCTETS, filters.COUNTER.size, self._places, "midcall_hosts")
            opened.callback(addresses.close)
            program = filters.media_filter(places.fileno(), addresses.fileno())
            port = TapPort(Rings.open(self._source, program, "midcall_media"), places, addresses, self._places)
            opened.pop_all()
        return port

    def hand_over(self, connection: socket.socket) -> None:
        """A new tap for the worker at the other end of a connected Unix seqpacket socket; nothing of it is kept.

        TapError when it cannot be opened: the worker is told why, too.
        """
        hand_over(connection, Offer(KIND, self._source.interfaces, self._source.geometry, 2, self._places), self.open)


class TapCounters(Value, frozen=True):
    """``read`` packets and ``rings`` (what the kernel says of them) since the port was opened.

    Of those read: ``undecoded`` are no datagrams after all, ``cut`` were longer than a block of the ring.
    ``fragments`` came, and ``given_up`` datagrams never became whole: most are others' at the same addresses.
    """

    armed: int
    read: int
    undecoded: int
    cut: int
    fragments: int
    given_up: int
    rings: tuple[RingCounters, ...]

    @property
    def dropped(self) -> int:
        """Packets that were to be intercepted, and for which the rings had no room."""
        return sum(ring.dropped for ring in self.rings)


class TapPort:
    """The worker's side: arms and disarms places, reads what goes there. Owns the descriptors.

    A place is an :func:`imswire.inet.endpoint_key`, as in :class:`midcall.events.MediaPacket`.
    """

    def __init__(self, rings: Rings, places: HashMap, addresses: HashMap, bound: int) -> None:
        self._rings = rings
        self._bound = bound
        self._places = places
        self._addresses = addresses
        self._armed: set[bytes] = set()
        self._of_address: dict[bytes, int] = {}
        self._decode = inet.decoder(inet.ETHERNET)
        self._fragments = inet.Reassembler(max_age_ns=FRAGMENT_AGE)
        self._read = self._undecoded = self._cut = self._fragments_seen = 0

    @classmethod
    def receive(cls, connection: socket.socket) -> TapPort:
        """What :meth:`Tap.hand_over` passes on. Waits as long as the socket does; no capability is needed. TapError."""
        offer, descriptors = take(connection, KIND)
        *rings, places, addresses = descriptors
        with ExitStack() as opened:
            maps = (
                HashMap(places, filters.PLACE_OCTETS, filters.COUNTER.size),
                HashMap(addresses, filters.ADDRESS_OCTETS, filters.COUNTER.size),
            )
            for each in maps:
                opened.callback(each.close)
            port = cls(Rings.attach(rings, offer.geometry), *maps, offer.entries)
            opened.pop_all()
        return port

    def descriptors(self) -> list[int]:
        """Rings first, then the two maps: what is passed on."""
        return [*self._rings.filenos(), self._places.fileno(), self._addresses.fileno()]

    # Steering

    def arm(self, place: bytes) -> bool:
        """Let packets to ``place`` through from now on; False: they are already. MapFull."""
        if place in self._armed:
            return False
        key = filters.place_key(place)
        address = key[: filters.ADDRESS_OCTETS]
        if len(self._armed) >= self._bound:
            raise MapFull(f"{self._bound} places are armed, which is all that this tap has room for")
        if address not in self._of_address:
            self._addresses.add(address, filters.NO_PACKETS)  # before the place: no fragment is to be missed
        self._of_address[address] = self._of_address.get(address, 0) + 1
        self._armed.add(place)
        try:
            self._places.add(key, filters.NO_PACKETS)
        except MapFull:
            self.disarm(place)
            raise
        return True

    def disarm(self, place: bytes) -> int:
        """Let no more packets to ``place`` through; returns how many there were. What is in the ring is still read."""
        if place not in self._armed:
            return 0
        self._armed.discard(place)
        key = filters.place_key(place)
        value = self._places.pop(key)
        address = key[: filters.ADDRESS_OCTETS]
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]
            self._addresses.delete(address)
        return _count(value)

    @property
    def armed(self) -> frozenset[bytes]:
        return frozenset(self._armed)

    def packets(self, place: bytes) -> int:
        """How many packets to an armed place the kernel let through, fragments behind the first not counted."""
        return _count(self._places.get(filters.place_key(place)))

    # Reading

    def filenos(self) -> list[int]:
        """For the event loop: each is readable when there is something for :meth:`read`."""
        return self._rings.filenos()

    def read(self, blocks: int = BLOCKS_A_READ) -> list[MediaPacket]:
        """Datagrams to armed places in the order of their times, the parts of those in fragments joined.

        None when nothing is ready, or what was ready was of no whole datagram. At most ``blocks`` of each ring are read
        at once: while there are more, the descriptors stay readable.
        """
        packets: list[MediaPacket] = []
        for frames in self._rings.batches(blocks):
            self._sort(frames, packets.append)
        return packets

    def media(self, blocks: int = BLOCKS_OF_MEDIA) -> list[TapPacket]:
        """The same datagrams as :meth:`read` gives, without the frames around them, for who has no time."""
        packets: list[TapPacket] = []
        append = packets.append

        def other(frame: Frame) -> None:
            datagram = self._datagram(*frame)
            if datagram is not None:
                source = datagram.src + _PORT(datagram.sport)
                append((frame[0], inet.endpoint_key(datagram.dst, datagram.dport), source, datagram.payload))

        def take(octets: mmap.mmap, position: int, count: int) -> None:
            quick.read(octets, position, count, append, other)

        self._read += self._rings.visit(take, blocks)
        if len(self._rings) > 1:
            packets.sort(key=_time)
        return packets

    def _sort(self, frames: list[Frame], append: Callable[[MediaPacket], None]) -> None:
        self._read += len(frames)
        for time, frame, original in frames:
            datagram = self._datagram(time, frame, original)
            if datagram is not None:
                append(MediaPacket(time, inet.endpoint_key(datagram.dst, datagram.dport), datagram))

    def _datagram(self, time: int, frame: bytes, original: int) -> inet.Datagram | None:
        """What a frame holds, or completes."""
        datagram = self._decode(frame)
        if isinstance(datagram, inet.Fragment):
            self._fragments_seen += 1
            datagram = self._fragments.add(datagram, time)
            if datagram is None:
                return None
        if datagram is None or datagram.protocol != inet.UDP:
            self._cut += original > len(frame)
            self._undecoded += 1
            return None
        return datagram

    def counters(self) -> TapCounters:
        return TapCounters(
            len(self._armed),
            self._read,
            self._undecoded,
            self._cut,
            self._fragments_seen,
            self._fragments.given_up,
            self._rings.counters(),
        )

    def close(self) -> None:
        self._rings.close()
        self._places.close()
        self._addresses.close()


def _time(packet: TapPacket) -> int:
    return packet[0]


def _count(value: bytes | None) -> int:
    return 0 if value is None else int(filters.COUNTER.unpack(value)[0])
