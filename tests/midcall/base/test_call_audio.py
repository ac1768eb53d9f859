"""Packets of a voice that are taken as a run leave what they leave one by one."""

from __future__ import annotations

from random import Random

import pytest

from imswire.sdp import Codec
from midcall.base import call_audio
from midcall.base.call_audio import SECOND, CallAudio, Voice

CODECS = {0: Codec("PCMU", 8_000), 8: Codec("PCMA", 8_000), 9: Codec("G722", 8_000)}


def rtp(timestamp: int, payload: bytes, kind: int = 8, first: int = 0x80) -> bytes:
    return bytes((first, kind)) + b"\0\1" + (timestamp % (1 << 32)).to_bytes(4, "big") + b"SSRC" + payload


def talk(random: Random, count: int, begin: int) -> list[tuple[int, bytes]]:
    """Talkspurts with gaps, markers, other codecs, extensions, packets that say they are longer than they are."""
    packets, timestamp, time, kind = [], begin, 0, 8
    for _ in range(count):
        if random.random() < 0.02:
            timestamp += 160 * random.randrange(100)
            kind = random.choice((8, 8, 0, 9, 101))
        first = random.choice((0x80, 0x90, 0xA0, 0x8F)) if random.random() < 0.01 else 0x80
        marked = kind | 0x80 if random.random() < 0.02 else kind
        packets.append((time, rtp(timestamp, random.randbytes(160), marked, first)))
        timestamp += 160
        time += SECOND // 50
    return packets


class Heard:
    """What a voice writes, and when."""

    def __init__(self) -> None:
        self.written: list[tuple[int, bytes]] = []
        self.voice = Voice(
            CODECS, lambda position, pcm: self.written.append((position, pcm)), lambda time: time // 125_000
        )


@pytest.mark.parametrize("begin", [0, 1 << 31, (1 << 32) - 4_000])
@pytest.mark.parametrize("seed", range(8))
def test_runs_are_what_their_packets_are(seed, begin):
    random = Random(seed)
    packets = talk(random, 2_000, begin)
    together, alone = Heard(), Heard()
    unreadable = 0
    place = 0
    while place < len(packets):
        some = packets[place : place + random.choice((1, 3, 4, 30, 300))]
        times, octets = zip(*some, strict=True)
        unreadable += together.voice.packets(times, octets)
        for time, packet in some:
            try:
                alone.voice.packet(time, packet)
            except call_audio.WireError:
                unreadable -= 1
        place += len(some)
    for heard in (together, alone):
        heard.voice.flush()
    assert together.written == alone.written and together.written != [] and unreadable == 0


def test_a_run_is_taken_at_once(monkeypatch):
    heard = Heard()
    one = [(n * SECOND // 50, rtp(160 * n, bytes(160))) for n in range(500)]
    heard.voice.packet(*one[0])
    monkeypatch.setattr(Voice, "packet", None)
    assert heard.voice.packets(*zip(*one[1:], strict=True)) == 0
    heard.voice.flush()
    assert sum(len(pcm) for _, pcm in heard.written) == 500 * 320
    assert [position for position, _ in heard.written] == [0, 16_480, 32_960, 49_440, 65_920]


def test_a_call_has_begun_with_its_first_sound(tmp_path):
    audio = CallAudio(tmp_path, "call", ("left", "right"))
    voice = audio.voice(0, 1, 0, CODECS)
    assert not audio.begun
    voice.packets([5], [rtp(0, bytes(160))])
    assert audio.begun and len(audio.close()) == 2
