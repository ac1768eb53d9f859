"""G.711 audio (ITU-T G.711): one octet a sample, A-law or u-law, to and from 16-bit linear samples.

Linear samples are little endian octets, as in a WAV file: 13-bit (A-law) and 14-bit (u-law) values of the
standard's tables scaled to 16 bits. Both ways are table look-ups.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack

_SIGN = 0x80
_TOGGLE_EVEN_BITS = 0x55
"""Even bits of A-law are sent inverted (G.711 table 1a, note 2)."""
_BIAS = 33
"""u-law: added before the segment is found (G.711 table 2a: decision values 2**n - 33)."""
_LARGEST_ULAW = 0x1FFF - _BIAS


def _expand_ulaw(code: int) -> int:
    code ^= 0xFF
    exponent, mantissa = code >> 4 & 7, code & 0x0F
    magnitude = ((2 * mantissa + _BIAS) << exponent) - _BIAS
    return -4 * magnitude if code & _SIGN else 4 * magnitude


def _expand_alaw(code: int) -> int:
    code ^= _TOGGLE_EVEN_BITS
    exponent, mantissa = code >> 4 & 7, code & 0x0F
    magnitude = 2 * mantissa + 1 if exponent == 0 else (2 * mantissa + 33) << (exponent - 1)
    return 8 * magnitude if code & _SIGN else -8 * magnitude


def _compress_ulaw(sample: int) -> int:
    """Values on a decision threshold go to the code above, as in ITU-T G.191's reference."""
    magnitude = (~sample if sample < 0 else sample) >> 2
    biased = min(magnitude, _LARGEST_ULAW) + _BIAS
    exponent = biased.bit_length() - 6
    code = exponent << 4 | (biased >> (exponent + 1) & 0x0F)
    return (code | _SIGN if sample < 0 else code) ^ 0xFF


def _compress_alaw(sample: int) -> int:
    """Values on a decision threshold go to the code above, as in ITU-T G.191's reference."""
    magnitude = (~sample if sample < 0 else sample) >> 4
    exponent = max(0, magnitude.bit_length() - 4)
    code = exponent << 4 | (magnitude >> max(0, exponent - 1) & 0x0F)
    return (code if sample < 0 else code | _SIGN) ^ _TOGGLE_EVEN_BITS


def _planes(expand: Callable[[int], int]) -> tuple[bytes, bytes]:
    """The low and the high octets of all 256 samples."""
    samples = [expand(code) & 0xFFFF for code in range(256)]
    return bytes(sample & 0xFF for sample in samples), bytes(sample >> 8 for sample in samples)


def _codes(compress: Callable[[int], int]) -> bytes:
    """Codes by sample; negative samples index from the end."""
    return bytes(map(compress, [*range(32_768), *range(-32_768, 0)]))


_ULAW_PLANES = _planes(_expand_ulaw)
_ALAW_PLANES = _planes(_expand_alaw)
_ULAW_CODES = _codes(_compress_ulaw)
_ALAW_CODES = _codes(_compress_alaw)


def decode_ulaw(codes: bytes | bytearray) -> bytearray:
    """u-law (PCMU) to linear samples, two octets each."""
    return _decode(codes, _ULAW_PLANES)


def decode_alaw(codes: bytes | bytearray) -> bytearray:
    """A-law (PCMA) to linear samples, two octets each."""
    return _decode(codes, _ALAW_PLANES)


def encode_ulaw(samples: bytes) -> bytes:
    """Linear samples to u-law (PCMU); an odd last octet is no sample and is left out."""
    return _encode(samples, _ULAW_CODES)


def encode_alaw(samples: bytes) -> bytes:
    """Linear samples to A-law (PCMA); an odd last octet is no sample and is left out."""
    return _encode(samples, _ALAW_CODES)


def _decode(codes: bytes | bytearray, planes: tuple[bytes, bytes]) -> bytearray:
    samples = bytearray(2 * len(codes))
    samples[::2] = codes.translate(planes[0])
    samples[1::2] = codes.translate(planes[1])
    return samples


def _encode(samples: bytes, codes: bytes) -> bytes:
    count = len(samples) // 2
    return bytes(map(codes.__getitem__, unpack(f"<{count}h", samples[: 2 * count])))
