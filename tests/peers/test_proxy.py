"""SIPp and Kamailio around the proxy: calls, cancelled calls, messages and registrations over all that SIPp speaks."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from midcall.base.lab_pki import LabPki
from scripts.bench.cscf_scenarios import BUFFER, DIGEST, TRUSTED, at

pytestmark = pytest.mark.peer
Peer = Callable[[str], Path]

SCENARIOS = Path(__file__).parent / "sipp"
PROOF = bool(os.environ.get("MIDCALL_PROOF"))
CALLS, RATE = (5_000, 500) if PROOF else (20, 40)
GENTLE = (1_000, 100) if PROOF else (CALLS, RATE)
"""For what goes through a shim of ours as well."""
LIMIT = 60
HOST = {"4": "127.0.0.1", "6": "::1"}
MODES = {"udp": "u1", "tcp": "t1"}
CONFIG = """\
[service]
lab = true
credentials = "{folder}"
[operator]
listen = "unix:{folder}/operator.sock"
[cscf]
domains = ["ims.example"]
seal = "seal"
{listen}
[[cscf.route]]
domain = "ims.example"
hops = [{{ uri = "{hop}" }}]
"""
TLS = """\
[[cscf.listen]]
transport = "tls"
address = "{address}"
certificate = "{folder}/cscf.pem"
key = "cscf.key"
clients = "none"
"""
KAMAILIO = """\
debug=0
log_stderror=yes
children=1
tcp_children=1
disable_tcp=no
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
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
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); }} else {{ if (is_method("ACK")) {{ t_relay(); }} }}
        exit;
    }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    t_check_trans();
    if (is_method("INVITE")) {{ record_route(); }}
    $du = "{hop}";
    t_relay();
}}
"""


def free_port(host: str = "127.0.0.1") -> int:
    """Free for UDP and TCP."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as one, socket.socket(family, socket.SOCK_DGRAM) as two:
            one.bind((host, 0))
            port = int(one.getsockname()[1])
            try:
                two.bind((host, port))
            except OSError:
                continue
            return port


@contextmanager
def running(command: list[str | Path], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield program
    finally:
        program.terminate()
        program.wait(20)


def wait_for(done: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def takes(host: str, port: int) -> bool:
    """Whether something listens there over TCP."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        return probe.connect_ex((host, port)) == 0


def site_of(
    folder: Path, hop: str, *hosts: str, tls: int = 0, users: dict[str, str] | None = None
) -> tuple[list[str | Path], int]:
    """The command of the role on one port of all hosts, over UDP and TCP, and that port; on another over TLS.

    ``users`` have passwords, and nobody is trusted then.
    """
    port = free_port(hosts[0])
    seal = folder / "seal"
    seal.write_text("5a" * 32)
    seal.chmod(0o600)
    doors = [
        f'[[cscf.listen]]\ntransport = "{transport}"\naddress = "{at(host, port)}"'
        for host in hosts
        for transport in ("udp", "tcp")
    ]
    if tls:
        LabPki(folder / "pki").make(["cscf"])
        (folder / "pki" / "cscf.key").rename(folder / "cscf.key")
        doors.append(TLS.format(address=at(hosts[0], tls), folder=folder / "pki"))
    config = folder / "cscf.toml"
    text = CONFIG.format(folder=folder, listen="\n".join(doors), hop=hop)
    if users is not None:
        secret = folder / "users"
        hashes = {name: hashlib.md5(f"{name}:ims.example:{word}".encode()).hexdigest() for name, word in users.items()}
        secret.write_text("".join(f"{name}:ims.example::{md5}\n" for name, md5 in hashes.items()))
        secret.chmod(0o600)
    config.write_text(text + (TRUSTED if users is None else DIGEST))
    return [Path(sys.executable).parent / "midcall", "run", "--config", str(config)], port


@contextmanager
def proxy(folder: Path, hop: str, *hosts: str, tls: int = 0, users: dict[str, str] | None = None) -> Iterator[int]:
    """The role as it runs."""
    command, port = site_of(folder, hop, *hosts, tls=tls, users=users)
    log = folder / "cscf.log"
    with running(command, log):
        wait_for(lambda: '"ready"' in log.read_text(), "the proxy is ready")
        yield port


@contextmanager
def kamailio(peer: Peer, folder: Path, hop: str) -> Iterator[int]:
    port = free_port()
    config = folder / "kamailio.cfg"
    config.write_text(KAMAILIO.format(port=port, hop=hop))
    command = [peer("kamailio"), "-DD", "-E", "-f", config, "-m", "512", "-Y", folder]
    with running(command, folder / "kamailio.log"):
        wait_for(lambda: takes("127.0.0.1", port), "Kamailio listens")
        yield port


class Sipp:
    """SIPp as both ends of a scenario; ``run`` gives the counts of the caller."""

    def __init__(self, peer: Peer, folder: Path) -> None:
        self._program = peer("sipp")
        self._folder = folder

    def command(self, name: str, host: str, port: int, mode: str, *more: str) -> list[str | Path]:
        common = ["-nostdin", "-i", at(host, 0).rpartition(":")[0], "-p", str(port), "-t", mode]
        common += ["-buff_size", str(BUFFER)]
        return [self._program, "-sf", SCENARIOS / f"{name}.xml", *common, *more]

    @contextmanager
    def callee(self, name: str, host: str, port: int, mode: str) -> Iterator[None]:
        with running(self.command(f"{name}-uas", host, port, mode), self._folder / "uas.log") as program:
            time.sleep(0.3)
            assert program.poll() is None
            yield

    def caller(
        self, name: str, host: str, mode: str, to: str, many: tuple[int, int] = (CALLS, RATE)
    ) -> tuple[int, int]:
        """Successful and failed ones. ``many``: how many, and how many a second."""
        more = ["-m", str(many[0]), "-r", str(many[1]), "-s", "callee", "-trace_err", "-error_file", "uac.err", to]
        command = self.command(f"{name}-uac", host, free_port(host), mode, *more)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False, cwd=self._folder
        )
        text = done.stdout.decode(errors="replace")
        found = {name: re.findall(rf"{name} call\s*\|\s*\d+\s*\|\s*(\d+)", text) for name in ("Successful", "Failed")}
        return int(found["Successful"][-1]), int(found["Failed"][-1])


LONG = [pytest.param(*each, marks=pytest.mark.proof) for each in (("tcp", "4"), ("udp", "6"), ("tcp", "6"))]


@pytest.mark.parametrize(("transport", "version"), [("udp", "4"), *LONG])
def test_calls(peer, tmp_path, transport, version):
    host, mode = HOST[version], MODES[transport]
    sipp = Sipp(peer, tmp_path)
    callee = free_port(host)
    hop = f"sip:{at(host, callee)}" + (";transport=tcp" if transport == "tcp" else "")
    with proxy(tmp_path, hop, host) as port:
        for name in ("call", "cancel", "message"):
            with sipp.callee(name, host, callee, mode):
                assert sipp.caller(name, host, mode, at(host, port)) == (CALLS, 0), name
        assert sipp.caller("register", host, mode, at(host, port)) == (CALLS, 0)


class TlsShim:
    """SIPp of Debian has no TLS: what it sends over TCP goes on over TLS, and back, a connection each."""

    def __init__(self, to: int, ca: Path) -> None:
        self._to = to
        self._context = ssl.create_default_context(cafile=str(ca))
        self._ready = threading.Event()
        self.connections = 0
        self.port = 0

    def __enter__(self) -> TlsShim:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._taken, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to, ssl=self._context)
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while octets := await reader.read(65_536):
                writer.write(octets)
                await writer.drain()
        finally:
            writer.close()


@pytest.mark.proof
def test_calls_over_tls(peer, tmp_path):
    """The caller over TLS, the callee over UDP."""
    sipp = Sipp(peer, tmp_path)
    callee, secure = free_port(), free_port()
    with (
        proxy(tmp_path, f"sip:127.0.0.1:{callee}", "127.0.0.1", tls=secure),
        TlsShim(secure, tmp_path / "pki" / "ca.pem") as shim,
    ):
        for name in ("call", "cancel", "message", "prack"):
            with sipp.callee(name, "127.0.0.1", callee, "u1"):
                assert sipp.caller(name, "127.0.0.1", "t1", f"127.0.0.1:{shim.port}", GENTLE) == (GENTLE[0], 0), name
        assert shim.connections == 4


@pytest.mark.proof
@pytest.mark.parametrize(("transport", "version"), [("udp", "4"), ("tcp", "6")])
def test_reliable_provisional_responses(peer, tmp_path, transport, version):
    """PRACK and UPDATE before the answer (RFC 3262, 3311): both go the way of the INVITE."""
    host, mode = HOST[version], MODES[transport]
    sipp = Sipp(peer, tmp_path)
    callee = free_port(host)
    hop = f"sip:{at(host, callee)}" + (";transport=tcp" if transport == "tcp" else "")
    with proxy(tmp_path, hop, host) as port, sipp.callee("prack", host, callee, mode):
        assert sipp.caller("prack", host, mode, at(host, port)) == (CALLS, 0)


@pytest.mark.proof
@pytest.mark.parametrize("version", ["4", "6"])
def test_forks(peer, tmp_path, version):
    """Two telephones ring, one answers, and the other is told that it is over."""
    host = HOST[version]
    sipp = Sipp(peer, tmp_path)
    one, two = free_port(host), free_port(host)
    with proxy(tmp_path, f"sip:{at(host, 9)}", host) as port:
        register(host, port, *(f"<sip:callee@{at(host, each)}>" for each in (one, two)))
        with sipp.callee("fork", host, one, "u1"), sipp.callee("cancel", host, two, "u1"):
            assert sipp.caller("fork", host, "u1", at(host, port)) == (CALLS, 0)


def register(host: str, port: int, *contacts: str) -> None:
    """A REGISTER for the callee, with all of these."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind((host, 0))
        agent.settimeout(5)
        own = at(host, agent.getsockname()[1])
        lines = [
            "REGISTER sip:ims.example SIP/2.0",
            f"Via: SIP/2.0/UDP {own};branch=z9hG4bKregister",
            "From: <sip:callee@ims.example>;tag=1",
            "To: <sip:callee@ims.example>",
            f"Call-ID: register@{own}",
            "CSeq: 1 REGISTER",
            "Max-Forwards: 70",
            f"Contact: {', '.join(contacts)}",
            "Content-Length: 0",
        ]
        agent.sendto(("\r\n".join(lines) + "\r\n\r\n").encode(), (host, port))
        assert agent.recv(65_535).startswith(b"SIP/2.0 200")


@pytest.mark.proof
def test_from_udp_to_tcp_and_from_ipv4_to_ipv6(peer, tmp_path):
    sipp = Sipp(peer, tmp_path)
    callee = free_port("::1")
    with (
        proxy(tmp_path, f"sip:[::1]:{callee};transport=tcp", "127.0.0.1", "::1") as port,
        sipp.callee("call", "::1", callee, "t1"),
    ):
        assert sipp.caller("call", "127.0.0.1", "u1", f"127.0.0.1:{port}") == (CALLS, 0)


@pytest.mark.parametrize("place", ["before", pytest.param("behind", marks=pytest.mark.proof)])
def test_kamailio(peer, tmp_path, place):
    """Kamailio as the hop before us, and as the one behind us."""
    sipp = Sipp(peer, tmp_path)
    callee = free_port()
    with ExitStack() as stack:
        to = f"sip:127.0.0.1:{callee}"
        if place == "behind":
            far = stack.enter_context(kamailio(peer, tmp_path, to))
            first = stack.enter_context(proxy(tmp_path, f"sip:127.0.0.1:{far}", "127.0.0.1"))
        else:
            far = stack.enter_context(proxy(tmp_path, to, "127.0.0.1"))
            first = stack.enter_context(kamailio(peer, tmp_path, f"sip:127.0.0.1:{far}"))
        with sipp.callee("call", "127.0.0.1", callee, "u1"):
            assert sipp.caller("call", "127.0.0.1", "u1", f"127.0.0.1:{first}") == (CALLS, 0)
