"""PSK mode: both messages, updates, both suites; the messages that RFC 4567 prints; what does not prove right."""

from __future__ import annotations

from base64 import b64decode

import pytest

from imswire import mikey
from imswire.mikey import classic, psk
from imswire.mikey import values as v
from imswire.mikey.exchange import SUITE_128, SUITE_256
from imswire.mikey.numbers import DataType, IdType, KeyType, MapType

KEY = b"P" * 16
IDI, IDR = v.Id(IdType.URI, b"sip:alice@example.com"), v.Id(IdType.URI, b"sip:bob@example.com")
TIME, RAND = v.Timestamp.ntp_utc(1_700_000_000_000_000_000), v.Rand(b"R" * 16)
POLICY = v.Sp(1, 0, ((0, b"\1"), (1, b"\x10")))
TGKS = (v.KeyData(KeyType.TGK_SALT, b"A" * 16, b"S" * 14), v.KeyData(KeyType.TGK, b"B" * 16))


def header(suite=SUITE_128, expects: bool = True) -> v.Header:
    sessions = (v.SrtpSession(1, 0xAA, 0), v.SrtpSession(1, 0, 0))
    return v.Header(DataType.PSK_INIT, suite.prf, 77, MapType.SRTP_ID, sessions, expects)


def init(suite=SUITE_128) -> bytes:
    return psk.i_message(suite, KEY, header(suite), [TIME, RAND, IDI, IDR, POLICY], TGKS)


@pytest.mark.parametrize("suite", [SUITE_128, SUITE_256])
def test_both_messages(suite):
    octets = init(suite)
    opened = psk.open_i_message(octets, KEY)
    assert opened.keys == TGKS and "redacted" in repr(opened)
    keys = opened.session_keys()
    assert [key.cs_id for key in keys] == [1, 1, 2, 2] and keys[0].master_salt == b"S" * 14
    answer = psk.r_message(suite, opened, idi=IDI.data, idr=IDR.data, named=IDR)
    message = psk.check_r_message(answer, octets, KEY, idi=IDI.data, idr=IDR.data)
    names = [mikey.PayloadType(each.payload_type).name for each in message.payloads]
    assert names == ["T", "ID", "V"] and message.header.sessions == header().sessions
    assert psk.check_r_message(
        psk.r_message(suite, opened, idi=IDI.data, idr=IDR.data), octets, KEY, idi=IDI.data, idr=IDR.data
    )


def test_an_update_has_no_rand_of_its_own():
    later = v.Timestamp.ntp_utc(1_700_000_100_000_000_000)
    octets = psk.i_message(SUITE_128, KEY, header(), [later], (TGKS[1],), rand=RAND.rand)
    assert psk.open_i_message(octets, KEY, rand=RAND.rand).keys == (TGKS[1],)
    with pytest.raises(mikey.MikeyError, match="RAND"):
        psk.open_i_message(octets, KEY)


def test_what_does_not_prove_right():
    octets = init()
    with pytest.raises(mikey.MikeyError, match="MAC is wrong"):
        psk.open_i_message(octets, b"Q" * 16)
    for at in range(0, len(octets), 7):
        with pytest.raises(mikey.MikeyError):
            psk.open_i_message(octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :], KEY)
        with pytest.raises(mikey.MikeyError):
            psk.open_i_message(octets[:at], KEY)


def test_answers_that_do_not_prove_right():
    octets = init()
    opened = psk.open_i_message(octets, KEY)
    answer = psk.r_message(SUITE_128, opened, idi=IDI.data, idr=IDR.data)
    with pytest.raises(mikey.MikeyError, match="MAC is wrong"):
        psk.check_r_message(answer, octets, KEY, idi=IDI.data, idr=b"sip:eve@example.com")
    other = psk.i_message(SUITE_128, KEY, header(), [v.Timestamp(0, bytes(8)), RAND], TGKS)
    with pytest.raises(mikey.MikeyError, match="not the answer"):
        psk.check_r_message(answer, other, KEY, idi=IDI.data, idr=IDR.data)
    with pytest.raises(mikey.MikeyError, match="where PSK_RESP"):
        psk.check_r_message(octets, octets, KEY, idi=b"", idr=b"")


PRINTED = {
    "I_MESSAGE of 5.1": "AQAFgM0XflABAAAAAAAAAAAAAAsAyONQ6gAAAAAGEEoo2pee4hp2UaDX8ZE22YwKAAAPZG9uYWxkQGR1Y2suY29t"
    "AQAAAAAAAQAk0JKpgaVkDaawi9whVBtBt0KZ14ymNuu62+Nv3ozPLygwK/GbAV9iemnGUIZ19fWQUOSrzKTAv9zV",
    "R_MESSAGE of 5.1": "AQEFgM0XflABAAAAAAAAAAAAAAYAyONQ6gAAAAAJAAAQbWlja2V5QG1vdXNlLmNvbQABn8HdGE5BMDXFIuGEga+6"
    "2AgY5cc=",
}


@pytest.mark.parametrize("name", PRINTED)
def test_messages_that_rfc_4567_prints_are_read(name):
    octets = b64decode(PRINTED[name], validate=True)
    message = mikey.parse(octets)
    assert message.header.csb_id == 0xCD177E50 and message.all(v.Id)[0].data.endswith(b".com")
    assert mikey.build(message.header, [each.value for each in message.payloads]) == octets
    assert classic.typed(octets, DataType(message.header.data_type))


def test_an_update_is_answered_under_the_first_rand():
    later = v.Timestamp.ntp_utc(1_700_000_100_000_000_000)
    octets = psk.i_message(SUITE_128, KEY, header(), [later], (), rand=RAND.rand)
    opened = psk.open_i_message(octets, KEY, rand=RAND.rand)
    assert opened.keys == ()
    answer = psk.r_message(SUITE_128, opened, idi=IDI.data, idr=IDR.data)
    assert psk.check_r_message(answer, octets, KEY, idi=IDI.data, idr=IDR.data, rand=RAND.rand)
    with pytest.raises(mikey.MikeyError, match="MAC is wrong"):
        psk.check_r_message(answer, octets, KEY, idi=IDI.data, idr=IDR.data, rand=bytes(16))


# HDR for one crypto session, T, RAND, and a KEMAC of NULL encryption and NULL MAC around one TGK (RFC 3830 4.2.4).
NULL_ALGORITHMS = bytes.fromhex(
    "01000580 0000004d 01 00 00000000aa00000000 0b00 eb1f040000000000 0110" + "52" * 16 + "0000 0014"
    "00000010" + "41" * 16 + "00"
)


def test_no_encryption_and_no_mac_only_where_it_is_asked_for():
    with pytest.raises(mikey.MikeyError, match="gives no proof"):
        psk.open_i_message(NULL_ALGORITHMS, KEY)
    opened = psk.open_i_message(NULL_ALGORITHMS, KEY, accepts_null=True)
    assert opened.keys == (v.KeyData(KeyType.TGK, b"A" * 16),) and len(opened.session_keys()) == 1
    with pytest.raises(mikey.MikeyError, match="MAC is wrong"):
        psk.open_i_message(init(), b"Q" * 16, accepts_null=True)
