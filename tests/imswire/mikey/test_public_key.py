"""PK and RSA-R modes with certificates of openssl; what openssl says of the octets; what does not prove right."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import mikey
from imswire.mikey import certificates as c
from imswire.mikey import public_key as pk
from imswire.mikey import values as v
from imswire.mikey.exchange import SUITE_128, SUITE_256
from imswire.mikey.numbers import DataType, EncrAlg, ExtensionType, IdType, KeyType, MacAlg, MapType
from tests.imswire.mikey.pki import pki

IDI, IDR = v.Id(IdType.URI, b"sip:alice@example.com"), v.Id(IdType.URI, b"sip:bob@example.com")
TIME, RAND = v.Timestamp.ntp_utc(1_700_000_000_000_000_000), v.Rand(b"R" * 16)
POLICY = v.Sp(1, 0, ((0, b"\1"), (1, b"\x10")))
TGKS = (v.KeyData(KeyType.TGK_SALT, b"A" * 16, b"S" * 14),)
SESSIONS = (v.SrtpSession(1, 0xAA, 0), v.SrtpSession(1, 0xBB, 0))
ENVELOPE = b"E" * 16


def header(data_type: DataType, suite=SUITE_128, csb: int = 77) -> v.Header:
    return v.Header(data_type, suite.prf, csb, MapType.SRTP_ID, SESSIONS, True)


def key(name: str):
    return c.public_key(pki().certificate(name))


def pk_init(suite=SUITE_128, envelope: bytes = ENVELOPE) -> bytes:
    bob = pki().certificate("bob")
    certs = c.cert_payloads([pki().certificate("alice")])
    return pk.pk_init(
        suite,
        pki().key("alice"),
        c.public_key(bob),
        envelope,
        header(DataType.PK_INIT, suite),
        [TIME, RAND, *certs, IDR, POLICY],
        TGKS,
        sender=IDI,
        chash=c.chash(bob),
    )


@pytest.mark.parametrize("suite", [SUITE_128, SUITE_256])
def test_pk(suite):
    envelope = b"E" * suite.octets
    octets = pk_init(suite, envelope)
    opened = pk.open_pk_init(octets, pki().key("bob"), key("alice"), envelope_octets=suite.octets)
    assert opened.keys == TGKS and opened.sender == IDI and "redacted" in repr(opened)
    names = [mikey.PayloadType(each.payload_type).name for each in opened.message.payloads]
    assert names == ["T", "RAND", "CERT", "ID", "SP", "KEMAC", "CHASH", "PKE", "SIGN"]
    assert [each.cs_id for each in pk.session_keys(opened)] == [1, 2]
    answer = pk.pk_resp(suite, opened, idi=IDI.data, idr=IDR.data, named=IDR)
    assert pk.check_pk_resp(answer, octets, envelope, idi=IDI.data, idr=IDR.data).need(v.V)
    with pytest.raises(mikey.MikeyError, match="MAC is wrong"):
        pk.check_pk_resp(answer, octets, bytes(suite.octets), idi=IDI.data, idr=IDR.data)


def test_openssl_verifies_and_opens_pk():
    octets, folder = pk_init(), pki().folder
    message = mikey.parse(octets)
    sign = message.need(v.Sign)
    (folder / "pk.covered").write_bytes(octets[: -len(sign.signature)])
    (folder / "pk.sign").write_bytes(sign.signature)
    (folder / "pk.pub").write_bytes(pki().openssl("x509", "-in", "alice.pem", "-pubkey", "-noout"))
    done = pki().openssl("dgst", "-sha256", "-verify", "pk.pub", "-signature", "pk.sign", "pk.covered")
    assert done == b"Verified OK\n"
    (folder / "pk.pke").write_bytes(message.need(v.Pke).data)
    assert pki().openssl("pkeyutl", "-decrypt", "-inkey", "bob.key", "-in", "pk.pke") == ENVELOPE


def asked() -> bytes:
    payloads = [TIME, RAND, *c.cert_payloads([pki().certificate("alice")]), IDR, POLICY]
    return pk.rsa_r_init(header(DataType.RSA_R_INIT), payloads, pki().key("alice"))


def answered(init: bytes, *first: v.Payload, csb: int = 77, time: v.Timestamp = TIME) -> bytes:
    return pk.rsa_r_resp(
        SUITE_128,
        init,
        pki().key("bob"),
        key("alice"),
        ENVELOPE,
        header(DataType.RSA_R_RESP, csb=csb),
        [*first, time, IDR],
        TGKS,
        idi=IDI.data,
        sender=IDR,
    )


def opened_rsa_r(octets: bytes, init: bytes) -> pk.OpenedPk:
    return pk.open_rsa_r_resp(octets, init, pki().key("alice"), key("bob"), idi=IDI.data)


def test_rsa_r():
    init = asked()
    assert pk.check_rsa_r_init(init, key("alice")).header.expects_response
    octets = answered(init)
    opened = opened_rsa_r(octets, init)
    assert opened.keys == TGKS and opened.sender == IDR
    policies = mikey.parse(init).policies
    assert [each.master_salt for each in pk.session_keys(opened, policies)] == [b"S" * 14] * 2
    sign = opened.message.placed(mikey.PayloadType.SIGN)
    folder = pki().folder
    (folder / "r.covered").write_bytes(octets[: sign.offset] + IDI.data + IDR.data + TIME.value)
    (folder / "r.sign").write_bytes(sign.value.signature)
    (folder / "r.pub").write_bytes(pki().openssl("x509", "-in", "bob.pem", "-pubkey", "-noout"))
    done = pki().openssl("dgst", "-sha256", "-verify", "r.pub", "-signature", "r.sign", "r.covered")
    assert done == b"Verified OK\n"


def test_group_mode_names_its_own_bundle():
    init = pk.rsa_r_init(header(DataType.RSA_R_INIT), [TIME], pki().key("alice"))
    extension = v.Extension(ExtensionType.CSB_ID, (99).to_bytes(4, "big"))
    octets = answered(init, extension, RAND, csb=99)
    assert opened_rsa_r(octets, init).message.header.csb_id == 99
    with pytest.raises(mikey.MikeyError, match="not the answer"):
        opened_rsa_r(answered(init, RAND, csb=98), init)


def test_what_does_not_prove_right():
    octets, init = pk_init(), asked()
    answer = answered(init)
    with pytest.raises(mikey.MikeyError, match="signature is wrong"):
        pk.open_pk_init(octets, pki().key("bob"), key("bob"))
    with pytest.raises(mikey.MikeyError, match="signature is wrong"):
        pk.check_rsa_r_init(init, key("bob"))
    with pytest.raises(mikey.MikeyError):
        pk.open_pk_init(octets, pki().key("alice"), key("alice"))
    with pytest.raises(mikey.MikeyError, match="not the answer"):
        opened_rsa_r(answered(init, time=v.Timestamp(0, bytes(8))), init)
    unsigned = mikey.parse(init)
    plain = mikey.build(unsigned.header, [each.value for each in unsigned.payloads[:-1]])
    with pytest.raises(mikey.MikeyError, match="SIGN: missing"):
        pk.check_rsa_r_init(plain, key("alice"))
    for at in range(0, len(octets), 61):
        with pytest.raises(mikey.MikeyError):
            pk.open_pk_init(octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :], pki().key("bob"), key("alice"))
    for at in range(0, len(answer), 61):
        with pytest.raises(mikey.MikeyError):
            opened_rsa_r(answer[:at] + bytes((answer[at] ^ 1,)) + answer[at + 1 :], init)


LATER = v.Timestamp.ntp_utc(1_700_000_100_000_000_000)


@pytest.mark.parametrize("keys", [TGKS, ()])
def test_an_update_has_no_rand_and_needs_no_keys(keys):
    octets = pk.pk_init(
        SUITE_128,
        pki().key("alice"),
        key("bob"),
        ENVELOPE,
        header(DataType.PK_INIT),
        [LATER],
        keys,
        sender=IDI,
        rand=RAND.rand,
    )
    opened = pk.open_pk_init(octets, pki().key("bob"), key("alice"), rand=RAND.rand)
    assert opened.keys == keys and (mikey.parse(octets).first(v.Kemac) is None) == (not keys)
    answer = pk.pk_resp(SUITE_128, opened, idi=IDI.data, idr=IDR.data)
    assert pk.check_pk_resp(answer, octets, ENVELOPE, idi=IDI.data, idr=IDR.data, rand=RAND.rand)
    with pytest.raises(mikey.MikeyError, match="RAND: missing"):
        pk.open_pk_init(octets, pki().key("bob"), key("alice"))


def test_a_first_message_has_keys():
    message = mikey.parse(pk_init())
    payloads = [each.value for each in message.payloads if not isinstance(each.value, (v.Kemac, v.Sign))]
    with pytest.raises(mikey.MikeyError, match="no Kemac payload"):
        pk.open_pk_init(pk.signed(message.header, payloads, pki().key("alice")), pki().key("bob"), key("alice"))


def test_key_wrap_needs_no_mac_beside_it():
    suite = structs.replace(SUITE_128, encr_alg=EncrAlg.AES_KW_128, mac_alg=MacAlg.NULL)
    payloads, keys = [TIME, RAND], (v.KeyData(KeyType.TGK, b"A" * 16, validity=v.Validity(1, bytes(4))),)
    octets = pk.pk_init(
        suite,
        pki().key("alice"),
        key("bob"),
        ENVELOPE,
        header(DataType.PK_INIT),
        payloads,
        keys,
        sender=v.Id(1, b"abc"),
    )
    assert pk.open_pk_init(octets, pki().key("bob"), key("alice")).keys == keys
    message = mikey.parse(octets)
    kemac = message.need(v.Kemac)
    bent = structs.replace(kemac, encr_data=kemac.encr_data[:-1] + bytes((kemac.encr_data[-1] ^ 1,)))
    values = [bent if each.value is kemac else each.value for each in message.payloads[:-1]]
    with pytest.raises(mikey.MikeyError, match="do not prove right"):
        pk.open_pk_init(pk.signed(message.header, values, pki().key("alice")), pki().key("bob"), key("alice"))
    plain = structs.replace(kemac, encr_alg=EncrAlg.AES_CM_128)
    values = [plain if each.value is kemac else each.value for each in message.payloads[:-1]]
    with pytest.raises(mikey.MikeyError, match="gives no proof"):
        pk.open_pk_init(pk.signed(message.header, values, pki().key("alice")), pki().key("bob"), key("alice"))


def test_sha_1_and_oaep_of_openssl_where_they_are_asked_for():
    """openssl's defaults for OAEP are those of PKCS#1: SHA-1, for which PKE has no field."""
    message, folder = mikey.parse(pk_init()), pki().folder
    (folder / "env.key").write_bytes(ENVELOPE)
    pem = pki().openssl("x509", "-in", "bob.pem", "-pubkey", "-noout")
    (folder / "bob.pub").write_bytes(pem)
    padded = pki().openssl(
        *("pkeyutl", "-encrypt", "-pubin", "-inkey", "bob.pub", "-in", "env.key"),
        *("-pkeyopt", "rsa_padding_mode:oaep"),
    )
    pke, values = message.need(v.Pke), [each.value for each in message.payloads[:-1]]
    values[values.index(pke)] = v.Pke(0, padded)
    octets = mikey.build(message.header, [*values, v.Sign(0, bytes(256))])[:-256]
    (folder / "sha1.covered").write_bytes(octets)
    octets += pki().openssl("dgst", "-sha1", "-sign", "alice.key", "sha1.covered")
    with pytest.raises(mikey.MikeyError, match="signature is wrong"):
        pk.open_pk_init(octets, pki().key("bob"), key("alice"), oaep=True)
    with pytest.raises(mikey.MikeyError):
        pk.open_pk_init(octets, pki().key("bob"), key("alice"), accepts_sha_1=True)
    opened = pk.open_pk_init(octets, pki().key("bob"), key("alice"), oaep=True, accepts_sha_1=True)
    assert opened.keys == TGKS


def test_oaep_both_ways():
    init = asked()
    octets = pk.rsa_r_resp(
        SUITE_128,
        init,
        pki().key("bob"),
        key("alice"),
        ENVELOPE,
        header(DataType.RSA_R_RESP),
        [TIME, IDR],
        TGKS,
        idi=IDI.data,
        sender=IDR,
        oaep=True,
    )
    opened = pk.open_rsa_r_resp(octets, init, pki().key("alice"), key("bob"), idi=IDI.data, oaep=True)
    assert opened.keys == TGKS
    with pytest.raises(mikey.MikeyError):
        opened_rsa_r(octets, init)
