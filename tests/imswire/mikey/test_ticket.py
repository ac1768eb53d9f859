"""The base ticket: sealed and opened as the vectors say, and refused when anything is changed."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import mikey
from imswire.mikey import ticket
from tests.imswire.mikey.vectors import SETS, key


@pytest.mark.parametrize("s", SETS)
def test_seal_and_open(s):
    rand, mpk = s["RAND in Ticket Data"], s["MPK (inside ticket)"]
    sealed = mikey.seal_ticket(
        s.ticket.policy,
        s["TPK"],
        (s.mpk("MPK in ticket", mpk), *s.session_keys()),
        timestamp=s.time("ticket and REQUEST_INIT"),
        rand=rand,
        encr_alg=s.suite.encr_alg,
        auth_alg=s.suite.mac_alg,
        tpk_id=mikey.tpk_id(s.ticket),
    )
    assert sealed.ticket_data == s["Ticket Data"] and sealed == s.ticket
    opened = mikey.open_ticket(sealed, s["TPK"])
    assert (opened.mpki, opened.mpkr) == (s["MPKi"], s["MPKr"]) == ticket.split_mpk(mpk, s.suite.prf, rand)
    assert opened.keys == s.session_keys() and "redacted" in repr(opened)


@pytest.mark.parametrize("s", SETS)
def test_a_changed_ticket_is_refused(s):
    original = s.ticket
    for place in (0, 20, 60, len(original.ticket_data) - 1):
        data = bytearray(original.ticket_data)
        data[place] ^= 1
        with pytest.raises(mikey.MikeyError):
            mikey.open_ticket(structs.replace(original, ticket_data=bytes(data)), s["TPK"])
    with pytest.raises(mikey.MikeyError, match="MAC is wrong"):
        mikey.open_ticket(original, bytes(len(s["TPK"])))
    other = structs.replace(original.policy, flags=mikey.Flags.of("DEFGHJNO"))
    with pytest.raises(mikey.MikeyError, match="MAC is wrong"):
        mikey.open_ticket(structs.replace(original, policy=other), s["TPK"])


def sealed_with(s, keys, **policy):
    return mikey.seal_ticket(
        structs.replace(s.ticket.policy, **policy),
        s["TPK"],
        keys,
        timestamp=s.time("ticket and REQUEST_INIT"),
        rand=bytes(16),
        encr_alg=1,
        auth_alg=1,
        thdr=b"anything",
    )


def test_types_mixed_families_and_tickets_without_names():
    s = SETS[0]
    keys = (s.mpk("MPK in ticket", bytes(16)), *s.session_keys())
    assert mikey.open_ticket(sealed_with(s, keys, ticket_type=2), s["TPK"]).tpk_id is None
    assert mikey.open_ticket(sealed_with(s, keys, prf=1), s["TPK"]).keys == s.session_keys()
    with pytest.raises(mikey.MikeyError, match="type 3"):
        mikey.open_ticket(sealed_with(s, keys, ticket_type=3), s["TPK"])
    with pytest.raises(mikey.MikeyError, match="no MPK"):
        mikey.open_ticket(sealed_with(s, s.session_keys()), s["TPK"])


@pytest.mark.parametrize(
    "data",
    [b"", b"\x05\x00", b"\x05\x00\x00", b"\x00\x00\x00", b"\x0b\x00\x00\x0b\x01\x41\x00\x01\x41"],
)
def test_ticket_data_of_another_form(data):
    with pytest.raises(mikey.MikeyError):
        ticket.read_data(data)


def test_keys_need_their_names():
    assert key(mikey.KeyType.TEK, bytes(16), b"\1").spi == b"\1"


def test_reserved_bits_are_under_the_mac():
    s = SETS[0]
    keys = (s.mpk("MPK in ticket", bytes(16)), *s.session_keys())
    sealed = sealed_with(s, keys, reserved=0x1F)
    assert mikey.open_ticket(sealed, s["TPK"]).keys == s.session_keys()
    with pytest.raises(mikey.MikeyError, match="MAC is wrong"):
        mikey.open_ticket(structs.replace(sealed, policy=structs.replace(sealed.policy, reserved=0)), s["TPK"])


@pytest.mark.parametrize("other", [{"subtype": 2}, {"version": 0}])
def test_base_tickets_of_another_form(other):
    s = SETS[0]
    keys = (s.mpk("MPK in ticket", bytes(16)), *s.session_keys())
    with pytest.raises(mikey.MikeyError, match="is not known") as caught:
        mikey.open_ticket(sealed_with(s, keys, **other), s["TPK"])
    assert caught.value.error_no == mikey.ErrorNo.INVALID_TICKET
    assert mikey.open_ticket(sealed_with(s, keys, ticket_type=2, **other), s["TPK"])
