"""Rows: spans beside octets, and both back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import ber
from midcall.handover.rows import Span, pack_spans, pieces, split, unpack_spans
from midcall.handover.values import NUMBERS, ContextKey, Kind, Run

KEY = ContextKey("LAB-1", "operator", None, 1, None, Kind.CC)
word = st.integers(0, NUMBERS - 1)


@given(st.lists(st.builds(Span, word, word, word), max_size=9), st.binary(max_size=11))
def test_spans_come_back_and_a_torn_end_is_left_out(spans: list[Span], rest: bytes) -> None:
    assert unpack_spans(pack_spans(spans) + rest) == spans


def test_a_span_knows_its_last_number_across_the_wrap() -> None:
    assert (Span(1, NUMBERS - 1, 2).last, Span(1, NUMBERS - 1, 2).end) == (0, 1)


def test_pdus_are_split_by_their_own_lengths() -> None:
    pdus = [ber.tlv(b"\x30", bytes(size)) for size in (0, 1, 127, 128, 70_000)]
    assert list(split(b"".join(pdus), 5)) == pdus
    with pytest.raises(ber.BerError):
        list(split(b"".join(pdus), 6))


@given(st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=6), max_size=6), st.integers(1, 60), word)
def test_pieces_fit_and_lose_nothing(sizes: list[list[int]], limit: int, first: int) -> None:
    runs = [Run("hi3", KEY, first, [bytes((n,)) * size for n, size in enumerate(each)]) for each in sizes]
    cut = list(pieces(runs, limit))
    assert [each for piece in cut for run in piece for each in run.numbered()] == [
        each for run in runs for each in run.numbered()
    ]
    for piece in cut:
        octets = [each for run in piece for each in run.octets]
        assert octets
        assert len(octets) == 1 or sum(map(len, octets)) <= limit
