"""Certificates that openssl made, signatures and envelopes that openssl checks and opens."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from imswire import mikey
from imswire.mikey import certificates as c
from imswire.mikey import values as v
from imswire.mikey.numbers import HashFunc, SignType
from tests.imswire.mikey.pki import pki

TEXT = b"covered octets"
DAY = 86_400 * 10**9


def chain(*names: str) -> tuple[v.Cert, ...]:
    return tuple(c.cert_payloads([pki().certificate(name) for name in names]))


@pytest.mark.parametrize("names", [("alice", "inter"), ("alice", "inter", "ca"), ("kms",), ("nobody", "ca")])
def test_chains_to_the_anchor(names):
    own = c.read_chain(chain(*names), [pki().certificate("ca")], pki().now)
    assert own == pki().certificate(names[0])


@pytest.mark.parametrize(
    ("certs", "at", "reason"),
    [
        (lambda: (), 0, "0 certificates"),
        (lambda: chain("alice") * 9, 0, "9 certificates"),
        (lambda: chain("alice"), 0, "VerificationError"),
        (lambda: chain("stranger", "strangeca"), 0, "VerificationError"),
        (lambda: chain("undernotca", "notca"), 0, "VerificationError"),
        (lambda: chain("alice", "inter"), -2 * DAY, "VerificationError"),
        (lambda: chain("alice", "inter"), 4000 * DAY, "VerificationError"),
        (lambda: chain("alice", "inter"), 1 << 90, "not to be trusted"),
        (lambda: chain("short"), 0, "trusted|RSA key from 2048"),
        (lambda: chain("elliptic"), 0, "RSA key"),
        (lambda: (v.Cert(1, b"http://x/cert"),), 0, "only X.509"),
        (lambda: (v.Cert(0, b"no certificate"),), 0, "ValueError"),
    ],
)
def test_what_is_not_trusted(certs, at, reason):
    with pytest.raises(mikey.MikeyError, match=reason) as caught:
        c.read_chain(certs(), [pki().certificate("ca")], pki().now + at)
    assert caught.value.error_no is mikey.ErrorNo.INVALID_CERT


def test_a_version_that_does_not_exist():
    """Version 3 stands as 02 01 02 behind the first tag of the certificate."""
    der = pki().certificate("alice").public_bytes(Encoding.DER)
    assert der.count(b"\xa0\x03\x02\x01\x02") == 1
    odd = der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x64")
    with pytest.raises(mikey.MikeyError, match="InvalidVersion") as caught:
        c.read_chain((v.Cert(0, odd), *chain("inter")), [pki().certificate("ca")], pki().now)
    assert caught.value.error_no is mikey.ErrorNo.INVALID_CERT


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_bent_certificates_raise_nothing_else(data):
    der = bytearray(pki().certificate("alice").public_bytes(Encoding.DER))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(der) - 1))
        der[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    for anchors in ([pki().certificate("ca")], [pki().certificate("inter")]):
        try:
            c.uris(c.read_chain((v.Cert(0, bytes(der)), *chain("inter")), anchors, pki().now))
        except mikey.MikeyError as error:
            assert error.error_no is mikey.ErrorNo.INVALID_CERT


def test_identities():
    assert c.uris(pki().certificate("alice")) == ("sip:alice@example.com",)
    assert c.uris(pki().certificate("kms")) == () == c.uris(pki().certificate("nobody"))


def test_openssl_verifies_our_signature():
    key, folder = pki().key("alice"), pki().folder
    (folder / "text").write_bytes(TEXT)
    (folder / "alice.pub").write_bytes(pki().openssl("x509", "-in", "alice.pem", "-pubkey", "-noout"))
    for kind, options in ((SignType.RSA_PKCS1, ()), (SignType.RSA_PSS, ("-sigopt", "rsa_padding_mode:pss"))):
        (folder / "sig").write_bytes(c.sign(key, TEXT, kind))
        done = pki().openssl("dgst", "-sha256", "-verify", "alice.pub", *options, "-signature", "sig", "text")
        assert done == b"Verified OK\n"


@pytest.mark.parametrize(("digest", "accepted"), [("-sha256", (c.SHA_256,)), ("-sha1", (c.SHA_256, c.SHA_1))])
@pytest.mark.parametrize("pss", [False, True])
def test_we_verify_openssls_signature(digest, accepted, pss):
    options = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest") if pss else ()
    made = pki().openssl("dgst", digest, "-sign", "alice.key", *options, octets=TEXT)
    key = c.public_key(pki().certificate("alice"))
    payload = v.Sign(SignType.RSA_PSS if pss else SignType.RSA_PKCS1, made)
    c.verify(key, payload, TEXT, accepted)
    with pytest.raises(mikey.MikeyError, match="signature is wrong"):
        c.verify(key, payload, TEXT + b"x", accepted)
    if digest == "-sha1":
        with pytest.raises(mikey.MikeyError, match="signature is wrong"):
            c.verify(key, payload, TEXT)


def test_signatures_of_another_kind():
    with pytest.raises(mikey.MikeyError, match="type 2 is no RSA"):
        c.verify(c.public_key(pki().certificate("alice")), v.Sign(2, bytes(129)), TEXT)


@pytest.mark.parametrize("oaep", [False, True])
def test_envelopes(oaep):
    mode = ["oaep", "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256"] if oaep else ["pkcs1"]
    options = ["-pkeyopt", f"rsa_padding_mode:{mode[0]}", *mode[1:]]
    folder, secret = pki().folder, b"K" * 16
    pke = c.wrap_envelope(c.public_key(pki().certificate("kms")), secret, oaep=oaep)
    (folder / "pke").write_bytes(pke.data)
    assert pki().openssl("pkeyutl", "-decrypt", "-inkey", "kms.key", "-in", "pke", *options) == secret
    (folder / "secret").write_bytes(secret)
    made = pki().openssl("pkeyutl", "-encrypt", "-certin", "-inkey", "kms.pem", "-in", "secret", *options)
    assert c.unwrap_envelope(pki().key("kms"), v.Pke(0, made), 16, oaep=oaep) == secret
    for data, octets in ((made, 32), (made[:-1], 16), (b"", 16)):
        with pytest.raises(mikey.MikeyError, match="PKE: no envelope key"):
            c.unwrap_envelope(pki().key("kms"), v.Pke(0, data), octets, oaep=oaep)


@pytest.mark.parametrize("hash_func", [HashFunc.SHA_1, HashFunc.SHA_256])
def test_chash(hash_func):
    kms, alice = pki().certificate("kms"), pki().certificate("alice")
    payload = c.chash(kms, hash_func)
    name = "-sha1" if hash_func is HashFunc.SHA_1 else "-sha256"
    printed = pki().openssl("x509", "-in", "kms.pem", "-noout", "-fingerprint", name).decode()
    assert payload.hash == bytes.fromhex(printed.split("=")[1].replace(":", ""))
    assert c.is_named(payload, kms) and c.is_named(None, kms) and not c.is_named(payload, alice)
    assert not c.is_named(v.Chash(9, b"x"), kms) and not c.is_named(v.Chash(HashFunc.MD5, bytes(16)), kms)
    assert kms.public_bytes(Encoding.DER)
