"""Integrity checks (TS 102 232-1 7.2.3): what holds, what does not, and which PDU it was."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from imswire import hi
from midcall.lemf import Rule, Rules
from tests.midcall.lemf.deliverer import Sender
from tests.midcall.lemf.memory import KEYS, LATER, Lab, delivery, flipped


def test_a_flipped_bit_is_named_by_a_cover_of_one():
    sender = Sender()
    pdus = []
    for _ in range(50):
        pdus += [sender.cc(), sender.check()]
    pdus[40] = flipped(pdus[40], 150)
    assert Lab().take(pdus).said() == [("hash", "CC", 20)]


def test_a_flipped_bit_in_audio_leaves_the_range_of_its_hash():
    sender, pdus = delivery(100)
    pdus[41] = flipped(pdus[41], 250)
    pdus.append(sender.check())
    found = Lab().take(pdus).end()
    assert [(each.rule, each.sequence, each.last) for each in found] == [
        (Rule.HASH, 0, 99),
        (Rule.LOCATED, 0, 99),
    ]


@pytest.mark.parametrize("octet", [0, 2, 3, 4, 8, 11])
def test_a_flipped_bit_in_the_rtp_header_points_at_its_pdu(octet):
    sender, pdus = delivery(100)
    at = pdus[41].index(sender.rtp(20, 1))
    pdus[41] = flipped(pdus[41], at + octet)
    pdus.append(sender.check())
    found = Lab().take(pdus).end()
    assert (Rule.LOCATED, 41, None) in [(each.rule, each.sequence, each.last) for each in found]


def test_checks_that_overlap_name_the_pdu():
    """A hash over all, then one over those whose index has bit j: the deliverer's cheap way to exactness."""
    sender, pdus = delivery(64)
    pdus[37] = flipped(pdus[37], 250)
    waiting = list(sender.waiting[hi.DataType.CC])
    pdus.append(sender.check())
    for bit in range(6):
        sender.waiting[hi.DataType.CC] = [each for each in waiting if each[0] >> bit & 1]
        pdus.append(sender.check())
    found = Lab().take(pdus).end()
    assert [(each.rule, each.sequence, each.last) for each in found] == [
        (Rule.HASH, 0, 63),
        (Rule.LOCATED, 37, None),
    ]


def test_a_number_that_a_hash_names_and_that_did_not_come_is_missing():
    sender, pdus = delivery(10)
    pdus.append(sender.check())
    del pdus[4]
    assert Lab().take(pdus).said() == [("gap", "CC", 4), ("hash-unchecked", "CC", 0)]


def test_a_record_that_no_hash_covers_is_named():
    sender, pdus = delivery(10)
    pdus.append(sender.check(numbers=[0, 1, 2, 4, 5]))
    assert Lab().take(pdus).said() == [("hash-unchecked", "CC", 3)]


def test_a_hash_over_what_never_came():
    sender, _ = delivery(10)
    assert Lab().take(sender.check()).said() == [("hash-unchecked", "TRI integrityCheck", 0)]


def test_other_hashes_and_unknown_ones():
    sender, pdus = delivery(3)
    octets = b"".join(octets for _, octets in sender.waiting[hi.DataType.CC])
    for algorithm, digest in ((4, hashlib.sha512(octets)), (9, hashlib.sha512(octets))):
        check = hi.IntegrityCheck((0, 1, 2), hi.CheckType.HASH, hi.DataType.CC, digest.digest(), algorithm)
        pdus.append(sender.tri(check))
    found = Lab().take(pdus).end()
    assert [each.text for each in found if each.rule is Rule.UNCHECKED] == ["hashAlgorithm 9 is unknown"]


def test_data_without_any_check_are_told_once(monkeypatch):
    monkeypatch.setattr("midcall.lemf.link.MAX_FRESH", 50)
    _, pdus = delivery(300)
    lab = Lab().take(pdus, piece=5_000)
    assert [each[0] for each in lab.said()] == ["hash-unchecked"]
    assert lab.lemf.uncovered <= 70


def test_signatures():
    sender, pdus = delivery(3)
    pdus += [sender.check(), sender.signature()]
    assert Lab().take(pdus).said() == []
    other = Rules(keys=(Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key(),))
    tri = "TRI integrityCheck"
    assert Lab(other).take(pdus).said() == [("signature", tri, 0), ("hash-located", tri, 1)]
    both = Rules(keys=(*other.keys, *KEYS))
    assert Lab(both).take(pdus).said() == [], "a signing key that changed on the way"
    assert Lab(Rules()).take(pdus).said() == [], "no key: not checked"
    del pdus[3]
    assert ("hash-unchecked", "TRI integrityCheck", 0) in Lab().take(pdus).said()


def test_a_signature_of_another_kind_cannot_be_checked():
    sender, pdus = delivery(3)
    pdus.append(sender.check())
    ecdsa = hi.IntegrityCheck((0,), hi.CheckType.SIGNATURE, hi.DataType.CC, b"x", None, hi.SignatureAlgorithm.ECDSA)
    (found,) = Lab().take([*pdus, sender.tri(ecdsa)]).end()
    assert found.rule is Rule.UNCHECKED and "edDSA" in found.text


# The check itself is wrong


def located(count: int = 64) -> tuple[Sender, list[bytes]]:
    """Records, a hash over all of them, and one for each binary digit of their places; then a signature."""
    sender, pdus = delivery(count)
    waiting = list(sender.waiting[hi.DataType.CC])
    pdus.append(sender.check())
    for bit in range((count - 1).bit_length()):
        sender.waiting[hi.DataType.CC] = [each for each in waiting if each[0] >> bit & 1]
        pdus.append(sender.check())
    return sender, [*pdus, sender.signature()]


def changed(octets: bytes, **values: object) -> bytes:
    pdu = hi.parse(octets)
    return hi.build(hi.PsPdu(pdu.header, structs.replace(pdu.payload, **values)))


TRI = "TRI integrityCheck"


@pytest.mark.parametrize("which", [1, 2, 6])
def test_a_check_whose_hash_alone_is_wrong_is_named(which):
    """All that it names holds under the hash over everything."""
    _, pdus = located()
    pdus[64 + which] = changed(pdus[64 + which], value=bytes(32))
    found = Lab().take(pdus).end()
    assert {(each.payload, each.sequence, each.last) for each in found if each.rule is Rule.HASH} == {
        (TRI, which, None)
    }
    assert "wrong itself: its hash does not fit, and all 32 PDUs that it names hold" in found[0].text
    signature, hash_pdu = found[1:]
    assert (signature.rule, signature.sequence, signature.last) == (Rule.SIGNATURE, 0, 6)
    assert (hash_pdu.rule, hash_pdu.sequence) == (Rule.LOCATED, which)


def test_the_hash_over_everything_is_wrong_or_the_one_that_it_alone_names():
    _, pdus = located()
    pdus[64] = changed(pdus[64], value=bytes(32))
    found = {(each.rule, each.payload, each.sequence, each.last) for each in Lab().take(pdus).end()}
    assert (Rule.LOCATED, TRI, 0, None) in found and (Rule.LOCATED, "CC", 0, None) in found


@pytest.mark.parametrize("bit", [0, 3, 5, 12, 31])
@pytest.mark.parametrize("place", [0, 20, 63])
def test_one_bit_of_one_number_in_a_list_is_a_fault_of_the_check(bit, place):
    """The hash holds with the right number: the records are proved all the same."""
    sender, pdus = delivery(64)
    check = sender.check()
    numbers = list(hi.parse(check).payload.numbers)
    numbers[place] ^= 1 << bit
    lab = Lab().take([*pdus, changed(check, numbers=tuple(numbers))])
    (found,) = lab.end()
    assert (found.rule, found.payload, found.sequence) == (Rule.HASH, TRI, 0)
    assert found.text == f"wrong itself: it names {numbers[place]}, and its hash holds with {place} instead"
    assert lab.lemf.checked == 64 and lab.lemf.uncovered == 0


def test_a_check_that_names_what_nobody_sent_is_likely_wrong_and_says_which():
    sender, pdus = delivery(64)
    check = changed(sender.check(), numbers=(*range(63), 7_000_123))
    found = Lab().take([*pdus, check]).end()
    assert [(each.rule, each.payload, each.sequence) for each in found[:2]] == [
        (Rule.UNCHECKED, "CC", 0),
        (Rule.LOCATED, TRI, 0),
    ]
    assert found[0].text == "not all PDUs of the hash are here: 7000123 (check 0)"
    assert found[1].text == "likely wrong itself: it names 7000123, which has not come, and is not missing"


def test_a_check_that_names_none_or_one_twice():
    sender, pdus = delivery(4)
    octets = [changed(sender.check(), numbers=(0, 1, 2, 2)), changed(sender.check(), numbers=())]
    found = [(each.payload, each.sequence, each.text) for each in Lab().take([*pdus, *octets]).end()]
    assert (TRI, 0, "wrong itself: it names 2, and its hash holds with 3 instead") in found
    assert (TRI, 1, "names no PDU") in found
    octets = [changed(sender.check(), numbers=(0, 0, 0))]
    found = [(each.payload, each.sequence, each.text) for each in Lab().take([*pdus, *octets]).end()]
    assert (TRI, 2, "wrong itself: it names a PDU twice") in found


def test_a_signature_names_the_hash_whose_header_was_changed():
    """The hash in it holds; only the signature can tell, and the time that does not go on which one it is."""
    sender = Sender()
    pdus = []
    for _ in range(6):
        pdus += [sender.cc(), sender.check()]
    wrong = hi.parse(pdus[5])
    pdus[5] = hi.build(hi.PsPdu(structs.replace(wrong.header, time=wrong.header.time + 500_000_000), wrong.payload))
    found = Lab().take([*pdus, sender.signature()]).end()
    assert [(each.rule, each.sequence, each.last) for each in found] == [
        (Rule.SIGNATURE, 0, 5),
        (Rule.LOCATED, 2, None),
    ]


def test_the_time_of_a_check_is_judged_too():
    sender, pdus = delivery(3)
    check = hi.parse(sender.check())
    late = hi.build(hi.PsPdu(structs.replace(check.header, time=LATER + 61_000_000_000), check.payload))
    assert Lab().take([*pdus, late]).said() == [("time", TRI, 0)]


def test_a_signature_that_names_what_is_no_hash_is_named():
    sender, pdus = delivery(3)
    pdus.append(sender.check())
    wrong = changed(sender.signature(), numbers=(77,))
    assert Lab().take([*pdus, wrong]).said() == [("hash-unchecked", TRI, 77), ("hash-located", TRI, 1)]


def test_a_record_that_several_checks_cover_is_counted_once():
    lab = Lab().take(located()[1])
    assert lab.lemf.checked == 64 and lab.said() == []
