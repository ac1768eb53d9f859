"""What is wrong with the links to a role's destinations, as X1 tells it: ReportDestinationIssue and deliveryStatus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from midcall.base.link_report import LinkEvent
from midcall.base.x1_element.shell.service import X1Service

_BEGINS = {"down": "link", "fault": "fault"}
_ENDS = {"up": "link", "cleared": "fault"}

Named = Callable[[LinkEvent], Iterable[str]]
"""The DIDs that a change of a link is about."""


class DestinationFaults:
    """Told of changes from any thread; the element hears of the last state of each (TS 103 221-1 6.5.3)."""

    def __init__(self, x1: X1Service, named: Named) -> None:
        self._x1 = x1
        self._named = named
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._faults: dict[tuple[str, str], str | None] = {}  # of destinations that the ADMF has made, and no others

    def told(self, event: LinkEvent) -> None:
        """A change of a link, or of what stands in front of it."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take, event)

    def _take(self, event: LinkEvent) -> None:
        made = {each.did for each in self._x1.element.destinations}
        for did in made.intersection(self._named(event)):
            if event.state in _BEGINS:
                self._faults[did, f"{event.part} {_BEGINS[event.state]}"] = f"{event.part}: {event.reason}"
            else:
                self._faults[did, f"{event.part} {_ENDS[event.state]}"] = None
        self._changed.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            changes, self._faults = self._faults, {}
            for (did, key), text in changes.items():
                await self._tell(did, key, text)

    async def _tell(self, did: str, key: str, text: str | None) -> None:
        element = self._x1.element
        if text is None:
            await self._x1.happened(lambda now: element.destination_clear(did, key, now))
        else:
            await self._x1.happened(lambda now: element.destination_fault(did, key, text, now))
