"""Times, maps and keys as values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imswire import mikey
from imswire.mikey import values as v

SECOND = 1_000_000_000


def test_times_of_the_vectors():
    """eb1f0400 is 2025-01-01T00:00:00Z."""
    assert v.Timestamp(0, bytes.fromhex("eb1f040080000000")).unix_ns == 1_735_689_600 * SECOND + SECOND // 2
    assert v.Timestamp.ntp_utc_32(1_735_689_600) == v.Timestamp(3, bytes.fromhex("eb1f0400"))
    assert v.Timestamp(2, b"\0\0\0\1").unix_ns is None


def test_the_era_from_2036():
    """7 February 2036 06:28:16 UTC is zero."""
    assert v.Timestamp(3, bytes(4)).unix_ns == 2_085_978_496 * SECOND


@given(st.integers(0, 2_085_978_495 * SECOND))
def test_ntp_is_within_a_nanosecond(unix_ns):
    assert abs(v.Timestamp.ntp_utc(unix_ns).unix_ns - unix_ns) <= 1


def test_padding_for_the_iv():
    assert v.Timestamp(2, b"\1\2\3\4").for_iv == b"\0\0\0\0\1\2\3\4"
    assert v.Timestamp(3, b"\1\2\3\4").for_iv == b"\1\2\3\4\0\0\0\0"


def test_session_data():
    data = bytes.fromhex("cafebabe000000030009")
    with_roc = v.GenericSession(1, 0, True, (1,), data, b"\1")
    assert (with_roc.ssrc, with_roc.roc, with_roc.seq) == (0xCAFEBABE, 3, 9)
    without = v.GenericSession(1, 0, False, (1,), data, b"\1")
    assert (without.ssrc, without.roc, without.seq) == (0xCAFEBABE, None, None)
    assert v.GenericSession(1, 0, True, (), b"", b"").ssrc is None


def test_keys_do_not_show():
    shown = repr(v.KeyData(mikey.KeyType.TGK_SALT, b"K" * 16, b"S" * 14, v.Validity(1, b"\7")))
    assert "KKK" not in shown and "SSS" not in shown and "07" in shown
