"""The mediation functions as a service: X2 in, HI2 at once; keys from a KMS; media from a tap, HI3 out.

DF2 and DF3 of one process. An event is acknowledged when its record is on the disk, and what a restart has to know of
it. Product of a task that is not known here is held sealed for a moment, then dropped: nothing goes out
that this function has not itself been ordered to deliver.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from msgspec import structs

from imswire import x2x3
from imswire.x2x3 import exchange
from midcall.base.services import Coverage
from midcall.base.tls import canonical
from midcall.base.x1_element import Intercepted
from midcall.base.x2 import X2Error, decode
from midcall.base.x2_foreign import foreign_event
from midcall.base.x2_link import Batch
from midcall.base.x2_link.media import X3Counters, X3Packet, X3Reader
from midcall.df2 import Agency, Communications, IriMediation, KeysFound, MediaClose, Mediation, Output
from midcall.df3 import Content, ContentMediation, ContentRecords, PassedContent
from midcall.events import (
    Cc,
    DialogId,
    DialogReleased,
    EventRecord,
    Failure,
    Hi1Record,
    Instant,
    IriRecord,
    KeyQuery,
    MediaPlan,
    SessionReport,
    TapPacket,
    X2Event,
)
from midcall.handover import gaps
from midcall.handover.values import Gap
from midcall.live import df_ladder, notices
from midcall.live.clock import Alarm, Clock, LoopClock
from midcall.live.commits import CLOSING_SECONDS, MARK_OCTETS, Commits, NotWritten, OnTheWay, Writer, addressed
from midcall.live.df_account import DfAccounts
from midcall.live.df_ladder import Product
from midcall.live.df_world import KeySource, Order, Tap, Who
from midcall.live.foreign import ForeignSessions
from midcall.live.held import HeldProduct
from midcall.live.intercepts import InterceptJournal
from midcall.live.ladder import TaskLadder
from midcall.live.notices import Notices, Owner
from midcall.live.tallies import Tallies

# How often counters of streams are noted, and that the service is at work: what a gap begins with may be so late.
REMEMBER_SECONDS = 0.5
_REPORT = 4


class DfService:
    """One instance. ``counts``: ``events``, ``outside`` an order, ``uncovered`` by its services, ``unknown`` XIDs
    held, ``expired`` of these, ``undecodable``, ``questions`` to the KMS, ``content`` packets handed over,
    ``recalled`` dialogs, ``x3`` packets that POIs sent, ``passed`` of them handed over without a session, as the POIs
    of others send them.
    ``removed`` counts, by kind, what was taken out of records of events (:mod:`midcall.base.redaction.rules`).

    ``foreign``: peers whose POIs are not ours. ``mark_key`` (up to 64 octets, the same in every run) keys the marks by
    which a repeated event is known. All that depends on the time goes by ``clock``.
    """

    def __init__(
        self,
        keys: KeySource,
        writer: Writer,
        tap: Tap | None = None,
        owner: str = exchange.OWNER,
        communications: Communications | None = None,
        journal: InterceptJournal | None = None,
        mark_key: bytes = b"",
        clock: Clock | None = None,
        foreign: Collection[str] = (),
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.removed: Counter[str] = Counter()
        self.accounts = DfAccounts()
        self._tallies = Tallies()
        self.commits = Commits(writer, journal)
        self._keys = keys
        self._writer = writer
        self._journal = journal
        self._mark_key = mark_key
        self._clock = clock or LoopClock()
        self._notices = Notices(self._clock)
        self._tap = tap
        self._owner = owner
        self.know_foreign(foreign)
        self._sessions = ForeignSessions()
        self._coverage = Coverage()
        self._orders: dict[str, Order] = {}
        self._changing: dict[str, Instant] = {}
        self._outlets: dict[str, str] = {}
        self._communications = communications = communications or Communications()
        self._taken_out: list[str] = []
        self._iri = IriMediation(communications, lambda _xid, kinds: self._taken_out.extend(kinds))
        self._df2 = Mediation(communications)
        self._df3 = ContentMediation()
        self._content = ContentRecords()
        self._passed = PassedContent(communications.cin)
        self._armed: set[bytes] = set()
        self._questions: set[asyncio.Task[None]] = set()
        self._x3_reader = X3Reader()
        self._held = HeldProduct()
        self._timer: Alarm | None = None
        self._remembering: asyncio.TimerHandle | None = None
        self._unwritten = OnTheWay()

    def know_foreign(self, names: Collection[str]) -> None:
        """The peers whose POIs are not ours, from now on."""
        self._foreign = frozenset(map(canonical, names))

    # Orders

    def order(self, xid: str, agency: Agency, warrant: bytes | None, outlet: str = "", targets: Who = None) -> None:
        """A task from X1, verified; what came for it before is taken in now. ``outlet``: where its product goes."""
        running = self._changed(xid, agency)
        order = self._orders[xid] = Order(agency, warrant, targets)
        self._outlets[agency.terms.liid] = outlet
        self._tallies.begin(xid)
        self._iri.order(xid, agency)
        self._df2.order(xid, agency.terms)
        self._coverage.order(xid, agency.terms.services)
        self._content.order(xid, agency.terms, agency.profile)
        self._passed.order(xid, agency.terms, agency.profile)
        if self._journal is not None:
            self._journal.began(xid)
            self.commits.put()
        self._write(self._notices.ordered(xid, agency, outlet, order.covers))
        if self._held.octets:
            for octets, own in self._held.take(self._clock.now().mono, xid):
                self._event(x2x3.parse(octets), octets, own=own)
        for report in running:
            self._note(report)
            self._go_on(report)

    def _changed(self, xid: str, agency: Agency) -> list[SessionReport]:
        """A task is another one from now on: it goes on, or what runs under it is begun anew."""
        now, former = self._changing.pop(xid, None), self._orders.get(xid)
        if now is None or former is None or former.agency.is_like(agency):
            return []
        running = [structs.replace(each, at=now) for each in self._df2.reports(xid)]
        counters = self._df3.counters()
        self._cease(xid, now)
        for report in running:
            self._df3.recall(xid, report.dialog, counters.get((xid, report.dialog), {}))
        return running

    def _go_on(self, report: SessionReport) -> None:
        """With a session that runs already; the KMS is asked anew."""
        if self._foreign:
            self._sessions.recall(report, report.at)
        if self._coverage.of(report) is not None:
            self.accounts.event(report)
            self._follow(self._df2.x2(report))

    def end(self, xid: str, now: Instant, *, changed: bool = False) -> None:
        """The task is over: nothing of it is content or an event any more.

        ``changed``: it will be another one, which is ordered next. Where only its window, its warrant or its place
        is another, what runs goes on without a break.
        """
        if changed and xid in self._orders:
            self._changing[xid] = now
        else:
            self._changing.pop(xid, None)
            self._cease(xid, now)
            self._tallies.end(xid)
            self._content.end(xid)
            self._iri.end(xid)
            self._coverage.end(xid)
        self._write(self._notices.ended(xid, now.wall, changed=changed))

    def _cease(self, xid: str, now: Instant) -> None:
        order = self._orders.pop(xid, None)
        for dialog in self._df3.dialogs(xid):
            self._give(self._df3.close(xid, dialog, now, linger=False))
        if order is not None:
            self._outlets.pop(order.agency.terms.liid, None)
        self._df2.end(xid)
        self._communications.end(xid)
        self._passed.end(xid)
        self._sessions.end(xid)
        self._x3_reader.forget(x2x3.xid_octets(xid))
        self._arrange()
        self.accounts.ended(xid)
        if self._journal is not None:
            self._journal.ended(xid)
            self.commits.put()

    def recall(self, now: Instant) -> int:
        """Go on with what a former run had under tasks that are ordered again; returns how many dialogs.

        The KMS is asked anew. What may be missing of their content meanwhile is declared.
        """
        if self._journal is None:
            return 0
        last, tasks = self._journal.recall()
        recalled: list[SessionReport] = []
        for xid, held in tasks.items():
            order = self._orders.get(xid)
            if order is None:
                self._journal.ended(xid)
                continue
            for state in held.over():
                self._journal.over(xid, state.correlation)
            for state in held.going_on():
                self._iri.recall(xid, state)
                self._coverage.recall(xid, state.correlation, state.services)
            for report, counters in held.dialogs if order.covers(now.wall) else ():
                self._df3.recall(xid, report.dialog, counters)
                self._go_on(structs.replace(report, at=now))
                recalled.append(report)
        if last is not None:  # not before all of it is armed again
            self._declare(recalled, last, notices.restarted(self._journal.kept or last, self._clock.now()))
        self.counts["recalled"] += len(recalled)
        self.commits.put()
        self._remember()
        return len(recalled)

    def _declare(self, reports: Sequence[SessionReport], at: int, text: str) -> None:
        """Content of these dialogs may be missing, whether anything tells of any or not."""
        for report in reports:
            agency = self._orders[report.xid].agency
            cin = self._communications.cin(report.xid, report.correlation)
            contents = self._iri.cc_unavailable(agency, report.xid, cin, at, text)
            self._write([IriRecord(agency.terms.liid, cin, _REPORT, at, contents, 0)])
        for xid in dict.fromkeys(report.xid for report in reports):
            self._write(self._notices.missing(self._orders[xid].agency, text, at))

    def _remember(self) -> None:
        """Note what changes with every packet, now and then."""
        if self._journal is None:
            return
        for (xid, dialog), counters in self._df3.counters().items():
            self._journal.counters(xid, dialog, counters)
        at = time.time_ns()
        self._journal.alive(at, self._unwritten.kept_until(at, self._df3.held_since()))
        self.commits.put()
        self._remembering = asyncio.get_running_loop().call_later(REMEMBER_SECONDS, self._remember)

    def unavailable(self, gap: Gap) -> bytes:
        """Contents of the record that declares a gap of an LIID, whose task may be over, or be of a former run.

        ValueError: nobody has said whose the gap is.
        """
        owner = Owner.of(gap)
        return self._iri.cc_unavailable(owner.agency, owner.xid, gap.cin, gap.until, gaps.told(gap))

    def alarm(self, gap: Gap, at: int) -> list[Hi1Record]:
        """What HI1 tells of the gaps of an LIID. ValueError."""
        return self._notices.gap(gap, at)

    # X2

    async def commit(self, batch: Batch) -> None:
        """What a POI sent; returns when the records that it makes are on the disk."""
        own = canonical(batch.peer) not in self._foreign
        for pdu, octets in zip(batch.events, batch.octets, strict=False):
            self._take(pdu, octets, own=own)
        content = self._x3(batch.packets, own=own)
        await self.commits.done()
        if content:
            await asyncio.gather(*content)

    def _x3(self, packets: Sequence[x2x3.Packet], *, own: bool) -> list[Awaitable[object]]:
        """Media that a POI sends: of tasks that are ordered here alone, and of each for itself."""
        tasks: dict[str, list[X3Packet]] = {}
        for each in self._x3_reader.x3_packets(packets):
            tasks.setdefault(x2x3.xid_text(each.xid), []).append(each)
        written: list[Awaitable[object] | None] = []
        for xid, found in tasks.items():
            if xid not in self._orders:
                continue
            self.counts["x3"] += len(found)
            wants = self._df3.wants
            passed = [] if own else [each for each in found if not wants(xid, each.packet.place)]
            written.append(self._give(self._df3.packets_of(xid, [each.packet for each in found])))
            written.append(self._pass(passed))
        return [each for each in written if each is not None]

    def _pass(self, packets: list[X3Packet]) -> Awaitable[object] | None:
        """Media of sessions that nobody has told of."""
        records = self._passed.of(packets)
        self.counts["passed"] += len(records)
        for failure in self._passed.take_failures():
            self._write(self._iri.failure(failure))
        return self._writer.cc(records) if records else None

    def _take(self, pdu: x2x3.Pdu, octets: bytes, *, own: bool) -> None:
        xid = x2x3.xid_text(pdu.xid)
        if xid in self._orders:
            self._event(pdu, octets, own=own)
            return
        self.counts["unknown"] += 1
        self._held.put(self._clock.now().mono, xid, octets, own=own)
        self.counts["expired"] = self._held.expired

    def _event(self, pdu: x2x3.Pdu, octets: bytes, *, own: bool) -> None:
        try:
            event = decode(pdu, self._owner) if own else foreign_event(pdu, self._clock.now())
        except X2Error as error:
            self.counts["undecodable"] += 1
            self.accounts.unreadable(str(error))
            return
        if not self._orders[event.xid].admits(event, own=own):
            self.counts["outside"] += 1
            if not isinstance(event, Failure):
                self.accounts.outside(event)
            return
        if own or isinstance(event, Failure):
            found: Sequence[X2Event | Failure] = (event,)
        else:
            found = self._sessions.take(event, self._clock.now(), self._orders[event.xid].targets)
        covered = [each for one in found if (each := self._coverage.of(one)) is not None]
        if not covered:
            self.counts["uncovered"] += 1
            return
        self.counts["events"] += 1
        self._tallies.event(event, len(octets))
        # A POI that had no answer sends the same again: that is no second event.
        mark = hashlib.blake2b(octets, digest_size=MARK_OCTETS, key=self._mark_key).digest()
        for each in covered:
            if isinstance(each, Failure):
                self._write([structs.replace(record, mark=mark) for record in self._iri.failure(each)])
                continue
            if own and self._communications.is_told(each, mark):
                continue
            self.accounts.event(each)
            records = self._iri.x2(each)
            if self._taken_out:
                self.removed.update(self._taken_out)
                self.accounts.removed(each, self._taken_out)
                self._taken_out.clear()
            self._note(each)
            self._write([structs.replace(record, mark=mark) for record in records])
            self._follow(self._df2.x2(each))

    def _note(self, event: X2Event) -> None:
        """Tell the journal what a restart has to know."""
        journal, xid = self._journal, event.xid
        if journal is None:
            return
        if isinstance(event, SessionReport):
            if not self._orders[xid].agency.terms.content:
                return
            journal.report(event)
            if event.dialog.callee_tag:
                journal.released(xid, DialogId(event.dialog.call_id, event.dialog.caller_tag, ""))
        elif isinstance(event, DialogReleased):
            journal.released(xid, event.dialog)
        if event.correlation is not None:
            services = self._coverage.kinds(xid, event.correlation)
            journal.communication(xid, self._iri.state(xid, event.correlation, services))
        self.commits.put()

    # Between the cores

    def _follow(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, KeyQuery):
                self._ask(output)
            elif isinstance(output, MediaPlan):
                self.accounts.plan(output)
                content = self._df3.plan(output, output.at)
                self._arrange()
                self._give(content)
            elif isinstance(output, MediaClose):
                self._give(self._df3.close(output.xid, output.dialog, output.at, linger=output.linger))
                self._arrange()
            elif isinstance(output, Failure):
                self.accounts.failure(output)
                self._write(self._iri.failure(output))
            elif isinstance(output, KeysFound):
                self._write(self._iri.keys(output))

    def _ask(self, query: KeyQuery) -> None:
        self.counts["questions"] += 1
        self.accounts.asked(query, self._df2.asked_for(query.query))
        order = self._orders.get(query.xid)
        task = asyncio.create_task(self._asked(query, None if order is None else order.warrant))
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    async def _asked(self, query: KeyQuery, warrant: bytes | None) -> None:
        answer = await self._keys.keys(query, warrant)
        self.accounts.answered(answer)
        if query.xid not in self._orders:
            return
        self._follow(self._df2.keys(answer, self._clock.now()))

    # Media

    def media(self, packets: list[TapPacket]) -> None:
        """What a tap brought."""
        self._hand(self._df3.media(packets, self._content))

    def _give(self, content: list[Content]) -> Awaitable[object] | None:
        return self._hand(self._content.of(content))

    def _hand(self, records: Sequence[Cc]) -> Awaitable[object] | None:
        """Hand content over; what is returned is done when it is on the disk, or declared missing."""
        written = self._writer.cc(records) if records else None
        if written is not None:
            self.counts["content"] += len(records)
            self._unwritten.put(records, written)
        for failure in self._df3.take_failures():
            self.accounts.failure(failure)
            self._write(self._iri.failure(failure))
        return written

    def _write(self, records: Sequence[EventRecord]) -> None:
        if records:
            self.commits.put([addressed(each, self._outlets.get(each.liid, "")) for each in records])

    def _arrange(self) -> None:
        """Let the tap pass what is planned, and nothing else; note what is over."""
        for each in self._df3.take_finished():
            self.accounts.finished(each)
        for place in self._df3.take_moved():
            wanted = self._df3.tapped(place)
            if self._tap is not None and wanted != (place in self._armed):
                (self._armed.add if wanted else self._armed.remove)(place)
                (self._tap.arm if wanted else self._tap.disarm)(place)
        self._schedule()

    # The LI plane

    @property
    def x3_counters(self) -> X3Counters:
        return self._x3_reader.counters

    @property
    def held_octets(self) -> int:
        """What came for tasks that are not known here."""
        return self._held.look(time.monotonic_ns(), self.counts)

    @property
    def open_questions(self) -> int:
        """To the KMS."""
        return len(self._questions)

    def intercepted(self, xid: str) -> Intercepted:
        """What a task has given so far."""
        return self._tallies.of(xid, self._content.given(xid))

    def liids(self, call_id: str) -> dict[str, str]:
        """The LIIDs under which a call is intercepted, by XID; none for every other call."""
        return {xid: self._orders[xid].agency.terms.liid for xid in self.accounts.find(call_id) if xid in self._orders}

    def explain(self, call_id: str, products: Mapping[str, Product]) -> tuple[TaskLadder, ...]:
        """Why there is, or is not, content for a call: one ladder a task. ``products``: by LIID."""
        has_media = self._tap is not None or self.counts["x3"] > 0
        terms = {xid: self._orders[xid].agency.terms for xid in self.liids(call_id)}
        return tuple(df_ladder.tasks(self.accounts.find(call_id), terms, products, self._df3, has_media=has_media))

    # Time

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._df3.next_deadline()
        if due is not None:
            self._timer = self._clock.at_wall(due, self._due)

    def _due(self) -> None:
        self._timer = None
        self._df3.deadline(self._clock.now().wall)
        self._arrange()

    async def close(self) -> None:
        """Wait for what is being asked, and for a moment for what is being written."""
        for task in list(self._questions):
            task.cancel()
        await asyncio.gather(*self._questions, return_exceptions=True)
        if self._remembering is not None:
            self._remembering.cancel()
            self._remember()
            self._remembering.cancel()
        self._df3.finish()
        self._arrange()
        self.commits.put()
        with suppress(NotWritten):  # who gave it was not told that it was taken
            await self.commits.done(CLOSING_SECONDS)
        self._held.wipe()
