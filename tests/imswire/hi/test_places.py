"""Where the values that change stand."""

from __future__ import annotations

import pytest

from imswire.ber import BerError
from imswire.hi import CcContents, places
from tests.imswire.hi.samples import BUILT, RTP, TIME


@pytest.mark.parametrize(
    "name, form", [("cc-ipmm", CcContents.IPMM), ("cc-voip", CcContents.VOIP_CC_PDU), ("cc-33128", CcContents.TS33128)]
)
def test_payload_and_times(name, form):
    octets = BUILT[name]

    def at(path: places.Path) -> bytes:
        tlv = places.find(octets, path)
        return octets[tlv.start : tlv.end]

    assert at(places.PAYLOADS[form]) == RTP
    assert int.from_bytes(at(places.SEQUENCE), "big") == 300
    assert int.from_bytes(at(places.SECONDS), "big") == TIME // 10**9
    assert int.from_bytes(at(places.MICROSECONDS), "big") == TIME % 10**9 // 1_000


def test_what_is_not_there():
    assert places.find(BUILT["cc-voip"], places.VOIP_NUMBER).end
    with pytest.raises(BerError, match="no tag"):
        places.find(BUILT["tri-first-segment"], places.SECONDS)
    with pytest.raises(BerError, match="2 items"):
        places.find(BUILT["aggregated"], places.PAYLOADS[CcContents.IPMM])
