"""WAV files of linear 16-bit samples (RIFF, Multimedia Programming Interface 1.0, chapter 3)."""

from __future__ import annotations

from struct import Struct

from imswire.errors import WireError

_HEADER = Struct("<4sI4s4sIHHIIHH4sI")
HEADER_LENGTH = _HEADER.size
"""44 octets; the samples follow."""
SAMPLE_OCTETS = 2
_PCM = 1
_FORMAT_LENGTH = 16
_BEFORE_DATA = HEADER_LENGTH - 8
"""What the RIFF chunk counts besides the samples."""
MAX_DATA = 0xFFFF_FFFE - _BEFORE_DATA


class WavError(WireError):
    """Audio that no WAV file can hold."""


def header(channels: int, rate: int, data_octets: int) -> bytes:
    """What stands before ``data_octets`` of samples (little endian, channels interleaved); ``rate`` in Hz.

    WavError: more than the format can count, or not whole samples of all channels.
    """
    frame = channels * SAMPLE_OCTETS
    if not 0 < frame <= 0xFFFF or not 0 < rate * frame <= 0xFFFF_FFFF:
        raise WavError(f"{channels} channels at {rate} Hz")
    if not 0 <= data_octets <= MAX_DATA or data_octets % frame:
        raise WavError(f"{data_octets} octets for {channels} channels; at most {MAX_DATA}, whole samples")
    return _HEADER.pack(
        b"RIFF",
        _BEFORE_DATA + data_octets,
        b"WAVE",
        b"fmt ",
        _FORMAT_LENGTH,
        _PCM,
        channels,
        rate,
        rate * frame,
        frame,
        8 * SAMPLE_OCTETS,
        b"data",
        data_octets,
    )
