"""Whole messages: every vector read and written back, cut and bent at every octet, nothing but MikeyError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import mikey
from imswire.mikey import values as v
from imswire.mikey.message import read_nested, write_nested
from tests.imswire.mikey.vectors import SET1, every_message

MESSAGES = every_message()
# RFC 4567 5.1's I_MESSAGE has data type 0, an SRTP-ID map and payloads of RFC 3830 alone.
RFC_3830 = mikey.build(
    v.Header(mikey.DataType.PSK_INIT, 0, 0x1234, mikey.MapType.SRTP_ID, (v.SrtpSession(1, 0xCAFE, 0),), True),
    [
        v.Timestamp(0, bytes(8)),
        v.Rand(bytes(16)),
        v.Id(1, b"sip:a@b"),
        v.Id(1, b"sip:b@b"),
        v.Sp(1, 0, ((0, b"\1"), (1, b"\x10"))),
        v.Kemac(1, b"secret", 1, bytes(20)),
    ],
)


@pytest.mark.parametrize("name", MESSAGES)
def test_vectors_are_read_and_written_back(name):
    octets = MESSAGES[name]
    message = mikey.parse(octets)
    assert mikey.build(message.header, [placed.value for placed in message.payloads]) == octets
    assert b"".join([octets[: message.payloads[0].offset], *(p.octets for p in message.payloads)]) == octets
    peeked, header = mikey.peek(octets), message.header
    assert (peeked.csb_id, peeked.prf, peeked.map_type) == (header.csb_id, header.prf, header.map_type)


@pytest.mark.parametrize("name", MESSAGES)
def test_cut_at_every_octet(name):
    octets = MESSAGES[name]
    for length in range(len(octets)):
        with pytest.raises(mikey.MikeyError):
            mikey.parse(octets[:length])
    with pytest.raises(mikey.MikeyError, match="behind the last payload"):
        mikey.parse(octets + b"\0")


def test_rfc_3830_message():
    message = mikey.parse(RFC_3830)
    assert message.header.sessions == (v.SrtpSession(1, 0xCAFE, 0),)
    assert message.policies[1].mapping == {0: b"\1", 1: b"\x10"}
    assert [each.data for each in message.all(v.Id)] == [b"sip:a@b", b"sip:b@b"]
    assert message.placed(17) is None and message.rand(mikey.RandRole.KMS) is None


@given(st.sampled_from([*MESSAGES.values(), RFC_3830]), st.data())
def test_mutations_raise_nothing_else(seed, data):
    octets = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(octets) - 1))
        octets[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        message = mikey.parse(bytes(octets))
        ticket = message.first(v.Ticket)
        if ticket is not None:
            mikey.PolicyData.read(ticket.policy)
            mikey.tpk_id(ticket)
    except mikey.MikeyError as error:
        assert error.reason and "secret" not in str(error)


@pytest.mark.parametrize(
    ("octets", "where"),
    [
        (b"", "HDR"),
        (b"\x02" + bytes(20), "HDR"),
        (bytes.fromhex("010e0580 00000001 00 07"), "HDR"),
        (bytes.fromhex("010e1280 00000001 00 01"), "chain"),
        (bytes.fromhex("010e0580 00000001 00 01 00 09") + bytes(8), "T"),
        (bytes.fromhex("010e0580 00000001 00 01 05 00") + bytes(8) + b"\0\0" + bytes(8), "T"),
        (bytes(70_000), "message"),
    ],
)
def test_errors_name_the_payload(octets, where):
    with pytest.raises(mikey.MikeyError) as caught:
        mikey.parse(octets)
    assert caught.value.payload == where


def test_too_many_payloads():
    header = v.Header(mikey.DataType.ERROR, 0, 1, mikey.MapType.EMPTY)
    with pytest.raises(mikey.MikeyError, match="more than"):
        mikey.parse(mikey.build(header, [v.Sp(1, 0, ())] * 300))


def message(data_type: int, *payloads: v.Payload) -> mikey.MikeyMessage:
    return mikey.parse(mikey.build(v.Header(data_type, 0, 1, mikey.MapType.EMPTY), list(payloads)))


def test_an_error_message_names_all_that_is_wrong():
    """RFC 3830 5.1.2: HDR, T, {ERR}, {SP}, [V|SIGN]."""
    found = message(mikey.DataType.ERROR, v.Timestamp(0, bytes(8)), v.Err(2), v.Err(9), v.Sp(0, 0, ()), v.Sp(1, 0, ()))
    assert [each.error_no for each in found.all(v.Err)] == [2, 9]


@pytest.mark.parametrize("role", [mikey.IdRole.INITIATOR, mikey.IdRole.RESPONDER])
def test_a_user_may_ask_keys_for_several_identities(role):
    """RFC 6267 4.2.1.1: multiple IDRi/r in the request for private keys; elsewhere one of a role."""
    identities = [v.Idr(role, 1, b"sip:a@b"), v.Idr(role, 1, b"tel:+1")]
    for data_type in (19, 20, 21):
        assert len(message(data_type, *identities).all(v.Idr)) == 2
    for data_type in (mikey.DataType.TRANSFER_INIT, mikey.DataType.IBAKE_I_MESSAGE_1):
        with pytest.raises(mikey.MikeyError, match="a second time"):
            message(data_type, *identities)
    with pytest.raises(mikey.MikeyError, match="a second time"):
        message(19, *[v.Idr(mikey.IdRole.KMS, 1, b"kms")] * 2)


def test_what_is_missing_is_named():
    answer = mikey.parse(MESSAGES["1-TRANSFER_RESP"])
    with pytest.raises(mikey.MikeyError, match="no Ticket payload in a TRANSFER_RESP"):
        answer.need(v.Ticket)
    assert mikey.type_name(99) == "data type 99"


def test_policy_data():
    data = mikey.PolicyData.read(SET1.ticket.policy)
    assert data.write() == SET1.ticket.policy.tp_data
    assert (data.initiator, data.kms, data.responders) == (SET1.initiator, SET1.kms, (SET1.responder,))
    start, end = data.start.unix_ns, data.end.unix_ns
    assert (data.outside(start - 1), data.outside(start)) == ("the ticket is not valid yet", None)
    assert (data.outside(end), data.outside(end + 1)) == (None, "the ticket has expired")
    assert mikey.PolicyData().outside(0) is None
    full = mikey.PolicyData(rekey=v.Timestamp(3, bytes(4)), applications=(v.Idr(5, 1, b"x"),), kemac=v.Kemac(0, b""))
    assert mikey.PolicyData.read(v.TicketPolicy(1, 1, 1, 0, v.Flags(), full.write())) == full


def test_nested_chains():
    assert read_nested(b"", "X") == () and write_nested([]) == b"\0"
    assert read_nested(b"\0", "X") == ()


@pytest.mark.parametrize(
    ("flags", "broken"),
    [
        ("DEFGHNO", None),
        ("EFGHNO", "D=0 needs L=1"),
        ("DEGHNO", "G=1 needs F=1"),
        ("DEFNO", "G=0 needs H=1"),
        ("DFGHINO", "I=1 needs E=1"),
        ("EFGHKLNO", "K=1 needs D=1"),
        ("DEHMNO", "M=1 needs F=1"),
    ],
)
def test_flags_that_contradict_each_other(flags, broken):
    assert str(mikey.Flags.of(flags)) == flags
    assert mikey.contradiction(mikey.Flags.of(flags)) == broken


def test_a_forked_tgk_needs_an_answer():
    flags = mikey.Flags.of("DEHINO")
    tgk = v.KeyData(mikey.KeyType.TGK_SALT, bytes(16), bytes(14))
    assert mikey.contradiction(flags, (tgk,)) == "I=1 with a TGK needs F=1"
    assert mikey.contradiction(flags, (v.KeyData(mikey.KeyType.GTGK, bytes(16)),)) is None
