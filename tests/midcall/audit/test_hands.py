"""Hands on the files of an audit, while it is not there and while it is; and what anchors have to say at its start."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from midcall.audit.opening import BadLog
from midcall.audit.shell import keeper as keepers
from midcall.base.audit_link import Act, NotAudited, Role
from midcall.base.audit_link import client as clients
from tests.midcall.audit.place import Place
from tests.midcall.audit.test_shell import entries, told


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


def changed(path: Path, at: int) -> None:
    octets = bytearray(path.read_bytes())
    octets[at] ^= 1
    path.write_bytes(octets)


@pytest.mark.parametrize("place_of", [0.1, 0.5, 0.95])
def test_a_log_that_was_changed_is_not_gone_on_with(place, place_of):
    async def go():
        async with place.running(), place.client() as client:
            (await client.intent(Act.TASK_ACTIVATE, b"a" * 32)).done()

    asyncio.run(go())
    (path,) = place.log.glob("*.log")
    changed(path, int(path.stat().st_size * place_of))
    with pytest.raises(BadLog):
        place.keeper()


def test_a_log_that_is_shorter_than_its_anchor_is_not_gone_on_with(place, tmp_path):
    anchor = tmp_path / "anchor"

    async def go():
        async with place.running(anchors=(anchor,)) as keeper, place.client() as client:
            (await client.intent(Act.TASK_ACTIVATE, b"a" * 32)).done()
            await keeper.anchor()

    asyncio.run(go())
    (path,) = place.log.glob("*.log")
    older = path.read_bytes()
    asyncio.run(go())
    newer = path.read_bytes()
    path.write_bytes(older)
    with pytest.raises(BadLog, match="rolled-back"):
        place.keeper(anchors=(anchor,))
    path.write_bytes(newer)
    asyncio.run(go())
    # Another log under the same key, and no log at all.
    path.unlink()
    with pytest.raises(BadLog, match="rolled-back"):
        place.keeper(anchors=(anchor,))


@pytest.mark.parametrize("what", ["flip", "append", "cut", "replace", "remove", "another", "flip the first"])
def test_a_hand_on_the_files_of_a_running_audit_is_seen(place, what):
    """At the next look, which is each ten seconds; from then on nothing is activated."""

    async def go():
        async with place.running(file_octets=4_000) as keeper, place.client() as client:
            for _ in range(10):
                (await client.intent(Act.TASK_ACTIVATE, b"a" * 32)).done()
            await told(client)
            assert await keeper.look() == "" and await keeper.check_all() == ""
            paths = sorted(place.log.glob("*.log"))
            path = paths[0 if what == "flip the first" else -1]
            await asyncio.sleep(0.02)  # the clock of a file system is coarse
            if what.startswith("flip"):
                with path.open("r+b") as file:
                    file.seek(100)
                    file.write(b"X")
            elif what == "append":
                with path.open("ab") as file:
                    file.write(b"{}\n")
            elif what == "cut":
                os.truncate(path, path.stat().st_size - 10)
            elif what == "replace":
                other = path.with_suffix(".other")
                other.write_bytes(path.read_bytes())
                other.replace(path)
            elif what == "remove":
                path.unlink()
            else:
                (place.log / f"{999:020d}.log").write_bytes(b"")
            assert await keeper.look() != ""
            with pytest.raises(NotAudited):
                await client.intent(Act.TASK_ACTIVATE, b"b" * 32)

    asyncio.run(go())


def test_older_files_are_read_at_start(place):
    async def go(wrong: bool):
        async with place.running(file_octets=4_000) as keeper, place.client() as client:
            for _ in range(10):
                (await client.intent(Act.TASK_ACTIVATE, b"a" * 32)).done()
            assert bool(await keeper.check_all()) is wrong

    asyncio.run(go(False))
    path = sorted(place.log.glob("*.log"))[0]
    changed(path, 2_000)
    asyncio.run(go(True))


def test_of_a_long_anchor_the_end_is_read(place, tmp_path, monkeypatch):
    monkeypatch.setattr(keepers, "ANCHOR_OCTETS", 1_000)
    anchor = tmp_path / "anchor"

    async def go():
        async with place.running(anchors=(anchor,)) as keeper, place.client() as client:
            for _ in range(8):
                (await client.intent(Act.TASK_ACTIVATE, b"a" * 32)).done()
                await keeper.anchor()

    asyncio.run(go())
    assert anchor.stat().st_size > 2_000
    asyncio.run(go())
    with anchor.open("r+b") as file:
        file.write(b"X")  # nobody looks there at a start; verify does
    asyncio.run(go())


def test_anchors_that_cannot_be_written_are_no_end(place, tmp_path):
    async def go():
        async with place.running(anchors=(tmp_path / "no" / "folder", tmp_path / "anchor")) as keeper:
            assert await keeper.anchor() == 1

    asyncio.run(go())
    assert (tmp_path / "anchor").read_bytes()


def test_a_role_sees_that_the_audit_was_rolled_back(place, tmp_path, monkeypatch):
    """Whoever has the host of the audit turns its log and its anchors back while it is stopped, and starts it again."""
    monkeypatch.setattr(clients, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(clients, "PROBE_SECONDS", 0.05)

    async def until(found: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not found():
                await asyncio.sleep(0.01)

    async def go() -> None:
        async with place.client() as client:
            async with place.running():
                (await client.intent(Act.TASK_ACTIVATE, b"a" * 32)).done()
                await until(lambda: client.waiting == 0)
            shutil.copytree(place.log, tmp_path / "older")
            async with place.running():
                await until(lambda: client.writable)
                for _ in range(9):
                    (await client.intent(Act.TASK_ACTIVATE, b"b" * 32)).done()
                await until(lambda: client.waiting == 0)
            shutil.rmtree(place.log)
            shutil.copytree(tmp_path / "older", place.log)
            async with place.running() as keeper:
                await until(lambda: not client.writable)
                size = keeper.place.size
                with pytest.raises(NotAudited):
                    await client.intent(Act.TASK_ACTIVATE, b"c" * 32)
                async with place.client(Role.DF) as other:
                    for _ in range(30):  # it grows beyond what it was, and is believed no more for that
                        await other.intent(Act.TASK_ACTIVATE, b"d" * 32)
                assert keeper.place.heads > 30 and keeper.place.size > size and not client.writable
            shutil.rmtree(place.log)
            async with place.running():
                await until(lambda: client.writable)
                await until(lambda: client.waiting == 0)
        assert "alarm" in {row["act"] for row in entries(place)}, "the new one says that it is another one"

    asyncio.run(go())
