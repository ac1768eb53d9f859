"""Session keys of all three vectors, and of the exchanges that other readings of the RFC would send."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import mikey
from imswire.mikey import exchange, prf
from imswire.mikey import values as v
from tests.imswire.mikey.made import ALICE, BOB, CAROL, Made, session, tek
from tests.imswire.mikey.vectors import SET1, SET2, SET3, SETS, Set, key


def resolved(s: Set) -> mikey.Resolved:
    keys = mikey.open_ticket(s.ticket, s["TPK"])
    return mikey.Resolved(keys.mpki, keys.mpkr, keys.keys)


@pytest.mark.parametrize("s", SETS)
def test_session_keys(s):
    derived = mikey.derive(s["TRANSFER_INIT"], s["TRANSFER_RESP"], [], resolved(s))
    assert [each.cs_id for each in derived] == [1, 2]
    for each in derived:
        expected = s.all["Session keys"][f"CS ID {each.cs_id}"]
        assert each.master_key.hex() == expected["TEK = SRTP master key"]
        assert each.master_salt.hex() == expected["SRTP master salt"]
        assert f"{each.ssrc:08x}" == expected["SSRC"]
        assert (each.spi, each.generation, each.source, each.proved) == (b"\x01", 0, "ticket", True)
    assert "redacted" in repr(derived[0]) and "redacted" in repr(resolved(s))


def test_with_keys_that_the_kms_has_forked():
    answer = exchange.open_answer(SET2["RESOLVE_RESP"], SET2["RESOLVE_INIT_PSK"], SET2["PSK Bob-KMS"])
    forked = mikey.Resolved(answer.mpki, answer.mpkr, answer.keys, forked=True)
    assert mikey.derive(SET2["TRANSFER_INIT"], SET2["TRANSFER_RESP"], [], forked) == mikey.derive(
        SET2["TRANSFER_INIT"], SET2["TRANSFER_RESP"], [], resolved(SET2)
    )


def test_keys_forked_for_somebody_else_are_found_out():
    func = SET2.suite.prf
    label = prf.fork_label(prf.FORKED_MPKR, b"sip:node@example.com", bytes(32))
    useless = structs.replace(resolved(SET2), mpkr=prf.prf(func, SET2["MPKr"], label, 32), forked=True)
    with pytest.raises(mikey.MikeyError, match="TRANSFER_RESP: its MAC is wrong"):
        mikey.derive(SET2["TRANSFER_INIT"], SET2["TRANSFER_RESP"], [], useless)


SET3_UPDATE = mikey.UpdateMessages(
    SET3["CSB update: TRANSFER_INIT from the initiator"]["TRANSFER_INIT (update)"],
    SET3["CSB update: TRANSFER_RESP"]["TRANSFER_RESP (update)"],
)
SET3_INIT = SET3["TRANSFER_INIT"]["TRANSFER_INIT"]
SET3_RESP = SET3["TRANSFER_RESP with KEMAC"]["TRANSFER_RESP"]


def set3() -> mikey.Resolved:
    keys = mikey.open_ticket(mikey.parse(SET3_INIT).need(v.Ticket), SET3["Inputs"]["TPK"])
    return mikey.Resolved(keys.mpki, keys.mpkr, keys.keys)


def test_responder_keys_and_rekey():
    derived = mikey.derive(SET3_INIT, SET3_RESP, [SET3_UPDATE], set3())
    inputs, new = SET3["Inputs"], SET3["New session keys"]
    assert [(each.generation, each.cs_id, each.source) for each in derived] == [
        (0, 1, "responder"),
        (0, 2, "responder"),
        (1, 1, "update"),
        (1, 2, "update"),
    ]
    assert derived[0].master_key == inputs["TEK of CS 1 (SPI 11)"]
    assert derived[1].master_salt == inputs["salt of CS 2 (SPI 12)"]
    assert derived[2].master_key == new["CS 1 TEK"] and derived[3].master_key == new["CS 2 TEK"]
    assert derived[2].master_salt == new["master salt of both"]


def test_an_update_that_does_not_prove_right_costs_only_itself():
    for init, response, reason in (
        (SET3_UPDATE.init[:-1] + b"\0", SET3_UPDATE.response, "first message"),
        (SET3_UPDATE.init, SET3_UPDATE.response[:-1] + b"\0", "its response"),
        (SET3_UPDATE.init, None, "none was seen"),
        (b"\x01", None, "HDR"),
    ):
        derivation = mikey.Derivation(mikey.Exchange.read(SET3_INIT, SET3_RESP), set3())
        assert len(derivation.run([mikey.UpdateMessages(init, response)])) == 2
        (failure,) = derivation.failures
        assert reason in str(failure)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda i, r: (i[:-1] + b"\0", r), "TRANSFER_INIT: its MAC is wrong"),
        (lambda i, r: (i, r[:-1] + b"\0"), "TRANSFER_RESP: its MAC is wrong"),
        (lambda i, r: (i, None), "not seen"),
        (lambda i, r: (r, i), "is expected"),
        (lambda i, r: (i, r[:4] + b"\0\0\0\0" + r[8:]), "another CSB ID"),
    ],
)
def test_what_does_not_prove_right(change, reason):
    init, response = change(SET1["TRANSFER_INIT"], SET1["TRANSFER_RESP"])
    with pytest.raises(mikey.MikeyError, match=reason):
        mikey.derive(init, response, [], resolved(SET1))


def test_forking_needs_what_it_forks_with():
    with pytest.raises(mikey.MikeyError, match="MPKr is not known"):
        mikey.derive(SET2["TRANSFER_INIT"], SET2["TRANSFER_RESP"], [], structs.replace(resolved(SET2), mpkr=None))
    bare = exchange.transfer_resp(
        SET2.suite,
        SET2["MPKi"],
        SET2["TRANSFER_INIT"],
        sessions=mikey.parse(SET2["TRANSFER_RESP"]).header.sessions,
        timestamp=SET2.time("TRANSFER_RESP"),
        rand=bytes(32),
        responder=None,
    )
    with pytest.raises(mikey.MikeyError, match="IDRr or RANDRkms is missing"):
        mikey.derive(SET2["TRANSFER_INIT"], bare, [], resolved(SET2))


@pytest.mark.parametrize(
    ("flags", "randi", "randr"),
    [("DEFGHNO", b"I" * 16, b"R" * 16), ("DEFHNO", b"I" * 16, None), ("DEFGNO", None, b"R" * 16)],
)
def test_which_rands_enter(flags, randi, randr):
    made = Made(flags)
    first, _ = made.derive(made.answer((session(1), session(2)), rand=b"R" * 16 if "G" in flags else None))
    assert first.master_key == tek(1, randi, randr) and len(first.master_salt) == 14


def test_without_an_answer():
    unproved = Made("DEFHNO")
    assert not mikey.Exchange.read(unproved.init, None).waits
    assert [each.proved for each in unproved.derive()] == [False, False]
    assert [each.proved for each in Made("DEHNO").derive()] == [True, True]


def test_identities_left_out_are_tried_from_the_ticket():
    made = Made("DEHNO", initiator=None, responder=None, identities=SET1.initiator.data + SET1.responder.data)
    assert len(made.derive()) == 2


def test_the_answers_map_wins():
    made = Made("DEFHMNO")
    new = (key(mikey.KeyType.TEK_SALT, b"N" * 16, b"\x77", b"S" * 14),)
    sp = v.Sp(9, 0, ((11, b"\4"),))
    data = (4).to_bytes(4, "big") + (3).to_bytes(4, "big") + (9).to_bytes(2, "big")
    sessions = (session(1, b"\x77", (9,), data, True), session(2), session(3, b"\x77"))
    first, second, third = made.derive(made.answer(sessions, None, policies=(sp,), keys=new))
    assert (first.master_key, first.ssrc, first.roc, first.seq, first.params) == (b"N" * 16, 4, 3, 9, {11: b"\4"})
    assert (second.source, third.source) == ("ticket", "responder")


def test_an_answer_with_an_empty_map_keeps_the_offers():
    made = Made("DEFHNO")
    assert len(made.derive(made.answer((), None))) == 2


def test_one_key_without_name_serves_sessions_that_name_none():
    nameless = v.KeyData(mikey.KeyType.TGK, b"T" * 16)
    made = Made("DEHNO", (nameless,), sessions=(session(1, b""), session(2, b"\x05")))
    first, second = made.derive()
    assert first.master_key == tek(1, b"I" * 16, None) and second.spi == b"\x05"


def test_tek_without_salt_gets_zeros_and_gtgk_is_never_forked():
    made = Made("DEHNO", (key(mikey.KeyType.TEK, b"K" * 16, b"\x01"),))
    assert made.derive()[0].master_salt == bytes(14)
    group = Made("DEHNO", (key(mikey.KeyType.GTGK, b"T" * 16, b"\x01"),))
    assert group.derive()[0].master_key == tek(1, b"I" * 16, None)


@pytest.mark.parametrize(
    ("keys", "sp", "reason"),
    [
        (key(mikey.KeyType.TEK_SALT, b"K" * 16, b"\x01", b"S" * 12), (), "master salt"),
        (key(mikey.KeyType.TEK_SALT, b"K" * 16, b"\x01", b"S" * 14), ((1, b"\x20"),), "master key"),
        (key(mikey.KeyType.TGK_SALT, b"K" * 16, b"\x01", b"S" * 14), ((0, b"\6"),), "master salt"),
    ],
)
def test_lengths_must_be_those_of_the_policy(keys, sp, reason):
    made = Made("DEHNO", (keys,), sessions=(session(1, policies=(1,)),), policies=(v.Sp(1, 0, sp),))
    with pytest.raises(mikey.MikeyError, match=reason) as caught:
        made.derive()
    assert caught.value.error_no == mikey.ErrorNo.INVALID_SP_PAR


@pytest.mark.parametrize(
    ("sp", "octets"), [(((0, b"\0"), (1, b"\0"), (4, b"\0")), (16, 14)), (((0, b"\4"),), (16, 12))]
)
def test_lengths_by_the_cipher(sp, octets):
    """A NULL cipher with lengths of zero still authenticates under keys of the default length; SEED-CCM is an AEAD."""
    made = Made("DEHNO", sessions=(session(1, policies=(1,)),), policies=(v.Sp(1, 0, sp),))
    (found,) = made.derive()
    assert (len(found.master_key), len(found.master_salt)) == octets


def test_maps_that_give_no_session():
    with pytest.raises(mikey.MikeyError, match="no crypto session"):
        Made("DEHNO", sessions=()).derive()
    with pytest.raises(mikey.MikeyError, match="nobody sent"):
        Made("DEHNO", sessions=(session(1, b"\x66"),)).derive()
    tesla = v.GenericSession(1, 1, False, (), b"", b"\x01")
    assert Made("DEHNO", sessions=(tesla,)).derive() == ()


@pytest.mark.parametrize("param", [mikey.SpParam.ENCR_KEY_LENGTH, mikey.SpParam.SALT_LENGTH])
@pytest.mark.parametrize("value", [b"\x21", b"\xff\xff\xff\xff", b"\xff" * 255])
def test_lengths_that_no_profile_has_cost_nothing(param, value):
    """A policy may claim any number of octets; none are derived."""
    made = Made("DEHNO", sessions=(session(1, policies=(1,)),), policies=(v.Sp(1, 0, ((param, value),)),))
    with pytest.raises(mikey.MikeyError, match="more than 32 octets") as caught:
        made.derive()
    assert caught.value.error_no == mikey.ErrorNo.INVALID_SP_PAR


def test_a_session_without_keys_costs_only_itself():
    wrong = v.Sp(2, 0, ((4, b"\x0b"),))
    keys = (key(mikey.KeyType.TGK_SALT, b"T" * 16, b"\x01", b"S" * 14), key(mikey.KeyType.TGK, b"U" * 16, b"\x02"))
    made = Made("DEHNO", keys, sessions=(session(1), session(2, b""), session(3, policies=(2,))), policies=(wrong,))
    derivation = mikey.Derivation(mikey.Exchange.read(made.init, None), made.resolved)
    (only,) = derivation.run([])
    assert only.cs_id == 1
    assert [each.field for each in derivation.failures] == ["spi", "salt"]


def test_keys_that_are_none_of_a_session_are_not_used():
    made = Made("DEHNO", (key(mikey.KeyType.K_PR, b"P" * 16, b"\x01"), key(mikey.KeyType.TGK, b"T" * 16, b"\x02")))
    with pytest.raises(mikey.MikeyError, match="nobody sent"):
        made.derive()


def test_identities_left_out_without_a_trace_are_not_covered():
    """Neither the message nor the ticket names them: nothing of them can be in the MAC."""
    made = Made("DEHNO", initiator=None, responder=None, identities=b"")
    assert len(made.derive()) == 2


def test_identities_left_out_are_tried_from_the_signalling():
    made = Made("DEHNO", initiator=None, responder=None, identities=SET1.initiator.data + b"sip:dora@example.com")
    with pytest.raises(mikey.MikeyError, match="TRANSFER_INIT: its MAC is wrong"):
        made.derive()
    read = mikey.Exchange.read(made.init, None)
    derivation = mikey.Derivation(read, made.resolved, ["sip:x@y", "sip:dora@example.com"])
    assert [each.cs_id for each in derivation.run([])] == [1, 2]


def test_the_identity_that_answers_may_be_the_one_left_out():
    made = Made("DEFHNO", responder=None, identities=ALICE.data + CAROL.data)
    with pytest.raises(mikey.MikeyError, match="TRANSFER_INIT: its MAC is wrong"):
        made.derive()
    assert len(made.derive(made.answer((session(1),), None, responder=CAROL))) == 1


@pytest.mark.parametrize(("func", "suite"), [(0, SET2.suite), (1, SET1.suite)])
def test_mixed_families(func, suite):
    """A ticket of one family under messages of the other is read (decision 20 forbids to send it)."""
    policy = structs.replace(SET1.ticket.policy, prf=func)
    keys = (key(mikey.KeyType.MPK, b"M" * 16, b"\x10"), key(mikey.KeyType.TGK, b"T" * 16, b"\x01"))
    stamp = v.Timestamp(0, b"\xeb" + bytes(7))
    ticket = mikey.seal_ticket(policy, bytes(16), keys, timestamp=stamp, rand=bytes(16), encr_alg=1, auth_alg=1)
    opened = mikey.open_ticket(ticket, bytes(16))
    offer = exchange.Offer(
        csb_id=7,
        sessions=(session(1),),
        timestamp=stamp,
        rand=b"I" * 32,
        initiator=ALICE,
        responder=BOB,
        policies=(),
        ticket=ticket,
    )
    init = exchange.transfer_init(suite, opened.mpki, offer)
    response = exchange.transfer_resp(
        suite, opened.mpki, init, sessions=(session(1),), timestamp=stamp, rand=b"R" * 16, responder=BOB
    )
    (derived,) = mikey.derive(init, response, [], mikey.Resolved(opened.mpki, None, opened.keys))
    label = prf.session_label(prf.TEK, 1, b"I" * 32, b"R" * 16)
    assert derived.master_key == prf.prf(suite.prf, b"T" * 16, label, 16)


def test_a_ticket_that_the_initiator_made():
    """Mode 3: D=0, E=1, L=1; the KMS shares the ticket protection key with the Initiator."""
    made = Made("EFGHLNO", keys=(key(mikey.KeyType.TEK_SALT, b"K" * 16, b"\x01", b"S" * 14),))
    offered = mikey.parse(made.init).need(v.Ticket)
    assert mikey.contradiction(offered.policy.flags) is None
    (derived,) = made.derive(made.answer((session(1),)))
    assert (derived.master_key, derived.master_salt, derived.source) == (b"K" * 16, b"S" * 14, "ticket")


def test_a_ticket_is_used_twice():
    """RFC 6043 5.3: another CSB ID, T and RANDs under the same ticket give other keys."""
    made = Made("DEHJNO")
    offer = exchange.Offer(
        csb_id=8,
        sessions=(session(1),),
        timestamp=v.Timestamp(0, b"\xee" + bytes(7)),
        rand=b"J" * 16,
        initiator=ALICE,
        responder=BOB,
        policies=(),
        ticket=mikey.parse(made.init).need(v.Ticket),
    )
    again = exchange.transfer_init(SET1.suite, made.keys.mpki, offer)
    assert mikey.derive(again, None, [], made.resolved)[0].master_key == tek(1, b"J" * 16, None)


def test_keys_of_the_initiator_are_not_forked():
    """Set 2's ticket forks; a TGK in the KEMAC of its TRANSFER_INIT stays as it is (RFC 6043 5.1.1)."""
    opened = mikey.open_ticket(SET2.ticket, SET2["TPK"])
    policy = structs.replace(SET2.ticket.policy, flags=mikey.Flags.of("DEFGHILNO"))
    ticket = structs.replace(SET2.ticket, policy=policy)
    offered = mikey.parse(SET2["TRANSFER_INIT"])
    offer = exchange.Offer(
        csb_id=7,
        sessions=(session(1, b"\x09", (1,)),),
        timestamp=SET2.time("TRANSFER_INIT"),
        rand=b"I" * 32,
        initiator=SET2.initiator,
        responder=SET2.responder,
        policies=offered.all(v.Sp),
        ticket=ticket,
        keys=(key(mikey.KeyType.TGK, b"O" * 32, b"\x09"),),
    )
    init = exchange.transfer_init(SET2.suite, opened.mpki, offer, mpkr=opened.mpkr)
    response = exchange.transfer_resp(
        SET2.suite,
        SET2["MPKr'"],
        init,
        sessions=(session(1, b"\x09", (1,)),),
        timestamp=SET2.time("TRANSFER_RESP"),
        rand=b"R" * 32,
        responder=SET2.answering,
        modifier=SET2["RANDRkms"],
    )
    (derived,) = mikey.derive(init, response, [], resolved(SET2))
    label = prf.session_label(prf.TEK, 1, b"I" * 32, b"R" * 32)
    assert derived.master_key == prf.prf(1, b"O" * 32, label, 32)
    assert (derived.source, len(derived.master_salt)) == ("initiator", 12)
