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


SENDER_REPORT = bytes.fromhex("80c80006cafebabe") + bytes(20)
DESCRIPTION = bytes.fromhex("81ca0003cafebabe") + b"\1\5a@b.c\0"[:8]
EMPTY_BYE = bytes.fromhex("80cb0000")


@pytest.mark.parametrize(
    ("packet", "plain"),
    [
        (SENDER_REPORT, True),
        (SENDER_REPORT + DESCRIPTION, True),
        (SENDER_REPORT + EMPTY_BYE, True),
        (EMPTY_BYE, False),
        (SENDER_REPORT[:-4], False),
        (SENDER_REPORT + bytes(4), False),
        (SENDER_REPORT + b"\x80\x60\0\0", False),
        (PLAIN, False),
        (b"", False),
    ],
)
def test_rtcp_in_clear_is_rtcp_from_one_end_to_the_other(packet, plain):
    assert srtp.is_plain_rtcp(packet) is plain


@given(index=st.integers(0, 300), wanted=st.sampled_from([SENDER_REPORT, SENDER_REPORT + DESCRIPTION]))
@pytest.mark.parametrize(
    "policy", [srtp.AES_CM_128_HMAC_SHA1_80, srtp.AES_CM_128_HMAC_SHA1_32, srtp.AEAD_AES_128_GCM], ids=lambda p: p.name
)
def test_srtcp_is_none(policy, index, wanted):
    master = srtp.MasterKey(bytes([index % 256]) * policy.key_length, bytes(policy.salt_length))
    assert not srtp.is_plain_rtcp(srtp.Protector(policy, master).protect_rtcp(wanted))
