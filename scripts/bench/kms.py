"""The KMS: get_keys over mutual TLS on one core, beside an aiohttp endpoint that does nothing, and the core alone.

Aim: 1 000 get_keys a second. Service and asker are two processes, the service on the loop of ``midcall run``; rates are
per second of the service's own CPU time, so that a busy machine counts less, and as they were on the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.client import HTTPSConnection
from pathlib import Path

import msgspec
from aiohttp import web

from imswire import xk
from midcall import config
from midcall.base import tls
from midcall.base.lab_pki import LabPki, uri
from midcall.base.warrant import Warrant, envelope, value
from midcall.cli.run import loop_factory
from midcall.events import Instant, Kept, Side, TicketExchange
from midcall.kms import GetKeys, Kms, keyfile
from midcall.kms.service import KmsService
from midcall.ue import lab
from midcall.ue.ticket import AES_CM_128_80, TicketUser, session
from scripts.bench.common import TARGET, show
from scripts.bench.warrant import NAMES, key

XID = "0a000000-0000-4000-8000-000000000001"
CONNECTIONS = 4
DAY = 86_400 * 10**9


def moment(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at // 10**9))


def prepare(folder: Path, users: tuple[TicketUser, ...], tpk: bytes) -> None:
    """Certificates, keys, trust list and configuration."""
    LabPki(folder / "pki").make(("kms", "df"))
    entries = [{"identity": each.uri, "psk_id": each.psk_id.decode(), "psk": each.psk} for each in users]
    (folder / "KEYS.toml").write_text(keyfile.example(lab.KMS_IDENTITY, {"tpk": tpk}, entries))
    (folder / "seal").write_text(secrets.token_hex(32))
    (folder / "seal").chmod(0o600)
    now = time.time_ns()
    trust = "max_days = 90\n"
    for name in NAMES:
        x = envelope.encoded(key(name).public_key().public_bytes_raw())
        trust += f'[[approver]]\nperson = "{name}"\npublic_key = "{x}"\n'
        trust += f"valid_from = {moment(now - DAY)}\nvalid_until = {moment(now + DAY)}\n"
    (folder / "trust.toml").write_text(trust)
    own = f'certificate = "{folder}/pki/kms.pem"\nkey = "{folder}/pki/kms.key"\n'
    (folder / "kms.toml").write_text(
        f'[kms]\nidentity = "{lab.KMS_IDENTITY}"\nelement = "kms-1"\nstore = "{folder}/kms.db"\n'
        f'seal = "{folder}/seal"\nlab_keys = "{folder}/KEYS.toml"\n'
        f'[kms.users]\nlisten = "127.0.0.1:0"\n{own}'
        f'[kms.xk]\nlisten = "127.0.0.1:0"\n{own}ca = "{folder}/pki/ca.pem"\nclients = ["{uri("df")}"]\n'
        f'trust = "{folder}/trust.toml"\n'
    )


def warrant() -> str:
    now = time.time_ns()
    members = {
        "type": "warrant", "id": "W-1", "version": 1, "supersedes": None, "country": "XX", "agency": "agency",
        "order": {"authority": "court", "reference": "1", "sha256": "00" * 32}, "services": ["voice"],
        "scope": "iri+cc", "keys": "decrypt", "location": False, "start": moment(now - DAY), "end": moment(now + DAY),
        "targets": [{"liid": "L", "xid": XID, "identity": TARGET}], "elements": ["kms-1"],
        "destinations": [{"host": "lemf.example.com", "port": 7443, "certificate": "00" * 32}],
    }  # fmt: skip
    file = envelope.draft(value.encode(msgspec.convert(members, Warrant)))
    for name in NAMES:
        file = envelope.sign(file, key(name))
    return envelope.write(file).decode()


# The service


async def serve(folder: Path) -> None:
    """A KMS, and beside it what the library costs alone: the same TLS, the body read, an answer as long as keys."""
    service = KmsService(config.kms((folder / "kms.toml").read_text()), tell=lambda _: None)
    await service.start()

    async def nothing(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response(body=bytes(700))

    pki = folder / "pki"
    context = tls.server_context(tls.Identity(pki / "kms.pem", pki / "kms.key", pki / "ca.pem"))
    bare = web.Server(nothing, access_log=None)
    server = await asyncio.get_running_loop().create_server(bare, "127.0.0.1", 0, ssl=context)
    ports = {name: port for name, (_, port) in service.addresses.items()}
    print(json.dumps(ports | {"nothing": server.sockets[0].getsockname()[1]}), flush=True)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.to_thread(sys.stdin.read)
    server.close()
    await bare.shutdown(1.0)
    await service.stop()


# The asker


def cpu(pid: int) -> float:
    """Seconds of CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connect(port: int, context: ssl.SSLContext) -> HTTPSConnection:
    return HTTPSConnection("127.0.0.1", port, context=context, timeout=60)


def post(connection: HTTPSConnection, path: str, octets: bytes, kind: str) -> bytes:
    connection.request("POST", path, octets, {"Content-Type": kind})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    return body


def asked(port: int, context: ssl.SSLContext, octets: bytes, seconds: float, pid: int) -> tuple[float, float]:
    """Questions answered per second of the service's CPU time, and per second."""
    counts = [0] * CONNECTIONS
    connections = [connect(port, context) for _ in range(CONNECTIONS)]
    for each in connections:
        post(each, xk.PATH, octets, "application/json")
    used, begun = cpu(pid), time.perf_counter()

    def work(place: int) -> None:
        while time.perf_counter() - begun < seconds:
            post(connections[place], xk.PATH, octets, "application/json")
            counts[place] += 1

    threads = [threading.Thread(target=work, args=(place,)) for place in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    passed, used = time.perf_counter() - begun, cpu(pid) - used
    for each in connections:
        each.close()
    return sum(counts) / max(used, 0.01), sum(counts) / passed


def in_core(core: Kms, query: GetKeys, seconds: float) -> float:
    """Questions per second of CPU time without a service around."""
    count, begun, until = 0, time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < until:
        core.get_keys(query)
        count += 1
    return count / (time.process_time() - begun)


def exchange(users: tuple[TicketUser, ...], ask: Callable[[bytes], bytes], flags: str) -> TicketExchange:
    now = time.time_ns()
    alice, bob = users
    blocks = (session(1, 0xA, b"\x01"), session(2, None, b""))
    offered = alice.offer(alice.request_ticket(ask, now, (bob.uri,), flags), bob.uri, now, blocks, AES_CM_128_80)
    answered = bob.accept(ask, offered.init, now, (blocks[0], session(2, 0xB, b"\x01")))
    assert answered.response is not None
    at = Instant.of_capture(now)
    return TicketExchange(None, Side.CALLER, Kept(offered.init, at, 0), Kept(answered.response, at, 0))


def measure(folder: Path, seconds: float) -> None:
    draw = secrets.token_bytes
    users, tpk = (lab.user("alice", draw), lab.user("bob", draw)), draw(16)
    prepare(folder, users, tpk)
    service = subprocess.Popen(  # noqa: S603 - this very script
        [sys.executable, "-m", "scripts.bench.kms", "--serve", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert service.stdout is not None
    ports = json.loads(service.stdout.readline())
    context = ssl.create_default_context(cafile=str(folder / "pki" / "ca.pem"))
    context.load_cert_chain(folder / "pki" / "df.pem", folder / "pki" / "df.key")
    try:
        user = connect(ports["users"], ssl.create_default_context(cafile=str(folder / "pki" / "ca.pem")))

        def ask(octets: bytes) -> bytes:
            kind = "ticketresolve" if octets[1] == 16 else "ticketrequest"
            return post(user, f"/keymanagement?requesttype={kind}", octets, "application/mikey")

        core, authority = Kms(keyfile.read((folder / "KEYS.toml").read_text())), warrant()
        for name, flags in (("", "DEFGHNO"), (", forked", "DEFGHINO")):
            seen = exchange(users, ask, flags)
            at = seen.init.at.wall
            assert seen.response is not None
            question = xk.write(
                xk.Request(
                    transaction="t",
                    xid=XID,
                    identity=TARGET,
                    init=xk.Seen(octets=seen.init.octets, at=at),
                    response=xk.Seen(octets=seen.response.octets, at=at),
                    warrant=authority,
                )
            )
            bare, bare_clock = asked(ports["nothing"], context, question, seconds, service.pid)
            alone = in_core(core, GetKeys(TARGET, seen), seconds)
            figure, clock = asked(ports["xk"], context, question, seconds, service.pid)
            show(f"get_keys over Xk{name}", figure, "/s CPU", bare, "aiohttp doing nothing")
            print(f"{'':44} {clock:12,.0f} /s on the clock ({bare_clock:,.0f} doing nothing)")
            print(f"{'':44} {alone:12,.0f} /s CPU in the core alone, {1e6 / figure - 1e6 / alone:,.0f} us around it")
        user.close()
    finally:
        service.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="about how long each figure is measured")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(given.serve))
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), given.seconds)


if __name__ == "__main__":
    main()
