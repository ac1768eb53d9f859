"""One packet at a known index: RFC 7714's examples with their session keys, libsrtp's packets with master keys."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import structs

from imswire import srtp
from imswire.srtp.keys import derive
from imswire.srtp.transform import Transform, aes_f8
from tests.imswire.srtp.vectors import PACKETS, RFC_3711, RFC_7714, octets


class WithSessionKeys(Transform):
    """RFC 7714 gives session keys; nothing is derived."""

    def __init__(self, policy: srtp.Policy, key: bytes, salt: bytes) -> None:
        super().__init__(policy, srtp.MasterKey(key, salt))
        for direction in (self._rtp, self._rtcp):
            direction._keys = direction._keys._replace(salt=salt)
            direction._gcm = AESGCM(key)


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
    salt = octets(where, "counter 0 (salt already shifted; SSRC, ROC, SEQ 0)")[:14]
    transform._rtp._keys = transform._rtp._keys._replace(key=octets(where, "session key"), salt=salt)
    stream = octets(where, "key stream blocks 0..2")
    packet = b"\x80" + bytes(11) + bytes(len(stream))
    assert transform.protect_rtp(packet, 0)[12:-10] == stream


def test_rfc_3711_b_1_f8():
    where = RFC_3711["B.1 AES-f8 (RFC)"]
    payload, ciphertext = octets(where, "payload"), octets(where, "ciphertext")
    assert aes_f8(octets(where, "k_e"), octets(where, "k_s"), octets(where, "IV"), payload) == ciphertext
    transform = Transform(srtp.F8_128_HMAC_SHA1_80, srtp.MasterKey(bytes(16), bytes(14)))
    transform._rtp._keys = transform._rtp._keys._replace(key=octets(where, "k_e"), salt=octets(where, "k_s"))
    packet = octets(where, "RTP header") + payload
    index = int(where["ROC"], 16) << 16 | int.from_bytes(packet[2:4], "big")
    assert transform.protect_rtp(packet, index)[12:-10] == ciphertext
    assert transform.unprotect_rtp(transform.protect_rtp(packet, index), index) == packet


RTCP = bytes.fromhex("81c8000bcafebabe") + b"\xab" * 16
RTP = bytes.fromhex("800f1234decafbadcafebabe") + b"\xab" * 16


def numbered(index: int) -> bytes:
    return RTP[:2] + (index & 0xFFFF).to_bytes(2, "big") + RTP[4:]


@pytest.mark.parametrize("policy", [srtp.F8_128_HMAC_SHA1_80, srtp.AES_CM_128_HMAC_SHA1_80, srtp.AEAD_AES_128_GCM])
def test_keys_change_with_the_derivation_rate(policy):
    """The first period has the keys of no rate; those of another are made from label and period (RFC 3711 4.3.1)."""
    master = srtp.MasterKey(bytes(range(16)), bytes(range(policy.salt_length)))
    often = Transform(structs.replace(policy, derivation_rate=256), master)
    once = Transform(policy, master)
    for index in (0x1234, 0x12FF, 0x1_1234):
        packet = numbered(index)
        assert often.unprotect_rtp(often.protect_rtp(packet, index), index) == packet
        assert often.protect_rtp(packet, index) != once.protect_rtp(packet, index)
    assert often.protect_rtp(numbered(0xFF), 0xFF) == once.protect_rtp(numbered(0xFF), 0xFF)
    assert often.protect_rtcp(RTCP, 255) == once.protect_rtcp(RTCP, 255)
    assert often.protect_rtcp(RTCP, 256) != once.protect_rtcp(RTCP, 256)
    length = policy.rtcp_tag_lengths[0]
    for index in (256, 511, 255, 1 << 30):
        assert often.unprotect_rtcp(often.protect_rtcp(RTCP, index), length) == (RTCP, index)
        assert often.unprotect_rtcp(once.protect_rtcp(RTCP, index), length) == ((RTCP, index) if index < 256 else None)


def test_the_period_stands_behind_the_label():
    """x = (label || r) xor salt; the key is the key stream at x * 2^16, computed here from the formula."""
    key, salt, period = bytes(range(16)), bytes(range(14)), 0x0102_0304_0506
    x = (int.from_bytes(salt, "big") ^ (period | 0x01 << 48)) << 16
    stream = Cipher(algorithms.AES(key), modes.CTR(x.to_bytes(16, "big"))).encryptor().update(bytes(20))
    assert derive(srtp.MasterKey(key, salt), 1, 20, period) == stream


def test_media_in_clear_with_encrypted_control():
    policy = srtp.Policy.from_sp({7: b"\0"})
    transform = Transform(policy, srtp.MasterKey(bytes(16), bytes(14)))
    wire = transform.protect_rtp(RTP, 0x1234)
    assert wire.startswith(RTP) and transform.unprotect_rtp(wire, 0x1234) == RTP
    control = transform.protect_rtcp(RTCP, 1)
    assert RTCP[8:] not in control and transform.unprotect_rtcp(control, 10) == (RTCP, 1)
    null = Transform(srtp.Policy.from_sp({0: b"\0"}), srtp.MasterKey(bytes(16), bytes(14)))
    assert null.protect_rtp(RTP, 0x1234) == wire and null.protect_rtcp(RTCP, 1).startswith(RTCP)
