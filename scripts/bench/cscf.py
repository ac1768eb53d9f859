"""The proxy beside Kamailio: SIPp's calls with MIKEY in offer and answer, one worker on one core each, in the same run.

Processor time a call (user and system, all threads and children), failed calls, and the time from INVITE to 200 at the
caller. Floor: 2 500 calls/s a core on a fast machine; the goal is to take no more of the processor than Kamailio.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "tests/peers/sipp"
TICKS = os.sysconf("SC_CLK_TCK")
CSCF = """\
[service]
lab = true
credentials = "{folder}"
[operator]
listen = "unix:{folder}/operator.sock"
[cscf]
domains = ["ims.example"]
seal = "seal"
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
{more}
"""
KAMAILIO = """\
debug=0
log_stderror=yes
children=1
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


def measure(
    name: str, proxy: subprocess.Popen[bytes], port: int, hop: int, rate: int, calls: int, folder: Path
) -> float:
    """Microseconds of the proxy's processor a call."""
    sipp = ["sipp", "-nostdin", "-i", "127.0.0.1", "-t", "u1"]
    uas = [*sipp, "-sf", str(SCENARIOS / "bench-uas.xml"), "-p", str(hop)]
    uac = [*sipp, "-sf", str(SCENARIOS / "bench-uac.xml"), "-p", str(free_port()), "-s", "callee"]
    uac += ["-r", str(rate), "-m", str(calls), "-l", str(4 * rate), f"127.0.0.1:{port}"]
    with running(uas, 1, folder / "uas.log"):
        time.sleep(0.5)
        processes = family(proxy.pid)
        before = cpu(processes)
        done = subprocess.run(  # noqa: S603
            ["taskset", "-c", "1", *uac],  # noqa: S607
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=600,
            check=False,
        )
        spent = cpu(processes) - before
    text = done.stdout.decode(errors="replace")
    good = int((re.findall(r"Successful call\s*\|\s*\d+\s*\|\s*(\d+)", text) or ["0"])[-1])
    failed = int((re.findall(r"Failed call\s*\|\s*\d+\s*\|\s*(\d+)", text) or ["0"])[-1])
    answer = (re.findall(r"Response Time 1\s*\|\s*[\d:]+\s*\|\s*([\d:]+)", text) or ["?"])[-1]
    each = spent / max(good, 1) * 1e6
    print(f"{name:34} {rate:6} calls/s  {each:7.0f} us of processor a call  {failed:5} failed  INVITE to 200: {answer}")
    return each


@contextmanager
def cscf(folder: Path, hop: int, more: str = "") -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    (folder / "seal").write_text("5a" * 32)
    (folder / "seal").chmod(0o600)
    (folder / "cscf.toml").write_text(CSCF.format(folder=folder, port=port, hop=hop, more=more))
    log = folder / "cscf.log"
    command = [str(Path(sys.executable).parent / "midcall"), "run", "--config", str(folder / "cscf.toml")]
    with running(command, 0, log) as program:
        wait_for(log, '"ready"')
        yield program, port


@contextmanager
def kamailio(folder: Path, hop: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    (folder / "kamailio.cfg").write_text(KAMAILIO.format(port=port, hop=hop))
    # Its transactions want more private memory than it takes by itself.
    command = ["kamailio", "-DD", "-E", "-f", str(folder / "kamailio.cfg"), "-m", "512", "-M", "64", "-Y", str(folder)]
    with running(command, 0, folder / "kamailio.log") as program:
        time.sleep(2)
        yield program, port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, nargs="+", default=[500, 1_000], help="calls a second")
    parser.add_argument("--seconds", type=int, default=8, help="of each rate")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rate in arguments.rate:
            hop = free_port()
            calls = rate * arguments.seconds
            with kamailio(folder, hop) as (program, port):
                theirs = measure("Kamailio", program, port, hop, rate, calls, folder)
            with cscf(folder, hop) as (program, port):
                ours = measure("cscf", program, port, hop, rate, calls, folder)
            more = f'[cscf.copies]\nto = ["{folder}/nobody"]\n'
            with cscf(folder, hop, more) as (program, port):
                copied = measure("cscf, copies for a POI", program, port, hop, rate, calls, folder)
            print(f"of Kamailio's processor time: {ours / theirs:.2f}, with copies {copied / theirs:.2f}")


if __name__ == "__main__":
    main()
