"""Two baresip agents call each other with SDES; the capture of their call is replayed from the middle on."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imswire import wav

pytestmark = pytest.mark.peer
Peer = Callable[[str], Path]

TONES = {"alice": 440, "bob": 660}
RATE = 8_000
KEYS = '[kms]\nidentity = "kms.example.com"\n'
CONFIG = """\
sip_listen 127.0.0.1:{port}
rtp_ports {first}-{last}
audio_source aufile,{folder}/tone.wav
audio_player aufile,{folder}/heard.wav
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module srtp.so
module_app account.so
module_app menu.so
"""
ACCOUNT = "<sip:{name}@127.0.0.1:{port}>;regint=0;mediaenc=srtp-mand;answermode=auto;audio_codecs={codec}\n"


def tone(hertz: int, seconds: int) -> bytes:
    """A WAV file of a sine."""
    samples = (round(8_000 * math.sin(2 * math.pi * hertz * n / RATE)) for n in range(RATE * seconds))
    octets = b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)
    return wav.header(1, RATE, len(octets)) + octets


def strength(samples: list[int], hertz: int) -> float:
    """Share of the energy at a frequency (Goertzel), 1 for a pure tone."""
    turn = 2 * math.pi * hertz / RATE
    real = sum(s * math.cos(turn * n) for n, s in enumerate(samples))
    imaginary = sum(s * math.sin(turn * n) for n, s in enumerate(samples))
    energy = sum(s * s for s in samples) or 1
    return 2 * (real * real + imaginary * imaginary) / (energy * len(samples))


def free_ports() -> tuple[int, ...]:
    """Ports that nobody uses, far from each other: an agent takes the one behind its SIP port for TLS."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def agent(folder: Path, name: str, port: int, first: int, codec: str) -> Path:
    home = folder / name
    home.mkdir()
    (home / "config").write_text(CONFIG.format(port=port, first=first, last=first + 40, folder=home))
    (home / "accounts").write_text(ACCOUNT.format(name=name, port=port, codec=codec))
    (home / "contacts").touch()
    (home / "tone.wav").write_bytes(tone(TONES[name], 20))
    return home


@contextmanager
def running(*command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield program
    finally:
        program.terminate()
        program.wait(10)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < until, "nothing happened within 15 s"
        time.sleep(0.1)


def listens(port: int) -> bool:
    """Whether somebody on this host has the UDP port."""
    wanted = f":{port:04X} "
    return any(wanted in line[:40] for line in Path("/proc/net/udp").read_text().splitlines()[1:])


def heard(folder: Path, capture: Path, target: str) -> set[int]:
    """The tones in a call that is replayed from its middle on; all its packets are decrypted."""
    keys = folder / "KEYS.toml"
    keys.write_text(KEYS)
    out = folder / "out"
    midcall = Path(sys.executable).with_name("midcall")
    options = ["--target", target, "--activate-at", "2", "--kms-keys", keys, "--out", out]
    subprocess.run([midcall, "replay", capture, *options], check=True, timeout=60)
    dialogs = json.loads((out / "report.json").read_text())["dialogs"]
    (dialog,) = (each for each in dialogs if each["intercepted"])
    assert dialog["mid_call"] and dialog["errors"] == []
    media = [stream for stream in dialog["streams"] if not stream.get("control")]
    assert len(media) == 2
    for stream in media:
        assert stream["decrypted"] == stream["packets"] > 100 and stream["auth_failed"] == 0
    found = set()
    for path in (out / "audio").glob("*.wav"):
        with wave.open(str(path)) as file:
            if file.getnchannels() != 1:
                continue
            octets = file.readframes(file.getnframes())
        samples = [int.from_bytes(octets[at : at + 2], "little", signed=True) for at in range(0, len(octets), 2)]
        found |= {hertz for hertz in TONES.values() if strength(samples[RATE:], hertz) > 0.8}
    return found


@pytest.mark.parametrize(
    ("codec", "container"),
    [("PCMU/8000/1", "-P"), pytest.param("PCMA/8000/1", "-n", marks=pytest.mark.proof)],
    ids=["PCMU-pcap", "PCMA-pcapng"],
)
def test_a_call_of_two_agents(peer: Peer, tmp_path: Path, codec: str, container: str) -> None:
    baresip, dumpcap = peer("baresip"), peer("dumpcap")
    capture = tmp_path / "call.capture"
    port, other = free_ports()
    alice, bob = agent(tmp_path, "alice", port, 15_100, codec), agent(tmp_path, "bob", other, 15_200, codec)
    ports = f"udp and (port {port} or port {other} or portrange 15100-15240)"
    with running(dumpcap, "-q", "-i", "lo", "-f", ports, "-w", capture, container):
        wait_for(capture.exists)
        time.sleep(1)  # the file is there before the socket takes packets
        with running(baresip, "-f", bob, "-t", "30"):
            wait_for(lambda: listens(other))
            time.sleep(0.5)  # it has the port before its account
            call = f"d sip:bob@127.0.0.1:{other}"
            subprocess.run([baresip, "-f", alice, "-t", "5", "-e", call], stdin=subprocess.DEVNULL, timeout=20)
        time.sleep(0.5)
    assert heard(tmp_path, capture, f"sip:alice@127.0.0.1:{port}") == set(TONES.values())
