"""Functions of a text from the network with remembered results: of short texts alone, so that the room is bounded."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

LONGEST = 200
"""Characters of a text whose result is remembered: a longer one is rare, and would fill memory at its sender's will."""

R = TypeVar("R")


def remembered(function: Callable[[str], R], most: int) -> Callable[[str], R]:
    """``function`` with the results of the last ``most`` different texts at hand."""
    known = lru_cache(maxsize=most)(function)

    def find(text: str) -> R:
        return known(text) if len(text) <= LONGEST else function(text)

    return find
