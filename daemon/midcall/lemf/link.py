"""One deliverer's connection: PS-PDUs out of its octets, each judged, stored and answered (TS 102 232-1 6)."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable

from imswire import hi
from midcall.lemf import content, records
from midcall.lemf.batch import Batch
from midcall.lemf.calls import Packets
from midcall.lemf.context import CC, IRI, TAKEN, Arrival, Context, Key
from midcall.lemf.core import INTEGRITY, MAX_FRESH, SECOND, Intercept, Lemf, Refused
from midcall.lemf.findings import MAX_EACH, Finding, Rule
from midcall.lemf.integrity import Signable
from midcall.lemf.numbers import NUMBERS
from midcall.lemf.quick import MAX_TLVS, crowded, integrity_check, prefix_length
from midcall.lemf.recalled import Check
from midcall.lemf.rows import BEGINNING
from midcall.lemf.transport import Transport

MAX_PDU = 1 << 20
MAX_UNREADABLE = 256
"""PS-PDUs of one link that cannot be read; behind that it is no deliverer."""
_NO_END = 1 << 62
_COST_OCTETS = 1 << 10
_COST_NUMBERS = 1 << 8
"""What costs about as much as a small PS-PDU does: so many octets, so many numbers of a check."""


class Link:
    """Octets of one connection, in whatever pieces they come. ``quiet``: stored octets are read again.

    ``deliverer`` is who it is of; all its links are one to the core. A turn ends when ``turn`` small PS-PDUs have gone
    the long way, or so many larger ones and checks as cost the same, or ``time`` ns have passed on ``clock``; those
    of known streams cost next to nothing.
    """

    def __init__(
        self,
        lemf: Lemf,
        name: str,
        deliverer: str = "",
        *,
        quiet: bool = False,
        turn: int = _NO_END,
        time: int = _NO_END,
        clock: Callable[[], int] = lambda: 0,
    ) -> None:
        self.lemf = lemf
        self.name = name
        self.deliverer = deliverer or name
        self.transport = Transport()
        self.pdus = 0
        self._last: tuple[Key, int] | None = None
        self._quiet = quiet
        self._rest = b""
        self._splitter: hi.Splitter | None = None
        self._split: deque[bytes] = deque()
        self._turn = self._left = turn
        self._time_of_turn, self._until, self._clock = time, _NO_END, clock
        self._unread = 0
        self._known = lemf.familiar(self.deliverer)
        self._touched: list[Context] = []
        self._aside: dict[bytes, Intercept] = {}
        self._batch = Batch()

    @property
    def last(self) -> str:
        """The last PS-PDU that was taken, in words; empty: none was."""
        return _place(*self._last) if self._last is not None else ""

    @property
    def pending(self) -> int:
        """Octets of a PS-PDU that is not complete."""
        return self._splitter.pending if self._splitter is not None else len(self._rest)

    def receive(self, data: bytes, now: int) -> Batch:
        """Octets as they came; ``now`` is wall time in ns."""
        batch = self._batch = Batch()
        self.lemf.octets += len(data)
        self._left = self._turn
        self._until = self._clock() + self._time_of_turn
        self.lemf.speaking = "" if self._quiet else self.name
        try:
            if self._splitter is None:
                self._rest = self._many(self._rest + data if self._rest else data, now)
            if self._splitter is not None:
                self._few(data if self._splitter.pending else self._rest or data, now)
        except hi.HiError as error:
            last = self.last
            after = f" (the last PS-PDU before: {last})" if last else ""
            self._link(Rule.FRAMING, f"no PS-PDU follows{after}: {error}", now)
            batch.close = "the boundaries of PS-PDUs are lost"
        except Refused as error:
            self._link(Rule.LIMIT, str(error), now)
            batch.close = str(error)
        batch.more = self._left <= 0 and not batch.close
        self._gather(now)
        self.lemf.speaking = ""
        return batch

    def _costs(self, octets: int, numbers: int = 0) -> None:
        """The turn has so much less left."""
        self._left -= 1 + octets // _COST_OCTETS + numbers // _COST_NUMBERS
        if self._clock() >= self._until:
            self._left = 0

    def _many(self, data: bytes, now: int) -> bytes:
        """The PS-PDUs with definite lengths, as all deliverers send them; returns what is not complete."""
        position, size, pdus = 0, len(data), 0
        known, prefixes = self._known.aliases.reader(), self._known.prefixes
        touched, future = self._touched, now + self.lemf.rules.future
        backwards, latest = self.lemf.rules.backwards, None
        again, rows = -1, self._known.rows
        take = rows.take
        while size - position >= 4 and self._left > 0:
            length = data[position + 1]
            if length == 0x82:
                start = position + 4
                end = start + (data[position + 2] << 8 | data[position + 3])
            elif length == 0x81:
                start = position + 3
                end = start + data[position + 2]
            elif length < 0x80 and data[position] == 0x30:
                start = position + 2
                end = start + length
            else:
                self._splitter = hi.Splitter(MAX_PDU)
                break
            if end > size:
                break
            in_row = data[position : position + BEGINNING] == data[end : end + BEGINNING]
            if in_row:
                taken, following = take(data, position, backwards, future, touched)
                if taken:
                    latest = following
                    position += taken * (end - position)
                    pdus += taken
                    continue
            octets = data[position:end]
            position = end
            pdus += 1
            header_size = data[start + 1] if end - start > 1 else 0
            prefix = prefixes[header_size]
            alias = known(data[start + 2 : start + 2 + prefix])
            if alias is None:
                prefix = prefixes[header_size] = prefix_length(data, start + 2)
                alias = known(data[start + 2 : start + 2 + prefix])
            if alias is None or end - start < prefix + 4:
                self._follows(latest)
                latest = None
                self._one(octets, now)
                continue
            layout = alias.layouts.get((end - start) << 3 | data[start + 3 + prefix] & 7)
            if layout is None:
                self._follows(latest)
                latest = None
                header = start - position + len(octets)
                found = integrity_check(octets, header, header + 2 + prefix)
                if found is not None:
                    key = alias.context.key.of(INTEGRITY)
                    self._costs(len(octets), len(found.check.numbers))
                    self._integrity(key, found.number, found.time, found.check, octets, now)
                elif again != start and self._known.widths(alias, octets, header, prefix):
                    again = start
                    position -= len(octets)
                    pdus -= 1
                else:
                    self._one(octets, now)
                continue
            if layout.voip_base < 0:
                head, number, x1, second, x2, micro, x3, packet, x4 = layout.read(octets)
                number -= layout.number_base
                stream = layout.streams.get(x3 + x4)
            else:
                head, number, x1, second, x2, micro, x3, low, x4, packet, x5 = layout.read(octets)
                number -= layout.number_base
                low -= layout.voip_base
                fits = low == number & 0xFFFF and low <= layout.voip_most
                stream = layout.streams.get(x3 + x4 + x5) if fits else None
            context = alias.context
            micro -= layout.micro_base
            time = second * SECOND + micro * 1_000
            last = context.last_time
            if (
                stream is None
                or number != context.next
                or head != layout.head
                or x1 != layout.before_second
                or x2 != layout.before_micro
                or not last - backwards <= time <= future
                or not 0 <= micro <= layout.micro_most
                or number > layout.number_most
                or second > layout.second_most
            ):
                self._follows(latest)
                latest = None
                if (
                    stream is None
                    and again != start
                    and self._known.widths(alias, octets, start - position + len(octets), prefix)
                ):
                    again = start  # once: what is not taken then goes the long way
                    position -= len(octets)
                    pdus -= 1
                else:
                    self._one(octets, now)
                continue
            latest = context
            context.next = number + 1
            if time > last:
                context.last_time = time
            context.fresh[number] = octets
            if not context.dirty:
                context.dirty = True
                touched.append(context)
            context.out.append(octets)
            context.media.fields += (second, micro, stream, packet)
            if in_row:
                rows.learn(layout, octets, context, stream)
        self.pdus += pdus
        self.lemf.pdus += pdus
        self._follows(latest)
        return data[position:]

    def _follows(self, latest: Context | None) -> None:
        """Remember the record before this one: the last of ``latest``, which came the short way."""
        if latest is not None:
            self._last = latest.key, latest.next - 1

    def _few(self, data: bytes, now: int) -> None:
        """Whatever else BER allows, TLV by TLV, until a PS-PDU ends where the octets do."""
        splitter = self._splitter
        assert splitter is not None
        self._rest = b""
        if data and splitter.fault is None:
            with contextlib.suppress(hi.HiError):  # told below, behind the PS-PDUs before it
                self._split += splitter.feed(data)
        while self._split and self._left > 0:
            self.pdus += 1
            self.lemf.pdus += 1
            self._one(self._split.popleft(), now)
        if not splitter.pending and not self._split:
            splitter.feed(b"")
            self._splitter = None

    # One PS-PDU, in full

    def _one(self, octets: bytes, now: int) -> None:
        self._costs(len(octets))
        try:
            if crowded(octets):
                raise hi.HiError("PS-PDU", f"more than {MAX_TLVS} parts")
            pdu = hi.parse(octets)
        except hi.HiError as error:
            self._unreadable(octets, error, now)
            return
        header, payload = pdu.header, pdu.payload
        if isinstance(payload, tuple):
            if isinstance(payload[0], hi.Cc):
                self._data(CC, pdu, octets, now)
            else:
                self._data(IRI, pdu, octets, now)
        elif isinstance(payload, hi.IntegrityCheck):
            key = _key(header, INTEGRITY)
            self._costs(0, len(payload.numbers))
            if self._integrity(key, header.sequence, header.time, payload, octets, now):
                self._faults(key, pdu, octets, now)
        elif self.transport.takes(payload):
            self._tri(header, payload, now)
        else:
            self._data(records.class_of(payload), pdu, octets, now)

    def _data(self, name: str, pdu: hi.PsPdu, octets: bytes, now: int) -> None:
        header = pdu.header
        key = _key(header, name)
        if not self._ours(key, header.sequence, octets, now):
            return
        context = self.lemf.context(key, now)
        if not self._number(context, header.sequence, octets, now):
            return
        context.hold(header.sequence, octets)
        self._keep(context, octets)
        self._last = key, header.sequence
        faulty = self._faults(key, pdu, octets, now)
        context.faulty += faulty
        time = self._time(context, key, records.time_of(pdu), header.sequence, now)
        if name == CC:
            # All of a stream that are faulty alike go the long way until enough has been told.
            self._content(context, octets, time, now, learn=not faulty or context.faulty > MAX_EACH)
        elif context.call is not None and isinstance(pdu.payload, tuple):
            for each in pdu.payload:
                if isinstance(each, hi.Iri):
                    event, keys = records.event(each)
                    context.call.iri(each.kind, records.time_of(pdu) or 0, event, keys)
                    self._event(f"LIID {_text(header.liid)} CIN {key.cin}: {event}")
        elif isinstance(pdu.payload, tuple) and isinstance(pdu.payload[0], hi.Iri):
            self._event(f"LIID {_text(header.liid)}: {records.event(pdu.payload[0])[0]}")
        elif isinstance(pdu.payload, hi.Hi1):
            self._event(f"LIID {_text(header.liid)}: {records.notification(pdu.payload)}")

    def _content(self, context: Context, octets: bytes, time: int, now: int, learn: bool) -> None:
        """The packet of a content record goes to the media; the next of its kind go the short way."""
        found = content.content(octets)
        if found is None or context.call is None:
            return
        stream = context.call.stream(found.stream)
        if stream is None:
            self.lemf.report(
                Rule.LIMIT, "more streams than are told apart; stored, not written as media", context.key, now
            )
            return
        second, rest = divmod(time, SECOND)
        context.media.fields += (second, rest // 1_000, stream, octets[found.packet.start : found.packet.end])
        if learn:
            self._known.learn(octets, found, context, stream)

    def _ours(self, key: Key, number: int, octets: bytes, now: int) -> bool:
        """Whether this deliverer is the one of the interception; what is of another one is put aside."""
        if self._quiet or self.lemf.owned(key, self.deliverer):
            return True
        owner = self.lemf.owners.of(key.liid, key.operator)
        text = f"comes from another deliverer than the first one, {owner}; put aside"
        self.lemf.report(Rule.DELIVERER, text, key, now, number)
        self._put_aside(key, octets)
        return False

    def _put_aside(self, key: Key, octets: bytes) -> None:
        intercept = self.lemf.intercept(key.liid)
        intercept.aside.append(octets)
        self._aside[key.liid] = intercept

    def _number(self, context: Context, number: int, octets: bytes, now: int, queue: int = 0) -> bool:
        """Take the number; False when the record came before."""
        lemf, key = self.lemf, context.key
        if self._quiet or context.again is not None:
            lemf.has_restarted(context, number, octets, self._quiet)
        elif lemf.may_restart(context, number):
            lemf.settle(context)
            context.restart()
        arrival, stray = context.arrive(number, octets, now, queue)
        if stray is not None:
            ahead = (stray - number) % NUMBERS
            text = f"{ahead} ahead of {number}, which came behind it and where the sequence goes on; stored"
            lemf.report(Rule.ORDER, text, key, now, stray)
        if arrival is Arrival.LATE and key.payload != INTEGRITY:
            lemf.report(Rule.ORDER, "came behind a later one", key, now, number)
        if arrival is Arrival.DOUBLED:
            lemf.doubled += 1
            lemf.report(Rule.DOUBLED, "this number came before, with other octets", key, now, number)
            self._keep(context, octets)
        if arrival is Arrival.REPEAT:
            lemf.repeats += 1
        if arrival is Arrival.OLD:
            text = "this number came before, too long ago to compare; put aside"
            lemf.report(Rule.REPEAT, text, key, now, number)
            self._put_aside(key, octets)
        return arrival in TAKEN

    def _time(self, line: Context | Signable, key: Key, time: int | None, number: int, now: int) -> int:
        """Judge the time of a record; returns the one that it is taken to have."""
        rules = self.lemf.rules
        if time is None:
            return line.last_time
        if time > now + rules.future:
            self.lemf.report(Rule.TIME, f"{(time - now) / SECOND:.3f} s before this receiver's clock", key, now, number)
            return line.last_time
        if time < line.last_time - rules.backwards:
            text = f"{(line.last_time - time) / SECOND:.3f} s before the time of the record before it"
            self.lemf.report(Rule.TIME, text, key, now, number)
            line.last_time = time  # one wrong time must not accuse all behind it
        line.last_time = max(line.last_time, time)
        return time

    def _integrity(
        self, key: Key, number: int, time: int | None, check: hi.IntegrityCheck, octets: bytes, now: int
    ) -> bool:
        if not self._ours(key, number, octets, now):
            return False
        context = self.lemf.context(key, now)
        queue = int(check.data == hi.DataType.CC)
        if self._quiet:
            self.lemf.recalled.note(key, Check(number, time or 0, octets, queue))
        elif not self._number(context, number, octets, now, queue):
            return False
        intercept = self.lemf.intercept(key.liid)
        self._keep(context, octets, intercept.hi3 if queue else intercept.hi2)
        if not self._quiet:
            context.hold(number, octets)
        self._last = key, number
        self._time(self.lemf.signable(key, check.data), key, time, number, now)
        self.lemf.check(key, number, octets, check, now)
        return True

    def _faults(self, key: Key, pdu: hi.PsPdu, octets: bytes, now: int) -> bool:
        faults = [] if self._quiet else list(records.faults(pdu, octets))
        for rule, text in faults:
            self.lemf.report(rule, text, key, now, pdu.header.sequence)
        return bool(faults)

    def _unreadable(self, octets: bytes, error: hi.HiError, now: int) -> None:
        """A PS-PDU that breaks the module: kept as it came, where its header can be read with its number."""
        self._unread += 1
        if self._unread > MAX_UNREADABLE and not self._quiet:
            raise Refused(f"more than {MAX_UNREADABLE} PS-PDUs that cannot be read")
        header, name = records.peek(octets)
        if header is None:
            self._link(Rule.SCHEMA, f"{error} (the last PS-PDU before: {self.last or 'none'})", now)
            return
        key = _key(header, name)
        if not self._ours(key, header.sequence, octets, now):
            return
        context = self.lemf.context(key, now)
        if self._number(context, header.sequence, octets, now):
            context.hold(header.sequence, octets)
            self._keep(context, octets)
            self.lemf.report(Rule.SCHEMA, str(error), context.key, now, header.sequence)

    def _keep(self, context: Context, octets: bytes, out: list[bytes] | None = None) -> None:
        (context.out if out is None else out).append(octets)
        if not context.dirty:
            context.dirty = True
            self._touched.append(context)

    # Transport-related information

    def _tri(self, header: hi.Header, payload: hi.Payload, now: int) -> None:
        taken = self.transport.take(header, payload, self.lemf.rules.acknowledge)
        for text in taken.wrong:
            self._link(Rule.LINK, text, now)
        if taken.event:
            self._event(taken.event)
        if isinstance(payload, hi.CinReset):
            self.lemf.reset(self.deliverer, header.cid.operator)
        if taken.answer is not None and not self._quiet:
            # An answer copies the number of what it answers, and whose it was (6.3.4, 6.3.6).
            answer = hi.Header(header.liid, header.cid, header.sequence, now, header.country, version=header.version)
            self._batch.replies.append((type(taken.answer).__name__, hi.build(hi.PsPdu(answer, taken.answer))))

    # What gathers

    def _gather(self, now: int) -> None:
        """Hand what was received to the shell."""
        batch, lemf = self._batch, self.lemf
        intercepts, self._aside = self._aside, {}
        for context in self._touched:
            context.dirty = False
            if context.next == NUMBERS:
                context.next = 0
            intercepts[context.key.liid] = lemf.intercept(context.key.liid)
            if context.media.fields:
                self._media(context, batch)
            if len(context.fresh) > MAX_FRESH:
                lemf.too_many(context, now)
        self._touched.clear()
        batch.stored = list(intercepts.values())

    def _media(self, context: Context, batch: Batch) -> None:
        media, context.media = context.media, Packets()
        call = context.call
        if call is not None:
            call.content(len(media), media.time(0), media.time(-1))
            if not self._quiet:
                batch.media.append((call, media))

    def _event(self, text: str) -> None:
        if not self._quiet:
            self._batch.events.append(text)

    def _link(self, rule: Rule, text: str, now: int) -> None:
        self.lemf.findings.add(Finding(rule, text, now, link=self.name))


def _key(header: hi.Header, payload: str) -> Key:
    cid = header.cid
    return Key(header.liid, cid.operator, cid.element, cid.cin, cid.country, payload)


def _place(key: Key, number: int) -> str:
    return f"LIID {_text(key.liid)}, CIN {key.cin}, {key.payload} {number}"


_text: Callable[[bytes], str] = records.shown
