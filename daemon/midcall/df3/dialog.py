"""What DF3 knows of one intercepted dialog: its plan, the keys in force, and the state of its SSRCs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec import structs

from imswire import srtp
from imswire.sdp import Endpoint
from midcall.base.bounded import BoundedTable
from midcall.df3 import rollover
from midcall.df3.doubt import Missing
from midcall.df3.limits import Df3Limits
from midcall.df3.stream import Crypto, Stream
from midcall.events import CryptoContext, MediaFlow, MediaPlan, Side

# SSRCs whose counters are remembered in one dialog; a genuine one has a few.
SSRCS = 256
# Keys that a packet is tried with when what its destination may cost is used up: the likeliest.
LIKELIEST = 4
# Keys that stay in use for one sender of SRTCP: the newest, and those of packets under way.
KEYS_OF_A_SENDER = 3
# What trying a key costs beside its counters, in counters: deriving its session keys.
KEY_COST = 16


class Control:
    """SRTCP of one sender: the keys that have opened any, the newest first, each with what it has seen."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: list[tuple[CryptoContext, int, srtp.Unprotector]] = []

    def unprotect(self, packet: bytes) -> bytes | srtp.Refusal:
        """In clear; REPLAYED and TOO_OLD: it is right, and was here before."""
        for _, _, unprotector in self.known:
            verdict = unprotector.unprotect_rtcp(packet)
            if verdict is not srtp.Refusal.AUTH_FAILED:
                return verdict
        return srtp.Refusal.AUTH_FAILED

    def knows(self, context: CryptoContext, width: int) -> bool:
        return any(context.key == each.key and width == other for each, other, _ in self.known)

    def add(self, context: CryptoContext, width: int, unprotector: srtp.Unprotector) -> None:
        self.known.insert(0, (context, width, unprotector))
        for _, _, old in self.known[KEYS_OF_A_SENDER:]:
            old.close()
        del self.known[KEYS_OF_A_SENDER:]

    def close(self) -> None:
        for _, _, unprotector in self.known:
            unprotector.close()
        self.known.clear()


class Proof:
    """A key and a counter that opened a packet, and how the counter was found."""

    __slots__ = ("clear", "context", "method", "searched", "unprotector")

    def __init__(
        self,
        context: CryptoContext,
        unprotector: srtp.Unprotector,
        clear: bytes,
        method: str,
        searched: bool,
    ) -> None:
        self.context = context
        self.unprotector = unprotector
        self.clear = clear
        self.method = method
        self.searched = searched


def crypto_key(flow: MediaFlow, ssrc: bytes) -> bytes:
    """Both sides, and different media, may use one SSRC."""
    return bytes((flow.media & 0xFF, flow.sender)) + ssrc


class TappedDialog:
    """Contexts and SSRC states of one dialog under one task.

    ``recalled``: rollover counters of its streams from a former run. ``dropped`` counts, by reason, packets to its
    destinations that belong to no stream: ``not_rtp``; ``foreign``, RTP and RTCP in clear from a source that the
    session does not name; ``too_many_ssrcs`` and ``too_many_held``, beyond the bounds; ``rtcp_failed``, SRTCP that no
    key opened; ``rtcp_in_clear``, RTCP that is no SRTCP, at places of encrypted media.
    ``let_go`` counts streams that made room for others: how many, their packets, and those that were handed over.
    ``missing`` is what the agency is to be told.
    """

    def __init__(self, plan: MediaPlan, recalled: dict[bytes, int] | None = None) -> None:
        self.plan = plan
        self._recalled = recalled or {}
        self.contexts = plan.contexts
        self.cryptos: BoundedTable[bytes, Crypto] = BoundedTable("df3.ssrcs", SSRCS)
        self.controls: BoundedTable[bytes, Control] = BoundedTable("df3.controls", SSRCS)
        self.streams: dict[Stream, None] = {}
        # The source that the session names for a flow, once media or RTCP came from there.
        self.named: dict[tuple[int, Side], Endpoint] = {}
        self.errors: dict[str, None] = {}
        self.dropped: Counter[str] = Counter()
        self.let_go: Counter[str] = Counter()
        self.missing = Missing()
        # It was told that some place of it is not followed any more.
        self.crowded = False
        # The newest key under which it was told that none opens the media.
        self.failed_after: int | None = None

    def counters(self) -> dict[bytes, int]:
        """The rollover counter of each stream that a key opens."""
        return {key: crypto.roc for key, crypto in self.cryptos.items()}

    def let_stream_go(self, stream: Stream) -> None:
        """A stream makes room: what it was is counted with others of its kind."""
        if stream not in self.streams:
            return
        del self.streams[stream]
        self.let_go["streams"] += 1
        self.let_go["packets"] += stream.packets
        self.let_go["handed"] += stream.decrypted + stream.clear + stream.encrypted
        self.dropped["too_many_ssrcs"] += stream.kept_back

    def final(self) -> tuple[list[Stream], list[str], dict[str, int]]:
        """Streams, errors and what was dropped, for the report."""
        errors = list(self.errors)
        if self.let_go:
            streams, packets, handed = (self.let_go[each] for each in ("streams", "packets", "handed"))
            errors.append(f"{streams} further SSRCs with {packets} packets, of which {handed} were handed over")
        return list(self.streams), errors, {reason: count for reason, count in self.dropped.items() if count}

    def over(self) -> None:
        """No more keys are to come."""
        self.plan = structs.replace(self.plan, awaiting=False)

    def open_control(self, packet: bytes, flow: MediaFlow, budget: int) -> tuple[bytes | srtp.Refusal, int]:
        """Open an SRTCP packet; returns also what it cost, in candidates. REPLAYED and TOO_OLD: it came before.

        What was seen of a sender's SRTCP is kept apart from its media, which may come later, or never.
        """
        sender = crypto_key(flow, packet[4:8])
        control = self.controls.get(sender)
        if control is not None:
            verdict = control.unprotect(packet)
            if verdict is not srtp.Refusal.AUTH_FAILED:
                return verdict, 0
        ssrc = int.from_bytes(packet[4:8], "big")
        spent = 0
        for place, context in enumerate(self.likely(ssrc, flow)):
            if place >= LIKELIEST and spent >= budget:
                break
            key = context.key
            for width in {len(key.master.mki), 0}:
                if control is not None and control.knows(context, width):
                    continue
                spent += KEY_COST
                unprotector = srtp.open_stream(key.policy, key.master, ssrc, roc=0, mki_length=width)
                clear = unprotector.unprotect_rtcp(packet)
                if isinstance(clear, bytes):
                    self._control(sender).add(context, width, unprotector)
                    return clear, spent
                unprotector.close()
        return srtp.Refusal.AUTH_FAILED, spent

    def _control(self, sender: bytes) -> Control:
        control = self.controls.get(sender)
        if control is None:
            control = Control()
            gone = self.controls.put(sender, control)
            if gone is not None:
                gone.close()
        return control

    def renew(self, plan: MediaPlan) -> None:
        self.plan = plan
        self.contexts = plan.contexts

    def open(
        self, packet: bytes, flow: MediaFlow, time: int, limits: Df3Limits, budget: int
    ) -> tuple[Proof | None, int]:
        """Find the key and counter that open an RTP packet of an SSRC; returns also the candidates spent."""
        ssrc = int.from_bytes(packet[8:12], "big")
        stream = crypto_key(flow, packet[8:12])
        known = self.cryptos.get(stream)
        former = self._recalled.get(stream) if known is None else known.roc
        spent = 0
        for place, context in enumerate(self.likely(ssrc, flow)):
            if place >= LIKELIEST and spent >= budget:
                break
            if known is not None and known.knows(context):
                continue
            bound = min(self._bound(context, flow, time, limits), max(budget - spent, 1))
            hints = list(self._hints(context, former, ssrc))
            proof, tried = _prove(packet, ssrc, context, hints, bound)
            spent += tried + KEY_COST
            if isinstance(proof, Proof):
                return proof, spent
            if proof:
                self.errors.setdefault(proof)
        return None, spent

    def adopt(self, ssrc: bytes, flow: MediaFlow, proof: Proof) -> Crypto:
        """Keep the state that a proof began, or let a stream that goes on switch to it."""
        key = crypto_key(flow, ssrc)
        crypto = self.cryptos.get(key)
        if crypto is not None:
            crypto.switch(proof.context, proof.unprotector)
            return crypto
        crypto = Crypto(proof.context, proof.unprotector)
        gone = self.cryptos.put(key, crypto)
        if gone is not None:
            gone.close()
        return crypto

    def close(self) -> None:
        for stream in self.streams:
            stream.close()
        for crypto in self.cryptos.values():
            crypto.close()
        for control in self.controls.values():
            control.close()
        for context in self.contexts:
            context.key.master.wipe()
        self.contexts = ()

    def likely(self, ssrc: int, flow: MediaFlow) -> Iterator[CryptoContext]:
        """Newest first: those that name the SSRC, then those of the m-line and direction, then all others."""

        def rank(context: CryptoContext) -> tuple[int, int]:
            if context.key.ssrc == ssrc:
                place = 0
            elif context.media == flow.media and context.sender == flow.sender:
                place = 1
            else:
                place = 2
            return place, -context.order

        return iter(sorted(self.contexts, key=rank))

    def _bound(self, context: CryptoContext, flow: MediaFlow, time: int, limits: Df3Limits) -> int:
        if not context.key.policy.authenticates_rtp:
            return 0
        return rollover.highest(time - self.plan.invited_at.wall, flow.kind, limits)

    def _hints(self, context: CryptoContext, former: int | None, ssrc: int) -> Iterator[int]:
        """The counter goes on across a rekey, and a restart; a map gives the one at the time of its message."""
        if former is not None:
            yield from (former, former + 1, former - 1)
        if context.key.rollover is not None and context.key.ssrc == ssrc:
            yield from (context.key.rollover, context.key.rollover + 1)

    @property
    def mid_call(self) -> bool:
        start = self.plan.start
        return start is not None and start > self.plan.invited_at.wall


def _prove(
    packet: bytes, ssrc: int, context: CryptoContext, hints: list[int], bound: int
) -> tuple[Proof | str | None, int]:
    """Try one key with each candidate counter, with and without MKI; a text says why it cannot be tried."""
    key = context.key
    if not key.policy.authenticates_rtp and bound == 0 and not hints:
        hints = [0]
    widths = [0]
    if key.master.mki and srtp.locate_mki(key.policy, packet, key.master.mki):
        widths = [len(key.master.mki), 0]
    tried = 0
    for width in widths:
        counters = list(rollover.candidates(hints, bound))
        counter = srtp.search(key.policy, key.master, packet, counters, width)
        tried += len(counters)
        if counter is None:
            continue
        unprotector = srtp.open_stream(key.policy, key.master, ssrc, roc=counter, mki_length=width)
        clear = unprotector.unprotect(packet)
        if isinstance(clear, bytes):
            method = "map" if counter in hints[-2:] and key.rollover is not None else "tag"
            return Proof(context, unprotector, clear, method, counter != counters[0]), tried
        unprotector.close()
    return None, tried
