"""G.711 against the values of its tables; tests/peers/test_sox_g711.py compares with another coder."""

from __future__ import annotations

import math
import struct
from bisect import bisect_left, bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw

ALL = bytes(range(256))
DECODERS = {"alaw": decode_alaw, "ulaw": decode_ulaw}
ENCODERS = {"alaw": encode_alaw, "ulaw": encode_ulaw}
LAWS = sorted(DECODERS)


def linear(octets: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(octets) // 2}h", octets)


def octets(*samples: int) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


# ITU-T G.711 tables 1a and 2a, column 6 to 8: character signal and quantized value of the ends of segments.


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (0b1000_0000, 8031),
        (0b1000_1111, 4191),
        (0b1001_1111, 2079),
        (0b1010_1111, 1023),
        (0b1011_1111, 495),
        (0b1100_1111, 231),
        (0b1101_1111, 99),
        (0b1110_1111, 33),
        (0b1111_1110, 2),
        (0b1111_1111, 0),
    ],
)
def test_ulaw_table_2(code: int, value: int) -> None:
    """14-bit values; table 2b has the same ones, negative, with the first bit 0."""
    assert linear(decode_ulaw(bytes([code, code ^ 0x80]))) == (4 * value, -4 * value)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (0b1111_1111, 4032),
        (0b1111_0000, 2112),
        (0b1110_0000, 1056),
        (0b1101_0000, 528),
        (0b1100_0000, 264),
        (0b1011_0000, 132),
        (0b1010_0000, 66),
        (0b1000_0000, 1),
    ],
)
def test_alaw_table_1(code: int, value: int) -> None:
    """Values in units of 1/4096; even bits are inverted on the line (note 2)."""
    sent = code ^ 0x55
    assert linear(decode_alaw(bytes([sent, sent ^ 0x80]))) == (8 * value, -8 * value)


@pytest.mark.parametrize(
    ("law", "codes", "overload", "full_scale"),
    [("alaw", "34212134b4a1a1b4", 3.14, 4096 * 8), ("ulaw", "1e0b0b1e9e8b8b9e", 3.17, 8159 * 4)],
)
def test_digital_milliwatt(law: str, codes: str, overload: float, full_scale: int) -> None:
    """G.711 tables 5 and 6: 1 kHz at 0 dBm0, which is ``overload`` dB below full scale."""
    rising, top, *rest = linear(DECODERS[law](bytes.fromhex(codes)))
    assert rest == [top, rising, -rising, -top, -top, -rising]
    assert math.hypot(rising, top) == pytest.approx(full_scale * 10 ** (-overload / 20), rel=0.01)


@pytest.mark.parametrize("law", LAWS)
def test_silence_and_extremes(law: str) -> None:
    codes = ENCODERS[law](octets(0, 32_767, -32_768))
    assert codes == {"alaw": b"\xd5\xaa\x2a", "ulaw": b"\xff\x80\x00"}[law]


@pytest.mark.parametrize("law", LAWS)
def test_every_code_comes_back(law: str) -> None:
    back = ENCODERS[law](DECODERS[law](ALL))
    different = [code for code in range(256) if back[code] != code]
    assert different == ([0x7F] if law == "ulaw" else [])  # negative zero of u-law


def decision_values(law: str) -> list[int]:
    """Where one interval ends and the next begins: quantized values lie in the middle (G.711 tables, note 4)."""
    ends: list[int] = []
    for value in sorted({value for value in linear(DECODERS[law](ALL)) if value >= 0}):
        ends.append(2 * value - ends[-1] if ends else (4 if law == "ulaw" else 2 * value))
    return ends[:-1]


@pytest.mark.parametrize("law", LAWS)
def test_every_sample_gets_the_value_of_its_interval(law: str) -> None:
    """On a decision value itself the coder is free; G.191 goes up with positive ones, to zero with negative."""
    ends = decision_values(law)
    values = sorted({value for value in linear(DECODERS[law](ALL)) if value >= 0})
    samples = range(-32_768, 32_768)
    decoded = linear(DECODERS[law](ENCODERS[law](octets(*samples))))
    for sample, got in zip(samples, decoded, strict=True):
        expected = values[bisect_right(ends, sample)] if sample >= 0 else -values[bisect_left(ends, -sample)]
        assert got == expected


@pytest.mark.parametrize("law", LAWS)
def test_nothing_and_half_a_sample(law: str) -> None:
    assert DECODERS[law](b"") == b""
    assert ENCODERS[law](b"") == b""
    assert ENCODERS[law](octets(0) + b"\x01") == ENCODERS[law](octets(0))


@given(st.sampled_from(LAWS), st.binary(max_size=200))
def test_coding_is_octet_by_octet(law: str, codes: bytes) -> None:
    assert DECODERS[law](codes) == b"".join(DECODERS[law](codes[at : at + 1]) for at in range(len(codes)))
