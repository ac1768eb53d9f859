"""What the service manager hears, on a socket of its kind."""

from __future__ import annotations

import asyncio
import json
import os
import socket

import pytest

from midcall.base.frame import Frame
from tests.midcall.house import WAIT, House, Toy, ask, hang_up, nothing


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return House(tmp_path)


@pytest.fixture
def manager(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.settimeout(WAIT)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield link


def test_the_service_manager_hears_of_everything(house, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "3600000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))

    async def reload() -> None:
        await hang_up(house, "done")

    assert house.run(reload) == 0
    heard = [manager.recv(1_024).decode() for _ in range(5)]
    assert sorted(heard[:2]) == ["READY=1", "WATCHDOG=1"]
    assert heard[2].startswith("RELOADING=1\nMONOTONIC_USEC=") and heard[3:] == ["READY=1", "STOPPING=1"]


def test_an_ill_role_gives_no_sign_of_life(house, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    well = True

    async def run(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        frame.watch(lambda: well)
        frame.ready()
        house.ready.set()
        await stop.wait()

    house.roles["toy"] = lambda: run

    async def fall_ill() -> None:
        nonlocal well
        heard = await asyncio.to_thread(lambda: {manager.recv(1_024) for _ in range(3)})
        assert heard == {b"READY=1", b"WATCHDOG=1"}
        assert (await asyncio.to_thread(ask, house.port(), "/health"))[0] == 200
        well = False
        status, text = await asyncio.to_thread(ask, house.port(), "/health")
        assert status == 503 and json.loads(text)["status"] == "ill"

    assert house.run(fall_ill) == 0


def test_a_role_that_lacks_something_lives_and_the_operator_is_told(house, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    there = False

    async def run(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        frame.need(lambda: there)
        frame.ready()
        house.ready.set()
        await stop.wait()

    house.roles["toy"] = lambda: run

    async def lack() -> None:
        nonlocal there
        heard = await asyncio.to_thread(lambda: {manager.recv(1_024) for _ in range(3)})
        assert heard == {b"READY=1", b"WATCHDOG=1"}
        status, text = await asyncio.to_thread(ask, house.port(), "/health")
        assert status == 503 and json.loads(text)["status"] == "degraded"
        there = True
        assert (await asyncio.to_thread(ask, house.port(), "/health"))[0] == 200

    assert house.run(lack) == 0


def test_a_watchdog_of_another_process_is_not_ours(house, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    monkeypatch.setenv("WATCHDOG_PID", "1")

    assert house.run(nothing) == 0
    assert [manager.recv(1_024) for _ in range(2)] == [b"READY=1", b"STOPPING=1"]


def test_the_socket_may_have_an_abstract_name(house, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind("\0midcall-test-" + str(os.getpid()))
        link.settimeout(WAIT)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@midcall-test-{os.getpid()}")

        assert house.run(nothing) == 0
        assert link.recv(1_024) == b"READY=1"
