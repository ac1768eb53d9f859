"""Types that several modules share."""

from __future__ import annotations

import pytest

from imswire import ber
from imswire.hi import HiError, common
from imswire.hi.schema import Choice, Sequence
from tests.imswire.hi import oracles
from tests.imswire.hi.samples import TIME


def again(kind: Sequence | Choice, value: object) -> object:
    octets = ber.tlv(b"\xa0", kind.write(value))
    return kind.read(octets, ber.read(octets))


def test_times_in_both_forms():
    seconds = TIME // 10**9 * 10**9
    assert again(common.TIME_STAMP, (seconds, None)) == (seconds, None)
    assert again(common.TIME_STAMP, (TIME, common.Season.SUMMER_TIME)) == (TIME, common.Season.SUMMER_TIME)
    kind = oracles.shipped().HI2Operations.TimeStamp
    assert kind.from_ber(common.TIME_STAMP.write((TIME, 1))) is None and kind.get_val()[0] == "localTime"


class Timed:
    time: int | None = None
    season = None


def test_values_with_a_time():
    assert common.time_and_season(Timed()) is None
    assert common.timed(dict)({"time": (1, None)}) == {"time": 1, "season": None}
    assert common.timed(dict)({"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    "value",
    [
        common.NetworkId(b"OP1"),
        common.NetworkId(b"OP1", b"cscf.example.com"),
        common.NetworkId(b"OP1", b"4612345", common.ElementForm.E164),
        common.NetworkId(b"OP1", b"x", common.ElementForm.X25),
        common.NetworkId(b"OP1", b"192.0.2.1", common.ElementForm.IP),
        common.NetworkId(b"OP1", b"\x81\x01\x00", common.ElementForm.IP_ADDRESS),
    ],
)
def test_network_identifiers(value):
    assert again(common.NETWORK_ID, value) == value


def test_network_identifiers_out_of_bounds():
    for value in (common.NetworkId(b""), common.NetworkId(bytes(6)), common.NetworkId(b"O", bytes(26))):
        with pytest.raises(HiError):
            common.NETWORK_ID.write(value)


def test_national_parameters_keep_what_is_national():
    value = common.NationalParameters("SE", (b"\x82\x01x", b"\xa3\x00"))
    assert again(common.NATIONAL, value) == value
    with pytest.raises(HiError):
        common.NATIONAL.write(common.NationalParameters("SE", (b"x",)))
