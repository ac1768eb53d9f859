"""gzip around captures: members, small reads, damage; a bomb is as long as it says and takes no memory."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zlib

import pytest

from imswire import pcap
from imswire.pcap.compressed import Inflate

CONTENT = bytes(range(256)) * 4_000


def inflate(octets: bytes, most: int = 1 << 18) -> Inflate:
    source = io.BytesIO(octets)
    return Inflate(source.read(4), lambda n: source.read(min(n, most)))


def everything(read: Inflate, step: int = 10_000) -> bytes:
    parts = []
    while part := read(step):
        assert len(part) <= step
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("most", [1 << 18, 1, 100])
def test_members_follow_one_another(most):
    content = CONTENT[:5_000] if most == 1 else CONTENT
    reader = inflate(gzip.compress(content) + gzip.compress(b"") + gzip.compress(b"tail"), most)
    assert everything(reader) == content + b"tail" and not reader.fault
    assert reader(10) == b""


def test_what_follows_the_last_member_is_no_content():
    reader = inflate(gzip.compress(b"content") + bytes(100))
    assert everything(reader) == b"content" and not reader.fault


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        (gzip.compress(CONTENT, mtime=0)[:-5], "gzip: cut short"),
        (gzip.compress(CONTENT, mtime=0)[:12], "gzip: cut short"),
        (gzip.compress(b"whole", mtime=0) + gzip.compress(b"next", mtime=0)[:6], "gzip: cut short"),
        (gzip.compress(b"whole", mtime=0)[:-6] + bytes(6), "gzip: damaged"),
        (b"\x1f\x8b\x09\x00" + bytes(20), "gzip: damaged"),
    ],
)
def test_damage_ends_the_content(octets, fault):
    reader = inflate(octets)
    content = everything(reader)
    assert reader.fault == fault and (CONTENT.startswith(content) or content == b"whole")


def test_a_bomb_takes_no_memory():
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    reader = inflate(bomb)
    tracemalloc.start()
    octets = 0
    while part := reader(1 << 16):
        octets += len(part)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert octets == 64 << 20 and peak < 4 << 20


def test_a_capture_in_gzip_and_one_that_is_cut():
    capture = pcap.file_header(1) + b"".join(pcap.record(n, bytes(100)) for n in range(50))
    assert sum(map(len, pcap.Reader(io.BytesIO(gzip.compress(capture)).read).batches())) == 50
