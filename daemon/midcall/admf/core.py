"""The ADMF as a whole: the book of warrants, a link to each element, and alarms (DESIGN 5 and 8).

Pure. An act of a person gives an ``Act``, which is kept on the disk and then counts by ``enter``; what ends something
counts at once. All that changes is fetched with ``changes`` and kept as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from imswire import x1
from imswire.x1 import NeIssueType, TaskReportType
from midcall.admf import plan, sharing
from midcall.admf.alarms import Alarms, Key
from midcall.admf.book import Book, InForce, Limits
from midcall.admf.link import Ask, Link
from midcall.admf.plan import At
from midcall.admf.reconcile import Keep, Notice, Outcome, Wanted
from midcall.admf.roles import Person
from midcall.admf.values import SECOND, Alarm, AlarmKind, Record, Status
from midcall.base.warrant import ClockGuard, Refused, TrustList, Warrant
from midcall.base.warrant.envelope import Signature
from midcall.events import Instant

LOOK_NS = 60 * SECOND
"""How often all that is over is looked for."""
NEVER = 1 << 62
HOUR = 3_600 * SECOND
MAX_ENDS = 100_000
_OF_THIS_RUN = (
    AlarmKind.CLOCK,
    AlarmKind.SILENT,
    AlarmKind.AUDIT,
    AlarmKind.DISAGREES,
    AlarmKind.STORE,
    AlarmKind.NOT_PLACED,
)
_OF_SUBJECTS = (AlarmKind.REFUSED, AlarmKind.FAILED_TASK, AlarmKind.ALTERED_DESTINATION, AlarmKind.DELIVERY)
_OF_TASKS = (AlarmKind.MISSING_TASK, AlarmKind.ALTERED_TASK, AlarmKind.REFUSED, AlarmKind.FAILED_TASK)


class Act(Struct, frozen=True):
    """What a person has done, to which version: the record as it is now, and what is to be told of it."""

    record: Record
    version: int
    activated: bool = False
    outcome: str = "done"


class Memory(Struct, frozen=True):
    """What was kept."""

    records: tuple[Record, ...] = ()
    activations: tuple[int, ...] = ()
    keeps: tuple[Keep, ...] = ()
    alarms: tuple[Alarm, ...] = ()


class Changes(Struct, frozen=True):
    """What is to be kept: of links by element and XID, of alarms by their key (None: it made room), of records."""

    records: tuple[Record, ...] = ()
    keeps: tuple[Keep, ...] = ()
    alarms: tuple[tuple[Key, Alarm | None], ...] = ()


class Admf:
    """``elements`` are ordered from here; times between readings and keepalives in ns."""

    def __init__(
        self,
        elements: Iterable[At],
        trust: TrustList,
        limits: Limits,
        now: Instant,
        memory: Memory | None = None,
        *,
        read_every: int = 60 * SECOND,
        keepalive_every: int = 60 * SECOND,
    ) -> None:
        memory = memory or Memory()
        at = tuple(sorted(elements, key=lambda each: plan.ROLES.index(each.role)))
        self._clock = ClockGuard(now)
        self._steady = now
        self.book = Book(trust, at, limits, self._clock, memory.records, memory.activations)
        self.alarms = Alarms(memory.alarms)
        self.links = {
            each.ne: Link(each, now, read_every, keepalive_every, self._may_begin, self._may_end) for each in at
        }
        for keep in memory.keeps:
            link = self.links.get(keep.ne)
            if link is not None and keep.digest is not None:
                link.acknowledged[keep.xid] = keep.digest
                if keep.lost:
                    link.lost.add(keep.xid)
        for alarm in self.alarms.standing:
            if alarm.kind in _OF_THIS_RUN:
                self.alarms.over(alarm.kind, alarm.element, alarm.subject, now.wall)
        self._force: dict[str, InForce | Refused] = {}
        self._keeps: list[Keep] = []
        self._records: dict[str, Record] = {}
        self._looked = now.mono
        self._ends: list[int] = []
        self._per_hour = limits.per_hour
        self._mono = self._wall = NEVER
        for identifier in list(self.book.records):
            self._refresh(identifier, now)

    # Acts of people. Denied

    def draft(self, octets: bytes, person: Person, now: Instant) -> Act:
        record = self.book.draft(octets, person, now)
        return Act(record, record.last)

    def approve(self, identifier: str, version: int, signature: Signature, person: Person, now: Instant) -> Act:
        return Act(self.book.approve(identifier, version, signature, person, now), version)

    def activate(self, identifier: str, person: Person, now: Instant) -> Act:
        record = self.book.activate(identifier, person, now)
        if record.asked:
            return Act(record, record.asked, outcome="waits for a second administrator")
        former = self.book.records[identifier]
        begins = former.suspended or set(record.ordered) != set(former.ordered)
        return Act(record, max(record.ordered), activated=begins)

    def revoke(self, identifier: str) -> Act:
        record = self.book.revoke(identifier)
        if not record.papers:
            return Act(record, self.book.records[identifier].last, outcome="withdrawn before approval")
        return Act(record, max(record.ordered, default=record.last))

    def enter(self, act: Act, now: Instant) -> None:
        """An act counts. One that activates lets elements have again what they lost."""
        record = act.record
        if record.asked:
            self._alarm(Notice(AlarmKind.MASS, record.id), "", now)
        else:
            self.alarms.over(AlarmKind.MASS, "", record.id, now.wall)
        if act.activated:
            self.book.activations = (*self.book.within_hour(now), now.wall)
        xids = self._xids(record.id)
        if xids and (record.suspended or record.ended is Status.CANCELLED):
            self._ended_one(now)
        self.book.enter(record)
        self._records[record.id] = record
        self._refresh(record.id, now)
        if record.ended is Status.CANCELLED:
            self._tell_revoked(record, xids)

    def _ended_one(self, now: Instant) -> None:
        """Ends are never refused; many of them somebody has to know of."""
        self._ends = [each for each in self._ends if now.mono - each < HOUR][-MAX_ENDS:] + [now.mono]
        if len(self._ends) > self._per_hour:
            self._alarm(Notice(AlarmKind.MASS_END), "", now)

    def _tell_revoked(self, record: Record, xids: set[str]) -> None:
        """Elements that hold tasks under it learn of the revocation, and take that warrant no more, whoever asks."""
        paper = record.paper(record.last)
        if paper is not None:
            for link in self.links.values():
                link.revoked.update(dict.fromkeys(xids & (link.held or link.acknowledged).keys(), paper.octets))

    def restore(self, identifier: str, now: Instant) -> None:
        """A person has activated it, again: elements are to have what they lost."""
        for xid in self._xids(identifier):
            for link in self.links.values():
                self._found(link, xid, now)
        self._refresh(identifier, now)

    # Elements

    def next(self, ne: str, now: Instant) -> Ask | None:
        """What is to be asked of an element now."""
        return self.links[ne].next(now)

    def answered(self, ne: str, ask: Ask, response: x1.Response, now: Instant) -> None:
        link = self.links[ne]
        self._follow(link, link.answered(ask, response, now), now)
        if ask.kind in (x1.GetAllDetailsRequest, x1.ListAllDetailsRequest):
            self._sweep(link, now)
            self._wake_others(link)

    def _sweep(self, link: Link, now: Instant) -> None:
        """Alarms of what there is no more: neither wanted, nor held."""
        for alarm in self.alarms.standing:
            is_its = alarm.element == link.at.ne and alarm.kind in _OF_SUBJECTS
            if is_its and alarm.subject and not link.knows(alarm.subject):
                self.alarms.over(alarm.kind, alarm.element, alarm.subject, now.wall)

    def unreachable(self, ne: str, why: str, now: Instant) -> None:
        link = self.links[ne]
        self._follow(link, link.unreachable(now, why), now)
        self._wake_others(link)

    def _follow(self, link: Link, outcomes: Iterable[Outcome], now: Instant) -> None:
        for each in outcomes:
            if isinstance(each, Notice):
                self._alarm(each, link.at.ne, now)
                if each.kind is AlarmKind.REFUSED and not each.over:
                    self._wake_others(link)
                continue
            self._keeps.append(each)
            if each.lost and link.at.role == "df":
                # Nothing is to come for what has no mediation.
                self._refresh(self.book.warrant_of(each.xid), now)
            for other in self.links.values():
                if other is not link:
                    other.wake(each.xid)

    def _wake_others(self, link: Link) -> None:
        for other in self.links.values():
            if other is not link:
                other.wake()

    def under(self, xid: str, warrant: Warrant) -> list[Link]:
        """Links to the elements that are to hold a task of a warrant."""
        return sharing.under(xid, warrant, self.links.values())

    def _may_begin(self, at: At, xid: str) -> bool:
        """A POI: when all DFs have it that are to, under its warrant where that is known."""
        force = self._force.get(self.book.warrant_of(xid))
        links = self.under(xid, force.warrant) if isinstance(force, InForce) else self.links.values()
        return at.role != "poi" or all(link.has(xid) for link in links if link.at.role == "df")

    def _may_end(self, at: At, xid: str) -> bool:
        """A DF: when no POI sends to it any more."""
        did = plan.x2_did(at.x2) if sharing.shares(at) else ""
        return at.role != "df" or not any(link.holds(xid, did) for link in self.links.values() if link.at.role == "poi")

    def report(self, request: x1.Request, ne: str, now: Instant) -> None:
        """A report of an element (TS 103 221-1 6.5); its words are its own, and only codes are kept."""
        link = self.links[ne]
        if isinstance(request, x1.ReportTaskIssueRequest):
            self._task_issue(link, request, now)
        elif isinstance(request, x1.ReportDestinationIssueRequest):
            over = request.report is TaskReportType.ALL_CLEAR
            if not over and not link.knows(request.did):
                # Whoever has an element's certificate could otherwise fill the list with names that he made up.
                link.read_again(now)
                return
            self._alarm(Notice(AlarmKind.DELIVERY, request.did, _code(request.code), over), ne, now)
        elif isinstance(request, x1.ReportNEIssueRequest):
            over = request.issue is NeIssueType.FAULT_CLEARED
            if request.issue in (NeIssueType.FAULT_REPORT, NeIssueType.FAULT_CLEARED):
                self._alarm(Notice(AlarmKind.FAULT, "", _code(request.code), over), ne, now)
            elif request.issue is NeIssueType.ALERT:
                self._alarm(Notice(AlarmKind.ALERT, f"at {now.wall // SECOND}", _code(request.code)), ne, now)
            link.read_again(now)

    def _task_issue(self, link: Link, request: x1.ReportTaskIssueRequest, now: Instant) -> None:
        xid, kind = request.xid, request.report
        if kind is TaskReportType.SUCCESSFUL:
            link.waiting.discard(xid)
        elif kind is TaskReportType.ALL_CLEAR:
            self._alarm(Notice(AlarmKind.FAILED_TASK, xid, over=True), link.at.ne, now)
        elif xid in link.wanted:
            self._alarm(Notice(AlarmKind.FAILED_TASK, xid, f"{kind}: {_code(request.code)}"), link.at.ne, now)
            link.read_again(now)
        else:
            link.read_again(now)

    # Time

    def due(self, now: Instant) -> bool:
        return (
            now.mono >= min(self._mono, self._looked + LOOK_NS)
            or now.wall >= self._wall
            or self._clock.steady(now) is self.alarms.stands(AlarmKind.CLOCK)
        )

    def next_deadline(self) -> int:
        """Monotonic ns; the wall clock may say so before."""
        return min(self._mono, self._looked + LOOK_NS)

    def deadline(self, now: Instant) -> None:
        """Windows that begin or end."""
        if not self._clock.steady(now):
            self._alarm(Notice(AlarmKind.CLOCK), "", now)
        elif self.alarms.stands(AlarmKind.CLOCK):
            self._clock_is_right(now)
        true = self._time(now)
        for identifier, force in list(self._force.items()):
            if isinstance(force, InForce) and force.over(true):
                self.book.close(force, true)
                self._refresh(identifier, now)
        if now.mono - self._looked >= LOOK_NS:
            self._looked = now.mono
            if not self._ends or now.mono - self._ends[-1] >= HOUR:
                self.alarms.over(AlarmKind.MASS_END, "", "", now.wall)
            for identifier in [each for each in self.book.records if each not in self._force]:
                self._expire(identifier, now)
                forgotten = self.book.forgotten(identifier, true)
                if forgotten is not None:
                    self.book.enter(forgotten)
                    self._records[identifier] = forgotten
        self._settle()

    def _time(self, now: Instant) -> Instant:
        """After a jump of the wall clock the time goes on as the monotonic clock has it: nobody may extend a window by
        that, nor end what goes on; elements have clocks of their own."""
        if self._clock.steady(now):
            self._steady = now
            return now
        return Instant(self._steady.wall + now.mono - self._steady.mono, now.mono)

    def trust_clock(self, now: Instant) -> None:
        """Somebody has looked: the wall clock is right as it is."""
        self._clock.trust(now)
        self._clock_is_right(now)

    def _clock_is_right(self, now: Instant) -> None:
        """Windows go by it again; those that have ended meanwhile by either clock stay ended."""
        self._alarm(Notice(AlarmKind.CLOCK, over=True), "", now)
        for identifier in list(self.book.records):
            self._refresh(identifier, now)

    def trust(self, trust: TrustList, now: Instant) -> None:
        """Another trust list: what it does not approve of ends."""
        self.book.trust(trust)
        for identifier in list(self.book.records):
            self._refresh(identifier, now)

    def _settle(self) -> None:
        """Find out anew when something is due next."""
        self._mono = self._wall = NEVER
        for each in self._force.values():
            self._sooner(each)

    def _sooner(self, force: InForce | Refused) -> None:
        if isinstance(force, InForce):
            self._mono = min(self._mono, force.at.mono + force.until - force.at.wall)
            self._wall = min(self._wall, force.until)

    # What follows from a warrant

    def _refresh(self, identifier: str, now: Instant) -> None:
        """What elements are to hold under one warrant, now."""
        record = self.book.records.get(identifier)
        if record is None:
            return
        former, force = self._force.get(identifier), self.book.in_force(identifier, self._time(now))
        if isinstance(force, Refused):
            self._alarm(Notice(AlarmKind.WARRANT, identifier, str(force.rule)), "", now)
        else:
            self.alarms.over(AlarmKind.WARRANT, "", identifier, now.wall)
        if force is None:
            self._force.pop(identifier, None)
        else:
            self._force[identifier] = force
            self._sooner(force)
        xids = {each.xid for each in former.warrant.targets} if isinstance(former, InForce) else set()
        if isinstance(force, InForce):
            xids |= {each.xid for each in force.warrant.targets}
        for xid in xids:
            self._want(xid, force if isinstance(force, InForce) else None, now)
        self._expire(identifier, now)

    def _want(self, xid: str, force: InForce | None, now: Instant) -> None:
        target = None if force is None else force.warrant.target(xid)
        under = [] if force is None else self.under(xid, force.warrant)
        mediated = not any(link.at.role == "df" and xid in link.lost for link in under)
        for link in self.links.values():
            if force is None or target is None or link not in under:
                link.want(xid, None)
                self._found(link, xid, now)
            elif link.at.role == "poi" and not mediated:
                link.want(xid, None)
            else:
                at = sharing.towards(link.at, under)
                details = plan.task(at, force.warrant, force.octets, target)
                place = plan.destination(at, force.warrant)
                # A task that goes elsewhere now is not one that somebody has altered.
                digest = force.digest if at is link.at else f"{force.digest} {place.did}"
                link.want(xid, Wanted(details, place, digest))

    def _found(self, link: Link, xid: str, now: Instant) -> None:
        keep = link.found(xid)
        if keep is not None:
            self._keeps.append(keep)
        for kind in _OF_TASKS:
            self.alarms.over(kind, link.at.ne, xid, now.wall)

    def _expire(self, identifier: str, now: Instant) -> None:
        record = self.book.expired(identifier, self._time(now))
        if record is not None:
            self.book.enter(record)
            self._records[identifier] = record
            self._refresh(identifier, now)

    def _xids(self, identifier: str) -> set[str]:
        force = self._force.get(identifier)
        return {each.xid for each in force.warrant.targets} if isinstance(force, InForce) else set()

    # What is told

    def status(self, identifier: str) -> Status:
        record = self.book.records.get(identifier)
        if record is None:
            return Status.CANCELLED
        if record.ended is not None:
            return record.ended
        if record.suspended:
            return Status.SUSPENDED
        if record.asked and not record.ordered:
            return Status.AWAITING_CONFIRMATION
        if not record.approved:
            return Status.AWAITING_APPROVAL
        if not record.ordered:
            return Status.APPROVED
        force = self._force.get(identifier)
        if isinstance(force, InForce):
            return self._standing(force)
        waits = force is None and max(version for version, _ in record.approved) > max(record.ordered)
        return Status.APPROVED if waits else Status.ERROR

    def _standing(self, force: InForce) -> Status:
        xids = [each.xid for each in force.warrant.targets]
        places = [(xid, each) for xid in xids for each in self.under(xid, force.warrant)]
        ill = any(xid in each.lost or xid in each.failed for xid, each in places)
        if ill or any(self.alarms.stands(AlarmKind.REFUSED, each.at.ne, xid) for xid, each in places):
            return Status.ERROR
        there = all(each.has(xid) and xid not in each.waiting for xid, each in places)
        return Status.ACTIVE if there and force.begun else Status.AWAITING_PROVISIONING

    def warrant(self, identifier: str) -> Warrant | None:
        """The version that counts, or is to count."""
        record = self.book.records[identifier]
        force = self._force.get(identifier)
        if isinstance(force, InForce):
            return force.warrant
        signed = [paper.signed for _, paper in sorted(record.papers, reverse=True, key=lambda each: each[0])]
        return next((each for each in signed if isinstance(each, Warrant)), None)

    def revocations(self) -> Iterator[tuple[str, bytes]]:
        """Those that were approved and not forgotten, by the ids of what they end."""
        for record in self.book.records.values():
            paper = record.paper(record.last) if record.ended is Status.CANCELLED else None
            if paper is not None:
                yield record.id, paper.octets

    # What is to be kept

    def changes(self) -> Changes:
        """Since the last call."""
        records, keeps = tuple(self._records.values()), tuple(self._keeps)
        self._records, self._keeps = {}, []
        return Changes(records, keeps, tuple(self.alarms.changes().items()))

    def unkept(self, changes: Changes) -> None:
        """These could not be kept: they are fetched again, behind nothing that is newer."""
        self._keeps = [*changes.keeps, *self._keeps]
        for record in changes.records:
            self._records.setdefault(record.id, self.book.records.get(record.id, record))
        self.alarms.unkept(changes.alarms)

    def fault(self, kind: AlarmKind, now: Instant, *, subject: str = "", over: bool = False) -> None:
        """Something of the ADMF's own."""
        self._alarm(Notice(kind, subject, over=over), "", now)

    def _alarm(self, notice: Notice, ne: str, now: Instant) -> None:
        if notice.over:
            self.alarms.over(notice.kind, ne, notice.subject, now.wall)
        else:
            self.alarms.found(notice.kind, ne, notice.subject, notice.detail, now.wall)


def _code(code: int | None) -> str:
    return "" if code is None else str(code)


__all__ = ["Act", "Admf", "Changes", "Memory"]
