"""DH and DHHMAC: the groups against openssl and by their formula, both exchanges, what does not prove right."""

from __future__ import annotations

import pytest

from imswire import mikey
from imswire.mikey import certificates as c
from imswire.mikey import dh
from imswire.mikey import values as v
from imswire.mikey.dh import OAKLEY_1, OAKLEY_2, OAKLEY_5, PRIMES, Secret
from imswire.mikey.numbers import DataType, IdType, MacAlg, MapType
from tests.imswire.mikey.pki import pki

PSK = b"P" * 16
IDI, IDR = v.Id(IdType.URI, b"sip:alice@example.com"), v.Id(IdType.URI, b"sip:bob@example.com")
TIME, RAND = v.Timestamp.ntp_utc(1_700_000_000_000_000_000), v.Rand(b"R" * 16)
POLICY = v.Sp(1, 0, ((0, b"\1"), (1, b"\x10")))
MINE, THEIRS = Secret(OAKLEY_5, 0x1234567890ABCDEF << 200 | 1), Secret(OAKLEY_5, 0xFEDCBA09 << 300 | 7)


def header(data_type: DataType, ssrc: int = 0) -> v.Header:
    sessions = (v.SrtpSession(1, 0xAA, 0), v.SrtpSession(1, ssrc, 0))
    return v.Header(data_type, 0, 77, MapType.SRTP_ID, sessions, data_type in (DataType.DH_INIT, DataType.DHHMAC_INIT))


@pytest.mark.parametrize(("group", "bits"), [(OAKLEY_1, 768), (OAKLEY_2, 1024), (OAKLEY_5, 1536)])
def test_groups_are_safe_primes_of_their_size(group, bits):
    prime = PRIMES[group]
    assert prime.bit_length() == bits and prime >> (bits - 64) == prime & ((1 << 64) - 1) == (1 << 64) - 1
    for witness in (2, 3, 5, 7):
        assert pow(witness, prime - 1, prime) == 1
        assert pow(witness, (prime - 1) // 2 - 1, (prime - 1) // 2) == 1


def test_group_5_is_that_of_openssl():
    text = pki().openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:modp_1536", "-text").decode()
    assert "modp_1536" in text
    pem = pki().openssl("genpkey", "-algorithm", "DH", "-pkeyopt", "group:modp_1536")
    (pki().folder / "dh.key").write_bytes(pem)
    shown = pki().openssl("pkey", "-in", "dh.key", "-text", "-noout").decode()
    public = int("".join(shown.split("public-key:")[1].split("GROUP")[0].replace(":", "").split()), 16)
    private = int("".join(shown.split("private-key:")[1].split("public-key")[0].replace(":", "").split()), 16)
    assert int.from_bytes(Secret(OAKLEY_5, private).public.value, "big") == public


@pytest.mark.parametrize("group", [OAKLEY_1, OAKLEY_2, OAKLEY_5])
def test_both_ends_share_a_key(group):
    a, b = Secret(group, 0xA << 150 | 3), Secret(group, 0xB << 160 | 9)
    assert a.shared(b.public) == b.shared(a.public) and len(a.shared(b.public).key) == len(a.public.value)
    assert "redacted" in repr(a) and "3" not in repr(a).replace("group", "")


@pytest.mark.parametrize("value", [0, 1, PRIMES[OAKLEY_5] - 1, PRIMES[OAKLEY_5]])
def test_values_that_give_no_secret(value):
    with pytest.raises(mikey.MikeyError, match="gives no secret"):
        MINE.shared(v.Dh(OAKLEY_5, value.to_bytes(192, "big")))


def test_groups_must_agree():
    with pytest.raises(mikey.MikeyError, match="group 1, not 0"):
        MINE.shared(Secret(OAKLEY_1, 5).public)
    with pytest.raises(mikey.MikeyError, match="group 9 is not known"):
        _ = Secret(9, 5).public


def signed() -> tuple[bytes, bytes]:
    certs = c.cert_payloads([pki().certificate("alice")])
    payloads = [TIME, RAND, *certs, IDR, POLICY]
    init = dh.dh_init(header(DataType.DH_INIT), payloads, MINE.public, pki().key("alice"))
    resp = dh.dh_resp(header(DataType.DH_RESP, 0xBB), [TIME, IDR, IDI], THEIRS.public, init, pki().key("bob"))
    return init, resp


def key(name: str):
    return c.public_key(pki().certificate(name))


def test_signed():
    init, resp = signed()
    asked, answer = dh.check_dh_init(init, key("alice")), dh.check_dh_resp(resp, init, key("bob"))
    mine, theirs = MINE.shared(dh.values(answer)[0]), THEIRS.shared(dh.values(asked)[0])
    assert mine == theirs
    keys = dh.session_keys(asked, answer, mine)
    assert [each.ssrc for each in keys] == [0xAA, 0xBB] and keys == dh.session_keys(asked, answer, theirs)
    assert [each.ssrc for each in dh.session_keys(asked, None, mine)] == [0xAA, 0]


def test_dhhmac():
    init = dh.dhhmac_init(header(DataType.DHHMAC_INIT), [TIME, RAND, IDI, IDR], MINE.public, PSK, MacAlg.HMAC_SHA_1_160)
    assert dh.values(dh.check_dhhmac_init(init, PSK)) == (MINE.public,)
    resp = dh.dhhmac_resp(
        header(DataType.DHHMAC_RESP), [TIME, IDR, IDI], THEIRS.public, init, PSK, MacAlg.HMAC_SHA_1_160
    )
    answer = dh.check_dhhmac_resp(resp, init, PSK)
    assert dh.values(answer) == (THEIRS.public, MINE.public)
    with pytest.raises(mikey.MikeyError, match="MAC is wrong"):
        dh.check_dhhmac_resp(resp, init, b"Q" * 16)
    other = dh.dhhmac_resp(
        header(DataType.DHHMAC_RESP), [v.Timestamp(0, bytes(8))], THEIRS.public, init, PSK, MacAlg.HMAC_SHA_1_160
    )
    with pytest.raises(mikey.MikeyError, match="not the answer"):
        dh.check_dhhmac_resp(other, init, PSK)
    for at in range(0, len(init), 11):
        with pytest.raises(mikey.MikeyError):
            dh.check_dhhmac_init(init[:at] + bytes((init[at] ^ 1,)) + init[at + 1 :], PSK)


def test_signatures_that_do_not_prove():
    init, resp = signed()
    with pytest.raises(mikey.MikeyError, match="signature is wrong"):
        dh.check_dh_init(init, key("bob"))
    with pytest.raises(mikey.MikeyError, match="signature is wrong"):
        dh.check_dh_resp(resp, init, key("alice"))
    other = dh.dh_init(header(DataType.DH_INIT), [TIME, RAND], THEIRS.public, pki().key("alice"))
    with pytest.raises(mikey.MikeyError, match="not the answer"):
        dh.check_dh_resp(resp, other, key("bob"))


LATER = v.Timestamp.ntp_utc(1_700_000_100_000_000_000)


def test_updates_come_without_rand_and_with_or_without_values():
    for mine, theirs in ((MINE.public, THEIRS.public), (None, None)):
        init = dh.dh_init(header(DataType.DH_INIT), [LATER], mine, pki().key("alice"))
        resp = dh.dh_resp(header(DataType.DH_RESP), [LATER, IDI], theirs, init, pki().key("bob"))
        asked, answer = dh.check_dh_init(init, key("alice")), dh.check_dh_resp(resp, init, key("bob"))
        assert dh.values(answer) == (() if mine is None else (theirs, mine))
        if mine is not None:
            keys = dh.session_keys(asked, answer, MINE.shared(theirs), rand=RAND.rand)
            assert len(keys) == 2 and keys[0].master_key != keys[1].master_key


@pytest.mark.parametrize("mine", [MINE.public, None])
def test_dhhmac_updates_are_proved_under_the_first_rand(mine):
    theirs, mac = None if mine is None else THEIRS.public, MacAlg.HMAC_SHA_1_160
    init = dh.dhhmac_init(header(DataType.DHHMAC_INIT), [LATER, IDR], mine, PSK, mac, rand=RAND.rand)
    resp = dh.dhhmac_resp(header(DataType.DHHMAC_RESP), [LATER, IDI], theirs, init, PSK, mac, rand=RAND.rand)
    assert len(dh.values(dh.check_dhhmac_resp(resp, init, PSK, rand=RAND.rand))) == (2 if mine else 0)
    with pytest.raises(mikey.MikeyError, match="MAC is wrong"):
        dh.check_dhhmac_init(init, PSK, rand=bytes(16))
    with pytest.raises(mikey.MikeyError, match="RAND: missing"):
        dh.check_dhhmac_init(init, PSK)


def test_a_first_message_offers_one_value():
    for values in ([], [MINE.public, THEIRS.public]):
        init = dh.dh_init(header(DataType.DH_INIT), [TIME, RAND, *values], None, pki().key("alice"))
        with pytest.raises(mikey.MikeyError, match="not one value"):
            dh.check_dh_init(init, key("alice"))
    lone = dh.dh_init(header(DataType.DH_INIT), [LATER], None, pki().key("alice"))
    answer = dh.dh_resp(header(DataType.DH_RESP), [LATER, IDI, THEIRS.public], THEIRS.public, lone, pki().key("bob"))
    with pytest.raises(mikey.MikeyError, match="not the answer"):
        dh.check_dh_resp(answer, lone, key("bob"))
