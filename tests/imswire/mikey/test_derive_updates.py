"""CSB updates (RFC 6043 5.2): of either side, in every form that senders may choose; and hostile ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import mikey
from imswire.mikey import exchange, prf
from imswire.mikey import values as v
from imswire.mikey.protect import Protection, covered
from tests.imswire.mikey.made import ALICE, BOB, CAROL, Made, Updated, session, tek
from tests.imswire.mikey.vectors import SET1, key


def new_tek(cs_id: int) -> bytes:
    return prf.prf(0, b"U" * 16, prf.session_label(prf.TEK, cs_id, b"I" * 16, b"R" * 16), 16)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"identities": (ALICE, BOB)},
        {"identities": (BOB, ALICE), "tail": ALICE.data + BOB.data},
        {"identities": (BOB, ALICE), "tail": BOB.data + ALICE.data},
        {"identities": (CAROL, ALICE), "tail": ALICE.data + CAROL.data},
    ],
    ids=["none", "initiator's", "responder's, by role", "responder's, sender first", "who answered"],
)
def test_updates_of_either_side(options):
    updated = Updated()
    derived, failures = updated.run(updated.update(**options))
    assert [each.master_key for each in derived] == [new_tek(1), new_tek(2)] and not failures


def test_updates_under_the_keys_of_the_first_message():
    """Another reading of RFC 6043 5.2: TRANSFER_INIT is always under the keys of phase 1."""
    updated = Updated()
    mpki, init = updated.made.keys.mpki, updated.made.init
    protection = Protection(mpki, 0, 7, 1, b"I" * 16)
    stamp = v.Timestamp(0, b"\xed" + bytes(7))
    header = mikey.Header(mikey.DataType.TRANSFER_INIT, 0, 7, mikey.MapType.GENERIC_ID, (session(1, b"\x02"),), True)
    kemac = protection.seal((key(mikey.KeyType.TGK, b"U" * 16, b"\x02"),), 1, stamp)
    draft = mikey.build(header, [stamp, kemac, v.V(1, bytes(20))])[:-20]
    update = draft + protection.mac(1, draft + ALICE.data + BOB.data)
    answer = updated.update(data_type=mikey.DataType.TRANSFER_RESP, keys=(), tail=update)
    derived, failures = updated.run(update, answers=(answer,))
    assert [each.master_key for each in derived] == [new_tek(1), new_tek(2)] and not failures
    assert mikey.derive(init, updated.response, [], updated.made.resolved)


def test_an_update_without_map_moves_all_sessions():
    updated = Updated()
    derived, _ = updated.run(updated.update(sessions=()))
    assert [(each.cs_id, each.master_key) for each in derived] == [(1, new_tek(1)), (2, new_tek(2))]
    two = (key(mikey.KeyType.TGK, b"U" * 16, b"\x02"), key(mikey.KeyType.TGK, b"V" * 16, b"\x03"))
    derived, _ = updated.run(updated.update(sessions=(), keys=two))
    assert [each.spi for each in derived] == [b"\x01", b"\x01"]


def test_an_update_that_reuses_keys_and_adds_a_session():
    updated = Updated()
    derived, _ = updated.run(updated.update(sessions=(session(1), session(2), session(3)), keys=()))
    assert derived[2].master_key == tek(3, b"I" * 16, b"R" * 16) and derived[2].source == "ticket"


def test_what_a_failed_update_said_is_forgotten():
    """Its key has the name of the first one; after it the first one is still the one with that name."""
    updated = Updated()
    clash = (key(mikey.KeyType.TGK, b"X" * 16, b"\x01"),)
    failing = updated.update(sessions=(session(1, b"\x66"), session(2, b"\x67")), keys=clash)
    derived, failures = updated.run(failing, updated.update(sessions=(session(1),), keys=()))
    assert [each.master_key for each in derived] == [tek(1, b"I" * 16, b"R" * 16)]
    assert len(failures) == 1 and "nobody sent" in failures[0]


def test_an_update_of_another_bundle():
    updated = Updated()
    update = updated.update()
    _, (failure,) = updated.run(update[:4] + b"\0\0\0\x08" + update[8:])
    assert "another CSB ID" in failure


def test_two_updates_in_turn():
    updated = Updated()
    second = (key(mikey.KeyType.TEK_SALT, b"Z" * 16, b"\x03", b"S" * 14),)
    later = updated.update(sessions=(session(1, b"\x03"), session(2, b"\x02")), keys=second)
    derived, _ = updated.run(updated.update(), later)
    assert [(each.generation, each.cs_id) for each in derived] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert (derived[2].master_key, derived[3].master_key) == (b"Z" * 16, new_tek(2))


def test_updates_of_an_exchange_without_answer():
    made = Made("DEHLNO")
    update = exchange.update_message(
        SET1.suite,
        made.keys.mpki,
        made.init,
        None,
        data_type=mikey.DataType.TRANSFER_INIT,
        sessions=(session(1, b"\x02"),),
        timestamp=v.Timestamp(0, b"\xed" + bytes(7)),
        keys=(key(mikey.KeyType.TEK_SALT, b"U" * 16, b"\x02", b"S" * 14),),
        wants_response=False,
    )
    derived = mikey.derive(made.init, None, [mikey.UpdateMessages(update, None)], made.resolved)
    assert derived[-1].master_key == b"U" * 16 and derived[-1].generation == 1


PROVEN = Made("DEFGHLMNO")
PROVEN_RESPONSE = PROVEN.answer((session(1), session(2)), policies=(v.Sp(1, 0, ((0, b"\1"), (1, b"\x10"))),))


def bent(octets: bytes, data: st.DataObject) -> bytes:
    """A message with some octets before its MAC changed."""
    body = bytearray(octets[:-20])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(8, len(body) - 3))
        body[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    return bytes(body) + bytes(20)


def signed(octets: bytes, protection: Protection, tail: bytes) -> bytes:
    return octets[:-20] + protection.mac(1, covered(mikey.parse(octets)) + tail)


@given(st.data())
def test_a_user_with_the_right_keys_may_send_anything(data):
    """Messages bent and then signed again: they prove right, and still nothing but MikeyError comes."""
    mpki, tail = PROVEN.keys.mpki, ALICE.data + BOB.data
    first = Protection(mpki, 0, 7, 1, b"I" * 16)
    second = Protection(mpki, 0, 7, 2, b"I" * 16, b"R" * 16)
    updates = []
    try:
        init, response = PROVEN.init, PROVEN_RESPONSE
        if data.draw(st.booleans()):
            init = signed(bent(init, data), first, tail)
        if data.draw(st.booleans()):
            response = bent(response, data)
        response = signed(response, second, init)
        if data.draw(st.booleans()):
            update = signed(bent(Updated().update(), data), second, tail)
            updates = [mikey.UpdateMessages(update, None)]
        for each in mikey.derive(init, response, updates, PROVEN.resolved):
            assert 0 < len(each.master_key) <= 32
    except mikey.MikeyError as error:
        assert error.reason
