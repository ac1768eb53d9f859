"""One thing that was looked at."""

from __future__ import annotations

import enum

from msgspec import Struct


class State(enum.Enum):
    """``NOTE``: true of this host, wrong only for some uses of it."""

    GOOD = "ok"
    NOTE = "note"
    MEND = "MEND"


class Finding(Struct, frozen=True):
    """``found`` and, unless it is good, what to do about it."""

    state: State
    subject: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.state.value:<5}{self.subject}: {self.found}{'; ' + self.advice if self.advice else ''}"


def good(subject: str, found: str) -> Finding:
    return Finding(State.GOOD, subject, found)


def note(subject: str, found: str, advice: str) -> Finding:
    return Finding(State.NOTE, subject, found, advice)


def mend(subject: str, found: str, advice: str) -> Finding:
    return Finding(State.MEND, subject, found, advice)
