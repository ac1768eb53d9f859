"""Units out of a stream, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire.errors import WireError
from imswire.units import UnitSplitter


class ByLength(UnitSplitter[WireError]):
    """A unit is an octet that says how many follow; more than nine are none."""

    def __init__(self) -> None:
        super().__init__(WireError)

    def _end(self, octets, at):
        if at == len(octets):
            return None
        if octets[at] > 9:
            raise WireError(f"{octets[at]} at {self._taken + at}")
        end = at + 1 + octets[at]
        return end if end <= len(octets) else None


units = st.binary(max_size=9).map(lambda body: bytes((len(body),)) + body)


@given(st.lists(units, max_size=6), st.data())
def test_every_cut_gives_the_same_units(sent, data):
    stream, splitter, found = b"".join(sent), ByLength(), []
    while stream:
        width = data.draw(st.integers(1, len(stream)))
        found += splitter.feed(stream[:width])
        stream = stream[width:]
    assert found == sent and splitter.pending == 0 and splitter.fault is None


def test_half_a_unit_waits():
    splitter = ByLength()
    assert splitter.feed(b"\x02a") == [] and splitter.pending == 2
    assert splitter.feed(b"b\x00\x01") == [b"\x02ab", b"\x00"] and splitter.pending == 1


@pytest.mark.parametrize("step", [1, 3, 100])
def test_a_broken_stream_says_where_and_goes_no_further(step):
    splitter, found, stream = ByLength(), [], b"\x01a\x00" + b"\xff" + b"\x00"
    with pytest.raises(WireError, match="255 at 3"):
        for at in range(0, len(stream), step):
            found += splitter.feed(stream[at : at + step])
        splitter.feed(b"")
    assert found == [b"\x01a", b"\x00"] and splitter.pending == 0 and splitter.fault is not None
    with pytest.raises(WireError, match="255 at 3"):
        splitter.feed(b"\x00")


def test_a_rule_is_needed():
    with pytest.raises(NotImplementedError):
        UnitSplitter(WireError).feed(b"a")
