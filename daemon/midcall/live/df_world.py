"""What mediation functions work with: what they are ordered, who has keys, and what lets media through."""

from __future__ import annotations

from typing import Protocol

from midcall.df2 import Agency
from midcall.events import KeyAnswer, KeyQuery


class Order:
    """What is to be delivered under one XID; ``warrant`` are the signed octets that say so, None: there are none."""

    __slots__ = ("agency", "warrant")

    def __init__(self, agency: Agency, warrant: bytes | None) -> None:
        self.agency = agency
        self.warrant = warrant

    def covers(self, at: int) -> bool:
        """From the window's start on, and before its end."""
        terms = self.agency.terms
        return (terms.start is None or at >= terms.start) and (terms.end is None or at < terms.end)


class KeySource(Protocol):
    """Where session keys come from."""

    async def keys(self, query: KeyQuery, warrant: bytes | None) -> KeyAnswer: ...


class Tap(Protocol):
    """What lets media of armed places through."""

    def arm(self, place: bytes) -> bool: ...

    def disarm(self, place: bytes) -> int: ...
