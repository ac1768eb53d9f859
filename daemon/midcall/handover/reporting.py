"""What the LI plane is told of a link: each change once, up and down in turn, fault and cleared in turn."""

from __future__ import annotations

from collections.abc import Callable

from midcall.handover.values import LinkEvent


class LinkReport:
    """Remembers what was said last, and says only what is new."""

    def __init__(self, destination: str, link: str, tell: Callable[[LinkEvent], None]) -> None:
        self.is_up = False
        self.fault: str | None = None
        self._destination = destination
        self._link = link
        self._tell = tell

    def up(self, at: int) -> None:
        if not self.is_up:
            self.is_up = True
            self._tell(LinkEvent(self._destination, self._link, "up", "", at))

    def down(self, reason: str, at: int) -> None:
        if self.is_up:
            self.is_up = False
            self._tell(LinkEvent(self._destination, self._link, "down", reason, at))

    def failed(self, reason: str, at: int) -> None:
        """A fault begins; while it lasts no other is told."""
        if self.fault is None:
            self.fault = reason
            self._tell(LinkEvent(self._destination, self._link, "fault", reason, at))

    def cleared(self, at: int) -> None:
        if self.fault is not None:
            self.fault = None
            self._tell(LinkEvent(self._destination, self._link, "cleared", "", at))
