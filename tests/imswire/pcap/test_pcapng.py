"""pcapng: byte orders, clocks, interfaces and sections, blocks that are passed over, and what breaks it."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import pcap
from imswire.pcap import CHUNK, PcapError, Reader


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<", version: int = 1) -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, version, 0, -1), order)


def interface(link: int = 1, options: bytes = b"", order: str = "<", snap: int = 0) -> bytes:
    return block(1, struct.pack(f"{order}HHI", link, 0, snap) + options, order)


def enhanced(ticks: int, frame: bytes, number: int = 0, order: str = "<", original: int | None = None) -> bytes:
    length = len(frame) if original is None else original
    head = struct.pack(f"{order}IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), length)
    return block(6, head + frame + bytes(-len(frame) % 4) + option(2, bytes(4), order) + bytes(4), order)


def read(capture: bytes, most: int = CHUNK) -> list[tuple[int, int, bytes, int]]:
    """Link type, time, frame and length of every record; ``most`` is what a read gives at once."""
    source = io.BytesIO(capture)
    batches = Reader(lambda n: source.read(min(n, most))).batches()
    return [(batch.link_type, *record) for batch in batches for record in batch]


MICRO = 1_700_000_000_123_456
HEAD = section() + interface()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("most", [CHUNK, 7])
def test_byte_orders(order, most):
    capture = section(order) + interface(101, order=order) + enhanced(MICRO, b"abcde", order=order, original=9)
    assert read(capture, most) == [(101, MICRO * 1000, b"abcde", 9)]


@pytest.mark.parametrize(
    ("resolution", "ticks", "time"),
    [(0, 5, 5 * 10**9), (3, 5, 5 * 10**6), (9, 5, 5), (12, 5_000, 5), (0x80 | 10, 1024 + 512, 15 * 10**8)],
)
def test_clocks(resolution, ticks, time):
    options = option(9, bytes((resolution,))) + option(14, struct.pack("<q", 100)) + option(0, b"")
    assert read(section() + interface(1, options) + enhanced(ticks, b"x")) == [(1, 100 * 10**9 + time, b"x", 1)]


def test_times_that_no_clock_shows_are_those_of_the_frame_before():
    options = option(14, struct.pack("<q", -(10**9)))
    capture = HEAD + interface(1, options) + enhanced(5, b"a") + enhanced(5, b"b", 1) + enhanced((1 << 64) - 1, b"c")
    assert [time for _, time, _, _ in read(capture)] == [5_000] * 3


def test_interfaces_of_different_link_types_make_batches():
    capture = HEAD + interface(113)
    capture += enhanced(1, b"a") + enhanced(2, b"b") + enhanced(3, b"c", 1) + enhanced(4, b"d")
    batches = list(Reader(io.BytesIO(capture).read).batches())
    assert [(batch.link_type, len(batch)) for batch in batches] == [(1, 2), (113, 1), (1, 1)]
    assert Reader(io.BytesIO(capture).read).link_type == 1


def test_a_new_section_has_interfaces_and_a_byte_order_of_its_own():
    capture = HEAD + enhanced(1, b"a") + section(">") + interface(276, order=">") + enhanced(2, b"b", order=">")
    assert [(link, frame) for link, _, frame, _ in read(capture)] == [(1, b"a"), (276, b"b")]
    with pytest.raises(PcapError, match="interface 0 is not described"):
        read(HEAD + section() + enhanced(1, b"a"))


def test_simple_and_obsolete_packet_blocks():
    simple = block(3, struct.pack("<I", 9) + b"abcd")
    obsolete = block(2, struct.pack("<HHIIII", 0, 7, 0, 8, 3, 3) + b"xyz\0" + bytes(4))
    capture = section() + interface(snap=4) + enhanced(7, b"first") + simple + obsolete
    assert read(capture)[1:] == [(1, 7_000, b"abcd", 9), (1, 8_000, b"xyz", 3)]


@pytest.mark.parametrize("most", [CHUNK, 1000])
def test_other_blocks_are_passed_over_however_long(most):
    long = block(0x0BAD, bytes(1 << 20))
    capture = section() + block(5, bytes(8)) + interface() + long + enhanced(1, b"a") + block(10, b"secrets!") + long
    assert [frame for _, _, frame, _ in read(capture, most)] == [b"a"]


def test_no_interface_and_no_frames():
    assert Reader(io.BytesIO(section()).read).link_type == 1
    assert read(section()) == [] == read(HEAD)


def test_many_frames_over_many_reads():
    capture = HEAD + b"".join(enhanced(n, n.to_bytes(200, "big")) for n in range(5_000))
    found = read(capture)
    assert [time for _, time, _, _ in found] == [n * 1000 for n in range(5_000)]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (enhanced(1, b"b", 1), "interface 1 is not described"),
        (struct.pack("<II", 6, 8) + bytes(8), "a block of 8 octets"),
        (struct.pack("<II", 6, 33) + bytes(40), "a block of 33 octets"),
        (struct.pack("<II", 6, 1 << 24) + bytes(40), "more than"),
        (struct.pack("<II", 0xBAD, 3) + bytes(8), "a block of 3 octets"),
        (enhanced(1, b"b")[:-4] + bytes(4), "lengths of a block differ"),
        (block(6, bytes(4)), "without its fields"),
        (block(2, bytes(4)), "without its fields"),
        (block(3, b""), "without its fields"),
        (block(1, b""), "without its fields"),
        (block(6, struct.pack("<IIIII", 0, 0, 0, 99, 99)), "99 octets of a frame"),
        (block(3, struct.pack("<I", 99)), "99 octets of a frame"),
        (section(version=2), "version 2"),
        (block(0x0A0D0D0A, struct.pack("<I", 0x1A2B3C4D)), "section header without"),
        (block(0x0A0D0D0A, bytes(16)), "byte-order magic"),
        (interface() * 1024, "more than 1024 interfaces"),
        (enhanced(1, b"b")[:-1], "cut short"),
        (struct.pack("<II", 0xBAD, 1 << 20), "cut short"),
    ],
)
def test_a_fault_says_where_and_keeps_what_was_before(broken, reason):
    capture = HEAD + enhanced(1, b"a")
    found = []
    with pytest.raises(PcapError, match=reason) as caught:
        for batch in Reader(io.BytesIO(capture + broken).read).batches():
            found += batch
    assert [frame for _, frame, _ in found] == [b"a"]
    assert caught.value.frame == 2 and caught.value.offset >= len(capture)


@pytest.mark.parametrize(
    "broken",
    [b"\x0a\x0d\x0d\x0a" + bytes(30), block(0x0A0D0D0A, bytes(16)), section(version=2)],
)
def test_what_is_no_capture_at_all(broken):
    with pytest.raises(PcapError) as caught:
        Reader(io.BytesIO(broken).read)
    assert caught.value.frame == 0


def test_a_simple_packet_needs_an_interface():
    with pytest.raises(PcapError, match="interface 0"):
        read(section() + block(3, struct.pack("<I", 1) + b"a"))


def test_options_that_do_not_fit_are_left():
    assert read(section() + interface(1, struct.pack("<HH", 9, 99)) + enhanced(5, b"a")) == [(1, 5_000, b"a", 1)]


@given(st.data())
def test_anything_raises_only_its_error(data):
    whole = HEAD + enhanced(1, b"a" * 30) + section(">") + interface(order=">") + enhanced(2, b"bc", order=">")
    octets = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 8))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    with suppress(PcapError):
        read(bytes(octets[: data.draw(st.integers(0, len(octets)))]), data.draw(st.integers(1, 60)))


def test_written_and_read_back():
    capture = pcap.ng_section(1, 276) + pcap.ng_packet(1_700_000_000_123_456_789, b"abcde") + pcap.ng_packet(2, b"", 1)
    assert read(capture) == [(1, 1_700_000_000_123_456_789, b"abcde", 5), (276, 2, b"", 0)]


def sifted(capture: bytes, sieve: pcap.Sieve, most: int = CHUNK) -> list[tuple[int, int, int, bytes, int]]:
    """Link type, number, time, frame and length of every record that is given."""
    source = io.BytesIO(capture)
    pieces = Reader(lambda n: source.read(min(n, most))).sifted(sieve)
    return [(link, *record) for link, records in pieces for record in records]


def test_a_sieve_passes_frames_over_and_keeps_their_numbers():
    links = section() + interface(1) + interface(101)
    capture = links + enhanced(1, b"a") + enhanced(2, b"b", 1) + enhanced(3, b"c", 1) + enhanced(4, b"d")
    given = [(link, number, frame) for link, number, _, frame, _ in sifted(capture, pcap.Sieve(lambda *_: True, 99))]
    assert given == [(1, 1, b"a"), (101, 3, b"c"), (1, 4, b"d")]  # the last one of a piece always
    given = [(link, number, frame) for link, number, _, frame, _ in sifted(capture, pcap.Sieve(lambda *_: False, 99))]
    assert given == [(1, 1, b"a"), (101, 2, b"b"), (101, 3, b"c"), (1, 4, b"d")]


def test_frames_from_the_second_of_waking_on_are_not_asked_for():
    asked: list[int] = []
    capture = HEAD + interface(1, option(9, b"\x09")) + interface(1, option(14, struct.pack("<q", 6)))
    moments = [(n * 10**6, 0) for n in range(1, 9)] + [(7 * 10**9 - 1, 1), (7 * 10**9, 1), (10**6 - 1, 2), (10**6, 2)]
    capture += b"".join(enhanced(ticks, b"%02d" % n, number) for n, (ticks, number) in enumerate(moments))
    sieve = pcap.Sieve(lambda octets, start, end: asked.append(int(octets[start:end])) or True, 7)
    assert [number - 1 for _, number, *_ in sifted(capture, sieve)] == [6, 7, 9, 11]
    assert asked == [0, 1, 2, 3, 4, 5, 8, 10]


def test_waking_counts_for_the_frame_behind_the_one_it_was_decided_from():
    capture = HEAD + enhanced(10**6, b"a", original=2) + enhanced(2 * 10**6, b"b") * 2
    sieve = pcap.Sieve(lambda *_: True, 1)
    found = []
    for _, records in Reader(io.BytesIO(capture).read).sifted(sieve):
        for number, *_ in records:
            found.append(number)
            sieve.wake = 9
    assert found == [1, 3]


def test_a_time_without_a_sense_behind_frames_that_were_passed_over():
    capture = HEAD + enhanced(5, b"a") + enhanced(6, b"b") + enhanced((1 << 64) - 1, b"c") + enhanced(7, b"d")
    given = sifted(capture, pcap.Sieve(lambda *_: True, 1 << 40))
    assert [(number, time) for _, number, time, _, _ in given] == [(2, 6_000), (3, 6_000), (4, 7_000)]


def test_more_layouts_than_are_remembered(monkeypatch):
    monkeypatch.setattr("imswire.pcap.pcapng.MAX_LAYOUTS", 3)
    capture = HEAD + b"".join(enhanced(n << 32, bytes(n)) for n in range(1, 9)) * 2
    assert [number for _, number, *_ in sifted(capture, pcap.Sieve(lambda *_: True, 1 << 40))] == [16]


@pytest.mark.parametrize("most", [CHUNK, 1000])
def test_sifting_over_many_reads(most):
    capture = HEAD + b"".join(enhanced(n, bytes((n % 3,)) + n.to_bytes(199 + n % 7, "big")) for n in range(5_000))
    found = sifted(capture, pcap.Sieve(lambda octets, start, _: bool(octets[start]), 1 << 40), most)
    assert {number - 1 for _, number, *_ in found} >= set(range(0, 5_000, 3)) and found[-1][1] == 5_000
    assert all(time == 1000 * (number - 1) for _, number, time, *_ in found)


def test_a_frame_longer_than_its_block_behind_frames_that_were_passed_over():
    long = block(6, struct.pack("<IIIII", 0, 0, 3, 17, 17) + bytes(16))
    plain = block(6, struct.pack("<IIIII", 0, 0, 3, 16, 16) + bytes(16))
    with pytest.raises(PcapError, match="frame 3 at offset 144: 17 octets of a frame in a block of 48"):
        sifted(HEAD + plain * 2 + long, pcap.Sieve(lambda *_: True, 1 << 40))


BROKEN = enhanced(3, b"never")[:-4] + bytes(4)


@pytest.mark.parametrize("behind", [b"", enhanced(4, b"x"), section(), BROKEN])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_block_with_different_lengths_behind_frames_that_were_passed_over(before, behind):
    capture = HEAD + enhanced(1, b"a") * before
    found = []
    with pytest.raises(PcapError, match="lengths of a block differ") as caught:
        for _, records in Reader(io.BytesIO(capture + BROKEN + behind).read).sifted(pcap.Sieve(lambda *_: True, 99)):
            found += [number for number, *_ in records]
    assert found == [before][:before]
    assert (caught.value.frame, caught.value.offset) == (before + 1, len(capture))


def odd(octets: bytes, start: int, end: int) -> bool:
    """Passes over what begins with an odd octet."""
    return start < end and bool(octets[start] & 1)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Some captures with several interfaces, clocks, byte orders and kinds of blocks, a few octets changed, cut."""
    order = draw(st.sampled_from("<>"))
    clocks = [b"", option(9, b"\x09", order), option(9, b"\x83", order), option(14, b"\xff" * 8, order)]
    capture = section(order)
    for link in draw(st.lists(st.sampled_from((1, 1, 101)), min_size=1, max_size=3)):
        capture += interface(link, draw(st.sampled_from(clocks)), order)
    blocks = st.one_of(
        st.builds(
            lambda ticks, frame, number, cut: enhanced(ticks, frame, number, order, len(frame) + cut),
            st.sampled_from((0, 1, 10**6, 3 * 10**6, 1 << 32, (1 << 32) + 9, (1 << 64) - 1)),
            st.sampled_from((b"a", b"b", b"aaaa", b"bbbb", b"")),
            st.sampled_from((0, 0, 0, 1, 2)),
            st.sampled_from((0, 0, 0, 1)),
        ),
        st.sampled_from((block(3, struct.pack(f"{order}I", 1) + b"a", order), block(5, bytes(8), order))),
        st.just(section(order) + interface(1, order=order)),
    )
    octets = bytearray(capture + b"".join(draw(st.lists(blocks, max_size=12))))
    for _ in range(draw(st.integers(0, 2))):
        octets[draw(st.integers(0, len(octets) - 1))] = draw(st.sampled_from((0, 1, 2, 6, 36, 128, 255)))
    return bytes(octets[: draw(st.integers(len(octets) - 40, len(octets)))])


@given(mutated(), st.integers(0, 5), st.sampled_from((CHUNK, 7, 40, 99)))
def test_with_a_sieve_as_without(octets, wake, most):
    known: list[tuple[int, int, int, bytes, int]] = []
    fault = ""
    try:
        for batch in Reader(io.BytesIO(octets).read).batches():
            known += [(batch.link_type, number, *record) for number, record in enumerate(batch, len(known) + 1)]
    except PcapError as error:
        fault = str(error)
    found: list[tuple[int, int, int, bytes, int]] = []
    source = io.BytesIO(octets)
    try:
        for link, records in Reader(lambda n: source.read(min(n, most))).sifted(pcap.Sieve(odd, wake)):
            found += [(link, *record) for record in records]
    except PcapError as error:
        assert str(error) == fault
        fault = ""
    assert not fault
    assert set(found) <= set(known) and found == sorted(found, key=lambda each: each[1])
    assert found[-1:] == known[-1:]
    for each in known:
        _, _, time, frame, original = each
        may_go = time < wake * 10**9 and len(frame) == original and odd(frame, 0, len(frame))
        assert may_go or each in found
