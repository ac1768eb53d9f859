"""What is wrong with tasks, destinations and the element: told once when it begins, once when all of it is over.

Reports of a fault and of its clearing alternate strictly (TS 103 221-1 5.3); a terminating fault is the last.
"""

from __future__ import annotations

from imswire.x1 import ErrorCode, Fault

MAX_KEYS = 16
"""Faults of one subject that are told apart."""
MAX_TEXT = 255
NE = ""
"""The element itself, as a subject."""


def told(text: str) -> str:
    """A text as X1 has room for."""
    return "".join(each if each.isprintable() else "?" for each in text)[:MAX_TEXT]


class Faults:
    """By subject (XID, DID, ``NE``), then by a key of who found it."""

    def __init__(self) -> None:
        self._open: dict[str, dict[str, Fault]] = {}

    def found(self, subject: str, key: str, text: str, code: ErrorCode) -> bool:
        """Whether it is the first of its subject, which is then to be reported."""
        faults = self._open.setdefault(subject, {})
        first = not faults
        if key in faults or len(faults) < MAX_KEYS:
            faults[key] = Fault(int(code), text)
        return first

    def cleared(self, subject: str, key: str) -> bool:
        """Whether it was the last of its subject."""
        faults = self._open.get(subject)
        if faults is None or faults.pop(key, None) is None or faults:
            return False
        del self._open[subject]
        return True

    def forget(self, subject: str) -> bool:
        """The subject is gone, or new; whether it had faults."""
        return self._open.pop(subject, None) is not None

    def of(self, subject: str) -> tuple[Fault, ...]:
        return tuple(self._open.get(subject, {}).values())
