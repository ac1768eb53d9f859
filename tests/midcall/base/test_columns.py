"""Structures in columns are what ``struct`` makes of each."""

from __future__ import annotations

from random import Random
from struct import Struct

import pytest

from midcall.base import columns as module
from midcall.base.columns import columns

FORM = ">3sHxI2s"
ONE = Struct(FORM)


def structures(count: int) -> list[tuple[bytes, int, int, bytes]]:
    random = Random(count)
    return [(random.randbytes(3), random.getrandbits(16), random.getrandbits(32), b"%02d" % n) for n in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 64, 127, 128, 129, 255, 300, 1_000])
def test_columns_are_the_fields_of_all_structures(count):
    rows = [(first, number, wide, last[:2]) for first, number, wide, last in structures(count)]
    octets = b"".join(ONE.pack(*row) for row in rows)
    read = columns(FORM).read(b"before" + octets + b"behind", 6, count)
    assert list(zip(*read, strict=True)) == rows and len(read) == 4
    assert columns(FORM).write([field for row in rows for field in row]) == octets


def test_few_structs_are_kept_for_a_form():
    form = module.Columns(FORM)
    octets = bytes(ONE.size * 600)
    for count in range(600):
        form.read(octets, 0, count)
    assert len(form._structs) == 8 and max(form._structs) == 128
