"""All that SIPp plays in the tests, over each transport, at one rate: through the proxy, and from SIPp to SIPp.

A row for each scenario and transport: the rate that was asked for and that at which SIPp began its calls, what failed,
what SIPp sent again, and the time of the processor a call: of the proxy (user and system), and of SIPp, which is one
thread an end. The row without the proxy is what SIPp can do by itself: where that fails or falls behind, the row
through the proxy says nothing of the proxy. The proxy has the first core, one worker; SIPp the others, so that on two
cores both ends of a call share one.

A "call" is all of a scenario. The floor, 2 500 calls/s a core, is meant for a call of six messages (INVITE, 180, 200,
ACK, BYE, 200), 15 000 messages/s; a scenario of ten is as much work at 1 500. ``--messages`` asks for a rate of
messages instead, the same work in each row.

Over TLS (SIPp of Debian has none) ``openssl s_client`` carries the caller's connection; the callee has UDP.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from midcall.base.lab_pki import LabPki
from scripts.bench.cscf import SCENARIOS, TICKS, cpu, family, running, wait_for

BUFFER = 4 << 20
"""SIPp's own is 64 KiB: 50 messages, which is what comes while the other end has the core."""
SILENT_MS = 5_000
"""A call that hears nothing for so long has failed: SIPp would wait for ever for what nobody sends again."""
PASSWORD = "secret"  # noqa: S105 - of users that exist for a moment
CSCF = """\
[service]
lab = true
credentials = "{folder}"
[operator]
listen = "unix:{folder}/operator.sock"
[cscf]
domains = ["ims.example"]
seal = "seal"
[cscf.location]
file = "{folder}/location/location.db"
[[cscf.listen]]
transport = "udp"
address = "127.0.0.1:{port}"
[[cscf.listen]]
transport = "tcp"
address = "127.0.0.1:{port}"
[[cscf.listen]]
transport = "tls"
address = "127.0.0.1:{secure}"
certificate = "{folder}/pki/cscf.pem"
key = "cscf.key"
clients = "none"
[[cscf.listen]]
transport = "udp"
address = "[::1]:{port}"
[[cscf.route]]
domain = "ims.example"
hops = [{{ uri = "{hop}" }}]
probe_seconds = 0
"""
TRUSTED = """\
[[cscf.peer]]
network = "127.0.0.0/8"
trusted = true
relay = true
[[cscf.peer]]
network = "::1"
trusted = true
relay = true
"""
DIGEST = """\
[cscf.digest]
realm = "ims.example"
users = "users"
algorithms = ["MD5"]
"""


class Scenario(NamedTuple):
    """``file`` of the caller and, where there is one, ``callees``; ``messages`` of one call at the caller."""

    name: str
    file: str
    messages: int
    callees: tuple[str, ...] = ()
    alone: str = ""
    """The callee when there is no proxy, where it is another."""
    digest: bool = False


ALL = (
    Scenario("REGISTER", "register", 6, (), "register"),
    Scenario("REGISTER, digest", "digest", 4, (), "digest", digest=True),
    Scenario("INVITE", "bench", 6, ("bench",)),
    Scenario("re-INVITE, UPDATE", "call", 11, ("call",)),
    Scenario("PRACK, UPDATE", "prack", 10, ("prack",)),
    Scenario("CANCEL", "cancel", 6, ("cancel",)),
    Scenario("fork of two", "fork", 7, ("fork", "cancel")),
    Scenario("MESSAGE", "message", 2, ("message",)),
)


class Transport(NamedTuple):
    """``modes``: SIPp's, of caller and callee; ``uri``: what is behind the callee's address in its URI."""

    name: str
    host: str
    modes: tuple[str, str]
    uri: str = ""


TRANSPORTS = {
    each.name: each
    for each in (
        Transport("udp", "127.0.0.1", ("u1", "u1")),
        Transport("tcp", "127.0.0.1", ("t1", "t1"), ";transport=tcp"),
        Transport("tls", "127.0.0.1", ("t1", "u1")),
        Transport("ipv6", "::1", ("u1", "u1")),
    )
}


class Row(NamedTuple):
    """What became of the calls of one run; times of the processor in microseconds a call."""

    rate: int
    reached: float
    good: int
    failed: int
    again: int
    proxy: float
    caller: float
    callee: float
    told: str
    """What the proxy counted, and what the kernel dropped since a socket was full."""


def at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def free_port(host: str) -> int:
    """Free for UDP and TCP, there and over the other IP."""
    while True:
        with ExitStack() as stack:
            port = 0
            try:
                for each in dict.fromkeys((host, "127.0.0.1", "::1")):
                    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                        family_of = socket.AF_INET6 if ":" in each else socket.AF_INET
                        found = stack.enter_context(socket.socket(family_of, kind))
                        found.bind((each, port))
                        port = int(found.getsockname()[1])
            except OSError:
                continue
            return port


def cores() -> tuple[int, int]:
    """Those of the caller and of the callee."""
    many = os.cpu_count() or 1
    return many - 1, max(many - 2, min(1, many - 1))


def sipp(file: str, transport: Transport, mode: str, port: int) -> list[str]:
    host = f"[{transport.host}]" if ":" in transport.host else transport.host
    common = ["sipp", "-nostdin", "-i", host, "-p", str(port), "-t", mode, "-buff_size", str(BUFFER)]
    return [*common, "-sf", str(SCENARIOS / f"{file}.xml")]


@contextmanager
def carried(to: int, ca: Path, folder: Path) -> Iterator[int]:
    """The port from which one connection over TCP goes on over TLS; openssl has it as its standard input and output."""
    with socket.socket() as door, ExitStack() as stack:
        door.bind(("127.0.0.1", 0))
        door.listen(1)
        program = (
            "import os, socket, sys\n"
            "near, _ = socket.socket(fileno=int(sys.argv[1])).accept()\n"
            "os.dup2(near.fileno(), 0); os.dup2(near.fileno(), 1)\n"
            "os.execvp('openssl', ['openssl', 's_client', '-quiet', '-nocommands', '-verify_return_error',"
            " '-connect', sys.argv[2], '-CAfile', sys.argv[3]])\n"
        )
        os.set_inheritable(door.fileno(), True)
        log = stack.enter_context((folder / "s_client.log").open("wb"))
        command = [sys.executable, "-c", program, str(door.fileno()), f"127.0.0.1:{to}", str(ca)]
        pinned = ["taskset", "-c", str(cores()[0]), *command]
        carrier = subprocess.Popen(pinned, pass_fds=[door.fileno()], stderr=log)  # noqa: S603
        try:
            yield int(door.getsockname()[1])
        finally:
            carrier.terminate()
            carrier.wait(20)


@contextmanager
def cscf(folder: Path, hop: str, host: str, users: int) -> Iterator[tuple[int, int, int]]:
    """Its process, port, and port for TLS. ``users`` have passwords; with none whoever is here is trusted."""
    port, secure = free_port(host), free_port(host)
    (folder / "seal").write_text("5a" * 32)
    names = [f"user{number}" for number in range(1, users + 1)]
    hashes = [hashlib.md5(f"{name}:ims.example:{PASSWORD}".encode()).hexdigest() for name in names]  # noqa: S324
    lines = [f"{name}:ims.example::{md5}\n" for name, md5 in zip(names, hashes, strict=True)]
    (folder / "users").write_text("".join(lines))
    LabPki(folder / "pki").make(["cscf"])
    (folder / "pki" / "cscf.key").rename(folder / "cscf.key")
    for secret in ("seal", "users", "cscf.key"):
        (folder / secret).chmod(0o600)
    config, log = folder / "cscf.toml", folder / "cscf.log"
    text = CSCF.format(folder=folder, port=port, secure=secure, hop=hop)
    config.write_text(text + (DIGEST if users else TRUSTED))
    command = [str(Path(sys.executable).parent / "midcall"), "run", "--config", str(config)]
    with running(command, 0, log) as program:
        wait_for(log, '"ready"')
        yield program.pid, port, secure


def register(host: str, port: int, *contacts: str) -> None:
    """The callee's telephones."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind((host, 0))
        agent.settimeout(5)
        own = at(host, agent.getsockname()[1])
        text = (
            f"REGISTER sip:ims.example SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKregister\r\n"
            f"From: <sip:callee@ims.example>;tag=1\r\nTo: <sip:callee@ims.example>\r\nCall-ID: register@{own}\r\n"
            f"CSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContact: {', '.join(contacts)}\r\nContent-Length: 0\r\n\r\n"
        )
        agent.sendto(text.encode(), (host, port))
        if not agent.recv(65_535).startswith(b"SIP/2.0 200"):
            raise SystemExit("the callee cannot register")


def statistics(path: Path, calls: int) -> tuple[int, int, int, float]:
    """Good ones, failed ones, messages sent again, and calls a second while they were begun."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    last = rows[-1]
    whole = next((row for row in rows if int(row["TotalCallCreated"]) >= calls), last)
    hours, minutes, seconds = whole["ElapsedTime(C)"].split(":")[:3]
    took = int(hours) * 3_600 + int(minutes) * 60 + float(seconds[:2]) + _part(whole["ElapsedTime(C)"])
    counts = (int(last[name]) for name in ("SuccessfulCall(C)", "FailedCall(C)", "Retransmissions(C)"))
    good, failed, again = counts
    return good, failed + calls - good - failed, again, int(whole["TotalCallCreated"]) / max(took, 0.001)


def _part(text: str) -> float:
    """HH:MM:SS:microseconds."""
    parts = text.split(":")
    return int(parts[3]) / 1e6 if len(parts) > 3 else 0.0


def counted(folder: Path) -> dict[str, int]:
    """What became of messages, as the proxy counts."""
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(folder / "operator.sock"))
        link.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = b"".join(iter(lambda: link.recv(65_536), b"")).decode()
    found = re.findall(r'_sip_messages_total{[^}]*outcome="([^"]+)"[^}]*} ([0-9.]+)', text)
    return {name: int(float(value)) for name, value in found}


def dropped(ports: Iterable[int]) -> dict[int, int]:
    """Datagrams for which a socket had no room."""
    wanted, found = set(ports), dict[int, int]()
    for table in ("udp", "udp6"):
        for each in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = each.split()
            port = int(fields[1].rpartition(":")[2], 16)
            if port in wanted:
                found[port] = found.get(port, 0) + int(fields[-1])
    return found


def play(scenario: Scenario, transport: Transport, rate: int, seconds: float, *, alone: bool, keep: Path | None) -> Row:
    """One run; ``alone``: without the proxy."""
    calls = int(rate * seconds)
    caller_core, callee_core = cores()
    mode_of_caller, mode_of_callee = transport.modes
    if alone:
        mode_of_callee = mode_of_caller
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            way = "direct" if alone else "proxy"
            folder = Path(tempfile.mkdtemp(prefix=f"{scenario.file}-{transport.name}-{way}-", dir=keep))
        files = ((scenario.alone or scenario.callees[0]),) if alone else scenario.callees
        ports = [free_port(transport.host) for _ in files]
        ends = []
        for file, port in zip(files, ports, strict=True):
            command = sipp(f"{file}-uas", transport, mode_of_callee, port)
            ends.append(stack.enter_context(running(command, callee_core, folder / f"uas{port}.log")))
        processes: set[int] = set()
        to = ports[0] if alone else 0
        if not alone:
            hop = f"sip:{at(transport.host, ports[0] if len(ports) == 1 else 9)}{transport.uri}"
            proxy, to, secure = stack.enter_context(cscf(folder, hop, transport.host, calls if scenario.digest else 0))
            processes = family(proxy)
            if len(ports) > 1:
                places = (f"<sip:callee@{at(transport.host, port)}{transport.uri}>" for port in ports)
                register(transport.host, to, *places)
            if transport.name == "tls":
                to = stack.enter_context(carried(secure, folder / "pki" / "ca.pem", folder))
        time.sleep(0.5)
        path = folder / "uac.csv"
        own = free_port(transport.host)
        command = sipp(f"{scenario.file}-uac", transport, mode_of_caller, own)
        command += ["-s", "callee", "-r", str(rate), "-m", str(calls), "-l", str(8 * rate), "-fd", "1"]
        command += ["-trace_stat", "-stf", str(path), "-recv_timeout", str(SILENT_MS)]
        if scenario.digest:
            users = (
                f"user{each};[authentication username=user{each} password={PASSWORD}]\n" for each in range(1, calls + 1)
            )
            (folder / "users.csv").write_text("SEQUENTIAL\n" + "".join(users))
            command += ["-inf", str(folder / "users.csv"), "-auth_uri", "ims.example"]
        if keep is not None:
            command += ["-trace_err", "-error_file", str(folder / "uac.err")]
        before, callees, caller = cpu(processes), [cpu({each.pid}) for each in ends], _children()
        lost: dict[int, int] = {}
        end = time.monotonic() + seconds + 2 * SILENT_MS / 1_000
        with running([*command, at(transport.host, to)], caller_core, folder / "uac.log") as program:
            while program.poll() is None and time.monotonic() < end:
                lost |= dropped([own, to, *ports])
                time.sleep(0.1)
        caller = _children() - caller
        took = cpu(processes) - before
        callee = sum(cpu({each.pid}) - begun for each, begun in zip(ends, callees, strict=True))
        good, failed, again, reached = statistics(path, calls)
        told = [f"{name} {many}" for name, many in ({} if alone else counted(folder)).items() if name not in USUAL]
        names = {own: "caller"} if alone else {own: "caller", to: "proxy"}
        told += [f"no room at {names.get(port, 'callee')} {many}" for port, many in lost.items() if many]
    ours, hers, his = (seconds / max(calls, 1) * 1e6 for seconds in (took, caller, callee))
    return Row(rate, reached, good, failed, again, ours, hers, his, ", ".join(told))


def _children() -> float:
    """Seconds of the processor of those that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


USUAL = {"forwarded", "answered 401"}
HEAD = ("scenario", "over", "through", "asked/s", "reached/s", "calls", "failed", "again", "proxy us", "SIPp us")
WIDTHS = (19, 5, 8, 8, 10, 7, 7, 6, 9, 12)


def line(values: Sequence[object]) -> str:
    texts = [f"{value:,.0f}" if isinstance(value, int | float) else str(value) for value in values]
    return " ".join(
        text.ljust(w) if n < 3 else text.rjust(w) for n, (text, w) in enumerate(zip(texts, WIDTHS, strict=True))
    )


def main() -> None:
    names = [each.file for each in ALL]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=500, help="calls a second")
    parser.add_argument("--messages", action="store_true", help="the rate is that of a call of six messages")
    parser.add_argument("--seconds", type=float, default=4, help="of each run")
    parser.add_argument("--scenario", nargs="+", choices=names, default=names)
    parser.add_argument("--transport", nargs="+", choices=list(TRANSPORTS), default=list(TRANSPORTS))
    parser.add_argument("--no-direct", action="store_true", help="leave out the runs without the proxy")
    parser.add_argument("--keep", type=Path, help="a folder for what SIPp and the proxy say")
    arguments = parser.parse_args()
    begun, lost = time.monotonic(), 0
    print(f"{os.cpu_count()} cores, SIPp's on {cores()}, the proxy's on 0; {TICKS} ticks/s")
    print(line(HEAD))
    for scenario in (each for each in ALL if each.file in arguments.scenario):
        rate = arguments.rate * 6 // scenario.messages if arguments.messages else arguments.rate
        for transport in (TRANSPORTS[each] for each in arguments.transport):
            for alone in (False, True):
                if alone and (arguments.no_direct or transport.name == "tls"):
                    continue  # what carries TLS is no part of SIPp
                row = play(scenario, transport, rate, arguments.seconds, alone=alone, keep=arguments.keep)
                lost += 0 if alone else row.failed
                processor = (row.proxy, f"{row.caller:.0f} + {row.callee:.0f}")
                first = (scenario.name, transport.name, "SIPp" if alone else "proxy")
                counts = (row.rate, row.reached, row.good + row.failed, row.failed, row.again)
                print(line([*first, *counts, *processor]), flush=True)
                if row.failed or row.again:
                    print(f"    {row.told}", flush=True)
    print(f"{lost} failed through the proxy; {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
