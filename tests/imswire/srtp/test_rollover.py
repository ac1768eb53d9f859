"""Joining late: the counter is found by the tag, and the MKI by its place."""

from __future__ import annotations

import pytest

from imswire import srtp
from imswire.srtp.rollover import strip_mki
from tests.imswire.srtp.test_stream import AEAD, POLICIES, master, protected


@pytest.mark.parametrize("policy", POLICIES + AEAD)
@pytest.mark.parametrize("mki", [b"", b"\x07"])
def test_search(policy, mki):
    packet = protected(policy, 7 << 16 | 9, mki=mki)
    key = master(policy, mki)
    assert srtp.search(policy, key, packet, range(20), len(mki)) == 7
    assert srtp.search(policy, key, packet, range(7), len(mki)) is None
    assert srtp.search(policy, key, packet, [-1, 1 << 32], len(mki)) is None
    assert srtp.search(policy, key, b"\x80", range(20)) is None
    assert srtp.locate_mki(policy, packet, mki) is bool(mki)
    assert strip_mki(policy, packet, len(mki)) == protected(policy, 7 << 16 | 9)


def test_without_authentication_nothing_can_be_searched():
    policy = srtp.Policy.from_sp({10: b"\0"})
    packet = protected(policy, 5)
    assert srtp.search(policy, master(policy), packet, [3, 4]) == 3
    assert strip_mki(policy, packet + b"\x07", 1) == packet
