"""Addresses that roles listen on: free, or in use by the service that runs."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

from msgspec import Struct

from midcall import config as config_file
from midcall.base.metrics import socket_path
from midcall.cli.checks.finding import Finding, good, mend
from midcall.config import DaemonConfig, HepTable

ANSWER_SECONDS = 2.0


def findings(name: str, table: Struct, runs: bool) -> Iterator[Finding]:
    """Those of one table."""
    listen = getattr(table, "listen", None)
    if isinstance(listen, str):
        yield door(f"{name}.listen", listen, runs)
    if isinstance(table, HepTable):
        if table.udp:
            yield door(f"{name}.udp", table.udp, runs, socket.SOCK_DGRAM)
        if table.tcp:
            yield door(f"{name}.tcp", table.tcp, runs)


def door(name: str, listen: str, runs: bool, kind: socket.SocketKind = socket.SOCK_STREAM) -> Finding:
    """Whether somebody could listen there now, or does because the service runs."""
    host, port = config_file.address(listen)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if runs:
            return good(name, f"{listen} is in use, and the service runs")
        return mend(name, f"{listen}: {error.strerror}", "stop who listens there, or choose another one")
    return good(name, f"{listen} is free")


def is_running(config: DaemonConfig) -> bool:
    """Whether a service answers where this file says."""
    if config.operator.listen.startswith("unix:"):
        return socket_path(config.operator.listen).is_socket()
    link = http.client.HTTPConnection(*config_file.address(config.operator.listen), timeout=ANSWER_SECONDS)
    try:
        link.request("GET", "/health")
        answer = json.loads(link.getresponse().read(1_024))
        return isinstance(answer, dict) and answer.get("service") == "midcall"
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        link.close()
