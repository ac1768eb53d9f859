"""Two softphones through the proxy, and the interception of their call: as the pages say, command by command.

The pages' blocks are run as they are printed, in a network of their own, but for where the environment comes from, and
for questions that a terminal would be asked.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from scripts.netns import Namespace

ROOT = Path(__file__).parents[2]
SOFTPHONES = "docs/tutorial/softphones.md"
INTERCEPT = "docs/how-to/intercept-live.md"
LIMIT = 120
RATE = 8_000
TONES = {"alice": 440, "bob": 660}
pytestmark = [
    pytest.mark.peer,
    pytest.mark.proof,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes a network, and a tap"),
]
Peer = Callable[[str], Path]


def blocks(page: str, heading: str) -> list[str]:
    """Those of a section that are not of some language."""
    section = (ROOT / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


class Reader:
    """Somebody with a clone, who types what is printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = Namespace()
        self.groups: list[int] = []
        shutil.copytree(ROOT / "config", folder / "config")
        (folder / ".venv").symlink_to(sys.prefix)

    def types(self, text: str) -> str:
        """What is answered."""
        text = text.replace("scripts/lab-pki", f"{sys.executable} -m midcall.base.lab_pki")
        text = re.sub(r"^(\S+ warrant approve .*)$", r"\1 --yes", text, flags=re.MULTILINE)
        # Not a pipe: what goes on behind it would hold it open.
        with (self.folder / "answer").open("wb") as answer:
            running = self._begun(text, answer)
        status = running.wait(LIMIT)
        said = (self.folder / "answer").read_text(errors="replace")
        assert status == 0, said
        return said

    @contextmanager
    def terminal(self, text: str, ready: str) -> Iterator[Path]:
        """A command in a terminal of its own, from when it has said ``ready``; what it says."""
        path = self.folder / f"terminal-{len(list(self.folder.glob('terminal-*')))}"
        with path.open("wb") as said:
            running = self._begun(text, said)
        try:
            until(lambda: ready in path.read_text(), path)
            yield path
        finally:
            # Ctrl-C goes to the shell and to what it has begun.
            os.killpg(running.pid, signal.SIGINT)
            assert running.wait(LIMIT) in (0, 130, -signal.SIGINT), path.read_text()

    def _begun(self, text: str, said: IO[bytes]) -> subprocess.Popen[bytes]:
        with self.network.inside():
            running = subprocess.Popen(
                ["bash", "-ec", text],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self.groups.append(running.pid)
        return running

    def leave(self) -> None:
        """What was begun in the background ends."""
        for each in self.groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each, signal.SIGTERM)


def until(done: Callable[[], bool], what: object) -> None:
    end = time.monotonic() + LIMIT
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def heard(path: Path) -> float:
    """The strongest of some frequencies, of a second in the middle."""
    with wave.open(str(path)) as file:
        frames = file.readframes(file.getnframes())
        assert file.getnchannels() == 1 and file.getframerate() == RATE
    samples = memoryview(frames).cast("h")
    assert len(samples) > 2 * RATE
    second = samples[len(samples) // 2 - RATE // 2 :][:RATE]

    def strength(hertz: int) -> float:
        turn = 2 * math.pi * hertz / RATE
        real = sum(each * math.cos(turn * n) for n, each in enumerate(second))
        return math.hypot(real, sum(each * math.sin(turn * n) for n, each in enumerate(second)))

    return max(range(400, 720, 20), key=strength)


@pytest.fixture
def reader(tmp_path: Path, peer: Peer) -> Iterator[Reader]:
    for program in ("baresip", "openssl", "curl"):
        peer(program)
    found = Reader(tmp_path)
    yield found
    found.leave()


def test_two_softphones_and_then_the_interception_of_their_call(reader: Reader) -> None:
    lab = blocks(SOFTPHONES, "2. A laboratory")
    call = blocks(SOFTPHONES, "4. The call")
    reader.types(lab[0])
    with reader.terminal(lab[1], '"ready"'):
        for block in blocks(SOFTPHONES, "3. Two phones"):
            reader.types(block)
        said = reader.types(call[0])
        assert "Call established: sip:bob@example.com" in said
        assert 'midcall_sip_messages_total{outcome="forwarded"} 2.0' in reader.types(
            blocks(SOFTPHONES, "5. What passed the proxy")[0]
        )
    assert {name: heard(next((reader.folder / f"out/phones/{name}").glob("dump-*-dec.wav"))) for name in TONES} == {
        "alice": TONES["bob"],
        "bob": TONES["alice"],
    }

    begin, agency, warrant, activate, _, _, audit, keep, phones = blocks(INTERCEPT, "In a laboratory, from nothing")
    edit, run = begin.splitlines()
    reader.types(edit)
    reader.types(keep)
    with reader.terminal(run, '"ready"'), reader.terminal(agency, "listening") as agency_said:
        reader.types(warrant)
        simulated, _, then = activate.partition("\n")
        assert simulated.startswith("scripts/lab-call")
        assert "W-2026-0001 version 1: Active" in reader.types(phones + then)
        until(lambda: "SIP BYE" in agency_said.read_text(), agency_said)
        assert "what roles say agrees" in reader.types(audit)
    received = reader.folder / "received/liid-LI-2026-0001"
    assert heard(received / "cin-1-from-target.wav") == TONES["alice"]
    assert heard(received / "cin-1-to-target.wav") == TONES["bob"]
    assert "start of interception" in agency_said.read_text()
