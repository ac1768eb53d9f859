"""KEMACs and MACs, against the vectors' intermediate values."""

from __future__ import annotations

import pytest

from imswire import mikey
from imswire.mikey import prf, protect
from imswire.mikey import values as v
from tests.imswire.mikey.vectors import SET1, SETS, key


@pytest.mark.parametrize("s", SETS)
def test_kemac_of_request_resp(s):
    message = mikey.parse(s["REQUEST_RESP"])
    protection = protect.Protection(s["PSK Alice-KMS"], s.suite.prf, s.csb("Request"), 2, s["RANDRi in REQUEST_INIT"])
    assert protection.key(prf.ENCR, s.suite.octets) == s["REQUEST_RESP encr_key"]
    salt = protection.key(prf.SALT, 14)
    assert salt == s["REQUEST_RESP salt_key"]
    assert protect.iv(salt, s.csb("Request"), s.time("REQUEST_RESP")) == s.under(
        "Ticket (MIKEY base ticket)", "KEMAC IV"
    )
    keys = protection.open(message.need(v.Kemac), s.time("REQUEST_RESP"))
    assert keys[0].key == s["MPKi"]
    assert protection.seal(keys, s.suite.encr_alg, s.time("REQUEST_RESP")) == message.need(v.Kemac)
    assert s["PSK Alice-KMS"].hex() not in repr(protection) and "redacted" in repr(protection)


@pytest.mark.parametrize("s", SETS)
def test_coverage_leaves_the_initiator_data_out(s):
    assert protect.covered(mikey.parse(s["TRANSFER_INIT"])) == s["MAC input without the two identities"]


def test_v_must_be_last():
    header = v.Header(mikey.DataType.TRANSFER_RESP, 0, 1, mikey.MapType.EMPTY)
    for payloads in ([v.Rand(b"")], [v.V(1, bytes(20)), v.Rand(b"")]):
        with pytest.raises(mikey.MikeyError, match="not the last"):
            protect.covered(mikey.parse(mikey.build(header, payloads)))


def test_the_timestamp_of_either_message_opens_a_kemac():
    protection = protect.Protection(b"k" * 16, 0, 1, 2)
    keys = (key(mikey.KeyType.TEK, b"t" * 16, b"\1"),)
    own, other = v.Timestamp(0, b"\xeb" + bytes(7)), v.Timestamp(2, b"\0\0\0\1")
    kemac = protection.seal(keys, mikey.EncrAlg.AES_CM_128, other)
    assert protection.open(kemac, own, other) == keys
    with pytest.raises(mikey.MikeyError):
        protection.open(kemac, own)
    with pytest.raises(mikey.MikeyError, match="nothing"):
        protection.open(kemac)


@pytest.mark.parametrize("alg", [mikey.EncrAlg.NULL, mikey.EncrAlg.AES_CM_128, mikey.EncrAlg.AES_CM_256])
def test_round_trip(alg):
    protection = protect.Protection(b"k" * 32, 1, 1, 1)
    keys = (key(mikey.KeyType.TGK_SALT, b"t" * 32, b"\1", b"s" * 14), key(mikey.KeyType.MPK, b"m" * 32, b"\2"))
    stamp = v.Timestamp(3, b"\xeb\0\0\0")
    assert protection.open(protection.seal(keys, alg, stamp), stamp) == keys
    assert protection.open(v.Kemac(alg, b""), stamp) == ()


def test_algorithms_that_are_not_known():
    protection = protect.Protection(b"k" * 16, 0, 1, 1)
    with pytest.raises(mikey.MikeyError, match="encryption algorithm 9"):
        protection.open(v.Kemac(9, b"x"), v.Timestamp(0, bytes(8)))
    for alg in (0, 9):
        with pytest.raises(mikey.MikeyError, match="gives no proof"):
            protection.proves(v.V(alg, b""), b"")


def test_macs():
    protection = protect.Protection(SET1["PSK Alice-KMS"], 0, SET1.csb("Request"), 1, SET1["RANDRi in REQUEST_INIT"])
    message = mikey.parse(SET1["REQUEST_INIT_PSK"])
    octets = protect.covered(message) + SET1.initiator.data + SET1.kms.data
    assert protection.proves(message.need(v.V), octets) and not protection.proves(message.need(v.V), octets + b"x")
