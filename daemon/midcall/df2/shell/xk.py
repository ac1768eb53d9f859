"""The client of a KMS: one question at a time for each bundle, again after a pause, never longer than its deadline."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct, structs

from imswire.mikey import MikeyError
from imswire.xk import XkError
from midcall.base.bounded import BoundedTable
from midcall.base.https import HttpsClient, Unreachable
from midcall.df2 import keys
from midcall.df2.xk import Again, Dialect, Draw, bundle, same
from midcall.events import KeyAnswer, KeyQuery


class XkSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``deadline_seconds``: after so long there are no keys, and that is reported; ``attempt_seconds``: one attempt.

    ``pause_first``, ``pause_most``: between attempts, doubled each time and shortened at random by up to half.
    ``waiting``: questions that are open at once; one more is refused.
    """

    deadline_seconds: float = 5.0
    attempt_seconds: float = 2.0
    pause_first: float = 0.05
    pause_most: float = 1.0
    waiting: int = 4_096


class KeySource(Protocol):
    """Where session keys come from."""

    async def keys(self, query: KeyQuery, warrant: bytes | None) -> KeyAnswer:
        """Keys, or why there are none; never an exception."""


class _Lane:
    """Questions about one bundle, one after the other."""

    __slots__ = ("free", "users")

    def __init__(self) -> None:
        self.free = asyncio.Lock()
        self.users = 0


class XkClient:
    """Asks one KMS in one dialect; ``client`` is closed with it."""

    def __init__(
        self,
        client: HttpsClient,
        dialect: Dialect,
        settings: XkSettings | None = None,
        *,
        now: Callable[[], int] = time.time_ns,
        draw: Draw = secrets.token_bytes,
    ) -> None:
        self._client = client
        self._dialect = dialect
        self._settings = settings or XkSettings()
        self._now = now
        self._draw = draw
        self._asked: BoundedTable[bytes, asyncio.Task[KeyAnswer]] = BoundedTable(
            "df2.key_questions", self._settings.waiting
        )
        self._lanes: BoundedTable[bytes, _Lane] = BoundedTable("df2.key_lanes", self._settings.waiting)
        self.attempts = 0

    async def keys(self, query: KeyQuery, warrant: bytes | None) -> KeyAnswer:
        """Keys, or why there are none. Who asks what is being asked shares its answer."""
        name = same(query, warrant)
        task = self._asked.get(name)
        if task is None:
            if len(self._asked) >= self._settings.waiting:
                return keys.refused(query.query, f"{self._settings.waiting} questions are open")
            task = asyncio.create_task(self._in_lane(query, warrant))
            self._asked.put(name, task)
            task.add_done_callback(lambda _: self._asked.pop(name))
        # One who no longer waits takes the answer from nobody else.
        answer = await asyncio.shield(task)
        return structs.replace(answer, query=query.query)

    async def _in_lane(self, query: KeyQuery, warrant: bytes | None) -> KeyAnswer:
        name = bundle(query.exchange)
        lane = self._lanes.get(name)
        if lane is None:
            # There are never more lanes than questions, so none is evicted.
            lane = _Lane()
            self._lanes.put(name, lane)
        lane.users += 1
        last = [""]
        try:
            async with asyncio.timeout(self._settings.deadline_seconds), lane.free:
                return await self._until_answered(query, warrant, last)
        except TimeoutError:
            behind = f": {last[0]}" if last[0] else ""
            return keys.refused(query.query, f"no answer within {self._settings.deadline_seconds:g} s{behind}")
        except (MikeyError, XkError) as error:
            return keys.refused(query.query, f"cannot be asked: {error}")
        finally:
            lane.users -= 1
            if not lane.users:
                self._lanes.pop(name)

    async def _until_answered(self, query: KeyQuery, warrant: bytes | None, last: list[str]) -> KeyAnswer:
        pause = self._settings.pause_first
        while True:
            outcome = await self._attempt(query, warrant)
            if isinstance(outcome, KeyAnswer):
                return outcome
            last[0] = outcome.reason
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads attempts, guards nothing
            pause = min(2 * pause, self._settings.pause_most)

    async def _attempt(self, query: KeyQuery, warrant: bytes | None) -> KeyAnswer | Again:
        question = self._dialect.question(query, warrant, self._now(), self._draw)
        self.attempts += 1
        seconds = self._settings.attempt_seconds
        try:
            answer = await self._client.post(question.path, question.octets, question.kind, seconds, question.most)
        except Unreachable as error:
            return Again(str(error))
        try:
            return self._dialect.answer(query, question, answer.status, answer.body)
        finally:
            answer.body[:] = bytes(len(answer.body))

    async def close(self) -> None:
        """Give up what is being asked."""
        for task in list(self._asked.values()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._client.close()
