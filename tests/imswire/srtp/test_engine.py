"""The fast engine's own business: its probe, and what it leaves to the reference."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import srtp
from imswire.srtp import engine
from tests.imswire.srtp.test_stream import SSRC, master, protected, rtp


def test_the_probe_has_found_what_it_needs():
    assert engine.probe()


def test_what_it_serves():
    assert engine.serves(srtp.AES_256_CM_HMAC_SHA1_32)
    assert not engine.serves(srtp.AES_192_CM_HMAC_SHA1_80)
    assert not engine.serves(structs.replace(srtp.AES_CM_128_HMAC_SHA1_80, derivation_rate=1))
    assert not engine.serves(srtp.Policy.from_sp({7: b"\0"}))
    assert not engine.serves(srtp.F8_128_HMAC_SHA1_80)
    assert not engine.serves(srtp.AEAD_AES_128_GCM)
    assert not engine.serves(srtp.Policy.from_sp({10: b"\0"}))


def test_without_the_symbols_the_reference_serves(monkeypatch):
    class Nothing:
        def __getattr__(self, name):
            raise AttributeError(name)

    monkeypatch.setattr(engine.ctypes, "CDLL", lambda _: Nothing())
    engine._symbols.cache_clear()
    engine.probe.cache_clear()
    try:
        assert not engine.probe()
        policy = srtp.AES_CM_128_HMAC_SHA1_80
        with pytest.raises(srtp.SrtpError):
            engine.LibsrtpStream(policy, master(policy), SSRC, 0)
        assert srtp.open_stream(policy, master(policy), SSRC).unprotect(protected(policy, 3)) == rtp(3)
    finally:
        monkeypatch.undo()
        engine._symbols.cache_clear()
        engine.probe.cache_clear()
    assert engine.probe()


def test_forged_copies_are_forgeries_and_true_copies_are_not():
    policy = srtp.AES_CM_128_HMAC_SHA1_80
    stream = engine.LibsrtpStream(policy, master(policy), SSRC, 1)
    assert stream.roc == 1
    for index in (1 << 16 | 65_535, 2 << 16, 2 << 16 | 2000):
        assert stream.unprotect(protected(policy, index)) == rtp(index)
    copy = protected(policy, 2 << 16 | 2000)
    assert stream.unprotect(copy) is srtp.Refusal.REPLAYED
    assert stream.unprotect(copy[:-1] + b"\0") is srtp.Refusal.AUTH_FAILED
    assert stream.unprotect(protected(policy, 1 << 16 | 65_535)) is srtp.Refusal.TOO_OLD
    assert stream.unprotect(b"\x80" + bytes(8)) is srtp.Refusal.MALFORMED
    stream.close()
    assert stream.roc == 2


def test_what_it_leaves_to_the_reference_is_made_when_it_is_needed():
    master = srtp.MasterKey(bytes(range(16)), bytes(range(14)))
    sender = srtp.Protector(srtp.AES_CM_128_HMAC_SHA1_80, master)
    stream = srtp.open_stream(srtp.AES_CM_128_HMAC_SHA1_80, master, 1, engine="libsrtp")
    rtp = sender.protect(b"\x80\0\0\1" + bytes(7) + b"\1" + bytes(20))
    master.wipe()
    assert isinstance(stream.unprotect(rtp), bytes) and stream._reference is None
    assert stream.unprotect(rtp) is srtp.Refusal.REPLAYED and stream._reference is not None
    report = b"\x80\xc9\0\1\0\0\0\1"
    assert stream.unprotect_rtcp(sender.protect_rtcp(report)) == report
    stream.close()
    assert stream.unprotect_rtcp(sender.protect_rtcp(report)) is srtp.Refusal.AUTH_FAILED
