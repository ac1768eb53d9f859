"""Two tunes that the simulated users sing, as 16-bit samples at 8 kHz; told apart by ear and by frequency."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from itertools import cycle

RATE = 8_000
FRAME_SAMPLES = 160  # 20 ms
_NOTE_SAMPLES = 2_000
_LOUD = 9_000

# Frequencies in Hz: one rises, the other falls, an octave apart.
RISING = (440.0, 494.0, 554.0, 587.0, 659.0)
FALLING = (1319.0, 1175.0, 1109.0, 988.0, 880.0)


def frames(tune: tuple[float, ...]) -> Iterator[bytes]:
    """Endless frames of FRAME_SAMPLES samples, little-endian: the tune over and over."""
    return cycle(_once(tune))


@cache
def _once(tune: tuple[float, ...]) -> tuple[bytes, ...]:
    """The tune as often as it takes to end with a frame."""
    out = bytearray()
    phase = 0.0
    rounds = math.lcm(_NOTE_SAMPLES * len(tune), FRAME_SAMPLES) // (_NOTE_SAMPLES * len(tune))
    for note in tune * rounds:
        for _ in range(_NOTE_SAMPLES):
            phase += 2 * math.pi * note / RATE
            out += int(_LOUD * math.sin(phase)).to_bytes(2, "little", signed=True)
    octets = 2 * FRAME_SAMPLES
    return tuple(bytes(out[at : at + octets]) for at in range(0, len(out), octets))
