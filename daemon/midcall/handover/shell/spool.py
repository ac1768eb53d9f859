"""The spool of one destination: what it has taken is on the disk, numbered, sealed, and goes out or is declared.

One process writes it. Calls block for the disk: they belong into a thread of their own (see ``writer``).
"""

from __future__ import annotations

import fcntl
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from msgspec.structs import replace

from imswire import hi
from midcall.base import owner_only
from midcall.base.sqlite import is_damage, is_full, is_writing, read_only, unlink
from midcall.config import Integrity
from midcall.events import CcRecord, EventRecord, Hi1Record, Intercept, IriRecord
from midcall.handover.assembler import UNKNOWN, Assembler, Recall, Sign, context_key, header
from midcall.handover.gaps import Refusals, gaps_of, of_intercepts
from midcall.handover.settings import SpoolSettings
from midcall.handover.shell.bell import ring
from midcall.handover.shell.cursor import passed
from midcall.handover.shell.files import Debts, Files, Notes
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.keys import KeyStore
from midcall.handover.shell.news import NOTHING, News, news
from midcall.handover.shell.reserve import Reserve
from midcall.handover.shell.store import summary
from midcall.handover.values import Gap, Interface, Kind, LinkEvent, Run

FULL = "disk full"
BROKEN = "disk does not write"
_REPORT = 4  # iRI-Report
_NS = 1_000_000_000

Unavailable = Callable[[Gap], bytes]
Alarm = Callable[[Gap, int], list[Hi1Record]]
Report = Callable[[LinkEvent], None]


class SpoolInUse(Exception):
    """Another process writes this spool."""


class Left(NamedTuple):
    """Events that are not on the disk, in their order, and why; ``why`` is empty when everything was written."""

    records: list[EventRecord]
    why: str


class Spool:
    """Records in, rows on the disk.

    ``unavailable`` makes the iRIContents of a gap record, ``alarm`` what HI1 tells of the gaps of an intercept at a
    time; ``report`` is told when the disk is full and when that is over. Times are wall ns.
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
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = Folder(folder)
        self.destination = destination
        self.keys = keys
        self.settings = settings or SpoolSettings()
        self.unknown = 0  # records of an LIID that is no intercept of ours
        self.repeated = 0  # records that were on the disk already
        self._intercepts = {each.liid: each for each in intercepts}
        self._unavailable = unavailable
        self._alarm: Alarm = alarm or (lambda _gap, _at: [])
        self._integrity = integrity or Integrity()
        self._sign = sign
        self._report = report or (lambda _: None)
        self._debts = Debts()
        self._refusals = Refusals()
        self._reserve = Reserve(self.folder.reserve, self.settings.reserve_octets)
        self._blocked_until = 0.0
        self._tidy_at = 0.0
        self._full_at: float | None = None
        self._lock = self._own()
        self.files = Files(
            self.folder,
            keys,
            self._assembler,
            self._integrity.enabled,
            sign is not None,
            self.settings.reserve_octets,
        )
        try:
            self._begin(now)
        except BaseException:
            self._lock.close()
            raise
        self._reserve.keep(self.folder.free())

    def _begin(self, now: int) -> None:
        try:
            self.files.open(now)
        except sqlite3.Error as error:
            if not (is_writing(error) and self._reserve.release()):
                raise
            self.files.open(now)

    def _own(self) -> IO[bytes]:
        lock = owner_only.append(self.folder.lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise SpoolInUse(f"{self.folder.path}: another process writes this spool") from None
        return lock

    def _assembler(self, recall: Recall) -> Assembler:
        return Assembler(self._intercepts.values(), self._integrity, self._sign, recall)

    # Intercepts

    def add(self, intercept: Intercept) -> None:
        self._intercepts[intercept.liid] = intercept
        self.files.assembler.intercepts[intercept.liid] = intercept

    def end(self, liid: str, now: int) -> bool:
        """The closing integrity checks of an intercept. What is queued still goes out."""
        events = self._write(
            "hi2", lambda: self._events(self.files.assembler.end_runs(liid, "hi2", now), Notes(), now), now
        )
        content = self._write("hi3", lambda: self._content(self.files.assembler.end_runs(liid, "hi3", now), now), now)
        self._ring()
        return not (events or content)

    def shred(self, liid: str) -> None:
        """Destroy the intercept's data key: nothing of it that is still queued will be read by anybody."""
        self._intercepts.pop(liid, None)
        self.files.assembler.forget(liid)
        self.keys.destroy(liid)

    # Records

    @property
    def owes(self) -> bool:
        """Whether something is still to be declared: any writing does, from ``retry_seconds`` on."""
        return bool(self._refusals) or self._debts != Debts()

    def next_deadline(self) -> int | None:
        """When an integrity check is due next (wall ns): then write, if only nothing."""
        return self.files.assembler.next_deadline()

    def next_number(self, liid: str, cin: int | None, kind: Kind) -> int:
        """The number that the next record of a context will bear: what is before it is on the disk."""
        return self.files.assembler.next_number(context_key(self._intercepts[liid], cin, kind))

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
        """Write events; those that are left are to be given again later.

        Where there is no room for all of them together they go in halves, down to one alone.
        """
        fresh = 0

        def commit() -> None:
            nonlocal fresh
            found = news(records, self.files, self.keys, self._intercepts)
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
        left, why = self.take_iri(records[:half], now)
        return Left([*left, *records[half:]], why) if why else self.take_iri(records[half:], now)

    def write_cc(self, records: Sequence[CcRecord], now: int) -> bool:
        """True: all are on the disk. False: they were refused, which is declared on HI2."""
        if time.monotonic() < self._blocked_until:
            self.refuse(records, now)
            return False
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
        return True

    def try_cc(self, records: Sequence[CcRecord], now: int) -> bool:
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

    def refuse(self, records: Iterable[CcRecord], now: int, reason: str = FULL) -> None:
        """Content that cannot be kept: counted, and declared at once and then each ``retry_seconds``."""
        for liid, count in self._refusals.add(records, reason).items():
            if liid in self._intercepts:
                self._owe(liid, "hi3", reason, count)
        if self._full_at is None or time.monotonic() >= self._tidy_at:
            self._fault(reason, now)
            self._debts.gaps += self._refusals.take()
            self._write("hi2", lambda: self._told(NOTHING, now), now)

    # Writing

    def _write(self, interface: Interface, commit: Callable[[], None], now: int) -> str:
        """Commit, making room as long as there is any to be made; returns why it could not be, else nothing."""
        mended = False
        while True:
            try:
                commit()
                return ""
            except sqlite3.Error as error:
                failure = error
            if is_damage(failure) and not mended:
                mended = True
                self.files.abandon(interface)
                self.files.open(now)
                continue
            self.files.reload(now)
            if not is_writing(failure):
                raise failure
            why = FULL if is_full(failure) or self.folder.free() < self.settings.reserve_octets else BROKEN
            self._fault(why, now)
            if why != FULL or not self._make_room(interface, now):
                return why

    def _told(self, found: News, now: int) -> None:
        """Write events, and gap records and alarms for what is owed."""
        gaps = [gap for gap in self._debts.gaps if gap.liid in self._intercepts]
        told = [IriRecord(gap.liid, gap.cin, _REPORT, now, self._unavailable(gap), 0) for gap in gaps]
        alarms = [each for gap in of_intercepts(gaps) for each in self._alarm(gap, now)]
        self._events(self.files.assembler.iri_runs([*found.records, *told, *alarms], now), found.notes, now)

    def _events(self, runs: list[Run], notes: Notes, now: int) -> None:
        runs = [*self._reset("hi2", now), *runs]
        debts = self._debts
        if runs or debts != Debts() or notes != Notes():
            self.files.commit_events(runs, debts, notes, now)
            self._debts = Debts()
            self.files.lost.discard("hi2")
        self._take_refused()

    def _content(self, runs: list[Run], now: int) -> None:
        runs = [*self._reset("hi3", now), *runs]
        if runs:
            self.files.commit_content(runs, now)
            self.files.lost.discard("hi3")
        self._take_refused()

    def _reset(self, interface: Interface, now: int) -> list[Run]:
        """cINReset, when the numbers of an interface are gone (TS 102 232-1 6.2)."""
        if interface not in self.files.lost or not self._intercepts:
            return []
        intercept = replace(next(iter(self._intercepts.values())), liid="-")
        pdu = hi.PsPdu(header(intercept, 0, 0, now, hi.Qualifier.TIME_OF_MEDIATION), hi.CinReset())
        return [Run(interface, context_key(intercept, 0, Kind.CIN_RESET), 0, [hi.build(pdu)])]

    def _take_refused(self) -> None:
        refused = self.files.assembler.refused
        for liid, interface, reason in [*refused]:
            count = refused.pop((liid, interface, reason)) or 0
            if reason == UNKNOWN:
                self.unknown += count
            else:
                self._owe(liid, interface, reason, count)

    def _owe(self, liid: str, interface: Interface, reason: str, count: int) -> None:
        which = (self.keys.handle(liid), interface, reason)
        self._debts.refused[which] = self._debts.refused.get(which, 0) + count

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

    def _owe_rows(self, segment: sqlite3.Connection) -> None:
        """Note what of a segment is not delivered."""
        with suppress(sqlite3.Error):
            found = summary(segment, self.keys, self.passed("hi3"))
            self._debts.gone += found.gone
            self._debts.gaps += gaps_of(found.contexts, found.rows, FULL)

    def _replace(self, now: int) -> bool:
        self._owe_rows(self.files.content.database)
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
        try:
            segment = read_only(path, closed=True)
        except sqlite3.Error:
            pass  # what it held is not known: the sender reports the numbers
        else:
            self._owe_rows(segment)
            segment.close()
        if not self._declare(now) and self._reserve.release():
            self._declare(now)
        unlink(path)

    def _declare(self, now: int) -> bool:
        """Write what is owed; False when there is no room even for that: it stays owed."""
        self._debts.gaps += self._refusals.take()
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
        removed = self._trim_to(min(self.passed("hi3"), self.files.content.low - 1))
        deleted = self._delete(min(self.passed("hi2"), self.files.events.low - 1))
        return removed or (interface == "hi2" and deleted)

    def _trim_to(self, passed: int) -> bool:
        """Remove files of content whose rows are all up to one; True: there were such."""
        removed = False
        segments = list(self.folder.segments("hi3").items())
        for (_, path), (_, newer) in zip(segments, segments[1:], strict=False):
            first = _first_row(newer, newer != segments[-1][1])
            if first is None or first - 1 > passed:
                break
            unlink(path)
            removed = True
        return removed

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
        self._trim_to(passed)
        self._delete(min(self.passed("hi2"), self.files.events.low - 1))

    def _delete(self, last: int) -> bool:
        try:
            return self.files.events.let_go(last, self.passed("hi3"))
        except sqlite3.Error as error:
            if not is_writing(error):
                raise
        return False

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
        whole = self._reserve.keep(self.folder.free())
        if self._full_at is not None and whole and moment > self._full_at + self.settings.retry_seconds:
            self._full_at = None
            self._report(LinkEvent(self.destination, "spool", "cleared", "there is room again", now))

    def _fault(self, reason: str, now: int) -> None:
        if self._full_at is None:
            self._report(LinkEvent(self.destination, "spool", "fault", reason, now))
        self._full_at = time.monotonic()

    def _ring(self) -> None:
        ring(self.folder.bell)

    def recover(self, why: str, now: int) -> None:
        """After a fault of the program: tell of it, and go on from what is on the disk."""
        self._fault(why, now)
        self.files.open(now)

    def close(self) -> None:
        """Everything is on the disk already; let go of the files."""
        self.files.close()
        self._lock.close()


def _first_row(path: Path, closed: bool) -> int | None:
    try:
        database = read_only(path, closed)
    except sqlite3.Error:
        return None
    try:
        found = database.execute("SELECT value FROM meta WHERE name = 'first'").fetchone()
        return None if found is None else int(found[0])
    except sqlite3.Error:
        return None
    finally:
        database.close()
