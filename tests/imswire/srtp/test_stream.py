"""Streams: both engines give the same octets and verdicts, whatever order the packets come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import srtp
from tests.imswire.srtp.vectors import PACKETS, octets

SSRC = 0xCAFEBABE
POLICIES = [
    srtp.AES_CM_128_HMAC_SHA1_80,
    srtp.AES_CM_128_HMAC_SHA1_32,
    srtp.AES_256_CM_HMAC_SHA1_80,
    srtp.AES_256_CM_HMAC_SHA1_32,
]
AEAD = [srtp.AEAD_AES_128_GCM, srtp.AEAD_AES_256_GCM]


def master(policy: srtp.Policy, mki: bytes = b"") -> srtp.MasterKey:
    return srtp.MasterKey(bytes(range(policy.key_length)), bytes(range(policy.salt_length)), mki)


def rtp(index: int, payload: bytes = b"payload") -> bytes:
    return b"\x80\x00" + (index & 0xFFFF).to_bytes(2, "big") + bytes(4) + SSRC.to_bytes(4, "big") + payload


def protected(policy: srtp.Policy, index: int, payload: bytes = b"payload", mki: bytes = b"") -> bytes:
    return srtp.Protector(policy, master(policy, mki), index >> 16, mki=bool(mki)).protect(rtp(index, payload))


@pytest.mark.parametrize("engine", ["libsrtp", "reference"])
def test_libsrtp_vectors_with_mki(engine):
    where = PACKETS["AES_CM_128_HMAC_SHA1_80, ROC 0, SRTCP index 1 (libsrtp's first index is 1)"]
    key = srtp.MasterKey(octets(where, "master key"), octets(where, "master salt"), bytes.fromhex("e1f97a0d"))
    policy = srtp.AES_CM_128_HMAC_SHA1_80
    plain = srtp.open_stream(policy, key, SSRC, engine=engine)
    assert plain.unprotect(octets(where, "SRTP")) == octets(where, "RTP")
    assert plain.unprotect_rtcp(octets(where, "SRTCP")) == octets(where, "RTCP")
    marked = srtp.open_stream(policy, key, SSRC, mki_length=4, engine=engine)
    name = "SRTP with MKI e1f97a0d (libsrtp: MKI stands before the tag)"
    assert marked.unprotect(octets(where, name)) == octets(where, "RTP")
    assert marked.unprotect_rtcp(octets(where, "SRTCP with MKI e1f97a0d")) == octets(where, "RTCP")
    assert marked.unprotect(octets(where, "SRTP")) is srtp.Refusal.AUTH_FAILED


@pytest.mark.parametrize(
    "name", ["AEAD_AES_128_GCM with derivation (ROC 0)", "AEAD_AES_256_GCM with derivation (computed)"]
)
def test_gcm_vectors(name):
    where = PACKETS[name]
    policy = srtp.AEAD_AES_128_GCM if "128" in name else srtp.AEAD_AES_256_GCM
    key = srtp.MasterKey(octets(where, "master key"), octets(where, "master salt"))
    stream = srtp.open_stream(policy, key, SSRC)
    wire = where.get("SRTP") or where["SRTP, ROC 0"]
    assert stream.unprotect(bytes.fromhex(wire)) == octets(where, "RTP")
    if "SRTCP, index 1" in where:
        assert stream.unprotect_rtcp(octets(where, "SRTCP, index 1")) == octets(where, "RTCP")


@pytest.mark.parametrize("policy", POLICIES + AEAD)
@pytest.mark.parametrize("mki", [b"", b"\x01", b"\x01\x02\x03\x04"])
def test_round_trip_with_and_without_mki(policy, mki):
    stream = srtp.open_stream(policy, master(policy, mki), SSRC, roc=2, mki_length=len(mki))
    for index in (2 << 16 | 65_534, 2 << 16 | 65_535, 3 << 16, 2 << 16 | 65_533):
        assert stream.unprotect(protected(policy, index, mki=mki)) == rtp(index)
    assert stream.roc == 3
    assert stream.unprotect(protected(policy, 3 << 16, mki=mki)) is srtp.Refusal.REPLAYED
    assert stream.unprotect(b"\x80\x00") is srtp.Refusal.MALFORMED
    protector = srtp.Protector(policy, master(policy, mki), mki=bool(mki))
    report = bytes.fromhex("80c80006cafebabe") + bytes(20)
    wire = protector.protect_rtcp(report)
    assert stream.unprotect_rtcp(wire) == report
    assert stream.unprotect_rtcp(wire) is srtp.Refusal.REPLAYED
    assert stream.unprotect_rtcp(wire[:-1] + bytes([wire[-1] ^ 1])) is srtp.Refusal.AUTH_FAILED
    assert stream.unprotect_rtcp(b"\x80") is srtp.Refusal.MALFORMED
    stream.close()
    stream.close()
    assert stream.unprotect(protected(policy, 3 << 16 | 9, mki=mki)) is srtp.Refusal.AUTH_FAILED
    assert stream.unprotect_rtcp(wire) is srtp.Refusal.AUTH_FAILED
    assert stream.roc == 3


@pytest.mark.parametrize("policy", POLICIES)
def test_short_srtcp_tag_of_an_ambiguous_policy(policy):
    both = srtp.Policy.from_sp({11: b"\4", 1: bytes([policy.key_length])})
    short = srtp.Policy.from_sp({11: b"\4", 19: b"\4", 1: bytes([policy.key_length])})
    report = bytes.fromhex("80c80006cafebabe") + bytes(20)
    for sender in (both, short):
        wire = srtp.Protector(sender, master(both)).protect_rtcp(report)
        assert srtp.open_stream(both, master(both), SSRC).unprotect_rtcp(wire) == report


def test_long_and_empty_packets():
    policy = srtp.AES_CM_128_HMAC_SHA1_80
    for engine in ("libsrtp", "reference"):
        stream = srtp.open_stream(policy, master(policy), SSRC, engine=engine)
        assert stream.unprotect(protected(policy, 1, bytes(9_000))) == rtp(1, bytes(9_000))
        assert stream.unprotect(protected(policy, 2, b"")) == rtp(2, b"")
    libsrtp = srtp.open_stream(policy, master(policy), SSRC, engine="libsrtp")
    assert libsrtp.unprotect(bytes(70_000)) is srtp.Refusal.MALFORMED


def test_who_serves_what():
    with pytest.raises(srtp.SrtpError, match="does not serve"):
        srtp.open_stream(srtp.AEAD_AES_128_GCM, master(srtp.AEAD_AES_128_GCM), SSRC, engine="libsrtp")
    with pytest.raises(srtp.SrtpError, match="needs a key"):
        srtp.open_stream(srtp.AEAD_AES_256_GCM, master(srtp.AEAD_AES_128_GCM), SSRC)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["next", "skip", "late", "again", "forged", "ahead"]), st.integers(0, 1500), st.booleans()
    ),
    max_size=40,
)


@given(STEPS, st.sampled_from(POLICIES), st.sampled_from([0, 65_500, (3 << 16) + 20]))
def test_engines_agree_on_every_order(steps, policy, start):
    """Loss, reordering, repetition, forgery and wraps: the same octets, verdicts and counter from both."""
    engines = [
        srtp.open_stream(policy, master(policy), SSRC, roc=start >> 16, engine=engine)
        for engine in ("libsrtp", "reference")
    ]
    top = start
    for kind, amount, flip in steps:
        if kind == "next":
            top += 1
        elif kind == "skip":
            top += amount
        index = max(top - amount, start) if kind in ("late", "again") else top
        wire = protected(policy, index)
        if kind == "forged" or flip:
            wire = wire[:-1] + bytes([wire[-1] ^ 0x80])
        if kind == "ahead":
            wire = wire[:2] + ((top + 20_000) & 0xFFFF).to_bytes(2, "big") + wire[4:]
        first, second = (engine.unprotect(wire) for engine in engines)
        assert first == second
        if isinstance(first, bytes):
            assert first == rtp(index)
    assert engines[0].roc == engines[1].roc
