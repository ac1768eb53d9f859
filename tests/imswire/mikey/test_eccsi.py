"""RFC 6507 Appendix A in every step, the key of a hashed identifier, and what does not verify."""

from __future__ import annotations

import pytest

from imswire import mikey
from imswire.mikey import eccsi
from imswire.mikey.eccsi import BASE, CURVE
from tests.imswire.mikey.sakke_vectors import RFC_6507, UIDS, number, octets, point

KSAK, V, J = (int(RFC_6507[name], 16) for name in ("KSAK", "v", "j"))
KPAK = point(CURVE, RFC_6507["KPAK"])
KEY = eccsi.SigningKey(number(RFC_6507, "SSK"), point(CURVE, RFC_6507["PVT"]))
ID, M = octets(RFC_6507, "ID"), octets(RFC_6507, "M")
SIGNATURE = octets(RFC_6507, "Signature")


def test_rfc_6507_appendix_a():
    assert (CURVE.p, CURVE.b, CURVE.order) == tuple(number(RFC_6507, name) for name in ("p", "B", "q"))
    assert octets(RFC_6507, "G") == CURVE.write(BASE)
    assert eccsi.public_key(KSAK) == KPAK
    assert eccsi.signing_key(KSAK, ID, V) == KEY and eccsi.proves(KEY, ID, KPAK)
    assert eccsi._hs(KPAK, ID, KEY.pvt) == number(RFC_6507, "HS")
    assert eccsi._he(number(RFC_6507, "HS"), number(RFC_6507, "r"), M) == number(RFC_6507, "HE")
    assert eccsi.sign(M, KEY, ID, KPAK, J) == SIGNATURE
    eccsi.verify(M, SIGNATURE, ID, KPAK)


def test_key_of_a_hashed_identifier():
    key = eccsi.SigningKey(number(UIDS, "SSK"), CURVE.read(octets(UIDS, "PVT"), "vector"))
    identifier = octets(UIDS, "UID of the initiator")
    assert eccsi.signing_key(number(RFC_6507, "KSAK"), identifier, int(UIDS["v"], 16)) == key
    assert eccsi.proves(key, identifier, KPAK) and not eccsi.proves(key, identifier + b"x", KPAK)
    eccsi.verify(b"text", eccsi.sign(b"text", key, identifier, KPAK, 99), identifier, KPAK)


def changed(at: int) -> bytes:
    return SIGNATURE[:at] + bytes((SIGNATURE[at] ^ 1,)) + SIGNATURE[at + 1 :]


@pytest.mark.parametrize(
    ("octets_", "signature", "identifier"),
    [
        (M + b"x", SIGNATURE, ID),
        (M, SIGNATURE, ID + b"x"),
        (M, changed(5), ID),
        (M, changed(40), ID),
        (M, changed(100), ID),
        (M, SIGNATURE[:-1], ID),
        (M, b"", ID),
        (M, bytes(32) + SIGNATURE[32:], ID),
        (M, SIGNATURE[:32] + bytes(32) + SIGNATURE[64:], ID),
        (M, b"\xff" * 32 + SIGNATURE[32:], ID),
        (M, SIGNATURE[:64] + eccsi.CURVE.write(BASE), ID),
    ],
)
def test_what_does_not_verify(octets_, signature, identifier):
    with pytest.raises(mikey.MikeyError):
        eccsi.verify(octets_, signature, identifier, KPAK)


def test_numbers_that_give_nothing():
    for number_ in (0, CURVE.order):
        with pytest.raises(mikey.MikeyError, match="ECCSI"):
            eccsi.public_key(number_)
    # KSAK + HS * v = 0 cannot be chosen freely, since HS depends on KSAK; SSK = -HE / r can.
    r = CURVE.multiply(J, BASE).x % CURVE.order
    he = eccsi._he(eccsi._hs(KPAK, ID, KEY.pvt), r, M)
    ssk = -he * pow(r, -1, CURVE.order) % CURVE.order
    with pytest.raises(mikey.MikeyError, match="gives no signature"):
        eccsi.sign(M, eccsi.SigningKey(ssk, KEY.pvt), ID, KPAK, J)


def test_keys_do_not_show_and_points_are_checked():
    assert "redacted" in repr(KEY)
    assert not eccsi.proves(eccsi.SigningKey(KEY.ssk, BASE._replace(y=1)), ID, KPAK)
