"""GeneralizedTime and UTCTime, against the clock of the standard library."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire.hi import times

BASE = 1_704_164_645 * times.SECOND


@pytest.mark.parametrize(
    "text, ns",
    [
        ("20240102030405Z", BASE),
        ("20240102030405.123456Z", BASE + 123_456_000),
        ("20240102030405,5Z", BASE + 500_000_000),
        ("20240102050405+0200", BASE),
        ("20240102050405+02", BASE),
        ("20240101223405-0430", BASE),
        ("20240102030405", BASE),
        ("202401020304Z", BASE - 5 * times.SECOND),
        ("202401020304.5Z", BASE + 25 * times.SECOND),
        ("2024010203Z", BASE - 245 * times.SECOND),
        ("2024010203.5Z", BASE + (1800 - 245) * times.SECOND),
        ("20231231235960Z", 1_704_067_200 * times.SECOND),
    ],
)
def test_generalized_times(text, ns):
    assert times.of_generalized(text) == ns


@pytest.mark.parametrize(
    "text", ["", "x", "20241302030405Z", "20240230030405Z", "20240102240000Z", "20240102036000Z", "20240102030461Z",
             "00000102030405Z", "20240102030405.Z", "20240102030405z", "2024010203040٥Z"]
)  # fmt: skip
def test_no_generalized_times(text):
    assert times.of_generalized(text) is None


@pytest.mark.parametrize(
    "text, ns",
    [("240102030405Z", BASE), ("2401020304Z", BASE - 5 * times.SECOND), ("240102050405+0200", BASE)],
)
def test_utc_times(text, ns):
    assert times.of_utc(text) == ns


def test_centuries_and_no_utc_times():
    assert times.of_utc("700101000000Z") == 0
    assert times.of_utc("500101000000Z") == -631_152_000 * times.SECOND
    for text in ("", "240102030405", "20240102030405Z", "241302030405Z"):
        assert times.of_utc(text) is None


@given(st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(9999, 12, 31)))
def test_what_is_written_is_what_datetime_says(moment):
    since = moment - datetime.datetime(1970, 1, 1)
    ns = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    text = times.generalized(ns)
    assert text.startswith(moment.strftime("%Y%m%d%H%M%S").rjust(14, "0"))
    assert times.of_generalized(text) == ns and not text.endswith("0Z") or "." not in text
    assert ns < times.LAST


@given(st.integers(0, 2_524_607_999))
def test_utc_comes_back(seconds):
    assert times.of_utc(times.utc(seconds * times.SECOND)) == seconds * times.SECOND


def test_zones():
    assert times.has_zone("20240102030405Z") and times.has_zone("2024010203+01") and times.has_zone("2024010203-01")
    assert not times.has_zone("20240102030405")
