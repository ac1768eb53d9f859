"""Refusals say what happened."""

from imswire import srtp


def test_refusals_are_told_apart():
    assert len({refusal.value for refusal in srtp.Refusal}) == len(srtp.Refusal) == 4
