"""midcall replay --deliver where the disk is full: the hand-over goes on, what is missing is said, nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.midcall.cli.test_deliver import MIDCALL, data, lemf, made, replay, tls

__all__ = ["made"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system; ``room`` changes its size."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", place], capture_output=True)
    if done.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"no tmpfs can be mounted here: {done.stderr.decode()}")
        pytest.skip("a small file system needs the right to mount")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def room(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def received(folder: Path) -> dict[str, list[bytes]]:
    files = {name: folder / "liid-LAB-1" / name for name in ("hi2.ber", "hi3.ber")}
    return {name: data(path) if path.exists() else [] for name, path in files.items()}


@pytest.fixture(scope="module")
def whole(made, tmp_path_factory):  # noqa: F811 - a fixture of the other module
    """What an LEMF gets when nothing is wrong."""
    folder = tmp_path_factory.mktemp("whole")
    with lemf(made[0], folder / "lemf") as address:
        assert replay(made[0], folder / "out", "--deliver", address, *tls(made[0], "df")).returncode == 0
    return received(folder / "lemf")


def long_form(*values: object) -> list:
    """Values that only the long form of the tests tries."""
    return [
        pytest.param(*each, marks=pytest.mark.proof)
        if isinstance(each, tuple)
        else pytest.param(each, marks=pytest.mark.proof)
        for each in values
    ]


@pytest.mark.parametrize("filled", [300, *long_form(370, 396, 400)])
def test_a_full_disk_of_results_costs_the_copy_and_nothing_else(made, whole, disk, tmp_path, filled):  # noqa: F811
    folder, _ = made
    (disk / "fill").write_bytes(bytes(filled << 10))
    with lemf(folder, tmp_path / "lemf") as address:
        done = replay(folder, disk / "out", "--deliver", address, *tls(folder, "df"))
    said = "media.pcap and audio/ are not complete: No space left on device; the hand-over went on"
    assert done.returncode == 4 and done.stderr.count(said) == 1 and "internal error" not in done.stderr
    assert received(tmp_path / "lemf") == whole
    assert not list((disk / "out").glob(".spool*"))
    if filled < 396:
        report = json.loads((disk / "out" / "report.json").read_text())
        assert [each["reason"] for each in report["errors"]] == [f"handover: {said}"]
        assert report["handover"]["faults"] == [said]
        assert report["handover"]["hi3"]["delivered"] == report["handover"]["hi3"]["observed"] > 0
    if filled == 400:
        assert "report.json: No space left on device; there is no report" in done.stderr


@pytest.mark.parametrize("size", ["1200k", *long_form("900k", "1500k", "2m")])
def test_no_other_disk_to_wait_on(made, whole, disk, tmp_path, monkeypatch, size):  # noqa: F811
    """The spool shares a disk with results that fill it: all events arrive, and gaps of content are declared."""
    folder, _ = made
    room(disk, size)
    (disk / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(disk / "tmp"))
    with lemf(folder, tmp_path / "lemf") as address:
        done = replay(folder, disk / "out", "--deliver", address, *tls(folder, "df"))
    assert "internal error" not in done.stderr and "Traceback" not in done.stderr
    assert not list(disk.glob("*/.spool*"))
    if done.returncode == 3:
        assert "no room for what waits to be delivered; free some, or set TMPDIR" in done.stderr
        assert size == "900k"
        return
    assert done.returncode in (0, 4)
    handed = json.loads((disk / "out" / "report.json").read_text())["handover"]
    assert "hi2" in handed, handed["faults"]
    assert handed["hi2"]["delivered"] == handed["hi2"]["observed"]
    hi3 = handed["hi3"]
    assert hi3["observed"] == hi3["delivered"] + sum(hi3["refused"].values())
    there = received(tmp_path / "lemf")
    if not hi3["refused"]:
        assert there["hi3.ber"] == whole["hi3.ber"]  # what was under way when it was given up may arrive all the same
    else:
        assert any(b"disk full" in each for each in there["hi2.ber"])


@pytest.mark.parametrize(("end", "status"), [(signal.SIGTERM, 143), *long_form((signal.SIGINT, 130))])
def test_what_a_killed_replay_left_goes_with_the_next_one_and_a_living_one_keeps_its_own(made, tmp_path, end, status):  # noqa: F811
    folder, _ = made
    out = tmp_path / "out"
    keys = ("--kms-keys", folder / "KEYS.toml", "--out", out)
    silent = ("--deliver", "127.0.0.1:9", *tls(folder, "df"))  # it waits for the LEMF
    command = [*MIDCALL, "replay", folder / "calls.pcap", "--target", "sip:alice@example.com", *keys, *silent]
    killed, living = (subprocess.Popen([str(each) for each in command]) for _ in range(2))
    try:
        until = time.monotonic() + 60
        while len({each.parent.parent for each in out.glob(".spool-*/queue/cursor.db")}) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        before = set(out.glob(".spool-*"))
        killed.kill()
        killed.wait()
        assert set(out.glob(".spool-*")) == before
        replay(folder, out, *silent)
        after = set(out.glob(".spool-*"))
        assert after < before and any((each / "queue" / "cursor.db").exists() for each in after)
        living.send_signal(end)
        assert living.wait(60) == status
        assert not list(out.glob(".spool-*"))
    finally:
        for process in (killed, living):
            process.kill()
            process.wait()
