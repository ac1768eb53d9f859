"""What a spool owes its LEMF: to say what was given up and what was refused, with the next commit of events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable

from msgspec.structs import replace

from midcall.base.bounded import BoundedTable
from midcall.base.log import fault
from midcall.events import Cc, EventRecord, Hi1Record, IriRecord
from midcall.handover.assembler import UNKNOWN
from midcall.handover.gaps import Refusals, gaps_of, of_intercepts, together
from midcall.handover.shell.files import Debts
from midcall.handover.shell.intercepts import Intercepts
from midcall.handover.shell.store import Summary
from midcall.handover.values import Gap, Kind, Lost, Port

_REPORT = 4  # iRI-Report

Unavailable = Callable[[Gap], bytes]
Alarm = Callable[[Gap, int], list[Hi1Record]]
log = logging.getLogger("midcall.li.handover")


class Owed:
    """``unavailable`` makes the iRIContents of a gap record, ``alarm`` what HI1 tells of the gaps of an intercept at a
    time; ``lost`` is told of numbers about which nothing can be said to the agency.
    """

    def __init__(
        self, intercepts: Intercepts, unavailable: Unavailable, alarm: Alarm, lost: Callable[[Lost], None]
    ) -> None:
        self._intercepts = intercepts
        self._unavailable = unavailable
        self._alarm = alarm
        self._lost = lost
        self._refusals = Refusals()
        self._debts = Debts()
        self._later = Debts()

    def __bool__(self) -> bool:
        return bool(self._refusals) or self._debts != Debts()

    def refuse(self, records: Iterable[Cc], reason: str) -> int:
        """Content without numbers; returns how many records are of no intercept of ours, about which nobody is told."""
        unknown = 0
        for liid, count in self._refusals.add(records, reason).items():
            if liid in self._intercepts.by_liid:
                self.count(liid, "hi3", reason, count)
            else:
                unknown += count
        return unknown

    def take(self, refused: BoundedTable[tuple[str, Port, str], int]) -> int:
        """What an assembler has refused, which it forgets; returns how many records are of no intercept of ours."""
        unknown = 0
        for liid, interface, reason in [*refused]:
            count = refused.pop((liid, interface, reason)) or 0
            if reason == UNKNOWN:
                unknown += count
            else:
                self.count(liid, interface, reason, count)
        return unknown

    def count(self, liid: str, interface: str, reason: str, count: int) -> None:
        """Records that were refused, for the equation."""
        which = (liid, interface, reason)
        self._debts.refused[which] = self._debts.refused.get(which, 0) + count

    def give_up(self, found: Summary, reason: str) -> None:
        """Content that has numbers and will not be delivered."""
        self._debts.gone += found.gone
        for gap in gaps_of(found.contexts, found.rows, reason):
            if gap.liid in self._intercepts.by_liid:
                self._debts.gaps.append(gap)
            else:
                self._cannot_tell(gap)

    def declare_refused(self) -> None:
        """What was refused so far is to be told, with what could not be told before."""
        fresh = [gap for gap in self._refusals.take() if gap.liid in self._intercepts.by_liid]
        self._debts.gaps = together([*self._debts.gaps, *fresh])

    # Paying

    def due(self, keyless: Callable[[Iterable[str]], Collection[str]]) -> Debts:
        """What can be written now: all but what is of LIIDs that are ``keyless``."""
        debts = self._debts
        held = keyless({gap.liid for gap in debts.gaps} | {liid for liid, _, _ in debts.refused})
        self._later = Debts(
            [gap for gap in debts.gaps if gap.liid in held],
            refused={which: count for which, count in debts.refused.items() if which[0] in held},
        )
        return Debts(
            [gap for gap in debts.gaps if gap.liid not in held],
            debts.gone,
            {which: count for which, count in debts.refused.items() if which[0] not in held},
        )

    def paid(self) -> None:
        """What was due is on the disk."""
        self._debts, self._later = self._later, Debts()

    def records(self, due: Debts, now: int) -> list[EventRecord]:
        """The gap records, and alarms; a gap that nobody can put into words is owed no more."""
        told: list[EventRecord] = []
        gaps: list[Gap] = []
        for gap in due.gaps:
            known = replace(gap, about=self._intercepts.about(gap.liid))
            try:
                contents = self._unavailable(known)
            except Exception as error:
                log.error("a gap cannot be declared: %s", fault(error))
                self._debts.gaps.remove(gap)
                self._cannot_tell(gap)
                continue
            told.append(IriRecord(gap.liid, gap.cin, _REPORT, now, contents, 0))
            gaps.append(known)
        return told + self._alarms(gaps, now)

    def _alarms(self, gaps: list[Gap], now: int) -> list[EventRecord]:
        told: list[EventRecord] = []
        for gap in of_intercepts(gaps):
            try:
                told += self._alarm(gap, now)
            except Exception as error:
                log.error("HI1 is not told of a gap: %s", fault(error))
        return told

    def _cannot_tell(self, gap: Gap) -> None:
        for first, last in gap.ranges:
            self._lost(Lost(gap.liid, "hi3", gap.cin, Kind.CC, first, last, gap.reason))
