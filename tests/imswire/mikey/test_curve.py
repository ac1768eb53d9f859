"""Arithmetic of points: the curve of ECCSI against the cryptography package, and the corners of addition."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from imswire import mikey
from imswire.mikey.curve import Point
from imswire.mikey.eccsi import BASE, CURVE


@settings(max_examples=20)
@given(st.integers(1, CURVE.order - 1))
def test_multiples_agree_with_the_library(factor):
    numbers = ec.derive_private_key(factor, ec.SECP256R1()).public_key().public_numbers()
    found = CURVE.multiply(factor, BASE)
    assert found == (numbers.x, numbers.y) and CURVE.has(found)
    assert CURVE.read(CURVE.write(found), "test") == found


@settings(max_examples=20)
@given(st.integers(0, 1 << 64), st.integers(0, 1 << 64))
def test_addition_is_that_of_factors(first, second):
    together = CURVE.add(CURVE.multiply(first, BASE), CURVE.multiply(second, BASE))
    assert together == CURVE.multiply(first + second, BASE)


def test_infinity():
    assert CURVE.multiply(CURVE.order, BASE) is None and CURVE.multiply(0, BASE) is None
    assert CURVE.multiply(5, None) is None and CURVE.negative(None) is None
    assert CURVE.add(None, BASE) == BASE == CURVE.add(BASE, None)
    assert CURVE.add(BASE, CURVE.negative(BASE)) is None
    assert CURVE.add(BASE, BASE) == CURVE.multiply(2, BASE)
    assert CURVE.double((1, 0, 1)) == (1, 1, 0)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        CURVE.write(BASE)[:-1],
        b"\x02" + CURVE.write(BASE)[1:],
        CURVE.write(BASE)[:-1] + b"\0",
        CURVE.write(Point(CURVE.p, BASE.y)),
    ],
)
def test_what_is_no_point(octets):
    with pytest.raises(mikey.MikeyError):
        CURVE.read(octets, "test")
