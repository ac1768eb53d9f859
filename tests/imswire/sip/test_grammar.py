"""Tokens, and cutting at separators that are not quoted."""

from __future__ import annotations

import pytest

from imswire.sip.grammar import is_token, split


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


@pytest.mark.parametrize(
    ("octets", "verdict"), [(b"INVITE", True), (b"a!%*_+`'~.-", True), (b"", False), (b"a b", False)]
)
def test_token(octets, verdict):
    assert is_token(octets) is verdict
