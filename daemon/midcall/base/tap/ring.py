"""A ring of packets that the kernel fills and this process reads in place: AF_PACKET, TPACKET_V3 (packet(7)).

The kernel hands over blocks of packets, each when it is full or its time is up. Times are those of
CLOCK_REALTIME at which the kernel saw the packet.
"""

from __future__ import annotations

import errno
import mmap
import os
import socket
from collections.abc import Callable, Iterator
from struct import Struct

from msgspec import Struct as Value

from midcall.base.tap.errors import NotPermitted, TapError

_SOL_PACKET = 263
_ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION, _IGNORE_OUTGOING = 1, 5, 6, 10, 23
_TPACKET_V3 = 2
_PROMISCUOUS = 1
_SO_ATTACH_BPF, _SO_LOCK_FILTER = 50, 44
_EVERY_PROTOCOL = 0x0003
_LINK_ETHERNET, _LINK_LOOPBACK = 1, 772

_USER = 1
_VLAN_VALID, _VLAN_TYPE_VALID = 1 << 4, 1 << 6
_VLAN = 0x8100
_SECOND = 1_000_000_000

_REQUEST = Struct("=7I").pack
_MEMBERSHIP = Struct("=iHH8s").pack
_COUNTS = Struct("=3I")
_INT = Struct("=i").pack
# struct tpacket_block_desc: version, offset of private data; then struct tpacket_hdr_v1.
_BLOCK = Struct("=8xIII").unpack_from
_STATUS_AT = 8
_STATUS = Struct("=I").pack_into
# struct tpacket3_hdr: the next packet, seconds, nanoseconds, octets kept, octets there were, status, offset of the
# link header; then hash, VLAN tag and its type.
_PACKET = Struct("=6IH2x4xIH").unpack_from
_TAG = Struct("!HH").pack
_TAG_OCTETS = 4
_FRAME_UNIT = 2_048
"""The kernel wants a divisor of the block; with TPACKET_V3 it means nothing else."""

Frame = tuple[int, bytes, int]
"""Wall time in ns, octets, and how many there were (more when the frame was cut)."""


class Geometry(Value, frozen=True):
    """How much waits for a reader that is late: octets in all, and no more than blocks * retire_ms of time.

    Without much traffic a packet waits for ``retire_ms``. The kernel wants octets of a block as multiples of a page;
    a packet larger than a block is cut. As it is: 48 MiB, 150 000 packets of voice, three seconds.
    """

    block_octets: int = 1 << 17
    blocks: int = 384
    retire_ms: int = 8


class RingCounters(Value, frozen=True):
    """Since the ring was opened, or attached to.

    ``packets`` that the filter let through, ``dropped`` of them because the ring was full, ``frozen``: how often it
    was. ``faults``: how often the interface was reported down.
    """

    packets: int = 0
    dropped: int = 0
    frozen: int = 0
    faults: int = 0


class Ring:
    """A packet socket with its ring; owns both. One reader, which begins with the first block."""

    def __init__(self, sock: socket.socket, geometry: Geometry) -> None:
        """A socket whose ring was set up so and not read yet, for instance one that another process passed on.

        No capability is needed. TapError: it has no such ring.
        """
        self._socket = sock
        self._geometry = geometry
        try:
            self._map = mmap.mmap(sock.fileno(), geometry.block_octets * geometry.blocks)
        except (OSError, ValueError) as why:
            sock.close()
            raise TapError(f"the ring cannot be mapped: {why}") from None
        self._next = 0
        self._packets = self._dropped = self._frozen = self._faults = 0

    @classmethod
    def open(
        cls,
        interface: str,
        geometry: Geometry | None = None,
        program: int | None = None,
        *,
        promiscuous: bool = False,
        outgoing: bool = True,
    ) -> Ring:
        """The packets of an Ethernet interface, in and (with ``outgoing``) out, that a filter program lets through.

        None of them is from before the filter, which cannot be changed or taken off any more, whoever is given the
        descriptor. On a loopback interface, where each packet goes out and in, what goes out is left away.
        NotPermitted without CAP_NET_RAW; TapError: no such interface, or none of Ethernet.
        """
        geometry = geometry or Geometry()
        try:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        except PermissionError:
            raise NotPermitted("capturing packets", "CAP_NET_RAW") from None
        except OSError as why:
            raise NotPermitted("capturing packets", f"AF_PACKET in the kernel ({why.strerror})") from None
        try:
            _set_up(sock, interface, geometry, program, promiscuous, outgoing)
        except OSError as why:
            sock.close()
            raise TapError(f"interface {interface}: {_explain(why)}") from None
        except TapError:
            sock.close()
            raise
        return cls(sock, geometry)

    @classmethod
    def attach(cls, descriptor: int, geometry: Geometry) -> Ring:
        """The ring of a descriptor that another process set up, and that is this one's from now on.

        TapError: it has no such ring; the descriptor is closed.
        """
        try:
            sock = socket.socket(fileno=descriptor)
        except OSError as why:
            os.close(descriptor)
            raise TapError(f"the descriptor of a ring is none of a socket: {why.strerror}") from None
        return cls(sock, geometry)

    def fileno(self) -> int:
        """Readable when a block is ready."""
        return self._socket.fileno()

    def read(self) -> list[Frame]:
        """The packets of the next block that is ready; none when there is no such block.

        Each is copied once, out of the block, which the kernel has back afterwards. A VLAN tag that the network card
        or the kernel has taken out is put back.
        """
        frames: list[Frame] = []
        append = frames.append

        def take(octets: mmap.mmap, position: int, count: int) -> None:
            for _ in range(count):
                step, seconds, nanoseconds, kept, original, flags, link, tag, tag_type = _PACKET(octets, position)
                begin = position + link
                frame = octets[begin : begin + kept]
                if flags & _VLAN_VALID:
                    frame = _tagged(frame, flags, tag, tag_type)
                    original += _TAG_OCTETS
                append((seconds * _SECOND + nanoseconds, frame, original))
                position += step

        self.visit(take)
        return frames

    def visit(self, take: Callable[[mmap.mmap, int, int], None]) -> int:
        """Show the next block that is ready where it stands: the ring, where its first packet is, how many it has.

        The kernel has it back when ``take`` returns. Returns how many; 0: there is no such block.
        """
        at = self._next * self._geometry.block_octets
        octets = self._map
        status, count, first = _BLOCK(octets, at)
        if not status & _USER:
            self._note_fault()
            return 0
        take(octets, at + first, count)
        _STATUS(octets, at + _STATUS_AT, 0)
        self._next = (self._next + 1) % self._geometry.blocks
        return int(count)

    def batches(self, blocks: int) -> Iterator[list[Frame]]:
        """:meth:`read`, until nothing is ready, and ``blocks`` times at most."""
        for _ in range(blocks):
            frames = self.read()
            if not frames:
                return
            yield frames

    def counters(self) -> RingCounters:
        counts = self._socket.getsockopt(_SOL_PACKET, _STATISTICS, _COUNTS.size)  # the kernel begins anew with each
        packets, dropped, frozen = _COUNTS.unpack(counts)
        self._packets += packets
        self._dropped += dropped
        self._frozen += frozen
        return RingCounters(self._packets, self._dropped, self._frozen, self._faults)

    def close(self) -> None:
        self._map.close()
        self._socket.close()

    def _note_fault(self) -> None:
        """Take an error that the socket has, lest it stay readable for nothing."""
        self._faults += self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def frame_at(octets: mmap.mmap, position: int) -> Frame:
    """One packet of a block that is shown, as :meth:`Ring.read` gives it."""
    _, seconds, nanoseconds, kept, original, flags, link, tag, tag_type = _PACKET(octets, position)
    begin = position + link
    frame = octets[begin : begin + kept]
    if flags & _VLAN_VALID:
        return seconds * _SECOND + nanoseconds, _tagged(frame, flags, tag, tag_type), original + _TAG_OCTETS
    return seconds * _SECOND + nanoseconds, frame, original


def _tagged(frame: bytes, flags: int, tag: int, tag_type: int) -> bytes:
    """A frame with its VLAN tag."""
    return b"".join((frame[:12], _TAG(tag_type if flags & _VLAN_TYPE_VALID else _VLAN, tag), frame[12:]))


def _set_up(
    sock: socket.socket, interface: str, geometry: Geometry, program: int | None, promiscuous: bool, outgoing: bool
) -> None:
    """Bound to no protocol until all is in its place, so that no packet comes too early."""
    sock.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
    frames = geometry.block_octets * geometry.blocks // _FRAME_UNIT
    request = (geometry.block_octets, geometry.blocks, _FRAME_UNIT, frames, geometry.retire_ms, 0, 0)
    sock.setsockopt(_SOL_PACKET, _RX_RING, _REQUEST(*request))
    sock.bind((interface, 0))
    link_type = sock.getsockname()[3]
    if link_type not in (_LINK_ETHERNET, _LINK_LOOPBACK):
        raise TapError(f"interface {interface}: its link type is {link_type}; the tap reads Ethernet (1, loopback 772)")
    if program is not None:
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, _INT(program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)
    if link_type == _LINK_LOOPBACK or not outgoing:
        sock.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    if promiscuous:
        index = socket.if_nametoindex(interface)
        sock.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, _MEMBERSHIP(index, _PROMISCUOUS, 0, b""))
    sock.bind((interface, _EVERY_PROTOCOL))


def _explain(why: OSError) -> str:
    if why.errno == errno.ENODEV:
        return "there is none of that name"
    if why.errno == errno.ENOMEM:
        return "no memory for the ring; fewer or smaller blocks may do"
    return str(why.strerror)
