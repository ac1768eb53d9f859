"""One deliverer's connection: PS-PDUs out of its octets, each judged, stored and answered (TS 102 232-1 6)."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any

from imswire import hi
from midcall.lemf import content, records
from midcall.lemf.calls import Call, MediaStream
from midcall.lemf.context import NUMBERS, Arrival, Context, Key
from midcall.lemf.core import CC, INTEGRITY, IRI, MAX_FRESH, SECOND, Alias, Intercept, Lemf, Refused
from midcall.lemf.findings import MAX_EACH, Finding, Rule
from midcall.lemf.quick import integrity_check
from midcall.lemf.rows import BEGINNING

MAX_PDU = 1 << 20
_TRANSPORT = {
    hi.KeepAlive: "TRI keep-alive",
    hi.OptionRequest: "TRI optionRequest",
    hi.OptionComplete: "TRI optionComplete",
    hi.AckRequest: "TRI pDUAcknowledgementRequest",
}
"""What a link is kept going with; it is not stored, and its numbers begin with each process of the deliverer."""
_OTHER_TRI = {
    hi.TestPdu: "TRI testPDU",
    hi.Padding: "TRI paddingPDU",
    hi.FirstSegment: "TRI firstSegmentFlag",
    hi.LastSegment: "TRI lastSegmentFlag",
    hi.CinReset: "TRI cINReset",
    hi.OperatorLeaMessage: "TRI operatorLeaMessage",
    hi.KeepAliveResponse: "TRI keep-aliveResponse",
    hi.OptionResponse: "TRI optionResponse",
    hi.AckResponse: "TRI pDUAcknowledgementResponse",
}
_NO_END = 1 << 62
_OURS = (hi.KeepAliveResponse, hi.OptionResponse, hi.AckResponse)


class Batch:
    """What follows from some octets. ``replies`` may go out when everything so far is stored durably.

    ``more``: the turn is over before the octets are; ``receive(b"")`` goes on.
    """

    __slots__ = ("close", "events", "media", "more", "replies", "stored")

    def __init__(self) -> None:
        self.stored: list[Intercept] = []
        self.media: list[tuple[Call, list[tuple[int, MediaStream, bytes]]]] = []
        self.replies: list[tuple[str, bytes]] = []
        self.events: list[str] = []
        self.close = ""
        self.more = False


class Link:
    """Octets of one connection, in whatever pieces they come. ``quiet``: stored octets are read again.

    ``turn``: so many PS-PDUs that go the long way are judged at once; those of known streams cost next to nothing.
    """

    def __init__(self, lemf: Lemf, name: str, quiet: bool = False, turn: int = _NO_END) -> None:
        self.lemf = lemf
        self.name = name
        self.options: tuple[int, ...] = ()
        self.pdus = 0
        self.last = ""
        self._quiet = quiet
        self._rest = b""
        self._splitter: hi.Splitter | None = None
        self._split: deque[bytes] = deque()
        self._turn = self._left = turn
        self._prefix = 0
        self._touched: list[Context] = []
        self._transport: dict[str, int] = {}
        self._batch = Batch()

    @property
    def pending(self) -> int:
        """Octets of a PS-PDU that is not complete."""
        return self._splitter.pending if self._splitter is not None else len(self._rest)

    def receive(self, data: bytes, now: int) -> Batch:
        """Octets as they came; ``now`` is wall time in ns."""
        batch = self._batch = Batch()
        self.lemf.octets += len(data)
        self._left = self._turn
        try:
            if self._splitter is None:
                self._rest = self._many(self._rest + data if self._rest else data, now)
            if self._splitter is not None:
                self._few(data if self._splitter.pending else self._rest or data, now)
        except hi.HiError as error:
            after = f" (the last PS-PDU before: {self.last})" if self.last else ""
            self._link(Rule.FRAMING, f"no PS-PDU follows{after}: {error}", now)
            batch.close = "the boundaries of PS-PDUs are lost"
        except Refused as error:
            self._link(Rule.LIMIT, str(error), now)
            batch.close = str(error)
        batch.more = self._left <= 0 and not batch.close
        self._gather(now)
        return batch

    def _many(self, data: bytes, now: int) -> bytes:
        """The PS-PDUs with definite lengths, as all deliverers send them; returns what is not complete."""
        position, size, pdus = 0, len(data), 0
        known, prefix = self.lemf.aliases.reader(), self._prefix
        touched, future = self._touched, now + self.lemf.rules.future
        backwards, latest = self.lemf.rules.backwards, None
        again, rows = -1, self.lemf.rows
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
            alias = known(data[start + 2 : start + 2 + prefix])
            if alias is None or end - start < prefix + 4:
                self._follows(latest)
                latest = None
                self._one(octets, now)
                prefix = self._prefix
                continue
            layout = alias.layouts.get((end - start) << 3 | data[start + 3 + prefix] & 7)
            if layout is None:
                self._follows(latest)
                latest = None
                header = start - position + len(octets)
                found = integrity_check(octets, header, header + 2 + prefix)
                if found is not None:
                    key = alias.context.key._replace(payload=INTEGRITY)
                    self._integrity(key, found.number, found.check, octets, now)
                elif again != start and self._familiar(alias, octets, header, prefix):
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
                    and self._familiar(alias, octets, start - position + len(octets), prefix)
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
            context.media.append((time, stream, packet))
            if in_row:
                rows.learn(layout, octets, context, stream)
        self.pdus += pdus
        self.lemf.pdus += pdus
        self._follows(latest)
        return data[position:]

    def _follows(self, latest: Context | None) -> None:
        """Remember the record before this one: the last of ``latest``, which came the short way."""
        if latest is not None:
            self.last = _place(latest.key, latest.next - 1)

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
        self._left -= 1
        try:
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
            if self._integrity(key, header.sequence, payload, octets, now):
                self._faults(key, pdu, octets, now)
        elif (kept := _TRANSPORT.get(type(payload))) is not None:
            self._keep_going(kept, header, payload, now)
        elif (other := _OTHER_TRI.get(type(payload))) is not None:
            self._tri(other, header, payload, now)
        else:
            self._data(records.class_of(payload), pdu, octets, now)

    def _data(self, name: str, pdu: hi.PsPdu, octets: bytes, now: int) -> None:
        header = pdu.header
        key = _key(header, name)
        context = self.lemf.context(key, now)
        if not self._number(context, header.sequence, octets, now):
            return
        self._hold(context, header.sequence, octets)
        self._keep(context, octets)
        self.last = _place(key, header.sequence)
        faulty = self._faults(key, pdu, octets, now)
        context.faulty += faulty
        self._time(context, records.time_of(pdu), header.sequence, now)
        if name == CC:
            # All of a stream that are faulty alike go the long way until enough has been told.
            self._content(context, octets, now, learn=not faulty or context.faulty > MAX_EACH)
        elif context.call is not None and isinstance(pdu.payload, tuple):
            for each in pdu.payload:
                if isinstance(each, hi.Iri):
                    event, keys = records.event(each)
                    context.call.iri(each.kind, records.time_of(pdu) or 0, event, keys)
                    self._event(f"LIID {_text(header.liid)} CIN {key.cin}: {event}")
        elif isinstance(pdu.payload, tuple) and isinstance(pdu.payload[0], hi.Iri):
            self._event(f"LIID {_text(header.liid)}: {records.event(pdu.payload[0])[0]}")

    def _content(self, context: Context, octets: bytes, now: int, learn: bool) -> None:
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
        context.media.append((context.last_time, stream, octets[found.packet.start : found.packet.end]))
        prefix = content.prefix_length(octets)
        layout = content.layout(octets, found)
        if prefix is None or layout is None or not learn:
            return
        start = 2 if octets[1] < 0x80 else 3 if octets[1] == 0x81 else 4
        at = start + 2 + prefix
        place = (len(octets) - start) << 3 | octets[at + 1] & 7
        alias = self.lemf.alias(octets[start + 2 : at], context)
        alias.context = context
        self._prefix = prefix
        alias.learn(place, layout, octets, stream)
        if layout.voip_base < 0 and (form := content.form(octets, found)) is not None:
            alias.learn_form(*form, layout, octets, stream)

    def _familiar(self, alias: Alias, octets: bytes, start: int, prefix: int) -> bool:
        """A record of a known stream whose numbers have other widths: learnt without the tables of the module."""
        at = start + 2 + prefix
        found = content.familiar(octets, start, at, alias.forms)
        if found is not None:
            alias.learn((len(octets) - start) << 3 | octets[at + 1] & 7, found[0], octets, found[1])
        return found is not None

    def _number(self, context: Context, number: int, octets: bytes, now: int) -> bool:
        """Take the number; False when the record came before."""
        lemf, key = self.lemf, context.key
        if lemf.may_restart(context, number):
            lemf.settle(context)
            context.restart()
        arrival, gap = context.arrive(number, octets, now)
        context.received += 1
        if arrival is Arrival.AHEAD and len(gap) > len(context.missing):
            lemf.gap(context, gap, now)
        if arrival is Arrival.LATE and key.payload != INTEGRITY:
            lemf.report(Rule.ORDER, "came behind a later one", key, now, number)
        if arrival is Arrival.DOUBLED:
            lemf.doubled += 1
            lemf.report(Rule.DOUBLED, "this number came before, with other octets", key, now, number)
            self._keep(context, octets)
        if arrival is Arrival.REPEAT:
            lemf.repeats += 1
        if arrival is Arrival.OLD:
            text = "this number came before, too long ago to compare; kept"
            lemf.report(Rule.REPEAT, text, key, now, number)
            self._keep(context, octets)
        return arrival in (Arrival.NEXT, Arrival.AHEAD, Arrival.LATE)

    def _time(self, context: Context, time: int | None, number: int, now: int) -> None:
        rules, key = self.lemf.rules, context.key
        if time is None:
            return
        if time > now + rules.future:
            self.lemf.report(Rule.TIME, f"{(time - now) / SECOND:.3f} s before this receiver's clock", key, now, number)
        elif time < context.last_time - rules.backwards:
            text = f"{(context.last_time - time) / SECOND:.3f} s before the time of the record before it"
            self.lemf.report(Rule.TIME, text, key, now, number)
        else:
            context.last_time = max(context.last_time, time)

    def _integrity(self, key: Key, number: int, check: hi.IntegrityCheck, octets: bytes, now: int) -> bool:
        context = self.lemf.context(key, now)
        if not self._number(context, number, octets, now):
            return False
        intercept = self.lemf.intercept(key.liid)
        self._keep(context, octets, intercept.hi3 if check.data == hi.DataType.CC else intercept.hi2)
        self._hold(context, number, octets)
        self.last = _place(key, number)
        self.lemf.check(key, number, octets, check, now)
        return True

    def _faults(self, key: Key, pdu: hi.PsPdu, octets: bytes, now: int) -> bool:
        faults = list(records.faults(pdu, octets))
        for rule, text in faults:
            self.lemf.report(rule, text, key, now, pdu.header.sequence)
        return bool(faults)

    def _unreadable(self, octets: bytes, error: hi.HiError, now: int) -> None:
        """A PS-PDU that breaks the module: kept as it came, where its header can be read with its number."""
        header, name = records.peek(octets)
        if header is None:
            self._link(Rule.SCHEMA, f"{error} (the last PS-PDU before: {self.last or 'none'})", now)
            return
        context = self.lemf.context(_key(header, name), now)
        if self._number(context, header.sequence, octets, now):
            self._hold(context, header.sequence, octets)
            self._keep(context, octets)
            self.lemf.report(Rule.SCHEMA, str(error), context.key, now, header.sequence)

    def _hold(self, context: Context, number: int, octets: bytes) -> None:
        """IRI and CC wait for their hash."""
        if context.key.payload in (IRI, CC):
            context.fresh[number] = octets
        else:
            context.digests.add(number, (octets,))

    def _keep(self, context: Context, octets: bytes, out: list[bytes] | None = None) -> None:
        (context.out if out is None else out).append(octets)
        if not context.dirty:
            context.dirty = True
            self._touched.append(context)

    # Transport-related information

    def _keep_going(self, name: str, header: hi.Header, payload: Any, now: int) -> None:
        self._in_turn(name, header.sequence, now)
        if isinstance(payload, hi.KeepAlive):
            self._reply(header, hi.KeepAliveResponse(), now)
        elif isinstance(payload, hi.AckRequest):
            self._reply(header, hi.AckResponse(), now)
        elif isinstance(payload, hi.OptionRequest):
            wanted = {hi.Option.PDU_ACKNOWLEDGEMENT} if self.lemf.rules.acknowledge else set()
            self.options = tuple(option for option in payload.options if option in wanted)
            declined = tuple(option for option in payload.options if option not in wanted)
            self._reply(header, hi.OptionResponse(self.options, declined), now)

    def _in_turn(self, name: str, number: int, now: int) -> None:
        former = self._transport.get(name)
        if former is not None and number != (former + 1) % NUMBERS:
            self._link(Rule.LINK, f"{name} {number} follows {name} {former}", now)
        self._transport[name] = number

    def _reply(self, header: hi.Header, payload: hi.Payload, now: int) -> None:
        """An answer copies the number of what it answers, and whose it was (6.3.4, 6.3.6)."""
        if not self._quiet:
            answer = hi.Header(header.liid, header.cid, header.sequence, now, header.country, version=header.version)
            self._batch.replies.append((type(payload).__name__, hi.build(hi.PsPdu(answer, payload))))

    def _tri(self, name: str, header: hi.Header, payload: Any, now: int) -> None:
        if isinstance(payload, hi.CinReset):
            self.lemf.reset(header.cid.operator)
            self._event("cINReset: numbers may begin anew")
        elif isinstance(payload, hi.OperatorLeaMessage):
            self._event(f"message of the operator: {_text(payload.message)}")
        elif isinstance(payload, _OURS):
            self._link(Rule.LINK, f"{name} {header.sequence} comes from a deliverer", now)
        elif isinstance(payload, hi.TestPdu) and header.sequence:
            self._link(Rule.LINK, f"{name} with number {header.sequence}; 0 is its number", now)

    # What gathers

    def _gather(self, now: int) -> None:
        """Hand what was received to the shell."""
        batch, lemf = self._batch, self.lemf
        intercepts: dict[bytes, Intercept] = {}
        for context in self._touched:
            context.dirty = False
            if context.next == NUMBERS:
                context.next = 0
            intercepts[context.key.liid] = lemf.intercept(context.key.liid)
            if context.media:
                self._media(context, batch)
            if len(context.fresh) > MAX_FRESH:
                lemf.too_many(context, now)
        self._touched.clear()
        batch.stored = list(intercepts.values())

    def _media(self, context: Context, batch: Batch) -> None:
        media, context.media = context.media, []
        context.received += len(media)
        call = context.call
        if call is not None:
            call.content(len(media), media[0][0], media[-1][0])
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
