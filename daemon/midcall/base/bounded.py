"""Tables whose keys come from the network: named, bounded, evicting in constant time.

A subscriber chooses Call-IDs, tags, addresses and SSRCs, so every table that is keyed by one of them is of
this kind; a test lists them all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedTable(Generic[K, V]):
    """A mapping of at most ``bound`` entries; the entry that was put or touched longest ago goes first.

    ``evicted`` counts what the bound has cost so far.
    """

    __slots__ = ("_entries", "bound", "evicted", "name")

    def __init__(self, name: str, bound: int) -> None:
        if bound < 1:
            raise ValueError(f"table {name}: the bound must be at least 1, not {bound}")
        self.name = name
        self.bound = bound
        self.evicted = 0
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        return self._entries.get(key)

    def reader(self) -> Callable[[K], V | None]:
        """``get`` without a frame of its own, for loops over packets."""
        return self._entries.get

    def put(self, key: K, value: V) -> V | None:
        """Keep ``value``; what had to go for it is returned, so that its owner can let go of it too."""
        gone = None
        if key not in self._entries and len(self._entries) >= self.bound:
            gone = self.evict()
        self._entries[key] = value
        return gone

    def put_all(self, keys: list[K], value: V) -> None:
        """Keep ``value`` for each of them, and then no more than the bound: quicker than :meth:`put` one by one."""
        entries = self._entries
        entries.update(dict.fromkeys(keys, value))
        while len(entries) > self.bound:
            self.evict()

    def touch(self, key: K) -> None:
        """Make the entry the last to be evicted."""
        self._entries.move_to_end(key)

    def pop(self, key: K) -> V | None:
        return self._entries.pop(key, None)

    def oldest(self) -> V | None:
        """The entry that would go next."""
        for value in self._entries.values():
            return value
        return None

    def evict(self) -> V | None:
        """Let the oldest entry go; None when the table is empty."""
        if not self._entries:
            return None
        _, value = self._entries.popitem(last=False)
        self.evicted += 1
        return value

    def clear(self) -> None:
        """Let all entries go, which the bound did not cost."""
        self._entries.clear()

    def values(self) -> Iterator[V]:
        return iter(self._entries.values())

    def items(self) -> Iterator[tuple[K, V]]:
        return iter(self._entries.items())

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries
