"""Tokens, and cutting at separators that are not quoted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire.sip.grammar import is_token, number, split, unfold


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a,b", ["a", "b"]),
        ("", [""]),
        ('"a,b",c', ['"a,b"', "c"]),
        ('"a\\",b",c', ['"a\\",b"', "c"]),
        ("<sip:a,b>,c", ["<sip:a,b>", "c"]),
        ('<"a>,b', ['<"a>', "b"]),
        ('"open,a', ['"open,a']),
    ],
)
def test_split(text, pieces):
    assert list(split(text, ",")) == pieces


@given(st.lists(st.sampled_from(("a", ",", "<", ">", "b;c")), max_size=12).map("".join))
def test_texts_without_quotes_are_split_alike(text):
    """One character after the other, as where there are quotes."""
    assert [piece.removesuffix('""') for piece in split(text + '""', ",")] == list(split(text, ","))


@pytest.mark.parametrize(
    ("octets", "verdict"), [(b"INVITE", True), (b"a!%*_+`'~.-", True), (b"", False), (b"a b", False)]
)
def test_token(octets, verdict):
    assert is_token(octets) is verdict


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("000", 0),
        ("9", 9),
        ("10", None),
        ("00000000000000000000000009", 9),
        ("9" * 5_000, None),
        ("", None),
        ("-1", None),
        ("\u0661", None),
    ],
)
def test_number(text, value):
    assert number(text, 9) == value


def test_unfold():
    assert unfold(b"A: x \r\n\ty\r\n  z\r\n\r\nB: w") == b"A: x y z\nB: w"
