"""Whose turn it is among the deliverers."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol


class Taker(Protocol):
    """Who has turns."""

    def turn(self) -> None:
        """Do some work; who has more of it asks for another turn."""


class Turns:
    """One turn in each round of the event loop, in the order in which they are wanted.

    Between two of them the loop takes what came in and goes on with handshakes: however many links have work, nobody
    waits for more than one turn of each of the others.
    """

    def __init__(self) -> None:
        self._waiting: deque[Taker] = deque()
        self._called = False

    def add(self, taker: Taker) -> None:
        """It wants a turn, and has not asked for one yet."""
        self._waiting.append(taker)
        if not self._called:
            self._called = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._called = False
        if self._waiting:
            taker = self._waiting.popleft()
            if self._waiting:
                self._called = True
                asyncio.get_running_loop().call_soon(self._next)
            taker.turn()
