"""The laboratory of the documentation, by the page's own commands: two persons, the ADMF, phones with MIKEY-TICKET."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from midcall.base.lab_pki import LabPki
from midcall.base.tap import NotPermitted, Source, Tap
from midcall.cli import lab_call as command
from midcall.cli import lab_calls
from midcall.cli.fail import Failed
from midcall.cli.lab_call import Laboratory, laboratory
from midcall.cli.lab_calls import Users
from midcall.cli.lab_process import READY
from midcall.cli.lab_site import _free_ports
from tests.midcall.base.tap.conftest import unable
from tests.midcall.live.live_site import until

ROOT = Path(__file__).parents[3]
INSTALL, LIVE = "docs/how-to/install.md", "docs/how-to/intercept-live.md"
COMMANDS = {
    ".venv/bin/midcall": f"{sys.executable} -c 'from midcall.cli.main import main; main()'",
    "scripts/lab-pki": f"{sys.executable} -m midcall.base.lab_pki",
    "scripts/lab-call": f"{sys.executable} -m midcall.cli.lab_call",
}
SHORTER = {"--seconds 30": "--seconds 5", "sleep 10": "sleep 5"}
EXAMPLE = {"-e 's/lemf.example.com/": "-e 's/744[3]/7443/' -e 's/lemf.example.com/"}
"""The port of the example of a warrant, which is no word of the page."""


class Page:
    """Blocks of commands of a section, as somebody types them who has other ports, another folder and less time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "config").mkdir()
        text = (ROOT / "config/midcall.toml").read_text()
        used = sorted(set(re.findall(r"127\.0\.0\.1:(\d+)", text)) | {"7443"})
        self._ports = dict(zip(used, map(str, _free_ports(len(used))), strict=True))
        (folder / "config/midcall.toml").write_text(self._own(text))

    def blocks(self, page: str, heading: str) -> list[str]:
        section = (ROOT / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
        return [self._own(each) for each in re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)]

    def _own(self, text: str) -> str:
        for pairs in (COMMANDS, SHORTER, EXAMPLE):
            for said, own in pairs.items():
                text = text.replace(said, own)
        return re.sub(r"\b(7443|127\.0\.0\.1:\d+)\b", lambda found: self._port(found[1]), text)

    def _port(self, place: str) -> str:
        host, _, port = place.rpartition(":")
        return f"{host}:{self._ports[port]}" if host else self._ports[port]

    def run(self, commands: str) -> str:
        """What they print."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands], cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def running(self, command: str, log: str, until_said: str) -> Iterator[subprocess.Popen[bytes]]:
        """One command, in a terminal of its own, from what it says then on until Ctrl-C."""
        path = self.folder / log
        with path.open("wb") as file, subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=self.folder, stdout=file, stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        ) as process:  # fmt: skip
            try:
                until(lambda: until_said in path.read_text() or process.poll() is not None, until_said)
                assert process.poll() is None, path.read_text()
                yield process
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(60)


@pytest.fixture
def page(tmp_path: Path) -> Page:
    """Where the tap is permitted, in a folder of a short name: there are sockets in it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    try:
        Tap(Source(("lo",))).open().close()
    except NotPermitted as why:
        unable(why)
    return Page(tmp_path)


def test_from_nothing_to_the_second_half_of_a_call(page):
    install = page.blocks(INSTALL, "A laboratory")[0]
    begin, agency, warrant, call, _, explain, end, *_ = page.blocks(LIVE, "In a laboratory, from nothing")
    tap, start = begin.splitlines()
    made, _, run = install.strip().rpartition("\n")
    assert run == start
    page.run(made + "\n" + tap)
    with page.running(start, "lab", f'"{READY}"') as lab, page.running(agency, "lemf", "listen"):
        page.run(re.sub(r"(approve \S+)", r"\1 --yes", warrant))
        told = page.run(call)
        steps = (
            "Call-ID",
            "Ticket Request",
            "Ticket Resolve",
            "talk in SRTP",
            ": Active",
            "hangs up",
            "leave the proxy",
        )
        places = [told.index(each) for each in steps]
        assert places == sorted(places)
        identifier = re.findall(r"Call-ID (\S+)", told)[0]
        until(lambda: "(BYE)" in (page.folder / "lemf").read_text(), "the end of the call at the agency")
        assert re.search(r"(\d+) packets, \1 decrypted", page.run(explain.replace("CALL-ID", identifier)))
        assert "version 1: ended at all elements" in page.run(end)
        assert lab.poll() is None
    logs = [json.loads(each) for each in (page.folder / "out/lab/li.log").read_text().splitlines()]
    assert [each for each in logs if each["level"] in ("error", "critical")] == [], "all went well"
    received = page.folder / "received/liid-LI-2026-0001"
    assert (page.folder / "received/findings.jsonl").read_text() == ""
    for name in ("from-target", "to-target"):
        with wave.open(str(received / f"cin-1-{name}.wav")) as voice:
            assert 0.5 < voice.getnframes() / voice.getframerate() < 5, "from the activation on, nothing from before"


# What it refuses, and how it fails


def lab_call(*arguments: object) -> tuple[int, str]:
    """Status, and the one line that it says of a failure."""
    command = [sys.executable, "-m", "midcall.cli.lab_call", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "" and "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("lab = true", "lab = false"), "service.lab is not true"),
        (('transport = "udp"', 'transport = "tcp"'), "none of UDP on an IPv4 address"),
        (('address = "127.0.0.1:5060"', 'address = "[::1]:5060"'), "none of UDP on an IPv4 address"),
        (("[kms.xk]", "[kms.yk]"), "unknown field"),
    ],
)
def test_a_file_that_is_none_of_a_laboratory(tmp_path, changed, said):
    file = tmp_path / "midcall.toml"
    file.write_text((ROOT / "config/midcall.toml").read_text().replace(*changed))
    with pytest.raises(Failed, match=re.escape(said)) as failed:
        laboratory(file)
    assert failed.value.status == 2


def test_a_laboratory_without_a_kms(tmp_path):
    file = tmp_path / "midcall.toml"
    text = (ROOT / "config/midcall.toml").read_text()
    file.write_text(text[: text.index("[kms]")])
    with pytest.raises(Failed, match=r"needs \[cscf\], \[kms.users\]"):
        laboratory(file)


@pytest.mark.parametrize("names", [("al ice", "bob"), ("alice", "b" * 33), ("alice", "alice")])
def test_phones_that_could_not_call_each_other(names):
    file = ROOT / "config/midcall.toml"
    status, said = lab_call("--config", file, "--caller", names[0], "--callee", names[1])
    assert status == 2 and said.startswith("lab-call: ") and len(said.splitlines()) == 1


def test_a_laboratory_that_has_never_run(tmp_path):
    (tmp_path / "midcall.toml").write_text((ROOT / "config/midcall.toml").read_text().replace("out/lab", str(tmp_path)))
    status, said = lab_call("--config", tmp_path / "midcall.toml")
    assert status == 2 and "the KMS makes it at its first start" in said


def test_a_call_that_fails_says_why_and_ends(tmp_path, monkeypatch, capsys):
    """Nobody listens at its proxy and KMS."""
    monkeypatch.setattr(lab_calls, "RECEIVE_SECONDS", 0.05)
    LabPki(tmp_path).make(("kms",))
    found = Laboratory("example.com", (b"\x7f\0\0\1", 9), "kms.example.com", ("127.0.0.1", 9), tmp_path / "ca.pem")
    pair = Users(1).pairs[0]
    with pytest.raises(Failed, match="the call has failed: ") as failed:
        command.talk(found, pair, 1)
    assert failed.value.status == 3 and "Call-ID" in capsys.readouterr().out
    (tmp_path / "ca.pem").unlink()
    with pytest.raises(Failed, match=r"ca\.pem|No such file"):
        command.talk(found, pair, 1)
