"""The declarations themselves: one a payload, numbers that fix a length, nothing left over."""

import construct
import pytest

from imswire.mikey import layouts
from imswire.mikey.numbers import PayloadType


def test_every_payload_is_declared():
    nested_only = {PayloadType.LAST}
    assert set(layouts.PAYLOADS) == set(PayloadType) - nested_only


def test_a_number_that_is_not_known_has_no_length():
    with pytest.raises(construct.MappingError):
        layouts.PAYLOADS[PayloadType.V].parse(b"\x09")
    assert layouts.PAYLOADS[PayloadType.V].parse(b"\x01" + bytes(20)).mac == bytes(20)
    assert layouts.KEY_DATA.parse(b"\x10\0\1K\0\1S").salt == b"S"
