"""MIKEY-SAKKE messages under both identifier schemes: opened, verified, built, refused."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import mikey, srtp
from imswire.mikey import eccsi, sakke
from imswire.mikey import sakke_message as sm
from imswire.mikey import values as v
from imswire.mikey.message import build
from tests.imswire.mikey.sakke_vectors import IDENTIFIER, MASTER, OWN, RFC_6507, UIDS, octets, point

KPAK = point(eccsi.CURVE, RFC_6507["KPAK"])
PLAIN = mikey.parse(bytes.fromhex(OWN["I_MESSAGE"]))


@pytest.mark.parametrize("entry", UIDS["UIDs"])
def test_uids(entry):
    period, offset, number = entry["key period (s)"], entry["offset"], entry["period number"]
    assert sm.uid(entry["user"]["text"], entry["KMS"]["text"], period, offset, number).hex() == entry["UID"]


def test_a_message_under_hashed_identifiers():
    message = mikey.parse(bytes.fromhex(UIDS["I_MESSAGE"]))
    sender, identifier = octets(UIDS, "UID of the initiator"), octets(UIDS, "UID of the receiver")
    assert sm.identifiers(message) == (sender, identifier)
    key, secret = sakke.read_point(octets(UIDS, "receiver secret key")), octets(UIDS, "SSV")
    for opened in (
        sm.open_with_key(message, key, MASTER.public),
        sm.open_with_key(message, key, MASTER.public, identifier),
        sm.open_with_master(message, MASTER),
    ):
        assert opened.ssv == secret
        assert opened.session_key(1).hex() == UIDS["CS 1"]["TEK"]
        assert opened.session_salt(1).hex() == UIDS["CS 1"]["master salt"]
    sm.check_signature(message, KPAK)
    with pytest.raises(mikey.MikeyError, match="signature is wrong"):
        sm.check_signature(message, KPAK, identifier)
    with pytest.raises(mikey.MikeyError, match="not made for this identifier"):
        sm.open_with_master(message, MASTER, sender)
    assert mikey.build(message.header, [each.value for each in message.payloads]) == message.octets


def test_opened_with_the_masters_secret():
    opened = sm.open_with_master(PLAIN, MASTER)
    assert opened.ssv.hex() == OWN["SSV = TGK"] and "redacted" in repr(opened)
    for cs_id in (1, 2):
        assert opened.session_key(cs_id).hex() == OWN[f"CS {cs_id}"]["TEK"]
        assert opened.session_salt(cs_id).hex() == OWN[f"CS {cs_id}"]["master salt"]
    sm.check_signature(PLAIN, KPAK)
    master = srtp.MasterKey(opened.session_key(1), opened.session_salt(1))
    master.fits(srtp.AES_CM_128_HMAC_SHA1_80)


def test_built_again_octet_for_octet():
    payloads = [each.value for each in PLAIN.payloads]
    initiator, _ = sm.identifiers(PLAIN)
    signer = eccsi.signing_key(int(RFC_6507["KSAK"], 16), initiator, int(OWN["v"], 16))
    assert f"{signer.ssk:064x}" == OWN["SSK of the initiator"]
    made = sm.i_message(
        PLAIN.header, payloads[:-2], bytes.fromhex(OWN["SSV = TGK"]), MASTER.public, (signer, KPAK), int(OWN["j"], 16)
    )
    assert made == PLAIN.octets


def test_the_month_of_the_message_counts():
    told = v.Timestamp.ntp_utc(1_298_937_599_999_999_999)  # 2011-02-28T23:59:59
    assert sm.monthly_identifier("tel:+447700900123", told) == IDENTIFIER
    next_month = v.Timestamp.ntp_utc(1_298_937_600_000_000_000)
    assert sm.monthly_identifier("tel:+447700900123", next_month) == IDENTIFIER.replace(b"02", b"03", 1)
    with pytest.raises(mikey.MikeyError, match="no time"):
        sm.monthly_identifier("tel:+1", v.Timestamp(2, bytes(4)))


def changed(**fields) -> mikey.MikeyMessage:
    payloads = [
        structs.replace(each.value, **fields) if isinstance(each.value, v.Sakke) else each.value
        for each in PLAIN.payloads
    ]
    return mikey.parse(build(PLAIN.header, payloads))


def without(cls, header=PLAIN.header) -> mikey.MikeyMessage:
    payloads = [each.value for each in PLAIN.payloads if not isinstance(each.value, cls)]
    return mikey.parse(build(header, payloads))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (changed(params=2), "parameter set 2"),
        (changed(data=b"x"), "1 octets of data"),
        (changed(id_scheme=9), "whom it is for"),
        (without(v.Idr), "whom it is for"),
        (without(v.Sakke), "no Sakke payload"),
        (without(v.Sign, structs.replace(PLAIN.header, data_type=0)), "no SAKKE message"),
    ],
)
def test_what_cannot_be_opened(message, reason):
    with pytest.raises(mikey.MikeyError, match=reason):
        sm.open_with_master(message, MASTER)


def test_an_identity_from_the_signalling_helps():
    opened = sm.open_with_master(without(v.Idr), MASTER, sm.identifiers(PLAIN)[1])
    assert opened.ssv.hex() == OWN["SSV = TGK"]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (without(v.Sign), "SIGN: missing"),
        (
            mikey.parse(build(PLAIN.header, [*(e.value for e in without(v.Sign).payloads), v.Sign(0, b"x")])),
            "not ECCSI",
        ),
        (without(v.Idr), "who sent it"),
        (changed(data=bytes(273)), "signature is wrong"),
    ],
)
def test_signatures_that_do_not_prove(message, reason):
    with pytest.raises(mikey.MikeyError, match=reason):
        sm.check_signature(message, KPAK)


def test_both_identities_are_needed_to_build():
    payloads = [each.value for each in without((v.Idr, v.Sakke, v.Sign)).payloads]
    signer = eccsi.SigningKey(1, eccsi.BASE)
    with pytest.raises(mikey.MikeyError, match="both identities"):
        sm.i_message(PLAIN.header, payloads, bytes(16), MASTER.public, (signer, KPAK), 5)
