"""The operator's plane: what is scraped, and what is not to be seen there."""

from __future__ import annotations

import asyncio
import json
import logging
import socket

import pytest

from midcall import service
from midcall.base.frame import Frame
from tests.midcall.house import House, Toy, ask


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return House(tmp_path)


def test_operations_scrape_what_a_role_shows(house):
    answers = 41

    async def run(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        frame.metrics.counter("toy_answers", "Answers given.", lambda: answers)
        frame.metrics.gauge("toy_open", "Open connections.", lambda: {"udp": 1, "tcp": 2}, "transport")
        frame.metrics.gauge("toy_broken", "Raises.", lambda: 1 / 0)
        with pytest.raises(ValueError):
            frame.metrics.gauge("toy_targets", "No.", lambda: 1)
        with pytest.raises(ValueError):
            frame.metrics.gauge("toy_answers", "Twice.", lambda: 1)
        frame.ready()
        house.ready.set()
        await stop.wait()

    house.roles["toy"] = lambda: run

    async def scrape() -> None:
        nonlocal answers
        answers += 1
        status, text = await asyncio.to_thread(ask, house.port(), "/metrics")
        assert status == 200
        for line in ("midcall_toy_answers_total 42.0", 'midcall_toy_open{transport="tcp"} 2.0', "midcall_healthy 1.0"):
            assert line in text.splitlines()
        assert "toy_broken" not in text
        status, text = await asyncio.to_thread(ask, house.port(), "/health")
        assert (status, json.loads(text)) == (200, {"service": "midcall", "status": "ok"})
        assert (await asyncio.to_thread(ask, house.port(), "/"))[0] == 404
        assert (await asyncio.to_thread(ask, house.port(), "/metrics", "POST"))[0] == 405

    assert house.run(scrape) == 0


def test_a_service_that_is_not_ready_is_not_healthy(house):
    async def starts(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        house.ready.set()
        await stop.wait()

    house.roles["toy"] = lambda: starts

    async def look() -> None:
        status, text = await asyncio.to_thread(ask, house.port(), "/health")
        assert status == 503 and json.loads(text)["status"] == "starting"

    assert house.run(look) == 0


def test_a_taken_port_is_said(house):
    with socket.create_server(("127.0.0.1", house.port())), pytest.raises(service.Refused, match="operator.listen"):
        house.run()


def test_a_role_without_network_is_asked_over_a_unix_socket(house, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    house.path.write_text(house.path.read_text().replace(f"127.0.0.1:{house.port()}", "unix:operator.sock"))

    def health() -> bytes:
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(tmp_path / "operator.sock"))
            link.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: link.recv(4_096), b""))

    async def look() -> None:
        assert (await asyncio.to_thread(health)).endswith(b'"status": "ok"}\n')

    assert house.run(look) == 0
    assert not (tmp_path / "operator.sock").exists()


def test_the_operator_sees_the_same_whatever_is_intercepted(house):
    """With 0 and with 100 tasks: the same lines but their times, the same metrics but the start."""

    def watched(tasks: int) -> tuple[list[object], list[str]]:
        house.operator.unlink(missing_ok=True)
        house.stop, house.ready = asyncio.Event(), asyncio.Event()
        shown: list[str] = []

        async def run(config: Toy, frame: Frame, stop: asyncio.Event) -> None:
            for number in range(tasks):
                frame.li_log.info("task %d armed", number)
                frame.log.info("a dialog of a target")
                logging.getLogger("midcall.poi.core").error("no ticket")
                logging.getLogger("midcall.kms").warning("get_keys refused")
            frame.ready()
            house.ready.set()
            await stop.wait()

        house.roles["toy"] = lambda: run

        async def scrape() -> None:
            shown.extend((await asyncio.to_thread(ask, house.port(), "/metrics"))[1].splitlines())

        assert house.run(scrape) == 0
        lines = [{k: v for k, v in line.items() if k != "time"} for line in house.lines(house.operator)]
        return lines, [line for line in shown if "start_time" not in line]

    assert watched(0) == watched(100)
    assert len(house.lines(house.li)) >= 400
