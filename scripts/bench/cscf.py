"""The proxy beside Kamailio: SIPp's calls with MIKEY in offer and answer, one worker on one core each, in the same run.

First the processor time a call (user and system, all threads and children), alone and with a point of interception
that keeps the tickets, whose time counts too. Then, with ``--limit``, the highest rate at which fewer than 0.1 % fail,
by one worker and by as many as there are cores; and with ``--delay`` what the proxy adds to a message at half of a
rate, with nobody and with 10 000 targets looked for. Floor: 2 500 calls/s a core on a fast machine, 2 ms; the goal is
to take no more of the processor than Kamailio. SIPp shares the machine, so with two cores it is what limits first.
"""

from __future__ import annotations

import argparse
import csv
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from imswire import sip
from imswire.sip import hop
from midcall.cli.lab_calls import Users
from midcall.cli.lab_site import LabSite

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "tests/peers/sipp"
TICKS = os.sysconf("SC_CLK_TCK")
CSCF = """\
[service]
lab = true
credentials = "{folder}"
[operator]
listen = "unix:{folder}/operator{number}.sock"
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
[[cscf.route]]
domain = "probe.example"
hops = [{{ uri = "sip:127.0.0.1:{probe}" }}]
probe_seconds = 0
[[cscf.peer]]
network = "127.0.0.0/8"
trusted = true
relay = true
{more}
"""
KAMAILIO = """\
debug=0
log_stderror=yes
children={workers}
disable_tcp=yes
listen=udp:127.0.0.1:{port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
request_route {{
    if (!mf_process_maxfwd_header("70")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (has_totag()) {{ if (loose_route()) {{ t_relay(); }} exit; }}
    t_check_trans();
    if (is_method("INVITE")) {{ record_route(); }}
    $du = "sip:127.0.0.1:{hop}";
    t_relay();
}}
"""


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def family(process: int) -> set[int]:
    """A process and all below it."""
    found = {process}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, parent = int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent in found:
            found.add(number)
    return found


def cpu(processes: set[int]) -> float:
    """Seconds of processor time so far."""
    total = 0
    for number in processes:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


@contextmanager
def running(command: list[str], core: int | None, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    pinned = command if core is None else ["taskset", "-c", str(core), *command]
    with log.open("wb") as out:
        program = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)  # noqa: S603
    try:
        yield program
    finally:
        program.terminate()
        program.wait(20)


def wait_for(log: Path, text: str) -> None:
    end = time.monotonic() + 30
    while text not in log.read_text(errors="replace"):
        if time.monotonic() > end:
            raise SystemExit(f"{log}: {log.read_text(errors='replace')[-400:]}")
        time.sleep(0.05)


class Calls(NamedTuple):
    """What became of the calls of one run."""

    good: int
    failed: int
    again: int

    @property
    def is_well(self) -> bool:
        return self.failed < 0.001 * (self.good + self.failed)


def call(port: int, hop: int, rate: int, seconds: float, folder: Path) -> Calls:
    """SIPp calls SIPp through a proxy; both have the last core for themselves where there are several."""
    core = (os.cpu_count() or 1) - 1
    sipp = ["sipp", "-nostdin", "-i", "127.0.0.1", "-t", "u1"]
    uas = [*sipp, "-sf", str(SCENARIOS / "bench-uas.xml"), "-p", str(hop)]
    statistics = folder / "uac.csv"
    statistics.unlink(missing_ok=True)
    uac = ["taskset", "-c", str(core), *sipp, "-sf", str(SCENARIOS / "bench-uac.xml"), "-p", str(free_port())]
    uac += ["-s", "callee", "-r", str(rate), "-m", str(int(rate * seconds)), "-l", str(4 * rate)]
    uac += ["-trace_stat", "-stf", str(statistics), f"127.0.0.1:{port}"]
    with running(uas, core, folder / "uas.log"):
        time.sleep(0.5)
        subprocess.run(uac, stdin=subprocess.DEVNULL, capture_output=True, timeout=600, check=False)  # noqa: S603
    with statistics.open(newline="") as file:
        last = list(csv.DictReader(file, delimiter=";"))[-1]
    return Calls(*(int(last[name]) for name in ("SuccessfulCall(C)", "FailedCall(C)", "Retransmissions(C)")))


def measure(name: str, programs: Sequence[int], port: int, hop: int, rate: int, seconds: float, folder: Path) -> float:
    """Microseconds of the processor a call, of these processes."""
    processes = set[int]().union(*map(family, programs))
    before = cpu(processes)
    calls = call(port, hop, rate, seconds, folder)
    each = (cpu(processes) - before) / max(calls.good, 1) * 1e6
    print(
        f"{name:40} {rate:6} calls/s {each:7.0f} us of processor a call {calls.failed:6} failed {calls.again:6} again"
    )
    return each


@contextmanager
def cscf(
    folder: Path, hop: int, more: str = "", *, workers: int = 1, probe: int = 9
) -> Iterator[tuple[list[subprocess.Popen[bytes]], int]]:
    port = free_port()
    (folder / "seal").write_text("5a" * 32)
    (folder / "seal").chmod(0o600)
    with ExitStack() as stack:
        programs = []
        for number in range(1, workers + 1):
            config = folder / f"cscf{number}.toml"
            config.write_text(
                CSCF.format(folder=folder, port=port, hop=hop, more=more, workers=workers, number=number, probe=probe)
            )
            log = folder / f"cscf{number}.log"
            command = [str(Path(sys.executable).parent / "midcall"), "run", "--config", str(config)]
            command += ["--instance", str(number)]
            programs.append(stack.enter_context(running(command, number - 1, log)))
            wait_for(log, '"ready"')
        yield programs, port


@contextmanager
def kamailio(folder: Path, hop: int, workers: int = 1) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    (folder / "kamailio.cfg").write_text(KAMAILIO.format(port=port, hop=hop, workers=workers))
    # Its transactions want more private memory than it takes by itself.
    command = ["kamailio", "-DD", "-E", "-f", str(folder / "kamailio.cfg"), "-m", "512", "-M", "64", "-Y", str(folder)]
    with running(command, 0 if workers == 1 else None, folder / "kamailio.log") as program:
        time.sleep(2)
        yield program, port


@contextmanager
def poi(folder: Path) -> Iterator[tuple[int, str]]:
    """The role with a cache on the disk, and nobody who orders: its process, and what the proxy has to know of it."""
    (folder / "KEYS.toml").write_text(Users(1).key_file())
    site = LabSite(folder / "site", folder / "pki", folder / "KEYS.toml", proxy=True)
    door = tomllib.loads((folder / "site" / "poi.toml").read_text())["poi"]["copies"]["socket"]
    with site.role("poi") as role:
        role.wait()
        yield role.pid, f'[cscf.copies]\nto = ["{door}"]\n'


def beside(rates: Sequence[int], seconds: float) -> None:
    """Processor time a call."""
    for rate in rates:
        with tempfile.TemporaryDirectory() as name:
            folder, hop = Path(name), free_port()
            with kamailio(folder, hop) as (program, port):
                theirs = measure("Kamailio", [program.pid], port, hop, rate, seconds, folder)
            with cscf(folder, hop) as (programs, port):
                ours = measure("cscf", [programs[0].pid], port, hop, rate, seconds, folder)
            with poi(folder) as (pid, more), cscf(folder, hop, more) as (programs, port):
                proxy = measure("cscf and POI", [programs[0].pid, pid], port, hop, rate, seconds, folder)
            print(f"of Kamailio's processor time: {ours / theirs:.2f}, with the POI {proxy / theirs:.2f}")


def limits(seconds: float, step: int) -> None:
    """The highest rate at which fewer than 0.1 % fail."""
    for workers in sorted({1, os.cpu_count() or 1}):
        for name in ("Kamailio", "cscf"):
            best, rate = 0, step
            while best == rate - step:
                with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
                    folder, hop = Path(place), free_port()
                    if name == "cscf":
                        _, port = stack.enter_context(cscf(folder, hop, workers=workers))
                    else:
                        _, port = stack.enter_context(kamailio(folder, hop, workers))
                    if call(port, hop, rate, seconds, folder).is_well:
                        best = rate
                rate += step
            print(f"{name:10} {workers:2} workers: {best} calls/s with fewer than 0.1 % failed")


# What the proxy adds to a message

PROBES = 1_500
TARGETS = (0, 10_000)
_MESSAGE = (
    "MESSAGE sip:x@probe.example SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKprobe{number}\r\n"
    "From: <sip:a@probe.example>;tag=a\r\nTo: <sip:x@probe.example>\r\nCall-ID: probe{number}\r\n"
    "CSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
_LOOKING = """\
import asyncio, sys
from pathlib import Path
from midcall.events import Instant, Task
from midcall.poi import MATCHING_ALL, PointOfInterception
from midcall.poi.shell.copies import CopyDoor

async def main(path, targets):
    poi = PointOfInterception(bytes(32), bytes(32), MATCHING_ALL)
    for number in range(targets):
        poi.arm(Task(f"x{number}", (f"sip:target{number}@example.com",)), Instant(0, 0))
    CopyDoor(Path(path), (), lambda seen: poi.sip_seen(seen), durable=False)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def probe(proxy: int, far: socket.socket) -> list[float]:
    """ms from here to the one behind the proxy, one message after another."""
    took = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
        near.bind(("127.0.0.1", 0))
        far.settimeout(1)
        for number in range(PROBES):
            octets = _MESSAGE.format(port=near.getsockname()[1], number=number).encode()
            begun = time.perf_counter()
            near.sendto(octets, ("127.0.0.1", proxy))
            try:
                received, source = far.recvfrom(65_535)
            except TimeoutError:
                took.append(1_000.0)
                continue
            took.append((time.perf_counter() - begun) * 1e3)
            far.sendto(hop.answer(sip.parse(received), 200, "OK", to_tag="b"), source)
            time.sleep(0.002)
    return sorted(took)


def delays(rate: int) -> None:
    """At half of a rate, with and without many targets."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        for targets in TARGETS:
            with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
                folder, callee = Path(name), free_port()
                door, log = folder / "copies" / "poi", folder / "poi.log"
                command = [sys.executable, "-c", _LOOKING, str(door), str(targets)]
                stack.enter_context(running(command, (os.cpu_count() or 1) - 1, log))
                wait_for(log, "ready")
                more = f'[cscf.copies]\nto = ["{door}"]\n'
                _, port = stack.enter_context(cscf(folder, callee, more, probe=far.getsockname()[1]))
                load = threading.Thread(target=call, args=(port, callee, rate // 2, PROBES / 300 + 2, folder))
                load.start()
                time.sleep(1)
                took = probe(port, far)
                load.join()
                p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
                print(f"{rate // 2} calls/s, {targets:6} targets: p50 {p50:.2f} ms, p99 {p99:.2f} ms to the next hop")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, nargs="+", default=[500, 1_000], help="calls a second")
    parser.add_argument("--seconds", type=float, default=8, help="of each rate")
    parser.add_argument("--limit", type=int, metavar="STEP", help="look for the highest rate, in such steps")
    parser.add_argument("--delay", type=int, metavar="RATE", help="look at single messages at half of this rate")
    arguments = parser.parse_args()
    beside(arguments.rate, arguments.seconds)
    if arguments.limit:
        limits(arguments.seconds, arguments.limit)
    if arguments.delay:
        delays(arguments.delay)


if __name__ == "__main__":
    main()
