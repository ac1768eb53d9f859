"""Many voices in SRTP from one thread: each sends a packet in 20 ms, all by few system calls (sendmmsg)."""

from __future__ import annotations

import ctypes
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from struct import Struct
from typing import Any, NamedTuple

from pylibsrtp import Policy, Session, _binding

FRAME_NS = 20_000_000
SLICES = 20
"""In which the packets of a frame go: one each millisecond."""
VOICE = bytes(160)
HEADER = 12
CLEAR = HEADER + len(VOICE)
PROTECTED = CLEAR + 10
SLOT = 256
"""Octets kept for a packet: header, voice, and what SRTP puts behind, with room for what it uses meanwhile."""
_RTP = Struct("!BBHII").pack_into
_IOVEC = Struct("@PN")
_MMSGHDR = Struct("@PI4xPNPNi4xI4x")
_SOCKADDR = Struct("@H2s4s8x")
_libc = ctypes.CDLL(None, use_errno=True)


class Voice(NamedTuple):
    """A stream: where it goes (IPv4), SSRC, payload type, next sequence number, SRTP key and salt (AES-CM-128, 80), and
    where it comes from, for who builds whole frames.
    """

    address: bytes
    port: int
    ssrc: int
    kind: int
    sequence: int
    key: bytes
    origin: tuple[bytes, int] = (b"\x7f\0\0\1", 9)


Slot = tuple[int, Any, Any, int, int, int]
"""Where a packet of a voice is to stand: place in the buffer, the same as a pointer; then its session of libsrtp,
payload type, first sequence number, SSRC.
"""


def protect(packets: bytearray, slots: Iterable[Slot], frame: int) -> None:
    """Write the packet of each voice in one frame, protected. RuntimeError."""
    srtp_protect, length = _binding.lib.srtp_protect, _binding.ffi.new("int *")
    for at, pointer, session, kind, sequence, ssrc in slots:
        number = sequence + frame
        _RTP(packets, at, 0x80, kind, number & 0xFFFF, 160 * number & 0xFFFFFFFF, ssrc)
        packets[at + HEADER : at + CLEAR] = VOICE
        length[0] = CLEAR
        if srtp_protect(session, pointer, length):
            raise RuntimeError("libsrtp protects nothing")


class Voices:
    """``sent`` counts packets, ``late`` frames that began one frame behind their time; ``times`` is when each began,
    wall ns.
    """

    def __init__(self, sock: socket.socket, voices: Sequence[Voice]) -> None:
        self.sent = 0
        self.late = 0
        self.times: list[int] = []
        self._socket = sock
        self._frame = 0
        self._sessions = [
            Session(Policy(key=each.key, ssrc_type=Policy.SSRC_SPECIFIC, ssrc_value=each.ssrc)) for each in voices
        ]
        self.count = count = len(voices)
        self._packets = bytearray(SLOT * count)
        # The kernel reads all three while they stand where they are: in this object, of one size for ever.
        self._names = bytearray(_SOCKADDR.size * count)
        self._vectors = bytearray(_IOVEC.size * count)
        self._messages = bytearray(_MMSGHDR.size * count)
        packets, names, vectors, self._at = map(_address, (self._packets, self._names, self._vectors, self._messages))
        slots = _binding.ffi.cast("char *", packets)
        self._voices = [
            (SLOT * place, slots + SLOT * place, session._srtp[0], each.kind, each.sequence, each.ssrc)
            for place, (each, session) in enumerate(zip(voices, self._sessions, strict=True))
        ]
        for place, each in enumerate(voices):
            name, vector = _SOCKADDR.size * place, _IOVEC.size * place
            _SOCKADDR.pack_into(self._names, name, socket.AF_INET, each.port.to_bytes(2, "big"), each.address)
            _IOVEC.pack_into(self._vectors, vector, packets + SLOT * place, PROTECTED)
            head = names + name, _SOCKADDR.size, vectors + vector, 1, 0, 0, 0, 0
            _MMSGHDR.pack_into(self._messages, _MMSGHDR.size * place, *head)

    def _protect(self, first: int, end: int) -> None:
        """The next packet of some of them into their slots."""
        protect(self._packets, self._voices[first:end], self._frame)

    def _send(self, first: int, end: int) -> None:
        while first < end:
            messages = ctypes.c_void_p(self._at + _MMSGHDR.size * first)
            done = _libc.sendmmsg(self._socket.fileno(), messages, end - first, 0)
            if done < 0:
                raise OSError(ctypes.get_errno(), "sendmmsg")
            first += done
            self.sent += done

    def frame(self) -> None:
        """One packet of each, at once."""
        self._protect(0, self.count)
        self._send(0, self.count)
        self._frame += 1

    def run(self, seconds: float, stop: Callable[[], bool] = lambda: False, frame_ns: int = FRAME_NS) -> None:
        """A packet of each in each frame. What is late is made up for: none is left out."""
        cuts = [self.count * each // SLICES for each in range(SLICES + 1)]
        begun = time.monotonic_ns()
        for number in range(round(seconds * 1e9 / frame_ns)):
            if stop():
                return
            due = begun + number * frame_ns
            self.late += time.monotonic_ns() > due + frame_ns
            self.times.append(time.time_ns())
            for each in range(SLICES):
                self._protect(cuts[each], cuts[each + 1])
                left = due + each * frame_ns // SLICES - time.monotonic_ns()
                if left > 0:
                    time.sleep(left / 1e9)
                self._send(cuts[each], cuts[each + 1])
            self._frame += 1


def _address(octets: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(octets))
