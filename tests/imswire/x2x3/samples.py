"""PDUs that the tests of all modules use."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

from imswire import x2x3
from imswire.x2x3 import AdditionalXid, Attribute, AttributeType, Proprietary
from imswire.x2x3.attributes import FORMS

VECTORS = {
    each["name"]: bytes.fromhex(each["octets"])
    for each in json.loads((Path(__file__).parents[2] / "data/x2x3/vectors.json").read_text())["vectors"]
}
START, KEEPALIVE = VECTORS.values()
XID = bytes(range(16))
CORRELATION = b"\x01\x02\x03\x04\x05\x06\x07\x08"
TIME = 1_700_000_000_123_456_789
A4, B4 = b"\xc0\x00\x02\x01", b"\xc6\x33\x64\x07"
A6, B6 = b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01", b"\x20\x01\x0d\xb8" + bytes(11) + b"\x02"
SIP = b"BYE sip:bob@example.com SIP/2.0\r\nCall-ID: 1\r\n\r\n"
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"

EVERY = (
    Attribute(AttributeType.TS_102_232_1, b"as defined"),
    Attribute(AttributeType.TS_33_128, b"\x30\x00"),
    Attribute(AttributeType.TS_33_108, b""),
    Attribute(AttributeType.PROPRIETARY, Proprietary("vendor.example", b"\x00value")),
    Attribute(AttributeType.DOMAIN_ID, b"domain"),
    Attribute(AttributeType.NFID, b"pcscf-1"),
    Attribute(AttributeType.IPID, b"sip-in"),
    Attribute(AttributeType.SEQUENCE_NUMBER, 4_294_967_295),
    Attribute(AttributeType.TIMESTAMP, TIME),
    Attribute(AttributeType.SOURCE_IPV4, A4),
    Attribute(AttributeType.DESTINATION_IPV4, B4),
    Attribute(AttributeType.SOURCE_IPV6, A6),
    Attribute(AttributeType.DESTINATION_IPV6, B6),
    Attribute(AttributeType.SOURCE_PORT, 5062),
    Attribute(AttributeType.DESTINATION_PORT, 5060),
    Attribute(AttributeType.IP_PROTOCOL, 17),
    Attribute(AttributeType.MATCHED_TARGET, "<impu>sip:alice@example.com</impu>"),
    Attribute(AttributeType.OTHER_TARGET, "<imei>35145120840121</imei>"),
    Attribute(AttributeType.MIME_TYPE, "application/sdp"),
    Attribute(AttributeType.MIME_ENCODING, "8bit"),
    Attribute(AttributeType.ADDITIONAL_XID, AdditionalXid(XID[::-1], CORRELATION)),
    Attribute(AttributeType.SDP, SDP),
)
"""One attribute of each type, in order."""
STREAM = x2x3.Pdu(
    x2x3.PduType.X3,
    x2x3.PayloadFormat.IPV4,
    x2x3.Direction.FROM_TARGET,
    XID,
    CORRELATION,
    (Attribute(AttributeType.NFID, b"agw-1"), Attribute(AttributeType.IPID, b"media")),
)
HEAD = x2x3.X2Head(
    xid=XID,
    nfid=b"pcscf-1",
    ipid=b"sip-in",
    sequence=3,
    time=TIME,
    matched=("<impu>sip:alice@example.com</impu>",),
    others=("<imei>35145120840121</imei>",),
    correlation=CORRELATION,
)

_OWNERS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
_OCTETS = st.binary(max_size=20)
VALUES = dict.fromkeys(AttributeType, _OCTETS) | {
    AttributeType.PROPRIETARY: st.builds(Proprietary, _OWNERS, _OCTETS),
    AttributeType.SEQUENCE_NUMBER: st.integers(0, 2**32 - 1),
    AttributeType.TIMESTAMP: st.integers(0, 2**32 * 10**9 - 1),
    AttributeType.SOURCE_IPV4: st.binary(min_size=4, max_size=4),
    AttributeType.DESTINATION_IPV4: st.binary(min_size=4, max_size=4),
    AttributeType.SOURCE_IPV6: st.binary(min_size=16, max_size=16),
    AttributeType.DESTINATION_IPV6: st.binary(min_size=16, max_size=16),
    AttributeType.SOURCE_PORT: st.integers(0, 65_535),
    AttributeType.DESTINATION_PORT: st.integers(0, 65_535),
    AttributeType.IP_PROTOCOL: st.integers(0, 255),
    AttributeType.MATCHED_TARGET: _TEXTS,
    AttributeType.OTHER_TARGET: _TEXTS,
    AttributeType.MIME_TYPE: _TEXTS,
    AttributeType.MIME_ENCODING: _TEXTS,
    AttributeType.ADDITIONAL_XID: st.builds(
        AdditionalXid,
        st.binary(min_size=16, max_size=16),
        st.binary(min_size=8, max_size=8),
        st.none() | st.integers(0, 2**32 - 1),
    ),
}
assert set(VALUES) == set(FORMS)
known = st.sampled_from(AttributeType).flatmap(lambda type_: st.builds(Attribute, st.just(int(type_)), VALUES[type_]))
unknown = st.builds(Attribute, st.integers(23, 65_535), _OCTETS)
pdus = st.builds(
    x2x3.Pdu,
    st.integers(0, 65_535),
    st.integers(0, 65_535),
    st.integers(0, 65_535),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=8, max_size=8),
    st.lists(known | unknown, max_size=8).map(tuple),
    st.binary(max_size=40),
    st.tuples(st.just(0), st.integers(0, 255)),
)


def changed(octets: bytes, at: int, *values: int) -> bytes:
    """The octets with others at a place."""
    return octets[:at] + bytes(values) + octets[at + len(values) :]


def with_attributes(*tlvs: bytes, payload: bytes = b"") -> bytes:
    """An X2 PDU with these TLVs, whatever they are."""
    held = b"".join(tlvs)
    octets = x2x3.build(x2x3.Pdu(1, 9, 2, XID, payload=payload))
    return octets[:4] + (40 + len(held)).to_bytes(4, "big") + octets[8:40] + held + payload


def tlv(type_: int, value: bytes) -> bytes:
    return type_.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
