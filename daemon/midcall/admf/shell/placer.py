"""Brings revocations to KMSs, which X1 does not reach: each until it is taken, and again after a restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from midcall.admf.core import Admf
from midcall.admf.values import AlarmKind
from midcall.base import placing
from midcall.base.https import HttpsClient, Unreachable
from midcall.events import Instant

AGAIN_SECONDS = 30.0
AT_LEAST_SECONDS = 0.05


class Placer:
    """``clients`` by the address of the KMS; they may be exchanged at any time."""

    def __init__(
        self,
        core: Admf,
        clients: Mapping[str, HttpsClient],
        now: Callable[[], Instant],
        changed: Callable[[], None],
    ) -> None:
        self.clients = dict(clients)
        self._core = core
        self._now = now
        self._changed = changed
        self._taken: set[tuple[str, str]] = set()
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self.clients:
            self._task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """There may be a new one."""
        self._more.set()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for client in self.clients.values():
            await client.close()

    async def _run(self) -> None:
        while True:
            self._more.clear()
            for url, client in list(self.clients.items()):
                await self._place_all(url, client)
            self._changed()
            await asyncio.sleep(AT_LEAST_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_SECONDS):
                    await self._more.wait()

    async def _place_all(self, url: str, client: HttpsClient) -> None:
        """What one KMS has not taken yet; one that does not answer is not asked further."""
        left = [(name, octets) for name, octets in self._core.revocations() if (url, name) not in self._taken]
        refused = False
        for identifier, octets in left:
            try:
                answer = await client.post(placing.PATH, octets, placing.KIND, placing.SECONDS, placing.MAX_ANSWER)
            except Unreachable:
                self._core.fault(AlarmKind.NOT_PLACED, self._now(), subject=url)
                return
            if answer.status == 200:
                self._taken.add((url, identifier))
            refused |= answer.status != 200
        self._core.fault(AlarmKind.NOT_PLACED, self._now(), subject=url, over=not refused)
