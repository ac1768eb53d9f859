"""Capture files: all four forms, and what breaks them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import pcap
from imswire.errors import WireError
from imswire.pcap import CHUNK, MAX_FRAME, PcapError, Reader, Record

LINUX = Path(__file__).parents[2] / "data" / "captures" / "linux-sll2.pcap"
HEADER = pcap.file_header(1)


def records(capture: bytes, most: int = CHUNK) -> list[Record]:
    """All records; ``most`` is what a read gives at once."""
    source = io.BytesIO(capture)
    return [each for batch in Reader(lambda n: source.read(min(n, most))).batches() for each in batch]


def until_broken(capture: bytes) -> tuple[list[Record], PcapError]:
    """The records before the fault, and the fault."""
    found: list[Record] = []
    with pytest.raises(PcapError) as caught:
        for batch in Reader(io.BytesIO(capture).read).batches():
            found += batch
    return found, caught.value


def test_a_capture_of_dumpcap() -> None:
    with LINUX.open("rb") as file:
        reader = Reader(file.read)
        frames = [each for batch in reader.batches() for each in batch]
    assert reader.link_type == 276
    assert len(frames) == 34
    assert all(len(frame) == original for _, frame, original in frames)
    assert frames[0][1].endswith(b"OPTIONS sip:b@example.com SIP/2.0\r\n\r\n")
    times = [time for time, _, _ in frames]
    assert times == sorted(times)
    assert all(time % 1000 == 0 for time in times)


@pytest.mark.parametrize(
    ("order", "magic", "unit"),
    [("<", 0xA1B2C3D4, 1000), (">", 0xA1B2C3D4, 1000), ("<", 0xA1B23C4D, 1), (">", 0xA1B23C4D, 1)],
)
def test_byte_orders_and_resolutions(order: str, magic: int, unit: int) -> None:
    capture = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 96, 101)
    capture += struct.pack(f"{order}IIII", 1_700_000_000, 123_456, 3, 1500) + b"abc"
    reader = Reader(io.BytesIO(capture).read)
    assert reader.link_type == 101
    assert list(reader.batches()) == [[(1_700_000_000_000_000_000 + 123_456 * unit, b"abc", 1500)]]


def test_the_length_of_frame_check_sequences_is_no_link_type() -> None:
    capture = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 96, 0x44000001)
    assert Reader(io.BytesIO(capture).read).link_type == 1


def test_an_empty_capture() -> None:
    assert records(HEADER) == []


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_a_pipe_gives_what_it_has(most: int) -> None:
    capture = HEADER + b"".join(pcap.record(at, bytes([at]) * 30) for at in range(20))
    assert [frame for _, frame, _ in records(capture, most)] == [bytes([at]) * 30 for at in range(20)]


def test_records_across_chunks() -> None:
    frames = [bytes([at % 256]) * (at % 1500) for at in range(1400)]
    capture = HEADER + b"".join(pcap.record(0, frame) for frame in frames)
    assert len(capture) > 3 * CHUNK
    source = io.BytesIO(capture)
    batches = list(Reader(source.read).batches())
    assert len(batches) > 3
    assert [frame for batch in batches for _, frame, _ in batch] == frames


def test_the_longest_frame() -> None:
    assert records(HEADER + pcap.record(0, bytes(MAX_FRAME))) == [(0, bytes(MAX_FRAME), MAX_FRAME)]


def test_writing() -> None:
    assert struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1) == HEADER
    assert pcap.record(1_700_000_000_123_456_999, b"abc") == (
        struct.pack("<IIII", 1_700_000_000, 123_456, 3, 3) + b"abc"
    )


# What breaks


@pytest.mark.parametrize(
    "capture",
    [
        b"",
        b"\xd4\xc3",
        b"\x0a\x0d\x0d\x0a" + bytes(30),  # pcapng
        b"\x1f\x8b" + bytes(30),  # gzip
        HEADER[:23],
        b"\xa1\xb2\xcd\x34" + bytes(20),  # a modified form with longer record headers
        HEADER[:4] + b"\x01\x00" + HEADER[6:],
    ],
)
def test_what_is_no_capture(capture: bytes) -> None:
    with pytest.raises(PcapError, match="file header at offset") as caught:
        Reader(io.BytesIO(capture).read)
    assert caught.value.frame == 0
    assert isinstance(caught.value, WireError)


@pytest.mark.parametrize("left", [1, 15, 16, 20])
def test_a_tail_that_breaks_off(left: int) -> None:
    good = HEADER + pcap.record(0, b"abc") * 2
    found, error = until_broken(good + pcap.record(0, b"abcdefgh")[:left])
    assert len(found) == 2
    assert (error.frame, error.offset) == (3, len(good))
    assert str(error) == f"frame 3 at offset {len(good)}: cut short, {left} octets left"


@pytest.mark.parametrize("octets", [MAX_FRAME + 1, 0xFFFFFFFF])
def test_a_length_that_cannot_be(octets: int) -> None:
    good = HEADER + pcap.record(0, b"abc")
    found, error = until_broken(good + struct.pack("<IIII", 0, 0, octets, octets) + bytes(100))
    assert len(found) == 1
    assert (error.frame, error.offset, error.reason) == (2, 43, f"{octets} octets, more than {MAX_FRAME}")


def test_a_length_that_cannot_be_is_refused_though_the_octets_are_there() -> None:
    _, error = until_broken(HEADER + pcap.record(0, b"abc") + pcap.record(0, bytes(MAX_FRAME + 1)) + bytes(CHUNK))
    assert error.frame == 2


@given(st.lists(st.tuples(st.integers(0, (1 << 32) - 1), st.integers(0, 999_999), st.binary(max_size=80)), max_size=20))
def test_what_is_written_is_read(frames: list[tuple[int, int, bytes]]) -> None:
    expected = [(s * 10**9 + us * 1000, frame, len(frame)) for s, us, frame in frames]
    assert records(HEADER + b"".join(pcap.record(time, frame) for time, frame, _ in expected)) == expected


@given(st.binary(max_size=200))
def test_any_octets(garbage: bytes) -> None:
    for capture in (garbage, HEADER + garbage):
        with suppress(PcapError):
            records(capture)


@given(st.integers(0, 100), st.integers(1, 64))
def test_a_capture_cut_anywhere_gives_all_whole_records(length: int, most: int) -> None:
    capture = (HEADER + pcap.record(7000, b"abcd") * 4)[: 24 + length]
    source = io.BytesIO(capture)
    read: Callable[[int], bytes] = lambda n: source.read(min(n, most))  # noqa: E731
    found: list[Record] = []
    try:
        for batch in Reader(read).batches():
            found += batch
    except PcapError as error:
        assert error.frame == len(found) + 1
        assert len(capture) != 24 + 20 * len(found)
    assert len(found) == (len(capture) - 24) // 20


def sifted(capture: bytes, sieve: pcap.Sieve, most: int = CHUNK) -> list[tuple[int, int, bytes, int]]:
    source = io.BytesIO(capture)
    reader = Reader(lambda n: source.read(min(n, most)))
    return [each for link_type, frames in reader.sifted(sieve) for each in frames if link_type == 1]


def test_a_sieve_passes_frames_over_and_keeps_their_numbers() -> None:
    capture = HEADER + b"".join(pcap.record(n * 10**9, bytes((n,)) * (n + 1)) for n in range(10))
    all_of_them = [(n + 1, n * 10**9, bytes((n,)) * (n + 1), n + 1) for n in range(10)]
    none = pcap.Sieve(lambda *_: False, 99)
    assert sifted(capture, none) == all_of_them
    odd = pcap.Sieve(lambda octets, start, end: bool(octets[start] & 1), 99)
    assert sifted(capture, odd) == [*all_of_them[::2], all_of_them[-1]]  # the last one of a piece too
    lengths: list[int] = []
    assert sifted(capture, pcap.Sieve(lambda _, start, end: lengths.append(end - start) or True, 7)) == all_of_them[7:]
    assert lengths == list(range(1, 8))


def test_what_was_decided_from_a_frame_counts_for_the_next() -> None:
    capture = HEADER + pcap.record(0, b"wake") + 2 * pcap.record(10**9, b"x")
    sieve = pcap.Sieve(lambda *_: True, 1)
    reader = Reader(io.BytesIO(capture).read)
    found = []
    for _, frames in reader.sifted(sieve):
        for number, *_ in frames:
            found.append(number)
            sieve.wake = 5
    assert found == [2, 3]


def test_a_frame_that_was_cut_by_the_capture_is_never_passed_over() -> None:
    cut = struct.pack("<IIII", 0, 0, 1, 2) + b"a"
    assert sifted(HEADER + cut + pcap.record(0, b"b"), pcap.Sieve(lambda *_: True, 1))[0] == (1, 0, b"a", 2)


def test_a_fraction_of_more_than_a_second_may_reach_beyond_the_waking() -> None:
    late = struct.pack("<IIII", 0, 2_000_000, 1, 1) + b"a"
    found = sifted(HEADER + late + pcap.record(0, b"b"), pcap.Sieve(lambda *_: True, 1))
    assert [(number, time) for number, time, *_ in found] == [(1, 2 * 10**9), (2, 0)]


@pytest.mark.parametrize("most", [CHUNK, 7, 1000])
def test_sifting_over_many_reads(most: int) -> None:
    capture = HEADER + b"".join(pcap.record(n * 1000, n.to_bytes(2, "big") * 300) for n in range(2_000))
    third = pcap.Sieve(lambda octets, start, _: bool((octets[start] << 8 | octets[start + 1]) % 3), 99)
    found = sifted(capture, third, most)
    assert {number - 1 for number, *_ in found} >= set(range(0, 2_000, 3)) and found[-1][0] == 2_000
    assert all(frame == (number - 1).to_bytes(2, "big") * 300 for number, _, frame, _ in found)


@pytest.mark.parametrize("tail", [b"\0" * 9, struct.pack("<IIII", 0, 0, MAX_FRAME + 1, 0), pcap.record(0, b"abc")[:-1]])
def test_faults_behind_sifted_frames(tail: bytes) -> None:
    capture = HEADER + pcap.record(0, b"a") + pcap.record(0, b"b") + tail
    _, fault = until_broken(capture)
    with pytest.raises(PcapError) as caught:
        sifted(capture, pcap.Sieve(lambda *_: True, 9))
    assert (str(caught.value), caught.value.frame) == (str(fault), 3)
