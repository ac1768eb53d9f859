"""What a role is given by the process that runs it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from midcall.base.metrics import Metrics

RENEWED = "files of certificates and of trust read anew"

Reload = Callable[[Any], Awaitable[None]]


class RoleError(Exception):
    """Why a role cannot start, go on or take a new configuration: one line that names a file, and no secret.

    ``key``: the key, or table, of the configuration that leads there, such as ``df.x2.crl``; empty: no one does.
    """

    def __init__(self, reason: str, key: str = "") -> None:
        super().__init__(reason)
        self.key = key


def key_of(reason: str, table: Struct, key: str) -> str:
    """The key of a table whose file a reason begins with; that of the table itself, ``key``, when it names no one's."""
    for name in table.__struct_fields__:
        held = getattr(table, name)
        if isinstance(held, str) and held and reason.startswith(f"{held}:"):
            return f"{key}.{name}"
    return key


class Frame:
    """One role instance. ``log`` is for the operator's plane, ``li_log`` for the LI plane.

    ``record``: where the role's inputs are to be written down; in laboratories alone.
    """

    def __init__(
        self,
        role: str,
        instance: int,
        metrics: Metrics,
        ready: Callable[[], None],
        record: Path | None = None,
    ) -> None:
        self.role = role
        self.instance = instance
        self.metrics = metrics
        self.record = record
        self.log = logging.getLogger(f"midcall.{role}")
        self.li_log = logging.getLogger(f"midcall.li.{role}")
        self.is_ready = False
        self.reload: Reload | None = None
        self._ready = ready
        self._checks: list[Callable[[], bool]] = []
        self._needs: list[Callable[[], bool]] = []

    def ready(self) -> None:
        """All doors are open. The service manager hears of it when every role of the process has said so."""
        self.is_ready = True
        self._ready()

    def on_reload(self, reload: Reload) -> None:
        """Is awaited with the new table after SIGHUP, also when nothing in it has changed: files may have.

        It goes over as a whole or not at all: RoleError says why not, and the role works on as before. A role
        without it takes a new table when it starts again.
        """
        self.reload = reload

    def watch(self, check: Callable[[], bool]) -> None:
        """While ``check`` gives False the process is ill: no sign of life reaches the service manager."""
        self._checks.append(check)

    def need(self, check: Callable[[], bool]) -> None:
        """While ``check`` gives False the process works, and something that it needs is not there: the operator is
        told. What it depends on must be the same whatever is intercepted.
        """
        self._needs.append(check)

    def whole(self) -> bool:
        return all(check() for check in self._needs)

    def healthy(self) -> bool:
        return all(check() for check in self._checks)
