"""WAV files written as the samples come: placed by time, gaps silent, nothing kept in memory.

16-bit PCM, one file a direction; the stereo mix is joined from two of them at the end.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from imswire import wav
from midcall.base import owner_only

SAMPLE_OCTETS = 2
FLUSH_OCTETS = 1 << 14
COPY_SAMPLES = 1 << 15
# A day at 8 kHz: two channels of it still fit the 32 bits of a RIFF size; a wrong clock makes no larger file.
MAX_OCTETS = 24 * 3600 * 8_000 * SAMPLE_OCTETS


class WavWriter:
    """One mono file; ``write`` places samples at a position, later ones behind earlier ones for speed."""

    def __init__(self, path: Path, rate: int) -> None:
        self.path = path
        self.rate = rate
        self._file: BinaryIO = owner_only.create(path)
        self._put(wav.header(1, rate, 0), 0)
        self._pending = bytearray()
        self._at = self._end = 0  # octets of samples: where pending ones begin, how many there are

    @property
    def samples(self) -> int:
        """Length of what was written so far, silence included."""
        return max(self._end, self._at + len(self._pending)) // SAMPLE_OCTETS

    def write(self, sample: int, pcm: bytes | bytearray) -> None:
        """Put 16-bit little-endian samples at position ``sample``; what is beyond a day is left out."""
        at = sample * SAMPLE_OCTETS
        if at < 0 or at + len(pcm) > MAX_OCTETS:
            return
        if at != self._at + len(self._pending):
            self._flush()
            self._at = at
        if len(pcm) >= FLUSH_OCTETS:
            self._flush()
            self._append(pcm)
            return
        self._pending += pcm
        if len(self._pending) >= FLUSH_OCTETS:
            self._flush()

    def close(self) -> None:
        """Write what is pending and the right header."""
        self._flush()
        if self._end % SAMPLE_OCTETS:
            self._end += 1
        self._file.truncate(wav.HEADER_LENGTH + self._end)
        self._put(wav.header(1, self.rate, self._end), 0)
        self._file.close()

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, bytearray()
            self._append(pending)

    def _append(self, pcm: bytes | bytearray) -> None:
        self._put(pcm, wav.HEADER_LENGTH + self._at)
        self._at += len(pcm)
        self._end = max(self._end, self._at)

    def _put(self, octets: bytes | bytearray, at: int) -> None:
        view = memoryview(octets)
        while view:
            written = os.pwrite(self._file.fileno(), view, at)
            view, at = view[written:], at + written


def write_stereo(path: Path, left: Path, right: Path, rate: int) -> None:
    """Join two mono files of one rate: ``left`` and ``right`` channel, the shorter one followed by silence."""
    start = len(wav.header(1, rate, 0))
    with left.open("rb") as first, right.open("rb") as second, owner_only.create(path) as mix:
        first.seek(start)
        second.seek(start)
        octets = max(left.stat().st_size, right.stat().st_size) - start
        mix.write(wav.header(2, rate, 2 * octets))
        while octets > 0:
            step = min(COPY_SAMPLES * SAMPLE_OCTETS, octets)
            pair = bytearray(2 * step)
            for channel, source in enumerate((first, second)):
                pcm = source.read(step).ljust(step, b"\0")
                pair[2 * channel :: 4] = pcm[0::2]
                pair[2 * channel + 1 :: 4] = pcm[1::2]
            mix.write(pair)
            octets -= step
