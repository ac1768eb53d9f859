"""WAV headers, read back by another reader."""

from __future__ import annotations

import io
import wave
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire.errors import WireError
from imswire.wav import HEADER_LENGTH, MAX_DATA, WavError, header


def test_octets_of_the_header() -> None:
    assert header(1, 8000, 320).hex(" ", 4) == (
        "52494646 64010000 57415645 666d7420 10000000 01000100 401f0000 803e0000 02001000 64617461 40010000"
    )


@pytest.mark.parametrize(("channels", "rate"), [(1, 8000), (2, 8000), (1, 16_000), (2, 48_000)])
def test_the_standard_library_reads_it(channels: int, rate: int) -> None:
    samples = bytes(range(256)) * channels
    with wave.open(io.BytesIO(header(channels, rate, len(samples)) + samples)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (channels, 2, rate)
        assert file.readframes(1000) == samples


@pytest.mark.parametrize(
    ("channels", "rate", "octets"),
    [
        (0, 8000, 0),
        (-1, 8000, 0),
        (40_000, 8000, 0),
        (1, 0, 0),
        (2, 1 << 31, 0),
        (1, 8000, -2),
        (1, 8000, 3),
        (2, 8000, 6),
        (1, 8000, MAX_DATA + 2),
    ],
)
def test_what_no_file_can_hold(channels: int, rate: int, octets: int) -> None:
    with pytest.raises(WavError):
        header(channels, rate, octets)


def test_the_error_is_one_of_the_codecs() -> None:
    assert issubclass(WavError, WireError)


def test_the_longest_file() -> None:
    riff = header(1, 8000, MAX_DATA)[4:8]
    assert int.from_bytes(riff, "little") + 8 == MAX_DATA + HEADER_LENGTH


@given(st.integers(-5, 70_000), st.integers(-5, 1 << 33), st.integers(-5, 1 << 33))
def test_a_header_or_the_error(channels: int, rate: int, octets: int) -> None:
    with suppress(WavError):
        assert len(header(channels, rate, octets)) == HEADER_LENGTH
