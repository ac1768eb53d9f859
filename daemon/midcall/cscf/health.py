"""Which next hops answer: each is asked by OPTIONS from time to time (RFC 3261 11)."""

from __future__ import annotations

from collections.abc import Mapping

MISSED = 2
"""Probes without a good answer after which a hop counts as down."""


class Health:
    """``every``: ns between two probes of each hop, by its URI; 0: it is never asked, and counts as alive."""

    def __init__(self, every: Mapping[str, int]) -> None:
        self._every = {uri: pause for uri, pause in every.items() if pause}
        self._next = dict.fromkeys(self._every, 0)
        self._missed = dict.fromkeys(self._every, 0)

    def renew(self, every: Mapping[str, int]) -> None:
        """Other hops, or other pauses; what is known of those that stay stays."""
        former, due = self._missed, self._next
        self._every = {uri: pause for uri, pause in every.items() if pause}
        self._next = {uri: due.get(uri, 0) for uri in self._every}
        self._missed = {uri: former.get(uri, 0) for uri in self._every}

    def alive(self, uri: str) -> bool:
        return self._missed.get(uri, 0) < MISSED

    def due(self, now: int) -> list[str]:
        """Whom to ask now."""
        found = [uri for uri, at in self._next.items() if at <= now]
        for uri in found:
            self._next[uri] = now + self._every[uri]
        return found

    def told(self, uri: str, status: int) -> None:
        """What a hop answered, or the status that stands for no answer: 408, 503. Any other shows that it works."""
        self._missed[uri] = self._missed[uri] + 1 if status in (408, 503) else 0

    @property
    def down(self) -> int:
        """How many hops are down."""
        return sum(not self.alive(uri) for uri in self._every)
