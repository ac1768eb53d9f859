"""Numbers, encoding and integrity chains, without any I/O (TS 102 232-1 5.2.5, 7.2.3)."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from imswire import hi
from midcall.config import Integrity
from midcall.handover import Assembler, ContextKey, Kind, Numbered
from midcall.handover.assembler import UNFIT, UNKNOWN
from midcall.handover.values import NUMBERS
from tests.midcall.handover.world import NO_INTEGRITY, SECOND, T0, cc, intercept, iri, streams

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def check(numbered: Numbered) -> hi.IntegrityCheck:
    payload = hi.parse(numbered.octets).payload
    assert isinstance(payload, hi.IntegrityCheck)
    return payload


def test_iri_and_cc_of_each_communication_count_from_0() -> None:
    assembler = Assembler([intercept("A"), intercept("B")], NO_INTEGRITY)
    events = assembler.iri([iri(1, "A", 1), iri(2, "A", 2), iri(3, "B", 1), iri(4, "A", 1), iri(5, "A", None)], T0)
    places = sorted((each.liid, hi.parse(each.octets).header.cid.cin or 0, each.sequence) for each in events)
    assert places == [("A", 0, 0), ("A", 1, 0), ("A", 1, 1), ("A", 2, 0), ("B", 1, 0)]
    there, back = streams("A", 1)
    content = assembler.cc([*cc(there, 2), *cc(back, 2)], T0)
    assert [each.sequence for each in content] == [0, 1, 2, 3]


def test_the_octets_are_those_of_the_codec() -> None:
    assembler = Assembler([intercept()], NO_INTEGRITY)
    there, _ = streams()
    (event,), (content,) = assembler.iri([iri(1)], T0), assembler.cc(cc(there, 1), T0)
    pdu = hi.parse(event.octets)
    assert (pdu.header.liid, pdu.header.sequence, pdu.header.time) == (b"LAB-1", 0, T0 + SECOND)
    assert pdu.header.cid == hi.CommunicationId(b"operator", b"element", 1)
    assert pdu.payload == (hi.Iri(3, iri(1).contents),)
    assert hi.build(hi.parse(content.octets)) == content.octets
    assert (event.interface, content.interface) == ("hi2", "hi3")


def test_events_follow_an_intercept_that_was_changed() -> None:
    assembler = Assembler([intercept()])
    changed = replace(intercept(), country="SE")
    for each, cin in ((intercept(), 1), (changed, None), (changed, 2)):
        assembler.intercepts[each.liid] = each
        (numbered,) = assembler.iri([iri(1, cin=cin)], T0)
        header = hi.parse(numbered.octets).header
        assert (header.country, header.cid.cin) == (each.country, cin)


def test_numbers_wrap_behind_the_last_one() -> None:
    recalled: list[ContextKey] = []

    def recall(key: ContextKey) -> int:
        recalled.append(key)
        return NUMBERS - 2

    assembler = Assembler([intercept()], Integrity(hash_pdus=4), recall=recall)
    there, _ = streams()
    found = assembler.cc(cc(there, 4), T0)
    assert [each.sequence for each in found] == [NUMBERS - 2, NUMBERS - 1, 0, 1, NUMBERS - 2]
    assert check(found[-1]).numbers == (NUMBERS - 2, NUMBERS - 1, 0, 1)
    assert [key.kind for key in recalled] == [Kind.CC, Kind.INTEGRITY]


def test_a_hash_follows_a_thousand_pdus_whatever_the_batches() -> None:
    one, many = Assembler([intercept()]), Assembler([intercept()])
    there, _ = streams()
    records = cc(there, 2_500)
    whole = one.cc(records, T0)
    parts = [each for at in range(0, 2_500, 70) for each in many.cc(records[at : at + 70], T0)]
    assert parts == whole
    checks = [check(each) for each in whole if each.kind is Kind.INTEGRITY]
    assert [each.numbers for each in checks] == [tuple(range(1_000)), tuple(range(1_000, 2_000))]
    content = [each.octets for each in whole if each.kind is Kind.CC]
    assert checks[1].value == hashlib.sha256(b"".join(content[1_000:2_000])).digest()
    assert checks[0].data == hi.DataType.CC


def test_a_hash_is_due_after_a_second_and_bears_the_time_at_which_it_was_due() -> None:
    assembler = Assembler([intercept()])
    (event,) = assembler.iri([iri(1)], T0)
    assert assembler.next_deadline() == T0 + SECOND
    assert assembler.deadline(T0 + SECOND - 1) == []
    (due,) = assembler.deadline(T0 + 5 * SECOND)
    assert hi.parse(due.octets).header.time == T0 + SECOND
    assert check(due).value == hashlib.sha256(event.octets).digest()
    assert assembler.next_deadline() is None


def test_what_was_due_earlier_comes_out_before_new_records() -> None:
    assembler = Assembler([intercept()])
    assembler.iri([iri(1)], T0)
    kinds = [each.kind for each in assembler.iri([iri(2)], T0 + 2 * SECOND)]
    assert kinds == [Kind.INTEGRITY, Kind.IRI]


def test_iri_and_cc_have_chains_of_their_own_and_share_the_numbers_of_their_checks() -> None:
    assembler = Assembler([intercept()])
    there, _ = streams()
    assembler.iri([iri(1)], T0)
    assembler.cc(cc(there, 3), T0)
    first, second = assembler.deadline(T0 + SECOND)
    assert (first.interface, first.sequence, check(first).data) == ("hi2", 0, hi.DataType.IRI)
    assert (second.interface, second.sequence, check(second).data) == ("hi3", 1, hi.DataType.CC)


def test_a_signature_covers_fifteen_hashes_or_what_there_is_after_300_seconds() -> None:
    assembler = Assembler([intercept()], Integrity(hash_pdus=1), KEY.sign)
    found = [each for n in range(16) for each in assembler.iri([iri(n)], T0)]
    hashes = [each for each in found if each.kind is Kind.INTEGRITY and check(each).kind == hi.CheckType.HASH]
    (signature,) = [
        each for each in found if each.kind is Kind.INTEGRITY and check(each).kind == hi.CheckType.SIGNATURE
    ]
    assert check(signature).numbers == tuple(each.sequence for each in hashes[:15])
    assert check(signature).signature_algorithm == hi.SignatureAlgorithm.EDDSA
    KEY.public_key().verify(check(signature).value, b"".join(each.octets for each in hashes[:15]))
    (late,) = assembler.deadline(T0 + 300 * SECOND)
    assert check(late).numbers == (hashes[15].sequence,)


def test_the_end_of_an_intercept_closes_its_chains() -> None:
    assembler = Assembler([intercept("A"), intercept("B")], None, KEY.sign)
    there, _ = streams("A")
    assembler.iri([iri(1, "A"), iri(2, "B")], T0)
    assembler.cc(cc(there, 1), T0)
    closing = assembler.end("A", T0)
    assert [(each.liid, each.interface, check(each).kind) for each in closing] == [
        ("A", "hi2", 1), ("A", "hi2", 2), ("A", "hi3", 1), ("A", "hi3", 2),
    ]  # fmt: skip
    assert assembler.end("A", T0) == []


def test_without_integrity_there_are_no_checks() -> None:
    assembler = Assembler([intercept()], NO_INTEGRITY)
    assembler.iri([iri(1)], T0)
    assert assembler.next_deadline() is None
    assert assembler.end("LAB-1", T0) == []


def test_a_clock_that_is_set_back_moves_the_deadlines_with_it() -> None:
    assembler = Assembler([intercept()])
    assembler.iri([iri(1)], T0)
    earlier = T0 - 3_600 * SECOND
    assert assembler.deadline(earlier) == []
    assert assembler.next_deadline() == earlier + SECOND


def test_what_belongs_to_no_intercept_or_fits_in_no_pdu_is_counted() -> None:
    assembler = Assembler([intercept()], NO_INTEGRITY)
    there, _ = streams()
    stranger, _ = streams("X")
    early = cc(there, 1)[0]._replace(time=-1)
    assert [each.sequence for each in assembler.cc([*cc(stranger, 2), early, *cc(there, 2)], T0)] == [0, 1]
    assert assembler.iri([iri(1, "X")], T0) == []
    assert dict(zip(assembler.refused, assembler.refused.values(), strict=True)) == {
        ("X", "hi3", UNKNOWN): 2,
        ("LAB-1", "hi3", UNFIT): 1,
        ("X", "hi2", UNKNOWN): 1,
    }


def test_idle_contexts_are_forgotten_and_recalled() -> None:
    numbers: dict[ContextKey, int] = {}
    assembler = Assembler([intercept()], None, None, lambda key: numbers.get(key, 0))
    there, _ = streams()
    assembler.cc(cc(there, 3), T0)
    assert assembler.forget_idle(T0 + SECOND) == [], "its last PDUs wait for a hash"
    assembler.deadline(T0 + SECOND)
    gone = assembler.forget_idle(T0 + 10 * SECOND)
    assert sorted(key.kind for key in gone) == [Kind.CC, Kind.INTEGRITY]
    numbers.update({key: 3 if key.kind is Kind.CC else 1 for key in gone})
    assert [each.sequence for each in assembler.cc(cc(there, 1), T0 + 20 * SECOND)] == [3]


def test_a_chain_goes_on_from_what_was_kept() -> None:
    one, two = Assembler([intercept()], None, KEY.sign), Assembler([intercept()], None, KEY.sign)
    (first,) = one.iri([iri(1)], T0)
    key = ContextKey("LAB-1", "operator", "element", 1, None, Kind.IRI)
    two.resume(key, first.sequence, [first.octets], T0)
    assert check(two.deadline(T0 + SECOND)[0]) == check(one.deadline(T0 + SECOND)[0])
    (again,) = Assembler([intercept()]).iri([iri(1)], T0)
    three = Assembler([intercept()], None, KEY.sign)
    three.resume(key, 0, [again.octets], T0)
    done = one.end("LAB-1", T0)
    assert three.resume_check(key, done[0].octets) == hi.CheckType.SIGNATURE
    assert three.resume_check(key, again.octets) == 0
    three.resume_hash(key, 7, b"a hash", T0)
    (*_, signature) = three.end("LAB-1", T0)
    assert 7 in check(signature).numbers


def test_what_is_forgotten_is_not_numbered_any_more() -> None:
    assembler = Assembler([intercept()])
    there, _ = streams()
    assembler.cc(cc(there, 1), T0)
    assembler.forget("LAB-1")
    assert assembler.next_deadline() is None
    assert assembler.cc(cc(there, 1), T0) == []
