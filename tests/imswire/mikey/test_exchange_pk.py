"""REQUEST_INIT_PK and RESOLVE_INIT_PK with certificates of openssl: built, checked, answered, and tampered with."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import mikey
from imswire.mikey import certificates as c
from imswire.mikey import exchange, exchange_pk
from imswire.mikey import values as v
from imswire.mikey.exchange import SUITE_128, SUITE_256
from imswire.mikey.numbers import SignType
from tests.imswire.mikey.pki import pki
from tests.imswire.mikey.vectors import SET1

KMS = b"kms.example.com"
POLICY = mikey.parse(SET1["REQUEST_INIT_PSK"]).need(v.TicketPolicy)


def request(suite=SUITE_128, signer=None, oaep=False) -> bytes:
    return exchange_pk.request_init(
        suite,
        signer or pki().signer("alice", "inter"),
        pki().certificate("kms"),
        b"E" * suite.octets,
        csb_id=7,
        timestamp=v.Timestamp.ntp_utc(pki().now),
        rand=b"R" * suite.octets,
        initiator=SET1.initiator,
        kms=SET1.kms,
        policy=POLICY,
        oaep=oaep,
    )


def resolve() -> bytes:
    return exchange_pk.resolve_init(
        SUITE_128,
        pki().signer("bob", "inter"),
        pki().certificate("kms"),
        b"E" * 16,
        csb_id=7,
        timestamp=v.Timestamp.ntp_utc(pki().now),
        rand=b"R" * 16,
        responder=SET1.responder,
        kms=SET1.kms,
        ticket=SET1.ticket,
    )


def checked(octets: bytes, **options) -> exchange_pk.SignedBy:
    return exchange_pk.check_asked(mikey.parse(octets), pki().kms(**options), KMS, pki().now)


@pytest.mark.parametrize("suite", [SUITE_128, SUITE_256])
@pytest.mark.parametrize("sign_type", [SignType.RSA_PKCS1, SignType.RSA_PSS])
@pytest.mark.parametrize("oaep", [False, True])
def test_request_and_answer(suite, sign_type, oaep):
    octets = request(suite, pki().signer("alice", "inter", sign_type=sign_type), oaep)
    signed = checked(octets, oaep=oaep)
    assert c.uris(signed.certificate) == ("sip:alice@example.com",)
    answer = exchange.request_resp(
        signed.asked,
        suite,
        timestamp=v.Timestamp.ntp_utc(pki().now),
        kms=SET1.kms,
        ticket=SET1.ticket,
        keys=(SET1.mpk("MPKi", b"M" * 16), *SET1.session_keys()),
    )
    opened = exchange.open_answer(answer, octets, b"E" * suite.octets)
    assert opened.mpki == b"M" * 16 and opened.ticket == SET1.ticket
    with pytest.raises(mikey.MikeyError, match="MAC"):
        exchange.open_answer(answer, octets, b"F" * suite.octets)


def test_payloads_in_the_order_of_the_standard():
    names = [mikey.PayloadType(each.payload_type).name for each in mikey.parse(request()).payloads]
    assert names == ["T", "RANDR", "IDR", "CERT", "CERT", "IDR", "TP", "CHASH", "PKE", "SIGN"]
    names = [mikey.PayloadType(each.payload_type).name for each in mikey.parse(resolve()).payloads]
    assert names == ["T", "RANDR", "IDR", "CERT", "CERT", "IDR", "TICKET", "CHASH", "PKE", "SIGN"]


def test_openssl_verifies_the_whole_message():
    """SIGN covers the message up to the signature value, then both identities (RFC 6043 5.3)."""
    octets = resolve()
    sign = mikey.parse(octets).need(v.Sign)
    folder = pki().folder
    (folder / "covered").write_bytes(octets[: -len(sign.signature)] + b"sip:bob@example.com" + KMS)
    (folder / "sign").write_bytes(sign.signature)
    (folder / "bob.pub").write_bytes(pki().openssl("x509", "-in", "bob.pem", "-pubkey", "-noout"))
    done = pki().openssl("dgst", "-sha256", "-verify", "bob.pub", "-signature", "sign", "covered")
    assert done == b"Verified OK\n" and checked(octets).asked


def rebuilt(change) -> bytes:
    message = mikey.parse(request())
    payloads = change([each.value for each in message.payloads])
    return mikey.build(message.header, payloads)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (lambda: request(signer=pki().signer("stranger", "strangeca")), "CERT: not to be trusted"),
        (lambda: rebuilt(lambda p: [each for each in p if not isinstance(each, v.Cert)]), "0 certificates"),
        (lambda: rebuilt(lambda p: p[:-1]), "SIGN: missing"),
        (lambda: rebuilt(lambda p: [*p[:-1], v.Sign(0, bytes(256))]), "signature is wrong"),
        (lambda: rebuilt(lambda p: [v.Timestamp(0, bytes(8)), *p[1:]]), "signature is wrong"),
    ],
)
def test_what_does_not_prove_right(octets, reason):
    with pytest.raises(mikey.MikeyError, match=reason):
        checked(octets())


def test_a_kms_that_is_not_meant():
    other = structs.replace(pki().kms(), certificate=pki().certificate("nobody"))
    with pytest.raises(mikey.MikeyError, match="another certificate"):
        exchange_pk.check_asked(mikey.parse(request()), other, KMS, pki().now)
    with pytest.raises(mikey.MikeyError, match="signature is wrong"):
        without = rebuilt(lambda p: [e for e in p if e != SET1.kms])
        exchange_pk.check_asked(mikey.parse(without), pki().kms(), KMS, pki().now)
    wrong = structs.replace(pki().kms(), key=pki().key("nobody"))
    with pytest.raises(mikey.MikeyError, match=r"PKE|MAC"):
        signed = exchange_pk.check_asked(mikey.parse(request()), wrong, KMS, pki().now)
        # Bad padding gives a random key of a random length: then the answer is of no use.
        assert signed.asked.protection.inkey != b"E" * 16
        raise mikey.MikeyError("MAC", "of no use")


def test_an_unknown_prf():
    signer = pki().signer("alice", "inter")
    suite = structs.replace(SUITE_128, prf=9)
    with pytest.raises(mikey.MikeyError, match="PRF function 9"):
        checked(request(suite, signer))


@pytest.mark.parametrize("octets", [request, resolve])
def test_every_changed_octet_is_noticed(octets):
    whole = octets()
    for at in range(0, len(whole), 41):
        changed = whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :]
        with pytest.raises(mikey.MikeyError):
            checked(changed)


def test_secrets_do_not_show():
    assert "redacted" in repr(pki().kms()) and "redacted" in repr(pki().signer("alice"))
