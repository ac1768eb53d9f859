"""One element as its ADMF sees it: what it is to hold, what it holds, and the next request that makes them the same.

Pure: nothing is remembered of what was asked but in its answer, so that a restart, a lost answer or a repeated request
lead to the same end: what is held is read first, then changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct, structs

from imswire import x1
from imswire.x1 import ErrorCode
from midcall.admf.plan import At
from midcall.admf.reconcile import Holdings, Keep, Notice, Outcome, Wanted, is_place, is_task
from midcall.admf.values import SECOND, AlarmKind
from midcall.events import Instant

FIRST_PAUSE, LONGEST_PAUSE = 1 * SECOND, 30 * SECOND
AGAIN = 60 * SECOND
"""After a refusal: it will hardly be another one before somebody has done something."""


class Ask(Struct, frozen=True):
    """A request without its header; ``ends``: it can only end something, and waits for no audit."""

    kind: type[x1.Request]
    members: tuple[Any, ...] = ()
    ends: bool = False

    def __repr__(self) -> str:
        return f"Ask({self.kind.__name__})"

    @property
    def subject(self) -> str:
        """XID or DID; empty: the element itself."""
        if not self.members:
            return ""
        (member,) = self.members
        if isinstance(member, x1.TaskDetails):
            return member.xid
        return member.did if isinstance(member, x1.DestinationDetails) else str(member)


READ, LIST = Ask(x1.GetAllDetailsRequest), Ask(x1.ListAllDetailsRequest)
_NOT_AS_READ = (ErrorCode.XID_EXISTS, ErrorCode.DID_EXISTS, ErrorCode.XID_UNKNOWN, ErrorCode.DID_UNKNOWN)
"""What it holds has changed since it was read."""
KEEPALIVE, PING = Ask(x1.KeepaliveRequest), Ask(x1.PingRequest)


class Link(Holdings):
    """``acknowledged`` and ``lost`` are what was kept of it. ``may_begin`` and ``may_end`` know the other elements:
    a POI begins behind its DFs, and these end behind it."""

    def __init__(
        self,
        at: At,
        now: Instant,
        read_every: int,
        keepalive_every: int,
        may_begin: Callable[[At, str], bool],
        may_end: Callable[[At, str], bool],
    ) -> None:
        super().__init__(at)
        self.silent = False
        self.revoked: dict[str, bytes] = {}
        """Signed revocations, by tasks under what they revoke that are to end."""
        self._tidy = False
        self._blocked: set[str] = set()
        self._refused: dict[str, int] = {}
        self._read_every, self._keepalive_every = read_every, keepalive_every
        self._read_at = now.mono
        self._was_read = now.mono - SECOND
        self._alive_at = now.mono + keepalive_every
        self._alive = KEEPALIVE
        self._not_before = now.mono
        self._attempt = 0
        self._may_begin, self._may_end = may_begin, may_end

    # What it is to hold

    def want(self, xid: str, wanted: Wanted | None) -> None:
        """A task as it is to be; None: not at all."""
        if self.wanted.get(xid) == wanted:
            return
        if wanted is None:
            del self.wanted[xid]
        else:
            self.wanted[xid] = wanted
        self._refused.pop(xid, None)
        self.wake(xid)

    def wake(self, xid: str | None = None) -> None:
        """Something that a task waited for may have come; None: that any of them did."""
        woken = tuple(self._blocked) if xid is None else (xid,)
        self._blocked.difference_update(woken)
        self.todo.update(dict.fromkeys(woken))

    def found(self, xid: str) -> Keep | None:
        """A task that it lost is wanted no more, or a person has said that it is to have it again."""
        self._refused.pop(xid, None)
        self.wake(xid)
        if xid not in self.lost:
            return None
        self.lost.discard(xid)
        if self.held is None or xid in self.held:
            return Keep(self.at.ne, xid, self.acknowledged.get(xid))
        self.acknowledged.pop(xid, None)
        return Keep(self.at.ne, xid, None)

    def read_again(self, now: Instant) -> None:
        """What it holds may be another thing: it is read again, and not more often than each second."""
        self._read_at = min(self._read_at, max(now.mono, self._was_read + SECOND))

    def holds(self, xid: str, did: str = "") -> bool:
        """Whether product may come of a task there, and go to ``did`` where one is given. What is silent, or does not
        obey, is not waited for.
        """
        if self._attempt or xid in self._refused:
            return False
        details = None if self.held is None else self.held.get(xid)
        if did and details is not None and did not in details.destinations.dids:
            return False
        return xid in (self.acknowledged if self.held is None else self.held)

    def has(self, xid: str) -> bool:
        """Whether it holds a task just as it is to."""
        wanted = self.wanted.get(xid)
        return wanted is not None and self.held is not None and is_task(self.held.get(xid), wanted.details)

    def knows(self, subject: str) -> bool:
        """Whether a task or destination is wanted, or held."""
        held = () if self.held is None else self.held
        if subject in self.wanted or subject in held or subject in self.destinations:
            return True
        return any(each.destination.did == subject for each in self.wanted.values())

    def state(self, xid: str) -> str:
        """In a word, for people."""
        if xid in self.lost:
            return "lost"
        if self.held is None:
            return "not known"
        if xid in self.failed:
            return "failed"
        if self.has(xid):
            return "waits" if xid in self.waiting else "armed"
        return "refused" if xid in self._refused else "ends" if xid in self.held else "none"

    # The next request

    def next(self, now: Instant) -> Ask | None:
        """None: nothing is to be asked before ``due``, or before something else happens."""
        if now.mono < self._not_before:
            return None
        if self.held is None or now.mono >= self._read_at:
            return LIST if self.many else READ
        for xid in [each for each, until in self._refused.items() if now.mono >= until]:
            del self._refused[xid]
            self.todo[xid] = None
        while self.todo:
            xid = next(iter(self.todo))
            ask = self._step(xid)
            if ask is not None:
                return ask
            del self.todo[xid]
        while self.looks:
            xid = next(iter(self.looks))
            del self.looks[xid]
            if xid in self.held:
                return Ask(x1.GetTaskDetailsRequest, (xid,))
        if self._tidy and all(each is not None for each in self.held.values()):
            unused = self._unused()
            if unused is not None:
                return Ask(x1.RemoveDestinationRequest, (unused,), ends=True)
            self._tidy = False
        return self._alive if now.mono >= self._alive_at else None

    def due(self) -> int:
        """Monotonic ns."""
        return max(self._not_before, min((self._read_at, self._alive_at, *self._refused.values())))

    def _step(self, xid: str) -> Ask | None:
        """What brings one task nearer to what it is to be; None: nothing, or not now."""
        assert self.held is not None
        there, held, wanted = xid in self.held, self.held.get(xid), self.wanted.get(xid)
        if xid in self._refused:
            return None
        if wanted is None or xid in self.lost:
            if not there:
                return None
            if not self._may_end(self.at, xid):
                self._blocked.add(xid)
                return None
            return self._end(xid, held)
        return self._place(wanted) or self._begin(xid, wanted, held, there=there)

    def _place(self, wanted: Wanted) -> Ask | None:
        """A destination that is there is to be the right one."""
        did = wanted.destination.did
        found = self.destinations.get(did)
        if did not in self.destinations or did in self._refused:
            return None
        if found is None:
            return Ask(x1.GetDestinationDetailsRequest, (did,))
        if is_place(found, wanted.destination):
            return None
        return Ask(x1.ModifyDestinationRequest, (wanted.destination,))

    def _begin(self, xid: str, wanted: Wanted, held: x1.TaskDetails | None, *, there: bool) -> Ask | None:
        if there and held is None:
            return Ask(x1.GetTaskDetailsRequest, (xid,))
        if is_task(held, wanted.details):
            return None
        if not self._may_begin(self.at, xid):
            self._blocked.add(xid)
            return None
        if wanted.destination.did not in self.destinations:
            return Ask(x1.CreateDestinationRequest, (wanted.destination,))
        return Ask(x1.ModifyTaskRequest if there else x1.ActivateTaskRequest, (wanted.details,))

    def _end(self, xid: str, held: x1.TaskDetails | None) -> Ask:
        """X1 has no message for a revocation: it comes in place of the warrant, and the task is deactivated after it.

        There are elements that refuse it as what it is.
        """
        octets = self.revoked.get(xid)
        if octets is None or held is None:
            return Ask(x1.DeactivateTaskRequest, (xid,), ends=True)
        revoked = structs.replace(held, extensions=(x1.warrant_extension(octets),))
        return Ask(x1.ModifyTaskRequest, (revoked,), ends=True)

    def _unused(self) -> str | None:
        """A destination of nobody's."""
        assert self.held is not None
        used = {did for each in self.held.values() if each is not None for did in each.destinations.dids}
        used.update(each.destination.did for each in self.wanted.values())
        return next((did for did in self.destinations if did not in used and did not in self._refused), None)

    # Its answer

    def unreachable(self, now: Instant, why: str) -> Iterator[Outcome]:
        """It could not be asked, or what it said is no answer."""
        pause = min(FIRST_PAUSE << self._attempt, LONGEST_PAUSE)
        self._attempt = min(self._attempt + 1, 10)
        self._not_before = now.mono + pause
        self.held = None
        if self._attempt > 1 and not self.silent:
            self.silent = True
            yield Notice(AlarmKind.SILENT, "", why)

    def answered(self, ask: Ask, response: x1.Response, now: Instant) -> Iterator[Outcome]:
        """What an answer changes, and what somebody has to know."""
        self._attempt = 0
        self._alive_at = now.mono + self._keepalive_every
        if self.silent:
            self.silent = False
            yield Notice(AlarmKind.SILENT, over=True)
        if isinstance(response, x1.ErrorResponse):
            yield from self._refusal(ask, response, now)
        elif isinstance(response, x1.GetAllDetailsResponse):
            yield from self._read(self.compare(response), now)
        elif isinstance(response, x1.ListAllDetailsResponse):
            yield from self._read(self.compare_names(response), now)
        elif isinstance(response, x1.GetTaskDetailsResponse) and self.held is not None:
            yield from self.task(ask.subject, response.details)
        elif isinstance(response, x1.GetDestinationDetailsResponse):
            yield from self.place(ask.subject, response.details)
        elif isinstance(response, x1.Acknowledgement):
            yield from self._done(ask, response)

    def _read(self, outcomes: Iterator[Outcome], now: Instant) -> Iterator[Outcome]:
        self._was_read, self._read_at = now.mono, now.mono + self._read_every
        yield Notice(AlarmKind.REFUSED, over=True)
        yield from outcomes
        self._tidy = True
        self._blocked.clear()

    def _refusal(self, ask: Ask, response: x1.ErrorResponse, now: Instant) -> Iterator[Outcome]:
        code, subject = response.error.code, ask.subject
        if ask.kind is x1.ModifyTaskRequest and ask.ends:
            self.revoked.pop(subject, None)
            return
        if code == ErrorCode.KEEPALIVE_UNSUPPORTED:
            self._alive = PING
        elif code == ErrorCode.XID_UNKNOWN and ask.kind is x1.DeactivateTaskRequest:
            yield from self._gone(subject)
        elif code == ErrorCode.DID_UNKNOWN and ask.kind is x1.RemoveDestinationRequest:
            self.destinations.pop(subject, None)
        elif not subject:
            self._not_before = now.mono + AGAIN
            yield Notice(AlarmKind.REFUSED, "", _said(ask, code))
        else:
            self._later(subject, now)
            if code in _NOT_AS_READ:
                self.held = None
            else:
                yield Notice(AlarmKind.REFUSED, subject, _said(ask, code))

    def _later(self, subject: str, now: Instant) -> None:
        """A task or destination that was refused, and the tasks behind a destination, which wait as it does."""
        self._refused[subject] = now.mono + AGAIN
        if subject in self.wanted:
            return
        for xid, wanted in self.wanted.items():
            if wanted.destination.did == subject and not self.has(xid):
                self._refused[xid] = now.mono + AGAIN

    def _done(self, ask: Ask, response: x1.Acknowledgement) -> Iterator[Outcome]:
        subject = ask.subject
        if ask.kind in (x1.ActivateTaskRequest, x1.ModifyTaskRequest):
            (details,) = ask.members
            assert self.held is not None
            if ask.ends:
                self.revoked.pop(subject, None)
            self.held[subject] = details
            self.failed.discard(subject)
            (self.waiting.discard if response.ok is x1.Ok.COMPLETED else self.waiting.add)(subject)
            wanted = self.wanted.get(subject)
            if wanted is not None and wanted.details == details:
                yield self.keep(subject, wanted.digest)
            yield Notice(AlarmKind.REFUSED, subject, over=True)
            yield Notice(AlarmKind.FAILED_TASK, subject, over=True)
        elif ask.kind is x1.DeactivateTaskRequest:
            yield from self._gone(subject)
            yield Notice(AlarmKind.REFUSED, subject, over=True)
        elif ask.kind in (x1.CreateDestinationRequest, x1.ModifyDestinationRequest):
            (whereto,) = ask.members
            self.destinations[subject] = whereto
            yield Notice(AlarmKind.REFUSED, subject, over=True)
            yield Notice(AlarmKind.ALTERED_DESTINATION, subject, over=True)
        elif ask.kind is x1.RemoveDestinationRequest:
            self.destinations.pop(subject, None)
            for kind in (AlarmKind.STRANGE_DESTINATION, AlarmKind.ALTERED_DESTINATION, AlarmKind.DELIVERY):
                yield Notice(kind, subject, over=True)

    def _gone(self, xid: str) -> Iterator[Outcome]:
        self._tidy = True
        if self.held is not None:
            self.held.pop(xid, None)
        self.waiting.discard(xid)
        self.failed.discard(xid)
        self.revoked.pop(xid, None)
        if self.acknowledged.pop(xid, None) is not None and xid not in self.lost:
            yield Keep(self.at.ne, xid, None)
        yield Notice(AlarmKind.FAILED_TASK, xid, over=True)
        yield Notice(AlarmKind.STRANGE_TASK, xid, over=True)


def _said(ask: Ask, code: int) -> str:
    return f"{ask.kind.__name__.removesuffix('Request')}: {code}"
