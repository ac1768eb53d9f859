"""One packet at a known index: RFC 7714's examples with their session keys, libsrtp's packets with master keys."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from imswire import srtp
from imswire.srtp.transform import Transform
from tests.imswire.srtp.vectors import PACKETS, RFC_3711, RFC_7714, octets


class WithSessionKeys(Transform):
    """RFC 7714 gives session keys; nothing is derived."""

    def __init__(self, policy: srtp.Policy, key: bytes, salt: bytes) -> None:
        super().__init__(policy, srtp.MasterKey(key, salt))
        self._keys.rtp_salt = self._keys.rtcp_salt = salt
        self._gcm_rtp = self._gcm_rtcp = AESGCM(key)


@pytest.mark.parametrize(("bits", "policy"), [(128, srtp.AEAD_AES_128_GCM), (256, srtp.AEAD_AES_256_GCM)])
def test_rfc_7714(bits, policy):
    where = RFC_7714
    transform = WithSessionKeys(policy, octets(where, f"key {bits}"), octets(where, "salt"))
    rtp, protected = octets(where, "RTP packet"), octets(where, f"AEAD_AES_{bits}_GCM SRTP packet")
    index = int.from_bytes(rtp[2:4], "big")
    assert transform.protect_rtp(rtp, index) == protected
    assert transform.unprotect_rtp(protected, index) == rtp
    assert transform.unprotect_rtp(protected, index + 65_536) is None
    rtcp = octets(where, "RTCP packet")
    for encrypted, name in ((True, "E = 1"), (False, "E = 0")):
        wire = octets(where, f"AEAD_AES_{bits}_GCM SRTCP packet, {name}")
        assert transform.unprotect_rtcp(wire, 16) == (rtcp, 0x5D4)
        assert transform.unprotect_rtcp(wire[:-1] + b"\x00", 16) is None
        if encrypted:
            assert transform.protect_rtcp(rtcp, 0x5D4) == wire
    assert transform.unprotect_rtcp(rtcp[:20], 16) is None


def test_unencrypted_srtcp():
    policy = srtp.Policy.from_sp({8: b"\0"})
    transform = Transform(policy, srtp.MasterKey(bytes(16), bytes(14)))
    rtcp = bytes.fromhex("81c8000bcafebabe") + b"\xab" * 16
    wire = transform.protect_rtcp(rtcp, 5)
    assert wire.startswith(rtcp) and transform.unprotect_rtcp(wire, 10) == (rtcp, 5)
    gcm = Transform(srtp.Policy.from_sp({0: b"\6", 4: b"\x0c", 8: b"\0"}), srtp.MasterKey(bytes(16), bytes(12)))
    assert gcm.unprotect_rtcp(gcm.protect_rtcp(rtcp, 5), 16) == (rtcp, 5)


def test_libsrtp_packets():
    where = PACKETS["AES_CM_128_HMAC_SHA1_80, ROC 0, SRTCP index 1 (libsrtp's first index is 1)"]
    master = srtp.MasterKey(octets(where, "master key"), octets(where, "master salt"))
    transform = Transform(srtp.AES_CM_128_HMAC_SHA1_80, master)
    assert transform.protect_rtp(octets(where, "RTP"), 0x1234) == octets(where, "SRTP")
    assert transform.unprotect_rtp(octets(where, "SRTP"), 0x1234) == octets(where, "RTP")
    assert transform.protect_rtcp(octets(where, "RTCP"), 1) == octets(where, "SRTCP")
    assert transform.unprotect_rtcp(octets(where, "SRTCP"), 10) == (octets(where, "RTCP"), 1)
    assert transform.unprotect_rtcp(octets(where, "SRTCP")[:12], 10) is None
    traps = PACKETS["The same master key, values for traps (computed)"]
    assert transform.protect_rtp(octets(where, "RTP"), 0x11234) == octets(traps, "SRTP, ROC = 1")


@pytest.mark.parametrize("bits", [192, 256])
def test_libsrtp_packets_with_long_keys(bits):
    where = PACKETS["AES_192_CM_HMAC_SHA1_80 and AES_256_CM_HMAC_SHA1_80 (libsrtp; keys of RFC 6188)"]
    master = srtp.MasterKey(octets(where, f"{bits}: master key"), octets(where, f"{bits}: master salt"))
    transform = Transform(srtp.Policy.from_sp({1: bytes([bits // 8])}), master)
    rtp = octets(where, f"{bits}: RTP")
    assert transform.protect_rtp(rtp, int.from_bytes(rtp[2:4], "big")) == octets(where, f"{bits}: SRTP")


def test_rfc_3711_b_2_key_stream():
    """The payload of a packet of zeros is the key stream."""
    where = RFC_3711["B.2 AES-CM key stream (RFC)"]
    transform = Transform(srtp.AES_CM_128_HMAC_SHA1_80, srtp.MasterKey(bytes(16), bytes(14)))
    transform._keys.rtp_key = octets(where, "session key")
    transform._keys.rtp_salt = octets(where, "counter 0 (salt already shifted; SSRC, ROC, SEQ 0)")[:14]
    stream = octets(where, "key stream blocks 0..2")
    packet = b"\x80" + bytes(11) + bytes(len(stream))
    assert transform.protect_rtp(packet, 0)[12:-10] == stream
