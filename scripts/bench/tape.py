"""Voices in SRTP that are recorded before they are played: next to nothing is left to do when a packet goes.

A tape holds every packet of every voice, each protected as it will be seen, in the order and the form in which a ring
of the kernel wants them (PACKET_TX_RING, packet(7)). The player copies a slice of it into the ring every other
millisecond, and one system call sends that: into a wire, as a mirror port does, at whose other end nobody but a tap
takes it. So the processors of the machine are left to who reads.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from pylibsrtp import Policy, Session, _binding

from imswire import inet
from scripts.bench.voices import FRAME_NS, PROTECTED, Slot, Voice, protect

SLICES = 10
"""In which the packets of a frame go: one each two milliseconds."""
SLOT = 256
"""Octets of a packet in the ring: what the kernel wants to know, and the Ethernet frame."""
FRAME_AT = 32
"""Where in a slot it expects that."""
RTP_AT = FRAME_AT + 42
LENGTH = RTP_AT + PROTECTED - FRAME_AT
SLOTS_A_PAGE = 16
ROUNDS = SLOTS_A_PAGE
"""Frames of all voices that the ring has room for: so many fill whole pages, however many voices there are."""
_UDP_CHECKSUM_AT = FRAME_AT + 40
_SEND_REQUEST = 1
_SOL_PACKET, _TX_RING, _VERSION, _QDISC_BYPASS = 263, 13, 10, 20
_TPACKET_V2 = 1
# struct tpacket2_hdr: status, octets of the packet, octets kept.
_HEAD = Struct("=III").pack_into
_REQUEST = Struct("=4I").pack


class Played(NamedTuple):
    """What a player did: packets, frames that began one frame behind their time, when each frame began (wall ns), and
    its processor time in seconds: its own, and the kernel's for it.
    """

    sent: int
    late: int
    times: list[int]
    processor: tuple[float, float]


class Player:
    """A process that records what ``voices`` say, and then plays it at ``interface`` of the namespace it is made in."""

    def __init__(self, voices: list[Voice], frames: int, path: Path, interface: str) -> None:
        """Returns when all is recorded, in a file at ``path``: 256 octets a packet. EOFError: it broke off."""
        self._ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_player, args=(theirs, voices, frames, path, interface), daemon=True)
        self._process.start()
        theirs.close()
        self._ours.recv()

    def play(self) -> None:
        """Begin."""
        self._ours.send(None)

    def wait(self) -> Played:
        """Until it has ended. EOFError: it broke off."""
        played: Played = self._ours.recv()
        self._process.join()
        return played


def _player(told: Connection, voices: list[Voice], frames: int, path: Path, interface: str) -> None:
    record(path, voices, frames)
    with closing(Ring(interface, len(voices))) as ring, path.open("rb") as tape:
        told.send(None)
        told.recv()
        before = os.times()
        late, times = play(tape.fileno(), ring, frames)
        after = os.times()
        told.send(Played(ring.sent, late, times, (after.user - before.user, after.system - before.system)))


# Recording


def record(path: Path, voices: Sequence[Voice], frames: int) -> None:
    """So many frames of each voice: a slot of the ring each, one voice after the other."""
    with path.open("wb") as file:
        for each in slots(voices, frames):
            file.write(each)


def slots(voices: Sequence[Voice], frames: int) -> Iterator[bytearray]:
    """The slots of one frame after the other; the buffer is the same each time."""
    packets = bytearray(SLOT * len(voices))
    base = _binding.ffi.from_buffer("char[]", packets)
    sessions = [Session(Policy(key=each.key, ssrc_type=Policy.SSRC_SPECIFIC, ssrc_value=each.ssrc)) for each in voices]
    spoken: list[Slot] = []
    for at, each, session in zip(range(0, len(packets), SLOT), voices, sessions, strict=True):
        _HEAD(packets, at, _SEND_REQUEST, LENGTH, LENGTH)
        packets[at + FRAME_AT : at + SLOT] = inet.udp_frame(*each.origin, each.address, each.port, bytes(PROTECTED))
        packets[at + _UDP_CHECKSUM_AT : at + RTP_AT] = bytes(2)  # none
        spoken.append((at + RTP_AT, base + at + RTP_AT, session._srtp[0], each.kind, each.sequence, each.ssrc))
    for frame in range(frames):
        protect(packets, spoken, frame)
        yield packets


# Playing


class Ring:
    """A ring of the kernel out of which packets go, at an interface; ``sent`` of them so far."""

    def __init__(self, interface: str, count: int) -> None:
        """``count``: packets of a frame."""
        self.sent = 0
        self.count = count
        self._slots = count * ROUNDS
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V2)
        self._socket.setsockopt(_SOL_PACKET, _QDISC_BYPASS, 1)
        request = _REQUEST(mmap.PAGESIZE, self._slots // SLOTS_A_PAGE, SLOT, self._slots)
        self._socket.setsockopt(_SOL_PACKET, _TX_RING, request)
        self._socket.bind((interface, 0))
        self._map = mmap.mmap(self._socket.fileno(), self._slots * SLOT)
        self._view = memoryview(self._map)
        self._next = 0

    def fill(self, tape: int, at: int, count: int) -> None:
        """Take packets from a tape, from slot ``at`` on, of which all go around the end of the ring or none."""
        begin = SLOT * self._next
        ready = os.preadv(tape, [self._view[begin : begin + SLOT * count]], SLOT * at)
        if ready != SLOT * count:
            raise EOFError("the tape has ended")
        self._next = (self._next + count) % self._slots

    def send(self, count: int) -> None:
        """What was filled in. OSError: the kernel does not take it as it is."""
        if self._socket.send(b"") != LENGTH * count:
            raise OSError("the kernel has sent less than it was given")
        self.sent += count

    def close(self) -> None:
        self._view.release()
        self._map.close()
        self._socket.close()


def play(tape: int, ring: Ring, frames: int) -> tuple[int, list[int]]:
    """All of a tape, a frame each 20 ms; what is late is made up for. How many were, and when each began (wall ns)."""
    cuts = [ring.count * each // SLICES for each in range(SLICES + 1)]
    late, times = 0, []
    begun = time.monotonic_ns()
    for frame in range(frames):
        due = begun + frame * FRAME_NS
        late += time.monotonic_ns() > due + FRAME_NS
        times.append(time.time_ns())
        for each in range(SLICES):
            first, count = cuts[each], cuts[each + 1] - cuts[each]
            if not count:
                continue
            ring.fill(tape, frame * ring.count + first, count)
            left = due + each * FRAME_NS // SLICES - time.monotonic_ns()
            if left > 0:
                time.sleep(left / 1e9)
            ring.send(count)
    return late, times
