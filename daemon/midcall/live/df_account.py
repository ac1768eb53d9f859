"""Calls under tasks as the mediation functions saw them: events, questions to the KMS, what became of packets."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from midcall.df3 import Finished, Stream, Tapped
from midcall.events import (
    DialogFault,
    DialogId,
    DialogReleased,
    Failure,
    KeyAnswer,
    KeyQuery,
    MediaPlan,
    SessionReport,
    SipReport,
    StartOfInterception,
    X2Event,
)
from midcall.live.accounts import Accounts, Forks, is_authenticated, note
from midcall.live.ladder import MAX_STREAMS, StreamCounts

SUMS = (
    "packets",
    "decrypted",
    "clear",
    "encrypted",
    "tag_failures",
    "without_key",
    "replayed",
    "too_old",
    "malformed",
)
"""What is summed up over the streams of media."""
log = logging.getLogger("midcall.li.x2")


class Media(Struct, frozen=True):
    """Packets of one dialog: places, what waits for keys, streams (the busiest first), and sums over all of them."""

    places: int = 0
    held: int = 0
    streams: tuple[StreamCounts, ...] = ()
    sums: dict[str, int] = {}
    dropped: dict[str, int] = {}

    @classmethod
    def of(cls, streams: Iterable[Stream], dropped: Mapping[str, int], places: int = 0, held: int = 0) -> Media:
        counts = sorted(map(_counts, streams), key=lambda each: -each.packets)
        sums = {name: sum(getattr(each, name) for each in counts if not each.rtcp) for name in SUMS}
        control = [each for each in counts if each.rtcp]
        sums["rtcp"] = sum(each.decrypted + each.clear + each.encrypted for each in control)
        failed = sum(each.packets for each in control) - sums["rtcp"]
        lost = {"rtcp_failed": dropped.get("rtcp_failed", 0) + failed} if failed else {}
        return cls(places, held, tuple(counts[:MAX_STREAMS]), sums, {**dropped, **lost})

    @property
    def seen(self) -> int:
        """Packets that came to the dialog's places."""
        return self.sums.get("packets", 0) + self.sums.get("rtcp", 0) + self.held + sum(self.dropped.values())

    @property
    def content(self) -> int:
        """Packets of media that became content records; those of RTCP are counted apart."""
        return sum(self.sums.get(name, 0) for name in ("decrypted", "clear", "encrypted"))


class ForkAccount:
    """One dialog of a call under a task."""

    __slots__ = (
        "answered",
        "asked",
        "contexts",
        "ended",
        "exchanges",
        "failures",
        "faults",
        "final",
        "keys",
        "lines",
        "offered",
        "open",
        "pending",
        "planned",
        "secure",
    )

    def __init__(self) -> None:
        self.offered = self.answered = self.pending = False
        self.exchanges = 0
        self.faults: list[str] = []
        self.asked = 0
        self.open: set[int] = set()
        self.keys = 0
        self.failures: list[str] = []
        self.planned = False
        self.lines = self.secure = self.contexts = 0
        self.final: Media | None = None
        self.ended = ""


class Account:
    """One call under one task. ``outside`` counts events outside its window, of which nothing else is kept;
    ``unauthenticated`` those made of copies that others could have forged; ``removed``, by kind, what was taken out of
    its records before they went.
    """

    __slots__ = ("events", "first", "forks", "last", "mid_call", "outside", "removed", "unauthenticated")

    def __init__(self) -> None:
        self.events = self.outside = self.unauthenticated = 0
        self.removed: Counter[str] = Counter()
        self.first = self.last = 0
        self.mid_call = False
        self.forks: Forks[ForkAccount] = Forks(ForkAccount)


class DfAccounts:
    """Told of what happens to calls under tasks that are ordered here, and of nothing else."""

    def __init__(self) -> None:
        self._accounts: Accounts[Account] = Accounts(Account)
        self._asked: dict[int, ForkAccount] = {}
        self._unreadable = False

    def unreadable(self, reason: str) -> None:
        """X2 of a task that is lost since nobody can read it."""
        if not self._unreadable:
            log.warning("X2 under a task cannot be read and is lost: %s (told once, until some can be read)", reason)
        self._unreadable = True

    def event(self, event: X2Event) -> None:
        """An X2 event that is taken in."""
        self._unreadable = False
        if event.dialog is None:
            return
        account = self._accounts.of(event.dialog.call_id, event.xid)
        fork = account.forks.of(event.dialog)
        at = (event.seen.at if isinstance(event, SipReport) else event.at).wall
        account.first, account.last = account.first or at, at
        if isinstance(event, SipReport | StartOfInterception):
            account.events += 1
            account.unauthenticated += not is_authenticated(event)
            account.mid_call |= isinstance(event, StartOfInterception)
        elif isinstance(event, SessionReport):
            fork.offered, fork.answered = event.offer is not None, event.answer is not None
            fork.pending, fork.exchanges = event.pending, len(event.exchanges)
        elif isinstance(event, DialogFault):
            note(fork.faults, event.reason)
        elif isinstance(event, DialogReleased):
            fork.ended = event.reason

    def removed(self, event: X2Event, kinds: Iterable[str]) -> None:
        """What was taken out of the record of an event."""
        if event.dialog is not None:
            self._accounts.of(event.dialog.call_id, event.xid).removed.update(kinds)

    def outside(self, event: X2Event) -> None:
        """An X2 event outside the window of its task."""
        if event.dialog is not None:
            self._accounts.of(event.dialog.call_id, event.xid).outside += 1

    def plan(self, plan: MediaPlan) -> None:
        """What is to be tapped."""
        fork = self._fork(plan.xid, plan.dialog)
        if fork is not None:
            lines = {flow.media: flow.secure for flow in plan.flows}
            fork.planned, fork.lines, fork.secure = True, len(lines), sum(lines.values())
            fork.contexts = len(plan.contexts)

    def asked(self, query: KeyQuery, dialog: DialogId | None) -> None:
        """The KMS is asked."""
        fork = None if dialog is None else self._fork(query.xid, dialog)
        if fork is not None:
            self._asked[query.query] = fork
            fork.asked += 1
            fork.open.add(query.query)

    def answered(self, answer: KeyAnswer) -> None:
        """The KMS has answered, or has not in time."""
        fork = self._asked.pop(answer.query, None)
        if fork is None:
            return
        fork.open.discard(answer.query)
        fork.keys += len(answer.keys)
        for reason in answer.failures:
            note(fork.failures, reason)

    def failure(self, failure: Failure) -> None:
        """Why a part of a dialog gives no content in clear."""
        fork = self._fork(failure.xid, failure.dialog)
        if fork is not None:
            note(fork.failures if failure.keys else fork.faults, failure.reason)

    def finished(self, each: Finished) -> None:
        """Nothing more comes of a dialog: its last counts."""
        fork = self._fork(each.xid, each.dialog)
        if fork is not None:
            fork.final = Media.of(each.streams, each.dropped)

    def ended(self, xid: str) -> None:
        """The task is over."""
        self._accounts.ended(xid)

    def find(self, call_id: str) -> Mapping[str, Account]:
        """By XID; empty for every call that is under no task."""
        return self._accounts.find(call_id)

    def _fork(self, xid: str, dialog: DialogId) -> ForkAccount | None:
        """Events open accounts; what follows from them does not, for it may come after the end of its task."""
        account = self._accounts.find(dialog.call_id).get(xid)
        return None if account is None else account.forks.of(dialog)


def media(tapped: Tapped | None, fork: ForkAccount) -> Media:
    """The packets of a dialog, as they stand or as they were at its end."""
    if tapped is not None:
        return Media.of(tapped.streams, tapped.dropped, tapped.places, tapped.held)
    return fork.final or Media()


def _counts(stream: Stream) -> StreamCounts:
    return StreamCounts(
        media=stream.flow.media + 1,
        kind=stream.flow.kind,
        sender=stream.flow.sender.name.lower(),
        rtcp=stream.control,
        packets=stream.packets,
        decrypted=stream.decrypted,
        clear=stream.clear,
        encrypted=stream.encrypted,
        tag_failures=stream.auth_failed,
        without_key=stream.unopened,
        replayed=stream.replayed,
        too_old=stream.too_old,
        malformed=stream.malformed,
        rollover=stream.roc,
    )
