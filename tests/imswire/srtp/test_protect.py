"""The sending side follows its own sequence numbers."""

from __future__ import annotations

import pytest

from imswire import srtp
from tests.imswire.srtp.test_stream import SSRC, master, rtp


def test_counter_goes_up_with_the_wrap_only():
    policy = srtp.AES_CM_128_HMAC_SHA1_80
    protector = srtp.Protector(policy, master(policy))
    stream = srtp.open_stream(policy, master(policy), SSRC)
    for index in (65_534, 65_536, 65_535, 65_537):
        assert stream.unprotect(protector.protect(rtp(index))) == rtp(index)
    assert protector.roc == stream.roc == 1


def test_only_rtp():
    policy = srtp.AES_CM_128_HMAC_SHA1_80
    with pytest.raises(srtp.SrtpError):
        srtp.Protector(policy, master(policy)).protect(b"nothing")


def test_no_tag_and_mki():
    policy = srtp.Policy.from_sp({10: b"\0"})
    assert srtp.Protector(policy, master(policy, b"\x09"), mki=True).protect(rtp(1)).endswith(b"\x09")


def test_rtcp_with_and_without_mki():
    report = bytes.fromhex("80c80006cafebabe") + bytes(20)
    for policy in (srtp.AES_CM_128_HMAC_SHA1_80, srtp.AEAD_AES_128_GCM):
        bare = srtp.Protector(policy, master(policy, b"\x09")).protect_rtcp(report)
        marked = srtp.Protector(policy, master(policy, b"\x09"), mki=True).protect_rtcp(report)
        assert len(marked) == len(bare) + 1 and b"\x09" in marked
