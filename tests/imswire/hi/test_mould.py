"""Holes are filled as the whole would have been built."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import ber, hi
from imswire.ber import BerError
from imswire.hi import places
from imswire.hi.mould import Mould
from tests.imswire.hi.samples import BUILT

INNER, LONG = b"\x85", b"\xbf\x81\x00"  # a primitive [5]; a constructed [128], whose identifier has three octets


def nested(first: bytes, second: bytes, third: bytes) -> bytes:
    deep = ber.tlv(b"\xa1", ber.tlv(b"\x80", b"fix") + ber.tlv(INNER, second) + ber.tlv(b"\x87", b"more"))
    string = ber.tlv(b"\x84", ber.tlv(b"\x30", ber.tlv(INNER, third)))
    return ber.tlv(b"\x30", ber.tlv(INNER, first) + ber.tlv(LONG, deep) + string + ber.tlv(b"\x88", b"end"))


PATHS: tuple[places.Path, ...] = ((5,), (128, 1, 5), (4, None, 5))
VALUES = st.one_of(st.binary(max_size=4), st.integers(100, 300).map(bytes), st.sampled_from([bytes(65_536)]))


@given(VALUES, VALUES, VALUES)
def test_any_sizes(first, second, third):
    mould = Mould(nested(b"", bytes(200), b"x"), PATHS)
    assert mould.filled(first, second, third) == nested(first, second, third)
    pieces = mould.pieces(len(first), len(second), len(third))
    assert b"".join(each for pair in zip(pieces, (first, second, third, b""), strict=True) for each in pair) == nested(
        first, second, third
    )


def test_what_is_put_in_again_gives_the_same():
    octets = BUILT["cc-ipmm"]
    path = places.PAYLOADS[hi.CcContents.IPMM]
    tlv = places.find(octets, path)
    assert Mould(octets, (path,)).filled(octets[tlv.start : tlv.end]) == octets


def test_a_path_that_leads_nowhere():
    with pytest.raises(BerError, match="no tag"):
        Mould(nested(b"", b"", b""), ((9,),))
    with pytest.raises(ValueError, match="argument"):
        Mould(nested(b"", b"", b""), PATHS).pieces(1)
