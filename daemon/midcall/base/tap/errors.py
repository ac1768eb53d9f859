"""What can stand in the way of a tap.

TapError
├── NotPermitted       the system refuses: ``missing`` names the capability or setting
├── ProgramRefused     the kernel's verifier refuses the filter: ``log`` is what it says
└── MapFull            no more places can be armed
"""

from __future__ import annotations


class TapError(Exception):
    """The tap cannot be opened, handed over or used; the message says what to do."""


class NotPermitted(TapError):
    """The system does not permit it to this process."""

    def __init__(self, what: str, missing: str) -> None:
        super().__init__(f"{what} is not permitted: {missing} is missing")
        self.missing = missing


class ProgramRefused(TapError):
    """The verifier found fault with a filter program."""

    def __init__(self, reason: str, log: str) -> None:
        super().__init__(f"the kernel refuses the filter program: {reason}; {log.strip()[-500:]}")
        self.log = log


class MapFull(TapError):
    """As many entries as the map was made for."""
