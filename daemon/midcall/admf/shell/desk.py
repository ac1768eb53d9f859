"""Acts of people: announced to the audit, done by the core, on the disk, and only then answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from midcall import __version__
from midcall.admf import wire
from midcall.admf.core import Act, Admf, Changes
from midcall.admf.roles import SEES_NAMES, Command, Person
from midcall.admf.shell.acts import Act as Told
from midcall.admf.shell.acts import Acts, NotAudited
from midcall.admf.shell.store import AdmfStore, StoreError
from midcall.admf.values import AlarmKind, Denied, Record, Status
from midcall.base.audit_link import Kind
from midcall.base.warrant import FormError, Warrant, envelope, value
from midcall.events import Instant

MAX_ROWS = 20_000
log = logging.getLogger("midcall.admf")
li_log = logging.getLogger("midcall.li.admf")


class Desk:
    """``woken`` is called when elements may have something to do. ``look`` is called before every act."""

    def __init__(
        self,
        core: Admf,
        store: AdmfStore,
        acts: Acts,
        now: Callable[[], Instant],
        woken: Callable[[], None],
    ) -> None:
        self._core, self._store, self._acts = core, store, acts
        self._now, self._woken = now, woken
        self._turn = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None

    # What changes something. Denied, NotAudited, StoreError

    async def draft(self, person: Person, octets: bytes) -> wire.Done:
        return await self._act(Command.DRAFT, person, _id(octets), lambda now: self._core.draft(octets, person, now))

    async def approve(self, person: Person, asked: wire.Approval) -> wire.Done:
        def work(now: Instant) -> Act:
            record = self._core.book.records.get(asked.id)
            paper = None if record is None else record.paper(asked.version)
            if paper is not None and paper.digest != asked.digest:
                raise Denied("digest", "what was signed is not what is here")
            return self._core.approve(asked.id, asked.version, asked.signature, person, now)

        return await self._act(Command.APPROVE, person, asked.id, work)

    async def activate(self, person: Person, asked: wire.Named) -> wire.Done:
        record = self._core.book.records.get(asked.id)
        told = Told.WARRANT_EXTEND if record is not None and record.ordered else None
        return await self._act(
            Command.ACTIVATE, person, asked.id, lambda now: self._core.activate(asked.id, person, now), told
        )

    async def revoke(self, person: Person, asked: wire.Named) -> wire.Done:
        return await self._act(Command.REVOKE, person, asked.id, lambda _: self._core.revoke(asked.id))

    async def clock(self, person: Person) -> wire.Nothing:
        """Somebody has looked at the clock, and it is right."""
        announced = await self._acts.announce(Command.CLOCK, person)
        async with self._turn:
            self._core.trust_clock(self._now())
        announced.done()
        self.keep()
        self._woken()
        return wire.Nothing()

    async def _act(
        self,
        command: Command,
        person: Person,
        identifier: str,
        work: Callable[[Instant], Act],
        told: Told | None = None,
    ) -> wire.Done:
        announced = await self._acts.announce(command, person, identifier, told)
        async with self._turn:
            now = self._now()
            self._core.deadline(now)
            try:
                act = work(now)
                await self._count(command, act, now)
            except Denied:
                announced.refused()
                raise
            except BaseException:
                announced.failed()
                raise
        announced.done()
        self._woken()
        return self._done(act)

    async def _count(self, command: Command, act: Act, now: Instant) -> None:
        """What allows counts when it is on the disk; what ends counts at once."""
        ends = command is Command.REVOKE or act.record.ended is not None
        if ends:
            self._core.enter(act, now)
            self._woken()
        times = (*self._core.book.within_hour(now), now.wall) if act.activated else None
        try:
            await self._written(Changes((act.record,)), times)
        except StoreError:
            # It may be on the disk yet, and is not to count there either.
            former = self._core.book.records.get(act.record.id)
            self._core.unkept(Changes(() if former is None else (former,)))
            raise
        if not ends:
            # Time has gone on meanwhile, and the core has been told so: to it an older moment is a clock that jumped.
            now = self._now()
            self._core.enter(act, now)
            if command is Command.ACTIVATE and not act.record.asked:
                self._core.restore(act.record.id, now)
        self.keep()

    def _done(self, act: Act) -> wire.Done:
        record = act.record
        return wire.Done(record.id, act.version, self._core.status(record.id), act.outcome)

    # What tells something. NotAudited

    async def list(self, person: Person) -> wire.Listed:
        await self._read(Command.LIST, person)
        records = [each for each in self._core.book.records.values() if each.papers]
        return wire.Listed(tuple(self._row(each, person) for each in records[:MAX_ROWS]), len(records))

    def _row(self, record: Record, person: Person) -> wire.Row:
        version = record.last
        paper = record.paper(version)
        assert paper is not None
        row = wire.Row(record.id, version, self._core.status(record.id), len(paper.envelope.signatures), paper.digest)
        if person.role not in SEES_NAMES:
            return row
        warrant = self._core.warrant(record.id)
        if warrant is None:
            return row
        waits = f"another administrator than {record.asked_by}" if record.asked else ""
        return wire.Row(
            *(row.id, row.version, row.status, row.approvals, row.digest),
            *(warrant.agency, warrant.start, warrant.end, waits),
        )

    async def show(self, person: Person, asked: wire.Named) -> wire.Shown:
        await self._read(Command.SHOW, person, asked.id)
        record = self._core.book.records.get(asked.id)
        version = 0 if record is None else record.last
        paper = None if record is None else record.paper(version)
        if record is None or paper is None:
            raise Denied("unknown", "no such warrant")
        elements = self._elements(self._core.warrant(record.id))
        status = self._core.status(record.id)
        return wire.Shown(paper.octets.decode("ascii"), version, status, paper.drafted_by, elements)

    def _elements(self, warrant: Warrant | None) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for each in () if warrant is None else warrant.targets:
            for link in self._core.under(each.xid, warrant) if warrant is not None else ():
                found.setdefault(link.at.ne, {})[each.xid] = link.state(each.xid)
        return found

    async def alarms(self, person: Person) -> wire.Alarmed:
        await self._read(Command.ALARMS, person)
        return wire.Alarmed(
            tuple(
                wire.AlarmRow(each.kind, each.element, each.subject, each.detail, each.since, each.until)
                for each in self._core.alarms
            )
        )

    async def health(self, person: Person) -> wire.Health:
        await self._read(Command.HEALTH, person)
        return wire.Health(__version__, {ne: not link.silent for ne, link in self._core.links.items()})

    async def _read(self, command: Command, person: Person, identifier: str = "") -> None:
        """Reading is an act as well."""
        (await self._acts.announce(command, person, identifier)).done()

    # The disk

    def keep(self) -> None:
        """What the core has changed by itself goes to the disk, behind what is being written."""
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            changes = self._core.changes()
            if changes == Changes():
                return
            self._tell(changes)
            try:
                await self._written(changes)
            except StoreError:
                self._core.unkept(changes)
                return

    def _tell(self, changes: Changes) -> None:
        """What came by itself is in the audit as well."""
        for record in changes.records:
            if record.ended is Status.EXPIRED:
                self._acts.event(Told.WARRANT_EXPIRE, record.id)
        for _, alarm in changes.alarms:
            if alarm is not None and not alarm.until:
                li_log.warning("%s", alarm.kind, extra={"element": alarm.element, "subject": alarm.subject})
                self._acts.event(Told.ALARM, alarm.subject, Kind.TASK)

    async def _written(self, changes: Changes, times: tuple[int, ...] | None = None) -> None:
        try:
            await self._store.write(changes, times)
        except StoreError as error:
            if not self._core.alarms.stands(AlarmKind.STORE):
                log.error("%s", error)
            self._core.fault(AlarmKind.STORE, self._now())
            raise
        self._core.fault(AlarmKind.STORE, self._now(), over=True)

    async def close(self) -> None:
        """Until all is written."""
        self.keep()
        if self._writing is not None:
            await self._writing


def _id(octets: bytes) -> str:
    """Of the warrant in a file; empty: it is none, as whoever reads it next will say."""
    try:
        return value.decode(envelope.read(octets).signed).id
    except FormError:
        return ""


__all__ = ["Desk", "NotAudited"]
