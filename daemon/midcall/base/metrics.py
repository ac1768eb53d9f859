"""The operator's plane: metrics that are collected when they are asked for, and health, over HTTP on this host.

It is about the process and its doors to the network, and looks the same whatever is intercepted: names that speak
of interception are refused, and nothing of the process's time or memory is shown.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from midcall import config
from midcall.base.log import LI_WORDS, tell

Reading = float | Mapping[str, float]
STOP_SECONDS = 0.1
IDLE_SECONDS = 15.0
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """Names and how to read them; nothing is counted here."""

    def __init__(self) -> None:
        self._families: dict[str, tuple[type[CounterMetricFamily | GaugeMetricFamily], str, str]] = {}
        self._read: dict[str, Callable[[], Reading]] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def counter(self, name: str, help_text: str, read: Callable[[], Reading], label: str = "") -> None:
        """What only grows; ``read`` gives a number, or with ``label`` one for each of its values. ValueError."""
        self._add(CounterMetricFamily, name, help_text, read, label)

    def gauge(self, name: str, help_text: str, read: Callable[[], Reading], label: str = "") -> None:
        """What goes up and down; as ``counter``."""
        self._add(GaugeMetricFamily, name, help_text, read, label)

    def _add(
        self,
        family: type[CounterMetricFamily | GaugeMetricFamily],
        name: str,
        help_text: str,
        read: Callable[[], Reading],
        label: str,
    ) -> None:
        if LI_WORDS.search(" ".join((name.replace("_", " "), help_text, label))):
            raise ValueError(f"{name}: the operator's plane knows nothing of that")
        if name in self._families:
            raise ValueError(f"{name}: is there already")
        self._families[name] = family, help_text, label
        self._read[name] = read

    def collect(self) -> Iterator[Metric]:
        for name, (family, help_text, label) in self._families.items():
            try:
                reading = self._read[name]()
            except Exception as error:  # the others are still worth telling
                tell(error)
                continue
            if isinstance(reading, Mapping):
                found = family(f"midcall_{name}", help_text, labels=[label])
                for value, number in sorted(reading.items()):
                    found.add_metric([value], number)
            else:
                found = family(f"midcall_{name}", help_text, value=reading)
            yield found

    def text(self) -> bytes:
        return generate_latest(self._registry)


def socket_path(listen: str) -> Path:
    """Where ``unix:NAME`` leads."""
    return Path(os.environ.get("RUNTIME_DIRECTORY", "")) / listen.removeprefix("unix:")


class OperatorDoor:
    """GET /metrics and GET /health. ``health`` gives one word: ``ok`` or another one."""

    def __init__(self, metrics: Metrics, health: Callable[[], str]) -> None:
        self._metrics = metrics
        self._health = health
        self._manager = web.Server(self._handle, access_log=None, keepalive_timeout=IDLE_SECONDS)
        self._server: asyncio.Server | None = None
        self._path: Path | None = None

    async def start(self, listen: str, instance: int) -> None:
        """Listen as ``OperatorConfig`` has it. OSError."""
        loop = asyncio.get_running_loop()
        if listen.startswith("unix:"):
            self._path = socket_path(listen)
            self._server = await loop.create_unix_server(self._manager, str(self._path))
        else:
            host, port = config.address(listen)
            self._server = await loop.create_server(self._manager, host, port + instance - 1 if port else 0)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._manager.pre_shutdown()  # who asks nothing now is not waited for
            await self._manager.shutdown(STOP_SECONDS)
            await self._server.wait_closed()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405)
        if request.path == "/metrics":
            return web.Response(body=self._metrics.text(), headers={"Content-Type": _TEXT})
        if request.path == "/health":
            word = self._health()
            text = json.dumps({"service": "midcall", "status": word}) + "\n"
            return web.Response(text=text, status=200 if word == "ok" else 503, content_type="application/json")
        return web.Response(status=404)
