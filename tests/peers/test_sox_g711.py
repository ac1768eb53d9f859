"""G.711 and WAV files beside those of SoX."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imswire import g711, wav

pytestmark = pytest.mark.peer

ALL_CODES = bytes(range(256))
ALL_SAMPLES = struct.pack("<65536h", *range(-32_768, 32_768))
RAW = ["-t", "raw", "-r", "8000", "-c", "1", "-b", "16", "-e", "signed-integer", "-L"]
LAWS = {
    "al": (g711.decode_alaw, g711.encode_alaw),
    "ul": (g711.decode_ulaw, g711.encode_ulaw),
}
ROUNDING = 8
"""16-bit steps that SoX may move a sample."""
Peer = Callable[[str], Path]


def linear(octets: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(octets) // 2}h", octets)


def sox(program: Path, octets: bytes, *arguments: str) -> bytes:
    return subprocess.run([str(program), "-D", *arguments], input=octets, check=True, capture_output=True).stdout


@pytest.mark.parametrize("law", sorted(LAWS))
def test_decoding_is_the_same(peer: Peer, law: str) -> None:
    decode, _ = LAWS[law]
    theirs = sox(peer("sox"), ALL_CODES, "-t", law, "-r", "8000", "-c", "1", "-", *RAW, "-")
    assert decode(ALL_CODES) == theirs


@pytest.mark.parametrize("law", sorted(LAWS))
def test_encoding_differs_at_decision_values_only(peer: Peer, law: str) -> None:
    """SoX rounds to 13 or 14 bits before it encodes; otherwise the codes are the same."""
    decode, encode = LAWS[law]
    theirs = sox(peer("sox"), ALL_SAMPLES, *RAW, "-", "-t", law, "-")
    ours = linear(decode(encode(ALL_SAMPLES)))
    differing = 0
    for at, (mine, other) in enumerate(zip(ours, linear(decode(theirs)), strict=True)):
        assert other in (mine, ours[max(0, at - ROUNDING)], ours[min(65_535, at + ROUNDING)])
        differing += mine != other
    assert differing < 2_000


def test_a_wav_file(peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    path.write_bytes(wav.header(2, 8000, len(ALL_SAMPLES)) + ALL_SAMPLES)
    stereo = [*RAW[:5], "2", *RAW[6:]]
    assert sox(peer("sox"), b"", str(path), *stereo, "-") == ALL_SAMPLES
