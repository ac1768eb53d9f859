"""The values that decoding gives."""

from __future__ import annotations

import pytest

from imswire.inet.values import Datagram, Fragment
from tests.imswire.inet.samples import A4, B4, datagram_of, udp4


def test_a_datagram_knows_its_frame() -> None:
    frame = udp4(b"payload") + b"padding"
    datagram = datagram_of(frame)
    assert datagram == Datagram(A4, B4, 17, 4000, 5000, b"payload", 14, 42, 49, frame)
    assert frame[datagram.payload_offset : datagram.payload_end] == datagram.payload
    assert (datagram.seq, datagram.flags) == (0, 0)


@pytest.mark.parametrize("kind", [Datagram, Fragment])
def test_values_are_frozen(kind: type[Datagram] | type[Fragment]) -> None:
    assert kind.__struct_config__.frozen
