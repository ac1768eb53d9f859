"""One address and port that intercepted media are sent to, and who may be meant by what arrives there.

Each task has a lane of its own at a place: its claims, streams and keys. What one task is given says nothing to
another, nor of another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from imswire.sdp import Endpoint
from midcall.df3.dialog import Proof, TappedDialog
from midcall.df3.doubt import Doubt
from midcall.df3.limits import Df3Limits
from midcall.df3.stream import Stream
from midcall.events import DialogId, MediaFlow, MediaPacket

if TYPE_CHECKING:
    from midcall.df3.plain import Passing


class Seen:
    """``strangers``: packets of sources that nothing speaks for; ``known`` counts those of the others."""

    __slots__ = ("known", "strangers")

    def __init__(self) -> None:
        self.strangers: Doubt[MediaPacket] = Doubt()
        self.known = 0


class Claim:
    """A dialog that expects a flow here; ``until`` is set when it no longer does, but packets are under way.

    ``named``: the source that the session names, once it was seen. ``sources``: of media, and of RTCP.
    """

    __slots__ = ("control", "dialog", "flow", "named", "sources", "until")

    def __init__(self, dialog: TappedDialog, flow: MediaFlow, control: bool) -> None:
        self.dialog = dialog
        self.flow = flow
        self.control = control
        self.until: int | None = None
        self.named: Endpoint | None = None
        self.sources = Seen(), Seen()

    def within(self, time: int) -> bool:
        """Inside the warrant's window, and the claim still stands."""
        plan = self.dialog.plan
        if plan.start is not None and time < plan.start:
            return False
        if plan.end is not None and time >= plan.end:
            return False
        return self.until is None or time < self.until


class Trial(NamedTuple):
    """A searched counter that a short tag confirmed once; its packet waits for the second time."""

    claim: Claim
    proof: Proof
    packet: MediaPacket


class Early(NamedTuple):
    """A packet that no key opened, and that a key may open that comes at once; what was made of it meanwhile."""

    claim: Claim
    stream: Stream
    packet: MediaPacket
    keyed: bool


class Waiting:
    """Octets that wait for keys at all destinations together; ``early``: of those that were a little early."""

    __slots__ = ("early", "octets")

    def __init__(self) -> None:
        self.early = self.octets = 0


class Destination:
    """A task's claims on one (address, port), the streams seen there, and packets that wait for keys.

    ``lanes`` are those of all tasks at ``place`` (address and port in network order), this one included. ``short`` is
    where streams are found that are alone at their place, by that and their key there.
    """

    __slots__ = (
        "_held_octets",
        "_waiting",
        "budget",
        "claims",
        "early",
        "held",
        "lanes",
        "name",
        "passing",
        "place",
        "short",
        "streams",
        "trials",
        "xid",
    )

    def __init__(
        self,
        name: str,
        limits: Df3Limits,
        waiting: Waiting,
        xid: str,
        lanes: list[Destination],
        place: bytes,
        short: dict[bytes, Stream],
    ) -> None:
        self.name = name
        self.place = place
        self.short = short
        self.xid = xid
        self.lanes = lanes
        self._waiting = waiting
        self.claims: list[Claim] = []
        self.streams: dict[bytes, Stream] = {}
        self.trials: dict[bytes, Trial] = {}
        # Of streams in clear, how the next packet is known to be theirs (``df3.plain``).
        self.passing: dict[bytes, Passing] = {}
        self.held: deque[MediaPacket] = deque()
        # The newest of those that no key has opened where keys open others, in their order, by their packets' ids.
        self.early: dict[int, Early] = {}
        self.budget = limits.search_budget
        self._held_octets = 0

    # Streams

    def put(self, key: bytes, stream: Stream) -> None:
        """A stream stands here, in the place of any former one of its key."""
        self.streams[key] = stream
        self.short.pop(self.place + key, None)

    def pop(self, key: bytes) -> Stream:
        """It stands here no more."""
        self.short.pop(self.place + key, None)
        self.passing.pop(key, None)
        return self.streams.pop(key)

    def joined(self) -> None:
        """Its place is not that of this task alone any more, or of none."""
        for key in self.streams:
            self.short.pop(self.place + key, None)

    def standing(self, time: int) -> Iterator[Claim]:
        """Claims that a packet of ``time`` may belong to, the newest first."""
        return (claim for claim in self.claims if claim.within(time))

    def dialogs(self, time: int) -> set[DialogId]:
        """Dialogs that a packet of ``time`` may belong to, whoever's task they are under."""
        return {claim.dialog.plan.dialog for lane in self.lanes for claim in lane.standing(time)}

    def hold(self, packet: MediaPacket, limits: Df3Limits) -> bool:
        """Keep a packet until keys come; False when a bound forbids it."""
        octets = len(packet.payload)
        if (
            len(self.held) >= limits.held_packets
            or self._held_octets + octets > limits.held_octets
            or self._waiting.octets + octets > limits.held_octets_in_all
        ):
            return False
        self.held.append(packet)
        self._held_octets += octets
        self._waiting.octets += octets
        return True

    def take_held(self) -> list[MediaPacket]:
        self._waiting.octets -= self._held_octets
        held, self._held_octets = list(self.held), 0
        self.held.clear()
        return held

    def note(self, early: Early, limits: Df3Limits) -> None:
        """For keys that come at once; the oldest makes room, and what is too old goes."""
        packet = early.packet
        while self.early:
            first = next(iter(self.early.values())).packet
            if len(self.early) < limits.early_packets and packet.time - first.time <= limits.early:
                break
            self.forget(first)
        if self._waiting.early + len(packet.payload) <= limits.early_octets_in_all:
            self.early[id(packet)] = early
            self._waiting.early += len(packet.payload)

    def forget(self, packet: MediaPacket) -> None:
        """It is not to be tried again."""
        if self.early.pop(id(packet), None) is not None:
            self._waiting.early -= len(packet.payload)

    def take_early(self) -> list[Early]:
        early = list(self.early.values())
        for each in early:
            self.forget(each.packet)
        return early

    @property
    def has_opened(self) -> bool:
        """Whether keys have opened media here."""
        return any(stream.decrypted for stream in self.streams.values() if not stream.control)

    def spend(self, candidates: int, limits: Df3Limits) -> None:
        self.budget = max(0, min(limits.search_budget, self.budget + limits.search_refill - candidates))

    def renew(self, claim: Claim) -> None:
        """The session has changed: its streams here go by what it says now (codecs, for one)."""
        for stream in self.streams.values():
            if stream.dialog == claim.dialog.plan.dialog and stream.flow.media == claim.flow.media:
                stream.flow = claim.flow

    def drop_streams(self, claim: Claim) -> None:
        """A claim is gone: its dialog's streams no longer stand here, unless another of its claims does."""
        if any(other.dialog is claim.dialog for other in self.claims):
            return
        for ssrc in [s for s, stream in self.streams.items() if stream.dialog == claim.dialog.plan.dialog]:
            self.pop(ssrc)
