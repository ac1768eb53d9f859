"""Key derivation of RFC 3711 B.3, RFC 6188 7 and RFC 7714 11; keys that do not show."""

from __future__ import annotations

import pytest

from imswire import srtp
from imswire.srtp.keys import SessionKeys
from tests.imswire.srtp.vectors import RFC_3711, RFC_6188, RFC_7714, VECTORS, octets


def session(policy: srtp.Policy, where: dict, key: str = "master key", salt: str = "master salt") -> SessionKeys:
    return SessionKeys(policy, srtp.MasterKey(octets(where, key), octets(where, salt)))


def test_rfc_3711_b_3():
    where = RFC_3711["B.3 key derivation (RFC; SRTCP lines computed)"]
    keys = session(srtp.AES_CM_128_HMAC_SHA1_80, where)
    assert keys.rtp.key == octets(where, "k_e") and keys.rtp.salt == octets(where, "k_s")
    assert keys.rtp.auth == octets(where, "k_a, 94 octets (HMAC-SHA-1 uses the first 20)")[:20]
    assert keys.rtcp.key == octets(where, "SRTCP k_e — computed")
    assert keys.rtcp.auth == octets(where, "SRTCP k_a (20) — computed")
    assert keys.rtcp.salt == octets(where, "SRTCP k_s — computed")


@pytest.mark.parametrize("bits", [192, 256])
def test_rfc_6188_7(bits):
    where = RFC_6188[f"AES-{bits}"]
    policy = srtp.Policy.from_sp({1: bytes([bits // 8])})
    keys = session(policy, where)
    assert keys.rtp.key == octets(where, "k_e") and keys.rtp.salt == octets(where, "k_s")
    assert keys.rtp.auth == octets(where, "k_a")
    assert keys.rtcp.key == octets(where, "SRTCP k_e — computed")


def test_aead_salt_is_padded_on_the_right():
    where = RFC_7714["RFC 7714 key derivation (computed; the RFC has no example)"]
    keys = session(srtp.AEAD_AES_128_GCM, where)
    assert keys.rtp.key == octets(where, "k_e (right padding, correct)")
    assert keys.rtp.salt == octets(where, "k_s")


def test_srtcp_label_stands_where_it_does_in_srtp():
    where = VECTORS["5. NIST CAVP values and the SRTCP label position"]
    keys = session(srtp.AES_256_CM_HMAC_SHA1_80, where, "master key (AES-256)")
    assert keys.rtp.key == octets(where, "SRTP k_e (CAVP, agrees)")
    assert keys.rtcp.key == octets(where, "SRTCP k_e deployed (48-bit)")


def test_keys_do_not_show_and_can_be_wiped():
    master = srtp.MasterKey(b"K" * 16, b"S" * 14, b"\x01")
    assert "K" * 4 not in repr(master) and "01" in repr(master)
    assert "redacted" in repr(SessionKeys(srtp.AES_CM_128_HMAC_SHA1_80, master))
    assert master == srtp.MasterKey(b"K" * 16, b"S" * 14, b"\x01") and hash(master) == hash(master)
    assert master != srtp.MasterKey(b"L" * 16, b"S" * 14, b"\x01") and master != "x"
    master.wipe()
    assert master.key == master.salt == b""
    with pytest.raises(srtp.SrtpError, match="needs a key of 16"):
        master.fits(srtp.AES_CM_128_HMAC_SHA1_80)
