"""Fields and offsets: every octet of every vector belongs to a field, keys are not shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import mikey
from imswire.mikey import exchange
from imswire.mikey import values as v
from imswire.mikey.fields import Field, Group, fields
from imswire.mikey.message import build
from imswire.mikey.numbers import PayloadType
from tests.imswire.mikey.vectors import every_message

MESSAGES = every_message()


def leaves(groups: tuple[Group, ...]) -> list[Field]:
    return [each for group in groups for each in (*group.fields, *leaves(group.inside))]


def named(octets: bytes, name: str) -> list[Field]:
    return [each for each in leaves(fields(octets)) if each.name == name]


@pytest.mark.parametrize("name", MESSAGES)
def test_every_octet_belongs_to_a_field_that_has_it(name):
    octets = MESSAGES[name]
    covered = bytearray(len(octets))
    for field in leaves(fields(octets)):
        place = slice(field.offset, field.offset + field.octets)
        covered[place] = b"\1" * field.octets
        if isinstance(field.value, bytes) and not field.name.startswith("param "):
            assert octets[place] == field.value
        if name.endswith("TRANSFER_INIT") and field.name in ("csb_id", "ssrc"):
            assert octets[place] == field.value.to_bytes(4, "big")
    assert all(covered)


def test_offsets_of_the_annotated_example():
    """The offsets of payloads and nested parts in set 1's TRANSFER_INIT."""
    found = {}

    def walk(groups):
        for group in groups:
            found.setdefault((group.name, group.offset), group.octets)
            walk(group.inside)

    walk(fields(MESSAGES["1-TRANSFER_INIT"]))
    expected = [("HDR", 0), ("crypto session 1", 10), ("crypto session 2", 22), ("T", 29), ("RANDR", 39), ("IDR", 58)]
    expected += [("IDR", 84), ("SP", 108), ("GENERAL_EXTENSION", 146), ("TICKET", 155), ("TP Data", 165)]
    expected += [("IDR", 166), ("IDR", 186), ("TR", 212), ("TR", 219), ("IDR", 226), ("Ticket Data", 252), ("T", 255)]
    expected += [("RAND", 265), ("KEMAC", 283), ("IDR", 348), ("V", 358), ("V", 382)]
    assert set(found) == set(expected)


def test_numbers_have_their_names():
    octets = MESSAGES["2-TRANSFER_INIT"]
    meanings = {(each.name, each.meaning) for each in leaves(fields(octets))}
    assert {("data_type", "TRANSFER_INIT"), ("prf", "HMAC_SHA_256"), ("role", "PSK"), ("role", "END")} <= meanings
    assert ("param 0", "ENCR_ALG") in meanings and ("encr_alg", "AES_CM_256") in meanings
    assert [each.value for each in named(octets, "i")] == [1]


def message(*payloads: v.Payload, **header) -> bytes:
    empty = {"data_type": 0, "prf": 0, "csb_id": 1, "map_type": 1} | header
    return build(v.Header(**empty), list(payloads))


def test_keys_are_not_shown():
    keys = exchange.write_chain([v.KeyData(1, b"K" * 16, b"S" * 14, v.Validity(1, b"\1"))])
    octets = message(v.Kemac(0, keys))
    shown = leaves(fields(octets))
    assert [each.name for each in shown if each.value is None] == ["encr_data", "key", "salt"]
    assert b"KKKK" not in repr(shown).encode() and b"SSSS" not in repr(shown).encode()
    assert [each.value for each in shown if each.name == "spi"] == [b"\1"]
    broken = leaves(fields(message(v.Kemac(0, b"\x14KKKKKKKK"))))
    assert [each.meaning for each in broken if each.name == "data"][0].startswith("not readable")
    assert b"KKKK" not in repr(broken).encode()


def test_intervals_and_maps():
    keys = exchange.write_chain([v.KeyData(0, bytes(16), b"", v.Validity(2, b"", b"\1" * 6, b"\2" * 6))])
    octets = message(v.Kemac(0, keys), map_type=0, sessions=(v.SrtpSession(1, 2, 3),))
    assert [(each.value, each.offset) for each in named(octets, "valid_to")] == [(b"\2" * 6, len(octets) - 7)]
    assert [(each.value, each.offset) for each in named(octets, "roc")] == [(3, 15)]
    generic = (
        v.GenericSession(1, 0, True, (1, 2), bytes(9) + b"\7", b""),
        v.GenericSession(2, 0, False, (), b"abc", b"spi"),
    )
    octets = message(v.Timestamp(0, bytes(8)), map_type=2, sessions=generic)
    assert [each.value for each in named(octets, "seq")] == [7]
    assert [each.value for each in named(octets, "session_data")] == [b"abc"]
    bits = [(each.offset, each.value) for name in ("has_roc", "policies") for each in named(octets, name)]
    assert bits == [(12, 1), (30, 0), (12, 2), (30, 0)]


def test_times_are_told():
    """NTP-UTC-32 with a clear top bit is of the era from 2036; a counter is no time; TRr is how long."""
    times = (
        v.Timestamp(3, bytes.fromhex("eb1f0400")),
        v.Tr(1, 0, bytes.fromhex("eb1f040080000000")),
        v.Tr(2, 3, bytes(4)),
        v.Tr(4, 3, (3600).to_bytes(4, "big")),
        v.Tr(3, 2, bytes(4)),
    )
    assert [each.meaning for each in named(message(*times), "value")] == [
        "2025-01-01 00:00:00 UTC",
        "2025-01-01 00:00:00 UTC",
        "2036-02-07 06:28:16 UTC",
        "3600 s",
        "",
    ]


def test_a_copy_of_v_keeps_the_number_that_it_came_with():
    octets = MESSAGES["2-TRANSFER_INIT"]
    at = 448
    assert octets[at - 1] == octets[at] == PayloadType.V
    changed = octets[:at] + b"\0" + octets[at + 1 :]
    assert [each.value for each in named(changed, "next") if each.offset == at] == [0]
    assert len(leaves(fields(changed))) == len(leaves(fields(octets)))


def test_parts_that_cannot_be_read_are_one_field():
    policy = v.TicketPolicy(2, 1, 1, 0, v.Flags(), b"\xff\xff")
    ticket = v.Ticket(policy, b"\0\0", bytes((PayloadType.V, PayloadType.LAST)) + b"rest")
    shown = leaves(fields(message(ticket, v.Sign(2, b"signature"))))
    assert [each.value for each in shown if each.name == "data"] == [b"\xff", b"\0\0", b"\trest"]
    assert [each.value for each in shown if each.name == "signature"] == [b"signature"]
    empty = v.Ticket(v.TicketPolicy(1, 1, 1, 0, v.Flags(), b""), b"\0\0\0", b"")
    assert {each.name for each in leaves(fields(message(empty)))} >= {"thdr_data", "tp_data"}


@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_what_is_read_is_shown(name, data):
    octets = bytearray(MESSAGES[name])
    for _ in range(data.draw(st.integers(1, 6))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        mikey.parse(bytes(octets))
    except mikey.MikeyError:
        return
    assert fields(bytes(octets))


@pytest.mark.parametrize("payload", [v.Sakke(1, 2, b"data"), v.Ibake(b"x"), v.Esk(b"x"), v.Chash(2, bytes(32))])
def test_payloads_of_other_schemes(payload):
    octets = message(payload)
    assert sum(each.octets for each in leaves(fields(octets))) >= len(octets)
