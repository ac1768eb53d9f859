"""A service with roles of tests in it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import random
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from midcall import service
from midcall.base.frame import Frame
from midcall.config import Credential, DaemonConfig

WAIT = 20


class Toy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    word: str = "one"
    secret: Credential = "toy-secret"


class ToyConfig(DaemonConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    toy: Toy | None = None
    other: Toy | None = None


class House:
    """A configuration, the roles under it, and the service while a test's coroutine runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "midcall.toml"
        self.li, self.operator = folder / "li.log", folder / "operator.log"
        self.seen: list[Toy] = []
        self.roles: dict[str, service.Loader] = {"toy": lambda: self.toy}
        self.frames: dict[str, Frame] = {}
        self.instance = "1"
        self.stop = asyncio.Event()
        self.ready = asyncio.Event()
        self.write()

    def write(self, tables: str = "[toy]\n", process: str = "", log: str = "") -> None:
        self.path.write_text(
            f'[service]\nlab = true\ncredentials = "{self.folder}"\n{process}\n'
            f'[log]\nli = "{self.li}"\noperator = "{self.operator}"\n{log}\n'
            f'[operator]\nlisten = "127.0.0.1:{self.port()}"\n{tables}'
        )

    def port(self) -> int:
        """Free, and the next one too; below those that the system gives to whoever asks for any."""
        while not hasattr(self, "_port"):
            port = random.randrange(16_384, 32_766, 2)
            with (
                contextlib.suppress(OSError),
                socket.create_server(("127.0.0.1", port)),
                socket.create_server(("127.0.0.1", port + 1)),
            ):
                self._port = port
        return self._port

    async def toy(self, config: Toy, frame: Frame, stop: asyncio.Event) -> None:
        self.seen.append(config)
        self.frames[frame.role] = frame
        frame.ready()
        self.ready.set()
        await stop.wait()

    def run(self, during: Callable[[], Awaitable[None]] | None = None, *roles: str, **options: object) -> int:
        async def both() -> int:
            async with asyncio.timeout(WAIT), asyncio.TaskGroup() as group:
                served = group.create_task(
                    service.serve(
                        roles, self.path, self.instance, self.stop, registry=self.roles, kind=ToyConfig, **options
                    )
                )
                if during is not None:
                    await self.ready.wait()
                    await during()
                    self.stop.set()
                return await served

        try:
            return asyncio.run(both())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    def lines(self, path: Path) -> list[dict[str, object]]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    def said(self, path: Path) -> str:
        return path.read_text()


async def nothing() -> None:
    """For a service that is only to start and stop."""


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0)


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    try:
        link.request(method, path)
        answer = link.getresponse()
        return answer.status, answer.read().decode()
    finally:
        link.close()


def metric(house: House, name: str) -> float:
    _, text = ask(house.port(), "/metrics")
    return float(next(line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(name)))


async def hang_up(house: House, outcome: str) -> None:
    before = await asyncio.to_thread(metric, house, f'midcall_reloads_total{{outcome="{outcome}"}}')
    os.kill(os.getpid(), signal.SIGHUP)
    while await asyncio.to_thread(metric, house, f'midcall_reloads_total{{outcome="{outcome}"}}') == before:
        pass
