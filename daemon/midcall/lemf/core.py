"""The receiving end without its sockets and files: octets of deliverers in, what follows from them out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from weakref import WeakValueDictionary

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from imswire import hi
from midcall.base.bounded import BoundedTable
from midcall.lemf import integrity
from midcall.lemf.calls import Call
from midcall.lemf.context import CC, IRI, TAKEN, Context, Key
from midcall.lemf.familiar import Familiar
from midcall.lemf.findings import Finding, Findings, Rule
from midcall.lemf.integrity import Signable, Verdict
from midcall.lemf.neighbours import odd
from midcall.lemf.numbers import NUMBERS, Memory
from midcall.lemf.one_bit import Search
from midcall.lemf.owners import Owners
from midcall.lemf.recalled import Recalled, ToldGap, place
from midcall.lemf.records import NOTIFICATIONS, shown

SECOND = 1_000_000_000
CONTEXTS = 65_536
"""Sequences of numbers at once: four for each of 16 000 calls."""
INTERCEPTS = 4_096
CALLS = 4_096
OPERATORS = 256
MAX_FRESH = 4_096
"""Records of one sequence that wait for a hash; annex J has 1 000."""
HELD_OCTETS = 1 << 29
"""Octets of all records that wait for a hash, or for one more: 10 s of 150 000 packets a second."""
OVERDUE = 2 * SECOND
"""A number is a gap when it has not come for so long after a later one."""
UNSURE = 3_600 * SECOND
"""The same for a check that may still come behind the content of an outage, or behind events: these queue apart."""
REJOIN = 60 * SECOND
"""Until deliverers have come again, and bring what was not acknowledged."""

_DATA: dict[int | None, tuple[str, ...]] = {hi.DataType.IRI: ("IRI",), hi.DataType.CC: ("CC",), None: ("CC", "IRI")}
_NEVER = 1 << 63
INTEGRITY = "TRI integrityCheck"
SEARCHES = 4
"""Failed hashes that wait to be looked closer at; of more nothing but the block is told."""


class Rules(Struct, frozen=True):
    """What is asked of a delivery.

    ``backwards``: how far (ns) a time stamp may stand before that of the record before it; ``future``: before
    the receiver's clock. ``keys``: the deliverers' Ed25519 keys. ``acknowledge``: accept that option.
    """

    backwards: int = SECOND
    future: int = 60 * SECOND
    keys: tuple[Ed25519PublicKey, ...] = ()
    acknowledge: bool = True


class Intercept:
    """One LIID, and the octets of its interfaces that the shell has not taken yet.

    ``aside`` is what is kept and is no part of them: of another deliverer, or of numbers of long ago.
    """

    __slots__ = ("aside", "hi1", "hi2", "hi3", "liid")

    def __init__(self, liid: bytes) -> None:
        self.liid = liid
        self.hi1: list[bytes] = []
        self.hi2: list[bytes] = []
        self.hi3: list[bytes] = []
        self.aside: list[bytes] = []

    def of(self, payload: str) -> list[bytes]:
        """Those of the interface that a class of payload goes over."""
        return self.hi3 if payload == CC else self.hi1 if payload in NOTIFICATIONS else self.hi2

    def gathered(self) -> tuple[tuple[str, list[bytes]], ...]:
        """By the name of the file that they belong into."""
        return ("hi1", self.hi1), ("hi2", self.hi2), ("hi3", self.hi3), ("aside", self.aside)


class Refused(Exception):
    """A bound is reached: the link that wants more is closed, so that nothing is taken for received."""


class Lemf:
    """State that all links share; numbers belong to interceptions, not to sockets (5.2.5)."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.findings = Findings()
        self.contexts: BoundedTable[Key, Context] = BoundedTable("lemf.contexts", CONTEXTS)
        self.intercepts: BoundedTable[bytes, Intercept] = BoundedTable("lemf.intercepts", INTERCEPTS)
        self.calls: BoundedTable[tuple[bytes, bytes, bytes | None, int], Call] = BoundedTable("lemf.calls", CALLS)
        self.owners = Owners(INTERCEPTS)
        self.memory = Memory()
        self.recalled = Recalled()
        self.speaking = ""
        """The link whose octets are looked at."""
        self._familiar: WeakValueDictionary[str, Familiar] = WeakValueDictionary()
        self._resets: BoundedTable[tuple[str, bytes], int] = BoundedTable("lemf.resets", OPERATORS)
        self._hashes: BoundedTable[tuple[Key, int | None], Signable] = BoundedTable("lemf.hashes", CONTEXTS)
        self.closed_calls: list[Call] = []
        self.searches: deque[Search] = deque()
        """Hashes that failed, for the shell to look closer at, which takes its time."""
        self.pdus = self.octets = self.repeats = self.doubled = self.checked = 0
        self._call_numbers = 0

    # Tables

    def familiar(self, deliverer: str) -> Familiar:
        """Kept as long as the deliverer has a link."""
        found = self._familiar.get(deliverer)
        if found is None:
            found = self._familiar[deliverer] = Familiar()
        return found

    def owned(self, key: Key, deliverer: str) -> bool:
        """Whether the deliverer is the one of this interception: that is who brings it first. Refused."""
        owner = self.owners.of(key.liid, key.operator)
        if not owner and not self.owners.claim(key.liid, key.operator, deliverer):
            raise Refused(f"more than {self.owners.share(deliverer)} LIIDs of one deliverer")
        return not owner or owner == deliverer

    def intercept(self, liid: bytes) -> Intercept:
        found = self.intercepts.get(liid)
        if found is None:
            if len(self.intercepts) >= self.intercepts.bound:
                raise Refused(f"more than {self.intercepts.bound} LIIDs")
            found = Intercept(liid)
            self.intercepts.put(liid, found)
        return found

    def context(self, key: Key, now: int) -> Context:
        found = self.contexts.get(key)
        if found is None:
            intercept = self.intercept(key.liid)
            owner = self.owners.of(key.liid, key.operator)
            found = Context(key, intercept.of(key.payload), self.memory, owner)
            found.generation = self._resets.get((owner, key.operator)) or 0
            if key.cin is not None and key.payload in (CC, IRI):
                found.call = self.call(key)
            gone = self.contexts.put(key, found)
            if gone is not None:
                self._let_go(gone, now)
        else:
            self.contexts.touch(key)
        return found

    def call(self, key: Key) -> Call:
        place = (key.liid, key.operator, key.element, key.cin or 0)
        found = self.calls.get(place)
        if found is None:
            self._call_numbers += 1
            found = Call(*place, self._call_numbers)
            gone = self.calls.put(place, found)
            if gone is not None:
                self.closed_calls.append(gone)
        else:
            self.calls.touch(place)
        return found

    def _let_go(self, context: Context, now: int) -> None:
        """Its numbers are forgotten: what comes next in it will be taken for new, and said to be."""
        for familiar in self._familiar.values():
            familiar.forget(context)
        context.aliases.clear()
        integrity.close_block(context)
        context.fresh = {}
        context.digests.clear()
        self.report(Rule.LIMIT, "its numbers are forgotten: too many sequences at once", context.key, now)

    # Numbers

    def reset(self, deliverer: str, operator: bytes) -> None:
        """cINReset: sequences of this operator by this deliverer may begin anew."""
        place = (deliverer, operator)
        self._resets.put(place, (self._resets.get(place) or 0) + 1)

    def may_restart(self, context: Context, number: int) -> bool:
        """After a cINReset the first record with number 0 begins the sequence anew."""
        generation = self._resets.get((context.deliverer, context.key.operator)) or 0
        if number or context.generation == generation or not context.next:
            return False
        context.generation = generation
        return True

    def has_restarted(self, context: Context, number: int, octets: bytes, stored: bool) -> bool:
        """A cINReset is not stored: a stored 0 behind other numbers, and a 1 behind it, show that there was one."""
        if stored and not number and context.begun and context.due:
            context.again = octets
            return False
        first, context.again = context.again, None
        if first is None or number != 1 or context.due == 1:
            return False
        self.settle(context)
        context.restart()
        context.arrive(0, first, 0)
        context.hold(0, first)
        return True

    # Integrity

    def check(self, key: Key, number: int, octets: bytes, check: hi.IntegrityCheck, now: int) -> None:
        """An integrity check, itself ``number`` in the sequence ``key``."""
        context = self._covered(key, check.data)
        hashes = self.signable(key, check.data)
        if check.kind == hi.CheckType.SIGNATURE:
            checks = self.context(key, now)
            self._verdicts(integrity.check_signature(hashes, checks.missing, check, number, self.rules.keys), key, now)
            return
        hashes.add(number, octets)
        if context is None:
            text = f"a hash over {len(check.numbers)} records of which none came"
            self._verdicts([Verdict(Rule.UNCHECKED, text, number, number)], key, now)
            return
        before = context.checked
        for verdict in integrity.check_hash(context, check, number, odd, self._look_closer):
            self._verdicts([verdict], key if verdict.own else context.key, now)
            if verdict.own and verdict.first is not None:
                hashes.wrong.add(verdict.first)
        self.checked += context.checked - before

    def _look_closer(self, search: Search) -> None:
        if len(self.searches) < SEARCHES and not self.findings.quiet:
            self.searches.append(search)

    def located(self, search: Search, number: int, now: int) -> None:
        """What a search has found; nothing else of its block is under suspicion then."""
        context = self.contexts.get(search.owner)
        if context is not None and number in (context.suspects or ()):
            context.suspects = None
        text = "the wrong PDU: with one bit of it as it was its hash holds"
        self.report(Rule.LOCATED, text, search.owner, now, number, number)

    def _covered(self, key: Key, data: int | None) -> Context | None:
        """Whose records a check in the sequence ``key`` is about; without dataType the one that waits."""
        found = [each for name in _DATA.get(data, ()) if (each := self.contexts.get(key.of(name))) is not None]
        for context in found:
            self.contexts.touch(context.key)
        return next((each for each in found if each.fresh), found[0]) if found else None

    def signable(self, key: Key, data: int | None) -> Signable:
        """The checks of records of this kind."""
        found = self._hashes.get((key, data))
        if found is None:
            found = Signable()
            self._hashes.put((key, data), found)
        return found

    def _verdicts(self, verdicts: Iterable[Verdict], key: Key, now: int) -> None:
        for verdict in verdicts:
            self.report(verdict.rule, verdict.text, key, now, verdict.first, verdict.last)

    def settle(self, context: Context) -> None:
        """Keep digests only; what waited for a hash cannot be checked any more."""
        integrity.close_block(context)
        context.settle(context.fresh)
        context.fresh = {}

    def too_many(self, context: Context, now: int) -> None:
        """More records wait for a hash than any deliverer is to leave without one."""
        first, last = next(iter(context.fresh)), next(reversed(context.fresh))
        self.settle(context)
        if not context.uncovered_told:
            context.uncovered_told = True
            self.report(
                Rule.UNCHECKED, "no hash covers these records, nor others behind them", context.key, now, first, last
            )

    # Time

    def deadline(self, now: int) -> None:
        """Gaps that have become certain, and memory kept within its bound; to be called about each second."""
        held = 0
        for context in list(self.contexts.values()):
            held += sum(map(len, context.fresh.values())) + sum(map(len, context.block.values()))
            if context.outlier is not None:
                held += len(context.outlier.octets)
            if held > HELD_OCTETS and context.outlier is not None:
                context.admit()
            if held > HELD_OCTETS and context.fresh:
                self.too_many(context, now)
            if context.missing.open or context.outlier is not None:
                unsure = now - UNSURE if context.key.payload == INTEGRITY else None
                self.gaps(context, now - OVERDUE, now, unsure)

    def gaps(self, context: Context, before: int, now: int, unsure: int | None = None) -> None:
        for gap in context.overdue(before, unsure):
            self.gap(context, gap, now)

    def gap(self, context: Context, gap: range, now: int) -> None:
        text = f"{len(gap)} of the sequence did not come"
        self.report(Rule.GAP, text, context.key, now, gap.start % NUMBERS, (gap.stop - 1) % NUMBERS)

    def finish(self, now: int) -> None:
        """The end of the delivery: everything that is still missing is a gap, every suspicion is told."""
        for context in self.contexts.values():
            self.gaps(context, _NEVER - 1, now)
            self._verdicts(integrity.close_block(context), context.key, now)

    def recall(self, now: int, half: bool = False) -> None:
        """Stored checks of both interfaces are put in order; those that wait, or half of them."""
        for key in self.recalled.keys:
            context = self.context(key, now)
            for check in self.recalled.take(key, lambda context=context: context.due, half):  # type: ignore[misc]
                self.has_restarted(context, check.number, check.octets, stored=True)
                if context.arrive(check.number, check.octets, now, check.queue)[0] in TAKEN:
                    context.hold(check.number, check.octets)

    def restored(self, told: Iterable[ToldGap], now: int) -> None:
        """Stored records have been read again; what is missing is told unless it was. Deliverers have yet to come."""
        places = {place(context.key): context for context in self.contexts.values()}
        for gap in told:
            context = places.get(gap.place)
            if context is not None and gap.sequence is not None:
                context.tell(gap.range)
        for context in self.contexts.values():
            # Of two files that a crash has cut off at different times one may lack what will be delivered again.
            context.since(now + REJOIN if context.key.payload == INTEGRITY else now)
            context.suspects = None
        self.pdus = self.octets = self.repeats = self.doubled = self.checked = 0

    @property
    def uncovered(self) -> int:
        """Records that came and that no hash has covered so far."""
        return sum(len(context.fresh) for context in self.contexts.values())

    # Findings

    def report(
        self, rule: Rule, text: str, key: Key | None, now: int, first: int | None = None, last: int | None = None
    ) -> None:
        if key is None:
            self.findings.add(Finding(rule, text, now))
            return
        self.findings.add(
            Finding(
                rule,
                text,
                now,
                link=self.speaking or self.owners.of(key.liid, key.operator),
                liid=shown(key.liid),
                operator=shown(key.operator),
                element=None if key.element is None else shown(key.element),
                cin=key.cin,
                country=key.country,
                payload=key.payload,
                sequence=first,
                last=last if last != first else None,
            )
        )
