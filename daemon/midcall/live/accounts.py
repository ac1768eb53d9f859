"""What is remembered of calls under tasks, so that it can be explained why there is, or is not, content for them.

Filled from X2 events alone: a call that no armed task matches has no place here, and a question about it ends at the
same look-up as one about a call that never was. Counts and reasons are kept, no messages: those are the ticket cache's
business, and its bounds in time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from midcall.base.bounded import BoundedTable
from midcall.base.log import redacted
from midcall.events import DialogId, SipReport, StartOfInterception

CALLS = 16_384
"""A day of a hundred busy targets; beyond it the calls of which nothing was heard for longest are forgotten."""
FORKS = 32
REASONS = 8

A = TypeVar("A")
F = TypeVar("F")


class Accounts(Generic[A]):
    """By Call-ID, then by task."""

    def __init__(self, make: Callable[[], A]) -> None:
        self._make = make
        self._calls: BoundedTable[str, dict[str, A]] = BoundedTable("live.accounts", CALLS)

    def of(self, call_id: str, xid: str) -> A:
        """The account of a call under a task, which is opened when there is none."""
        tasks = self._calls.get(call_id)
        if tasks is None:
            tasks = {}
            self._calls.put(call_id, tasks)
        else:
            self._calls.touch(call_id)
        account = tasks.get(xid)
        if account is None:
            account = tasks[xid] = self._make()
        return account

    def find(self, call_id: str) -> Mapping[str, A]:
        """By XID; empty for every call that is under no task."""
        return self._calls.get(call_id) or {}

    def ended(self, xid: str) -> None:
        """A task is over: nothing is explained under it any more."""
        for call_id, tasks in list(self._calls.items()):
            if tasks.pop(xid, None) is not None and not tasks:
                self._calls.pop(call_id)

    def __len__(self) -> int:
        return len(self._calls)


class Forks(Generic[F]):
    """The dialogs of one call. What was known before anybody had answered is the first fork's."""

    def __init__(self, make: Callable[[], F]) -> None:
        self._make = make
        self._forks: dict[DialogId, F] = {}

    def of(self, dialog: DialogId) -> F:
        """The account of a dialog, opened when there is none; one too many is not kept."""
        known = self._forks.get(dialog)
        if known is not None:
            return known
        if not dialog.callee_tag:
            later = next((fork for each, fork in self._forks.items() if each.caller_tag == dialog.caller_tag), None)
            if later is not None:
                return later
        found = self._forks.pop(DialogId(dialog.call_id, dialog.caller_tag, ""), None) or self._make()
        if len(self._forks) < FORKS:
            self._forks[dialog] = found
        return found

    def items(self) -> tuple[tuple[DialogId, F], ...]:
        return tuple(self._forks.items())


def note(reasons: list[str], reason: str) -> None:
    """One more reason, once, without what could be an identity; a hostile call makes no more than a few."""
    said = redacted(reason)
    if said not in reasons and len(reasons) < REASONS:
        reasons.append(said)


def is_authenticated(event: SipReport | StartOfInterception) -> bool:
    """Whether the copies that an event was made of came over a way on which nobody else can forge them."""
    return event.seen.authenticated if isinstance(event, SipReport) else event.authenticated
