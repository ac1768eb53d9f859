"""What the receiver shows: on a terminal calls, links and findings as they change, elsewhere one line an event."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from midcall.lemf.calls import Call
from midcall.lemf.records import shown
from midcall.lemf.shell.server import Receiver

CALLS = 24
FINDINGS = 8
EVENTS = 6
REFRESH = 4


class Lines:
    """One line an event, for files and pipes."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def tell(self, kind: str, text: str) -> None:
        self._write(f"{kind}: {text}")

    def start(self, receiver: Receiver, where: str) -> None:  # noqa: ARG002
        self._write(f"listening on {where}")

    def stop(self) -> None:
        """Nothing to take down."""


class Screen:
    """The live view."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._findings: deque[str] = deque(maxlen=FINDINGS)
        self._events: deque[str] = deque(maxlen=EVENTS)
        self._receiver: Receiver | None = None
        self._where = ""
        self._begun = time.monotonic()

    def tell(self, kind: str, text: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {text}"
        (self._findings if kind == "finding" else self._events).append(line)

    def start(self, receiver: Receiver, where: str) -> None:
        self._receiver, self._where = receiver, where
        self._live = Live(get_renderable=self.render, console=self._console, refresh_per_second=REFRESH, transient=True)
        self._live.start()

    def stop(self) -> None:
        if self._live is not None:
            self._live.stop()

    def render(self) -> Group:
        """All of it, as it is now."""
        receiver = self._receiver
        if receiver is None:
            return Group()
        lemf = receiver.lemf
        head = Text(
            f"{self._where}   links {len(receiver.links)}   PS-PDUs {lemf.pdus}   under a verified hash {lemf.checked}"
            f"   repeats {lemf.repeats}   doubled {lemf.doubled}   findings {receiver.findings}"
        )
        parts: list[RenderableType] = [head, calls_table(list(lemf.calls.values())[-CALLS:])]
        parts += [Text(f"! {line}", style="red", no_wrap=True, overflow="ellipsis") for line in self._findings]
        parts += [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in self._events]
        return Group(*parts)


def calls_table(calls: list[Call]) -> Table:
    """Calls, the latest last."""
    table = Table(expand=True)
    for name in ("LIID", "CIN", "state", "codecs", "packets", "seconds", "last event"):
        table.add_column(name, justify="right" if name in ("CIN", "packets", "seconds") else "left", no_wrap=True)
    for call in calls:
        keys = " (encrypted)" if call.keys else ""
        table.add_row(
            Text(shown(call.liid)),
            str(call.cin),
            call.state or "-",
            Text((", ".join(sorted(call.codecs)) or "-") + keys),
            str(call.packets),
            f"{call.seconds:.1f}",
            Text(call.event or "-"),
        )
    return table
