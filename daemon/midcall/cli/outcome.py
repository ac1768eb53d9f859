"""What comes of an order to an ADMF: it answers when it has written it down, and the elements hear of it after that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from midcall.admf.roles import Command
from midcall.admf.values import Status
from midcall.admf.wire import Done, Shown
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, Failed

PAUSES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each question: elements that answer are done within one; each question is an entry in the audit."""
_HELD = {"armed", "waits"}
_ASK = {
    Status.ERROR: "midcall warrant alarms tells why, as does the log of the LI plane of the element",
    Status.AWAITING_PROVISIONING: "it goes on by itself; midcall warrant show, alarms and health tell how",
    Status.SUSPENDED: "it goes on by itself; midcall warrant show, alarms and health tell how",
}


def follow(command: Command, done: Done, show: Callable[[], Shown], say: Callable[[str], None]) -> int:
    """Wait for what elements make of an order that was taken, tell it, and the exit status.

    ``show`` asks the ADMF about the warrant (Failed). What begins later is not waited for.
    """
    # Else nothing is under way: it is there, or waits for a second administrator.
    if done.status != (Status.SUSPENDED if command is Command.REVOKE else Status.AWAITING_PROVISIONING):
        return DONE
    found = None
    for found in _asked(show):
        if _settled(command, found):
            break
    if found is None:
        say("how elements took it could not be asked: midcall warrant list tells")
        return DONE_WITH_ERRORS
    return _told(command, done, found, say)


def _asked(show: Callable[[], Shown]) -> Iterator[Shown]:
    """How it stands, again and again; not longer than it can be asked."""
    for pause in PAUSES:
        time.sleep(pause)
        try:
            yield show()
        except Failed:
            return


def _states(found: Shown) -> set[str]:
    return {state for tasks in found.elements.values() for state in tasks.values()}


def _settled(command: Command, found: Shown) -> bool:
    if command is Command.REVOKE:
        return found.status != Status.SUSPENDED or _states(found) <= {"none"}
    return found.status != Status.AWAITING_PROVISIONING or _states(found) <= _HELD


def _told(command: Command, done: Done, found: Shown, say: Callable[[str], None]) -> int:
    name = f"{done.id} version {done.version}"
    if _settled(command, found) and found.status != Status.ERROR:
        if command is Command.REVOKE:
            say(f"{name}: ended at all elements")
        elif found.status == Status.AWAITING_PROVISIONING:
            say(f"{name}: all elements have it, and begin with its window")
        else:
            say(f"{name}: {found.status}")
        return DONE
    say(f"{name}: {found.status}, not at all elements")
    for ne, tasks in sorted(found.elements.items()):
        for xid, state in sorted(tasks.items()):
            say(f"at {ne}: XID {xid}: {state}")
    if hint := _ASK.get(Status(found.status)):
        say(hint)
    return DONE_WITH_ERRORS
