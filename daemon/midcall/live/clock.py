"""The time as the services are told it: what they ask for it, and what wakes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from midcall.events import Instant

_NS = 1_000_000_000


class Alarm(Protocol):
    """What is to happen later, and can be called off."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Both clocks, and alarms by either; ``due`` in ns. One that is due already comes at the next turn of the loop."""

    def now(self) -> Instant: ...

    def at_wall(self, due: int, call: Callable[[], None]) -> Alarm: ...

    def at_mono(self, due: int, call: Callable[[], None]) -> Alarm: ...


class LoopClock:
    """The machine's clocks, and alarms of the event loop."""

    def now(self) -> Instant:
        return now()

    def at_wall(self, due: int, call: Callable[[], None]) -> Alarm:
        return _later(due - time.time_ns(), call)

    def at_mono(self, due: int, call: Callable[[], None]) -> Alarm:
        return _later(due - time.monotonic_ns(), call)


def now() -> Instant:
    """Now, on both clocks."""
    return Instant(time.time_ns(), time.monotonic_ns())


def _later(delay: int, call: Callable[[], None]) -> Alarm:
    return asyncio.get_running_loop().call_later(max(0.0, delay / _NS), call)
