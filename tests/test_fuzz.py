"""Fuzzing of every parser: a short seeded run here, millions of runs under --proof (MIDCALL_FUZZ_RUNS)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.fuzz.run import mutations
from scripts.fuzz.targets import TARGETS, attempt

ROOT = Path(__file__).parent.parent
SHORT = 3_000
LONG = 5_000_000


@pytest.mark.parametrize("name", TARGETS)
def test_short(name):
    corpus = list(TARGETS[name].corpus())
    assert corpus
    for octets in corpus:
        attempt(name, octets)
    for octets in mutations(corpus, SHORT, 20_261_124):
        attempt(name, octets)


def test_the_runner_finds_what_there_is_to_find(tmp_path, monkeypatch):
    """A target that fails is a finding: the check can fail."""
    from scripts.fuzz import run

    def fails(octets: bytes) -> None:
        assert len(octets) < 10

    monkeypatch.setitem(TARGETS, "sdp", TARGETS["sdp"]._replace(run=fails))
    with pytest.raises(AssertionError):
        run.by_mutation("sdp", 50, 1, tmp_path)
    assert len((tmp_path / "sdp-finding").read_bytes()) >= 10


@pytest.mark.proof
@pytest.mark.parametrize("name", TARGETS)
def test_long(name, tmp_path):
    runs = os.environ.get("MIDCALL_FUZZ_RUNS", str(LONG))
    command = [sys.executable, "-m", "scripts.fuzz.run", name, "--runs", runs, "--findings", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
