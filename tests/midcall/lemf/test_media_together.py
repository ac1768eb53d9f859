"""Packets that wait and are written together leave the files that they would leave one by one."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from midcall.lemf import Lemf, Link
from midcall.lemf.shell import media
from midcall.lemf.shell.media import MediaFiles
from tests.midcall.lemf.deliverer import Sender
from tests.midcall.lemf.memory import LATER


def delivery(random: Random) -> list[bytes]:
    """Two directions with gaps, markers, other sizes, other sources, other codecs and packets that are no RTP."""
    sender = Sender()
    pdus = []
    source, kind = b"\xd5", 8
    for _ in range(1_200):
        if random.random() < 0.02:
            sender.numbers["CC"] += 2 * random.randrange(5)
        if random.random() < 0.01:
            kind = random.choice((0, 8, 8, 101))
        if random.random() < 0.005:
            source = random.randbytes(1)
        number = sender.numbers["CC"]
        marked = kind | 0x80 if random.random() < 0.01 else kind
        size = 80 if random.random() < 0.01 else 160
        packet = sender.rtp(number // 2, number % 2, payload=source * size, kind=marked)
        packet = packet[:8] + source + packet[9:]
        if random.random() < 0.005:
            packet = random.choice((b"", b"\x80", random.randbytes(40), b"\xa0" + packet[1:-1] + b"\xff"))
        pdus.append(sender.cc(packet=packet) if packet else sender.cc(packet=b"\0"))
    return pdus


def written(pdus: list[bytes], folder: Path, piece: int, keys: bool) -> dict[str, bytes]:
    folder.mkdir()
    spent: list[int] = []
    files = MediaFiles(lambda _: folder, spent.append)
    lemf = Lemf()
    link = Link(lemf, "df")
    octets = b"".join(pdus)
    for number, place in enumerate(range(0, len(octets), piece)):
        for call, packets in link.receive(octets[place : place + piece], LATER).media:
            call.keys = keys and number % 4 > 1
            files.write(call, packets)
        if number % 5 == 4:
            list(files.tick())
    files.close_all()
    left = {path.name: path.read_bytes() for path in folder.iterdir()}
    return left | {"spent": str(sum(spent)).encode(), "unreadable": str(files.unreadable).encode()}


@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_the_files_are_the_same(monkeypatch, tmp_path, seed, keys):
    random = Random(seed)
    pdus = delivery(random)
    piece = random.choice((4_000, 20_000, 1 << 18))
    together = written(pdus, tmp_path / "together", piece, keys)
    monkeypatch.setattr(media, "_heads", lambda *_: None)
    assert together == written(pdus, tmp_path / "alone", piece, keys)
    assert {"cin-1.pcap", "cin-1-mix.wav"} <= set(together)


def test_packets_of_a_usual_call_are_taken_together(monkeypatch, tmp_path):
    sender = Sender()
    alone: list[int] = []
    monkeypatch.setattr(MediaFiles, "_one", lambda *_: alone.append(1))
    files = MediaFiles(lambda _: tmp_path, lambda _: None)
    link = Link(Lemf(), "df")
    for call, packets in link.receive(b"".join(sender.cc() for _ in range(20)), LATER).media:
        files.write(call, packets)
    assert len(alone) == 20  # nothing is known of its streams yet
    monkeypatch.undo()
    for _ in range(3):
        for call, packets in link.receive(b"".join(sender.cc() for _ in range(40)), LATER).media:
            files.write(call, packets)
            list(files.tick())
    monkeypatch.setattr(MediaFiles, "_one", lambda *_: alone.append(1))
    for call, packets in link.receive(b"".join(sender.cc() for _ in range(400)), LATER).media:
        files.write(call, packets)
    files.close_all()
    assert len(alone) == 20
