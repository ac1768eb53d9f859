"""What may die beside a call: a worker of the proxy, and the point of interception that has its copies."""

from __future__ import annotations

import csv
import os
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from midcall.cli.lab_calls import Users
from midcall.cli.lab_process import LabRole
from midcall.cli.lab_site import LabSite
from tests.peers.test_proxy import BUFFER, SCENARIOS, Peer, free_port, running, wait_for

pytestmark = [pytest.mark.peer, pytest.mark.proof]

HOST = "127.0.0.1"
LIMIT = 120
UP = 500
"""Calls that are up when something dies."""
DESCRIBED = 700
"""Octets of a message of theirs with a description, at least."""
RINGING = 200
SECONDS_UP = 10
CONFIG = """\
[service]
lab = true
credentials = "{folder}"
[operator]
listen = "unix:{folder}/operator.sock"
[cscf]
domains = ["ims.example"]
seal = "seal"
workers = {workers}
mates = "{folder}/mates"
[[cscf.listen]]
transport = "udp"
address = "127.0.0.1:{port}"
[[cscf.route]]
domain = "ims.example"
hops = [{{ uri = "sip:127.0.0.1:{hop}" }}]
probe_seconds = 0
[[cscf.peer]]
network = "127.0.0.0/8"
trusted = true
relay = true
"""
COPIES = """\
[cscf.copies]
to = ["{copies}"]
"""


class Proxy:
    """The role with its workers; each is a process."""

    def __init__(self, folder: Path, hop: int, copies: Path | None, workers: int) -> None:
        self.port = free_port()
        self._folder = folder
        (folder / "seal").write_text("5a" * 32)
        (folder / "seal").chmod(0o600)
        for number in range(1, workers + 1):
            text = CONFIG.format(folder=folder, workers=workers, port=self.port, hop=hop)
            text += "" if copies is None else COPIES.format(copies=copies)
            (folder / f"cscf{number}.toml").write_text(text.replace("operator.sock", f"operator{number}.sock"))

    @contextmanager
    def worker(self, number: int) -> Iterator[subprocess.Popen[bytes]]:
        log = self._folder / f"cscf{number}.log"
        command = [Path(sys.executable).parent / "midcall", "run", "--config", self._folder / f"cscf{number}.toml"]
        with running([*command, "--instance", str(number)], log) as program:
            wait_for(lambda: '"ready"' in log.read_text(), "a worker is ready")
            yield program


class Poi:
    """The role ``poi`` of a laboratory, with a door for copies and no DF behind it."""

    def __init__(self, folder: Path) -> None:
        (folder / "KEYS.toml").write_text(Users(1).key_file())
        site = LabSite(folder / "site", folder / "pki", folder / "KEYS.toml", proxy=True)
        self._cache = folder / "site" / "cache.db"
        config = tomllib.loads((folder / "site" / "poi.toml").read_text())
        self.copies = Path(config["poi"]["copies"]["socket"])
        self._site = site

    def role(self) -> LabRole:
        return self._site.role("poi")

    def rows(self) -> int:
        """Rows with the offers, answers and tickets of running calls, on its disk: one or more of each."""
        return self._of_rows("count(*)")

    def octets(self) -> int:
        """What these hold, sealed."""
        return self._of_rows("coalesce(sum(length(sealed)), 0)")

    def _of_rows(self, what: str) -> int:
        with closing(sqlite3.connect(f"file:{self._cache}?mode=ro", uri=True)) as database:
            return int(database.execute(f"SELECT {what} FROM messages").fetchone()[0])

    def all_kept(self) -> int:
        """As many as there are when no more come: all calls are up."""
        found, before = self.rows(), -1
        while found != before or not found:
            time.sleep(1)
            found, before = self.rows(), found
        return found


class Result(NamedTuple):
    successful: int
    failed: int
    retransmissions: int


class Caller:
    """SIPp as the caller: so many calls, begun at a rate."""

    def __init__(self, peer: Peer, folder: Path, name: str, to: int, calls: int, rate: int, *more: str) -> None:
        self._statistics = folder / "uac.csv"
        self._statistics.unlink(missing_ok=True)
        command = [peer("sipp"), "-nostdin", "-sf", SCENARIOS / f"{name}-uac.xml", "-i", HOST, "-t", "u1"]
        command += ["-buff_size", str(BUFFER)]
        command += ["-p", str(free_port()), "-s", "callee", "-m", str(calls), "-r", str(rate), "-l", str(calls)]
        command += ["-trace_stat", "-stf", str(self._statistics), "-trace_err", "-error_file", str(folder / "uac.err")]
        self._process = subprocess.Popen(
            [*command, *more, f"{HOST}:{to}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=folder
        )

    def end(self) -> Result:
        try:
            self._process.wait(LIMIT)
        finally:
            self._process.kill()
            self._process.wait()
        with self._statistics.open(newline="") as file:
            last = list(csv.DictReader(file, delimiter=";"))[-1]
        names = ("SuccessfulCall(C)", "FailedCall(C)", "Retransmissions(C)")
        return Result(*(int(last[name]) for name in names))


@contextmanager
def callee(peer: Peer, folder: Path, name: str, *more: str) -> Iterator[int]:
    port = free_port()
    command = [peer("sipp"), "-nostdin", "-sf", SCENARIOS / f"{name}-uas.xml", "-i", HOST, "-p", str(port), "-t", "u1"]
    with running([*command, "-buff_size", str(BUFFER), *more], folder / "uas.log") as program:
        time.sleep(0.3)
        assert program.poll() is None
        yield port


def test_a_worker_is_killed_with_calls_up(peer, tmp_path):
    """DESIGN 10: what belongs to a dialog needs no state; the worker beside it serves until it is back."""
    with ExitStack() as stack:
        poi = Poi(tmp_path)
        stack.enter_context(poi.role()).wait()
        proxy = Proxy(tmp_path, stack.enter_context(callee(peer, tmp_path, "held")), poi.copies, 2)
        stack.enter_context(proxy.worker(1))
        victim = stack.enter_context(proxy.worker(2))
        caller = Caller(peer, tmp_path, "held", proxy.port, UP, 250, "-d", str(1_000 * SECONDS_UP))
        kept = poi.all_kept()
        assert kept >= UP and poi.octets() >= 2 * UP * DESCRIBED
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        time.sleep(1)
        assert poi.rows() == kept
        stack.enter_context(proxy.worker(2))
        result = caller.end()
        assert (result.successful, result.failed) == (UP, 0)
        wait_for(lambda: poi.rows() == 0, "all calls have ended")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_is_killed_while_calls_ring(peer, tmp_path, workers):
    """RFC 3261 16.11: whoever has their answers now sends them back as their Vias say."""
    with ExitStack() as stack:
        hop = stack.enter_context(callee(peer, tmp_path, "ring", "-d", str(1_000 * SECONDS_UP)))
        proxy = Proxy(tmp_path, hop, None, workers)
        *_, victim = [stack.enter_context(proxy.worker(number)) for number in range(1, workers + 1)]
        caller = Caller(peer, tmp_path, "fork", proxy.port, RINGING, 100)
        time.sleep(RINGING / 100 + 2)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        time.sleep(1)
        stack.enter_context(proxy.worker(workers))
        result = caller.end()
        assert (result.successful, result.failed) == (RINGING, 0)


@pytest.mark.parametrize("harm", ["SIGSTOP", "SIGKILL"])
def test_the_point_of_interception_stops_or_dies(peer, tmp_path, harm):
    """Shows 3: 500 calls a second, none fails, and nobody sends again more often than without it."""
    rate, seconds = 500, 8
    with ExitStack() as stack:
        poi = Poi(tmp_path)
        role = poi.role()
        stack.enter_context(role).wait()
        proxy = Proxy(tmp_path, stack.enter_context(callee(peer, tmp_path, "bench")), poi.copies, 1)
        stack.enter_context(proxy.worker(1))
        calm = Caller(peer, tmp_path, "bench", proxy.port, rate * seconds, rate).end()
        assert (calm.successful, calm.failed) == (rate * seconds, 0)
        caller = Caller(peer, tmp_path, "bench", proxy.port, rate * seconds, rate)
        time.sleep(2)
        if harm == "SIGSTOP":
            os.kill(role.pid, signal.SIGSTOP)
            time.sleep(3)
            os.kill(role.pid, signal.SIGCONT)
        else:
            role.kill()
            time.sleep(2)
            stack.enter_context(poi.role()).wait()
        result = caller.end()
        assert (result.successful, result.failed) == (rate * seconds, 0)
        assert result.retransmissions <= calm.retransmissions
        wait_for(lambda: poi.rows() == 0, "it has caught up, and all calls have ended")
