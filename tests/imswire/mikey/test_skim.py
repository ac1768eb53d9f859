"""Messages gone through by their lengths: what is said to be opaque is read as a whole, and has no keys in clear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from imswire import mikey
from imswire.errors import WireError
from imswire.mikey import layouts, payloads, skim, ticket
from imswire.mikey import values as v
from imswire.mikey.message import MAX_MESSAGE, read_nested, write_nested
from imswire.mikey.numbers import MapType, PayloadType
from tests.imswire.mikey.made import Made
from tests.imswire.mikey.test_payloads import PAYLOADS, SESSIONS
from tests.imswire.mikey.vectors import SET1, every_message

CLEAR, SEALED, EMPTY = v.Kemac(0, b"key"), v.Kemac(1, b"key"), v.Kemac(0, b"")
TIME, RAND, PROOF = v.Timestamp(2, b"time"), v.Rand(b"r"), v.V(1, bytes(20))
BY_INITIATOR = bytes((PayloadType.KEMAC,))
POLICY = v.Sp(1, 0, ((0, b"1"), (1, b"")))


def keys_in_clear(octets: bytes) -> bool:
    """As the parser has it; WireError: it does not read all of it."""
    found, values = [], [placed.value for placed in mikey.parse(octets).payloads]
    for value in values:
        if isinstance(value, v.Ticket):
            found.append(ticket.read_data(value.ticket_data).kemac)
            found += [each.value for each in read_nested(value.initiator_data, "Initiator Data")]
    return any(isinstance(each, v.Kemac) and each.encr_alg == 0 and each.encr_data for each in (*values, *found))


def assert_safe(octets: bytes) -> None:
    assert not (mikey.opaque(octets) and keys_in_clear(octets))


def message(*values: v.Payload, header: v.Header | None = None) -> bytes:
    return mikey.build(header or v.Header(0, 0, 1, MapType.EMPTY), list(values))


def with_ticket(*inside: v.Payload, by_initiator: bytes = b"", thdr: bytes = b"\0\0") -> bytes:
    data = bytes((payloads.payload_type(inside[0]),)) + thdr + payloads.write_chain(inside)
    return message(TIME, v.Ticket(SET1.ticket.policy, data, by_initiator), PROOF)


def asking(*values: v.Payload) -> v.TicketPolicy:
    return structs.replace(SET1.ticket.policy, tp_data=write_nested(list(values)))


def with_policy(*values: v.Payload) -> bytes:
    return message(TIME, structs.replace(SET1.ticket, policy=asking(*values)), PROOF)


def test_messages_of_others():
    """Neither a gain nor a risk is small: nearly every message that carries a ticket is one that this sees through."""
    found = {name: mikey.opaque(octets) for name, octets in every_message().items()}
    for name, octets in every_message().items():
        assert not found[name] or not keys_in_clear(octets), name
    assert sum(found.values()) > len(found) / 2
    assert mikey.opaque(Made("def").init)


@pytest.mark.parametrize(
    "octets",
    [
        message(TIME, SEALED, PROOF),
        message(TIME, EMPTY),
        message(POLICY, POLICY, v.Idr(1, 1, b"a"), v.Idr(2, 1, b"b")),
        message(v.Idr(1, 1, b"a"), header=v.Header(14, 0, 1, 2, (v.GenericSession(1, 0, True, (1,), b"xy", b"s"),))),
        message(SEALED, header=v.Header(0, 0, 1, 0, (v.SrtpSession(1, 2, 3), v.SrtpSession(1, 2, 3)))),
        message(),
        message(asking(SEALED, v.Idr(7, 1, b"a"))),
        with_policy(v.Idr(7, 1, b"a"), EMPTY),
        with_ticket(TIME, RAND, SEALED, v.Idr(7, 1, b"tpk"), PROOF),
        with_ticket(TIME, RAND, EMPTY, PROOF, by_initiator=b"\0", thdr=b"\0\1x"),
        with_ticket(TIME, RAND, SEALED, PROOF, by_initiator=BY_INITIATOR + payloads.write_chain([SEALED])),
    ],
)  # fmt: skip
def test_opaque(octets):
    assert mikey.opaque(octets) and not keys_in_clear(octets)
    for cut in range(len(octets)):
        assert not mikey.opaque(octets[:cut])
    assert not mikey.opaque(octets + b"\0")


@pytest.mark.parametrize(
    "octets",
    [
        message(TIME, CLEAR),
        message(TIME, TIME),
        message(v.Idr(1, 1, b"a"), v.Idr(1, 1, b"b")),
        message(v.Pke(0, b"left to the parser")),
        message(v.Sp(1, 0, ((0, b""),) * 33)),
        message(POLICY).replace(b"\0\1" + b"1", b"\0\x021"),
        message(*(POLICY,) * 257),
        message(v.V(1, bytes(20))).replace(b"\1" + bytes(20), b"\x09" + bytes(20)),
        b"\2" + message(SEALED)[1:],
        message(SEALED)[:9] + b"\7" + message(SEALED)[10:],
        with_ticket(TIME, RAND, CLEAR, PROOF),
        with_ticket(TIME, RAND, SEALED),
        with_ticket(TIME, SEALED, PROOF),
        with_ticket(TIME, TIME, RAND, SEALED, PROOF),
        with_ticket(TIME, RAND, SEALED, PROOF, POLICY),
        with_ticket(TIME, POLICY, RAND, SEALED, PROOF),
        with_ticket(TIME, RAND, SEALED, PROOF, thdr=b"\xff\0"),
        with_ticket(TIME, RAND, SEALED, PROOF, by_initiator=b"\1\0"),
        with_ticket(TIME, RAND, SEALED, PROOF, by_initiator=BY_INITIATOR + payloads.write_chain([CLEAR])),
        message(v.Ticket(SET1.ticket.policy, b"", b"")),
        with_policy(CLEAR),
        with_policy(v.KeyData(2, b"key")),
        message(asking(CLEAR)),
        message(structs.replace(SET1.ticket.policy, tp_data=b"\1\0")),
        message(v.KeyData(2, b"key")),
        bytes(MAX_MESSAGE + 1),
        b"",
    ],
)  # fmt: skip
def test_left_to_the_parser(octets):
    assert not mikey.opaque(octets)


@given(
    st.lists(st.one_of(PAYLOADS, st.sampled_from([TIME, RAND, CLEAR, SEALED, PROOF])), max_size=5),
    st.lists(st.one_of(PAYLOADS, st.sampled_from([CLEAR, EMPTY])), max_size=2),
    st.lists(SESSIONS, max_size=2),
    st.data(),
)
def test_whatever_is_opaque_can_be_read(inside, outside, sessions, data):
    inside = [TIME, RAND, *inside, PROOF]
    in_ticket = bytes((PayloadType.T,)) + b"\0\0" + payloads.write_chain(inside)
    whole = [structs.replace(SET1.ticket, ticket_data=in_ticket, initiator_data=b""), *outside]
    octets = bytearray(message(*whole, header=v.Header(14, 0, 1, MapType.GENERIC_ID, tuple(sessions))))
    try:
        assert_safe(bytes(octets))
    except WireError:
        assert not mikey.opaque(bytes(octets))
    for _ in range(3):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
        try:
            keys_in_clear(bytes(octets))
        except WireError:
            assert not mikey.opaque(bytes(octets))
        else:
            assert_safe(bytes(octets))


def test_what_a_role_begins():
    """Those that may stand once a role are those whose first field is one, and nobody else has any."""
    with_role = {number for number, layout in layouts.PAYLOADS.items() if layout.subcons[0].name == "role"}
    assert with_role == skim._WITH_ROLE
