"""How the links of a role stand: what each has told last, for the LI plane and its log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from msgspec import Struct, structs

from midcall.base.bounded import BoundedTable
from midcall.base.link_report import LinkEvent
from midcall.base.log import redacted
from midcall.live.ladder import moment

LINKS = 4_096
log = logging.getLogger("midcall.li.links")


class Link(Struct, frozen=True):
    """One link, or the buffer or spool in front of it, and when it changed last.

    ``down``: why it is not up; ``fault``: what is wrong besides. Both are empty when nothing is.
    """

    name: str
    part: str
    is_up: bool
    since: str
    down: str = ""
    fault: str = ""

    @property
    def why(self) -> str:
        return self.fault or self.down


class LinkBook:
    """Told of every change, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tell: Callable[[LinkEvent], None] = lambda _: None
        self._links: BoundedTable[tuple[str, str], Link] = BoundedTable("live.links", LINKS)

    def tell(self, listener: Callable[[LinkEvent], None]) -> None:
        """Who else hears of each change, in the thread that tells it."""
        self._tell = listener

    def told(self, event: LinkEvent) -> None:
        """A change of a link, or of what stands in front of it."""
        said, place = redacted(event.reason), (event.link, event.part)
        with self._lock:
            known = self._links.get(place) or Link(*place, False, "")
            changed = {
                "up": structs.replace(known, is_up=True, down=""),
                "down": structs.replace(known, is_up=False, down=said),
                "fault": structs.replace(known, fault=said),
                "cleared": structs.replace(known, fault=""),
            }[event.state]
            self._links.put(place, structs.replace(changed, since=moment(event.at)))
        self._tell(event)
        level = logging.INFO if event.state in ("up", "cleared") else logging.WARNING
        log.log(level, "%s: %s is %s %s", event.link, event.part, event.state, event.reason)

    def links(self, name: str | None = None) -> tuple[Link, ...]:
        """All of them, or those of one name."""
        with self._lock:
            return tuple(each for each in self._links.values() if name in (None, each.name))
