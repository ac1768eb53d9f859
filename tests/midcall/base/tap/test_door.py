"""The door of the role tap: who may have which tap, and what the others are told."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from midcall.base.tap import Source, Tap, TapError, TapPort, door, taps
from midcall.base.tap.door import TapDoor
from midcall.base.tap.passing import take

ME = os.getuid()


def asked(path: Path, kind: str) -> TapPort:
    with door.ask(path, kind) as connection:
        return TapPort.receive(connection)


def through(path: Path, made: TapDoor, *asking):
    """What each of ``asking`` gets while the door is open."""

    async def run():
        stop = asyncio.Event()
        running = asyncio.create_task(made.run(stop))
        async with asyncio.timeout(20):
            while not path.exists():
                await asyncio.sleep(0.001)
            found = [await asyncio.gather(asyncio.to_thread(each), return_exceptions=True) for each in asking]
        stop.set()
        await running
        return [each for (each,) in found]

    return asyncio.run(run())


def test_a_tap_is_given_and_works(bpf, tmp_path):
    path = tmp_path / "door"
    made = TapDoor(path, {taps.KIND: (Tap(Source(("lo",)), places=64), {ME})})
    (port,) = through(path, made, lambda: asked(path, taps.KIND))
    assert isinstance(port, TapPort), port
    assert port.arm(b"\x7f\0\0\1\x12\x34") and port.armed == {b"\x7f\0\0\1\x12\x34"}
    assert made.given == 1 and not path.exists()
    port.close()


def test_who_may_not_and_what_there_is_not_is_refused_in_words(tmp_path):
    path = tmp_path / "door"
    made = TapDoor(path, {taps.KIND: (Tap(Source(("lo",))), {ME + 1}), "other": (Tap(Source(("lo",))), {ME})})
    for refused in through(path, made, lambda: asked(path, taps.KIND), lambda: asked(path, "mirror")):
        assert isinstance(refused, TapError) and f"user {ME} may not have one" in str(refused)
    assert made.given == 0


def test_what_cannot_be_opened_is_told_and_the_door_stays_open(tmp_path):
    path = tmp_path / "door"
    made = TapDoor(path, {taps.KIND: (Tap(Source(("no-such-line",)), places=64), {ME})})
    first, second = through(path, made, lambda: asked(path, taps.KIND), lambda: asked(path, taps.KIND))
    assert isinstance(first, TapError) and str(first) == str(second)


def test_who_says_nothing_keeps_nobody_waiting_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr(door, "ASK_SECONDS", 0.05)
    path = tmp_path / "door"
    made = TapDoor(path, {})

    def silent():
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(os.fspath(path))
            connection.settimeout(20)
            return connection.recv(1)

    hung_up, refused = through(path, made, silent, lambda: asked(path, taps.KIND))
    assert hung_up == b"" and isinstance(refused, TapError)


def test_nobody_is_there(tmp_path):
    with pytest.raises(TapError, match="nobody gives taps there"):
        door.ask(tmp_path / "door", taps.KIND)


def test_a_socket_of_a_dead_door_is_replaced(tmp_path):
    path = tmp_path / "door"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(os.fspath(path))
    made = TapDoor(path, {})

    def once():
        with door.ask(path, "mirror") as connection:
            return take(connection, "mirror")

    (refused,) = through(path, made, once)
    assert isinstance(refused, TapError)
