"""The spool of one destination: what it has taken is on the disk, numbered, sealed, and goes out or is declared.

One process writes it. Calls block for the disk: they belong into a thread of their own (see ``writer``).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from imswire import hi
from midcall.base.link_report import LinkEvent, LinkReport
from midcall.base.sqlite import is_damage, is_full, is_writing, unlink
from midcall.config import Integrity
from midcall.events import Cc, EventRecord, Intercept
from midcall.handover.assembler import Assembler, Recall, Sign, context_key, header
from midcall.handover.settings import SpoolSettings
from midcall.handover.shell.bell import ring
from midcall.handover.shell.cursor import passed
from midcall.handover.shell.files import Debts, Files, Notes
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.intercepts import Intercepts
from midcall.handover.shell.keys import Keyless, KeysFail, KeyStore
from midcall.handover.shell.news import NOTHING, News, news
from midcall.handover.shell.owed import Alarm, Owed, Unavailable
from midcall.handover.shell.reserve import Reserve
from midcall.handover.shell.retention import Destroyed, Retention
from midcall.handover.shell.segments import drop_oldest, own, trim, undelivered, undelivered_in
from midcall.handover.shell.store import Summary
from midcall.handover.values import Interface, Kind, Left, Lost, Run

FULL = "disk full"
BROKEN = "disk does not write"
KEYS = "no room for keys"
_NS = 1_000_000_000

Report = Callable[[LinkEvent], None]


class Spool:
    """Records in, rows on the disk.

    ``unavailable`` makes the iRIContents of a gap record, ``alarm`` what HI1 tells of the gaps of an intercept at a
    time; ``report`` is told when the disk is full and when that is over, ``lost`` of numbers that cannot be declared,
    ``destroyed`` of intercepts whose product is no more. Times are wall ns.
    """

    def __init__(
        self,
        folder: Path,
        destination: str,
        keys: KeyStore,
        intercepts: Iterable[Intercept],
        unavailable: Unavailable,
        now: int,
        *,
        settings: SpoolSettings | None = None,
        integrity: Integrity | None = None,
        sign: Sign | None = None,
        report: Report | None = None,
        alarm: Alarm | None = None,
        lost: Callable[[Lost], None] | None = None,
        destroyed: Destroyed | None = None,
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = Folder(folder)
        self.destination = destination
        self.keys = keys
        self.settings = settings or SpoolSettings()
        self.unknown = 0  # records of an LIID that is no intercept of ours
        self.repeated = 0  # records that were on the disk already
        self.intercepts = Intercepts(intercepts)
        self._owed = Owed(self.intercepts, unavailable, alarm or (lambda _gap, _at: []), lost or (lambda _: None))
        self._keyless = Keyless(keys, self.intercepts.by_liid, self.settings.retry_seconds)
        self._integrity = integrity or Integrity()
        self._sign = sign
        self._report = LinkReport(destination, "spool", report or (lambda _: None))
        self._reserve = Reserve(self.folder.reserve, self.settings.reserve_octets)
        self._last = Reserve(self.folder.last, min(self.settings.last_octets, self.settings.reserve_octets))
        self._retention = Retention(self.folder, keys, self.intercepts, self.settings)
        self._destroyed = destroyed or (lambda _liid, _delivered: None)
        self._blocked_until = 0.0
        self._tidy_at = 0.0
        self._fault_at = 0.0
        self._lock = own(self.folder)
        self.files = Files(
            self.folder,
            keys,
            self._assembler,
            self._integrity.enabled,
            sign is not None,
            self.settings,
        )
        try:
            self._begin(now)
        except BaseException:
            self._lock.close()
            raise
        self._last.keep(self.folder.free())
        self._reserve.keep(self.folder.free())

    def _begin(self, now: int) -> None:
        gone: list[Summary] = []
        while True:
            try:
                self.files.open(now)
                break
            except sqlite3.Error as error:
                if not is_writing(error):
                    raise
                if not self._reserve.release() and not self._last.release():
                    if (dropped := drop_oldest(self.folder, self.keys, self.passed("hi3"))) is None:
                        raise
                    gone += dropped
        self.intercepts.load(self.files.intercepts(), self.files.content.next_row - 1)
        for each in gone:
            self._owe(each)

    def _assembler(self, recall: Recall) -> Assembler:
        made = Assembler((), self._integrity, self._sign, recall)
        made.intercepts = self.intercepts.by_liid
        return made

    # Intercepts

    def add(self, intercept: Intercept, about: bytes = b"") -> None:
        """It is ordered, or ordered otherwise; ``about`` comes back with its gaps, in later runs too. In any thread."""
        self.intercepts.add(intercept, about)

    def knows(self, liid: str) -> bool:
        """Whether it is ordered, or is over and not forgotten yet. In any thread."""
        return liid in self.intercepts.by_liid

    def release(self, liid: str) -> None:
        """Nothing more comes of an intercept: it is forgotten when nothing of it can be given up any more, and HI1 has
        told that it is over. In any thread.
        """
        self.intercepts.release(liid, self.files.content.next_row - 1)

    def end(self, liid: str, now: int) -> bool:
        """The closing integrity checks of an intercept; False: not all found room, ask again. What is queued still goes
        out.
        """
        events = self._write("hi2", lambda: self._told(NOTHING, now, liid), now)
        content = self._write("hi3", lambda: self._content(self.files.assembler.end_runs(liid, "hi3", now), now), now)
        self._ring()
        return not (events or content)

    def shred(self, liid: str) -> None:
        """Destroy the intercept's data key: nothing of it that is still queued will be read by anybody."""
        self.intercepts.remove(liid)
        self.files.assembler.forget(liid)
        self.files.leave_tails()
        self.keys.destroy(liid)

    # Records

    @property
    def owes(self) -> bool:
        """Whether something is still to be declared: any writing does, from ``retry_seconds`` on."""
        return bool(self._owed)

    def next_deadline(self) -> int | None:
        """When an integrity check is due next (wall ns): then write, if only nothing."""
        return self.files.assembler.next_deadline()

    def next_number(self, liid: str, cin: int | None, kind: Kind) -> int:
        """The number that the next record of a context will bear: what is before it is on the disk."""
        return self.files.assembler.next_number(context_key(self.intercepts.by_liid[liid], cin, kind))

    def last_key(self, liid: str) -> int:
        """The highest key of a producer's records that is on the disk (-1: none)."""
        return self.files.producer(self.keys.handle(liid))

    def active(self) -> list[str]:
        """LIIDs whose LEMF was told by HI1 that they are active, and of no end since."""
        return [self.keys.liid(handle) for handle in self.files.all_active()]

    def write_iri(self, records: Sequence[EventRecord], now: int) -> bool:
        """True: all are on the disk. False: some are not; given again, those that are there are known."""
        return not self.take_iri(records, now).why

    def take_iri(self, records: Sequence[EventRecord], now: int) -> Left:
        """Write events; those that are left are to be given again later: for want of room, or of a data key.

        Where there is no room for all of them together they go in halves, down to one alone.
        """
        held = self._without_key({each.liid for each in records}, now)
        if not held:
            return self._take(records, now)
        left, why = self._take([each for each in records if each.liid not in held], now)
        again = {id(each) for each in left}
        return Left([each for each in records if each.liid in held or id(each) in again], why or KEYS)

    def _take(self, records: Sequence[EventRecord], now: int) -> Left:
        fresh = 0

        def commit() -> None:
            nonlocal fresh
            found = news(records, self.files, self.keys, self.intercepts.by_liid)
            fresh = len(found.records)
            self._told(found, now)

        why = self._write("hi2", commit, now)
        if why == FULL and len(records) > 1:
            return self._take_halves(records, now)
        if why:
            return Left([*records], why)
        self.repeated += len(records) - fresh
        self._tidy(now)
        self._ring()
        return Left([], "")

    def _take_halves(self, records: Sequence[EventRecord], now: int) -> Left:
        half = len(records) // 2
        left, why = self._take(records[:half], now)
        return Left([*left, *records[half:]], why) if why else self._take(records[half:], now)

    def write_cc(self, records: Sequence[Cc], now: int) -> bool:
        """True: all are on the disk. False: they were refused, which is declared on HI2."""
        if time.monotonic() < self._blocked_until:
            self.refuse(records, now)
            return False
        if held := self._without_key({stream.liid for stream in {stream for _, stream, _ in records}}, now):
            self.refuse([each for each in records if each[1].liid in held], now, KEYS)
            records = [each for each in records if each[1].liid not in held]
        why = FULL
        if self._restore_reserve(now):
            why = self._write("hi3", lambda: self._content(self.files.assembler.cc_runs(records, now), now), now)
        if why:
            self._blocked_until = time.monotonic() + self.settings.retry_seconds
            self.refuse(records, now, why)
            return False
        self._roll()
        self._tidy(now)
        self._ring()
        return not held

    def try_cc(self, records: Sequence[Cc], now: int) -> bool:
        """For who can wait. True: all are on the disk. False: there is no room; nothing was taken, nor given up for it.

        Each call makes what room it can without giving anything up. A spool that is written so does not outlive its
        process: what is delivered goes although its hash is still to come.
        """
        try:
            if self._reserve.keep(self.folder.free()):
                self._content(self.files.assembler.cc_runs(records, now), now)
                self._roll()
                self._tidy(now)
                self._ring()
                return True
        except sqlite3.Error as error:
            self.files.reload(now)
            if not is_writing(error):
                raise
        self._remove_delivered(now)
        return False

    def refuse(self, records: Iterable[Cc], now: int, reason: str = FULL) -> None:
        """Content that cannot be kept: counted, and declared at once and then each ``retry_seconds``."""
        self.unknown += self._owed.refuse(records, reason)
        if self._report.fault is None or time.monotonic() >= self._tidy_at:
            self._fault(reason, now)
            self._owed.declare_refused()
            self._write("hi2", lambda: self._told(NOTHING, now), now)

    # Writing

    def _write(self, interface: Interface, commit: Callable[[], None], now: int) -> str:
        """Commit, making room as long as there is any to be made; returns why it could not be, else nothing."""
        try:
            return self._try(interface, commit, now)
        except KeysFail:
            self.files.reload(now)
            self._fault(KEYS, now)
            return KEYS

    def _try(self, interface: Interface, commit: Callable[[], None], now: int) -> str:
        mended = False
        while True:
            try:
                commit()
                return ""
            except KeysFail:
                raise
            except sqlite3.Error as error:
                failure = error
            if is_damage(failure) and not mended:
                mended = True
                self.files.abandon(interface)
                self._reopen(now)
                continue
            self.files.reload(now)
            if not is_writing(failure):
                raise failure
            why = FULL if is_full(failure) or self.folder.free() < self.settings.reserve_octets else BROKEN
            self._fault(why, now)
            if why != FULL or not self._make_room(interface, now):
                return why

    def _reopen(self, now: int) -> None:
        self.files.open(now)
        self.intercepts.lost_notes()

    def _told(self, found: News, now: int, over: str | None = None) -> None:
        """Write events, what is owed and what is to be noted, and the closing checks of an intercept."""
        due = self._owed.due(lambda liids: self._without_key(liids, now))
        notes = self.intercepts.notes()
        held = self._without_key(notes, now)
        notes = {liid: note for liid, note in notes.items() if liid not in held}
        records = [*found.records, *self._owed.records(due, now)]
        runs = self.files.assembler.iri_runs(records, now)
        if over is not None:
            runs += self.files.assembler.end_runs(over, "hi2", now)
        runs = [*self._reset("hi2", now), *runs]
        if runs or notes or due != Debts() or found.notes != Notes():
            self.files.commit_events(runs, due, found.notes, notes, now)
            self._owed.paid()
            self.intercepts.noted(notes)
            self.files.lost.discard("hi2")
        self.unknown += self._owed.take(self.files.assembler.refused)

    def _content(self, runs: list[Run], now: int) -> None:
        runs = [*self._reset("hi3", now), *runs]
        if runs:
            self.files.commit_content(runs, now)
            self.files.lost.discard("hi3")
        self.unknown += self._owed.take(self.files.assembler.refused)

    def _reset(self, interface: Interface, now: int) -> list[Run]:
        """cINReset, when the numbers of an interface are gone (TS 102 232-1 6.2)."""
        first = self.intercepts.first() if interface in self.files.lost else None
        if first is None:
            return []
        intercept = replace(first, liid="-")
        pdu = hi.PsPdu(header(intercept, 0, 0, now, hi.Qualifier.TIME_OF_MEDIATION), hi.CinReset())
        return [Run(interface, context_key(intercept, 0, Kind.CIN_RESET), 0, [hi.build(pdu)])]

    # Room

    def _make_room(self, interface: Interface, now: int) -> bool:
        """Content goes before events, the oldest first, and never without a word. False: nothing is left to go."""
        if self._trim(interface):
            return True
        if interface == "hi2" and self._reserve.release():
            return True
        current = self.files.number
        if min(self.folder.segments("hi3"), default=current) == current:
            if self.files.content.next_row <= max(self.files.content.first, self.passed("hi3") + 1):
                return False
            self._reserve.release()
            try:
                self.files.roll()
            except sqlite3.Error:
                self.files.reload(now)
                return self._replace(now)
        self._give_up(next(iter(self.folder.segments("hi3").values())), now)
        return True

    def _restore_reserve(self, now: int) -> bool:
        """Content comes after the reserve: what was taken from it is given back first."""
        while not self._reserve.keep(self.folder.free()):
            self._fault(FULL, now)
            if not self._make_room("hi3", now):
                return False
        return True

    def _owe(self, found: Summary | None) -> None:
        """Note what of a file of content is not delivered; where that is not known the sender reports the numbers."""
        if found is not None:
            self._owed.give_up(found, FULL)

    def _replace(self, now: int) -> bool:
        self._owe(undelivered_in(self.files.content.database, self.keys, self.passed("hi3")))
        self.files.keep_chains()
        try:
            self.files.replace()
        except sqlite3.Error:
            self.files.open(now)
            return False
        self.files.reload(now)
        self._declare(now)
        return True

    def _give_up(self, path: Path, now: int) -> None:
        """Declare what of a segment is not delivered, then remove it."""
        self.files.keep_chains()
        self._owe(undelivered(path, self.keys, self.passed("hi3")))
        if not self._declare(now) and self._reserve.release():
            self._declare(now)
        unlink(path)

    def _declare(self, now: int) -> bool:
        """Write what is owed; False when there is no room even for that: it stays owed."""
        self._owed.declare_refused()
        try:
            self._told(NOTHING, now)
            return True
        except sqlite3.Error:
            self.files.reload(now)
            return False

    def passed(self, interface: Interface) -> int:
        """The last row that is done with, by the sender's cursor."""
        return passed(self.folder.cursor, interface)

    def _trim(self, interface: Interface | None = None) -> bool:
        """Remove what is delivered and covered; True when that made room for ``interface``."""
        removed = trim(self.folder, min(self.passed("hi3"), self.files.content.low - 1))
        deleted = self._delete(min(self.passed("hi2"), self.files.events.low - 1))
        return removed or (interface == "hi2" and deleted)

    def _remove_delivered(self, now: int) -> None:
        """All content that is delivered, covered or not."""
        self.files.keep_chains()
        passed = self.passed("hi3")
        content = self.files.content
        if content.first < content.next_row <= passed + 1:
            self._reserve.release()
            try:
                self.files.roll()
            except sqlite3.Error:
                self.files.reload(now)
        trim(self.folder, passed)
        self._delete(min(self.passed("hi2"), self.files.events.low - 1))

    def _delete(self, last: int) -> bool:
        """Events fill the disk alone where even that finds no room: the last room is there for it."""
        while True:
            try:
                return self.files.events.let_go(last, self.passed("hi3"))
            except sqlite3.Error as error:
                if not is_writing(error):
                    raise
            if not self._last.release():
                return False
            self.files.events.bring_home()

    def _roll(self) -> None:
        if self.files.content.octets >= self.settings.segment_octets:
            with suppress(sqlite3.OperationalError):
                self.files.roll()

    # Upkeep

    def _tidy(self, now: int) -> None:
        moment = time.monotonic()
        if moment < self._tidy_at:
            return
        self._tidy_at = moment + self.settings.retry_seconds
        self._trim()
        if self.owes:
            self._declare(now)
        idle = self.files.assembler.forget_idle(now - int(self.settings.idle_seconds * _NS))
        self.files.events.forget(idle)
        self.files.content.forget(idle)
        self._forget_over(now)
        for liid, delivered in self._retention.due(self.files, self.passed, now):
            self.shred(liid)
            self._destroyed(liid, delivered)
        whole = self._last.keep(self.folder.free()) and self._reserve.keep(self.folder.free())
        if whole and moment > self._fault_at + self.settings.retry_seconds:
            self._report.cleared(now)

    def _forget_over(self, now: int) -> None:
        """Of what is over and delivered nothing need be said any more."""
        for liid in () if self.owes else self.intercepts.delivered(self.passed("hi3")):
            waits = not self.files.assembler.is_covered(liid) or self._without_key([liid], now)
            if not waits and not self.files.active(self.keys.handle(liid)) and self.intercepts.forget(liid):
                self.files.assembler.let_go(liid)

    def _without_key(self, liids: Iterable[str], now: int) -> set[str]:
        """Intercepts of ours of which nothing can be sealed now."""
        held = self._keyless.among(liids)
        if held:
            self._fault(KEYS, now)
        return held

    def _fault(self, reason: str, now: int) -> None:
        self._report.failed(reason, now)
        self._fault_at = time.monotonic()

    def _ring(self) -> None:
        ring(self.folder.bell)

    def recover(self, why: str, now: int) -> None:
        """After a fault of the program: tell of it, and go on from what is on the disk."""
        self._fault(why, now)
        self._reopen(now)

    def close(self) -> None:
        """Everything is on the disk already; let go of the files."""
        self.files.close()
        self._lock.close()
