"""Content mediation: takes media plans and batches of packets, returns content in clear (TS 33.107 7A.1.A).

A core: times come with the packets. A destination of no plan costs one look-up; nothing outside target, window
and negotiated destinations is decrypted, held or returned.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from struct import Struct as Layout

from msgspec import Struct

from imswire import inet
from imswire.inet import Datagram
from imswire.sdp import Endpoint
from midcall.base.bounded import BoundedTable
from midcall.df3.arrival import Arrival
from midcall.df3.batch import Batches
from midcall.df3.destination import Claim, Destination, Waiting
from midcall.df3.dialog import TappedDialog
from midcall.df3.limits import Df3Limits
from midcall.df3.records import ContentRecords
from midcall.df3.stream import Content, Stream
from midcall.events import (
    CROWDED_PLACE,
    Cc,
    DialogId,
    Failure,
    Instant,
    MediaFlow,
    MediaPacket,
    MediaPlan,
    TapPacket,
)

_RTP_VERSION_BITS = 0x80
# Each packet comes through here: for the usual one nothing is called that need not be.
_make: Callable[[type[Content], tuple[int, Stream, bytes, Datagram, bool]], Content] = tuple.__new__
_port = Layout("!H").pack
# As many as DF2 follows at once, and as many again of which packets are still under way.
DIALOGS = 131_072
# Dialogs of a former run whose plan is still to come.
RECALLED = 65_536

_Key = tuple[str, DialogId]
# Destination, m-line, sender, and whether it is the RTCP port: what one claim is about.
_Place = tuple[bytes, int, int, bool]


class Finished(Struct, frozen=True):
    """A dialog that nothing is expected of any more, with the final counters of its streams.

    ``dropped``: packets that belong to none of them, by reason (``TappedDialog.dropped``).
    """

    xid: str
    dialog: DialogId
    streams: list[Stream]
    errors: list[str]
    dropped: dict[str, int]


class Tapped(Struct, frozen=True):
    """How a dialog stands that is tapped: ``places`` where packets are expected, ``held`` of them that wait there for
    keys, its streams, and ``dropped`` as in :class:`Finished`.
    """

    places: int
    held: int
    streams: tuple[Stream, ...]
    dropped: dict[str, int]


class ContentMediation:
    """Destinations under a plan, their streams, and the keys that open them."""

    def __init__(self, limits: Df3Limits | None = None) -> None:
        self.limits = limits or Df3Limits()
        self._arrival = Arrival(self.limits)
        self._destinations: dict[bytes, list[Destination]] = {}
        self._batches = Batches(self._destinations, self._arrival, self.packets)
        self._dialogs: BoundedTable[_Key, TappedDialog] = BoundedTable("df3.dialogs", DIALOGS)
        self._claims: dict[_Key, dict[_Place, Claim]] = {}
        # Claims of which packets are under way, by when they are let go, and again by dialog with their places.
        self._lingering: OrderedDict[Claim, None] = OrderedDict()
        self._left: dict[_Key, dict[Claim, bytes]] = {}
        self._finished: list[Finished] = []
        self._moved: dict[bytes, None] = {}
        self._waiting = Waiting()
        self._recalled: BoundedTable[_Key, dict[bytes, int]] = BoundedTable("df3.recalled", RECALLED)

    # Restarts

    def counters(self) -> dict[tuple[str, DialogId], dict[bytes, int]]:
        """The rollover counters of all streams that are open, by dialog: for who goes on after a restart."""
        found = {key: dialog.counters() for key, dialog in self._dialogs.items()}
        return {key: counters for key, counters in found.items() if counters}

    def recall(self, xid: str, dialog: DialogId, counters: dict[bytes, int]) -> None:
        """What :meth:`counters` told of a dialog in a former run; its plan comes after."""
        self._recalled.put((xid, dialog), counters)

    # Plans

    def plan(self, plan: MediaPlan, now: Instant) -> list[Content]:
        """Follow a new plan of a dialog; returns what packets that waited for it turn out to be."""
        key = (plan.xid, plan.dialog)
        dialog = self._dialogs.get(key)
        content: list[Content] = []
        if dialog is None:
            dialog = TappedDialog(plan, self._recalled.pop(key))
            gone = self._dialogs.put(key, dialog)
            if gone is not None:
                content = self._crowded_out(gone, now)
        else:
            dialog.renew(plan)
        former = self._claims.get(key, {})
        claims: dict[_Place, Claim] = {}
        for place, flow, name in _places(plan):
            self._batches.expect(place[0], plan.cin)
            claim = former.pop(place, None)
            if claim is None:
                claim = Claim(dialog, flow, place[3])
                lane = self._lane(place[0], name, plan.xid)
                lane.claims.insert(0, claim)
                self._make_room(lane, (claims, former), now)
            claim.flow = flow
            self._lane(place[0], name, plan.xid).renew(claim)
            claims[place] = claim
        for place, claim in former.items():
            self._settle(place[0], claim)
            self._let_linger(key, place[0], claim, now)
        self._claims[key] = claims
        again: list[Content] = []
        for at in dict.fromkeys(place[0] for place in claims):
            there = self._find(at, plan.xid)
            if there is not None and there.early:
                again += self._arrival.again(there, now.wall)
        found = self._retry(plan.xid, (place[0] for place in claims))
        return content + self._arrival.take_late() + again + found

    def close(self, xid: str, dialog: DialogId, now: Instant, *, linger: bool) -> list[Content]:
        """A dialog is over; with ``linger`` packets under way of its proved streams count for a moment more."""
        tapped = self._dialogs.get((xid, dialog))
        return [] if tapped is None else self._close(tapped, now, linger=linger)

    def _crowded_out(self, gone: TappedDialog, now: Instant) -> list[Content]:
        if (gone.plan.xid, gone.plan.dialog) in self._claims:
            self._arrival.crowded_out(gone, now)
        return self._close(gone, now, linger=False)

    def _close(self, tapped: TappedDialog, now: Instant, *, linger: bool) -> list[Content]:
        xid, key = tapped.plan.xid, (tapped.plan.xid, tapped.plan.dialog)
        tapped.over()
        claims = self._claims.pop(key, {})
        content = self._retry(xid, (place[0] for place in claims))
        for place, claim in claims.items():
            self._settle(place[0], claim)
            if linger:
                self._let_linger(key, place[0], claim, now)
            else:
                self._remove(place[0], claim)
        content += self._arrival.take_late()
        self._arrival.over(tapped, now)
        if not linger:
            for claim, at in self._left.pop(key, {}).items():
                del self._lingering[claim]
                self._remove(at, claim)
        self._finish(key, tapped)
        return content

    def next_deadline(self) -> int | None:
        """Wall ns at which the next lingering destination is let go."""
        return next(iter(self._lingering)).until if self._lingering else None

    def deadline(self, now: int) -> None:
        """Let go of what was only waiting for packets under way."""
        while self._lingering:
            claim = next(iter(self._lingering))
            if (claim.until or 0) > now:
                break
            key = (claim.dialog.plan.xid, claim.dialog.plan.dialog)
            place = self._left[key][claim]
            if self._goes_on(place, claim):
                claim.until = (claim.until or 0) + self.limits.linger
                self._lingering.move_to_end(claim)
                continue
            del self._lingering[claim], self._left[key][claim]
            self._remove(place, claim)
            self._finish(key, claim.dialog)

    def _goes_on(self, place: bytes, claim: Claim) -> bool:
        """Whether packets still prove to be the dialog's: a feigned BYE does not end what goes on under its keys."""
        since = (claim.until or 0) - self.limits.linger
        lane = self._find(place, claim.dialog.plan.xid)
        streams = [] if lane is None else list(lane.streams.values())
        return any(s.open and s.dialog == claim.dialog.plan.dialog and s.proved_at > since for s in streams)

    def dialogs(self, xid: str) -> list[DialogId]:
        """What is tapped under a task."""
        return [dialog for each, dialog in self._dialogs if each == xid]

    def look(self, xid: str, dialog: DialogId) -> Tapped | None:
        """How one dialog stands; None: it is not tapped, or not any more."""
        tapped = self._dialogs.get((xid, dialog))
        if tapped is None:
            return None
        places = {place[0] for place in self._claims.get((xid, dialog), ())}
        lanes = [lane for place in places if (lane := self._find(place, xid)) is not None]
        held = sum(len(lane.held) for lane in lanes)
        return Tapped(len(places), held, tuple(tapped.streams), dict(tapped.dropped))

    def held_since(self) -> int | None:
        """When the oldest packet came that waits for keys, wall ns."""
        held = (lane.held[0].time for lanes in self._destinations.values() for lane in lanes if lane.held)
        return min(held, default=None)

    def places(self) -> set[bytes]:
        """Every place that packets are wanted from: what a tap lets through."""
        return set(self._destinations)

    def take_moved(self) -> list[bytes]:
        """Places that have become wanted since the last call, or are not any more: see :meth:`tapped`."""
        moved, self._moved = self._moved, {}
        return list(moved)

    def finish(self, now: Instant | None = None) -> list[Content]:
        """Nothing more comes (the capture ended): close every dialog; returns what waited and is content."""
        content: list[Content] = []
        for xid, dialog in list(self._dialogs):
            content += self.close(xid, dialog, now or Instant(0, 0), linger=False)
        return content

    def take_finished(self) -> list[Finished]:
        """Dialogs that have finished since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def take_failures(self) -> list[Failure]:
        """Dialogs whose media turned out not to be under their keys, each once, and those of whose media some are not
        handed over, since the last call.
        """
        failures, self._arrival.failures = self._arrival.failures, []
        return failures

    # Packets

    def tapped(self, place: bytes) -> bool:
        """Whether packets to a place (address and port in network order) are wanted: one look-up."""
        return place in self._destinations

    def wants(self, xid: str, place: bytes) -> bool:
        """The same for one task."""
        return self._find(place, xid) is not None

    def packets(self, batch: Iterable[MediaPacket]) -> list[Content]:
        """Take in packets in the order of their arrival; returns those that are content, in clear."""
        content: list[Content] = []
        append, destinations = content.append, self._destinations
        for packet in batch:
            time, place, datagram, _ = packet
            lanes = destinations.get(place)
            if lanes is None:
                continue
            if len(lanes) > 1:
                content += self._shared(lanes, packet)
                continue
            payload = datagram.payload
            stream = lanes[0].streams.get(payload[8:12])
            # The short way: a stream with a key, and a packet that is RTP, in time, and right.
            if (
                stream is not None
                and stream.open
                and payload[0] & 0xC0 == _RTP_VERSION_BITS
                and not 192 <= payload[1] <= 223
                and stream.start <= time < stream.end
            ):
                clear = stream.unprotect(payload)
                if isinstance(clear, bytes):
                    stream.packets += 1
                    stream.decrypted += 1
                    stream.last = stream.proved_at = time
                    stream.opened_from = datagram.src + _port(datagram.sport)
                    append(_make(Content, (time, stream, clear, datagram, False)))
                else:
                    content += self._arrival.refused(lanes[0], stream, packet, clear)
            else:
                content += self._arrival.unknown(lanes[0], packet)
        if self._arrival.late:
            content += self._arrival.take_late()
        return content

    def media(self, batch: Iterable[TapPacket], records: ContentRecords) -> list[Cc]:
        """Take in packets as a tap tells of them, in the order of their arrival; returns the records of those that are
        content, those of one call together, in that order.
        """
        return self._batches.take(batch, records)

    def packets_of(self, xid: str, batch: Iterable[MediaPacket]) -> list[Content]:
        """The same for packets that came for one task: others that wait at their places have no part in them."""
        content: list[Content] = []
        alone: list[MediaPacket] = []
        for packet in batch:
            lane = self._find(packet.place, xid)
            if lane is None:
                continue
            if len(lane.lanes) == 1:
                alone.append(packet)
                continue
            content += self.packets(alone)
            alone = []
            content += self._shared([lane], packet)
        return content + self.packets(alone) + self._arrival.take_late()

    # Destinations

    def _lane(self, place: bytes, name: str, xid: str) -> Destination:
        """The lane of a task at a place; a new one when it has none."""
        lane = self._find(place, xid)
        if lane is None:
            if place not in self._destinations:
                self._moved[place] = None
            lanes = self._destinations.setdefault(place, [])
            for other in lanes:
                other.joined()
            lane = Destination(name, self.limits, self._waiting, xid, lanes, place, self._batches.short)
            lanes.append(lane)
        return lane

    def _find(self, place: bytes, xid: str) -> Destination | None:
        return next((lane for lane in self._destinations.get(place, ()) if lane.xid == xid), None)

    def _shared(self, lanes: list[Destination], packet: MediaPacket) -> list[Content]:
        """A packet where several tasks wait: each opens it with its own keys, or not at all.

        What one of them opened is no failure of another, unless that follows the same dialog.
        """
        content: list[Content] = []
        missed: list[Destination] = []
        for lane in lanes:
            opened = self._arrival.attempt(lane, packet)
            if opened is None:
                missed.append(lane)
            else:
                content += opened
        dialogs = {each.stream.dialog for each in content}
        for lane in missed:
            if not dialogs or any(claim.dialog.plan.dialog in dialogs for claim in lane.claims):
                content += self._arrival.missed(lane, packet)
        return content

    def _retry(self, xid: str, places: Iterable[bytes]) -> list[Content]:
        """Packets that were held at some places, in the order in which they came: it is that of their records."""
        held: list[tuple[Destination, MediaPacket]] = []
        for place in dict.fromkeys(places):
            lane = self._find(place, xid)
            if lane is not None:
                held += [(lane, packet) for packet in lane.take_held()]
        held.sort(key=lambda each: each[1].time)
        return [content for lane, packet in held for content in self._arrival.unknown(lane, packet)]

    def _make_room(self, lane: Destination, own: tuple[dict[_Place, Claim], ...], now: Instant) -> None:
        """A session has come to a place; with too many there the oldest goes of those whose media never came.

        ``own``: the claims of that session.
        """
        if len(lane.claims) <= self.limits.claims_of_a_destination:
            return
        newest, *others = lane.claims
        here = {stream.dialog for stream in lane.streams.values() if stream.open}

        def proved(claim: Claim) -> tuple[bool, bool]:
            return claim.dialog.plan.dialog in here, any(stream.open for stream in claim.dialog.streams)

        gone = min(reversed(others), key=proved)
        tapped = gone.dialog
        key = tapped.plan.xid, tapped.plan.dialog
        self._settle(lane.place, gone)
        self._remove(lane.place, gone)
        for claims in (*own, self._claims.get(key, {})):
            for place in [place for place, each in claims.items() if each is gone]:
                del claims[place]
        if gone.until is not None:
            del self._lingering[gone], self._left[key][gone]
            if tapped is not newest.dialog:
                self._finish(key, tapped)
        elif not tapped.crowded:
            tapped.crowded = True
            self._arrival.crowded_out(tapped, now, CROWDED_PLACE)

    def _settle(self, place: bytes, claim: Claim) -> None:
        """Nothing more is expected of a claim: what waits at its place is content now, or missing."""
        lane = self._find(place, claim.dialog.plan.xid)
        if lane is not None:
            self._arrival.settle(lane, claim)

    def _let_linger(self, key: _Key, place: bytes, claim: Claim, now: Instant) -> None:
        claim.until = now.wall + self.limits.linger
        self._lingering[claim] = None
        self._left.setdefault(key, {})[claim] = place

    def _remove(self, place: bytes, claim: Claim) -> None:
        lane = self._find(place, claim.dialog.plan.xid)
        if lane is None or claim not in lane.claims:
            return
        lane.claims.remove(claim)
        self._arrival.abandon(lane, claim)
        lane.drop_streams(claim)
        if not lane.claims:
            lane.take_held()
            lane.take_early()
            lane.joined()
            lane.lanes.remove(lane)
            if not lane.lanes:
                del self._destinations[place]
                self._batches.forget(place)
                self._moved[place] = None

    def _finish(self, key: _Key, dialog: TappedDialog) -> None:
        """Report a dialog once nothing claims a packet for it any more."""
        if key in self._claims or self._left.get(key):
            return
        self._left.pop(key, None)
        self._dialogs.pop(key)
        dialog.close()
        self._finished.append(Finished(key[0], key[1], *dialog.final()))


def _places(plan: MediaPlan) -> Iterator[tuple[_Place, MediaFlow, str]]:
    """What the plan claims; addresses that are no numbers were reported by whoever made the plan."""
    for flow in plan.flows:
        media = {_packed(each) for each in flow.destinations}
        for control, endpoints in ((False, flow.destinations), (True, flow.control)):
            for endpoint in endpoints:
                packed = _packed(endpoint)
                if packed is None or (control and packed in media):
                    continue
                yield (packed, flow.media, flow.sender, control), flow, _name(endpoint)


def _packed(endpoint: Endpoint) -> bytes | None:
    try:
        return inet.endpoint_key(inet.pack(endpoint.address), endpoint.port)
    except inet.InetError:
        return None


def _name(endpoint: Endpoint) -> str:
    return inet.endpoint(inet.pack(endpoint.address), endpoint.port)
