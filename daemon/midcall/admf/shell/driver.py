"""Drives elements over X1: one request after the other at each, as the core says, and all of them at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable

from imswire import x1
from midcall.admf.core import Admf
from midcall.admf.link import Ask
from midcall.admf.shell.acts import Act, Acts, NotAudited
from midcall.base.https import Unreachable
from midcall.base.x1_element.shell.client import X1Client
from midcall.events import Instant

AUDIT_PAUSE = 1.0
_ACTS = {
    x1.ActivateTaskRequest: Act.TASK_ACTIVATE,
    x1.ModifyTaskRequest: Act.TASK_MODIFY,
    x1.DeactivateTaskRequest: Act.TASK_DEACTIVATE,
    x1.CreateDestinationRequest: Act.DESTINATION_CREATE,
    x1.ModifyDestinationRequest: Act.DESTINATION_MODIFY,
    x1.RemoveDestinationRequest: Act.DESTINATION_REMOVE,
}
li_log = logging.getLogger("midcall.li.admf")


class Driver:
    """``changed`` is called when the core may have something to keep. ``clients`` may be exchanged at any time."""

    def __init__(
        self,
        core: Admf,
        clients: dict[str, X1Client],
        acts: Acts,
        now: Callable[[], Instant],
        changed: Callable[[], None],
    ) -> None:
        self._core = core
        self.clients = clients
        self._acts = acts
        self._now = now
        self._changed = changed
        self._more = {ne: asyncio.Event() for ne in core.links}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._drive(ne)) for ne in self._core.links]

    async def stop(self) -> None:
        self._stopping = True
        self.wake()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for client in self.clients.values():
            await client.close()

    def wake(self) -> None:
        """Something may be to be asked."""
        for each in self._more.values():
            each.set()

    async def _drive(self, ne: str) -> None:
        # What is below may take a cancellation for the end of its own wait.
        while not self._stopping:
            now = self._now()
            ask = self._core.next(ne, now)
            if ask is None:
                pause = max(self._core.links[ne].due() - now.mono, 0) / 1e9
                more = self._more[ne]
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause + random.uniform(0, 0.05)):  # noqa: S311  # not a secret
                        await more.wait()
                more.clear()
                continue
            await self.step(ne, ask)

    async def step(self, ne: str, ask: Ask) -> None:
        """Ask one thing, and tell the core."""
        act, subject = _ACTS.get(ask.kind), ask.subject
        under = self._core.book.warrant_of(subject)
        try:
            announced = None if act is None else await self._acts.order(act, ne, subject, ends=ask.ends, warrant=under)
        except NotAudited:
            await asyncio.sleep(AUDIT_PAUSE)
            return
        try:
            response = await self.clients[ne].ask(ask.kind, *ask.members)
        except (Unreachable, x1.X1Error) as error:
            if announced is not None:
                announced.failed()
            why = str(error) if isinstance(error, Unreachable) else "answers with something that is no X1"
            self._core.unreachable(ne, why, self._now())
        else:
            refused = isinstance(response, x1.ErrorResponse)
            if announced is not None:
                (announced.refused if refused else announced.done)()
            if act is not None:
                li_log.info("%s: %s %s", ne, ask.kind.__name__, "refused" if refused else "done")
            self._core.answered(ne, ask, response, self._now())
        self._changed()
        self.wake()
