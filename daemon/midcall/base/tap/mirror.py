"""A mirror port as input of the POI: the SIP messages that pass there, over UDP and TCP.

:class:`MirrorTap` opens it in the privileged process and passes it on; :class:`Mirror` reads it. Tunnels are not
taken off: a user could make datagrams that look like one, with whatever addresses inside.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator

from msgspec import Struct

from imswire import inet
from midcall.base.capture import Found, FrameSorter
from midcall.base.tap import filters
from midcall.base.tap.passing import Offer, hand_over, take
from midcall.base.tap.ring import RingCounters
from midcall.base.tap.rings import BLOCKS_A_READ, Rings, Source
from midcall.events import Instant, SipSeen

KIND = "mirror"


class MirrorTap:
    """The privileged side: what goes from or to ``ports``, and nothing else, enters user space."""

    def __init__(self, source: Source, ports: Iterable[int]) -> None:
        """ValueError: no ports, too many, or none that exist."""
        self._source = source
        self._program = filters.sip_filter(ports)

    def open(self) -> Mirror:
        """For this process itself. NotPermitted, TapError."""
        return Mirror(Rings.open(self._source, self._program, "midcall_mirror"))

    def hand_over(self, connection: socket.socket) -> None:
        """To the process at the other end of a connected Unix seqpacket socket; nothing is kept. TapError."""
        hand_over(connection, Offer(KIND, self._source.interfaces, self._source.geometry), self.open)


class MirrorCounters(Struct, frozen=True):
    """``read`` frames, ``messages`` of SIP in them; ``other`` datagrams to those ports were none, ``undecoded`` frames
    no datagrams. ``broken``: how often a TCP connection could not be followed on."""

    read: int
    messages: int
    other: int
    undecoded: int
    broken: int
    rings: tuple[RingCounters, ...]

    @property
    def dropped(self) -> int:
        """Packets for which the rings had no room."""
        return sum(ring.dropped for ring in self.rings)


class Mirror:
    """The unprivileged side. What it keeps of fragments and connections has the bounds of ``imswire.inet``."""

    def __init__(self, rings: Rings) -> None:
        self._rings = rings
        self._sorter = FrameSorter(inet.ETHERNET, self._instant, tunnels=False)
        self._ahead = 0
        self._read = self._messages = self._other = self._broken = 0

    @classmethod
    def receive(cls, connection: socket.socket) -> Mirror:
        """What :meth:`MirrorTap.hand_over` passes on. Waits as long as the socket does. TapError."""
        offer, descriptors = take(connection, KIND)
        return cls(Rings.attach(descriptors, offer.geometry))

    def descriptors(self) -> list[int]:
        return self._rings.filenos()

    def filenos(self) -> list[int]:
        """For the event loop: each is readable when there is something for :meth:`read`."""
        return self._rings.filenos()

    def read(self, blocks: int = BLOCKS_A_READ) -> list[SipSeen]:
        """Messages that have become whole; at most ``blocks`` of each ring are read at once."""
        self._look_at_clocks()
        sort = self._sorter.sort
        seen: list[SipSeen] = []
        for frames in self._rings.batches(blocks):
            self._read += len(frames)
            for at, frame, _ in frames:
                seen += self._messages_of(sort(at, frame, 0))
        return seen

    def next_deadline(self) -> int | None:
        """Wall ns at which a lost segment of a TCP connection is waited for no longer."""
        return self._sorter.next_deadline()

    def deadline(self, now: int) -> list[SipSeen]:
        """Messages that can be read without the segments whose time is up."""
        self._look_at_clocks()
        return list(self._messages_of(self._sorter.deadline(now, 0)))

    def counters(self) -> MirrorCounters:
        return MirrorCounters(
            self._read, self._messages, self._other, self._sorter.undecoded, self._broken, self._rings.counters()
        )

    def close(self) -> None:
        self._rings.close()

    def _messages_of(self, found: Iterator[Found]) -> Iterator[SipSeen]:
        for each in found:
            if isinstance(each, SipSeen):
                self._messages += 1
                yield each
            elif isinstance(each, inet.Datagram):
                self._other += 1
            else:
                self._broken += 1

    def _look_at_clocks(self) -> None:
        """The ring tells the wall time; the monotonic one is as far behind it as it is now."""
        self._ahead = time.time_ns() - time.monotonic_ns()

    def _instant(self, wall: int) -> Instant:
        return Instant(wall, wall - self._ahead)
