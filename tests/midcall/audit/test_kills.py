"""The process of the audit is killed at any moment: what it has answered is in the log, and the log verifies."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from midcall.audit.shell import files
from midcall.base.audit_link import Act, AuditClient, AuditLink, Intent, NotAudited, Role
from midcall.base.audit_link import client as clients
from tests.midcall.audit import made
from tests.midcall.audit.place import SALT, Place

ROOT = Path(__file__).parents[3]
SERVE = """
import asyncio, sys
from pathlib import Path
from tests.midcall.audit.place import Place

async def serve():
    async with Place(Path(sys.argv[1])).running(file_octets=65_536):
        print("ready", flush=True)
        await asyncio.sleep(3_600)

asyncio.run(serve())
"""


def begin(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SERVE, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def kills(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(clients, "PAUSE_SECONDS", 0.01)
    place, chance = Place(folder), random.Random(count)
    kept: dict[int, bytes] = {}
    ended: list[Intent] = []

    async def write(client: AuditClient, number: int) -> None:
        while True:
            held = chance.randbytes(32)
            try:
                intent = await client.intent(Act.KEYS_GIVE, held)
            except NotAudited:
                await asyncio.sleep(0.001)
                continue
            assert intent.sequence is not None and intent.sequence not in kept, "a number is given once"
            kept[intent.sequence] = held
            intent.done(number)
            ended.append(intent)

    async def go() -> None:
        link = [AuditLink(path=place.socket, role=Role.KMS, salt=SALT, instance=number + 1) for number in range(3)]
        writers = [AuditClient(each) for each in link]
        process = await asyncio.to_thread(begin, folder)
        for each in writers:
            await each.start()
        working = [asyncio.create_task(write(each, number)) for number, each in enumerate(writers * 4)]
        for _ in range(count):
            await asyncio.sleep(chance.uniform(0.02, 0.15))
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.communicate)
            process = await asyncio.to_thread(begin, folder)
            while not any(each.writable for each in writers):
                await asyncio.sleep(0.005)
        for task in working:
            task.cancel()
        while any(each.waiting for each in writers):
            await asyncio.sleep(0.005)
        for each in writers:
            await each.close()
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.communicate)

    asyncio.run(go())
    # The last kill may have left half of a line that nobody was told of.
    found = made.check(place.log).found
    assert found is None or found.kind in ("unsigned", "torn")
    rows = [json.loads(row) for file in files.read(place.log) for row in file.lines if row.endswith(b"\n")]
    entries = {row["n"]: row for row in rows if "n" in row}
    assert len(kept) > count
    for sequence, held in kept.items():
        assert entries[sequence]["object"] == held.hex() and entries[sequence]["phase"] == "intent"
    outcomes = {row["of"] for row in entries.values() if row["phase"] == "outcome" and row["outcome"] == "done"}
    assert {each.sequence for each in ended} <= outcomes, "outcomes are said again until they are kept"


@pytest.mark.proof
def test_three_kills(tmp_path, monkeypatch):
    kills(tmp_path, monkeypatch, 3)


@pytest.mark.proof
def test_many_kills(tmp_path, monkeypatch):
    kills(tmp_path, monkeypatch, 60)
