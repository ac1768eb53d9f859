"""The numbers of TS 103 221-2, as its tables have them."""

from imswire.x2x3.numbers import CARRIED_BY, AttributeType, PayloadFormat, PduType


def test_no_number_is_left_out():
    assert sorted(PayloadFormat) == list(range(18)) and sorted(AttributeType) == list(range(1, 23))
    assert set(CARRIED_BY) == set(PayloadFormat)


def test_who_carries_what():
    only_x2 = {number for number, kinds in CARRIED_BY.items() if kinds == {PduType.X2}}
    only_x3 = {number for number, kinds in CARRIED_BY.items() if kinds == {PduType.X3}}
    assert only_x2 == {9, 10, 11, 14} and only_x3 == {7, 8, 12, 13, 16}
