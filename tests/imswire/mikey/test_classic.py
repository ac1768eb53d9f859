"""What the modes of RFC 3830 share: labels, session keys of several keys, intervals and SPIs, MACs of KEMAC."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from imswire import mikey
from imswire.mikey import classic, prf
from imswire.mikey import values as v
from imswire.mikey.classic import PlainProtection
from imswire.mikey.exchange import SUITE_128
from imswire.mikey.message import build
from imswire.mikey.numbers import DataType, KeyType, KvType, MapType
from tests.imswire.mikey.sakke_vectors import OWN

RAND = b"R" * 16
TIME = v.Timestamp(0, b"\xeb\x1f\x04\0" + bytes(4))
PROTECTION = PlainProtection(b"K" * 16, 0, 0x01020304, 0, RAND)
SRTP = v.Sp(1, 0, ((0, b"\1"), (1, b"\x10")))
GCM = v.Sp(2, 0, ((0, b"\6"), (1, b"\x20"), (4, b"\x0c")))


def message(*payloads: v.Payload, sessions=(), map_type=MapType.SRTP_ID, data_type=DataType.PSK_INIT):
    header = v.Header(data_type, 0, 0x01020304, map_type, tuple(sessions))
    return mikey.parse(build(header, list(payloads)))


def test_labels_have_no_phase_and_no_length():
    """RFC 3830 4.1.3, 4.1.4; the first block of the PRF computed here."""
    label = bytes.fromhex("2D22AC75") + b"\xff" + b"\1\2\3\4" + RAND
    first = hmac.digest(b"K" * 16, label, hashlib.sha1)
    assert PROTECTION.key(prf.AUTH, 20) == hmac.digest(b"K" * 16, first + label, hashlib.sha1)
    assert prf.plain_session_label(prf.TEK, 5, 0x01020304, RAND) == bytes.fromhex("2AD01C64") + b"\5\1\2\3\4" + RAND


def test_session_keys_of_the_sakke_vector():
    """The third-party PRF check of the project's SAKKE message holds for these labels too."""
    found = mikey.parse(bytes.fromhex(OWN["I_MESSAGE"]))
    tgk = v.KeyData(KeyType.TGK, bytes.fromhex(OWN["SSV = TGK"]))
    keys = classic.session_keys(found, (tgk,), bytes.fromhex(OWN["RAND"]))
    assert [(k.master_key.hex(), k.master_salt.hex()) for k in keys] == [
        (OWN[f"CS {n}"]["TEK"], OWN[f"CS {n}"]["master salt"]) for n in (1, 2)
    ]
    assert [key.ssrc for key in keys] == [session.ssrc for session in found.header.sessions]


@pytest.mark.parametrize("key_type", [KeyType.TGK, KeyType.GTGK])
def test_several_tgks_and_intervals(key_type):
    first = v.KeyData(key_type, b"A" * 16, validity=v.Validity(KvType.INTERVAL, b"", bytes(6), b"\0\0\0\0\xff\xff"))
    second = v.KeyData(key_type, b"B" * 16, validity=v.Validity(KvType.INTERVAL, b"", b"\0\0\0\1\0\0", b""))
    found = message(TIME, SRTP, sessions=(v.SrtpSession(1, 0xAA, 0), v.SrtpSession(1, 0xBB, 0)))
    keys = classic.session_keys(found, (first, second), RAND)
    assert [key.cs_id for key in keys] == [1, 1, 2, 2] and len({key.master_key for key in keys}) == 4
    assert keys[0].holds_at(0xFFFF) and not keys[0].holds_at(0x10000)
    assert keys[1].holds_at(0x10000) and not keys[1].holds_at(0xFFFF)
    assert "redacted" in repr(keys[0])


def test_spis_choose_in_a_generic_map():
    spi = [v.Validity(KvType.SPI, bytes((n,))) for n in (1, 2)]
    keys = (v.KeyData(KeyType.TEK_SALT, b"A" * 16, b"S" * 14, spi[0]), v.KeyData(KeyType.TEK, b"B" * 16, b"", spi[1]))
    sessions = (
        v.GenericSession(7, 0, False, (1,), b"\0\0\0\xaa", b"\1"),
        v.GenericSession(8, 0, False, (1,), b"", b"\2"),
        v.GenericSession(9, 1, False, (1,), b"", b"\2"),
    )
    found = message(TIME, SRTP, sessions=sessions, map_type=MapType.GENERIC_ID)
    first, second = classic.session_keys(found, keys, RAND)
    assert (first.cs_id, first.ssrc, first.master_key, first.master_salt) == (7, 0xAA, b"A" * 16, b"S" * 14)
    assert (second.cs_id, second.ssrc, second.master_key, second.master_salt) == (8, None, b"B" * 16, bytes(14))
    assert second.holds_at(1 << 47)


def test_policies_set_the_lengths():
    found = message(TIME, SRTP, GCM, sessions=(v.SrtpSession(2, 1, 0),))
    (key,) = classic.session_keys(found, (v.KeyData(KeyType.TGK, b"A" * 16),), RAND)
    assert (len(key.master_key), len(key.master_salt)) == (32, 12) and key.params[0] == b"\6"
    (other,) = classic.session_keys(found, (v.KeyData(KeyType.TGK, b"A" * 16),), RAND, {})
    assert (len(other.master_key), len(other.master_salt)) == (16, 14)
    with pytest.raises(mikey.MikeyError, match="16 and 12 octets, not 32 and 12"):
        classic.session_keys(found, (v.KeyData(KeyType.TEK, b"A" * 16),), RAND)
    null = message(TIME, v.Sp(1, 0, ((0, b"\0"), (1, b"\0"), (4, b"\0"))), sessions=(v.SrtpSession(1, 1, 0),))
    (bare,) = classic.session_keys(null, (v.KeyData(KeyType.TGK, b"A" * 16),), RAND)
    assert (len(bare.master_key), len(bare.master_salt)) == (16, 14)
    huge = message(TIME, v.Sp(1, 0, ((1, b"\xff"),)), sessions=(v.SrtpSession(1, 1, 0),))
    with pytest.raises(mikey.MikeyError, match="255 is too much"):
        classic.session_keys(huge, (v.KeyData(KeyType.TGK, b"A" * 16),), RAND)


def test_a_rand_is_needed():
    with pytest.raises(mikey.MikeyError, match="RAND"):
        classic.protection(message(TIME), b"K" * 16)
    assert classic.protection(message(TIME), b"K" * 16, RAND) == PROTECTION
    assert classic.protection(message(TIME, v.Rand(RAND)), b"K" * 16) == PROTECTION


def test_kemac_last_or_not_at_all():
    with pytest.raises(mikey.MikeyError, match="missing, or not the last"):
        classic.check_mac_last(message(TIME), PROTECTION)
    kemac = classic.sealed(PROTECTION, [v.KeyData(0, b"T" * 16)], SUITE_128.encr_alg, SUITE_128.mac_alg, TIME)
    octets = classic.mac_last(message().header, [TIME], PROTECTION, kemac)
    assert classic.check_mac_last(mikey.parse(octets), PROTECTION).encr_data == kemac.encr_data
    with pytest.raises(mikey.MikeyError, match="MAC is wrong"):
        classic.check_mac_last(mikey.parse(octets[:-1] + b"\0"), PROTECTION)


def test_a_mac_of_its_own_takes_the_next_payload_as_zero():
    kemac = classic.with_own_mac(PROTECTION, v.Kemac(0, b"data", 1, bytes(20)))
    covered = b"\0\0\0\4data\1"
    assert kemac.mac == hmac.digest(PROTECTION.key(prf.AUTH, 20), covered, hashlib.sha1)
    classic.check_own_mac(PROTECTION, kemac)
    with pytest.raises(mikey.MikeyError, match="MAC is wrong"):
        classic.check_own_mac(PROTECTION, v.Kemac(0, b"datb", 1, kemac.mac))


def test_kemac_without_keys():
    """An update may have none (RFC 3830 6.2)."""
    assert classic.opened(PROTECTION, v.Kemac(0, b""), TIME, 20) == ()
    keys = (v.KeyData(KeyType.MPK, b"M"), v.KeyData(KeyType.TEK, b"T"), v.Id(0, b"x"))
    assert classic.key_data(keys) == (keys[1],)


def test_another_type_is_refused():
    with pytest.raises(mikey.MikeyError, match="PSK_INIT where PK_INIT is expected"):
        classic.typed(message(TIME).octets, DataType.PK_INIT)


def test_the_verification_message():
    """V covers the message, both identities and T (RFC 3830 5.2)."""
    init = message(TIME, v.Rand(RAND))
    octets = classic.verification(init, DataType.PSK_RESP, PROTECTION, 1, b"ab", v.Id(0, b"b"))
    unsigned = octets[:-20]
    assert octets[-20:] == hmac.digest(PROTECTION.key(prf.AUTH, 20), unsigned + b"ab" + TIME.value, hashlib.sha1)
    assert classic.check_verification(octets, init, DataType.PSK_RESP, PROTECTION, b"ab").octets == octets
    with pytest.raises(mikey.MikeyError, match="MAC is wrong"):
        classic.check_verification(octets, init, DataType.PSK_RESP, PROTECTION, b"ba")
    later = message(v.Timestamp(0, bytes(8)), v.Rand(RAND))
    with pytest.raises(mikey.MikeyError, match="not the answer"):
        classic.check_verification(octets, later, DataType.PSK_RESP, PROTECTION, b"ab")
    assert classic.verification(init, DataType.PSK_RESP, PROTECTION, 1, b"", None)
