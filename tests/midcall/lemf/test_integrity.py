"""Integrity checks (TS 102 232-1 7.2.3): what holds, what does not, and which PDU it was."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from imswire import hi
from midcall.lemf import Rule, Rules
from tests.midcall.lemf.deliverer import Sender
from tests.midcall.lemf.memory import KEYS, Lab, delivery, flipped


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
    assert Lab(other).take(pdus).said() == [("signature", "TRI integrityCheck", 0)]
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
