"""Batches and reads."""

from __future__ import annotations

import io

from imswire.pcap.values import Batch, PcapError, Sieve, up_to


def test_a_read_that_gives_less():
    source = io.BytesIO(b"abcdef")
    assert up_to(lambda n: source.read(min(n, 2)), 5) == b"abcde"
    assert up_to(source.read, 5) == b"f" and up_to(source.read, 5) == b""


def test_a_batch_is_a_list_of_one_link_type():
    batch = Batch(113)
    batch.append((1, b"a", 1))
    assert batch == [(1, b"a", 1)] and batch.link_type == 113


def test_a_fault_says_where():
    assert str(PcapError("why", 3, 40)) == "frame 3 at offset 40: why"
    assert str(PcapError("why", 0, 4)) == "file header at offset 4: why"


def test_a_sieve_can_be_woken_earlier():
    sieve = Sieve(lambda octets, start, end: octets[start:end] == b"b", 7)
    sieve.wake = 3
    assert sieve.passes(b"abc", 1, 2) and not sieve.passes(b"abc", 0, 2) and sieve.wake == 3
