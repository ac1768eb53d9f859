"""The PRF and every label, against the vectors' intermediate values."""

from __future__ import annotations

import pytest

from imswire import mikey
from imswire.mikey import prf
from tests.imswire.mikey.vectors import SET2, SETS


@pytest.mark.parametrize("s", SETS)
def test_labels_and_keys(s):
    label = prf.message_label(prf.AUTH, s.csb("Request"), 1, s["RANDRi in REQUEST_INIT"], None)
    assert label == s["label for REQUEST_INIT auth_key"]
    size = 32 if s is SET2 else 20
    assert prf.prf(s.suite.prf, s["PSK Alice-KMS"], label, size) == s["REQUEST_INIT auth_key"]
    resolve = prf.message_label(prf.AUTH, s.csb("Resolve"), 1, None, s["RANDRr in RESOLVE_INIT"])
    assert resolve == s["label for RESOLVE_INIT auth_key"]
    answer = prf.message_label(
        prf.AUTH, s.csb("Transfer"), 2, s["RANDRi in TRANSFER_INIT"], s["RANDRr in TRANSFER_RESP"]
    )
    assert answer == s["label for TRANSFER_RESP auth_key"]
    rand = s["RAND in Ticket Data"]
    assert prf.prf(s.suite.prf, s["TPK"], prf.ticket_label(prf.SALT, rand), 14) == s["TPK-derived salt_key"]
    assert prf.prf(s.suite.prf, s["MPK (inside ticket)"], prf.mpk_label(prf.MPKR, rand), s.suite.octets) == s["MPKr"]
    session = prf.session_label(prf.TEK, 1, s["RANDRi in TRANSFER_INIT"], s["RANDRr in TRANSFER_RESP"])
    assert session.hex() == s.all["Session keys"]["CS ID 1"]["TEK label"]


def test_forking_and_vr():
    label = prf.fork_label(prf.FORKED_TGK, SET2.answering.data, SET2["RANDRkms"])
    assert label == SET2["label for TGK'"] and prf.prf(1, SET2["TGK"], label, 32) == SET2["TGK'"]
    assert prf.prf(1, SET2["MPKr"], prf.vr_label(), 32) == SET2["Vr auth_key"]


def test_unknown_function():
    with pytest.raises(mikey.MikeyError) as caught:
        prf.prf(9, b"k", b"l", 16)
    assert caught.value.error_no == mikey.ErrorNo.INVALID_PRF


def test_long_keys_are_split_at_256_bits():
    """Two blocks are the exclusive or of what each gives."""
    both = prf.prf(0, b"a" * 32 + b"b" * 8, b"label", 20)
    one, two = prf.prf(0, b"a" * 32, b"label", 20), prf.prf(0, b"b" * 8, b"label", 20)
    assert bytes(x ^ y for x, y in zip(one, two, strict=True)) == both
