"""A packet that no open stream takes: whose it is, which key opens it, or how it is counted."""

from __future__ import annotations

from imswire import srtp
from midcall.df3 import sources
from midcall.df3.destination import Claim, Destination, Early, Trial
from midcall.df3.dialog import Proof, TappedDialog, crypto_key
from midcall.df3.doubt import Judged
from midcall.df3.limits import Df3Limits
from midcall.df3.stream import Content, Crypto, Stream, stream_key
from midcall.events import CROWDED_OUT, Failure, Instant, MediaPacket

_RTP_HEADER = 12
_RTCP_HEADER = 8
_VERSION_BITS = 0x80
# What a searched counter and the packet that confirms it give.
CONFIRMED = 2
# Content that is not handed over is told of as soon as it is so much: a second of speech.
TOLD_AT = 50
NOT_OPENED = "none of the session's keys opens the media: they go over as captured"


def _is_media(payload: bytes) -> bool:
    return len(payload) >= _RTP_HEADER and payload[0] & 0xC0 == _VERSION_BITS and not 192 <= payload[1] <= 223


class Arrival:
    """The long way of a packet. The tag decides whose it is; without tags the source has to be the expected one.

    RTCP and SRTCP take the same way, under the same correlation, and are counted apart from the media.
    """

    def __init__(self, limits: Df3Limits) -> None:
        self.limits = limits
        self.failures: list[Failure] = []
        # Content that was doubted when it came and is believed now that its stream or claim ends.
        self.late: list[Content] = []

    def unknown(self, destination: Destination, packet: MediaPacket) -> list[Content]:
        """A packet of an SSRC that has no key here yet, or no RTP at all."""
        opened = self._look(destination, packet)
        return self.missed(destination, packet) if opened is None else opened

    def attempt(self, destination: Destination, packet: MediaPacket) -> list[Content] | None:
        """Take in a packet; None: no key opened it, and :meth:`missed` says what becomes of it."""
        stream = destination.streams.get(packet.payload[8:12])
        if stream is not None and stream.open and _is_media(packet.payload) and stream.within(packet.time):
            clear = stream.unprotect(packet.payload)
            if isinstance(clear, bytes):
                stream.packets += 1
                stream.decrypted += 1
                stream.last = stream.proved_at = packet.time
                stream.opened_from = packet.origin
                return [Content(packet.time, stream, clear, packet.datagram)]
            if clear is not srtp.Refusal.AUTH_FAILED:
                return self.refused(destination, stream, packet, clear)
        return self._look(destination, packet)

    def missed(self, destination: Destination, packet: MediaPacket) -> list[Content]:
        """What becomes of a packet that no key of this task opened."""
        control = srtp.is_rtcp(packet.payload)
        claims = [claim for claim in destination.standing(packet.time) if control or not claim.control]
        return self._unopened(destination, claims, packet)

    def _look(self, destination: Destination, packet: MediaPacket) -> list[Content] | None:
        """Whose a packet is; None: no key opened it, and no source speaks for it."""
        payload = packet.payload
        claims = list(destination.standing(packet.time))
        if not claims:
            return []
        if len(payload) < _RTCP_HEADER or payload[0] & 0xC0 != _VERSION_BITS:
            claims[0].dialog.dropped["not_rtp"] += 1
            return []
        if srtp.is_rtcp(payload):
            return self._claimed(destination, claims, packet)
        if len(payload) < _RTP_HEADER:
            claims[0].dialog.dropped["not_rtp"] += 1
            return []
        return self._media(destination, [claim for claim in claims if not claim.control], packet)

    def refused(
        self, destination: Destination, stream: Stream, packet: MediaPacket, refusal: srtp.Refusal
    ) -> list[Content]:
        """A packet that the key of its stream did not open: repeated, of another key, or forged."""
        if refusal is srtp.Refusal.AUTH_FAILED:
            return self.unknown(destination, packet)
        stream.packets += 1
        stream.refused(refusal, packet.frame)
        return []

    def abandon(self, destination: Destination, claim: Claim) -> None:
        """A claim is gone: a packet whose short tag nothing confirmed stays unproved, and is counted so."""
        for ssrc, trial in list(destination.trials.items()):
            if trial.claim is not claim:
                continue
            del destination.trials[ssrc]
            trial.proof.unprotector.close()
            stream = self._stream(destination, claim, trial.packet)
            self._seen(stream, trial.packet)
            stream.unopened += 1

    def settle(self, destination: Destination, claim: Claim) -> None:
        """Nothing more is expected of a claim: what waits in doubt there is content now (``late``), or missing."""
        destination.take_early()
        for control, seen in enumerate(claim.sources):
            if sources.is_known(destination, claim, control=bool(control)):
                self.late += self._sort(destination, claim, seen.strangers.refuse())
            else:
                self.late += self._judge(destination, claim, seen.strangers.rest(seen.known, self.limits))
        for stream in destination.streams.values():
            if stream.flow is claim.flow:
                self._end_doubt(destination, claim.dialog, stream)

    def over(self, dialog: TappedDialog, now: Instant) -> None:
        """A dialog ends: what of its media is missing is told, unless just that was told before."""
        if dialog.missing.count > dialog.missing.told:
            self._tell_missing(dialog, now, 0)

    def crowded_out(self, dialog: TappedDialog, now: Instant, reason: str = CROWDED_OUT) -> None:
        """A dialog makes room for another: what would follow of its media is missing."""
        plan = dialog.plan
        self.failures.append(Failure(plan.xid, plan.correlation, plan.dialog, now, 0, reason, keys=False, missing=True))

    def take_late(self) -> list[Content]:
        """What is content after all, since the last call."""
        late, self.late = self.late, []
        return late

    # Media

    def _media(self, destination: Destination, claims: list[Claim], packet: MediaPacket) -> list[Content] | None:
        ssrc = packet.payload[8:12]
        trial = destination.trials.pop(ssrc, None)
        before: list[Content] = []
        if trial is not None:
            before = self._confirm(destination, trial, packet)
            if len(before) == CONFIRMED:
                return before
        opened = self._claimed(destination, claims, packet)
        if not before:
            return opened
        return before + (self.missed(destination, packet) if opened is None else opened)

    def _claimed(self, destination: Destination, claims: list[Claim], packet: MediaPacket) -> list[Content] | None:
        """Try the claims in their order."""
        open_ = self._open_control if srtp.is_rtcp(packet.payload) else self._open
        for claim in claims:
            if claim.flow.secure:
                opened = open_(destination, claim, packet)
            else:
                opened = self._pass(destination, claims, claim, packet)
            if opened is not None:
                return opened
        return None

    def _open(self, destination: Destination, claim: Claim, packet: MediaPacket) -> list[Content] | None:
        """Try the keys of one dialog; None when none of them opens the packet."""
        payload = packet.payload
        crypto = claim.dialog.cryptos.get(crypto_key(claim.flow, payload[8:12]))
        if crypto is not None:
            verdict = crypto.unprotect(payload)
            if isinstance(verdict, bytes):
                return [self._deliver(destination, claim, packet, crypto, verdict)]
            if verdict is not srtp.Refusal.AUTH_FAILED:
                stream = self._stream(destination, claim, packet)
                stream.packets += 1
                stream.refused(verdict, packet.frame)
                return []
        elif claim.until is not None:
            return None
        proof, spent = claim.dialog.open(payload, claim.flow, packet.time, self.limits, destination.budget)
        destination.spend(spent, self.limits)
        if proof is None:
            return None
        if proof.searched and proof.context.key.policy.tag_length < self.limits.proof_octets:
            destination.trials[payload[8:12]] = Trial(claim, proof, packet)
            return []
        return [self._adopt(destination, claim, packet, proof)]

    def _open_control(self, destination: Destination, claim: Claim, packet: MediaPacket) -> list[Content] | None:
        """The same for SRTCP, whose index stands in the packet."""
        clear, spent = claim.dialog.open_control(packet.payload, claim.flow, destination.budget)
        destination.spend(spent, self.limits)
        if clear is srtp.Refusal.AUTH_FAILED or clear is srtp.Refusal.MALFORMED:
            return None
        if not isinstance(clear, bytes):
            stream = self._stream(destination, claim, packet)
            stream.packets += 1
            stream.refused(clear, packet.frame)
            return []
        stream = self._proved(destination, claim, packet)
        stream.decrypted += 1
        stream.opened_from = packet.origin
        return [Content(packet.time, stream, clear, packet.datagram)]

    def _confirm(self, destination: Destination, trial: Trial, packet: MediaPacket) -> list[Content]:
        """A second packet under a searched counter: both count, or neither does."""
        clear = trial.proof.unprotector.unprotect(packet.payload)
        if not isinstance(clear, bytes):
            trial.proof.unprotector.close()
            return self._unopened(destination, [trial.claim], trial.packet)
        first = self._adopt(destination, trial.claim, trial.packet, trial.proof)
        assert first.stream.crypto is not None
        second = self._deliver(destination, trial.claim, packet, first.stream.crypto, clear)
        return [first, second]

    def _adopt(self, destination: Destination, claim: Claim, packet: MediaPacket, proof: Proof) -> Content:
        crypto = claim.dialog.adopt(packet.payload[8:12], claim.flow, proof)
        content = self._deliver(destination, claim, packet, crypto, proof.clear)
        content.stream.method = proof.method
        return content

    def _deliver(
        self, destination: Destination, claim: Claim, packet: MediaPacket, crypto: Crypto, clear: bytes
    ) -> Content:
        stream = self._proved(destination, claim, packet)
        stream.crypto = crypto
        stream.unprotect = crypto.unprotector.unprotect
        stream.open = True
        stream.policy = crypto.context.key.policy.name
        stream.decrypted += 1
        stream.proved_at = packet.time
        stream.opened_from = packet.origin
        return Content(packet.time, stream, clear, packet.datagram)

    def _pass(
        self, destination: Destination, claims: list[Claim], claim: Claim, packet: MediaPacket
    ) -> list[Content] | None:
        """RTP/AVP: content as it is, from the source that the session names, or the first one seen."""
        if claim.until is not None:
            return self._as_it_is(destination, claim, packet) if sources.goes_on(destination, claim, packet) else None
        if not sources.speaks(destination, claims, claim, packet) and not sources.is_first(destination, claim, packet):
            return None
        claim.sources[srtp.is_rtcp(packet.payload)].known += 1
        return self._as_it_is(destination, claim, packet)

    def _as_it_is(self, destination: Destination, claim: Claim, packet: MediaPacket) -> list[Content]:
        stream = self._proved(destination, claim, packet)
        stream.clear += 1
        return [Content(packet.time, stream, packet.payload, packet.datagram)]

    # Counting

    def _unopened(self, destination: Destination, claims: list[Claim], packet: MediaPacket) -> list[Content]:
        """Hold it while keys are to come; else it is counted where it most likely belongs.

        Where no key is to be had, or those that are there open little of its stream, it may be content as captured.
        There is no tag to tell whose it is, so its source has to: see :meth:`_as_captured`.
        """
        standing = [claim for claim in claims if claim.until is None]
        control, plain = srtp.is_rtcp(packet.payload), srtp.is_plain_rtcp(packet.payload)
        waiting = next((claim for claim in standing if claim.dialog.plan.awaiting and claim.flow.secure), None)
        if waiting is not None:
            if not destination.hold(packet, self.limits):
                waiting.dialog.dropped["too_many_held"] += 1
                self._miss(waiting.dialog, [packet])
            return []
        known = destination.streams.get(stream_key(packet.payload))
        if not standing:
            if known is not None and not (plain and known.flow.secure):
                self._count(known, packet, known.open or not known.flow.secure)
            elif control and claims:
                reason = "rtcp_in_clear" if plain else "rtcp_failed"
                claims[0].dialog.dropped[reason if claims[0].flow.secure else "foreign"] += 1
            return []
        claims = [claim for claim in standing if known is None or claim.flow is known.flow] or standing
        claim = next((claim for claim in claims if claim.flow.secure), claims[0])
        if not (claim.flow if known is None else known.flow).secure:
            return self._strange(destination, claim, packet)
        captured = claim.dialog.plan.encrypted
        if plain and not (captured and sources.speaks(destination, standing, claim, packet)):
            # No key could have opened it, and no tag says whose it is: of the session's media nothing is missing.
            claim.dialog.dropped["rtcp_in_clear"] += 1
            return []
        if control and not captured:
            claim.dialog.dropped["rtcp_failed"] += 1
            self._miss(claim.dialog, [packet])
            return []
        stream = known or self._stream(destination, claim, packet)
        keyed = not plain and (stream.open or any(each.dialog.contexts for each in standing))
        self._count(stream, packet, keyed)
        if not control and destination.has_opened:
            destination.note(Early(claim, stream, packet, keyed), self.limits)
        if not captured:
            self._miss(claim.dialog, [packet])
            return []
        if plain:
            return self._hand(destination, claim.dialog, stream, [packet])
        return self._as_captured(destination, standing, claim, stream, packet)

    def again(self, destination: Destination, now: int) -> list[Content]:
        """Keys have come, or are to come: what just came and none opened may have been under them.

        Unless it was handed over as captured it is looked at as if it had not been here yet.
        """
        content: list[Content] = []
        fresh = [each for each in destination.streams.values() if each.doubt and not each.decrypted]
        for early in destination.take_early():
            packet = early.packet
            if now - packet.time > self.limits.early or early.stream in fresh:
                continue
            claims = [each for each in destination.standing(packet.time) if each.flow.secure and not each.control]
            if any(claim.dialog.plan.awaiting for claim in claims) and destination.hold(packet, self.limits):
                self._unsee(early)
                continue
            for claim in claims:
                opened = self._open(destination, claim, packet)
                if opened is not None:
                    self._unsee(early)
                    content += opened
                    break
        for stream in fresh:
            content += self._once_more(destination, stream)
        return content

    def _once_more(self, destination: Destination, stream: Stream) -> list[Content]:
        """The same for all that waits of a sender of whom no key has opened anything yet."""
        content: list[Content] = []
        left: list[MediaPacket] = []
        for packet in stream.doubt.refuse():
            claims = [each for each in destination.standing(packet.time) if each.flow.secure and not each.control]
            if any(claim.dialog.plan.awaiting for claim in claims) and destination.hold(packet, self.limits):
                stream.uncount(keyed=True)
                continue
            for claim in claims:
                opened = self._open(destination, claim, packet)
                if opened is not None:
                    stream.uncount(keyed=True)
                    content += opened
                    break
            else:
                left.append(packet)
        dialog = next((each.dialog for each in destination.claims if each.dialog.plan.dialog == stream.dialog), None)
        if dialog is None or not left:
            return content
        if stream.decrypted:
            return self._hand(destination, dialog, stream, left) + content
        for packet in left:
            content += self._hand(destination, dialog, stream, stream.doubt.take(0, packet, self.limits).believed)
        return content

    def _unsee(self, early: Early) -> None:
        """Take back what was made of a packet that no key opened."""
        claim, stream, packet, keyed = early
        stream.uncount(keyed)
        waited = stream.doubt.take_back(packet) or claim.sources[False].strangers.take_back(packet)
        if not waited:
            claim.dialog.missing.count -= 1

    def _as_captured(
        self, destination: Destination, claims: list[Claim], claim: Claim, stream: Stream, packet: MediaPacket
    ) -> list[Content]:
        """From the source that the session names, or one whose packets a key opens, unless its share is a forger's."""
        if not sources.speaks(destination, claims, claim, packet):
            return self._strange(destination, claim, packet)
        before = self._sort(destination, claim, claim.sources[stream.control].strangers.refuse())
        # Where others open, a new sender's key may be under way: it waits, as what a known sender's key does not open.
        if not stream.decrypted and (stream.control or not claim.dialog.contexts or not destination.has_opened):
            return before + self._hand(destination, claim.dialog, stream, [packet])
        judged = stream.doubt.take(stream.decrypted, packet, self.limits)
        self._refuse(destination, claim, judged.refused)
        return before + self._hand(destination, claim.dialog, stream, judged.believed)

    def _strange(self, destination: Destination, claim: Claim, packet: MediaPacket) -> list[Content]:
        """From another source: only where nothing is seen of any that counts, for what nobody proved teaches nothing.

        It waits a little, since what counts may be a moment late.
        """
        control = srtp.is_rtcp(packet.payload)
        seen = claim.sources[control]
        if sources.is_known(destination, claim, control=control) or len(destination.dialogs(packet.time)) > 1:
            return self._sort(destination, claim, [*seen.strangers.refuse(), packet])
        return self._judge(destination, claim, seen.strangers.take(seen.known, packet, self.limits))

    def _sort(self, destination: Destination, claim: Claim, packets: list[MediaPacket]) -> list[Content]:
        """It is known better by now: RTCP from where its media turned out to come from is believed, nothing else."""
        if not packets:
            return []
        judged = Judged[MediaPacket]([], [])
        for packet in packets:
            believed = srtp.is_rtcp(packet.payload) and sources.speaks(destination, [claim], claim, packet)
            (judged.believed if believed else judged.refused).append(packet)
        return self._judge(destination, claim, judged)

    def _judge(self, destination: Destination, claim: Claim, judged: Judged[MediaPacket]) -> list[Content]:
        self._refuse(destination, claim, judged.refused)
        content: list[Content] = []
        for packet in judged.believed:
            if not claim.flow.secure:
                content += self._as_it_is(destination, claim, packet)
                continue
            content += self._hand(destination, claim.dialog, self._stream(destination, claim, packet), [packet])
        return content

    def _hand(
        self, destination: Destination, dialog: TappedDialog, stream: Stream, packets: list[MediaPacket]
    ) -> list[Content]:
        """As captured; that media do not open is told, unless it is known that there are no keys."""
        if packets and dialog.contexts and not stream.control:
            self._tell(dialog, packets[-1])
        if packets and not stream.source:
            stream.source = packets[0].source
        stream.encrypted += len(packets)
        for packet in packets:
            destination.forget(packet)
        return [Content(each.time, stream, each.payload, each.datagram, encrypted=True) for each in packets]

    def _end_doubt(self, destination: Destination, dialog: TappedDialog, stream: Stream) -> None:
        """Nothing more comes of a stream."""
        judged = stream.doubt.rest(stream.decrypted, self.limits)
        self._miss(dialog, judged.refused)
        self.late += self._hand(destination, dialog, stream, judged.believed)

    def _count(self, stream: Stream, packet: MediaPacket, keyed: bool) -> None:
        self._seen(stream, packet)
        if keyed:
            stream.failed(packet.frame)
        else:
            stream.unopened += 1

    def _refuse(self, destination: Destination, claim: Claim, packets: list[MediaPacket]) -> None:
        """As far as anybody can tell they are not the session's."""
        for packet in packets if not claim.flow.secure else ():
            stream = destination.streams.get(stream_key(packet.payload))
            if stream is None:
                claim.dialog.dropped["foreign"] += 1
            else:
                self._seen(stream, packet)
                stream.failed(packet.frame)
        self._miss(claim.dialog, packets)

    def _miss(self, dialog: TappedDialog, packets: list[MediaPacket]) -> None:
        """Packets that the agency does not get."""
        missing = dialog.missing
        missing.note(packet.time for packet in packets)
        if missing.due(TOLD_AT):
            self._tell_missing(dialog, Instant.of_capture(packets[-1].time), packets[-1].frame)

    def _tell_missing(self, dialog: TappedDialog, at: Instant, frame: int) -> None:
        plan, text = dialog.plan, dialog.missing.text()
        self.failures.append(
            Failure(plan.xid, plan.correlation, plan.dialog, at, frame, text, keys=False, missing=True)
        )

    def _tell(self, dialog: TappedDialog, packet: MediaPacket) -> None:
        """Its keys do not open what a dialog sends: once, and once more when others have come."""
        newest = dialog.contexts[-1].order if dialog.contexts else 0
        if dialog.failed_after == newest:
            return
        dialog.failed_after, plan, at = newest, dialog.plan, Instant.of_capture(packet.time)
        self.failures.append(
            Failure(plan.xid, plan.correlation, plan.dialog, at, packet.frame, NOT_OPENED, keys=True, after=newest)
        )

    def _proved(self, destination: Destination, claim: Claim, packet: MediaPacket) -> Stream:
        """The stream of a packet that is certainly its dialog's."""
        stream = self._stream(destination, claim, packet)
        if not stream.proved:
            self._make_room(destination, (stream.control, True))
        if not stream.source:
            stream.source = packet.source
        self._seen(stream, packet)
        return stream

    def _seen(self, stream: Stream, packet: MediaPacket) -> None:
        stream.packets += 1
        stream.first = stream.first or packet.time
        stream.last = packet.time
        if not stream.seen_source:
            stream.seen_source = packet.source

    def _stream(self, destination: Destination, claim: Claim, packet: MediaPacket) -> Stream:
        """The stream of a packet's SSRC at a destination for a dialog; room is made for a new one."""
        plan, key = claim.dialog.plan, stream_key(packet.payload)
        stream = destination.streams.get(key)
        if stream is not None and stream.dialog == plan.dialog and stream.flow.media == claim.flow.media:
            return stream
        control = srtp.is_rtcp(packet.payload)
        if stream is None:
            self._make_room(destination, (control, False))
        stream = Stream(plan, claim.flow, int.from_bytes(key[-4:], "big"), destination.name, control)
        destination.put(key, stream)
        claim.dialog.streams[stream] = None
        return stream

    def _make_room(self, destination: Destination, kind: tuple[bool, bool]) -> None:
        """The oldest stream of a kind is let go for another: RTCP or media, proved or not."""
        alike = [ssrc for ssrc, each in destination.streams.items() if (each.control, each.proved) == kind]
        if len(alike) < self.limits.streams_of_a_destination:
            return
        gone = destination.pop(alike[0])
        dialog = next((each.dialog for each in destination.claims if each.dialog.plan.dialog == gone.dialog), None)
        if dialog is not None:
            self._end_doubt(destination, dialog, gone)
            dialog.let_stream_go(gone)
