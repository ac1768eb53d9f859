"""Keys of a=crypto: the examples of RFC 4568, every suite, and what is refused by name."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import sdp, srtp
from imswire.srtp import sdes

KEY = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"


def line(value: str) -> tuple[srtp.SdesKey, ...]:
    """The keys of a whole attribute, as a session description has it."""
    text = f"v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 9 RTP/SAVP 0\r\na=crypto:{value}\r\n"
    (crypto,) = sdp.parse(text.encode()).media[0].crypto
    return sdes.keys(crypto.suite, crypto.key_params, crypto.session_params)


def test_rfc_4568_4_1():
    """The first example: key and salt, a lifetime of 2^20 packets, MKI 1 of 4 octets, FEC before SRTP."""
    (key,) = line(f"1 AES_CM_128_HMAC_SHA1_80 {KEY}|2^20|1:4 FEC_ORDER=FEC_SRTP")
    assert key.policy == srtp.AES_CM_128_HMAC_SHA1_80 and key.lifetime == 1 << 20
    assert (
        key.master.key == b"YS___semctl () {"
        and key.master.salt == b"\t220;}\n}\nunles"
        and key.master.mki == bytes(3) + b"\1"
    )


def test_rfc_4568_several_keys():
    first, second = line(
        "1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4;"
        "inline:QUJjZGVmMTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5|2^20|2:4 FEC_ORDER=FEC_SRTP"
    )
    assert (first.master.mki, second.master.mki) == (bytes(3) + b"\1", bytes(3) + b"\2")


@pytest.mark.parametrize("suite", sdes.SUITES)
def test_every_suite_protects(suite):
    policy = sdes.SUITES[suite]
    material = b64encode(bytes(range(policy.key_length + policy.salt_length))).decode()
    (key,) = line(f"1 {suite.lower()} inline:{material}")
    packet = b"\x80\0\0\1" + bytes(8) + b"payload"
    protected = srtp.Protector(key.policy, key.master).protect(packet)
    assert srtp.open_stream(key.policy, key.master, 0).unprotect(protected) == packet


def test_session_parameters():
    (key,) = line(f"1 AES_CM_128_HMAC_SHA1_80 {KEY}|100 KDR=4 UNENCRYPTED_SRTCP UNAUTHENTICATED_SRTP WSH=64 -X=1")
    assert key.lifetime == 100 and key.policy.derivation_rate == 16
    assert not key.policy.encrypts_rtcp and not key.policy.authenticates_rtp
    (clear,) = line(f"1 AES_CM_128_HMAC_SHA1_32 {KEY} UNENCRYPTED_SRTP")
    assert not clear.policy.encrypts_rtp and clear.policy.authenticates_rtp


def test_base64_without_its_padding():
    """RFC 4568 6.1: padding is discarded; some senders discard it before they send."""
    for suite in ("AES_256_CM_HMAC_SHA1_80", "AES_192_CM_HMAC_SHA1_32", "AEAD_AES_128_GCM"):
        policy = sdes.SUITES[suite]
        material = bytes(range(policy.key_length + policy.salt_length))
        text = b64encode(material).decode()
        assert text.endswith("=")
        (key,) = line(f"1 {suite} inline:{text.rstrip('=')}|1:4")
        assert key.master.key + key.master.salt == material and key.master.mki == bytes(3) + b"\1"


def test_keys_of_a_fec_stream_are_not_those_of_the_media():
    """RFC 4568 6.3.5: FEC packets have keys of their own; the line still keys the media."""
    other = "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
    (key,) = line(f"1 AES_CM_128_HMAC_SHA1_80 {KEY} FEC_KEY={other}|2^20|1:4;{other}|2^20|2:4")
    assert key.master.key == b"YS___semctl () {"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (f"1 ARIA_128_CTR_HMAC_SHA1_80 {KEY}", "suite"),
        ("1 AES_CM_128_HMAC_SHA1_80 prime:AAAA", "inline"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline", "inline"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:@@@@", "base64"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:\u00e9", "base64"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", "needs a key of 16"),
        ("1 AEAD_AES_256_GCM " + KEY, "needs a key of 32"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY}|2^49", "2\\^48"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY}|x", "lifetime"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY}|1|2", "neither"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY}|256:1", "MKI"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY}|1:129", "MKI"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY}|1:0", "MKI"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY};{KEY}", "MKI of its own"),
        ("1 AES_CM_128_HMAC_SHA1_80 " + ";".join([KEY] * 17), "more than 16"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY} KDR=25", "KDR"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY} KDR=", "KDR"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY} WSH=63", "WSH"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY} FEC_ORDER=SRTP_FEC", "FEC_ORDER"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY} FEC_ORDER=x", "FEC_ORDER"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY} FEC_KEY=x", "inline"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEY} X=1", "'X'"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:AAAAA", "base64"),
        ("1 AEAD_AES_128_GCM inline:" + "A" * 40 + " UNENCRYPTED_SRTP", "AEAD"),
    ],
)
def test_what_is_refused_is_named_and_shows_no_key(value, reason):
    with pytest.raises(srtp.SrtpError, match=reason) as caught:
        line(value)
    assert KEY[7:20] not in str(caught.value)


def test_keys_do_not_show():
    assert "WVNf" not in repr(line(f"1 AES_CM_128_HMAC_SHA1_80 {KEY}")) and "YS_" not in repr(
        line(f"1 AES_CM_128_HMAC_SHA1_80 {KEY}")
    )


@given(st.text(max_size=20), st.lists(st.text(max_size=30), max_size=4), st.lists(st.text(max_size=12), max_size=4))
def test_anything_else_raises_only_its_error(suite, key_params, session_params):
    try:
        sdes.keys(suite, key_params, session_params)
        sdes.keys("AES_CM_128_HMAC_SHA1_80", key_params, session_params)
    except srtp.SrtpError as error:
        assert str(error)
