"""A packet that no open stream takes: whose it is, which key opens it, or how it is counted."""

from __future__ import annotations

from imswire import inet, srtp
from midcall.df3.destination import Claim, Destination, Trial
from midcall.df3.dialog import Proof, TappedDialog, crypto_key
from midcall.df3.limits import Df3Limits
from midcall.df3.stream import Content, Crypto, Stream
from midcall.events import Failure, Instant, MediaPacket

_RTP_HEADER = 12
_RTCP_HEADER = 8
_VERSION_BITS = 0x80
# What a searched counter and the packet that confirms it give.
CONFIRMED = 2
NOT_OPENED = "none of the session's keys opens the media: they go over as captured"


def _is_media(payload: bytes) -> bool:
    return len(payload) >= _RTP_HEADER and payload[0] & 0xC0 == _VERSION_BITS and not 192 <= payload[1] <= 223


class Arrival:
    """The long way of a packet. The tag decides whose it is; without tags the source has to be the expected one."""

    def __init__(self, limits: Df3Limits) -> None:
        self.limits = limits
        self.failures: list[Failure] = []

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
                return [Content(packet.time, stream, clear, packet.datagram)]
            if clear is not srtp.Refusal.AUTH_FAILED:
                return self.refused(destination, stream, packet, clear)
        return self._look(destination, packet)

    def missed(self, destination: Destination, packet: MediaPacket) -> list[Content]:
        """What becomes of a packet that no key of this task opened."""
        claims = [claim for claim in destination.standing(packet.time) if not claim.control]
        return self._unopened(destination, claims, packet)

    def _look(self, destination: Destination, packet: MediaPacket) -> list[Content] | None:
        """Whose a packet is; None: media that no key opened."""
        payload = packet.payload
        claims = list(destination.standing(packet.time))
        if not claims:
            return []
        if len(payload) < _RTCP_HEADER or payload[0] & 0xC0 != _VERSION_BITS:
            claims[0].dialog.dropped["not_rtp"] += 1
            return []
        if 192 <= payload[1] <= 223:
            return self._control(destination, claims, packet)
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
            stream = self._stream(destination, claim, ssrc)
            if stream is not None:
                self._seen(stream, trial.packet)
                stream.unopened += 1

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
        for claim in claims:
            if claim.flow.secure:
                opened = self._open(destination, claim, packet)
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
                stream = self._stream(destination, claim, payload[8:12])
                if stream is not None:
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
        return Content(packet.time, stream, clear, packet.datagram)

    def _pass(
        self, destination: Destination, claims: list[Claim], claim: Claim, packet: MediaPacket
    ) -> list[Content] | None:
        """RTP/AVP: content as it is, from the source that the session names, or the first one seen."""
        if claim.until is not None or not self._from_expected(destination, claims, claim, packet):
            return None
        stream = self._proved(destination, claim, packet)
        stream.clear += 1
        return [Content(packet.time, stream, packet.payload, packet.datagram)]

    def _from_expected(self, destination: Destination, claims: list[Claim], claim: Claim, packet: MediaPacket) -> bool:
        kind = packet.payload[1] & 0x7F
        source = packet.source
        expected = claim.flow.expected_source
        if expected is not None and source == inet.endpoint(inet.pack(expected.address), expected.port):
            alone = len(claims) == 1 and len(destination.lanes) == 1
            return alone or not claim.flow.codecs or kind in claim.flow.codecs
        if len(destination.dialogs(packet.time)) > 1:
            return False
        others = {s.source for s in destination.streams.values() if s.flow is claim.flow and s.source}
        return not others or source in others

    # Control

    def _control(self, destination: Destination, claims: list[Claim], packet: MediaPacket) -> list[Content]:
        """RTCP and SRTCP: content under the same correlation, counted apart from the media."""
        ssrc = packet.payload[4:8]
        for claim in claims:
            if not claim.flow.secure:
                clear: bytes | None = packet.payload
            else:
                clear = self._open_control(claim, packet.payload, ssrc)
            if clear is not None:
                stream = self._stream(destination, claim, b"rtcp" + ssrc, control=True)
                if stream is None:
                    return []
                self._seen(stream, packet)
                stream.decrypted += 1
                return [Content(packet.time, stream, clear, packet.datagram)]
        claims[0].dialog.dropped["rtcp_failed"] += 1
        return []

    def _open_control(self, claim: Claim, payload: bytes, ssrc: bytes) -> bytes | None:
        crypto = claim.dialog.cryptos.get(crypto_key(claim.flow, ssrc))
        if crypto is not None:
            clear = crypto.unprotector.unprotect_rtcp(payload)
            if isinstance(clear, bytes):
                return clear
        return claim.dialog.open_control(payload, claim.flow)

    # Counting

    def _unopened(self, destination: Destination, claims: list[Claim], packet: MediaPacket) -> list[Content]:
        """Hold it while keys are to come; else it is counted where it most likely belongs.

        Where no key is to be had, or those that are there open nothing of its stream, it may be content as captured,
        if the source is the one that the session names, since there is no tag to tell whose it is.
        """
        standing = [claim for claim in claims if claim.until is None]
        waiting = next((claim for claim in standing if claim.dialog.plan.awaiting and claim.flow.secure), None)
        if waiting is not None:
            if not destination.hold(packet, self.limits):
                waiting.dialog.dropped["too_many_held"] += 1
            return []
        ssrc = packet.payload[8:12]
        known = destination.streams.get(ssrc)
        if known is None and not standing:
            return []
        if known is None and not any(claim.flow.secure for claim in standing):
            standing[0].dialog.dropped["foreign"] += 1
            return []
        stream = known or self._stream(destination, standing[0], ssrc)
        if stream is None:
            return []
        self._seen(stream, packet)
        keyed = any(claim.dialog.contexts for claim in standing)
        if not stream.flow.secure or stream.open or keyed:
            stream.failed(packet.frame)
        else:
            stream.unopened += 1
        if not stream.flow.secure or not standing or not standing[0].dialog.plan.encrypted:
            return []
        if not self._from_expected(destination, standing, standing[0], packet):
            return []
        content = []
        for each in stream.doubt(packet, self.limits.lost_after):
            content.append(Content(each.time, stream, each.payload, each.datagram, encrypted=True))
        if content and keyed:
            self._tell(standing[0].dialog, packet)
        stream.encrypted += len(content)
        stream.source = stream.source or packet.source
        return content

    def _tell(self, dialog: TappedDialog, packet: MediaPacket) -> None:
        """Once a dialog: its keys do not open what it sends."""
        if not dialog.failed:
            dialog.failed, plan, at = True, dialog.plan, Instant.of_capture(packet.time)
            self.failures.append(
                Failure(plan.xid, plan.correlation, plan.dialog, at, packet.frame, NOT_OPENED, keys=True)
            )

    def _proved(self, destination: Destination, claim: Claim, packet: MediaPacket) -> Stream:
        """The stream of a packet that is certainly its dialog's; room is made for it."""
        ssrc = packet.payload[8:12]
        stream = self._stream(destination, claim, ssrc)
        if stream is None:
            unproved = next((s for s, each in destination.streams.items() if not each.source), None)
            destination.streams.pop(unproved if unproved is not None else next(iter(destination.streams)))
            stream = self._stream(destination, claim, ssrc)
            assert stream is not None
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

    def _stream(self, destination: Destination, claim: Claim, ssrc: bytes, *, control: bool = False) -> Stream | None:
        """The stream of an SSRC at a destination for a dialog; None when there are too many."""
        plan = claim.dialog.plan
        stream = destination.streams.get(ssrc)
        if stream is not None and stream.dialog == plan.dialog and stream.flow.media == claim.flow.media:
            return stream
        if stream is None and len(destination.streams) >= self.limits.streams_of_a_destination:
            claim.dialog.dropped["too_many_ssrcs"] += 1
            return None
        stream = Stream(plan, claim.flow, int.from_bytes(ssrc[-4:], "big"), destination.name, control)
        destination.streams[ssrc] = stream
        claim.dialog.streams.append(stream)
        return stream
