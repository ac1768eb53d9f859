"""What is told of a link: each change once, up and down in turn, fault and cleared in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

State = Literal["up", "down", "fault", "cleared"]


class LinkEvent(Struct, frozen=True):
    """A change, for a report over X1 (TS 103 221-1 6.5) and for the LI plane.

    ``link`` is the destination's or the peer's name, ``part`` what has changed: a connection, or what stands in front
    of it (a buffer, a spool). Up and down of one part follow each other strictly, and so do fault and cleared. ``at``
    in wall ns.
    """

    link: str
    part: str
    state: State
    reason: str
    at: int


class LinkReport:
    """Remembers what was told last of one part of a link, and tells only what is new.

    ``at``: when, in wall ns; else what ``wall`` says.
    """

    def __init__(
        self, link: str, part: str, tell: Callable[[LinkEvent], None], wall: Callable[[], int] = time.time_ns
    ) -> None:
        self.is_up = False
        self.fault: str | None = None
        self._link = link
        self._part = part
        self._tell = tell
        self._wall = wall

    def up(self, at: int | None = None) -> None:
        if not self.is_up:
            self.is_up = True
            self._say("up", "", at)

    def down(self, reason: str, at: int | None = None) -> None:
        if self.is_up:
            self.is_up = False
            self._say("down", reason, at)

    def failed(self, reason: str, at: int | None = None) -> None:
        """A fault begins; while it lasts no other is told."""
        if self.fault is None:
            self.fault = reason
            self._say("fault", reason, at)

    def cleared(self, at: int | None = None) -> None:
        if self.fault is not None:
            self.fault = None
            self._say("cleared", "", at)

    def _say(self, state: State, reason: str, at: int | None) -> None:
        self._tell(LinkEvent(self._link, self._part, state, reason, self._wall() if at is None else at))
