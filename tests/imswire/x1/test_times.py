"""Times with six decimals and a zone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire.x1.times import of_text, text_of

NOON = 1_704_164_645_123_456_000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2024-01-02T03:04:05.123456Z", NOON),
        ("2024-01-02T05:04:05.123456+02:00", NOON),
        ("2024-01-01T21:34:05.123456-05:30", NOON),
        ("1970-01-01T00:00:00.000000Z", 0),
        ("1969-12-31T23:59:59.999999Z", -1_000),
        ("2024-02-29T24:00:00.000000Z", of_text("2024-03-01T00:00:00.000000Z")),
    ],
)
def test_read(text, ns):
    assert of_text(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-01-02T03:04:05Z",
        "2024-01-02T03:04:05.12345Z",
        "2024-01-02T03:04:05.1234567Z",
        "2024-01-02T03:04:05.123456",
        "2024-01-02 03:04:05.123456Z",
        "2024-13-02T03:04:05.123456Z",
        "2024-02-30T03:04:05.123456Z",
        "2024-01-02T24:00:00.000001Z",
        "2024-01-02T23:59:60.000000Z",
        "0000-01-02T03:04:05.123456Z",
        "9999-12-31T24:00:00.000000Z",
        "２０24-01-02T03:04:05.123456Z",
    ],
)
def test_no_such_time(text):
    with pytest.raises(ValueError):
        of_text(text)


def test_written_in_utc_cut_to_microseconds():
    assert text_of(NOON + 999) == "2024-01-02T03:04:05.123456Z"
    assert text_of(-1) == "1969-12-31T23:59:59.999999Z"
    for ns in (10**30, -(10**30), 253_402_300_800_000_000_000):
        with pytest.raises(ValueError):
            text_of(ns)


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_they_come_back(microseconds):
    text = text_of(microseconds * 1_000)
    assert of_text(text) == microseconds * 1_000 and len(text) == 27
