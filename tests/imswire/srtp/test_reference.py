"""The plain decryptor: what it accepts without authentication, and when it is closed."""

from __future__ import annotations

from imswire import srtp
from imswire.srtp.reference import ReferenceStream
from tests.imswire.srtp.test_stream import master, protected, rtp


def test_without_authentication():
    policy = srtp.Policy.from_sp({10: b"\0"})
    stream = ReferenceStream(policy, master(policy), 0)
    assert stream.unprotect(protected(policy, 4)) == rtp(4)
    assert stream.unprotect(protected(policy, 4)) is srtp.Refusal.REPLAYED


def test_null_cipher():
    policy = srtp.Policy.from_sp({7: b"\0"})
    wire = protected(policy, 4)
    assert wire.startswith(rtp(4)) and ReferenceStream(policy, master(policy), 0).unprotect(wire) == rtp(4)


def test_closed():
    policy = srtp.AES_CM_128_HMAC_SHA1_80
    stream = ReferenceStream(policy, master(policy), 5)
    stream.close()
    assert stream.unprotect(protected(policy, 1)) is srtp.Refusal.AUTH_FAILED
    assert stream.unprotect_rtcp(bytes.fromhex("80c80006cafebabe") + bytes(30)) is srtp.Refusal.AUTH_FAILED
    assert not stream.authentic(protected(policy, 1), 5, 1) and stream.roc == 5


def test_srtcp_out_of_order():
    policy = srtp.AES_CM_128_HMAC_SHA1_80
    protector = srtp.Protector(policy, master(policy))
    report = bytes.fromhex("80c80006cafebabe") + bytes(20)
    first, second = protector.protect_rtcp(report), protector.protect_rtcp(report)
    stream = ReferenceStream(policy, master(policy), 0)
    assert stream.unprotect_rtcp(second) == stream.unprotect_rtcp(first) == report
    assert stream.unprotect_rtcp(first) is srtp.Refusal.REPLAYED
    assert stream.unprotect_rtcp(first[:11]) is srtp.Refusal.MALFORMED
    assert stream.unprotect_rtcp(bytes(40)) is srtp.Refusal.AUTH_FAILED


def test_authentic_tells_true_copies_from_forged_ones():
    policy = srtp.AES_CM_128_HMAC_SHA1_80
    stream = ReferenceStream(policy, master(policy), 5)
    wire = protected(policy, 5 << 16 | 7)
    assert stream.authentic(wire, 5, 9) and not stream.authentic(wire, 6, 9)
    assert stream.unprotect(b"\x80") is srtp.Refusal.MALFORMED
    assert stream.unprotect(wire[:-1] + b"\0") is srtp.Refusal.AUTH_FAILED and stream.roc == 5
