"""Which kind of capture a file is, and faults of gzip told as those of the capture."""

from __future__ import annotations

import gzip
import io

import pytest

from imswire import pcap
from imswire.pcap.reader import Reader, is_capture
from tests.imswire.pcap.test_pcapng import HEAD, enhanced

CLASSIC = pcap.file_header(1) + b"".join(pcap.record(n, n.to_bytes(100, "big")) for n in range(50))
NG = HEAD + b"".join(enhanced(n, n.to_bytes(100, "big")) for n in range(50))


@pytest.mark.parametrize("capture", [CLASSIC, NG])
def test_plain_and_compressed(capture):
    assert is_capture(capture[:4]) and is_capture(gzip.compress(capture)[:4])
    for octets in (capture, gzip.compress(capture)):
        reader = Reader(io.BytesIO(octets).read)
        assert reader.link_type == 1
        assert [int.from_bytes(frame, "big") for batch in reader.batches() for _, frame, _ in batch] == list(range(50))


@pytest.mark.parametrize("octets", [b"", b"RIFF", b"\x01\x0e\x05\x80", b"\x1f"])
def test_what_is_none(octets):
    assert not is_capture(octets)
    with pytest.raises(pcap.PcapError, match="no magic number"):
        Reader(io.BytesIO(octets).read)


@pytest.mark.parametrize("capture", [CLASSIC, NG])
def test_damage_is_told_as_that_of_the_file(capture):
    packed = gzip.compress(capture)
    for octets in (packed[:-20], packed[:-6] + bytes(6)):
        found = []
        with pytest.raises(pcap.PcapError, match="gzip: ") as caught:
            for batch in Reader(io.BytesIO(octets).read).batches():
                found += batch
        assert len(found) <= 50 and caught.value.frame == len(found) + 1
    with pytest.raises(pcap.PcapError, match="gzip: cut short"):
        Reader(io.BytesIO(packed[:15]).read)


def test_damage_of_a_capture_inside_whole_gzip_is_its_own():
    with pytest.raises(pcap.PcapError, match="cut short, 9"):
        list(Reader(io.BytesIO(gzip.compress(CLASSIC[:-107])).read).batches())
    with pytest.raises(pcap.PcapError, match="no magic number"):
        Reader(io.BytesIO(gzip.compress(b"no capture")).read)


@pytest.mark.parametrize("capture", [CLASSIC, NG])
def test_sifting_a_compressed_capture(capture):
    packed = gzip.compress(capture)
    none = pcap.Sieve(lambda *_: False, 1 << 40)
    given = [number for _, records in Reader(io.BytesIO(packed).read).sifted(none) for number, *_ in records]
    assert given == list(range(1, 51))
    with pytest.raises(pcap.PcapError, match="gzip: cut short"):
        for _, records in Reader(io.BytesIO(packed[:-20]).read).sifted(none):
            list(records)
