"""What is about to happen, while it is being worked out: nothing of it counts before it is applied."""

from __future__ import annotations

from imswire.x1 import Request, Response
from midcall.base.x1_element.values import (
    Armed,
    Change,
    Changed,
    Disarmed,
    DropTask,
    Follow,
    Held,
    KeepTask,
    Reason,
    State,
    Step,
)
from midcall.events import Instant


class Draft:
    """Collects one ``Step``, at ``now``."""

    def __init__(self, now: Instant) -> None:
        self.now = now
        self._changes: list[Change] = []
        self._moves: list[tuple[str, Held]] = []
        self._follows: list[Follow] = []
        self._touched: set[str] = set()

    def has(self, xid: str) -> bool:
        """Whether the task stands otherwise already."""
        return xid in self._touched

    def change(self, change: Change | None) -> None:
        if change is not None:
            self._changes.append(change)

    def follow(self, *follows: Follow) -> None:
        self._follows.extend(follows)

    def keep(self, held: Held, former: Held | None, reason: Reason) -> None:
        """A task that was ordered or modified."""
        self._touched.add(held.details.xid)
        self.change(KeepTask(held.details.xid, held))
        self._turn(held, former, reason)

    def move(self, held: Held, former: Held | None, reason: Reason) -> None:
        """A task that stands otherwise than before, without anybody having ordered it."""
        self._touched.add(held.details.xid)
        self._moves.append((held.details.xid, held))
        self._turn(held, former, reason)

    def drop(self, former: Held, reason: Reason) -> None:
        """A task that is gone."""
        self._touched.add(former.details.xid)
        self.change(DropTask(former.details.xid))
        if former.state is State.ARMED:
            self.follow(Disarmed(former.details.xid, self.now, reason))

    def _turn(self, held: Held, former: Held | None, reason: Reason) -> None:
        before = former.order if former is not None and former.state is State.ARMED else None
        after = held.order if held.state is State.ARMED else None
        if before is None and after is not None:
            self.follow(Armed(after))
        elif before is not None and after is None:
            self.follow(Disarmed(held.details.xid, self.now, reason))
        elif before is not None and after is not None and before != after:
            self.follow(Changed(after, before))

    def step(self, response: Response | None = None, request: Request | None = None) -> Step:
        return Step(response, tuple(self._changes), tuple(self._moves), tuple(self._follows), request)
