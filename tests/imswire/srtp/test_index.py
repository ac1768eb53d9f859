"""Indices and replay windows (RFC 3711 3.3.1, 3.3.2, Appendix A)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imswire.srtp import Refusal
from imswire.srtp.index import WINDOW, ReplayWindow, RtpIndex, estimate


def test_estimate():
    assert estimate(3, None, 7) == 3 << 16 | 7
    assert estimate(0, 65_535, 0) == 1 << 16
    assert estimate(1, 0, 65_535) == 65_535
    assert estimate(0, 0, 65_535) == 65_535
    assert estimate(2, 40_000, 39_999) == 2 << 16 | 39_999


@given(st.integers(0, 2**40), st.integers(-32_000, 32_000))
def test_near_indices_are_found(highest, step):
    true = max(highest + step, 0)
    assert estimate(highest >> 16, highest & 0xFFFF, true & 0xFFFF) == true


def test_window():
    window = ReplayWindow()
    assert window.refuses(5) is None
    window.accept(5)
    assert window.refuses(5) is Refusal.REPLAYED and window.refuses(4) is None
    window.accept(4)
    assert window.refuses(4) is Refusal.REPLAYED
    window.accept(5 + WINDOW)
    assert window.refuses(5) is Refusal.TOO_OLD and window.refuses(6) is None
    window.accept(5 + 3 * WINDOW)
    assert window.refuses(4 + 3 * WINDOW) is None


@given(st.lists(st.integers(0, 3 * WINDOW)))
def test_window_accepts_each_once(indices):
    window, seen = ReplayWindow(), set()
    for index in indices:
        refusal = window.refuses(index)
        if index in seen:
            assert refusal is not None
        if refusal is None:
            window.accept(index)
            seen.add(index)


def test_counter_follows_the_packets():
    index = RtpIndex(7)
    assert index.roc == 7 and index.guess(65_535) == 7 << 16 | 65_535
    index.window.accept(index.guess(65_535))
    index.window.accept(index.guess(0))
    assert index.roc == 8 and index.guess(65_534) >> 16 == 7
