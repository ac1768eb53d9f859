"""RTP headers and payloads (RFC 3550 5.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import srtp

PLAIN = bytes.fromhex("80e0123400000064cafebabe") + b"payload"


def test_header():
    assert srtp.rtp_header(PLAIN) == (0x60, True, 0x1234, 100, 0xCAFEBABE, 12)
    assert srtp.rtp_payload(PLAIN, srtp.rtp_header(PLAIN)) == b"payload"


def test_csrc_extension_and_padding():
    packet = bytes([0xB1]) + PLAIN[1:12] + bytes(4) + b"\xbe\xde\x00\x01" + bytes(4) + b"data\0\0\3"
    header = srtp.rtp_header(packet)
    assert header.length == 24 and srtp.rtp_payload(packet, header) == b"data"
    too_much = packet[:-1] + b"\xff"
    assert srtp.rtp_payload(too_much, header) == b""


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        PLAIN[:11],
        b"\x00" + PLAIN[1:],
        b"\x8f" + PLAIN[1:],
        b"\x90" + PLAIN[1:14],
        b"\x90" + PLAIN[1:12] + b"\0\0\xff\xff",
    ],
)
def test_no_rtp(packet):
    with pytest.raises(srtp.SrtpError):
        srtp.rtp_header(packet)


def test_rtcp_by_its_type():
    assert srtp.is_rtcp(bytes.fromhex("80c80006cafebabe"))
    assert not srtp.is_rtcp(PLAIN) and not srtp.is_rtcp(b"\x80\xc8")


@given(st.binary(max_size=64))
def test_anything_else_raises_only_its_error(packet):
    try:
        header = srtp.rtp_header(packet)
        assert header.length <= len(packet) and isinstance(srtp.rtp_payload(packet, header), bytes)
    except srtp.SrtpError:
        pass
