"""The rings of several interfaces under one filter: a line is often tapped at two, one for each direction."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from msgspec import Struct

from midcall.base.tap.ebpf import load_socket_filter
from midcall.base.tap.errors import TapError
from midcall.base.tap.ring import Frame, Geometry, Ring, RingCounters

MAX_INTERFACES = 16
BLOCKS_A_READ = 8
"""Of each ring at once: some 3 500 packets of voice, few enough to be still in the processor's cache afterwards."""
BLOCKS_OF_MEDIA = 64
"""The same where all that came is to be taken together: 30 000 packets of voice, 16 MB until they are written."""


class Source(Struct, frozen=True):
    """Where packets are taken, and how they wait; ``outgoing``: also those that this host sends."""

    interfaces: tuple[str, ...]
    geometry: Geometry = Geometry()
    promiscuous: bool = False
    outgoing: bool = True

    def __post_init__(self) -> None:
        if not 0 < len(self.interfaces) <= MAX_INTERFACES:
            raise TapError(f"1 to {MAX_INTERFACES} interfaces can be tapped, not {len(self.interfaces)}")


class Rings:
    """Reads its rings as if they were one. Owns them."""

    def __init__(self, rings: Sequence[Ring]) -> None:
        self._rings = tuple(rings)

    @classmethod
    def open(cls, source: Source, program: bytes, name: str) -> Rings:
        """One an interface, all behind the same filter program. NotPermitted, ProgramRefused, TapError."""
        with ExitStack() as opened:
            descriptor = load_socket_filter(program, name)
            rings: list[Ring] = []
            try:
                for interface in source.interfaces:
                    ring = Ring.open(
                        interface,
                        source.geometry,
                        descriptor,
                        promiscuous=source.promiscuous,
                        outgoing=source.outgoing,
                    )
                    opened.callback(ring.close)
                    rings.append(ring)
            finally:
                os.close(descriptor)  # the sockets keep the program
            opened.pop_all()
        return cls(rings)

    @classmethod
    def attach(cls, descriptors: Sequence[int], geometry: Geometry) -> Rings:
        """Those of descriptors that another process has passed on; all are closed when one is of no ring. TapError."""
        with ExitStack() as opened:
            rings: list[Ring] = []
            for place, descriptor in enumerate(descriptors):
                try:
                    rings.append(Ring.attach(descriptor, geometry))
                except TapError:
                    for left in descriptors[place + 1 :]:
                        os.close(left)
                    raise
                opened.callback(rings[-1].close)
            opened.pop_all()
        return cls(rings)

    def __len__(self) -> int:
        return len(self._rings)

    def filenos(self) -> list[int]:
        """For the event loop: each is readable when there is something to read."""
        return [ring.fileno() for ring in self._rings]

    def batches(self, blocks: int = BLOCKS_A_READ) -> Iterator[list[Frame]]:
        """Frames in the order of their times; at most ``blocks`` of each ring, which stays readable if it has more.

        Between interfaces the order is that of what is read at once: a packet that waits in a block of its ring may
        come after a later one of another ring.
        """
        if len(self._rings) == 1:
            yield from self._rings[0].batches(blocks)
            return
        frames = [frame for ring in self._rings for block in ring.batches(blocks) for frame in block]
        frames.sort(key=_time)
        if frames:
            yield frames

    def visit(self, take: Callable[[mmap.mmap, int, int], None], blocks: int = BLOCKS_A_READ) -> int:
        """Blocks where they stand (:meth:`Ring.visit`), those of one ring before those of the next; how many packets
        they had. What stays readable is as in :meth:`batches`.
        """
        packets = 0
        for ring in self._rings:
            for _ in range(blocks):
                count = ring.visit(take)
                if not count:
                    break
                packets += count
        return packets

    def counters(self) -> tuple[RingCounters, ...]:
        return tuple(ring.counters() for ring in self._rings)

    def close(self) -> None:
        for ring in self._rings:
            ring.close()


def _time(frame: Frame) -> int:
    return frame[0]
