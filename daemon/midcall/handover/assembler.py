"""Records become PS-PDUs: numbered, encoded, with their integrity checks (TS 102 232-1 5.2.5, 7.2.3)."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator

from imswire import hi
from midcall.base.bounded import BoundedTable
from midcall.config import Integrity
from midcall.events import Cc, CcStream, EventRecord, Hi1Record, Intercept, IriRecord
from midcall.handover.integrity import Chain
from midcall.handover.values import (
    INTERFACE,
    INTERFACES,
    KINDS,
    NUMBERS,
    ContextKey,
    Interface,
    Kind,
    Numbered,
    Port,
    Run,
)

UNKNOWN = "no such intercept"
UNFIT = "fits in no PS-PDU"
SECOND = 1_000_000_000
MAX_REFUSED = 1_024

# Of runs there are many: nothing is called that need not be.
_Fields = tuple[Interface, ContextKey, int, list[bytes], ContextKey | None, int, bytes]
_run: Callable[[type[Run], _Fields], Run] = tuple.__new__

Recall = Callable[[ContextKey], int]
Sign = Callable[[bytes], bytes]


class Context:
    """A running sequence of numbers, with what was numbered since the runs were last taken."""

    __slots__ = ("chain", "fresh", "key", "next", "streams", "used")

    def __init__(self, key: ContextKey, number: int, chain: Chain | None) -> None:
        self.key = key
        self.next = number
        self.chain = chain
        self.fresh: list[bytes] = []
        self.streams: list[CcStream] = []
        self.used = 0


class _Flow(hi.CcTemplate):
    """A content stream, ready to be encoded."""

    __slots__ = ("context",)

    def __init__(self, context: Context, head: hi.Header, stream: CcStream) -> None:
        super().__init__(head, stream.direction, stream.form)
        self.context = context


class Assembler:
    """Numbers and encodes the records of several intercepts; the same for files and for the spool.

    ``recall`` gives the number that comes next in a context that is not in memory (0: it is new), ``sign`` an
    Ed25519 signature (None: hashes only). Times are wall ns; what was due earlier comes out first, with its own
    time. The same calls give the same octets.
    """

    def __init__(
        self,
        intercepts: Iterable[Intercept],
        integrity: Integrity | None = None,
        sign: Sign | None = None,
        recall: Recall | None = None,
    ) -> None:
        self.intercepts: dict[str, Intercept] = {each.liid: each for each in intercepts}
        # Records that were not numbered: (LIID, interface, reason) -> how many.
        self.refused: BoundedTable[tuple[str, Port, str], int] = BoundedTable("handover.refused", MAX_REFUSED)
        self._integrity = integrity or Integrity()
        self._sign = sign
        self._recall: Recall = recall or (lambda _: 0)
        self._contexts: dict[ContextKey, Context] = {}
        self._flows: dict[CcStream, _Flow] = {}
        # By LIID, and whether a record belongs to no communication.
        self._forms: dict[tuple[str, bool], tuple[Intercept, hi.IriTemplate]] = {}
        self._checks: dict[tuple[str, bool], tuple[Intercept, hi.CheckTemplate]] = {}
        self._due: dict[Interface, list[tuple[int, int, Chain]]] = {each: [] for each in INTERFACES}
        self._serial = 0
        self._now = 0

    # Product

    def iri(self, records: Iterable[EventRecord], now: int) -> list[Numbered]:
        return _flat(self.iri_runs(records, now))

    def cc(self, records: Iterable[Cc], now: int) -> list[Numbered]:
        return _flat(self.cc_runs(records, now))

    def deadline(self, now: int) -> list[Numbered]:
        """Integrity checks that are due by ``now``."""
        return _flat(self.due_runs("hi2", now) + self.due_runs("hi3", now))

    def end(self, liid: str, now: int) -> list[Numbered]:
        """The closing checks of an intercept."""
        return _flat(self.end_runs(liid, "hi2", now) + self.end_runs(liid, "hi3", now))

    def next_deadline(self) -> int | None:
        """When an integrity check is due next."""
        return min((due for each in INTERFACES if (due := self._next_due(each)) is not None), default=None)

    def iri_runs(self, records: Iterable[EventRecord], now: int) -> list[Run]:
        """Events and HI1 notifications: each of these stands where it was given."""
        runs = self.due_runs("hi2", now)
        touched: dict[ContextKey, Context] = {}
        for record in records:
            if isinstance(record, Hi1Record):
                runs += self._taken(touched, now)
                runs += self._notification(record, now)
                continue
            intercept = self.intercepts.get(record.liid)
            if intercept is None:
                self._refuse(record.liid, "hi2", UNKNOWN)
                continue
            context = self._context(context_key(intercept, record.cin, Kind.IRI))
            try:
                octets = self._event(intercept, record, context.next)
            except hi.HiError:
                self._refuse(record.liid, "hi2", UNFIT)
                continue
            context.fresh.append(octets)
            context.next = (context.next + 1) % NUMBERS
            touched[context.key] = context
        return runs + self._taken(touched, now)

    def cc_runs(self, records: Iterable[Cc], now: int) -> list[Run]:
        runs = self.due_runs("hi3", now)
        touched: list[Context] = []
        flows = self._flows
        # Each packet comes through here: nothing is called that need not be.
        for time, stream, payload in records:
            flow = flows.get(stream) or self._flow(stream)
            if flow is None:
                continue
            context = flow.context
            number, fresh = context.next, context.fresh
            try:
                octets = flow.pdu(number, time, payload)
            except hi.HiError:
                self._refuse(stream.liid, "hi3", UNFIT)
                continue
            if not fresh:
                touched.append(context)
            fresh.append(octets)
            context.next = number + 1 if number < NUMBERS - 1 else 0
        self._take_content(touched, runs, now)
        return runs

    def _take_content(self, touched: list[Context], runs: list[Run], now: int) -> None:
        """As :meth:`_take` does, of many contexts with little in each."""
        most = self._integrity.hash_pdus
        for context in touched:
            fresh, chain = context.fresh, context.chain
            if chain is None or chain.count + len(fresh) >= most:
                runs += self._take(context, now)
                continue
            context.fresh = []
            context.used = now
            first = context.next - len(fresh)
            if first < 0:
                first += NUMBERS
            if chain.hash_due is None:
                chain.hash_due = self._schedule(chain, now + self._integrity.hash_seconds * SECOND)
            runs.append(_run(Run, ("hi3", context.key, first, fresh, None, 0, chain.add(first, fresh))))

    def due_runs(self, interface: Interface, now: int) -> list[Run]:
        if now < self._now - SECOND:
            self._turned_back(now - self._now)
        self._now = now
        runs: list[Run] = []
        while (due := self._next_due(interface)) is not None and due <= now:
            chain = heapq.heappop(self._due[interface])[2]
            if chain.key.liid not in self.intercepts:  # nobody knows any more what it was
                chain.covered()
                chain.signed()
            if chain.hash_due == due:
                runs += self._hash(chain, due)
            if chain.signature_due == due:
                runs.append(self._signature(chain, due))
        return runs

    def end_runs(self, liid: str, interface: Interface, now: int) -> list[Run]:
        runs = self.due_runs(interface, now)
        kind = KINDS[interface]
        for context in [each for each in self._contexts.values() if each.key.liid == liid and each.key.kind is kind]:
            chain = context.chain
            if chain is not None and chain.count:
                runs += self._hash(chain, now)
            if chain is not None and chain.hashes:
                runs.append(self._signature(chain, now))
        return runs

    # State

    def live(self) -> Iterator[ContextKey]:
        return iter(self._contexts)

    def next_number(self, key: ContextKey) -> int:
        return self._context(key).next

    def resume(self, key: ContextKey, first: int, octets: list[bytes], now: int) -> None:
        """Octets that were numbered before a restart and that no hash covers yet, in their order."""
        context = self._context(key)
        if context.chain is not None:
            self._extend(context.chain, first, octets, now)

    def uncovered(self, kind: Kind) -> dict[ContextKey, Chain]:
        """What no hash covers yet, as it stands now."""
        return {
            key: Chain(key, locate=self._integrity.locate).go_on_from(context.chain)
            for key, context in self._contexts.items()
            if key.kind is kind and context.chain is not None and context.chain.count
        }

    def resume_chain(self, chain: Chain, now: int) -> None:
        """What :meth:`uncovered` gave, where the octets are no more; those behind it come by :meth:`resume`."""
        if chain.key.liid in self.intercepts:
            own = self._context(chain.key).chain
            assert own is not None, "there are chains only where there are checks"
            own.go_on_from(chain)
            own.hash_due = self._schedule(own, now + self._integrity.hash_seconds * SECOND)

    def resume_hash(self, key: ContextKey, number: int, octets: bytes, now: int) -> None:
        """A hash that no signature covers yet."""
        chain = self._context(key).chain
        if chain is not None:
            self._keep_hash(chain, number, octets, now)

    def resume_check(self, key: ContextKey, octets: bytes) -> int:
        """An integrity check of the data of ``key``, found behind them; returns its CheckType (0: it is none)."""
        chain = self._context(key).chain
        check = hi.parse(octets).payload
        if chain is None or not isinstance(check, hi.IntegrityCheck):
            return 0
        if check.kind == hi.CheckType.HASH:
            chain.covered()
        return check.kind

    def forget_idle(self, before: int) -> list[ContextKey]:
        """Let go of contexts that were not used since ``before`` and of which nothing waits for a check."""
        idle = [c for c in self._contexts.values() if c.used < before and (c.chain is None or c.chain.empty)]
        for context in idle:
            del self._contexts[context.key]
            for stream in context.streams:
                self._flows.pop(stream, None)
        return [context.key for context in idle]

    def is_covered(self, liid: str) -> bool:
        """Whether nothing of an intercept waits for an integrity check."""
        return all(each.chain is None or each.chain.empty for each in self._contexts.values() if each.key.liid == liid)

    def forget(self, liid: str) -> None:
        """Let go of an intercept; nothing of it is numbered any more."""
        self.intercepts.pop(liid, None)
        self.let_go(liid)

    def let_go(self, liid: str) -> None:
        """What an intercept has in memory, which is over; its numbers are where ``recall`` finds them."""
        for isolated in (False, True):
            self._forms.pop((liid, isolated), None)
            self._checks.pop((liid, isolated), None)
        for context in [each for each in self._contexts.values() if each.key.liid == liid]:
            del self._contexts[context.key]
            for stream in context.streams:
                self._flows.pop(stream, None)
            if context.chain is not None:
                context.chain.covered()
                context.chain.signed()

    # Inside

    def _turned_back(self, shift: int) -> None:
        """The clock was set back: what is due keeps its distance."""
        for heap in self._due.values():
            for chain in {id(chain): chain for _, _, chain in heap}.values():
                chain.hash_due = None if chain.hash_due is None else chain.hash_due + shift
                chain.signature_due = None if chain.signature_due is None else chain.signature_due + shift
            heap[:] = [(due + shift, serial, chain) for due, serial, chain in heap]

    def _next_due(self, interface: Interface) -> int | None:
        due = self._due[interface]
        while due and due[0][0] not in (due[0][2].hash_due, due[0][2].signature_due):
            heapq.heappop(due)
        return due[0][0] if due else None

    def _context(self, key: ContextKey) -> Context:
        context = self._contexts.get(key)
        if context is None:
            chained = self._integrity.enabled and key.kind.is_data
            context = Context(key, self._recall(key), Chain(key, locate=self._integrity.locate) if chained else None)
            self._contexts[key] = context
        return context

    def _flow(self, stream: CcStream) -> _Flow | None:
        intercept = self.intercepts.get(stream.liid)
        if intercept is None:
            self._refuse(stream.liid, "hi3", UNKNOWN)
            return None
        context = self._context(context_key(intercept, stream.cin, Kind.CC))
        head = header(intercept, stream.cin, 0, 0, hi.Qualifier.TIME_OF_INTERCEPTION)
        flow = self._flows[stream] = _Flow(context, head, stream)
        context.streams.append(stream)
        return flow

    def _event(self, intercept: Intercept, record: IriRecord, number: int) -> bytes:
        """The PS-PDU of an event; HiError when a value does not fit."""
        isolated = record.cin is None
        known = self._forms.get((record.liid, isolated))
        if known is None or known[0] is not intercept:  # none yet, or the intercept was changed
            head = header(intercept, record.cin, 0, 0, hi.Qualifier.TIME_OF_INTERCEPTION)
            known = self._forms[record.liid, isolated] = intercept, hi.IriTemplate(head, isolated=isolated)
        return known[1].pdu(record.cin or 0, number, record.at, record.kind, record.contents)

    def _notification(self, record: Hi1Record, now: int) -> list[Run]:
        """HI1 belongs to no communication: it has no CIN (annex A), and one sequence of numbers for each LIID."""
        intercept = self.intercepts.get(record.liid)
        if intercept is None:
            self._refuse(record.liid, "hi1", UNKNOWN)
            return []
        context = self._context(context_key(intercept, None, Kind.HI1))
        number = context.next
        head = header(intercept, None, number, record.at, hi.Qualifier.TIME_OF_MEDIATION)
        try:
            octets = hi.build(hi.PsPdu(head, hi.Hi1(record.contents)))
        except hi.HiError:
            self._refuse(record.liid, "hi1", UNFIT)
            return []
        context.next = (number + 1) % NUMBERS
        context.used = now
        return [Run(INTERFACE[Kind.HI1], context.key, number, [octets])]

    def _refuse(self, liid: str, interface: Port, reason: str) -> None:
        place = (liid, interface, reason)
        self.refused.put(place, (self.refused.get(place) or 0) + 1)

    def _taken(self, touched: dict[ContextKey, Context], now: int) -> list[Run]:
        """What was numbered in all of these, which are none then."""
        runs = [run for context in touched.values() for run in self._take(context, now)]
        touched.clear()
        return runs

    def _take(self, context: Context, now: int) -> list[Run]:
        """What was numbered in a context, cut where a hash is due."""
        fresh, context.fresh = context.fresh, []
        context.used = now
        key, chain = context.key, context.chain
        interface = INTERFACE[key.kind]
        first = (context.next - len(fresh)) % NUMBERS
        if chain is None:
            return [Run(interface, key, first, fresh)]
        runs: list[Run] = []
        while fresh:
            room = self._integrity.hash_pdus - chain.count
            part, fresh = (fresh, []) if len(fresh) <= room else (fresh[:room], fresh[room:])
            runs.append(Run(interface, key, first, part, joined=self._extend(chain, first, part, now)))
            first = (first + len(part)) % NUMBERS
            if chain.count >= self._integrity.hash_pdus:
                runs += self._hash(chain, now)
        return runs

    def _extend(self, chain: Chain, first: int, octets: list[bytes], now: int) -> bytes:
        if chain.hash_due is None:
            chain.hash_due = self._schedule(chain, now + self._integrity.hash_seconds * SECOND)
        return chain.add(first, octets)

    def _schedule(self, chain: Chain, due: int) -> int:
        self._serial += 1
        heapq.heappush(self._due[INTERFACE[chain.key.kind]], (due, self._serial, chain))
        return due

    def _hash(self, chain: Chain, at: int) -> list[Run]:
        runs = [self._check(chain, check, at) for check in chain.take_hashes()]
        for run in runs:
            self._keep_hash(chain, run.first, run.octets[0], at)
        if len(chain.hashes) >= self._integrity.signature_hashes:
            runs.append(self._signature(chain, at))
        return runs

    def _keep_hash(self, chain: Chain, number: int, octets: bytes, at: int) -> None:
        if self._sign is None:
            return
        if chain.signature_due is None:
            chain.signature_due = self._schedule(chain, at + self._integrity.signature_seconds * SECOND)
        chain.hashes.append((number, octets))

    def _signature(self, chain: Chain, at: int) -> Run:
        assert self._sign is not None, "hashes wait only where they can be signed"
        return self._check(chain, chain.take_signature(self._sign(chain.signed_octets())), at)

    def _check(self, chain: Chain, check: hi.IntegrityCheck, at: int) -> Run:
        key = chain.key
        context = self._context(key.other(Kind.INTEGRITY))
        number, context.next = context.next, (context.next + 1) % NUMBERS
        context.used = at
        octets = self._check_form(key).pdu(key.cin or 0, number, at, check)
        return Run(INTERFACE[key.kind], context.key, number, [octets], key, check.kind)

    def _check_form(self, key: ContextKey) -> hi.CheckTemplate:
        intercept, form = self.intercepts[key.liid], (key.liid, key.cin is None)
        known = self._checks.get(form)
        if known is None or known[0] is not intercept:  # none yet, or the intercept was changed
            head = header(intercept, key.cin, 0, 0, hi.Qualifier.TIME_OF_MEDIATION)
            known = self._checks[form] = intercept, hi.CheckTemplate(head, isolated=key.cin is None)
        return known[1]


def context_key(intercept: Intercept, cin: int | None, kind: Kind) -> ContextKey:
    return ContextKey(intercept.liid, intercept.operator, intercept.element, cin, intercept.delivery_country, kind)


def header(intercept: Intercept, cin: int | None, sequence: int, at: int | None, qualifier: int | None) -> hi.Header:
    """PSHeader of an intercept (TS 102 232-1 5.2)."""
    element = None if intercept.element is None else intercept.element.encode()
    cid = hi.CommunicationId(intercept.operator.encode(), element, cin, intercept.delivery_country)
    return hi.Header(intercept.liid.encode(), cid, sequence, at, intercept.country, None, qualifier)


def _flat(runs: list[Run]) -> list[Numbered]:
    return [numbered for run in runs for numbered in run.numbered()]
