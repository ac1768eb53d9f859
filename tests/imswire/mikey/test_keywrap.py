"""AES key wrap: RFC 3394 4.1 with its own initial value, then with a MIKEY salt inside a KEMAC."""

from __future__ import annotations

import pytest

from imswire import mikey
from imswire.mikey import protect
from imswire.mikey import values as v
from imswire.mikey.keywrap import key_wrap
from tests.imswire.mikey.vectors import key


def test_rfc_3394_4_1():
    secret, plain = bytes(range(16)), bytes.fromhex("00112233445566778899aabbccddeeff")
    wrapped = key_wrap(secret, b"\xa6" * 8, plain, wrap=True)
    assert wrapped.hex().upper() == "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"
    assert key_wrap(secret, b"\xa6" * 8, wrapped, wrap=False) == plain


@pytest.mark.parametrize(
    ("octets", "wrap"), [(bytes(15), True), (bytes(8), True), (bytes(16), False), (bytes(25), False)]
)
def test_lengths(octets, wrap):
    with pytest.raises(mikey.MikeyError, match="64 bits"):
        key_wrap(bytes(16), bytes(8), octets, wrap=wrap)


def test_in_a_kemac():
    protection = protect.Protection(b"k" * 16, 0, 1, 1)
    # Header octets of key data with a one-octet SPI are six; the key fills up to 64 bits.
    keys = (key(mikey.KeyType.TEK, b"t" * 18, b"\1"),)
    kemac = protection.seal(keys, mikey.EncrAlg.AES_KW_128, v.Timestamp(0, bytes(8)))
    assert protection.open(kemac, v.Timestamp(0, bytes(8))) == keys
    broken = v.Kemac(kemac.encr_alg, kemac.encr_data[:-1] + b"\0")
    with pytest.raises(mikey.MikeyError, match="do not prove right"):
        protection.open(broken, v.Timestamp(0, bytes(8)))
