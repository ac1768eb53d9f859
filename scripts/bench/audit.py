"""The audit: entries a second onto a disk, beside the same octets appended and synced as plainly as can be.

Aim: 20 000 entries a second. ``writing``: the keeper alone, groups as large as they come under load, on this disk.
``over its socket``: a process with the role's own door, and clients here that keep it busy; per second of its own
CPU time, and as it was on the clock. ``verifying``: what ``midcall audit verify`` does, without starting it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from midcall.audit.checking import Checker
from midcall.audit.heads import Key
from midcall.audit.ledger import Writer
from midcall.audit.quotas import Quota
from midcall.audit.shell import files
from midcall.audit.shell.door import AuditDoor
from midcall.audit.shell.keeper import Group, Keeper
from midcall.base.audit_link import Act, AuditClient, AuditLink, Note, Outcome, Phase, Role
from midcall.cli.run import loop_factory
from scripts.bench.common import show
from scripts.bench.kms import cpu

SECRET = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEY = Key(SECRET.public_key())
GROUP = 256
CLIENTS = 4
NOTE = Note(Act.KEYS_GIVE, Phase.EVENT, 1_800_000_000_000_000_000, bytes(32), bytes(32), bytes(32), Outcome.DONE)
WRITER = Writer(Role.KMS, 1, bytes(16))


def keeper(folder: Path) -> Keeper:
    return Keeper(folder, KEY, SECRET.sign, file_octets=1 << 26)


async def written(folder: Path, count: int) -> tuple[float, float]:
    """Entries a second of clock and of CPU time."""
    log = keeper(folder)
    await log.start()
    group = [Group(WRITER, [NOTE] * GROUP)]
    begun, own = time.perf_counter(), time.process_time()
    for _ in range(count // GROUP):
        await log.write(group)
    passed, used = time.perf_counter() - begun, time.process_time() - own
    await log.close()
    return count / passed, count / used


def plain(path: Path, log: Path) -> tuple[float, int]:
    """The lines of a log, in the same groups, into a file: entries a second."""
    octets = b"".join(row for file in files.read(log) for row in file.lines)
    entries = octets.count(b'{"n":')
    pieces = list(_pieces(octets, max(1, entries // GROUP)))
    with path.open("wb", buffering=0) as file:
        begun = time.perf_counter()
        for piece in pieces:
            file.write(piece)
            os.fdatasync(file.fileno())
        return entries / (time.perf_counter() - begun), entries


def _pieces(octets: bytes, count: int) -> Iterator[bytes]:
    size = len(octets) // count + 1
    for begin in range(0, len(octets), size):
        yield octets[begin : begin + size]


async def serve(folder: Path) -> None:
    """A door until nobody has anything more to say on standard input."""
    log = keeper(folder / "served")
    await log.start()
    door = AuditDoor(folder / "door", log, {Role.KMS: (os.geteuid(),)}, Quota(1_000_000, 10**9, 10**10))
    working = asyncio.create_task(door.run())
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await door.close()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await log.close()


async def ask(folder: Path, count: int) -> float:
    """Clients that have more to say than is ever taken; entries a second."""
    links = [
        AuditLink(path=folder / "door", role=Role.KMS, salt=bytes(32), instance=number + 1) for number in range(CLIENTS)
    ]
    clients = [AuditClient(each) for each in links]
    for each in clients:
        await each.start()
    begun = time.perf_counter()
    for each in clients:
        for _ in range(count // CLIENTS):
            each.put(NOTE)
    while any(each.waiting for each in clients):
        await asyncio.sleep(0.001)
    passed = time.perf_counter() - begun
    for each in clients:
        await each.close()
    return count / passed


async def intents(folder: Path, count: int) -> float:
    """One act after the other, each of which waits: milliseconds, at the median."""
    client = AuditClient(AuditLink(path=folder / "door", role=Role.KMS, salt=bytes(32), instance=9))
    await client.start()
    times: list[float] = []
    for _ in range(count):
        begun = time.perf_counter()
        (await client.intent(Act.KEYS_GIVE, bytes(32))).done()
        times.append(time.perf_counter() - begun)
    await client.close()
    return sorted(times)[count // 2] * 1e3


def over_socket(folder: Path, count: int) -> None:
    command = [sys.executable, "-m", "scripts.bench.audit", "--serve", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        before = cpu(process.pid)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            clock = runner.run(ask(folder, count))
            used = cpu(process.pid) - before
            wait = runner.run(intents(folder, 200))
        process.stdin.close()
        process.wait()
    print(f"{'over its socket, on the clock':44} {clock:12,.0f} /s")
    print(f"{'over its socket, of its own CPU time':44} {count / used:12,.0f} /s")
    print(f"{'an intent, from question to answer':44} {wait:12.2f} ms (median)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, help="where to write: on the disk that is to be measured")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(given.serve))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        clock, own = asyncio.run(written(folder / "log", given.entries))
        bare, entries = plain(folder / "plain", folder / "log")
        show("writing, on the clock", clock, "/s", bare, "append and fdatasync")
        print(f"{'writing, of its own CPU time':44} {own:12,.0f} /s")
        begun = time.process_time()
        checked = Checker(KEY).check(files.read(folder / "log"))
        assert checked.found is None
        print(f"{'verifying, of its own CPU time':44} {entries / (time.process_time() - begun):12,.0f} /s")
        over_socket(folder, given.entries)


if __name__ == "__main__":
    main()
